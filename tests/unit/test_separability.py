"""Linear separability: the standard cases, and that each verdict comes with a proof."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.svm import SVC

from chainrule.errors import InputError
from chainrule.estimators.kernels import product_features
from chainrule.estimators.perceptron import novikoff_bound
from chainrule.estimators.separability import closest_plane, linearly_separable

SQUARE = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
XOR = torch.tensor([0, 1, 1, 0])


def separated(n: int, d: int, gap: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Random samples with labels -1 and 1 on the sides of a plane, none closer to it than the gap."""
    X, w = torch.randn(4 * n, d, dtype=torch.float64), torch.randn(d, dtype=torch.float64)
    heights = X @ w / w.norm() - 0.3
    far = heights.abs() > gap
    return X[far][:n], heights[far][:n].sign()


def test_and_is_separable() -> None:
    verdict = linearly_separable(SQUARE, torch.tensor([0, 0, 0, 1]))
    assert verdict.separable
    assert verdict.common is None
    # The widest plane is x1 + x2 = 3/2, at a distance of 1 / sqrt(8) from three points.
    torch.testing.assert_close(verdict.weights, torch.tensor([0.5**0.5, 0.5**0.5], dtype=torch.float64))
    assert verdict.intercept == pytest.approx(-1.5 * 0.5**0.5)
    assert verdict.margin == pytest.approx(8**-0.5)
    assert "0.354" in verdict.sentence


def test_xor_is_not_separable_until_the_product_is_a_feature() -> None:
    verdict = linearly_separable(SQUARE, XOR)
    assert (verdict.separable, verdict.weights, verdict.intercept, verdict.margin) == (False, None, None, 0.0)
    # Both diagonals cross in the middle.
    torch.testing.assert_close(verdict.common, torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert linearly_separable(product_features(SQUARE), XOR).separable


@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_planes_are_found_in_all_units(gap: float, scale: float) -> None:
    X, signs = separated(200, 5, gap)
    verdict = linearly_separable((X * scale).numpy(), signs.numpy())
    assert verdict.separable
    assert verdict.weights is not None
    heights = signs * (X * scale @ verdict.weights + verdict.intercept)
    assert float(verdict.weights.norm()) == pytest.approx(1)
    assert float(heights.min()) == pytest.approx(verdict.margin, rel=1e-6)
    assert verdict.margin > 0


def test_one_wrong_label_is_proved_by_a_common_point() -> None:
    X, signs = separated(200, 3, 0.1)
    inside = X[signs > 0].mean(dim=0)
    verdict = linearly_separable(torch.cat([X, inside[None]]), torch.cat([signs, -torch.ones(1)]))
    assert not verdict.separable
    assert verdict.common is not None
    # The point is in both hulls, so no plane has it on either side.
    for side in (X[signs > 0], torch.cat([X[signs < 0], inside[None]])):
        assert in_hull(side, verdict.common)


def in_hull(points: torch.Tensor, point: torch.Tensor) -> bool:
    """Whether a point is in the convex hull, by non-negative least squares."""
    rows = torch.cat([points.T, torch.ones(1, len(points), dtype=points.dtype)])
    _, left = nnls(rows.numpy(), np.append(point.numpy(), 1.0))
    return left < 1e-8


def test_the_same_sample_with_both_labels() -> None:
    X = torch.tensor([[0.0, 0], [1, 3], [2, 2], [1, 3]])
    verdict = linearly_separable(X, torch.tensor([0, 0, 1, 1]))
    assert not verdict.separable
    torch.testing.assert_close(verdict.common, torch.tensor([1.0, 3.0]), atol=1e-6, rtol=0)
    assert not linearly_separable(np.ones((4, 2)), ["a", "a", "b", "b"]).separable


def test_only_two_classes_can_be_compared() -> None:
    for y in ([0, 0, 0, 0], [0, 1, 2, 2]):
        with pytest.raises(InputError, match="two classes"):
            linearly_separable(SQUARE, torch.tensor(y))


def test_the_closest_plane_is_the_widest_margin_with_the_constant_as_a_feature() -> None:
    X, signs = separated(60, 3, 0.2)
    plane = closest_plane(X, signs)
    assert plane is not None
    ones = np.column_stack([X.numpy(), np.ones(len(X))])
    # A hard margin through the origin, whose intercept is penalised like any weight: its dual, solved by SVC on the
    # kernel <x, z> + 1, whose own intercept is lost by adding each sample's mirror image.
    both, labels = np.vstack([ones, -ones]), np.concatenate([signs.numpy(), -signs.numpy()])
    peer = SVC(kernel="linear", C=1e9, tol=1e-8).fit(both, labels)
    np.testing.assert_allclose(torch.cat([plane[0], plane[1][None]]), peer.coef_[0], rtol=1e-4, atol=1e-5)
    bound = novikoff_bound(X, signs, *plane)
    for _ in range(50):
        other = plane[0] + 0.05 * torch.randn(3, dtype=torch.float64), plane[1] + 0.05 * torch.randn(()).double()
        assert novikoff_bound(X, signs, *other) >= bound * (1 - 1e-9)


def test_no_closest_plane_where_none_separates() -> None:
    assert closest_plane(SQUARE, XOR * 2.0 - 1) is None
