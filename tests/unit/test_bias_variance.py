"""Bias and variance: the identities, by hand, and how they move with the capacity."""

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyRegressor
from sklearn.tree import DecisionTreeClassifier

from chainrule.errors import InputError
from chainrule.estimators.bias_variance import bias_variance, squared_parts, zero_one_parts
from chainrule.estimators.neighbors import KNeighborsClassifier, KNeighborsRegressor


def sine(count=100, noise=0.3):
    generator = np.random.default_rng(2)
    X = generator.uniform(0, 2 * np.pi, size=(count, 1))
    return X, np.sin(X[:, 0]) + noise * generator.normal(size=count), np.sin(X[:, 0])


def test_capacity_trades_bias_for_variance():
    X, y, _ = sine()
    X_test, y_test, truth = sine(300)
    found = {
        k: bias_variance(
            KNeighborsRegressor(n_neighbors=k), X, y, X_test, y_test, truth=truth, rounds=30, random_state=0
        )
        for k in (50, 15, 1)
    }
    assert found[50].bias > found[1].bias
    assert found[50].variance < found[1].variance
    assert found[15].error < min(found[50].error, found[1].error)
    assert all(parts.noise == pytest.approx(0.09, rel=0.2) for parts in found.values())


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("targets", [(), (2,)])
def test_squared_identity(known, targets):
    generator = np.random.default_rng(0)
    predictions, observed = generator.normal(size=(7, 20, *targets)), generator.normal(size=(20, *targets))
    truth = observed + 0.1 if known else observed
    parts = squared_parts(predictions, observed, truth)
    assert parts.error == pytest.approx(parts.bias + parts.variance + parts.noise, rel=1e-12)
    assert parts.error == pytest.approx(((predictions - truth) ** 2).mean() + 0.01 * known, rel=1e-12)
    assert (parts.noise, parts.net_variance, parts.net_noise) == pytest.approx(
        (0.01 * known, parts.variance, parts.noise)
    )


def test_squared_by_hand():
    parts = squared_parts(np.array([[1.0], [3.0]]), np.array([5.0]), np.array([4.0]))
    assert (parts.main.tolist(), parts.bias, parts.variance, parts.noise, parts.error) == ([2.0], 4, 1, 1, 6)


def test_zero_one_by_hand():
    """Three samples of class 0: always right; right in two of three; main prediction wrong, once right."""
    predictions = np.array([[0, 0, 1], [0, 0, 1], [0, 2, 0]])
    parts = zero_one_parts(predictions, np.zeros(3), np.zeros(3))
    assert parts.main.tolist() == [0, 0, 1]
    assert (parts.bias, parts.variance) == pytest.approx((1 / 3, 2 / 9))
    assert parts.net_variance == pytest.approx((1 / 3 - 1 / 3) / 3, abs=1e-15)
    assert parts.error == pytest.approx(3 / 9)


@pytest.mark.parametrize("noisy", [True, False])
def test_zero_one_identity_and_domingos_factors(noisy):
    generator = np.random.default_rng(1)
    predictions, truth = generator.integers(0, 3, (9, 200)), generator.integers(0, 3, 200)
    observed = np.where(generator.random(200) < 0.2 * noisy, (truth + 1) % 3, truth)
    parts = zero_one_parts(predictions, observed, truth)
    assert parts.error == pytest.approx((predictions != observed).mean())
    assert parts.error == pytest.approx(parts.bias + parts.net_variance + parts.net_noise, rel=1e-12)
    # Theorem 3: c2 = 1 where the main prediction is right, else -P(h = truth | h != main).
    effects = []
    for column, right, main in zip(predictions.T, truth, parts.main, strict=True):
        other = column != main
        factor = 1.0 if main == right else -((column == right)[other].mean() if other.any() else 0.0)
        effects.append(factor * other.mean())
    assert parts.net_variance == pytest.approx(np.mean(effects), rel=1e-12)
    assert (parts.noise > 0) == noisy


def test_a_constant_has_no_variance_but_that_of_the_mean():
    X, y, _ = sine()
    parts = bias_variance(DummyRegressor(strategy="constant", constant=2.0), X, y, X, y, rounds=3)
    assert (parts.variance, parts.bias) == (0, pytest.approx(((y - 2) ** 2).mean()))


def test_classes_and_tensors():
    X, y, _ = sine()
    labels = np.where(y > 0, "up", "down")
    parts = bias_variance(DecisionTreeClassifier(random_state=0), X, labels, X, labels, loss="zero-one", random_state=1)
    assert set(parts.main) == {"up", "down"}
    assert parts.error == pytest.approx(parts.bias + parts.net_variance)
    codes = torch.from_numpy((y > 0).astype(np.int64))
    results = [
        bias_variance(
            KNeighborsClassifier(), kind(X), kind(codes), kind(X), kind(codes), loss="zero-one", random_state=0
        )
        for kind in (np.asarray, torch.as_tensor)
    ]
    assert results[0].error == results[1].error
    assert results[0].variance == results[1].variance


def test_what_is_refused():
    X, y, _ = sine()
    with pytest.raises(InputError, match="received 'absolute' and 50"):
        bias_variance(KNeighborsRegressor(), X, y, X, y, loss="absolute")
    with pytest.raises(InputError, match=r"predictions' shape \[100\]"):
        bias_variance(KNeighborsRegressor(), X, y, X, y[:, None])
