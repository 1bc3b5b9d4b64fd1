"""Bases by hand, and Bishop's curve fit."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.pipeline import make_pipeline

from chainrule.errors import InputError
from chainrule.estimators.bases import GaussianBasis, PolynomialBasis, SigmoidBasis
from chainrule.estimators.linear import LinearRegression

X = np.array([[1.0, -2.0], [3.0, 0.5], [2.0, 0.0]])


def test_powers() -> None:
    found = PolynomialBasis(degree=3).fit_transform(X)
    np.testing.assert_allclose(found[0], [1, 1, 1, 1, -2, 4, -8])
    np.testing.assert_allclose(found[2], [1, 2, 4, 8, 0, 0, 0])
    assert PolynomialBasis(degree=2, include_bias=False).fit_transform(X).shape == (3, 4)


def test_bells() -> None:
    basis = GaussianBasis(centers=[1.0, 2.0], width=0.5).fit(X)
    np.testing.assert_allclose(basis.transform(X)[0], np.exp([0, -2, -18, -32]))
    named = GaussianBasis(centers=[1.0, 2.0], width=[0.5, 2.0]).fit(X)
    np.testing.assert_allclose(named.transform(X)[0, :2], np.exp([0, -1 / 8]))


def test_sigmoids() -> None:
    basis = SigmoidBasis(centers=[[1.0, 0.0], [2.0, 1.0]], width=2.0).fit(X)
    np.testing.assert_allclose(basis.transform(X)[0], 1 / (1 + np.exp([0, 0.5, 1, 1.5])))


def test_centres_lie_at_quantiles() -> None:
    basis = GaussianBasis(centers=3).fit(X)
    np.testing.assert_allclose(basis.centers_.numpy(), [[1, -2], [2, 0], [3, 0.5]])
    np.testing.assert_allclose(basis.width_.numpy(), [[1, 1.25]] * 3)
    between = GaussianBasis(centers=4).fit(np.arange(8.0)[:, None])
    np.testing.assert_allclose(between.centers_[:, 0].numpy(), np.quantile(np.arange(8.0), [0, 1 / 3, 2 / 3, 1]))
    np.testing.assert_allclose(GaussianBasis(centers=1).fit(X).centers_.numpy(), [[2, 0]])


def test_constant_feature() -> None:
    assert np.isfinite(GaussianBasis().fit_transform(np.ones((4, 1)))).all()


def test_curve_fit_of_bishop() -> None:
    """Ten points of a sine, degrees 0 to 9: with nine the curve passes through all of them."""
    x = np.linspace(0, 1, 10)
    t = np.sin(2 * np.pi * x) + 0.3 * np.random.default_rng(0).normal(size=10)
    errors = []
    for degree in (1, 3, 9):
        curve = make_pipeline(PolynomialBasis(degree=degree), LinearRegression()).fit(x[:, None], t)
        np.testing.assert_allclose(curve.predict(x[:, None]), np.polyval(np.polyfit(x, t, degree), x), atol=1e-6)
        errors.append(np.sqrt(np.mean((curve.predict(x[:, None]) - t) ** 2)))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


def test_gaussian_curve_is_maximum_likelihood() -> None:
    """The weights solve the normal equations of Phi."""
    x = np.linspace(-2, 2, 40)[:, None]
    y = np.sin(3 * x[:, 0])
    basis = GaussianBasis(centers=6, width=0.7)
    weights = LinearRegression(fit_intercept=False).fit(basis.fit_transform(x), y).coef_.numpy()
    Phi = np.exp(-((x - basis.centers_[:, 0].numpy()) ** 2) / (2 * 0.7**2))
    np.testing.assert_allclose(weights, np.linalg.solve(Phi.T @ Phi, Phi.T @ y), rtol=1e-6)


def test_names_and_pandas() -> None:
    frame = pd.DataFrame(X, columns=["a", "b"])
    found = PolynomialBasis(degree=2).set_output(transform="pandas").fit_transform(frame)
    assert list(found.columns) == ["1", "a", "a^2", "b", "b^2"]
    assert list(found["b^2"]) == [4, 0.25, 0]
    bells = SigmoidBasis(centers=2).set_output(transform="pandas").fit_transform(frame)
    assert list(bells.columns) == ["sigmoid_a_0", "sigmoid_a_1", "sigmoid_b_0", "sigmoid_b_1"]


def test_tensors_stay_tensors() -> None:
    found = GaussianBasis(centers=2).fit_transform(torch.tensor(X).float())
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        (PolynomialBasis(degree=0), "degree from 1"),
        (GaussianBasis(centers=0), "from 1 up"),
        (GaussianBasis(centers=[[1.0, 2.0, 3.0]]), r"\[m, 2\]"),
        (GaussianBasis(width=0.0), "above 0"),
        (SigmoidBasis(width="wide"), "'auto'"),
        (SigmoidBasis(centers=3, width=[1.0, 2.0]), "each of 3"),
    ],
)
def test_refused(basis: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        basis.fit(X)
