"""Comparisons: the corrected test keeps its promise, the others equal their peers and tables."""

import math

import numpy as np
import pytest
from scipy import stats

from chainrule.errors import InputError
from chainrule.study.statistics import (
    cliques,
    critical_difference,
    friedman,
    holm,
    paired,
    ranks,
    spread,
)

FIRST = [0.91, 0.93, 0.90, 0.95, 0.92]
SECOND = [0.90, 0.90, 0.91, 0.92, 0.89]


def test_spread() -> None:
    found = spread(FIRST)
    assert found.mean == pytest.approx(np.mean(FIRST))
    assert found.deviation == pytest.approx(np.std(FIRST, ddof=1))
    assert found.count == 5
    assert spread([0.5]).deviation is None


def test_paired_is_the_equation() -> None:
    found = paired(FIRST, SECOND, ratio=0.25)
    differences = [one - other for one, other in zip(FIRST, SECOND, strict=True)]
    mean = sum(differences) / 5
    variance = sum((d - mean) ** 2 for d in differences) / 4
    error = math.sqrt((1 / 5 + 0.25) * variance)
    assert found.difference == pytest.approx(mean)
    assert found.p == pytest.approx(2 * stats.t.sf(mean / error, 4))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 4, mean, error))
    assert found.splits == 5
    assert found.note == ""


def test_without_overlap_paired_is_the_plain_test() -> None:
    """As the test split gets small beside the training split, nothing is corrected."""
    plain = stats.ttest_rel(FIRST, SECOND)
    interval = plain.confidence_interval(0.95)
    found = paired(FIRST, SECOND, ratio=1e-15)
    assert found.p == pytest.approx(plain.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_paired_turns_with_its_models() -> None:
    one, other = paired(FIRST, SECOND, ratio=0.25), paired(SECOND, FIRST, ratio=0.25)
    assert one.p == pytest.approx(other.p)
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))


def test_one_split_has_no_p() -> None:
    found = paired([0.9], [0.8], ratio=0.25)
    assert found.difference == pytest.approx(0.1)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert "single split" in found.note


@pytest.mark.parametrize("shift", [0.0, 0.1, 1e6], ids=str)
def test_the_same_difference_everywhere_has_no_p(shift) -> None:
    """Also where rounding makes it differ in the last digit."""
    found = paired([score + shift for score in FIRST], FIRST, ratio=0.25)
    assert found.difference == pytest.approx(shift)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert "same on all 5 splits" in found.note


def rejections(trials: int, splits: int, seed: int) -> tuple[float, float]:
    """How often the plain and the corrected test find a difference at 5 % where there is none.

    In each trial one data set is drawn, and split at random again and again. Two nearest-mean classifiers see features
    of their own, alike in distribution: neither is better.
    """
    random = np.random.default_rng(seed)
    samples, tested, features = 150, 30, 4
    plain = corrected = 0
    for _ in range(trials):
        y = random.integers(0, 2, samples)
        X = random.standard_normal((2, samples, features)) + 0.35 * y[:, None]
        scores = np.empty((2, splits))
        for split in range(splits):
            order = random.permutation(samples)
            test, train = order[:tested], order[tested:]
            for model in range(2):
                means = np.stack([X[model, train[y[train] == c]].mean(0) for c in (0, 1)])
                distance = ((X[model, test, None] - means) ** 2).sum(-1)
                scores[model, split] = (distance.argmin(1) == y[test]).mean()
        if np.ptp(scores[0] - scores[1]) == 0:
            continue
        plain += stats.ttest_rel(*scores).pvalue < 0.05
        p = paired(*scores, ratio=tested / (samples - tested)).p
        corrected += p is not None and p < 0.05
    return float(plain / trials), float(corrected / trials)


def test_false_differences() -> None:
    plain, corrected = rejections(trials=150, splits=10, seed=0)
    assert plain > 0.15
    assert corrected < 0.10


@pytest.mark.slow
@pytest.mark.parametrize(("splits", "least"), [(5, 0.10), (15, 0.25)])
def test_false_differences_of_many_trials(splits, least) -> None:
    """Nadeau and Bengio promise about 5 %; with 1500 trials chance moves that by 1.1 points (two deviations)."""
    plain, corrected = rejections(trials=1500, splits=splits, seed=1)
    assert plain > least
    assert corrected < 0.075


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, None, 0.6]) == [1.0, None, 1.0]
    assert holm([None, None]) == [None, None]
    assert holm([]) == []


def test_ranks() -> None:
    scores = [[0.9, 0.8, 0.7], [0.9, 0.9, 0.6], [0.1, 0.7, 0.6]]
    assert ranks(scores, rising=True) == pytest.approx([(1.5 + 2 + 1) / 3, (1.5 + 1 + 2.5) / 3, (3 + 3 + 2.5) / 3])
    assert ranks(scores, rising=False) == pytest.approx(4 - ranks(scores, rising=True))


