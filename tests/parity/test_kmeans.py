"""k-means against scikit-learn from equal starts, and the laws of its start and of its shards."""

import itertools

import numpy as np
import pytest
import torch
from sklearn import cluster, datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from chainrule.errors import InputError
from chainrule.estimators.assignment import Assignment
from chainrule.estimators.kmeans import KMeans
from chainrule.estimators.minibatch import MiniBatchKMeans
from chainrule.estimators.row_draws import RowDraws, chances, generator, row_keys


def lumps(rows: int = 900, features: int = 6, number: int = 7, offset: float = 0.0) -> np.ndarray:
    return datasets.make_blobs(rows, features, centers=number, cluster_std=5.0, random_state=1)[0] + offset


def _distances(x: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    return torch.cdist(x.double(), centres.double(), compute_mode="donot_use_mm_for_euclid_dist")


@pytest.mark.parametrize(("tol", "max_iter"), [(0.0, 300), (1e-2, 300), (0.0, 4), (0.0, 1)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_equals_scikit_learn_from_equal_starts(tol, max_iter, weighted, offset):
    x = lumps(offset=offset)
    weight = np.random.default_rng(0).integers(0, 4, len(x)).astype(float) if weighted else None
    options = {"n_clusters": 7, "init": x[:7], "n_init": 1, "tol": tol, "max_iter": max_iter}
    ours = KMeans(**options).fit(x, sample_weight=weight)
    peer = cluster.KMeans(**options).fit(x, sample_weight=weight)
    assert ours.n_iter_ == peer.n_iter_
    assert ours.inertia_ == pytest.approx(peer.inertia_, rel=1e-9)
    np.testing.assert_array_equal(ours.labels_, peer.labels_)
    np.testing.assert_allclose(ours.cluster_centers_, peer.cluster_centers_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.transform(x), peer.transform(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(ours.predict(x), peer.predict(x))
    assert ours.score(x) == pytest.approx(peer.score(x), rel=1e-9)


def test_empty_clusters_take_the_farthest_samples_as_in_scikit_learn():
    x = lumps()
    start = np.concatenate((x[:4], x[:3] + 1e4))
    ours = KMeans(n_clusters=7, init=start, tol=0.0).fit(x)
    peer = cluster.KMeans(n_clusters=7, init=start, n_init=1, tol=0.0).fit(x)
    assert ours.inertia_ == pytest.approx(peer.inertia_, rel=1e-9)
    assert adjusted_rand_score(ours.labels_, peer.labels_) == 1
    assert set(ours.labels_) == set(range(7))


def test_the_product_in_single_precision_changes_no_label():
    """Samples that are nearly as near to two centres are decided in double precision."""
    centres = torch.tensor([[100.0, 0.0], [102.0, 0.0]]).double()
    side = torch.linspace(-1, 1, 201).double() * 1e-9
    x = torch.stack((101 + side, 50 * torch.sin(torch.arange(201.0)).double()), dim=1)
    state = Assignment(x, torch.ones_like(side), centres, 64)
    assert state.labels.tolist() == (side > 1e-12).long().tolist()
    torch.testing.assert_close(state.sums[1], x[side > 1e-12].sum(dim=0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_labels_follow_the_centres(dtype, k):
    """After any movement they are those that a whole comparison gives, though few samples are looked at."""
    draw = torch.Generator().manual_seed(k)
    x = torch.from_numpy(lumps(2000)).to(dtype)
    weight = torch.rand(2000, generator=draw, dtype=torch.float64).to(dtype)
    centres = x[:k].clone()
    state = Assignment(x, weight, centres, 64)
    for step in range(12):
        moves = torch.randn(k, 6, generator=draw, dtype=torch.float64).to(dtype) * (3.0 if step == 6 else 0.05)
        labels, old, centres = state.labels.clone(), centres, centres + moves
        changed = state.move(old, centres)
        assert changed == (state.labels != labels).sum()
        gap = (x - centres[state.labels]).norm(dim=1) - _distances(x, centres).amin(dim=1)
        assert gap.max() <= (1e-12 if dtype == torch.float64 else 1e-4)
        wanted = torch.zeros(k, 6, dtype=dtype).index_add_(0, state.labels, x * weight[:, None])
        torch.testing.assert_close(state.sums, wanted, rtol=1e-4, atol=1e-9 if dtype == torch.float64 else 0.1)
    if k > 1:
        assert (state.lead > 0).double().mean() > 0.5


def test_inertia_never_rises():
    x = torch.from_numpy(lumps())
    found = [KMeans(n_clusters=7, init=x[:7], tol=0.0, max_iter=steps).fit(x).inertia_ for steps in range(1, 15)]
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(found))
    assert found[-1] < 0.95 * found[0]


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_reaches_the_quality_of_scikit_learn(init):
    x = lumps()
    ours = [KMeans(n_clusters=7, init=init, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(20)]
    peer = [cluster.KMeans(n_clusters=7, init=init, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(20)]
    assert np.mean(ours) < 1.02 * np.mean(peer)
    assert min(ours) == pytest.approx(min(peer), rel=0.01)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_the_order_of_the_rows_is_of_no_importance(init):
    x = lumps()
    turn = np.random.default_rng(0).permutation(len(x))
    one = KMeans(n_clusters=7, init=init, n_init=1, random_state=3).fit(x)
    other = KMeans(n_clusters=7, init=init, n_init=1, random_state=3).fit(x[turn])
    np.testing.assert_allclose(one.cluster_centers_, other.cluster_centers_, rtol=1e-9)
    np.testing.assert_array_equal(one.labels_[turn], other.labels_)


@pytest.mark.parametrize("build", [KMeans, MiniBatchKMeans])
def test_a_weight_is_a_repetition(build):
    x = lumps(200)
    weight = np.random.default_rng(0).integers(0, 4, len(x))
    weighted = build(n_clusters=5, random_state=0).fit(x, sample_weight=weight)
    repeated = build(n_clusters=5, random_state=0).fit(x.repeat(weight, axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, rtol=1e-9)


def test_draws_follow_the_weights():
    x = torch.arange(5.0)[:, None].double()
    draws = RowDraws(x, row_keys(x), generator(0))
    rows, index = draws(torch.tensor([1.0, 0.0, 3.0, 0.0, 4.0]).double(), 8000)
    assert torch.equal(rows[:, 0], index.double())
    share = torch.bincount(index, minlength=5) / 8000
    np.testing.assert_allclose(share, [1 / 8, 0, 3 / 8, 0, 1 / 2], atol=0.02)
    assert share[[1, 3]].eq(0).all()


def test_hashes_of_rows():
    x = torch.cat((torch.cartesian_prod(torch.arange(64.0), torch.arange(64.0)), torch.zeros(1, 2)))
    keys = row_keys(x)
    assert len(keys.unique()) == 64 * 64
    assert keys[-1] == keys[0] == row_keys(-x[:1])[0]
    assert torch.equal(row_keys(x.double()) >> 32, keys >> 32)
    # About as many fall into each of 64 buckets.
    assert torch.bincount((keys >> 58) + 32, minlength=64).float().std() < 3 * 8
    found = chances(keys[:-1], 2, generator(0))
    assert ((found >= 0) & (found < 1)).all()
    np.testing.assert_allclose(found.mean(dim=0), 0.5, atol=0.02)
    np.testing.assert_allclose(found.var(dim=0), 1 / 12, atol=0.005)
    assert abs(float(torch.corrcoef(found.T)[0, 1])) < 0.05


def test_equal_samples():
    x = np.repeat([[0.0, 1.0], [5.0, 5.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(2\)"):
        model = KMeans(n_clusters=4, random_state=0).fit(x)
    assert model.inertia_ == pytest.approx(0, abs=1e-20)


def test_refusals():
    x = lumps(20)
    for options, words in [
        ({"n_clusters": 21}, "n_samples=20 should be >= n_clusters=21"),
        ({"init": "kmeans"}, "did you mean 'k-means\\+\\+'"),
        ({"n_clusters": 3, "init": x[:2]}, r"received \[2, 6\]"),
        ({"n_init": 0}, "n_init"),
        ({"n_clusters": 0}, "n_clusters"),
    ]:
        with pytest.raises(InputError, match=words):
            KMeans(**options).fit(x)


def test_float32_and_feature_names():
    x = torch.from_numpy(lumps()).float()
    model = KMeans(n_clusters=7, init=x[:7]).fit(x)
    assert model.cluster_centers_.dtype == model.transform(x).dtype == torch.float32
    peer = cluster.KMeans(n_clusters=7, init=x[:7].numpy(), n_init=1).fit(x.numpy())
    assert model.inertia_ == pytest.approx(peer.inertia_, rel=1e-4)
    assert model.get_feature_names_out().tolist() == [f"kmeans{i}" for i in range(7)]


def test_mini_batches_come_near_to_all_samples():
    x = lumps(3000)
    whole = KMeans(n_clusters=7, n_init=5, random_state=0).fit(x).inertia_
    ours = [MiniBatchKMeans(n_clusters=7, batch_size=256, random_state=s).fit(x).inertia_ for s in range(5)]
    peer = [cluster.MiniBatchKMeans(7, batch_size=256, random_state=s, n_init=1).fit(x).inertia_ for s in range(5)]
    assert whole <= min(ours)
    assert np.mean(ours) < 1.03 * np.mean(peer)


def test_batches_one_by_one():
    x = lumps(600)
    model = MiniBatchKMeans(n_clusters=7, init=x[:7], reassignment_ratio=0.0)
    peer = cluster.MiniBatchKMeans(n_clusters=7, init=x[:7], n_init=1, reassignment_ratio=0.0)
    for batch in np.split(x, 4):
        model.partial_fit(batch)
        peer.partial_fit(batch)
    np.testing.assert_allclose(model.cluster_centers_, peer.cluster_centers_, rtol=1e-9)
    np.testing.assert_array_equal(model.labels_, peer.labels_)
    assert float(model.counts_.sum()) == 600
    assert model.n_steps_ == 4


def test_unused_centres_are_put_on_samples():
    x = lumps(600)
    start = np.concatenate((x[:5], np.full((2, 6), 1e6)))
    model = MiniBatchKMeans(n_clusters=7, init=start, random_state=0).fit(x)
    assert set(model.labels_) == set(range(7))
