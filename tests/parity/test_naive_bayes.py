"""Naive Bayes against scikit-learn, against the definition, and against its own parts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.naive_bayes
import torch
from scipy import stats

from chainrule.errors import InputError
from chainrule.estimators.class_moments import class_moments, merged
from chainrule.estimators.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB

LEARNED = {
    "GaussianNB": ("theta_", "var_", "class_prior_", "class_count_"),
    "BernoulliNB": ("feature_count_", "feature_log_prob_", "class_log_prior_", "class_count_"),
    "MultinomialNB": ("feature_count_", "feature_log_prob_", "class_log_prior_", "class_count_"),
}
OPTIONS = [
    (GaussianNB, {}),
    (GaussianNB, {"priors": [0.2, 0.3, 0.5]}),
    (GaussianNB, {"var_smoothing": 0.1}),
    (BernoulliNB, {}),
    (BernoulliNB, {"alpha": 0.3, "binarize": 2.0, "fit_prior": False}),
    (BernoulliNB, {"class_prior": [0.2, 0.3, 0.5]}),
    (MultinomialNB, {}),
    (MultinomialNB, {"alpha": [0.5, 1.0, 2.0, 0.1], "class_prior": [0.2, 0.3, 0.5]}),
]
EVERY = (GaussianNB, BernoulliNB, MultinomialNB)


def counts(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Counts of three classes, four features."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    return rng.poisson(np.array([[1, 4, 2, 0.3], [3, 1, 2, 0.6], [2, 2, 5, 0.1]])[y]).astype(float), y


@pytest.mark.parametrize(
    ("build", "options", "weighted"),
    # scikit-learn's floor under the variances knows no weights; that shows where it is a tenth of the variance.
    [
        (*case, weighted)
        for case in OPTIONS
        for weighted in (False, True)
        if not (weighted and "var_smoothing" in case[1])
    ],
)
def test_equals_scikit_learn(build: Callable[..., Any], options: dict[str, Any], weighted: bool) -> None:
    X, y = counts()
    weight = np.random.default_rng(1).integers(0, 4, len(y)).astype(float) if weighted else None
    ours = build(**options).fit(X, y, sample_weight=weight)
    peer = getattr(sklearn.naive_bayes, build.__name__)(**options).fit(X, y, sample_weight=weight)
    for name in LEARNED[build.__name__]:
        np.testing.assert_allclose(getattr(ours, name), getattr(peer, name), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours.predict_log_proba(X), peer.predict_log_proba(X), rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))


@pytest.mark.parametrize("build", EVERY)
def test_weights_are_repetitions(build: Callable[..., Any]) -> None:
    X, y = counts()
    weight = np.random.default_rng(1).integers(0, 4, len(y))
    weighted = build().fit(X, y, sample_weight=weight)
    repeated = build().fit(X.repeat(weight, axis=0), y.repeat(weight))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("build", "options"), OPTIONS)
def test_parts_give_the_whole(build: Callable[..., Any], options: dict[str, Any]) -> None:
    X, y = counts()
    order = np.argsort(y, kind="stable")  # the first part lacks two classes
    X, y = X[order], y[order]
    whole, parts = build(**options).fit(X, y), build(**options)
    for start in range(0, len(y), 37):
        parts.partial_fit(X[start : start + 37], y[start : start + 37], classes=[0, 1, 2])
        assert np.isfinite(parts.predict_proba(X)).all()
    for name in LEARNED[build.__name__]:
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9)
    np.testing.assert_allclose(parts.predict_proba(X), whole.predict_proba(X), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("build", EVERY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_stay_tensors(build: Callable[..., Any], dtype: torch.dtype) -> None:
    X, y = counts()
    samples, codes = torch.from_numpy(X).to(dtype), torch.from_numpy(y)
    model = build().fit(samples, codes)
    assert model.predict(samples).dtype == codes.dtype
    assert model.predict_proba(samples).dtype == dtype
    expected = build().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(samples), expected, rtol=1e-4, atol=1e-5)


def test_gaussian_scores_are_the_definition() -> None:
    X, y = counts(60)
    model = GaussianNB(var_smoothing=0).fit(X[:, :3], y)
    joint = np.stack(
        [
            np.log((y == c).mean())
            + stats.norm(X[y == c, :3].mean(axis=0), X[y == c, :3].std(axis=0)).logpdf(X[:, :3]).sum(axis=1)
            for c in range(3)
        ],
        axis=1,
    )
    np.testing.assert_allclose(model._scores(torch.from_numpy(X[:, :3])), joint, rtol=1e-10)


def test_scores_of_counts_by_hand() -> None:
    """Two documents of each class over three words, add-one smoothing."""
    X, y = np.array([[2.0, 1, 0], [1, 0, 0], [0, 1, 2], [0, 0, 1]]), np.array([0, 0, 1, 1])
    model = MultinomialNB().fit(X, y)
    np.testing.assert_allclose(model.feature_log_prob_.exp(), np.array([[4, 2, 1], [1, 2, 4]]) / 7, rtol=1e-12)
    odds = (4 / 7) ** 1 * (1 / 7) ** 2 / ((1 / 7) ** 1 * (4 / 7) ** 2)  # of the document (1, 0, 2)
    np.testing.assert_allclose(model.predict_proba([[1.0, 0, 2]]), [[odds / (1 + odds), 1 / (1 + odds)]], rtol=1e-12)
    binary = BernoulliNB().fit(X, y)
    np.testing.assert_allclose(binary.feature_log_prob_.exp(), np.array([[3, 2, 1], [1, 2, 3]]) / 4, rtol=1e-12)
    odds = (3 / 4) * (2 / 4) * (1 / 4) / ((1 / 4) * (2 / 4) * (3 / 4))  # present, absent, present
    np.testing.assert_allclose(binary.predict_proba([[1.0, 0, 1]])[0, 0], odds / (1 + odds), rtol=1e-12)


def test_variance_far_from_zero_in_float32() -> None:
    rng = np.random.default_rng(0)
    X, codes = (3000 + rng.normal(size=(5000, 2))).astype(np.float32), rng.integers(0, 2, 5000)
    _, mean, var = class_moments(torch.from_numpy(X), torch.from_numpy(codes), None, 2)
    for c in range(2):
        exact = X[codes == c].astype(np.float64)
        np.testing.assert_allclose(mean[c], exact.mean(axis=0), rtol=1e-7)
        np.testing.assert_allclose(var[c], exact.var(axis=0), rtol=1e-4)


def test_merged_moments_are_those_of_all_rows() -> None:
    X, y = counts()
    samples, codes = torch.from_numpy(X), torch.from_numpy(y)
    halves = [class_moments(samples[rows], codes[rows], None, 3) for rows in (slice(0, 50), slice(50, None))]
    whole = class_moments(samples, codes, None, 3)
    for part, all_rows in zip(merged(*map(torch.stack, zip(*halves, strict=True))), whole, strict=True):
        torch.testing.assert_close(part, all_rows)


def test_constant_features() -> None:
    X, y = np.full((6, 2), 0.1), np.array([0, 0, 1, 1, 1, 1])
    # Nothing but the priors tells the classes apart.
    np.testing.assert_allclose(GaussianNB().fit(X, y).predict_proba([[5.0, -3.0]]), [[1 / 3, 2 / 3]], rtol=1e-9)
    with pytest.raises(InputError, match="Feature 0 is constant in class 0"):
        GaussianNB(var_smoothing=0).fit(X, y)


def test_a_class_without_samples_is_never_predicted() -> None:
    X, y = counts()
    model = GaussianNB(priors=[0.2, 0.3, 0.5]).partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert model.predict_proba(np.zeros((1, 4)))[0, 2] == 0


def test_nearly_no_smoothing_stays_finite() -> None:
    X, y = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32), np.array([0, 0, 1, 1])
    model = BernoulliNB(alpha=1e-10).fit(X, y)
    assert model.predict_proba(X)[:, 0] == pytest.approx([1, 1, 0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (GaussianNB(priors=[0.5, 0.5]), "one for each class"),
        (GaussianNB(priors=[0.5, 0.5, 0.5]), "add up to 1"),
        (GaussianNB(priors=[-0.5, 1.0, 0.5]), "add up to 1"),
        (GaussianNB(var_smoothing=-1), "var_smoothing from 0 up"),
        (BernoulliNB(alpha=0), "alpha above 0"),
        (MultinomialNB(alpha=[1.0, 2.0]), "one for each of 4 features"),
        (BernoulliNB(binarize=None), "features of 0 and 1"),
    ],
)
def test_wrong_options(model: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        model.fit(*counts())


def test_negative_counts() -> None:
    X, y = counts()
    with pytest.raises(InputError, match="Negative values"):
        MultinomialNB().fit(X - 1, y)