def test_friedman_by_the_sums() -> None:
    scores = np.random.default_rng(0).standard_normal((5, 9)) + np.arange(5)[:, None] * 0.4
    mean, k, n = ranks(scores, rising=True), 5, 9
    chi2 = 12 * n / (k * (k + 1)) * (sum(mean**2) - k * (k + 1) ** 2 / 4)
    f = (n - 1) * chi2 / (n * (k - 1) - chi2)
    found = friedman(scores)
    assert found.chi2 == pytest.approx(chi2)
    assert found.p == pytest.approx(stats.chi2.sf(chi2, k - 1))
    assert found.f == pytest.approx(f)
    assert found.f_p == pytest.approx(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))


def test_friedman_of_demsar() -> None:
    """Demsar 2006, section 3.2.2: C4.5 and three variants of it on 14 data sets; chi2 9.28, F 3.69."""
    mean, k, n = np.array([3.143, 2.000, 2.893, 1.964]), 4, 14
    chi2 = 12 * n / (k * (k + 1)) * (sum(mean**2) - k * (k + 1) ** 2 / 4)
    assert chi2 == pytest.approx(9.28, abs=0.01)
    assert (n - 1) * chi2 / (n * (k - 1) - chi2) == pytest.approx(3.69, abs=0.01)
    assert critical_difference(k, n) == pytest.approx(1.25, abs=0.01)


def test_friedman_where_all_blocks_rank_alike() -> None:
    found = friedman([[0.3, 0.4, 0.5], [0.2, 0.3, 0.4], [0.1, 0.2, 0.3]])
    assert found.f == math.inf
    assert found.f_p == pytest.approx(6.0**-2)  # two further blocks hit the one of six orders
    tied = friedman([[0.3, 0.4], [0.3, 0.4], [0.1, 0.2]])
    assert tied.f == math.inf
    assert tied.f_p == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("scores", "note"),
    [
        ([[0.1, 0.2], [0.3, 0.4]], "three models"),
        ([[0.1], [0.2], [0.3]], "two splits"),
        ([[0.1, 0.2]] * 3, "alike"),
    ],
)
def test_friedman_that_is_not_defined(scores, note) -> None:
    found = friedman(scores)
    assert (found.chi2, found.p, found.f, found.f_p) == (None, None, None, None)
    assert note in found.note


DEMSAR = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


@pytest.mark.parametrize(("models", "q"), DEMSAR.items())
def test_critical_difference_is_that_of_the_table(models, q) -> None:
    """Demsar 2006, table 5 (a), in its three decimals."""
    assert critical_difference(models, 7) == pytest.approx(q * math.sqrt(models * (models + 1) / 42), rel=3e-4)


def test_cliques() -> None:
    assert cliques([2.0, 3.143, 1.964, 2.893], 1.25) == [[2, 0, 3, 1]]
    assert cliques([1.0, 2.0, 3.0, 6.0], 1.5) == [[0, 1], [1, 2]]
    assert cliques([1.0, 1.0, 1.0], 0.5) == [[0, 1, 2]]
    assert cliques([1.0, 2.0], 1.0) == []  # as much as the critical difference is a difference
    assert cliques([1.0, 2.0, 2.5, 5.0, 5.5], 2.0) == [[0, 1, 2], [3, 4]]


def test_cliques_by_trying_all_groups() -> None:
    mean = np.random.default_rng(3).uniform(1, 8, 8)
    alike = [{j for j in range(8) if mean[i] <= mean[j] < mean[i] + 2.0} for i in range(8)]
    largest = [group for group in alike if len(group) > 1 and not any(group < other for other in alike)]
    assert sorted(map(sorted, cliques(mean, 2.0))) == sorted(map(sorted, largest))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: paired([0.1, 0.2], [0.1], ratio=0.2),
        lambda: paired([0.1, math.nan], [0.1, 0.2], ratio=0.2),
        lambda: paired([0.1, None], [0.1, 0.2], ratio=0.2),
        lambda: paired([], [], ratio=0.2),
        lambda: paired([0.1], [0.2], ratio=0.0),
        lambda: holm([0.5, 1.5]),
        lambda: holm([0.5, math.nan]),
        lambda: ranks([0.1, 0.2], rising=True),
        lambda: ranks([[0.1, 0.2], [0.3]], rising=True),
        lambda: friedman([[0.1, math.inf]] * 3),
        lambda: spread([]),
        lambda: critical_difference(1, 5),
        lambda: critical_difference(3, 0),
        lambda: critical_difference(3, 5, alpha=0.0),
    ],
)
def test_wrong_input_is_refused(wrong) -> None:
    with pytest.raises(InputError):
        wrong()
