"""Nearest neighbours against scikit-learn, in any blocks of memory, by each algorithm."""

import math

import numpy as np
import pytest
import torch
from sklearn import neighbors as peers
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule.errors import InputError
from chainrule.estimators import neighbor_search, saving
from chainrule.estimators.distances import KernelDistance, Minkowski
from chainrule.estimators.kernels import RBF
from chainrule.estimators.neighbor_indices import Partial
from chainrule.estimators.neighbor_search import nearest, search
from chainrule.estimators.neighbors import KNeighborsClassifier, KNeighborsRegressor


def data(count=400, features=5, queries=90, dtype=np.float64):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(count + queries, features)).astype(dtype) + 10
    y = (X[:, 0] > 10).astype(int) + 2 * (X[:, 1] > 10.5)
    return X[:count], y[:count], X[count:]


METRICS = [
    {},
    {"metric": "manhattan"},
    {"metric": "chebyshev"},
    {"p": 3},
    {"metric": "cosine"},
    {"metric": "hamming"},
]


@pytest.mark.parametrize("options", METRICS, ids=str)
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("memory", [256, 0.1])
def test_as_scikit_learn(options, weights, memory):
    X, y, Q = data()
    if options == {"metric": "hamming"}:
        # Few values, so that coordinates agree; the first coordinate decides between the ties.
        X, Q = X.round(), Q.round()
    ours = KNeighborsClassifier(n_neighbors=7, weights=weights, memory=memory, **options).fit(X, y)
    peer = peers.KNeighborsClassifier(7, weights=weights, algorithm="brute", **options).fit(X, y)
    distances, indices = ours.kneighbors(Q)
    wanted, peers_indices = peer.kneighbors(Q)
    np.testing.assert_allclose(distances, wanted, rtol=1e-7, atol=1e-12)
    if options != {"metric": "hamming"}:
        np.testing.assert_array_equal(indices, peers_indices)
        np.testing.assert_array_equal(ours.predict(Q), peer.predict(Q))
        np.testing.assert_allclose(ours.predict_proba(Q), peer.predict_proba(Q), atol=1e-12)
    np.testing.assert_allclose(
        ours.kneighbors(n_neighbors=3)[0], peer.kneighbors(n_neighbors=3)[0], rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize("algorithm", ["auto", "brute", "partial", "tree"])
@pytest.mark.parametrize("p", [1, 2, 3.5, math.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_algorithms_agree(algorithm, p, dtype):
    X, y, Q = data(dtype=dtype)
    ours = KNeighborsRegressor(algorithm=algorithm, p=p, memory=0.5).fit(X, y)
    options = {"metric": "chebyshev"} if p == math.inf else {"p": p}
    distances, indices = peers.KNeighborsRegressor(algorithm="brute", **options).fit(X, y).kneighbors(Q)
    np.testing.assert_array_equal(ours.kneighbors(Q)[1], indices)
    np.testing.assert_allclose(ours.kneighbors(Q)[0], distances, rtol=1e-10 if dtype == np.float64 else 1e-5)
    assert ours.kneighbors(Q)[0].dtype == dtype


def test_trees_know_hamming():
    X, y, Q = data()
    X, Q = X.round(), Q.round()
    brute, tree = (KNeighborsRegressor(metric="hamming", algorithm=name).fit(X, y) for name in ("brute", "tree"))
    np.testing.assert_allclose(tree.kneighbors(Q)[0], brute.kneighbors(Q)[0], atol=1e-12)
    for name in ("tree", "partial"):
        with pytest.raises(InputError, match='write "brute"'):
            KNeighborsRegressor(metric="cosine", algorithm=name).fit(X, y)


def test_several_targets_and_a_function_as_weights():
    X, _, Q = data()
    y = np.stack([X[:, 0], np.sin(X[:, 1])], axis=1)
    ours = KNeighborsRegressor(weights=lambda d: torch.exp(-d), memory=0.1).fit(X, y)
    peer = peers.KNeighborsRegressor(weights=lambda d: np.exp(-d)).fit(X, y)
    np.testing.assert_allclose(ours.predict(Q), peer.predict(Q), rtol=1e-10)


def test_neighbours_at_distance_zero_decide_alone():
    X, y = np.array([[0.0], [0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 100.0, 7.0])
    ours = KNeighborsRegressor(n_neighbors=3, weights="distance").fit(X, y)
    np.testing.assert_allclose(
        ours.predict(np.array([[0.0], [1.5]])), [2.0, (100 / 0.5 + 7 / 0.5 + 1 / 1.5) / (4 + 1 / 1.5)]
    )


@pytest.mark.parametrize("kernel", [RBF(gamma=0.3), RBF()])
def test_feature_space_of_a_radial_kernel_has_the_same_neighbours(kernel):
    X, y, Q = data()
    ours = KNeighborsClassifier(metric=KernelDistance(kernel), memory=0.1).fit(X, y)
    np.testing.assert_array_equal(ours.kneighbors(Q)[1], peers.KNeighborsClassifier().fit(X, y).kneighbors(Q)[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", ["offset", "outlier", "duplicates", "grid", "scales", "tiny"])
def test_neighbours_are_exact_where_products_are_not(case, dtype):
    """Compared with sorted distances in float64; of equal distances the earlier sample."""
    X, Q = torch.randn(500, 6, dtype=dtype), torch.randn(60, 6, dtype=dtype)
    if case == "offset":
        X, Q = X + 1e4, Q + 1e4
    elif case == "outlier":
        X[7] = 1e9
    elif case == "duplicates":
        X[100:400] = X[:1]
        Q[:30] = X[:1]
    elif case == "grid":
        X, Q = X.round(), Q.round()
    elif case == "scales":
        X, Q = (
            X * torch.tensor([1e4, 1, 1, 1, 1, 1e-4], dtype=dtype),
            Q * torch.tensor([1e4, 1, 1, 1, 1, 1e-4], dtype=dtype),
        )
    else:
        X, Q = X * 1e-12, Q * 1e-12
    found = search(Minkowski(2), Q, X, 9, 0.2)
    exact = (Q[:, None].double() - X.double()).norm(dim=2)
    distances, order = exact.sort(dim=1, stable=True)
    torch.testing.assert_close(
        found.distances.double(), distances[:, :9], rtol=2e-6 if dtype == torch.float32 else 1e-12, atol=0
    )
    if case in ("duplicates", "grid"):
        assert torch.equal(found.indices, order[:, :9])


def test_results_are_proven_by_products_for_ordinary_data():
    X, Q = torch.randn(3000, 16), torch.randn(200, 16)
    assert neighbor_search._by_products(Q, X, 5, 8, torch.float32)[1].double().mean() > 0.95


@pytest.mark.parametrize(("width", "k"), [(5, 5), (40, 3), (1000, 1), (1003, 10), (1003, 700)])
def test_nearest_takes_the_first_of_equal_entries(width, k):
    rows = torch.randint(0, 30, (50, width)).double()
    values, order = rows.sort(dim=1, stable=True)
    found = nearest(rows, k)
    assert torch.equal(found.distances, values[:, :k])
    assert torch.equal(found.indices, order[:, :k])


def test_partial_distances_look_at_few_coordinates():
    """Most of the spread is in an eighth of the coordinates, after which few samples are left."""
    X = torch.randn(2000, 32, dtype=torch.float64) * torch.tensor([0.5] * 28 + [10.0] * 4)
    found, share = Partial(Minkowski(2), X).counted(X[:100] + 0.1, 5, 64)
    assert torch.equal(found.indices, search(Minkowski(2), X[:100] + 0.1, X, 5, 64).indices)
    assert 1 / 8 < share < 1 / 5


def test_choice_of_k_and_scaling_by_scikit_learn():
    X, y, Q = data()
    X, Q = X * [1, 1, 1000, 1, 1], Q * [1, 1, 1000, 1, 1]
    grid = {"kneighborsclassifier__n_neighbors": [1, 5, 15, 101]}
    ours, peer = (
        GridSearchCV(make_pipeline(StandardScaler(), part), grid, cv=4).fit(X, y)
        for part in (KNeighborsClassifier(), peers.KNeighborsClassifier())
    )
    assert ours.best_params_ == peer.best_params_
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], peer.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(ours.predict(Q), peer.predict(Q))
    bare = KNeighborsClassifier().fit(X, y)
    assert bare.score(X, y) < ours.score(X, y) - 0.1


@pytest.mark.parametrize("algorithm", ["brute", "partial", "tree"])
def test_saved_and_loaded(tmp_path, algorithm):
    X, y, Q = data()
    ours = KNeighborsClassifier(algorithm=algorithm, weights="distance").fit(X, y)
    saving.save(ours, tmp_path / "knn.safetensors")
    loaded = saving.load(tmp_path / "knn.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(Q), ours.predict_proba(Q))


def test_tensors_stay_tensors():
    X, y, Q = (torch.from_numpy(a) for a in data())
    for model in (KNeighborsClassifier(), KNeighborsRegressor()):
        found = model.fit(X, y).predict(Q)
        assert isinstance(found, torch.Tensor)
        np.testing.assert_array_equal(found, model.fit(X.numpy(), y.numpy()).predict(Q.numpy()))


def test_what_is_refused():
    X, y, Q = data()
    with pytest.raises(
        InputError, match="Expected n_neighbors <= n_samples_fit, but n_neighbors = 6, n_samples_fit = 4"
    ):
        KNeighborsClassifier(n_neighbors=6).fit(X[:4], y[:4]).predict(Q)
    with pytest.raises(InputError, match="int from 1 up; received 0"):
        KNeighborsClassifier(n_neighbors=0).fit(X, y)
    with pytest.raises(InputError, match="weights is"):
        KNeighborsClassifier(weights="near").fit(X, y).predict(Q)
    with pytest.raises(InputError, match="gives weights of the same shape"):
        KNeighborsClassifier(weights=torch.zeros_like).fit(X, y).predict(Q)
    with pytest.raises(InputError, match="no algorithm named 'kdtree'"):
        KNeighborsClassifier(algorithm="kdtree").fit(X, y)
    with pytest.raises(InputError, match="exceed the range"):
        KNeighborsRegressor().fit(X.astype(np.float32) * 1e30, y).predict(-Q.astype(np.float32) * 1e30)
