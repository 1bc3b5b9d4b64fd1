"""k nearest neighbours, for classes and for real numbers (Cover & Hart 1967; Altman 1992).

A sample gets the class that most of its k nearest training samples have, or the mean of their targets:
``y(x) = sum_i w_i y_i / sum_i w_i`` over the k nearest, with ``w_i = 1`` or ``w_i = 1 / d(x, x_i)``.

Differs from scikit-learn: of training samples at the same distance the earlier one is nearer, whatever the blocks of
memory; a user's distance is a function of two matrices; ``kneighbors`` always gives distances and indices.
"""

from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any, Self

import torch
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import InputError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractProbabilisticClassifier, AbstractRegressor
from chainrule.estimators.distances import Distance, resolved_distance
from chainrule.estimators.memory import blocks
from chainrule.estimators.neighbor_indices import indexed
from chainrule.estimators.neighbor_search import Neighbours
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor

#: What a neighbour weighs: all the same, one over its distance, or a function of the distances ``[q, k]``.
Weighting = str | Callable[[Tensor], Tensor]


class NeighborSearch:
    """Gives an estimator what looks for neighbours: ``kneighbors``, and the shares that they have in a prediction."""

    n_neighbors: int
    weights: Weighting
    metric: str | Distance
    p: float
    algorithm: str
    memory: float
    samples_: Tensor

    def kneighbors(self: Any, X: Any = None, n_neighbors: int | None = None) -> tuple[Any, Any]:
        """Distances and indices of the nearest training samples, the nearest first.

        Args:
            X: Queries ``[q, d]``; None asks for the neighbours of each training sample other than itself.
            n_neighbors: How many; None for those of the constructor.

        Returns:
            Two arrays ``[q, n_neighbors]``.
        """
        k = _checked_count(self, self.n_neighbors if n_neighbors is None else n_neighbors)
        if X is None:
            check_is_fitted(self)
            found = others(self._nearest(self.samples_, k + 1))
        else:
            found = self._nearest(self._known(X), k)
        return arrays.given_back(found.distances, X), arrays.given_back(found.indices, X)

    def _learn(self, X: Float[Tensor, "n d"]) -> None:
        _checked_count(self, self.n_neighbors)
        self.samples_, self.n_samples_fit_ = X, len(X)
        self._index = indexed(self.algorithm, resolved_distance(self.metric, self.p, X), X)

    def _nearest(self, Q: Float[Tensor, "q d"], k: int) -> Neighbours:
        if k > len(self.samples_):
            raise InputError(
                f"Expected n_neighbors <= n_samples_fit, but n_neighbors = {k}, n_samples_fit = {len(self.samples_)}, "
                f"n_samples = {len(Q)}."
            )
        if "_index" not in vars(self):
            # Loaded from a file, where only what was learned is kept.
            self._index = indexed(self.algorithm, resolved_distance(self.metric, self.p, self.samples_), self.samples_)
        found = self._index.search(Q, k, self.memory)
        if not bool(found.distances.isfinite().all()):
            raise InputError("Distances between these samples exceed the range of their numbers; scale the features.")
        return found

    def _shares(
        self, Q: Float[Tensor, "q d"], numbers: int
    ) -> Iterator[tuple[Int[Tensor, "b k"], Float[Tensor, "b k"]]]:
        """The neighbours of blocks of queries and their shares, which add up to 1; a neighbour brings some numbers."""
        for rows in blocks(len(Q), 2 * self.n_neighbors * numbers * Q.element_size(), self.memory):
            found = self._nearest(Q[rows], self.n_neighbors)
            yield found.indices, shares(self.weights, found.distances)


