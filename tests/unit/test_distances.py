"""Distances by hand and against scipy, their precision, and the axioms of a metric."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from chainrule.errors import InputError
from chainrule.estimators.distances import (
    NAMES,
    Cosine,
    Hamming,
    KernelDistance,
    Minkowski,
    euclidean,
    metric_axioms,
    named_distance,
    resolved_distance,
)
from chainrule.estimators.kernels import RBF, Linear

X = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("distance", "value"),
    [
        (Minkowski(1), 7.0),
        (Minkowski(2), 5.0),
        (Minkowski(3), 91 ** (1 / 3)),
        (Minkowski(math.inf), 4.0),
        (Hamming(), 1.0),
        (Cosine(), 1.0),
        (KernelDistance(Linear()), 5.0),
        (KernelDistance(RBF(gamma=0.04)), math.sqrt(2 - 2 / math.e)),
    ],
)
def test_by_hand(distance, value):
    found = distance(X[:1], X[1:])
    assert found.shape == (1, 1)
    assert found.item() == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_as_scipy(name, dtype):
    a, b = torch.randint(-3, 4, (30, 6)).to(dtype) + 100, torch.randint(-3, 4, (20, 6)).to(dtype) + 100
    names = {"l1": "cityblock", "manhattan": "cityblock", "l2": "euclidean"}
    found = named_distance(name)(a, b)
    assert found.dtype == dtype
    rtol, atol = (1e-10, 1e-15) if dtype == torch.float64 else (1e-5, 1e-10)
    np.testing.assert_allclose(found, cdist(a.double(), b.double(), names.get(name, name)), rtol=rtol, atol=atol)


def test_hamming_is_the_share_of_the_course_count():
    a, b = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[1.0, 0.0, 3.0, 0.0]])
    assert Hamming()(a, b).item() * 4 == (a != b).sum()


def test_minkowski_is_named_with_its_exponent_and_tends_to_chebyshev():
    a, b = torch.randn(5, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    torch.testing.assert_close(named_distance("minkowski", 200)(a, b), NAMES["chebyshev"](a, b), rtol=0.01, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_euclidean_keeps_its_digits(dtype):
    """Near pairs far from zero, where the products alone leave no digit."""
    a = torch.randn(40, 8, dtype=dtype) * 100 + 1000
    b = torch.cat([a + torch.randn(40, 8, dtype=dtype) * 1e-2, a[:5], torch.randn(30, 8, dtype=dtype)])
    np.testing.assert_allclose(
        euclidean(a, b), cdist(a.double(), b.double()), rtol=1e-5 if a.dtype.itemsize == 4 else 1e-12
    )
    assert euclidean(a, b)[:5, 40:].diagonal().eq(0).all()


def test_euclidean_of_samples_in_one_spot():
    a = torch.full((9, 3), 1e4) + torch.rand(9, 3)
    np.testing.assert_allclose(euclidean(a, a), cdist(a.double(), a.double()), rtol=1e-5)


def test_gradients_are_finite_between_equal_samples():
    a = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    b = torch.cat([a[:2].detach(), torch.randn(3, 3, dtype=torch.float64)])
    euclidean(a, b).sum().backward()
    expected = torch.stack(
        [((row - b) / (row - b).norm(dim=1, keepdim=True)).nan_to_num(0).sum(0) for row in a.detach()]
    )
    torch.testing.assert_close(a.grad, expected)


def test_cosine_of_a_zero_vector_and_of_near_directions():
    a = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[0.0, 0.0], [5.0, 5e-9], [-2.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5e-19, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(Cosine()(a, b), expected, rtol=1e-12, atol=0)


def test_rules_of_kernels_take_their_numbers_from_the_samples():
    a = torch.randn(10, 3, dtype=torch.float64)
    resolved = resolved_distance(KernelDistance(RBF()), 2, a)
    torch.testing.assert_close(resolved(a, a), KernelDistance(RBF(gamma=1 / (3 * float(a.var(correction=0)))))(a, a))


def test_what_is_refused():
    with pytest.raises(InputError, match="p from 1 up"):
        Minkowski(0.5)
    with pytest.raises(InputError, match="did you mean 'euclidean'"):
        named_distance("euclidian")
    with pytest.raises(InputError, match=r"gives a tensor \[2, 2\]"):
        named_distance(lambda a, b: torch.zeros(3))(X, X)
    with pytest.raises(InputError, match="without NaN"):
        named_distance(lambda a, b: torch.full((2, 2), torch.nan))(X, X)


@pytest.mark.parametrize("name", ["l1", "l2", "chebyshev", "hamming"])
def test_metrics_obey_the_axioms(name):
    sample = torch.randint(0, 4, (25, 3)).double()
    axioms = metric_axioms(name, torch.cat([sample, sample[:3]]))
    assert axioms.holds
    assert axioms.sentence == "All axioms of a metric hold on this sample."


def test_squared_distances_break_the_triangle_inequality():
    line = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
    axioms = metric_axioms(lambda a, b: euclidean(a, b).square(), line)
    assert (axioms.triangle, axioms.worst in ((0, 1, 2), (2, 1, 0)), axioms.holds) == (9 - 1 - 4, True, False)
    assert "by 4" in axioms.sentence
    assert metric_axioms("cosine", torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])).triangle == pytest.approx(
        math.sqrt(2) - 1, rel=1e-5
    )


def test_each_axiom_is_measured():
    matrix = torch.tensor([[0.5, 1.0, 0.0], [2.0, 0.0, -0.25], [0.0, -0.25, 0.0]], dtype=torch.float64)
    axioms = metric_axioms(matrix)
    assert (axioms.identity, axioms.symmetry, axioms.positivity, axioms.separation) == (0.5, 1.0, 0.25, 1)
    assert all(text in axioms.sentence for text in ("d(x, x) = 0 by 0.5", "by 0.25", "in 1 pairs"))


def test_equal_samples_may_have_distance_zero():
    matrix = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    assert metric_axioms(matrix).separation == 1
    assert metric_axioms(matrix, torch.ones(2, 3)).holds


def test_axioms_want_samples():
    with pytest.raises(InputError, match="write metric_axioms"):
        metric_axioms("l2")
    with pytest.raises(InputError, match=r"received \[2, 3\]"):
        metric_axioms(torch.zeros(2, 3))
