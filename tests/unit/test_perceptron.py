"""Perceptrons: the rule step by step, its laws, the bound on its mistakes, and the dual form."""

from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from chainrule.errors import InputError
from chainrule.estimators import perceptron, saving
from chainrule.estimators.kernel_perceptron import KernelPerceptron, KernelRows
from chainrule.estimators.kernels import RBF, Linear, Polynomial
from chainrule.estimators.perceptron import Perceptron, mcculloch_pitts, novikoff_bound
from tests.unit.test_separability import SQUARE, XOR, separated


def by_the_book(X: torch.Tensor, signs: torch.Tensor, epochs: int) -> tuple[torch.Tensor, float, torch.Tensor, int]:
    """The rule as it is written: weights, constant, mistakes on each sample, epochs."""
    w, b, counts = torch.zeros(X.shape[1], dtype=X.dtype), 0.0, torch.zeros(len(X), dtype=torch.long)
    for epoch in range(1, epochs + 1):
        before = int(counts.sum())
        for i, (x, y) in enumerate(zip(X, signs, strict=True)):
            if y * (w @ x + b) <= 0:
                w, b = w + y * x, b + float(y)
                counts[i] += 1
        if int(counts.sum()) == before:
            return w, b, counts, epoch
    return w, b, counts, epochs


@pytest.mark.parametrize("block", [1, 7, 256])
@pytest.mark.parametrize(("n", "d", "gap"), [(50, 2, 0.2), (300, 6, 0.02), (20, 1, 0.3)])
def test_every_mistake_is_that_of_the_rule(
    n: int, d: int, gap: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptron, "BLOCK", block)
    X, signs = separated(n, d, gap)
    w, b, counts, epochs = by_the_book(X, signs, 5)
    model = Perceptron(max_iter=5, verdict=False)
    if epochs == 5:
        with pytest.warns(ConvergenceWarning):
            model.fit(X, signs)
    else:
        model.fit(X, signs)
    assert model.mistake_counts_[0].tolist() == counts.tolist()
    torch.testing.assert_close(model.coef_[0], w)
    assert float(model.intercept_) == b
    assert model.n_iter_ == epochs
    assert model.mistakes_.tolist() == [int(counts.sum())]


def test_first_steps_by_hand() -> None:
    """Samples 2 and -1, labels 1 and -1: the first, at score 0, is a mistake; then w = 2, b = 1, and all is right."""
    model = Perceptron().fit([[2.0], [-1.0]], [1, -1])
    assert (model.coef_.tolist(), model.intercept_.tolist()) == ([[2.0]], [1.0])
    assert (model.mistake_counts_.tolist(), model.n_iter_) == ([[1, 0]], 2)
    assert model.separable_ == [True]
    # The plane half-way, at 1/2, has the margin 3/2, so (1/4 + 1)(4 + 1) / (9/4) = 25/9; at 0 its margin is 1.
    assert model.bound_ == [pytest.approx(25 / 9)]
    assert novikoff_bound(*data([[2.0], [-1.0]], [1.0, -1.0]), *data([1.0], -0.5)) == pytest.approx(25 / 9)
    assert novikoff_bound(*data([[2.0], [-1.0]], [1.0, -1.0]), *data([3.0], 0.0)) == pytest.approx(5.0)
    assert novikoff_bound(*data([[2.0], [-1.0]], [1.0, -1.0]), *data([1.0], 5.0)) == float("inf")


def data(*values: Any) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor(value, dtype=torch.float64) for value in values)


@pytest.mark.parametrize("seed", range(8))
def test_mistakes_stay_below_novikoffs_bound(seed: int) -> None:
    torch.manual_seed(seed)
    X, signs = separated(80, 2 + seed % 3, 0.05 + 0.1 * (seed % 2))
    model = Perceptron(max_iter=100_000).fit(X, signs)
    assert model.score(X, signs) == 1
    assert model.separable_ == [True]
    assert 0 < int(model.mistakes_[0]) <= model.bound_[0] < float("inf")


