"""Fewer prototypes for nearest neighbours: editing (Wilson 1972) and condensing (Hart 1968).

Editing removes the samples that their own k nearest neighbours misclassify, which smooths the boundary. Condensing
keeps a subset whose nearest sample has the right class for all samples: beginning with one sample, the others are
visited in turn, and each that the subset misclassifies is added to it, until a whole turn adds none.

Both have scikit-learn's form of options, and the verb ``fit_resample`` of imbalanced-learn. How many neighbours there
should be is found by scikit-learn's ``GridSearchCV``; features get one scale by its ``StandardScaler``.
"""

import math
from abc import abstractmethod
from typing import Any, Self

import torch
from sklearn.utils import _safe_indexing, check_random_state

from chainrule.errors import InputError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractEstimator
from chainrule.estimators.distances import Distance, resolved_distance
from chainrule.estimators.neighbor_search import search
from chainrule.estimators.neighbors import others
from chainrule.shapes import Bool, Float, Int, Tensor


class AbstractSelection(AbstractEstimator):
    """Keeps some of the samples.

    Attributes:
        indices_: The rows that were kept, rising.
        classes_: The classes, sorted.
        n_features_in_: Features of a sample.
    """

    metric: str | Distance
    p: float

    def fit(self, X: Any, y: Any) -> Self:
        """Choose among samples ``[n, d]`` of the classes ``[n]``."""
        samples = self._features(X)
        self.classes_, codes = arrays.encoded(y, samples)
        distance = resolved_distance(self.metric, self.p, samples)
        self.indices_ = self._kept(samples, codes, distance).nonzero()[:, 0]
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """The samples that are kept, and their classes.

        Args:
            X: Samples ``[n, d]``.
            y: Classes ``[n]``.

        Returns:
            Rows of ``X`` and of ``y``.
        """
        rows = self.fit(X, y).indices_
        return _taken(X, rows), _taken(y, rows)

    @abstractmethod
    def _kept(self, X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], distance: Distance) -> Bool[Tensor, " n"]:
        """Which samples are kept."""


class EditedNeighbors(AbstractSelection):
    """Removes the samples that their k nearest neighbours misclassify (Wilson 1972).

    Args:
        n_neighbors: How many neighbours vote; of classes with equal votes the first wins.
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, ``"minkowski"``, or a function of two matrices.
        p: Exponent of ``"minkowski"``.
        memory: Bound on temporary memory, MiB.

    Attributes:
        indices_: The rows that were kept, rising.
        classes_: The classes, sorted.
        n_features_in_: Features of a sample.
    """

    def __init__(
        self, *, n_neighbors: int = 3, metric: str | Distance = "minkowski", p: float = 2, memory: float = 256
    ) -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.p = p
        self.memory = memory

    def _kept(self, X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], distance: Distance) -> Bool[Tensor, " n"]:
        if not 1 <= self.n_neighbors < len(X):
            raise InputError(
                f"Editing by n_neighbors={self.n_neighbors} wants from 1 up, and more samples than that; received "
                f"{len(X)} samples."
            )
        voters = codes[others(search(distance, X, X, self.n_neighbors + 1, self.memory)).indices]
        votes = torch.zeros(len(X), len(self.classes_), dtype=X.dtype, device=X.device)
        return votes.scatter_add_(1, voters, torch.ones_like(voters, dtype=X.dtype)).argmax(dim=1) == codes


class CondensedNeighbors(AbstractSelection):
    """Keeps a subset that classifies all samples without error by the nearest one (Hart 1968).

    Only samples that equal each other but not in their class remain misclassified.

    Args:
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, ``"minkowski"``, or a function of two matrices.
        p: Exponent of ``"minkowski"``.
        random_state: Seed, or generator, of the order in which the samples are visited.

    Attributes:
        indices_: The rows that were kept, rising.
        classes_: The classes, sorted.
        n_features_in_: Features of a sample.
    """

    def __init__(self, *, metric: str | Distance = "minkowski", p: float = 2, random_state: Any = None) -> None:
        self.metric = metric
        self.p = p
        self.random_state = random_state

    def _kept(self, X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], distance: Distance) -> Bool[Tensor, " n"]:
        turn = torch.from_numpy(check_random_state(self.random_state).permutation(len(X))).to(X.device)
        kept = torch.zeros(len(X), dtype=torch.bool, device=X.device)
        least = torch.full_like(X[:, 0], math.inf)
        owner = torch.full_like(codes, -1)
        place = 0
        while True:
            wrong = ((owner < 0) | (codes[owner] != codes)) & ~kept
            ahead = wrong[turn].roll(-place).nonzero()
            if not len(ahead):
                return kept
            # Samples between this one and the last were right when their turn came, and changed nothing.
            place = (place + int(ahead[0])) % len(X)
            new = int(turn[place])
            kept[new] = True
            far = distance(X, X[new : new + 1])[:, 0]
            nearer = (far < least) | ((far == least) & (new < owner))
            least, owner = torch.where(nearer, far, least), torch.where(nearer, new, owner)


def _taken(values: Any, rows: Int[Tensor, " n"]) -> Any:
    """Rows of an array, a table, a tensor or a list."""
    if isinstance(values, Tensor):
        return values[rows.to(values.device)]
    return _safe_indexing(values, rows.cpu().numpy())
