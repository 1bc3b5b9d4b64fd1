"""Scaling and Isomap beside scikit-learn's, and shortest paths beside scipy's."""

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.csgraph
import torch
from scipy.spatial.distance import cdist
from sklearn import datasets, manifold
from torch import Tensor

from chainrule.errors import InputError
from chainrule.estimators import geodesics
from chainrule.estimators.geodesics import Edges, shortest_paths
from chainrule.estimators.isomap import Isomap
from chainrule.estimators.mds import MDS, ClassicalMDS, classical, smacof


def digits(rows: int = 120) -> np.ndarray:
    return datasets.load_digits().data[:rows]


def roll(rows: int = 300) -> np.ndarray:
    return datasets.make_swiss_roll(rows, random_state=0)[0]


def same_up_to_signs(here: Any, there: Any, tolerance: float = 1e-8) -> None:
    here, there = np.asarray(here), np.asarray(there)
    signs = np.sign((here * there).sum(axis=0))
    np.testing.assert_allclose(here * signs, there, atol=tolerance * np.abs(there).max())


def test_classical_scaling_of_euclidean_distances_gives_them_back() -> None:
    X = torch.randn(30, 3, dtype=torch.float64)
    D = torch.cdist(X, X)
    found = classical(D, 3)
    torch.testing.assert_close(torch.cdist(found.places, found.places), D, rtol=1e-7, atol=1e-6)
    assert float(classical(D, 5).values[3:].abs().max()) < 1e-9


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "precomputed"])
def test_classical_scaling(metric: str) -> None:
    X = digits()
    given = cdist(X, X, "chebyshev") if metric == "precomputed" else X
    D = {"euclidean": cdist(X, X), "manhattan": cdist(X, X, "cityblock"), "precomputed": given}[metric]
    ours = ClassicalMDS(metric=metric, n_components=3).fit(given)
    J = np.eye(len(X)) - 1 / len(X)
    values, vectors = np.linalg.eigh(-0.5 * J @ D**2 @ J)
    same_up_to_signs(ours.embedding_, vectors[:, :-4:-1] * np.sqrt(values[:-4:-1]))
    np.testing.assert_allclose(ours.eigenvalues_, values[:-4:-1])
    if hasattr(manifold, "ClassicalMDS"):
        same_up_to_signs(ours.embedding_, manifold.ClassicalMDS(metric=metric, n_components=3).fit(given).embedding_)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_smacof_from_an_equal_start(axes: int) -> None:
    X = digits()
    D, start = cdist(X, X), np.random.default_rng(0).uniform(size=(len(X), axes))
    places, stress, steps = manifold.smacof(
        D, init=start, n_init=1, n_components=axes, return_n_iter=True, normalized_stress=False, eps=1e-7
    )
    ours = MDS(init=start, n_components=axes, metric="precomputed", eps=1e-7).fit(D)
    assert ours.stress_ == pytest.approx(stress, rel=1e-6)
    assert ours.n_iter_ == steps
    np.testing.assert_allclose(ours.embedding_, places, atol=1e-6 * np.abs(places).max())


def test_stress_and_its_descent() -> None:
    X = torch.from_numpy(digits(50))
    D, start = torch.cdist(X, X), torch.rand(1, 50, 2, dtype=torch.float64)
    stresses = [float(smacof(D, start, steps, 0.0).stress) for steps in range(12)]
    assert stresses == sorted(stresses, reverse=True)
    found = smacof(D, start, 5, 0.0).places[0]
    far = (torch.cdist(found, found, compute_mode="donot_use_mm_for_euclid_dist") - D).triu(1)
    assert float(smacof(D, start, 5, 0.0).stress) == pytest.approx(float(far.square().sum()))


def test_starts_go_together() -> None:
    X = torch.from_numpy(digits(60))
    D, starts = torch.cdist(X, X), torch.rand(4, 60, 2, dtype=torch.float64)
    together = smacof(D, starts, 300, 1e-5)
    alone = [smacof(D, start[None], 300, 1e-5) for start in starts]
    assert together.steps == [one.steps[0] for one in alone]
    assert len(set(together.steps)) > 1
    torch.testing.assert_close(together.places, torch.cat([one.places for one in alone]), rtol=1e-9, atol=1e-9)
    best = MDS(init="random", n_init=4, random_state=0).fit(X)
    draw = np.random.RandomState(0).uniform(size=(4, 60, 2))
    assert best.stress_ == pytest.approx(min(MDS(init=start).fit(X).stress_ for start in draw))


def test_perfect_places_stay() -> None:
    X = torch.randn(20, 2, dtype=torch.float64)
    found = MDS().fit(X)
    assert found.stress_ < 1e-20
    assert found.n_iter_ <= 2
    equal = MDS().fit(torch.ones(5, 3))
    assert equal.stress_ == 0
    assert not bool(equal.embedding_.any())


