"""Discriminant analysis against scikit-learn, against densities of SciPy, and where covariances are singular."""

from typing import Any

import numpy as np
import pytest
import sklearn.discriminant_analysis as peers
import torch
from scipy import stats

from chainrule.errors import InputError
from chainrule.estimators.discriminant import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
    factor,
    quadratic_scores,
    whitening,
)

BOTH = (LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis)


def clouds(k: int = 3, n: int = 150, d: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian clouds, each with a shape of its own, in different units."""
    rng = np.random.default_rng(k)
    y, shapes = rng.integers(0, k, n), rng.normal(size=(k, d, d))
    X = rng.normal(size=(k, d))[y] * 1.5 + np.einsum("nd,nde->ne", rng.normal(size=(n, d)), shapes[y])
    return X * np.array([1, 10, 0.1, 1])[:d], y


@pytest.mark.parametrize("k", [2, 3])
# With stated priors scikit-learn's lsqr weighs the covariances of the classes by them, which is no likelihood.
@pytest.mark.parametrize(("solver", "stated"), [("lsqr", False), ("svd", False), ("svd", True)])
def test_lda_equals_scikit_learn(k: int, solver: str, stated: bool) -> None:
    X, y = clouds(k)
    priors = [0.2, 0.8] if k == 2 else [0.2, 0.5, 0.3]
    ours = LinearDiscriminantAnalysis(priors=priors if stated else None).fit(X, y)
    peer = peers.LinearDiscriminantAnalysis(
        solver=solver, priors=priors if stated else None, store_covariance=not stated
    ).fit(X, y)
    # Of more than two classes, the scores are known up to what all have in common.
    for name in ("means_", "priors_") if k > 2 else ("means_", "priors_", "coef_", "intercept_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(peer, name), rtol=1e-7, atol=1e-10)
    if not stated:
        np.testing.assert_allclose(ours.covariance_, peer.covariance_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.predict_log_proba(X), peer.predict_log_proba(X), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("options", [{}, {"reg_param": 0.2}, {"priors": "equal"}])
def test_qda_equals_scikit_learn(k: int, options: dict[str, Any]) -> None:
    X, y = clouds(k)
    if "priors" in options:
        options = {"priors": [1 / k] * k}
    ours = QuadraticDiscriminantAnalysis(**options).fit(X, y)
    peer = peers.QuadraticDiscriminantAnalysis(**options, store_covariance=True, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(ours.covariance_, np.stack(peer.covariance_), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.decision_function(X), peer.decision_function(X), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("build", BOTH)
def test_posterior_is_bayes_rule(build: Any) -> None:
    X, y = clouds()
    model = build().fit(X, y)
    shared = build is LinearDiscriminantAnalysis
    likelihood = np.stack(
        [
            stats.multivariate_normal(
                X[y == c].mean(axis=0),
                sum((y == g).mean() * np.cov(X[y == g].T, bias=True) for g in range(3))
                if shared
                else np.cov(X[y == c].T, bias=True),
            ).pdf(X)
            for c in range(3)
        ],
        axis=1,
    )
    joint = likelihood * np.bincount(y) / len(y)
    np.testing.assert_allclose(model.predict_proba(X), joint / joint.sum(axis=1, keepdims=True), rtol=1e-7, atol=1e-12)


def test_stated_priors_leave_the_covariance_as_it_is() -> None:
    X, y = clouds()
    free, stated = LinearDiscriminantAnalysis().fit(X, y), LinearDiscriminantAnalysis(priors=[0.1, 0.1, 0.8]).fit(X, y)
    torch.testing.assert_close(free.covariance_, stated.covariance_)


@pytest.mark.parametrize("constant", [1.0, 0.1])
def test_lda_with_collinear_columns(constant: float) -> None:
    X, y = clouds()
    double = np.column_stack([X, X[:, 0] + X[:, 1], np.full(len(X), constant), 3 * X[:, 2]])
    ours = LinearDiscriminantAnalysis().fit(double, y)
    alone = LinearDiscriminantAnalysis().fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(double), alone.predict_proba(X), rtol=1e-6)
    if constant == 1.0:  # the mean of 0.1 is rounded, and scikit-learn takes what is left for a feature
        peer = peers.LinearDiscriminantAnalysis(solver="svd").fit(double, y)
        np.testing.assert_allclose(ours.predict_proba(double), peer.predict_proba(double), rtol=1e-6)
        np.testing.assert_allclose(ours.coef_ - ours.coef_[:1], peer.coef_ - peer.coef_[:1], atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("build", BOTH)
def test_far_from_zero_and_as_tensors(build: Any, dtype: torch.dtype) -> None:
    X, y = clouds()
    X = X[:, [0, 3]]
    samples = (torch.from_numpy(X) + 1000).to(dtype)
    model = build().fit(samples, torch.from_numpy(y))
    found = model.predict_proba(samples)
    assert found.dtype == dtype
    exact = build().fit(samples.double().numpy(), y).predict_proba(samples.double().numpy())
    np.testing.assert_allclose(found, exact, atol=5e-3 if dtype == torch.float32 else 1e-8)


def test_a_direction_without_spread_is_said() -> None:
    X, y = clouds(2)
    with pytest.warns(UserWarning, match="leaves these directions out"):
        LinearDiscriminantAnalysis().fit(np.column_stack([X, y.astype(float)]), y)


def test_singular_covariances() -> None:
    X, y = clouds()
    for collinear in (X[:, 0] - 2 * X[:, 3], np.full(len(X), 0.1)):
        double = np.column_stack([X, collinear])
        with pytest.raises(InputError, match="not full rank"):
            QuadraticDiscriminantAnalysis().fit(double, y)
        assert QuadraticDiscriminantAnalysis(reg_param=0.1).fit(double, y).score(double, y) > 0.5
    with pytest.raises(InputError, match="not full rank, with 4 samples and 4 features"):
        QuadraticDiscriminantAnalysis().fit(*clouds(2, 6))


def test_units_do_not_make_a_covariance_singular() -> None:
    X, y = clouds()
    tiny = QuadraticDiscriminantAnalysis().fit(X * 1e-6, y)
    np.testing.assert_allclose(
        tiny.predict_proba(X * 1e-6), QuadraticDiscriminantAnalysis().fit(X, y).predict_proba(X), rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize(
    ("model", "X", "y", "words"),
    [
        (LinearDiscriminantAnalysis(), [[0.0], [1.0]], [0, 1], "more samples than classes"),
        (LinearDiscriminantAnalysis(), [[0.0], [0.0], [1.0]], [0, 0, 1], "no spread within the classes"),
        (LinearDiscriminantAnalysis(), [[0.0], [1.0]], [0, 0], "one class"),
        (LinearDiscriminantAnalysis(priors=[1.0]), [[0.0], [2.0], [1.0]], [0, 0, 1], "one for each class"),
        (QuadraticDiscriminantAnalysis(), [[0.0], [2.0], [1.0]], [0, 0, 1], "only 1 sample in class 1"),
        (QuadraticDiscriminantAnalysis(reg_param=2), [[0.0], [2.0], [1.0]], [0, 0, 1], "from 0 to 1"),
    ],
)
def test_too_little_to_learn_from(model: Any, X: list, y: list, words: str) -> None:
    with pytest.raises(InputError, match=words):
        model.fit(X, y)


def test_blocks_do_not_change_scores() -> None:
    X, y = clouds()
    model = QuadraticDiscriminantAnalysis().fit(X, y)
    samples = torch.from_numpy(X)
    one_by_one = quadratic_scores(samples, model.means_, model.factors_, memory=0)
    torch.testing.assert_close(one_by_one, quadratic_scores(samples, model.means_, model.factors_, memory=256))


def test_whitening_is_a_pseudo_inverse_and_factor_a_root() -> None:
    A = torch.randn(5, 3, dtype=torch.float64)
    S = A @ A.T
    W = whitening(S, 1e-4)
    assert W.shape == (5, 3)
    torch.testing.assert_close(W.T @ S @ W, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(S @ W @ W.T @ S, S)
    assert factor(S, 1e-4) is None
    full = S + torch.eye(5)
    lower = factor(full, 1e-4)
    assert lower is not None
    torch.testing.assert_close(lower @ lower.T, full)
