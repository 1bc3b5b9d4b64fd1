"""Editing and condensing of prototypes: their laws, by hand, and what they take and give."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier as Peer

from chainrule.errors import InputError
from chainrule.estimators.neighbors import KNeighborsClassifier
from chainrule.estimators.prototypes import CondensedNeighbors, EditedNeighbors


def clouds(count=150):
    generator = np.random.default_rng(3)
    X = generator.normal(size=(count, 2))
    return X, np.array(["a", "b", "c"])[(X[:, 0] + generator.normal(size=count) * 0.4 > 0).astype(int) + (X[:, 1] > 1)]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_editing_removes_what_its_neighbours_misclassify(k):
    X, y = clouds()
    edited = EditedNeighbors(n_neighbors=k, memory=0.1).fit(X, y)
    right = [Peer(k).fit(np.delete(X, i, 0), np.delete(y, i)).predict(X[i : i + 1])[0] == y[i] for i in range(len(X))]
    np.testing.assert_array_equal(edited.indices_, np.flatnonzero(right))
    assert 0 < len(edited.indices_) < len(X)


def test_editing_by_hand():
    X = np.array([[0.0], [1.0], [2.1], [3.3], [10.0], [11.0], [12.1]])
    kept, labels = EditedNeighbors(n_neighbors=1).fit_resample(X, [0, 0, 1, 1, 1, 1, 1])
    assert kept[:, 0].tolist() == [0.0, 1.0, 3.3, 10.0, 11.0, 12.1]
    assert labels == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_condensed_prototypes_classify_all_samples(metric, seed):
    X, y = clouds()
    X = X.round(1)
    unequal = np.unique(X, axis=0, return_index=True)[1]
    X, y = X[unequal], y[unequal]
    condensed = CondensedNeighbors(metric=metric, random_state=seed)
    few, labels = condensed.fit_resample(X, y)
    assert KNeighborsClassifier(n_neighbors=1, metric=metric).fit(few, labels).score(X, y) == 1
    assert len(few) < 0.6 * len(X)
    np.testing.assert_array_equal(clone(condensed).fit(X, y).indices_, condensed.indices_)


def test_condensing_by_hand():
    """The sample visited first stays; then each that is misclassified when its turn comes, until a turn adds none."""
    X, y = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]), np.array([0, 0, 0, 1, 1, 1])
    for seed in range(5):
        turn, kept = np.random.RandomState(seed).permutation(6), []
        for _ in range(6):
            for i in turn:
                near = min(sorted(kept), key=lambda j: abs(X[i, 0] - X[j, 0]), default=None)
                if near is None or y[near] != y[i]:
                    kept.append(i)
        assert CondensedNeighbors(random_state=seed).fit(X, y).indices_.tolist() == sorted(kept)


def test_contradictions_end():
    X, y = np.zeros((4, 1)), np.array([0, 1, 0, 1])
    assert 2 <= len(CondensedNeighbors(random_state=0).fit(X, y).indices_) <= 4
    assert len(CondensedNeighbors().fit(X, np.zeros(4)).indices_) == 1


def test_editing_then_condensing_in_any_kind_of_table():
    X, y = clouds()
    numbers = np.unique(y, return_inverse=True)[1]
    kinds = {
        "arrays": (X, numbers),
        "tables": (pd.DataFrame(X, columns=["u", "v"]), pd.Series(numbers)),
        "tensors": (torch.from_numpy(X), torch.from_numpy(numbers)),
    }
    results = {}
    for name, (rows, labels) in kinds.items():
        few = CondensedNeighbors(random_state=0).fit_resample(*EditedNeighbors().fit_resample(rows, labels))
        assert type(few[0]) is type(rows)
        assert type(few[1]) is type(labels)
        results[name] = np.column_stack([np.asarray(part) for part in few])
    np.testing.assert_array_equal(results["arrays"], results["tables"])
    np.testing.assert_array_equal(results["arrays"], results["tensors"])
    assert len(results["arrays"]) < 40


def test_editing_wants_more_samples_than_neighbours():
    with pytest.raises(InputError, match="received 3 samples"):
        EditedNeighbors().fit(np.eye(3), [0, 1, 1])