def graph(nodes: int, density: float) -> tuple[scipy.sparse.coo_array, Edges]:
    table = scipy.sparse.random_array((nodes, nodes), density=density, rng=np.random.default_rng(nodes), format="coo")
    table.data += 0.01
    rows, columns = (torch.from_numpy(part.astype(np.int64)) for part in table.coords)
    return table, Edges(rows, columns, torch.from_numpy(table.data))


@pytest.mark.parametrize(("nodes", "density"), [(200, 0.02), (150, 0.005), (90, 0.2), (2, 0.5)])
@pytest.mark.parametrize("block", [2**20, 2000])
def test_shortest_paths(nodes: int, density: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geodesics, "BLOCK", block)
    table, edges = graph(nodes, density)
    # An edge noted in both directions counts with the shorter.
    dense = np.full((nodes, nodes), np.inf)
    np.minimum.at(dense, table.coords, table.data)
    dense = np.minimum(dense, dense.T)
    expected = scipy.sparse.csgraph.floyd_warshall(np.where(np.isfinite(dense), dense, 0), directed=False)
    np.testing.assert_allclose(shortest_paths(edges, nodes), expected, rtol=1e-12)


def test_a_long_path() -> None:
    nodes = torch.randperm(60)
    edges = Edges(nodes[:-1], nodes[1:], torch.ones(59, dtype=torch.float64))
    place = torch.empty(60).double()
    place[nodes] = torch.arange(60).double()
    assert torch.equal(shortest_paths(edges, 60), (place[:, None] - place).abs())


@pytest.mark.parametrize("options", [{}, {"n_neighbors": 12, "n_components": 3}, {"metric": "manhattan"}])
def test_isomap(options: dict[str, Any]) -> None:
    X = roll(360)
    ours, peer = Isomap(**options).fit(X[:300]), manifold.Isomap(**options).fit(X[:300])
    np.testing.assert_allclose(ours.dist_matrix_, peer.dist_matrix_, rtol=1e-9, atol=1e-9)
    same_up_to_signs(ours.embedding_, peer.embedding_, 1e-6)
    same_up_to_signs(ours.transform(X[300:]), peer.transform(X[300:]), 1e-6)
    assert ours.reconstruction_error() == pytest.approx(peer.reconstruction_error())
    here = Isomap(**options)
    assert np.array_equal(here.fit_transform(X[:300]), here.embedding_.numpy())


def test_isomap_unrolls() -> None:
    """Along the roll distances grow with the angle, which the first axis has to follow."""
    X, angle = datasets.make_swiss_roll(1000, random_state=0)
    first = Isomap(n_neighbors=10).fit_transform(X)[:, 0]
    assert abs(np.corrcoef(first, angle)[0, 1]) > 0.95


def test_isomap_joins_what_falls_apart() -> None:
    X = np.concatenate([roll(60), roll(60) + 200, roll(50)[:, ::-1] - 300])
    with pytest.warns(UserWarning, match="components of the neighbors graph is 3 > 1"):
        ours = Isomap().fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = manifold.Isomap().fit(X)
    np.testing.assert_allclose(ours.dist_matrix_, peer.dist_matrix_, rtol=1e-9, atol=1e-9)
    same_up_to_signs(ours.embedding_, peer.embedding_, 1e-6)


def test_isomap_learns_anew() -> None:
    X = torch.from_numpy(roll(200))
    model = Isomap().fit(X[:100])
    model.transform(X[:5])
    again = model.fit(X[100:]).transform(X[:50])
    assert torch.equal(again, Isomap().fit(X[100:]).transform(X[:50]))


@pytest.mark.parametrize(
    ("model", "X", "sentence"),
    [
        (MDS(metric="precomputed"), torch.rand(5, 4), r"\[n, n\]"),
        (MDS(metric="precomputed"), torch.rand(5, 5), "symmetric"),
        (ClassicalMDS(metric="precomputed"), -torch.ones(5, 5), "not negative"),
        (MDS(n_components=0), torch.rand(5, 4), "1 or more"),
        (MDS(init="spectral"), torch.rand(5, 4), "no start of MDS"),
        (MDS(init=np.zeros((5, 3))), torch.rand(5, 4), r"init has to be \[5, 2\]"),
        (ClassicalMDS(metric="eucl"), torch.rand(5, 4), "euclidean"),
        (Isomap(), torch.rand(5, 4), "n_neighbors from 1 to n_samples - 1"),
        (Isomap(n_components=0), torch.rand(9, 4), "n_components"),
    ],
)
def test_refusals(model: Any, X: Tensor, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        model.fit(X)
