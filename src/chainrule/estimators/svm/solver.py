"""The dual problem of support vector machines, solved by decomposition.

With the coefficients ``x_i`` of the support-vector expansion ``f(z) = sum_i x_i K(x_i, z) + b``:

    minimise 1/2 x' K x - target' x + epsilon ||x||_1   subject to   lower <= x <= upper,   sum x = 0

Classification has ``x_i = y_i alpha_i``, ``target = y`` and ``epsilon = 0``; regression has
``x_i = alpha_i - alpha_i*`` between ``-C`` and ``C``. A working set of the variables that violate optimality most is
optimised, the others being held, until no pair of them violates it by more than ``tol``: E. Osuna, R. Freund and F.
Girosi, "Training support vector machines: an application to face detection", 1997; T. Joachims, "Making large-scale SVM
learning practical", 1999. The criterion is that of libsvm (R.-E. Fan, P.-H. Chen and C.-J. Lin, "Working set selection
using second order information", 2005), so the solutions are of equal quality. A problem that fits into one working set
is solved exactly.

Differs from libsvm: a working set holds hundreds of variables instead of two, so kernel columns come from matrix
products; several problems (the pairs of one-vs-one) are solved side by side.
"""

from dataclasses import dataclass

import torch

from chainrule.estimators.svm.boxed import finished, interior, minimised, product, violation
from chainrule.estimators.svm.columns import Stack
from chainrule.shapes import Bool, Float, Int, Tensor

#: What a working set leaves of the violation; the other variables change too much for less to last.
EASE = 0.2
#: Working sets without a lower objective after which a problem counts as stuck.
PATIENCE = 5


@dataclass(frozen=True)
class Dual:
    """Several dual problems of equal size, float64; a variable that does not exist has both bounds 0.

    Attributes:
        target: ``[b, n]``.
        lower: Lower bounds, 0 or below, ``[b, n]``.
        upper: Upper bounds, 0 or above, ``[b, n]``.
        epsilon: Weight of the absolute values.
    """

    target: Float[Tensor, "b n"]
    lower: Float[Tensor, "b n"]
    upper: Float[Tensor, "b n"]
    epsilon: float


@dataclass
class Solution:
    """Where the problems stand.

    Attributes:
        x: Coefficients, ``[b, n]``.
        values: ``K x``, the decision without its offset, ``[b, n]``.
        violation: How far the most violating pair is from optimal, ``[b]``.
        offset: ``b``, ``[b]``.
        sets: Working sets that were optimised, ``[b]``.
        stuck: Whether no set lowered the objective any more, or the sets were used up, ``[b]``.
    """

    x: Float[Tensor, "b n"]
    values: Float[Tensor, "b n"]
    violation: Float[Tensor, " b"]
    offset: Float[Tensor, " b"]
    sets: Int[Tensor, " b"]
    stuck: Bool[Tensor, " b"]


def slopes(dual: Dual, x: Float[Tensor, "b n"], values: Float[Tensor, "b n"]) -> tuple[Tensor, Tensor]:
    """Slopes of the objective for a rise and for a fall of each variable; they differ at 0 when ``epsilon`` does."""
    slope = values - dual.target
    if dual.epsilon == 0:
        return slope, slope
    up = torch.where(x >= 0, dual.epsilon, -dual.epsilon)
    return slope + up, slope + torch.where(x > 0, dual.epsilon, -dual.epsilon)


