"""Dissimilarity spaces: distances to prototypes, and where these come from."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from chainrule.errors import InputError
from chainrule.estimators.dissimilarity import DissimilaritySpace
from chainrule.estimators.distances import KernelDistance
from chainrule.estimators.kernels import RBF

NAMED = ("random", "kmeans", "kmedoids")


def clouds() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    return rng.normal(size=(60, 4)) + 4 * np.eye(4)[y], y


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "cosine"])
def test_features_are_distances(metric: str) -> None:
    X, new = clouds()[0], clouds()[0] + 0.3
    space = DissimilaritySpace(metric=metric, prototypes="all").fit(X)
    np.testing.assert_allclose(space.transform(new), pairwise_distances(new, X, metric=metric), atol=1e-12)
    np.testing.assert_allclose(np.diag(space.transform(X)), 0, atol=1e-12)


def test_a_small_space_by_hand() -> None:
    X = [[0.0, 0.0], [3.0, 4.0]]
    assert DissimilaritySpace(prototypes="all").fit(X).transform([[0.0, 4.0]]).tolist() == [[4.0, 3.0]]
    taxi = DissimilaritySpace(metric="minkowski", p=1, prototypes="all").fit(X)
    assert taxi.transform([[0.0, 0.0]]).tolist() == [[0.0, 7.0]]


@pytest.mark.parametrize("prototypes", NAMED)
def test_prototypes_of_each_class(prototypes: str) -> None:
    X, y = clouds()
    space = DissimilaritySpace(prototypes=prototypes, n_prototypes=4, per_class=True, random_state=0).fit(X, y)
    assert space.prototype_classes_.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    nearest = space.transform(X).argmin(axis=1)
    assert (space.prototype_classes_.numpy()[nearest] == y).mean() > 0.9
    for place, prototype in enumerate(space.prototypes_.numpy()):
        mine = X[y == place // 4]
        if prototypes == "kmeans":
            assert (mine.min(axis=0) <= prototype).all()
            assert (prototype <= mine.max(axis=0)).all()
        else:
            assert (mine == prototype).all(axis=1).any()


@pytest.mark.parametrize("prototypes", NAMED)
def test_prototypes_are_learned_from_training_samples_alone(prototypes: str) -> None:
    X, _ = clouds()
    space = DissimilaritySpace(prototypes=prototypes, n_prototypes=5, random_state=3).fit(X)
    before = space.prototypes_.clone()
    space.transform(X + 100)
    torch.testing.assert_close(space.prototypes_, before, rtol=0, atol=0)
    again = DissimilaritySpace(prototypes=prototypes, n_prototypes=5, random_state=3).fit(torch.from_numpy(X))
    torch.testing.assert_close(again.prototypes_, before)
    assert len(before.unique(dim=0)) == 5


def test_any_distance_and_any_choice() -> None:
    X, _ = clouds()

    def first(X: Any, count: int, distance: Any, seed: int) -> Any:
        return X[:count]

    kernel = RBF(gamma=0.1)
    space = DissimilaritySpace(metric=KernelDistance(kernel), prototypes=first, n_prototypes=3).fit(X)
    gram = np.exp(-0.1 * pairwise_distances(X, X[:3]) ** 2)
    np.testing.assert_allclose(space.transform(X), np.sqrt(np.maximum(2 - 2 * gram, 0)), atol=1e-7)
    # No metric: it breaks the triangle inequality, and is none the worse for it here.
    squared = DissimilaritySpace(metric=lambda A, B: torch.cdist(A, B).square(), prototypes="all").fit(X)
    np.testing.assert_allclose(squared.transform(X), pairwise_distances(X) ** 2, atol=1e-10)


def test_blocks_change_nothing() -> None:
    X, _ = clouds()
    small, great = (DissimilaritySpace(random_state=0, memory=memory).fit(X) for memory in (1e-3, 256))
    np.testing.assert_allclose(small.transform(X), great.transform(X), rtol=1e-12)


@pytest.mark.parametrize(("prototypes", "least"), [("random", 0.95), ("kmeans", 0.95), ("kmedoids", 0.95)])
def test_digits_from_their_distances(prototypes: str, least: float) -> None:
    """Ten prototypes of each class, scaled by the training samples, then an SVM."""
    X, y = datasets.load_digits(return_X_y=True)
    train, test, labels, wanted = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
    space = DissimilaritySpace(prototypes=prototypes, n_prototypes=10, per_class=True, random_state=0)
    model = make_pipeline(space, MinMaxScaler(), SVC()).fit(train, labels)
    assert model.score(test, wanted) > least


def test_wrong_options_are_sentences() -> None:
    X, y = clouds()
    with pytest.raises(InputError, match="from 1 to n_samples=60; received 61"):
        DissimilaritySpace(n_prototypes=61).fit(X)
    with pytest.raises(InputError, match="n_samples=20 of its smallest class; received 21"):
        DissimilaritySpace(n_prototypes=21, per_class=True).fit(X, y)
    with pytest.raises(InputError, match="did you mean 'kmeans'"):
        DissimilaritySpace(prototypes="k-means").fit(X)
    with pytest.raises(InputError, match="requires y"):
        DissimilaritySpace(per_class=True).fit(X)
    with pytest.raises(InputError, match="distance named"):
        DissimilaritySpace(metric="far").fit(X)
