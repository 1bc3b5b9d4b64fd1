"""What scores of several models over several splits of one data set say, and what they do not.

Paired test: the corrected resampled t-test of Nadeau & Bengio 2003, "Inference for the generalization error". Training
sets drawn from one data set overlap, so the differences ``d_j`` of two models over ``J`` random splits hang together,
and the plain t-test finds differences where there are none. With ``n_test`` samples to test and ``n_train`` to train:

    t = mean(d) / sqrt((1 / J + n_test / n_train) var(d)),   J - 1 degrees of freedom

Several tests at once: Holm 1979, "A simple sequentially rejective multiple test procedure". In ascending order the i-th
of m p-values (from 0) is multiplied by ``m - i``, and none gets smaller than the one before it.

Ranks: Demsar 2006, "Statistical comparisons of classifiers over multiple data sets". With the mean ranks ``R_i`` of k
models over N blocks, the test of Friedman 1937, the less cautious form of Iman & Davenport 1980, and the critical
difference of Nemenyi 1963:

    chi2 = 12 N / (k (k + 1)) (sum R_i^2 - k (k + 1)^2 / 4)
    F    = (N - 1) chi2 / (N (k - 1) - chi2),   (k - 1) and (k - 1) (N - 1) degrees of freedom
    CD   = q_alpha sqrt(k (k + 1) / (6 N)),   q_alpha of the studentized range, divided by sqrt(2)

Demsar's blocks are independent data sets. Splits of one data set overlap and are not independent: more of them make the
ranks look surer than they are. Ranks over splits are a picture; whether two models differ is for the paired test.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import InputError

Array = NDArray[Any]

CONFIDENCE = 0.95  # of the intervals


@dataclass(frozen=True)
class Spread:
    """Where scores lie.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation, with ``count - 1`` below; None for a single score.
        count: How many there are.
    """

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Paired:
    """Two models over the same splits.

    Attributes:
        difference: Mean of the first minus mean of the second.
        low: Lower end of the 95 % interval of the difference; None where it is not defined.
        high: Its upper end.
        p: Two-sided p-value of the corrected test; None where it is not defined.
        splits: How many splits both were measured on.
        note: Why there is no p, in a sentence; empty where there is one.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    splits: int
    note: str = ""