@register(
    "classifier",
    "knn",
    family="neighbors",
    paper="Cover & Hart 1967, Nearest neighbor pattern classification",
    year=1967,
    tiny={"n_neighbors": 3},
    peer="sklearn.neighbors.KNeighborsClassifier",
)
class KNeighborsClassifier(NeighborSearch, AbstractProbabilisticClassifier):
    """Classifies by the vote of the k nearest training samples; of classes with equal votes the first wins.

    Args:
        n_neighbors: How many samples vote.
        weights: ``"uniform"``, ``"distance"`` for one over the distance, or a function of the distances ``[q, k]``.
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, ``"minkowski"``, or a function of two matrices.
        p: Exponent of ``"minkowski"``.
        algorithm: A name of :data:`chainrule.estimators.neighbor_indices.ALGORITHMS`, or ``"auto"``.
        memory: Bound on temporary memory, MiB.

    Attributes:
        classes_: The classes, sorted.
        samples_: The training samples ``[n, d]``.
        codes_: Indices of their classes ``[n]``.
        n_samples_fit_: How many there are.
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        weights: Weighting = "uniform",
        metric: str | Distance = "minkowski",
        p: float = 2,
        algorithm: str = "auto",
        memory: float = 256,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.metric = metric
        self.p = p
        self.algorithm = algorithm
        self.memory = memory

    def fit(self, X: Any, y: Any) -> Self:
        """Keep the samples ``[n, d]`` and their classes ``[n]``."""
        samples, self.codes_, _ = self._begin(X, y)
        self._learn(samples)
        return self

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        count = len(self.classes_)
        votes = [
            shares.new_zeros(len(shares), count).scatter_add_(1, self.codes_[indices], shares)
            for indices, shares in self._shares(X, 2)
        ]
        return torch.cat(votes).log()


@register(
    "regressor",
    "knn",
    family="neighbors",
    paper="Altman 1992, An introduction to kernel and nearest-neighbor nonparametric regression",
    year=1992,
    tiny={"n_neighbors": 3},
    peer="sklearn.neighbors.KNeighborsRegressor",
)
class KNeighborsRegressor(NeighborSearch, AbstractRegressor):
    """Predicts the mean of the targets of the k nearest training samples; targets may be ``[n]`` or ``[n, t]``.

    Args:
        n_neighbors: How many samples are averaged.
        weights: ``"uniform"``, ``"distance"`` for one over the distance, or a function of the distances ``[q, k]``.
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, ``"minkowski"``, or a function of two matrices.
        p: Exponent of ``"minkowski"``.
        algorithm: A name of :data:`chainrule.estimators.neighbor_indices.ALGORITHMS`, or ``"auto"``.
        memory: Bound on temporary memory, MiB.

    Attributes:
        samples_: The training samples ``[n, d]``.
        targets_: Their targets ``[n]`` or ``[n, t]``.
        n_samples_fit_: How many there are.
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        weights: Weighting = "uniform",
        metric: str | Distance = "minkowski",
        p: float = 2,
        algorithm: str = "auto",
        memory: float = 256,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.metric = metric
        self.p = p
        self.algorithm = algorithm
        self.memory = memory

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Keep the samples ``[n, d]`` and their targets ``[n]`` or ``[n, t]``."""
        samples, self.targets_, _ = self._begin(X, y)
        self._learn(samples)
        return self

    def _values(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n ..."]:
        targets = self.targets_.view(len(self.targets_), -1)
        means = [
            (shares[:, None] @ targets[indices])[:, 0] for indices, shares in self._shares(X, targets.shape[1] + 1)
        ]
        return torch.cat(means).view(len(X), *self.targets_.shape[1:])


def shares(weights: Weighting, distances: Float[Tensor, "q k"]) -> Float[Tensor, "q k"]:
    """What share each neighbour has in a prediction; those of a query add up to 1.

    Args:
        weights: ``"uniform"``, ``"distance"``, or a function of the distances.
        distances: Distances of the neighbours.

    Raises:
        InputError: When the name is unknown, or the function's weights are negative, all zero, or of another shape.
    """
    if weights == "uniform":
        return torch.full_like(distances, 1 / distances.shape[1])
    if weights == "distance":
        # Times the least distance, so that nothing overflows; samples at distance zero share among themselves.
        least = distances.amin(dim=1, keepdim=True)
        weight = torch.where(least > 0, least / distances, (distances == 0).to(distances.dtype))
    elif callable(weights):
        weight = weights(distances)
        fits = isinstance(weight, Tensor) and weight.shape == distances.shape and bool((weight >= 0).all())
        if not fits or not bool((weight.isfinite().all(dim=1) & (weight > 0).any(dim=1)).all()):
            raise InputError(
                "The function given as weights takes distances [q, k] and gives weights of the same shape, finite, "
                "not negative, and not all zero for a query."
            )
    else:
        raise InputError(f'weights is "uniform", "distance" or a function of the distances; received {weights!r}.')
    return weight / weight.sum(dim=1, keepdim=True)


def others(found: Neighbours) -> Neighbours:
    """The neighbours of the samples among themselves, each without itself.

    Args:
        found: For each sample in order, one neighbour more than is wanted; itself need not be among equal samples.
    """
    own = found.indices == torch.arange(len(found.indices), device=found.indices.device)[:, None]
    own[:, -1] |= ~own.any(dim=1)
    shape = (len(own), own.shape[1] - 1)
    return Neighbours(found.distances[~own].view(shape), found.indices[~own].view(shape))


def _checked_count(estimator: Any, count: Any) -> int:
    if not isinstance(count, Integral) or isinstance(count, bool) or count < 1:
        raise InputError(
            f"The 'n_neighbors' parameter of {type(estimator).__name__} must be an int from 1 up; received {count!r}."
        )
    return int(count)
