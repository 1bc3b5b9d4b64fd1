"""t-SNE beside autograd, its definition, and scikit-learn's exact method."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets, manifold
from torch import Tensor

from chainrule.errors import InputError
from chainrule.estimators import affinities as module
from chainrule.estimators.affinities import affinities, block_rows, divergence, forces, gradient
from chainrule.estimators.tsne import TSNE, descended


def samples(rows: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Digits."""
    return torch.from_numpy(datasets.load_digits().data[:rows]).to(dtype)


def kl(joint: Tensor, places: Tensor) -> Tensor:
    """``KL(P || Q)`` from its definition."""
    apart = ~torch.eye(len(places), dtype=torch.bool)
    w = 1 / (1 + (places[:, None] - places).square().sum(dim=2))
    q = w / w[apart].sum()
    return torch.special.xlogy(joint[apart], joint[apart] / q[apart]).sum()


def perplexities(X: Tensor, precisions: Tensor) -> Tensor:
    squares = (X[:, None] - X).square().sum(dim=2).fill_diagonal_(torch.inf)
    p = (-precisions[:, None] * squares).softmax(dim=1)
    return 2 ** -(torch.special.xlogy(p, p) / np.log(2)).sum(dim=1)


@pytest.mark.parametrize("perplexity", [2.0, 5.0, 30.0, 95.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_perplexity_is_hit_in_every_row(perplexity: float, scale: float) -> None:
    X = torch.randn(100, 5, dtype=torch.float64) * scale
    X[0] = 50 * scale
    joint, precisions = affinities(X, perplexity)
    np.testing.assert_allclose(perplexities(X, precisions), perplexity, rtol=1e-5)
    assert abs(float(joint.sum()) - 1) < 1e-12
    assert torch.equal(joint, joint.T)
    assert bool((joint >= 0).all())
    assert not bool(joint.diagonal().any())


def test_affinities_do_not_depend_on_blocks() -> None:
    X = samples(120)
    torch.testing.assert_close(affinities(X, 10.0, memory=0.05).joint, affinities(X, 10.0).joint, rtol=1e-10, atol=0)


def test_equal_samples_share_their_affinity() -> None:
    """Of ten equal samples each sees nine others alike, however few neighbours are wanted."""
    X = torch.zeros(10, 3, dtype=torch.float64)
    joint = affinities(X, 3.0).joint
    torch.testing.assert_close(joint, (1 - torch.eye(10).double()) / 90, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rows", [1, 7, 16, 40])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_gradient(rows: int, axes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", rows * 40 * 8)
    joint = affinities(samples(40), 8.0).joint
    places = torch.randn(40, axes, dtype=torch.float64, requires_grad=True)
    assert block_rows(places) == rows
    (expected,) = torch.autograd.grad(kl(joint, places), places)
    torch.testing.assert_close(gradient(joint, places.detach()), expected, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(divergence(joint, places.detach()), kl(joint, places).detach(), rtol=1e-12, atol=0)


def test_forces_far_from_zero() -> None:
    """A shift changes nothing, though squares of places are taken."""
    joint, places = affinities(samples(50), 8.0).joint, torch.randn(50, 2, dtype=torch.float64)
    for here, there in zip(forces(joint, places, 10), forces(joint, places + 1e4, 10), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-8, atol=1e-10)


def test_first_steps_are_those_of_the_definition() -> None:
    joint, start = affinities(samples(60), 10.0).joint, torch.randn(60, 2, dtype=torch.float64) * 1e-2
    places, update, gains = start.clone(), torch.zeros_like(start), torch.ones_like(start)
    for _ in range(4):
        at = places.clone().requires_grad_()
        apart = 12 * joint
        w = 1 / (1 + (at[:, None] - at).square().sum(dim=2)) * (1 - torch.eye(60))
        (slope,) = torch.autograd.grad(-(apart * (w + torch.eye(60)).log()).sum() + w.sum().log(), at)
        gains = torch.where(slope * update < 0, gains + 0.2, gains * 0.8).clamp(min=0.01)
        update = 0.5 * update - 50 * gains * slope
        places = places + update
    found, steps = descended(joint, start, 4, 0.5, 12.0, 50.0, 0.0)
    assert steps == 4
    torch.testing.assert_close(found, places, rtol=1e-9, atol=1e-9)


def test_divergence_is_not_worse_than_scikit_learns() -> None:
    X = samples(300).numpy()
    start = np.random.default_rng(0).normal(size=(300, 2)) * 1e-4
    peer = manifold.TSNE(method="exact", init=start, max_iter=500, perplexity=20).fit(X)
    ours = TSNE(init=start, max_iter=500, perplexity=20).fit(X)
    assert ours.kl_divergence_ < 1.01 * peer.kl_divergence_
    assert ours.learning_rate_ == peer.learning_rate_
    here, there = (manifold.trustworthiness(X, np.asarray(model.embedding_)) for model in (ours, peer))
    assert here > there - 0.01
    joint = affinities(torch.from_numpy(X), 20.0).joint
    assert ours.kl_divergence_ == pytest.approx(float(kl(joint, ours.embedding_)), rel=1e-9)


def test_pca_start_is_scikit_learns() -> None:
    """After one step of almost no length the places are the start."""
    X = samples(80).numpy()
    ours = TSNE(max_iter=1, learning_rate=1e-12).fit_transform(X)
    from sklearn.decomposition import PCA

    expected = PCA(2).fit_transform(X)
    np.testing.assert_allclose(ours, expected / expected[:, 0].std() * 1e-4, rtol=1e-5, atol=1e-10)


def test_single_precision() -> None:
    X = samples(150)
    single, double = affinities(X.float(), 15.0).joint, affinities(X, 15.0).joint
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-9)
    places = 30 * torch.randn(150, 2, dtype=torch.float64)
    slopes = gradient(single, places.float()).double(), gradient(double, places)
    assert float((slopes[0] - slopes[1]).norm()) < 1e-3 * float(slopes[1].norm())
    found = TSNE(max_iter=300).fit(X.float())
    assert found.embedding_.dtype == torch.float32
    assert found.kl_divergence_ < 1.2 * TSNE(max_iter=300).fit(X).kl_divergence_


def test_seed_and_axes() -> None:
    X = samples(60)
    pictures = [TSNE(init="random", random_state=seed, max_iter=50, n_components=3).fit(X) for seed in (0, 0, 1)]
    assert pictures[0].embedding_.shape == (60, 3)
    assert torch.equal(pictures[0].embedding_, pictures[1].embedding_)
    assert not torch.equal(pictures[0].embedding_, pictures[2].embedding_)
    assert pictures[0].get_feature_names_out().tolist() == ["tsne0", "tsne1", "tsne2"]


def test_stops_where_the_gradient_is_small() -> None:
    found = TSNE(min_grad_norm=1e3, max_iter=1000).fit(samples(60))
    assert found.n_iter_ == 100  # one look in each of the two phases


def test_few_samples_get_a_smaller_perplexity() -> None:
    assert TSNE(max_iter=1).fit(samples(31)).perplexity_ == 10
    assert TSNE(max_iter=1).fit(samples(200)).perplexity_ == 30
    assert TSNE(max_iter=20).fit(samples(2)).embedding_.isfinite().all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"perplexity": 50}, "perplexity must be at least 1 and less than n_samples"),
        ({"perplexity": 0.5}, "perplexity must be at least 1"),
        ({"init": np.zeros((50, 3))}, r"init has to be \[50, 2\]"),
        ({"init": "spectral"}, "no start of t-SNE"),
        ({"method": "barnes_hut"}, "no method of t-SNE"),
        ({"learning_rate": -1}, "learning_rate above 0"),
        ({"learning_rate": 1e300}, "smaller"),
        ({"n_components": 0}, "from 1 up"),
        ({"method": "fft", "n_components": 3}, "1 or 2 axes"),
    ],
)
def test_refusals(options: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", sys)
    with pytest.raises(InputError, match=sentence):
        TSNE(**options).fit(samples(50))


def test_says_what_the_fast_method_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(InputError, match="needs openTSNE"):
        TSNE(method="fft").fit(samples(50))


@pytest.mark.filterwarnings("ignore")
def test_fast_method() -> None:
    pytest.importorskip("openTSNE")
    X = samples(300)
    fast, exact = (TSNE(method=method, max_iter=500).fit(X) for method in ("fft", "exact"))
    assert fast.embedding_.dtype == X.dtype
    assert fast.kl_divergence_ < 1.2 * exact.kl_divergence_
    good = [manifold.trustworthiness(X.numpy(), model.embedding_.numpy()) for model in (fast, exact)]
    assert good[0] > good[1] - 0.02
