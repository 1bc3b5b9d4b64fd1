"""Locally weighted regression against weighted least squares, one query at a time."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from chainrule.errors import InputError
from chainrule.estimators import local
from chainrule.estimators.local import LocallyWeightedRegression, local_values


def data(count=300, features=3, queries=40):
    generator = np.random.default_rng(1)
    X = generator.normal(size=(count + queries, features)) + 5
    y = np.sin(X).sum(axis=1) + 0.1 * generator.normal(size=len(X))
    return X[:count], y[:count], X[count:]


def reference(X, y, Q, tau):
    """The formula, by numpy's least squares."""
    values = []
    for query in Q:
        root = np.exp(-((X - query) ** 2).sum(axis=1) / (4 * tau**2))[:, None]
        design = np.column_stack([np.ones(len(X)), X])
        theta = np.linalg.lstsq(design * root, y.reshape(len(X), -1) * root, rcond=None)[0]
        values.append(np.append(1, query) @ theta)
    return np.array(values).reshape(len(Q), *y.shape[1:])


@pytest.mark.parametrize("tau", [0.4, 1.0, 30.0])
@pytest.mark.parametrize("memory", [256, 0.05])
def test_as_least_squares(tau, memory):
    X, y, Q = data()
    found = LocallyWeightedRegression(tau=tau, memory=memory).fit(X, y).predict(Q)
    np.testing.assert_allclose(found, reference(X, y, Q, tau), rtol=1e-8)


def test_several_targets():
    X, y, Q = data()
    y = np.stack([y, X[:, 0] ** 2], axis=1)
    found = LocallyWeightedRegression(memory=0.5).fit(X, y).predict(Q)
    np.testing.assert_allclose(found, reference(X, y, Q, 1.0), rtol=1e-8)


@pytest.mark.parametrize("alpha", [0.1, 100.0])
@pytest.mark.parametrize("tau", [1.0, 0.2])
def test_penalty_as_ridge(alpha, tau):
    X, y, Q = data()
    found = LocallyWeightedRegression(tau=tau, alpha=alpha).fit(X, y).predict(Q)
    weights = np.exp(-((Q[:, None] - X) ** 2).sum(axis=2) / (2 * tau**2))
    expected = [
        Ridge(alpha=alpha, solver="cholesky").fit(X, y, sample_weight=weight).predict(query[None])[0]
        for query, weight in zip(Q, weights, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_float32():
    X, y, Q = data()
    found = LocallyWeightedRegression().fit(X.astype(np.float32), y).predict(Q.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(X, y, Q, 1.0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("tau", [1e-200, 1e-3, 0.1, 1.0])
def test_a_line_is_found_wherever_the_query_is(tau, offset):
    """All weights of a far query underflow; in the end those least far decide, and they lie on the line."""
    X = np.linspace(0, 1, 50)[:, None] + offset
    y = 3 * (X[:, 0] - offset) - 1
    found = LocallyWeightedRegression(tau=tau).fit(X, y).predict(np.array([[0.5], [-1.0], [9.0]]) + offset)
    if tau >= 0.1:
        np.testing.assert_allclose(found, [0.5, -4.0, 26.0], rtol=1e-4 if offset else 1e-8)
    else:
        assert np.isfinite(found).all()
        assert found[0] == pytest.approx(0.5, abs=0.1)


def test_far_queries_get_the_nearest_target_where_nothing_else_weighs():
    X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = LocallyWeightedRegression(tau=1e-3).fit(X, np.array([1.0, 2.0, 3.0])).predict(np.array([[1e3, 0.0]]))
    assert found == pytest.approx(2.0)


def test_a_heavy_penalty_leaves_the_weighted_mean():
    X, y, Q = data()
    far = np.vstack([Q, Q + 1e3])
    found = LocallyWeightedRegression(alpha=1e12).fit(X, y).predict(far)
    squares = ((far[:, None] - X) ** 2).sum(axis=2)
    weights = np.exp((squares.min(axis=1, keepdims=True) - squares) / 2)
    np.testing.assert_allclose(found, (weights * y).sum(axis=1) / weights.sum(axis=1), rtol=1e-6)


def test_collinear_and_constant_features_get_slopes_of_least_norm():
    X, y, Q = data(features=1)
    twice, queries = np.column_stack([X, X, np.ones(len(X))]), np.column_stack([Q, Q, np.ones(len(Q))])
    found = LocallyWeightedRegression(tau=1.0).fit(twice, y).predict(queries)
    np.testing.assert_allclose(found, reference(X, y, Q, 1 / np.sqrt(2)), rtol=1e-8)


def test_both_ways_agree():
    X, y, Q = (torch.from_numpy(part) for part in data(features=2))
    values = local._by_samples(Q, X, y[:, None], 0.7, 0.3)
    torch.testing.assert_close(values, local_values(Q, X, y[:, None], tau=0.7, alpha=0.3), rtol=1e-9, atol=1e-9)


def test_one_sample_and_one_query():
    model = LocallyWeightedRegression().fit(np.array([[1.0, 2.0]]), np.array([4.0]))
    assert model.predict(np.array([[0.0, 0.0]])).tolist() == [4.0]


@pytest.mark.parametrize("options", [{"tau": 0.0}, {"tau": -1.0}, {"alpha": -1.0}, {"tau": np.inf}])
def test_what_is_refused(options):
    with pytest.raises(InputError, match="Wanted tau > 0"):
        LocallyWeightedRegression(**options).fit(np.eye(3), np.ones(3))
