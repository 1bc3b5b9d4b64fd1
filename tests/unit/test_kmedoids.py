"""k-medoids: against all subsets on tiny data, on distances, within little memory."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators.distances import named_distance
from chainrule.estimators.kmedoids import KMedoids, Pairs, _best_swap


def cost(distances: torch.Tensor, medoids: tuple[int, ...]) -> float:
    return float(distances[list(medoids)].amin(dim=0).sum())


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_no_swap_improves_and_the_best_of_some_starts_is_the_best_of_all_subsets(k, metric):
    draw = torch.Generator().manual_seed(k)
    for _ in range(5):
        x = torch.randn(11, 3, generator=draw, dtype=torch.float64)
        model = KMedoids(n_clusters=k, metric=metric).fit(x)
        distances = named_distance(metric)(x, x)
        found = tuple(model.medoid_indices_.tolist())
        assert model.inertia_ == pytest.approx(cost(distances, found))
        for place, candidate in itertools.product(range(k), range(11)):
            other = (*found[:place], candidate, *found[place + 1 :])
            assert cost(distances, other) >= model.inertia_ - 1e-9
        least = min(cost(distances, subset) for subset in itertools.combinations(range(11), k))
        starts = [
            KMedoids(n_clusters=k, metric=metric, init="k-medoids++", random_state=seed).fit(x).inertia_
            for seed in range(10)
        ]
        assert min(model.inertia_, *starts) == pytest.approx(least)


@pytest.mark.parametrize("k", [1, 4])
def test_the_change_by_a_swap_is_that_of_the_objective(k):
    x = torch.randn(30, 2, dtype=torch.float64)
    distances = torch.cdist(x, x)
    medoids = tuple(range(k))
    gain, row, place = _best_swap(distances, distances[:k])
    changes = {
        (c, i): cost(distances, medoids) - cost(distances, (*medoids[:i], c, *medoids[i + 1 :]))
        for c in range(30)
        for i in range(k)
    }
    assert gain == pytest.approx(max(changes.values()))
    assert changes[row, place] == pytest.approx(gain)


@pytest.mark.parametrize("init", ["build", "k-medoids++", "random"])
def test_separate_lumps_are_found_from_every_start(init):
    x = torch.randn(60, 2, dtype=torch.float64) + 20 * torch.tensor([[0.0, 0], [1, 0], [0, 1]]).repeat(20, 1)
    model = KMedoids(n_clusters=3, init=init, random_state=0).fit(x)
    assert model.labels_.view(20, 3).unique(dim=0).shape == (1, 3)
    assert torch.equal(model.predict(x), model.labels_)
    assert torch.equal(model.cluster_centers_, x[model.medoid_indices_])


def test_distances_in_the_place_of_samples():
    x = np.random.default_rng(0).normal(size=(40, 3))
    distances = np.abs(x[:, None] - x).sum(axis=2)
    whole = KMedoids(n_clusters=4, metric="manhattan").fit(x)
    given = KMedoids(n_clusters=4, metric="precomputed").fit(distances)
    assert given.medoid_indices_.tolist() == whole.medoid_indices_.tolist()
    assert given.cluster_centers_ is None
    np.testing.assert_array_equal(given.predict(distances[:5]), whole.predict(x[:5]))


def test_little_memory_gives_the_same():
    x = torch.randn(300, 2, dtype=torch.float64)
    wide, narrow = (KMedoids(n_clusters=5, memory=memory).fit(x) for memory in (256, 0.2))
    assert Pairs(x, named_distance("euclidean"), 0.2).table is None
    assert len(Pairs(x, named_distance("euclidean"), 0.2).parts()) > 10
    assert narrow.inertia_ == pytest.approx(wide.inertia_, rel=0.02)


def test_as_many_clusters_as_samples_and_equal_samples():
    x = torch.randn(6, 2, dtype=torch.float64)
    assert KMedoids(n_clusters=6).fit(x).inertia_ == 0
    assert KMedoids(n_clusters=3).fit(torch.ones(6, 2)).inertia_ == 0


def test_refusals():
    x = torch.randn(6, 2)
    with pytest.raises(InputError, match="n_samples=6 should be >= n_clusters=7"):
        KMedoids(n_clusters=7).fit(x)
    with pytest.raises(InputError, match="square"):
        KMedoids(n_clusters=2, metric="precomputed").fit(x)
    with pytest.raises(InputError, match="did you mean 'build'"):
        KMedoids(n_clusters=2, init="bild").fit(x)
    far = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        KMedoids(n_clusters=9, init="random", max_iter=1, random_state=0).fit(far)