def test_weights_are_the_mistakes() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="no plane separates"):
        model = Perceptron(max_iter=20).fit(X, y)
    signs = torch.from_numpy(np.where(y == np.arange(3)[:, None], 1.0, -1.0))
    torch.testing.assert_close(model.coef_, (model.mistake_counts_ * signs) @ torch.from_numpy(X))
    torch.testing.assert_close(model.intercept_, (model.mistake_counts_ * signs).sum(dim=1))
    # Setosa can be told from the others by a plane, versicolor and virginica cannot.
    assert model.separable_ == [True, False, False]
    assert model.bound_[1:] == [float("inf")] * 2
    assert int(model.mistakes_[0]) <= model.bound_[0] < float("inf")


def test_equals_scikit_learn_where_rows_keep_their_order() -> None:
    X, signs = separated(200, 4, 0.1)
    ours = Perceptron(max_iter=1000).fit(X, signs)
    peer = sklearn.linear_model.Perceptron(shuffle=False, tol=None, max_iter=1000).fit(X.numpy(), signs.numpy())
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-10)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-10)
    np.testing.assert_allclose(ours.decision_function(X.numpy()), peer.decision_function(X.numpy()), rtol=1e-9)


def test_xor_needs_another_feature() -> None:
    with pytest.warns(ConvergenceWarning, match="no plane separates"):
        flat = Perceptron(max_iter=50).fit(SQUARE, XOR)
    assert flat.separable_ == [False]
    features = PolynomialFeatures(degree=2, interaction_only=True, include_bias=False)
    lifted = make_pipeline(features, Perceptron()).fit(SQUARE.numpy(), XOR.numpy())
    assert lifted.score(SQUARE.numpy(), XOR.numpy()) == 1
    assert lifted[-1].separable_ == [True]


def test_what_an_unfinished_fit_says() -> None:
    X, signs = separated(200, 3, 0.01)
    with pytest.warns(ConvergenceWarning, match="a plane without mistakes exists, so raise it"):
        model = Perceptron(max_iter=1).fit(X, signs)
    assert model.separable_ == [True]
    with pytest.warns(ConvergenceWarning, match="linearly_separable"):
        model = Perceptron(max_iter=1, verdict=False).fit(X, signs)
    assert (model.separable_, model.bound_) == ([None], [None])


def test_other_orders() -> None:
    X, signs = separated(100, 3, 0.1)
    plain = Perceptron().fit(X, signs)
    first, again = (Perceptron(shuffle=True, random_state=3).fit(X, signs) for _ in range(2))
    torch.testing.assert_close(first.coef_, again.coef_, rtol=0, atol=0)
    assert not torch.equal(first.coef_, plain.coef_)
    torch.testing.assert_close(first.coef_[0], (first.mistake_counts_[0] * signs) @ X)


def test_epochs_as_parts() -> None:
    X, signs = separated(100, 3, 0.1)
    whole, parts = Perceptron().fit(X, signs), Perceptron()
    for _ in range(whole.n_iter_):
        for rows in (slice(0, 30), slice(30, 100)):
            parts.partial_fit(X[rows], signs[rows], classes=[-1, 1])
    torch.testing.assert_close(parts.coef_, whole.coef_)
    assert parts.mistakes_.tolist() == whole.mistakes_.tolist()
    assert not hasattr(parts, "bound_")
    assert not hasattr(whole.partial_fit(X, signs), "bound_")


@pytest.mark.parametrize("shuffle", [False, True])
def test_linear_kernel_is_the_perceptron(shuffle: bool) -> None:
    X, y = load_iris(return_X_y=True)
    options = {"max_iter": 10, "shuffle": shuffle, "random_state": 0}
    with pytest.warns(ConvergenceWarning):
        primal = Perceptron(verdict=False, **options).fit(X, y)
    with pytest.warns(ConvergenceWarning):
        dual = KernelPerceptron(kernel="linear", **options).fit(X, y)
    assert dual.mistake_counts_.tolist() == primal.mistake_counts_.tolist()
    torch.testing.assert_close(dual.dual_coef_ @ dual.prototypes_, primal.coef_)
    np.testing.assert_allclose(dual.decision_function(X), primal.decision_function(X), rtol=1e-9, atol=1e-8)
    assert dual.n_iter_ == primal.n_iter_


