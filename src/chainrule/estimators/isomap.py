"""Isomap: classical scaling of distances along the data (Tenenbaum, de Silva & Langford 2000).

Each sample is joined with its k nearest; the length of the shortest path between two samples stands for their distance
along the surface on which all lie, and classical scaling of these lengths unrolls it. A new sample goes through its
own nearest samples: ``-1/2 min_k (|x - x_k| + D_k)^2``, centred as the training samples were, times the eigenvectors.

Where the graph falls apart, the nearest samples of each two of its parts are joined, as scikit-learn does it.
"""

import warnings
from typing import Any, Self

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin

from chainrule.errors import InputError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractTransformer
from chainrule.estimators.distances import Distance, resolved_distance
from chainrule.estimators.geodesics import Edges, components_of, shortest_paths
from chainrule.estimators.mds import classical
from chainrule.estimators.memory import blocks
from chainrule.estimators.neighbor_indices import AbstractIndex, indexed
from chainrule.estimators.neighbor_search import Neighbours
from chainrule.estimators.neighbors import others
from chainrule.estimators.spectra import doubly_centred
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "transformer",
    "isomap",
    family="embeddings",
    paper="Tenenbaum, de Silva & Langford 2000, A global geometric framework for nonlinear dimensionality reduction",
    year=2000,
    peer="sklearn.manifold.Isomap",
    exceptions={"bounds_its_memory": "The lengths of the paths between all pairs are needed, n x n."},
)
class Isomap(ClassNamePrefixFeaturesOutMixin, AbstractTransformer):
    """Unrolls a surface: distances in the picture are lengths of paths from neighbour to neighbour.

    Args:
        n_neighbors: With how many nearest samples a sample is joined.
        n_components: Axes.
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, ``"minkowski"``, or a function of two matrices.
        p: Exponent of ``"minkowski"``.
        memory: Bound on temporary memory beside the lengths of paths, MiB.

    Attributes:
        embedding_: The places of the training samples ``[n, m]``.
        dist_matrix_: Lengths of the shortest paths between them ``[n, n]``.
        eigenvalues_: Leading eigenvalues of the centred inner products.
        samples_: The training samples.
        n_features_in_: Features of a sample.
    """

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        n_components: int = 2,
        metric: str | Distance = "minkowski",
        p: float = 2,
        memory: float = 256,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.p = p
        self.memory = memory

    @property
    def _n_features_out(self) -> int:
        return self.embedding_.shape[1]

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the lengths of paths between samples, and their places.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.

        Raises:
            InputError: When an option does not fit, or there are no more samples than neighbours.
        """
        samples = self._features(X, least=2)
        count = len(samples)
        if self.n_components < 1:
            raise InputError(f"Isomap wants n_components from 1 up; received {self.n_components!r}.")
        if not 1 <= self.n_neighbors < count:
            raise InputError(
                f"Isomap wants n_neighbors from 1 to n_samples - 1; received n_neighbors = {self.n_neighbors} and "
                f"n_samples = {count}."
            )
        self.samples_ = samples
        found = others(self._nearest(samples, self.n_neighbors + 1))
        rows = torch.arange(count, device=samples.device).repeat_interleave(self.n_neighbors)
        edges = Edges(rows, found.indices.flatten(), found.distances.flatten())
        self.dist_matrix_ = shortest_paths(edges, count, memory=self.memory)
        parts = components_of(self.dist_matrix_, self.memory)
        if bool((parts > 0).any()):
            self.dist_matrix_ = shortest_paths(self._joined(edges, parts), count, memory=self.memory)
        self.eigenvalues_, self.embedding_ = classical(self.dist_matrix_, self.n_components)
        return self

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """The places of the samples that are learned from; exactly ``embedding_``.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.
            fit_params: None are known.
        """
        return arrays.given_back(self.fit(X, y, **fit_params).embedding_, X)

    def reconstruction_error(self) -> float:
        """``|K(D) - K(D_picture)| / n`` with K the centred inner products of distances, by the Frobenius norm."""
        inner = -0.5 * self.dist_matrix_.square()
        means = inner.mean(dim=0)
        inner = doubly_centred(inner, means, means.mean())
        rest = inner.square().sum() - self.eigenvalues_.square().sum()
        return float(rest.clamp_min(0).sqrt()) / len(inner)

    def _nearest(self, Q: Float[Tensor, "q d"], k: int) -> Neighbours:
        index: AbstractIndex | None = getattr(self, "_index", None)
        if index is None or index.samples is not self.samples_:
            # A new fit, or loaded from a file, where only what was learned is kept.
            index = indexed("auto", resolved_distance(self.metric, self.p, self.samples_), self.samples_)
            self._index = index
        return index.search(Q, k, self.memory)

    def _joined(self, edges: Edges, parts: Tensor) -> Edges:
        """The graph, and edges between the nearest samples of each two of its parts."""
        names = torch.unique(parts)
        warnings.warn(
            f"The number of connected components of the neighbors graph is {len(names)} > 1; their nearest samples are "
            "joined. Write a greater n_neighbors to avoid this.",
            stacklevel=3,
        )
        distance = resolved_distance(self.metric, self.p, self.samples_)
        members = [(parts == name).nonzero()[:, 0] for name in names]
        bridges = []
        for place, one in enumerate(members):
            for other in members[:place]:
                index = indexed("brute", distance, self.samples_[other])
                near = index.search(self.samples_[one], 1, self.memory)
                row = near.distances[:, 0].argmin()
                bridges.append((one[row], other[near.indices[row, 0]], near.distances[row, 0]))
        more = (torch.stack(values) for values in zip(*bridges, strict=True))
        return Edges(*(torch.cat(pair) for pair in zip(edges, more, strict=True)))

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        means = self.dist_matrix_.square().mean(dim=0) * -0.5
        directions = self.embedding_ / self.eigenvalues_.where(self.eigenvalues_ > 0, 1)
        found, count = X.new_empty(len(X), self._n_features_out), len(self.samples_)
        for rows in blocks(len(X), (2 * self.n_neighbors + 4) * count * X.element_size(), self.memory):
            near = self._nearest(X[rows], self.n_neighbors)
            paths = (self.dist_matrix_[near.indices] + near.distances[:, :, None]).amin(dim=1)
            found[rows] = doubly_centred(paths.square_().mul_(-0.5), means, means.mean()) @ directions
        return found