def working_set(
    dual: Dual, x: Float[Tensor, "b n"], up: Tensor, down: Tensor, old: Bool[Tensor, "b n"], count: int
) -> Int[Tensor, "b q"]:
    """The variables to optimise next, in rising order.

    A third are those whose rise lowers the objective most, a third those whose fall does, the rest members of the last
    set, those at no bound first.
    """
    least, greatest = violation(x, up, down, dual.lower, dual.upper)
    rise = torch.where(x < dual.upper, greatest - up, -torch.inf)
    fall = torch.where(x > dual.lower, down - least, -torch.inf)
    gain = torch.maximum(rise, fall)
    score = gain / (gain.amax(dim=1, keepdim=True).clamp_min(0) + 1)
    score = torch.where(dual.upper > dual.lower, score.clamp(-1, 1), -torch.inf)
    score = score + old.to(x.dtype) * (3 + 3 * interior(x, dual.lower, dual.upper).to(x.dtype))
    for candidates in (rise, fall):
        best = candidates.topk(max(1, count // 3), dim=1)
        score.scatter_(1, best.indices, torch.where(best.values > 0, 10.0, score.gather(1, best.indices)))
    return score.topk(count, dim=1).indices.sort(dim=1).values


def orthant(dual: Dual, x: Float[Tensor, "b n"], up: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slope and bounds on the side of zero where each variable is or goes to, so that its absolute value is linear."""
    if dual.epsilon == 0:
        return up, dual.lower, dual.upper
    least, greatest = violation(x, up, down, dual.lower, dual.upper)
    positive = (x > 0) | ((x == 0) & (greatest - up >= down - least))
    zero = torch.zeros_like(x)
    lower, upper = torch.where(positive, zero, dual.lower), torch.where(positive, dual.upper, zero)
    return torch.where(positive, torch.where(x > 0, down, up), torch.where(x < 0, up, down)), lower, upper


def recomputed(stack: Stack, which: Int[Tensor, " b"], x: Float[Tensor, "b n"], count: int) -> Float[Tensor, "b n"]:
    """``K x`` from the columns, without the rounding errors that updates collect."""
    used = int((x != 0).sum(dim=1).max())
    order = (x != 0).to(torch.int8).argsort(dim=1, descending=True, stable=True)
    values = torch.zeros_like(x)
    for start in range(0, used, count):
        samples = order[:, start : min(start + count, used)]
        values += stack.weighted(stack.fetch(which, samples), x.gather(1, samples))
    return values


def solve(stack: Stack, dual: Dual, x: Float[Tensor, "b n"], *, count: int, tol: float, sets: int) -> Solution:
    """Solve the problems from a starting point.

    Args:
        stack: Their kernel columns.
        dual: The problems.
        x: Where to start; it meets the constraints.
        count: Variables in a working set.
        tol: Violation that is good enough.
        sets: Most working sets for each problem.
    """
    everything = torch.arange(len(x), device=x.device)
    x = x.clone()
    values = recomputed(stack, everything, x, count) if bool(x.any()) else torch.zeros_like(x)
    old = torch.zeros_like(x, dtype=torch.bool)
    done, idle = torch.zeros_like(everything), torch.zeros_like(everything)
    exact = torch.ones_like(everything, dtype=torch.bool)
    goal = 0.5 * tol
    while True:
        up, down = slopes(dual, x, values)
        least, greatest = violation(x, up, down, dual.lower, dual.upper)
        wrong = (greatest - least)[:, 0]
        running = (wrong > tol) & (idle < PATIENCE) & (done < sets)
        which = running.nonzero()[:, 0]
        if not len(which):
            drifted = (~exact).nonzero()[:, 0]
            if not len(drifted):
                break
            values[drifted] = recomputed(stack, drifted, x[drifted], count)
            exact[drifted] = True
            continue
        part = Dual(dual.target[which], dual.lower[which], dual.upper[which], dual.epsilon)
        start, up, down = x[which], up[which], down[which]
        chosen = working_set(part, start, up, down, old[which], count)
        old[which] = torch.zeros_like(start, dtype=torch.bool).scatter_(1, chosen, True)
        places = stack.fetch(which, chosen)
        slope, lower, upper = (whole.gather(1, chosen) for whole in orthant(part, start, up, down))
        before = start.gather(1, chosen)
        goals = (
            (EASE * wrong[which]).clamp_min(goal)[:, None] if count < x.shape[1] else x.new_full((len(which), 1), goal)
        )
        square = stack.square(places, chosen)
        after = minimised(square, before, slope, lower, upper, goals)
        if count == x.shape[1]:
            after = finished(square, after, slope + product(square, after - before), lower, upper)
        move = after - before
        change = stack.weighted(places, move)
        lowered = (move * (slope + change.gather(1, chosen) / 2)).sum(dim=1) < 0
        idle[which] = torch.where(lowered, 0, idle[which] + 1)
        x[which] = start.scatter(1, chosen, after)
        values[which] += change
        done[which] += 1
        exact[which] = False
    return Solution(x, values, wrong, -offset(x, up, down, dual), done, wrong > tol)


def offset(x: Tensor, up: Tensor, down: Tensor, dual: Dual) -> Float[Tensor, " b"]:
    """The slope that all variables at no bound share, their mean; without any, the middle of what is possible."""
    least, greatest = violation(x, up, down, dual.lower, dual.upper)
    free = interior(x, dual.lower, dual.upper) & (up == down)
    mean = torch.where(free, up, 0.0).sum(dim=1) / free.sum(dim=1)
    return torch.where(free.any(dim=1), mean, ((least + greatest) / 2)[:, 0])