def test_polynomial_kernel_is_the_perceptron_on_its_features() -> None:
    """``(x z + 1)^2`` is the inner product of ``(x^2, sqrt(2) x, 1)``."""
    X = torch.randn(60, 1, dtype=torch.float64)
    y = (X[:, 0].abs() > 0.6).long()
    dual = KernelPerceptron(kernel=Polynomial(degree=2, gamma=1.0, coef0=1.0), max_iter=10_000).fit(X, y)
    features = torch.cat([X**2, 2**0.5 * X, torch.ones_like(X)], dim=1)
    primal = Perceptron(max_iter=10_000).fit(features, y)
    assert dual.mistake_counts_.tolist() == primal.mistake_counts_.tolist()
    assert dual.score(X, y) == 1
    assert int(primal.mistakes_[0]) <= primal.bound_[0]


@pytest.mark.parametrize("kernel", ["rbf", RBF(gamma="scale"), lambda X, Z: torch.cdist(X, Z).square().neg().exp()])
def test_kernel_perceptron_learns_xor_and_keeps_only_mistakes(kernel: Any) -> None:
    more = torch.cat([SQUARE, SQUARE + 0.01])
    model = KernelPerceptron(kernel=kernel).fit(more, XOR.repeat(2))
    assert model.score(more, XOR.repeat(2)) == 1
    assert model.support_.tolist() == model.mistake_counts_.any(dim=0).nonzero()[:, 0].tolist()
    assert len(model.prototypes_) < len(more)


def test_kernel_perceptron_within_any_memory() -> None:
    X, y = load_iris(return_X_y=True)
    fits = []
    for memory in (0, 0.003, 256):
        with pytest.warns(ConvergenceWarning, match="kernel with more features"):
            fits.append(KernelPerceptron(kernel="linear", memory=memory, max_iter=5).fit(X, y))
    for model in fits[1:]:
        np.testing.assert_array_equal(model.predict(X), fits[0].predict(X))
        assert model.mistake_counts_.tolist() == fits[0].mistake_counts_.tolist()
    samples = torch.from_numpy(X)
    rows = KernelRows(Linear(), samples, 3 * 150 * 8 / 2**20)
    for row in (0, 1, 2, 3, 0):
        torch.testing.assert_close(rows[row], samples @ samples[row])
        assert len(rows.kept) <= 3


def test_saved_and_loaded(tmp_path: Any) -> None:
    X, signs = separated(60, 3, 0.1)
    y = torch.where(signs > 0, 7, 4)
    for model in (Perceptron(), KernelPerceptron(gamma="scale")):
        saving.save(model.fit(X, y), tmp_path / "model.safetensors")
        loaded = saving.load(tmp_path / "model.safetensors")
        torch.testing.assert_close(loaded.decision_function(X), model.decision_function(X), rtol=0, atol=0)
        assert loaded.predict(X).tolist() == y.tolist()


@pytest.mark.parametrize("build", [Perceptron, KernelPerceptron])
def test_wrong_input(build: Any) -> None:
    with pytest.raises(InputError, match="max_iter of at least 1"):
        build(max_iter=0).fit(SQUARE, XOR)
    with pytest.raises(InputError, match="one class"):
        build().fit(SQUARE, torch.zeros(4))


def test_mcculloch_pitts() -> None:
    inputs = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert mcculloch_pitts(inputs, 2).tolist() == [0, 0, 0, 1]  # and
    assert mcculloch_pitts(inputs, 1).tolist() == [0, 1, 1, 1]  # or
    assert mcculloch_pitts(inputs.bool(), 0).tolist() == [1, 1, 1, 1]
    with pytest.raises(InputError, match="0 and 1"):
        mcculloch_pitts(inputs * 2, 1)
