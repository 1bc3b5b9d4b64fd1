"""The delta rule: its gradient, its descent, and its units."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators.delta import DeltaRule, delta, safe_rate, squared_error


def problem(n: int = 40, d: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Samples with a column of ones, targets of two units, shares."""
    Z = torch.cat([torch.randn(n, d, dtype=torch.float64), torch.ones(n, 1, dtype=torch.float64)], dim=1)
    return Z, torch.randint(0, 2, (n, 2)).double(), torch.rand(n, dtype=torch.float64)


def overlapping(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds that overlap, in different units."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    return (rng.normal(size=(n, 2)) + y[:, None]) * [1, 100], y


def test_the_step_is_minus_the_gradient() -> None:
    Z, t, share = problem()
    weights = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(squared_error(Z, t, weights, share), weights)
    torch.testing.assert_close(delta(Z, t, weights.detach(), share), -gradient)


def test_one_step_by_hand() -> None:
    """From weights of 0 the output is 1/2; x = 2, t = 1 moves the weights by (1 - 1/2) 1/2 1/2 (2, 1) = (1/4, 1/8)."""
    Z, t, share = torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0]]), torch.ones(1)
    torch.testing.assert_close(delta(Z, t, torch.zeros(1, 2), share), torch.tensor([[0.25, 0.125]]))
    assert float(squared_error(Z, t, torch.zeros(1, 2), share)) == 0.125


@pytest.mark.parametrize("factor", [1.0, 1.9])
def test_steps_at_the_safe_rate_never_raise_the_error(factor: float) -> None:
    Z, t, share = problem()
    weights, errors = 3 * torch.randn(2, 4, dtype=torch.float64), []
    for _ in range(200):
        errors.append(float(squared_error(Z, t, weights, share)))
        weights = weights + factor * safe_rate(Z, share) * delta(Z, t, weights, share)
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(errors))
    assert errors[-1] < errors[0]


def test_curvature_of_one_unit() -> None:
    a = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
    for t in (0.0, 1.0):
        o = a.sigmoid()
        second = (o * (1 - o)) ** 2 - (t - o) * o * (1 - o) * (1 - 2 * o)
        assert 0.077 < float(second.abs().max()) < 0.0771


def test_the_gradient_vanishes_for_the_features_as_they_came() -> None:
    X, y = overlapping()
    model = DeltaRule(tol=1e-9, max_iter=20_000).fit(X, y)
    weights = torch.cat([model.coef_, model.intercept_[:, None]], dim=1)
    Z = torch.from_numpy(np.column_stack([X, np.ones(len(X))]))
    share = torch.full((len(X),), 1 / len(X), dtype=torch.float64)
    t = torch.from_numpy(y[:, None]).double()
    assert float(delta(Z, t, weights, share).abs().max()) < 1e-6
    assert model.loss_ == pytest.approx(float(squared_error(Z, t, weights, share)))
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], (Z @ weights[0]).sigmoid(), rtol=1e-10)


def test_one_unit_for_each_class() -> None:
    X, y = load_iris(return_X_y=True)
    model = DeltaRule(tol=1e-3).fit(X, y)
    assert model.coef_.shape == (3, 4)
    assert model.score(X, y) > 0.93
    outputs = (torch.from_numpy(X) @ model.coef_.T + model.intercept_).sigmoid()
    np.testing.assert_allclose(model.predict_proba(X), outputs / outputs.sum(dim=1, keepdim=True), rtol=1e-10)
    alone = DeltaRule(tol=1e-3).fit(X, y == 1)
    # One of three units is the unit that learns its class alone, as long as both go on for as many steps.
    same = DeltaRule(max_iter=model.n_iter_, tol=0.0)
    with pytest.warns(ConvergenceWarning):
        same.fit(X, y == 1)
    torch.testing.assert_close(same.coef_[0], model.coef_[1])
    assert alone.n_iter_ <= model.n_iter_


def test_sample_by_sample() -> None:
    X, y = overlapping(60)
    one = DeltaRule(mode="sample", eta0=0.5, max_iter=1, shuffle=False)
    with pytest.warns(ConvergenceWarning, match="has not settled"):
        one.fit(X, y)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    w = np.zeros(3)
    for x, t in zip(np.column_stack([scaled, np.ones(len(X))]), y, strict=True):
        o = 1 / (1 + np.exp(-w @ x))
        w += 0.5 * (t - o) * o * (1 - o) * x
    np.testing.assert_allclose(one.coef_[0], w[:2] / X.std(axis=0), rtol=1e-10)
    # With a small rate both ways lead to the same place.
    near = DeltaRule(mode="sample", eta0=0.1, max_iter=60, tol=1e-3, random_state=0).fit(X, y)
    assert np.mean(near.predict(X) == DeltaRule().fit(X, y).predict(X)) > 0.95


def test_constant_features_have_no_weight() -> None:
    X, y = overlapping()
    model = DeltaRule().fit(np.column_stack([X, np.full(len(X), 0.1)]), y)
    assert float(model.coef_[0, 2]) == 0
    np.testing.assert_allclose(model.coef_[0, :2], DeltaRule().fit(X, y).coef_[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"mode": "mini"}, "'batch' or 'sample'"), ({"max_iter": 0}, "at least 1"), ({"eta0": -1.0}, "rate above 0")],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        DeltaRule(**options).fit(*overlapping())


def test_tensors_stay_tensors() -> None:
    X, y = overlapping()
    samples = torch.from_numpy(X).float()
    model = DeltaRule().fit(samples, torch.from_numpy(y))
    assert model.predict_proba(samples).dtype == torch.float32
    np.testing.assert_allclose(model.predict_proba(samples), DeltaRule().fit(X, y).predict_proba(X), atol=1e-3)
