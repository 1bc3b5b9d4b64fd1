"""Kernels against scikit-learn's, and their laws."""

import numpy as np
import pytest
import torch
from sklearn.metrics import pairwise

from chainrule.errors import InputError
from chainrule.estimators import kernels
from chainrule.estimators.kernels import RBF, Linear, Polynomial, Sigmoid

PEERS = [
    (Linear(), pairwise.linear_kernel, {}),
    (Polynomial(degree=3, gamma=0.2, coef0=1.5), pairwise.polynomial_kernel, {"degree": 3, "gamma": 0.2, "coef0": 1.5}),
    (RBF(gamma=0.3), pairwise.rbf_kernel, {"gamma": 0.3}),
    (Sigmoid(gamma=0.1, coef0=-0.5), pairwise.sigmoid_kernel, {"gamma": 0.1, "coef0": -0.5}),
]


def samples(n: int = 12, d: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("kernel", "peer", "options"), PEERS)
def test_value_gradient_and_diagonal(kernel: kernels.AbstractKernel, peer, options: dict) -> None:  # type: ignore[no-untyped-def]
    X, Z = samples(), samples(7, seed=1)
    torch.testing.assert_close(kernel(X, Z), torch.from_numpy(peer(X.numpy(), Z.numpy(), **options)))
    torch.testing.assert_close(kernel.diagonal(X), kernel(X, X).diagonal())
    torch.testing.assert_close(kernels.gram(kernel, X), kernel(X, X))
    assert torch.autograd.gradcheck(lambda X: kernel(X, Z), (X.clone().requires_grad_(),))


def test_rbf_keeps_its_digits_far_from_the_origin() -> None:
    X = samples()
    far = RBF(gamma=0.3)((X + 2.0**20), (X + 2.0**20))
    torch.testing.assert_close(far, RBF(gamma=0.3)(X, X), rtol=0, atol=1e-9)
    assert bool((far <= 1).all())
    single = RBF(gamma=0.3)((X + 1000).float(), (X + 1000).float())
    exact = RBF(gamma=0.3)((X + 1000).float().double(), (X + 1000).float().double())
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-5)


def test_polynomial_kernel_of_the_notes() -> None:
    K = Polynomial(degree=2, gamma=1.0)(torch.tensor([[1.0, 2, 3]]), torch.tensor([[4.0, 5, 6]]))
    assert K.item() == 1024


def test_quadratic_features_have_the_quadratic_kernel() -> None:
    X = samples(6, 2)
    phi = kernels.quadratic_features(X)
    torch.testing.assert_close(phi @ phi.T, Polynomial(degree=2, gamma=1.0)(X, X))


def test_product_features_separate_exclusive_or() -> None:
    X = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    phi = kernels.product_features(X)
    side = phi @ torch.tensor([1.0, 1.0, -2.0]) - 0.5
    assert (side > 0).tolist() == [False, True, True, False]


@pytest.mark.parametrize("kernel", [Linear(), Polynomial(degree=2, gamma=1.0), RBF(gamma=0.4), lambda a, b: a @ b.mT])
def test_distance_in_feature_space(kernel: kernels.Kernel) -> None:
    X, Z = samples(5, 2), samples(20, 2, seed=2)
    found = kernels.kernel_distance(kernel, X, Z)
    slow = [[kernel(x[None], x[None]) + kernel(z[None], z[None]) - 2 * kernel(x[None], z[None]) for z in Z] for x in X]
    torch.testing.assert_close(found, torch.tensor(slow).double())
    torch.testing.assert_close(kernels.kernel_distance(Linear(), X, Z), torch.cdist(X, Z).square())


def test_mercer_check() -> None:
    X = samples(20)
    good = kernels.mercer_check(kernels.gram(RBF(gamma=0.3), X))
    assert (good.valid, good.symmetric) == (True, True)
    assert good.least == pytest.approx(np.linalg.eigvalsh(pairwise.rbf_kernel(X.numpy(), gamma=0.3))[0])
    bad = kernels.mercer_check(torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    assert (bad.valid, bad.symmetric, bad.least) == (False, True, pytest.approx(-1.0))
    assert "eigenvalue -1" in bad.sentence
    skew = kernels.mercer_check(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    assert (skew.valid, skew.symmetric) == (False, False)
    # Of rank one: the least eigenvalue is a rounding error of zero.
    assert kernels.mercer_check(kernels.gram(Linear(), samples(20, 1))).valid
    with pytest.raises(InputError, match="NaN"):
        kernels.mercer_check(torch.full((2, 2), torch.nan))


def test_diagonal_of_a_function_is_taken_in_parts() -> None:
    X = samples(300, 2)
    torch.testing.assert_close(kernels.diagonal(lambda a, b: a @ b.mT, X), Linear().diagonal(X))


def test_rules_for_gamma() -> None:
    X = samples()
    assert kernels.width("auto", X) == 0.25
    assert kernels.width("scale", X) == pytest.approx(1 / (4 * X.numpy().var()))
    assert kernels.width("scale", torch.ones(3, 2)) == 1.0
    weight = torch.tensor([2.0, 0.0, 1.0, 1.0])
    copies = X[:4].repeat_interleave(weight.long(), 0)
    assert kernels.width("scale", X[:4], weight) == pytest.approx(kernels.width("scale", copies))
    assert RBF().resolved(X) == RBF(gamma=kernels.width("scale", X))
    assert Linear().resolved(X) == Linear()
    with pytest.raises(InputError, match="rule that needs samples"):
        RBF()(X, X)


def test_names() -> None:
    assert kernels.named_kernel("rbf", 0.5) == RBF(gamma=0.5)
    assert kernels.named_kernel("linear", 0.5) == Linear()
    assert kernels.named_kernel("poly(degree=2, coef0=1)", 0.5) == Polynomial(degree=2, coef0=1, gamma=0.5)
    assert kernels.named_kernel("sigmoid(gamma='auto')") == Sigmoid(gamma="auto")
    part = RBF(gamma=2.0)
    assert kernels.named_kernel(part) is part
    for wrong in ("cosine", "rbf(gama=1)", 7, RBF, "poly(degree=-1)"):
        with pytest.raises(InputError):
            kernels.named_kernel(wrong)
