"""The learning curve against the amount of data: what the best simple model scores when it learns from less of it."""

import math
from dataclasses import dataclass

import numpy as np

from chainrule.doctor.measures.baseline import baseline, scored
from chainrule.doctor.measures.samples import samples
from chainrule.doctor.measures.simple import features, models, predicted, simple
from chainrule.doctor.probe import Probe

#: Shares of the samples that are learned from, each half of the next.
SHARES = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Amount:
    """Scores by the number of samples that were learned from.

    Attributes:
        name: The simple model.
        sizes: Samples learned from.
        scores: Accuracy or R2 of samples that it has not seen.
        spread: Standard deviation of the last score over draws of these.
    """

    name: str
    sizes: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    spread: float = math.nan


def amount(probe: Probe) -> Amount:
    """The learning curve of the best simple model, out of fold; no scores where the samples are too few.

    Args:
        probe: Of the program.
    """
    found, name, tried = probe.measure(samples), probe.measure(baseline).name, probe.measure(simple)
    if name not in tried.predictions:
        return Amount(name)
    views = features(found, probe.program.model[0] if probe.program.plan else None)  # type: ignore[index]
    view, build = models(views, found.classes is not None, found.targets.shape[1])[name]
    held = np.flatnonzero(tried.folds == 0)
    rest = np.random.default_rng(0).permutation(np.flatnonzero(tried.folds != 0))
    sizes = tuple(int(share * len(rest)) for share in SHARES)
    outs = [predicted(build(), views[view], found, rest[:size], held) for size in sizes]
    scores = [scored(found, out, held) for out in outs]
    return Amount(name, sizes, tuple(score for score, _ in scores), scores[-1][1])
