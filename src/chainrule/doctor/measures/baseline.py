"""The best simple model: what a network has to beat before its size is worth anything."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from chainrule.doctor.measures.samples import SAMPLES, Floats, Samples, Whole, columns, samples
from chainrule.doctor.measures.scores import r2
from chainrule.doctor.measures.simple import MANY, features, models, predicted, simple
from chainrule.doctor.probe import Probe

#: Draws that the spread of a score is taken from.
DRAWS = 100


@dataclass(frozen=True)
class Baseline:
    """The best simple model.

    Attributes:
        name: ``"most frequent"``, ``"mean"``, ``"nearest neighbours"``, ``"logistic regression"``,
            ``"ridge regression"``, ``"random forest"`` or ``"random convolutions"``.
        score: Accuracy (over all labels where there are several), or mean R2; on the validation samples where there are
            any, else out of fold on the training samples; NaN where it has no meaning.
        spread: Standard deviation of the score over draws of these samples.
    """

    name: str
    score: float
    spread: float


def baseline(probe: Probe) -> Baseline:
    """The best simple model, scored on the validation sample where there is one, else by cross-validation.

    Args:
        probe: Of the program.
    """
    found = probe.measure(samples)
    many = found.classes is None and not 0 < found.targets.shape[1] <= MANY
    if many or not len(found) or not np.isfinite(found.targets).all():
        return Baseline("none", math.nan, math.nan)
    if probe.valid is not None:
        parts = [(probe.sample.inputs, probe.valid.inputs), (probe.sample.targets, probe.valid.targets)]
        if all(train.shape[1:] == valid.shape[1:] for train, valid in parts):
            both = columns(probe, *(torch.cat([train[:SAMPLES], valid[:SAMPLES]]) for train, valid in parts))
            return _best(both, np.arange(len(found)), np.arange(len(found), len(both)), probe)
    tried = probe.measure(simple)
    constant = np.empty_like(found.targets)
    for fold in np.unique(tried.folds):
        held = tried.folds == fold
        constant[held] = found.targets[~held if (~held).any() else held].mean(axis=0)
    name = "mean" if kind_of(found) == "real" else "most frequent"
    return max(
        (
            Baseline(name, *scored(found, out, np.arange(len(found))))
            for name, out in {name: constant, **tried.predictions}.items()
        ),
        key=lambda row: -math.inf if math.isnan(row.score) else row.score,
    )


def kind_of(found: Samples) -> str:
    """``"classes"``, ``"labels"`` or ``"real"``, as the targets of the samples say."""
    if found.classes is not None:
        return "classes"
    return "labels" if set(np.unique(found.targets)) <= {0.0, 1.0} else "real"


def scored(found: Samples, out: Floats, where: Whole) -> tuple[float, float]:
    """Score and spread of predictions of some samples.

    Args:
        found: The samples.
        out: Predictions of these, ``[m, k]``.
        where: Their positions, ``[m]``.
    """
    truth, kind = found.targets[where], kind_of(found)
    hits = out.argmax(1) == truth.argmax(1) if kind == "classes" else (out > 0.5) == (truth > 0.5)

    def measured(rows: Whole) -> float:
        return r2(out[rows], truth[rows]) if kind == "real" else float(hits[rows].mean())

    draw = np.random.default_rng(0)
    drawn = [measured(draw.integers(0, len(truth), len(truth))) for _ in range(DRAWS)]
    return measured(np.arange(len(truth))), float(np.nanstd(drawn)) if np.isfinite(drawn).any() else math.nan


def _best(found: Samples, seen: Whole, held: Whole, probe: Probe) -> Baseline:
    constant = np.repeat(found.targets[seen].mean(axis=0, keepdims=True), len(held), axis=0)
    outs = {"mean" if kind_of(found) == "real" else "most frequent": constant}
    if len(seen) >= 10 and found.targets[seen].std(axis=0).any():
        views = features(found, probe.program.model[0] if probe.program.plan else None)  # type: ignore[index]
        for name, (view, build) in models(views, found.classes is not None, found.targets.shape[1]).items():
            outs[name] = predicted(build(), views[view], found, seen, held)
    rows = [Baseline(name, *scored(found, out, held)) for name, out in outs.items()]
    return max(rows, key=lambda row: -math.inf if math.isnan(row.score) else row.score)