@dataclass(frozen=True)
class Friedman:
    """Whether models differ in rank at all, taken over blocks as if these were independent.

    Attributes:
        chi2: Friedman's statistic, corrected for ties; None where it is not defined.
        p: Its p-value, of the chi-squared distribution.
        f: Iman and Davenport's statistic; infinite where all blocks rank alike.
        f_p: Its p-value, of the F distribution; where F is infinite, the exact chance that all blocks rank alike.
        note: Why there is no statistic, in a sentence; empty where there is one.
    """

    chi2: float | None
    p: float | None
    f: float | None
    f_p: float | None
    note: str = ""


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and number of scores.

    Args:
        values: At least one finite score.

    Raises:
        InputError: When there is none, or one is not finite.
    """
    scores = _scores(values, axes=1)
    return Spread(float(scores.mean()), float(scores.std(ddof=1)) if len(scores) > 1 else None, len(scores))


def paired(first: Sequence[float], second: Sequence[float], *, ratio: float) -> Paired:
    """The corrected resampled t-test of two models over the same random splits.

    Args:
        first: Score of the first model on each split.
        second: Score of the second on the same splits.
        ratio: Samples tested on over samples trained on, ``n_test / n_train`` of a split.

    Returns:
        The difference with its interval and p-value. A single split has neither; nor have differences that are the
        same on every split, whose variance is zero.

    Raises:
        InputError: When the scores do not pair up, one is not finite, or the ratio is not positive.
    """
    one, other = _scores(first, axes=1), _scores(second, axes=1)
    if len(one) != len(other):
        raise InputError(
            f"A paired test wants one score of each model for every split; received {len(one)} and {len(other)}."
        )
    if not (math.isfinite(ratio) and ratio > 0):
        raise InputError(f"The ratio of test to training samples must be positive; received {ratio!r}.")
    from scipy.stats import t as student

    differences, splits = one - other, len(one)
    mean = float(differences.mean())
    if splits < 2:
        return Paired(mean, None, None, None, splits, "A single split says nothing about chance; use more seeds.")
    # Scores that differ by the same amount do so up to rounding only.
    rounding = 8 * np.finfo(float).eps * max(np.abs(one).max(), np.abs(other).max())
    if np.ptp(differences) <= rounding:
        return Paired(
            mean, None, None, None, splits, f"The difference is the same on all {splits} splits, so no test applies."
        )
    error = math.sqrt((1 / splits + ratio) * differences.var(ddof=1))
    reach = float(student.ppf((1 + CONFIDENCE) / 2, splits - 1)) * error
    p = 2 * float(student.sf(abs(mean) / error, splits - 1))
    return Paired(mean, mean - reach, mean + reach, p, splits)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction of p-values for having made several tests.

    Args:
        p_values: None for a test that could not be made; it stays None and does not count.

    Returns:
        Adjusted p-values in the same order, at most 1; below ``alpha`` where the hypothesis is to be rejected.

    Raises:
        InputError: When a value is not between 0 and 1.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    if any(not 0 <= p <= 1 for p, _ in known):
        raise InputError(f"p-values lie between 0 and 1; received {[p for p, _ in known]}.")
    adjusted: list[float | None] = [None] * len(p_values)
    floor = 0.0
    for rank, (p, place) in enumerate(known):
        floor = max(floor, min(1.0, (len(known) - rank) * p))
        adjusted[place] = floor
    return adjusted


def ranks(scores: ArrayLike, *, rising: bool) -> Array:
    """Mean rank of each model over blocks; 1 is the best, and those that tie share the mean of their ranks.

    Args:
        scores: One row a model, one column a block ``[k, N]``.
        rising: Whether more is better.

    Raises:
        InputError: When the scores are no such table, or one is not finite.
    """
    from scipy.stats import rankdata

    table = _scores(scores, axes=2)
    return rankdata(-table if rising else table, axis=0).mean(axis=1)


def friedman(scores: ArrayLike) -> Friedman:
    """Friedman's test and the F statistic of Iman and Davenport; read it as a picture when the blocks overlap.

    Args:
        scores: One row a model, one column a block ``[k, N]``; which end is the better one does not matter.

    Raises:
        InputError: When the scores are no such table, or one is not finite.
    """
    from scipy.stats import f as fisher
    from scipy.stats import friedmanchisquare

    table = _scores(scores, axes=2)
    models, blocks = table.shape
    if models < 3 or blocks < 2:
        return Friedman(None, None, None, None, "Friedman's test wants at least three models and two splits.")
    if not np.ptp(table, axis=0).any():
        return Friedman(None, None, None, None, "All models score alike on every split, so there are no ranks to test.")
    chi2, p = (float(value) for value in friedmanchisquare(*table))
    remaining = blocks * (models - 1) - chi2
    if remaining <= 1e-9 * chi2:
        sizes = np.unique(table[:, 0], return_counts=True)[1]
        orders = math.factorial(models) / math.prod(math.factorial(size) for size in sizes)
        return Friedman(chi2, p, math.inf, orders ** (1 - blocks))
    f = (blocks - 1) * chi2 / remaining
    return Friedman(chi2, p, f, float(fisher.sf(f, models - 1, (models - 1) * (blocks - 1))))


def critical_difference(models: int, blocks: int, *, alpha: float = 0.05) -> float:
    """By how much two mean ranks have to differ, by Nemenyi's test over independent blocks.

    Args:
        models: Number of models that are ranked, from 2 up.
        blocks: Number of blocks that they are ranked on.
        alpha: Chance of any false difference, between 0 and 1.

    Raises:
        InputError: When there is nothing to compare, or ``alpha`` is no such chance.
    """
    if models < 2 or blocks < 1 or not 0 < alpha < 1:
        raise InputError(
            "A critical difference wants at least 2 models, 1 block, and alpha between 0 and 1; received "
            f"{models} models, {blocks} blocks and alpha {alpha}."
        )
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - alpha, models, np.inf)) / math.sqrt(2)
    return q * math.sqrt(models * (models + 1) / (6 * blocks))


def cliques(mean_ranks: Sequence[float] | Array, cd: float) -> list[list[int]]:
    """The largest groups of models whose mean ranks differ by less than the critical difference.

    Args:
        mean_ranks: One a model.
        cd: The critical difference.

    Returns:
        Groups of at least two, each the places of its models in ``mean_ranks``, the best first; no group lies inside
        another.
    """
    order = [int(place) for place in np.argsort(mean_ranks, kind="stable")]
    groups: list[list[int]] = []
    reached = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and mean_ranks[order[end]] - mean_ranks[order[start]] < cd:
            end += 1
        if end - start > 1 and end > reached:
            groups.append(order[start:end])
        reached = max(reached, end)
    return groups


def _scores(values: ArrayLike, *, axes: int) -> Array:
    """As an array with that many axes, not empty and finite."""
    try:
        scores = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        scores = np.empty((0,) * axes)
    if scores.ndim != axes or not scores.size or not np.isfinite(scores).all():
        shape = "one score for each split" if axes == 1 else "a table of scores, one row a model and one column a split"
        raise InputError(f"Wanted {shape}, all finite; received {values!r}; leave out what could not be measured.")
    return scores
