"""Gaussian mixtures against scikit-learn from equal starts, and their laws."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from sklearn import cluster, mixture
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from chainrule.errors import InputError
from chainrule.estimators import em
from chainrule.estimators.covariances import COVARIANCES
from chainrule.estimators.kmeans import KMeans
from chainrule.estimators.mixture import GaussianMixture

KINDS = [*COVARIANCES]


def lumps(rows: int = 600, d: int = 4, k: int = 3, offset: float = 0.0) -> np.ndarray:
    draw = np.random.default_rng(0)
    mix = draw.normal(size=(k, d, d))
    code = draw.integers(k, size=rows)
    return 4 * draw.normal(size=(k, d))[code] + np.einsum("nij,nj->ni", mix[code], draw.normal(size=(rows, d))) + offset


def start(kind: str, x: np.ndarray, k: int = 3) -> dict[str, np.ndarray]:
    d = x.shape[1]
    precisions = {
        "full": np.stack([np.eye(d)] * k),
        "tied": np.eye(d),
        "diag": np.ones((k, d)),
        "spherical": np.ones(k),
    }
    return {"means_init": x[:k], "weights_init": np.full(k, 1 / k), "precisions_init": 0.3 * precisions[kind]}


def both(x: np.ndarray, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(**options).fit(x), mixture.GaussianMixture(**options).fit(x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_iter", [1, 7, 200])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_equals_scikit_learn_from_equal_starts(kind, max_iter, offset):
    x = lumps(offset=offset)
    ours, peer = both(x, n_components=3, covariance_type=kind, max_iter=max_iter, **start(kind, x))
    loose = 1e-6 if offset else 1e-9
    assert ours.n_iter_ == peer.n_iter_
    assert ours.converged_ == peer.converged_
    assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, abs=loose)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(peer, name), rtol=100 * loose, atol=100 * loose)
    np.testing.assert_allclose(ours.score_samples(x), peer.score_samples(x), atol=100 * loose)
    np.testing.assert_allclose(ours.predict_proba(x), peer.predict_proba(x), atol=100 * loose)
    np.testing.assert_array_equal(ours.predict(x), peer.predict(x))
    assert ours.score(x) == pytest.approx(peer.score(x), abs=loose)
    assert ours.aic(x) == pytest.approx(peer.aic(x), abs=1e4 * loose)
    assert ours.bic(x) == pytest.approx(peer.bic(x), abs=1e4 * loose)


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_by_kmeans_ends_where_scikit_learns_does(kind):
    x = lumps()
    options = {
        "n_components": 3,
        "covariance_type": kind,
        "n_init": 5,
        "tol": 1e-8,
        "max_iter": 1000,
        "random_state": 0,
    }
    ours, peer = both(x, **options)
    assert ours.lower_bound_ == pytest.approx(peer.lower_bound_, abs=1e-4)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
def test_each_start_is_independent_of_the_order(init):
    x = lumps()
    turn = np.random.default_rng(0).permutation(len(x))
    options = {"n_components": 3, "init_params": init, "random_state": 1, "max_iter": 500}
    one, other = GaussianMixture(**options).fit(x), GaussianMixture(**options).fit(x[turn])
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, abs=1e-9)
    assert one.lower_bound_ > mixture.GaussianMixture(1).fit(x).lower_bound_ + 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_never_falls(kind):
    x = torch.from_numpy(lumps())
    options = {"n_components": 3, "covariance_type": kind, "reg_covar": 0.0, "tol": 0.0, **start(kind, x.numpy())}
    found = []
    for steps in (*range(1, 12), 40):
        with pytest.warns(ConvergenceWarning, match=f"max_iter={steps}"):
            found.append(GaussianMixture(max_iter=steps, **options).fit(x).lower_bound_)
    assert all(after >= before - 1e-10 for before, after in itertools.pairwise(found))
    assert found[-1] > found[0] + 0.1


def test_kmeans_is_its_hard_limit():
    """With one tiny variance for all, memberships are 0 or 1, and the M-step is that of k-means."""
    x = torch.from_numpy(lumps())
    tiny, centre = 1e-4, x.mean(dim=0)
    kind, means = COVARIANCES["spherical"], x[:3] - centre
    for steps in range(1, 6):
        variance = torch.full((3,), tiny, dtype=x.dtype)
        weights = torch.full((3,), 1 / 3, dtype=x.dtype)
        held = em.Components(kind, weights, means, variance, kind.factors(variance))
        means = em.em_step(x, centre, held, 0.0, 100.0)[0].means
        hard = KMeans(n_clusters=3, init=x[:3], tol=0.0, max_iter=steps).fit(x)
        torch.testing.assert_close(means + centre, hard.cluster_centers_, rtol=1e-9, atol=1e-9)


def test_products_and_differences_agree(monkeypatch):
    x = lumps()
    fast, _ = both(x, n_components=3, tol=0.0, max_iter=20, **start("full", x))
    monkeypatch.setattr(em, "ROUNDING", 0.0)
    slow, _ = both(x, n_components=3, tol=0.0, max_iter=20, **start("full", x))
    assert fast.lower_bound_ == pytest.approx(slow.lower_bound_, abs=1e-11)
    np.testing.assert_allclose(fast.covariances_, slow.covariances_, rtol=1e-8, atol=1e-10)


def test_small_components_far_from_the_centre_keep_their_digits():
    """Where second moments about the centre of all would cancel, the coordinates of each component do not."""
    draw = np.random.default_rng(0)
    x = np.concatenate([draw.normal(size=(300, 2)) * 1e-4 + side for side in (-1e3, 1e3)])
    model = GaussianMixture(n_components=2, reg_covar=0.0, random_state=0).fit(x)
    order = model.means_[:, 0].argsort().tolist()
    for part, i in zip(np.split(x, 2), order, strict=True):
        np.testing.assert_allclose(model.covariances_[i], np.cov(part.T, bias=True), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_follow_the_mixture(kind):
    model = GaussianMixture(n_components=3, covariance_type=kind, random_state=0).fit(lumps())
    x, code = model.sample(40_000)
    assert (x.shape, code.shape) == ((40_000, 4), (40_000,))
    assert isinstance(x, np.ndarray)
    for i in range(3):
        part = x[code == i]
        assert len(part) / 40_000 == pytest.approx(float(model.weights_[i]), abs=0.01)
        np.testing.assert_allclose(part.mean(axis=0), model.means_[i], atol=0.15)
        wanted = model.covariances_ if kind == "tied" else model.covariances_[i]
        wanted = wanted if wanted.ndim == 2 else torch.diag(wanted.expand(4))
        np.testing.assert_allclose(np.cov(part.T), wanted, atol=0.06 * float(wanted.abs().max()))


def test_memberships_add_up_and_groups_are_found():
    draw = np.random.default_rng(0)
    code = draw.integers(3, size=300)
    x = draw.normal(size=(300, 2)) + 9 * np.array([[0, 0], [1, 0], [0, 1]])[code]
    model = GaussianMixture(n_components=3, random_state=0)
    assert adjusted_rand_score(model.fit_predict(x), code) == 1
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    hard = cluster.KMeans(3, n_init=3, random_state=0).fit(x)
    assert adjusted_rand_score(model.labels_, hard.labels_) == 1


def test_refusals():
    x = lumps(20)
    line = np.repeat(np.arange(20.0)[:, None], 2, axis=1)
    for data, options, words in [
        (x, {"covariance_type": "ful"}, "did you mean 'full'"),
        (x, {"init_params": "k-means"}, "did you mean"),
        (x, {"n_components": 21}, "n_samples=20"),
        (x, {"n_components": 0}, "n_components"),
        (x, {"n_components": 2, "weights_init": [0.2, 0.2]}, "add up to 1"),
        (x, {"n_components": 2, "means_init": x[:3]}, "means_init"),
        (x, {"precisions_init": np.triu(np.ones((1, 4, 4)))}, "symmetric"),
        (line, {"reg_covar": 0.0}, "ill-defined empirical covariance"),
    ]:
        with pytest.raises(InputError, match=words):
            GaussianMixture(**options).fit(data)
    assert np.isfinite(GaussianMixture(random_state=0).fit(line).lower_bound_)
