"""What the inputs say of the targets: anything at all, and of which samples the contrary."""

import math
from dataclasses import dataclass, field

import numpy as np

from chainrule.doctor.measures.baseline import scored
from chainrule.doctor.measures.samples import Floats, Samples, Whole
from chainrule.doctor.measures.simple import FOLDS, features, simple
from chainrule.doctor.probe import Probe

#: Permutations of the targets within their part that the spread of "nothing" is taken from.
PERMUTATIONS = 200
#: Nearest neighbours that are asked about a sample.
ASKED = 10


@dataclass(frozen=True)
class Relation:
    """How far simple models see more in the inputs than in shuffled targets.

    Attributes:
        samples: Number of samples.
        model: The simple model that sees most; empty where none was asked.
        signal: Agreement of its out-of-fold predictions with the targets, in standard deviations of its agreement with
            shuffled targets; NaN where no model was asked.
        scores: Out-of-fold accuracy or R2 of each model.
        chance: Accuracy of the commonest class; 0 for an R2.
    """

    samples: int
    model: str = ""
    signal: float = math.nan
    scores: dict[str, float] = field(default_factory=dict)
    chance: float = math.nan


@dataclass(frozen=True)
class Suspects:
    """Samples whose class is not the one that the models are certain of.

    Attributes:
        samples: Number of samples.
        score: Out-of-fold accuracy of the best simple model; NaN where none was asked.
        wrong: Samples that it gets wrong.
        places: Positions, in the order of the batches, of those among them that are suspect.
        said: For each of these its class in the targets, and the class that the models say.
    """

    samples: int
    score: float = math.nan
    wrong: int = 0
    places: tuple[int, ...] = ()
    said: tuple[tuple[float, float], ...] = ()


def relation(probe: Probe) -> Relation:
    """Whether any simple model sees anything of the targets in the inputs."""
    tried = probe.measure(simple)
    found = tried.samples
    if not tried.predictions:
        return Relation(len(found))
    places = np.arange(len(found))
    signals = {name: _signal(out, found, tried.folds) for name, out in tried.predictions.items()}
    signals["single columns"] = _single(found)
    best = max(signals, key=lambda name: signals[name])
    chance = float(found.targets.mean(axis=0).max()) if found.classes is not None else 0.0
    scores = {name: scored(found, out, places)[0] for name, out in tried.predictions.items()}
    return Relation(len(found), best, signals[best], scores, chance)


def suspects(probe: Probe) -> Suspects:
    """Samples of which neighbours and a model that have not seen them say another class, with certainty."""
    from sklearn.neighbors import NearestNeighbors

    tried = probe.measure(simple)
    found = tried.samples
    if not tried.predictions or found.classes is None:
        return Suspects(len(found))
    scores = {name: float((out.argmax(1) == found.classes).mean()) for name, out in tried.predictions.items()}
    best = tried.predictions[max(scores, key=lambda name: scores[name])]
    view = features(found, probe.program.model[0] if probe.program.plan else None)["scaled"]  # type: ignore[index]
    near = NearestNeighbors(n_neighbors=min(ASKED, len(found) - 1)).fit(view).kneighbors(return_distance=False)
    votes = found.targets[near].mean(axis=1)
    rows = np.arange(len(found))
    said = votes.argmax(1)
    # Eight of ten neighbours agree on another class, which the model takes as well and the class in the targets hardly.
    doubted = (said != found.classes) & (votes[rows, said] >= 0.8) & (best.argmax(1) == said)
    doubted &= (votes[rows, found.classes] <= 0.2) & (best[rows, found.classes] < 0.25)
    # That ten neighbours are of a class that most samples are of says nothing.
    doubted &= found.targets.mean(axis=0)[said] ** ASKED < 0.05
    places = np.flatnonzero(doubted)
    return Suspects(
        samples=len(found),
        score=max(scores.values()),
        wrong=int((best.argmax(1) != found.classes).sum()),
        places=tuple(places.tolist()),
        said=tuple((found.values[found.classes[i]], found.values[said[i]]) for i in places),
    )


def _signal(out: Floats, found: Samples, folds: Whole) -> float:
    """Agreement of predictions and targets in standard deviations of that with targets shuffled within their fold."""
    out, spread = out.copy(), out.std(axis=0)
    for fold in range(FOLDS):
        # A model's mean leaves out its fold, and so moves against the fold's own mean when there is nothing to see.
        rows = folds == fold
        out[rows] -= out[rows].mean(axis=0) if rows.any() else 0.0
    out = np.divide(out, spread, out=np.zeros_like(out), where=spread > 1e-12)
    scaled = found.targets / np.where(found.targets.std(axis=0) > 0, found.targets.std(axis=0), 1)

    def agreement(order: Whole) -> float:
        # Of classes all but one column are zero.
        classes = found.classes
        return float(
            out[np.arange(len(out)), classes[order]].sum() if classes is not None else (out * scaled[order]).sum()
        )

    draw, order = np.random.default_rng(0), np.arange(len(out))
    null = np.empty(PERMUTATIONS)
    groups = [np.flatnonzero(folds == fold) for fold in range(FOLDS)]
    for number in range(PERMUTATIONS):
        for rows in groups:
            order[rows] = draw.permutation(rows)
        null[number] = agreement(order)
    deviation = float(null.std())
    return (agreement(np.arange(len(out))) - float(null.mean())) / deviation if deviation > 0 else 0.0


def _single(found: Samples) -> float:
    """The closest of all rank correlations of a column and a target, as a normal deviate after Bonferroni."""
    from scipy.stats import norm

    columns = np.nan_to_num(found.flat).argsort(axis=0).argsort(axis=0).astype(np.float64)
    columns = np.where(np.ptp(found.flat, axis=0) > 0, columns, 0.0)
    targets = found.targets if found.classes is not None else found.targets.argsort(axis=0).argsort(axis=0)
    closest = max(float(np.abs(correlations(columns, target.astype(np.float64))).max()) for target in targets.T)
    tests = columns.shape[1] * (1 if targets.shape[1] == 2 else targets.shape[1])
    share = min(1.0, 2 * float(norm.sf(closest * np.sqrt(len(columns) - 1))) * tests)
    return float(np.clip(norm.isf(share), -10, 10))


def correlations(columns: Floats, one: Floats) -> Floats:
    """Correlation of each column with one; 0 where either is constant.

    Args:
        columns: ``[n, d]``, finite.
        one: ``[n]``, finite.
    """
    centred, other = columns - columns.mean(axis=0), one - one.mean()
    scale = np.sqrt(np.square(centred).sum(axis=0) * np.square(other).sum())
    return np.divide(centred.T @ other, scale, out=np.zeros(columns.shape[1]), where=scale > 0)
