"""What a single column says of the targets alone, and all others without it."""

import math
from dataclasses import dataclass

import numpy as np

from chainrule.doctor.measures.baseline import scored
from chainrule.doctor.measures.relation import correlations
from chainrule.doctor.measures.samples import Floats, Samples, Whole, samples
from chainrule.doctor.measures.simple import FEWEST, FOLDS, MANY, features, models, parts, predicted
from chainrule.doctor.probe import Probe

#: Columns that are looked at one by one: those that say most of the target by a quick figure.
CLOSER = 8
#: Variance over time of a channel of sequences, of that between samples, up to which it is one number a sample.
STILL = 0.05


@dataclass(frozen=True)
class Alone:
    """What a single column says of the targets.

    Attributes:
        column: Its name; empty where no column was looked at.
        score: Out-of-fold accuracy of a tree on it alone; of real targets the absolute rank correlation.
        others: The best simple model's accuracy or R2 without it; NaN where there is nothing else.
        copy: Whether it is the target itself, up to names or units (or a class's indicator).
        gap: Largest spread of the column within a class over the least distance between two classes.
        numbered: Whether it is a counter by which the samples are sorted: its values are all different and evenly
            spaced, and each class, or the target, goes along with it.
        spread: Standard deviation of the difference of two such scores.
    """

    column: str = ""
    score: float = math.nan
    others: float = math.nan
    copy: bool = False
    gap: float = math.inf
    numbered: bool = False
    spread: float = math.nan


def alone(probe: Probe) -> Alone:
    """The column that says most of the targets alone, with what the others say without it."""
    found = probe.measure(samples)
    if len(found) < FEWEST or found.form == "tokens" or not np.isfinite(found.targets).all():
        return Alone()
    if found.targets.shape[1] > MANY or (found.classes is None and found.targets.shape[1] != 1):
        return Alone()
    columns, names = _numbers(found)
    if not columns.shape[1] or found.flat.shape[1] < 2:
        return Alone()
    rated = _rated(columns, found)
    closer = [int(i) for i in np.argsort(-rated)[:CLOSER] if rated[i] > 0]
    folds = probe.measure(parts)
    looked = [_looked(columns[:, i], names[i], found, folds) for i in closer]
    if not looked:
        return Alone()
    first = max(range(len(looked)), key=lambda i: (looked[i].copy, looked[i].numbered, looked[i].score, -looked[i].gap))
    chosen = looked[first]
    spread = math.sqrt(max(chosen.score * (1 - chosen.score), 1 / len(found)) / len(found)) * math.sqrt(2)
    if chosen.score < 0.95 and not chosen.copy and not chosen.numbered:
        return Alone(**{**vars(chosen), "spread": spread})
    # What stands for the column in other places, as a copy of it or the next step of a sequence, goes with it.
    like = np.abs(correlations(columns, columns[:, closer[first]])) > 0.9999
    others = _without(np.delete(columns, np.flatnonzero(like), axis=1), found, folds)
    return Alone(**{**vars(chosen), "others": others, "spread": spread})


def _numbers(found: Samples) -> tuple[Floats, tuple[str, ...]]:
    """Columns to look at one by one: all numbers; of sequences the channels that hardly move with time."""
    if found.form != "sequences":
        return found.flat, found.names
    maps = found.maps.double().flatten(2).numpy()
    # A single step that decides, or a mean over all of them, is what sequences are there to learn.
    still = maps.var(axis=2).mean(axis=0) <= STILL * maps.mean(axis=2).var(axis=0)
    channels = np.flatnonzero(still)
    names = tuple(f"channel {number}" for number in channels)
    return maps.mean(axis=2)[:, channels], names


