"""The rule of Widrow and Hoff: by hand, in blocks, and where it comes to rest."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators import online
from chainrule.estimators.linear import LinearRegression
from chainrule.estimators.online import LeastMeanSquares, widrow_hoff


def test_two_steps_by_hand() -> None:
    """From zero: e = 2, w = (0.2, 0.4); then e = 1 - 0.2 * 3 = 0.4, w = (0.2 + 0.12, 0.4)."""
    model = LeastMeanSquares(rate=0.1, fit_intercept=False).partial_fit([[1.0, 2.0], [3.0, 0.0]], [2.0, 1.0])
    np.testing.assert_allclose(model.coef_.numpy(), [0.32, 0.4])


def test_normalised_step_meets_its_sample() -> None:
    model = LeastMeanSquares(normalized=True).partial_fit([[3.0, 4.0]], [7.0])
    np.testing.assert_allclose(model.predict([[3.0, 4.0]]), [7.0])


@pytest.mark.parametrize("block", [1, 7, 128])
def test_blocks_equal_the_sequential_rule(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = torch.randn(50, 4, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    start, steps = torch.randn(4, 2, dtype=torch.float64), 0.1 * torch.rand(50, dtype=torch.float64)
    W = start.clone()
    for x, y, step in zip(X, Y, steps, strict=True):
        W = W + step * torch.outer(x, y - x @ W)
    monkeypatch.setattr(online, "BLOCK", block)
    torch.testing.assert_close(widrow_hoff(X, Y, start, steps), W)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_rests_at_least_squares_on_clean_data(normalized: bool, shuffle: bool) -> None:
    X = torch.randn(300, 3, dtype=torch.float64)
    y = X @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 3
    model = LeastMeanSquares(normalized=normalized, shuffle=shuffle, tol=1e-9, random_state=0).fit(X, y)
    torch.testing.assert_close(model.coef_, LinearRegression().fit(X, y).coef_, atol=1e-6, rtol=0)
    torch.testing.assert_close(float(model.intercept_), 3.0, atol=1e-6, rtol=0)


def test_smaller_rates_rest_nearer() -> None:
    X = torch.randn(400, 3, dtype=torch.float64)
    y = X.sum(dim=1) + torch.randn(400, dtype=torch.float64)
    target = LinearRegression().fit(X, y).coef_
    far = [float((LeastMeanSquares(rate=rate).fit(X, y).coef_ - target).norm()) for rate in (0.05, 0.005, 0.0005)]
    assert far[0] > 5 * far[1] > 25 * far[2]


def test_parts_equal_one_pass() -> None:
    X, y = torch.randn(60, 3, dtype=torch.float64), torch.randn(60, 2, dtype=torch.float64)
    whole = LeastMeanSquares(rate=0.05).partial_fit(X, y)
    parts = LeastMeanSquares(rate=0.05)
    for part in (slice(0, 10), slice(10, 45), slice(45, 60)):
        parts.partial_fit(X[part], y[part])
    torch.testing.assert_close(parts.coef_, whole.coef_)
    torch.testing.assert_close(parts.intercept_, whole.intercept_)
    assert parts.n_iter_ == 3


def test_automatic_rate_only_falls() -> None:
    model = LeastMeanSquares(fit_intercept=False)
    rates = [model.partial_fit([[x]], [1.0]).rate_ for x in (1.0, 2.0, 0.5)]
    assert rates == [1.0, 0.25, 0.25]


def test_order_is_seeded() -> None:
    X, y = torch.randn(50, 2), torch.randn(50)
    fits = [LeastMeanSquares(shuffle=True, max_iter=3, tol=10.0, random_state=s).fit(X, y).coef_ for s in (1, 1, 2)]
    assert torch.equal(fits[0], fits[1])
    assert not torch.equal(fits[0], fits[2])


def test_restless_weights_are_reported() -> None:
    X, y = torch.randn(50, 2), torch.randn(50)
    with pytest.warns(ConvergenceWarning, match="still moved after 2 passes"):
        LeastMeanSquares(max_iter=2).fit(X, y)


@pytest.mark.parametrize(("rate", "words"), [(100.0, "without bound"), (-1.0, "above 0"), ("fast", "'auto'")])
def test_refused(rate: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        LeastMeanSquares(rate=rate).fit(torch.randn(400, 3), torch.randn(400))


def test_other_targets_are_refused() -> None:
    model = LeastMeanSquares().partial_fit([[1.0]], [1.0])
    with pytest.raises(InputError, match="1 target"):
        model.partial_fit([[1.0]], [[1.0, 2.0]])
