"""Whether a schedule meets the conditions under which stochastic gradient descent converges.

Robbins, Monro 1951, A stochastic approximation method: the sum of the rates is infinite, so that any place can be
reached, and the sum of their squares is finite, so that the noise dies out.
"""

import math
import statistics
from typing import NamedTuple

from chainrule.optim.curves import Factor

#: The exponent of the decay is read off between these times, and trusted to this much.
EARLY, LATE, EXACT = 2.0**30, 2.0**50, 1e-3
#: Times at which a schedule is read between one of these and its double.
READINGS = 1009


class RobbinsMonro(NamedTuple):
    """The two conditions.

    Attributes:
        sum_diverges: Whether the rates sum to infinity.
        squares_converge: Whether their squares have a finite sum.
    """

    sum_diverges: bool
    squares_converge: bool


def robbins_monro(factor: Factor) -> RobbinsMonro:
    """Check a schedule that falls like a power of the time in the end, or faster than any, or not at all.

    ``t^-p`` has an infinite sum for p up to 1, and its squares have a finite one for p above 1/2. p is the slope of the
    schedule's mean in logarithms, at very late times; a factor such as ``1 / (t log t)``, between the powers, cannot be
    told from ``1 / t``.

    Args:
        factor: The schedule, in any unit of time.
    """
    early, late = (statistics.fmean(factor(t * (1 + i / READINGS)) for i in range(READINGS)) for t in (EARLY, LATE))
    if late == 0:
        return RobbinsMonro(sum_diverges=False, squares_converge=True)
    power = math.log(early / late) / math.log(LATE / EARLY)
    return RobbinsMonro(sum_diverges=power <= 1 + EXACT, squares_converge=power > 0.5 + EXACT)