def _rated(columns: Floats, found: Samples) -> Floats:
    """A quick figure of what each column says: spread between classes over all of it, of ranks or of values."""
    filled = np.where(np.isfinite(columns), columns, np.nan)
    filled = np.where(np.isnan(filled), np.nanmean(np.where(np.isnan(filled), 0, filled), axis=0), filled)
    ranks = filled.argsort(axis=0).argsort(axis=0).astype(np.float64)
    if found.classes is None:
        order = found.targets[:, 0].argsort().argsort().astype(np.float64)
        return np.maximum(np.abs(correlations(ranks, order)), np.abs(correlations(filled, found.targets[:, 0])))
    best = np.zeros(columns.shape[1])
    for values in (ranks, filled):
        total = np.square(values - values.mean(axis=0)).sum(axis=0)
        within = np.zeros_like(total)
        for label in range(found.targets.shape[1]):
            part = values[found.classes == label]
            within += np.square(part - part.mean(axis=0)).sum(axis=0)
        best = np.maximum(best, np.where(total > 0, 1 - within / np.where(total > 0, total, 1), 0))
    # An indicator of one class leaves the others as they are, but is that class's column up to its sign.
    for label in range(found.targets.shape[1]):
        best = np.maximum(best, np.abs(correlations(filled, found.targets[:, label])) ** 2)
    return best


def _looked(column: Floats, name: str, found: Samples, folds: Whole) -> Alone:
    from sklearn.tree import DecisionTreeClassifier

    column = np.where(np.isfinite(column), column, np.nan)
    usual = np.nan_to_num(column)
    if found.classes is None:
        target = found.targets[:, 0]
        exact = float(correlations(usual[:, None], target)[0] ** 2)
        ranks = usual.argsort().argsort().astype(np.float64)[:, None]
        order = target.argsort().argsort().astype(np.float64)
        # Measured values give ranks to ties as they stand, so the plain correlation counts as well.
        score = max(abs(float(correlations(ranks, order)[0])), math.sqrt(exact))
        return Alone(column=name, score=score, copy=exact > 1 - 1e-8, numbered=score > 0.95 and _counter(usual))
    hits = 0
    for fold in range(FOLDS):
        held = folds == fold
        if held.any() and not held.all():
            tree = DecisionTreeClassifier(max_leaf_nodes=2 * found.targets.shape[1], random_state=0)
            tree.fit(column[~held, None], found.classes[~held])
            hits += int((tree.predict(column[held, None]) == found.classes[held]).sum())
    parts = [usual[found.classes == label] for label in range(found.targets.shape[1])]
    means = np.sort([part.mean() for part in parts])
    distance = float(np.diff(means).min()) if len(means) > 1 else 0.0
    gap = max(float(part.std()) for part in parts) / distance if distance > 0 else math.inf
    values = np.unique(usual)
    indicator = len(values) == 2 and any(
        (mark := int(found.targets[:, label].sum())) >= 10
        and mark <= len(found) - 10
        and len(np.unique(usual + 2 * np.ptp(values) * found.targets[:, label])) == 2
        for label in range(found.targets.shape[1])
    )
    # Sorted by class, the class changes once from each to the next.
    changes = int((np.diff(found.classes[usual.argsort(kind="stable")]) != 0).sum())
    numbered = len(parts) <= changes + 1 <= 2 * len(parts) - 1 and len(found) >= 8 * len(parts) and _counter(usual)
    same = len(values) == len(parts) and gap < 1e-6
    return Alone(column=name, score=hits / len(found), copy=same or indicator, gap=gap, numbered=numbered)


def _counter(column: Floats) -> bool:
    """Whether values are all different and multiples of one step, few of which are left out."""
    steps = np.diff(np.sort(column))
    if len(steps) < 2 or steps.min() <= 0:
        return False
    step = float(steps.min())
    # Of a part of the rows some numbers are missing; a measurement with few digits repeats itself.
    return bool(np.abs(steps / step - np.round(steps / step)).max() < 0.05 and steps.sum() / step < 20 * len(column))


def _without(columns: Floats, found: Samples, folds: Whole) -> float:
    """Score of the best of two quick models on the columns that are left."""
    if not columns.shape[1]:
        return math.nan
    left = Samples(**{**vars(found), "flat": columns, "form": "table"})
    views = features(left, None)
    scores = []
    for name, (view, build) in models(views, found.classes is not None, found.targets.shape[1]).items():
        if name == "nearest neighbours":
            continue
        out = np.zeros_like(found.targets)
        for fold in range(FOLDS):
            seen, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            if len(seen) and len(held):
                out[held] = predicted(build(), views[view], left, seen, held)
        scores.append(scored(left, out, np.arange(len(left)))[0])
    return max(scores)
