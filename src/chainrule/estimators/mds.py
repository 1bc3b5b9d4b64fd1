"""Multidimensional scaling: places whose distances are the given ones, as nearly as few axes allow.

- Classical scaling (Torgerson 1952): with ``J = 1 - 11'/n`` the matrix ``B = -1/2 J D^2 J`` holds inner products if D
  holds Euclidean distances; the places are the leading eigenvectors of B times the roots of their eigenvalues.
- SMACOF (de Leeuw 1977) makes the stress ``sum_{i<j} (|y_i - y_j| - d_ij)^2`` (Kruskal 1964) small. The Guttman
  transform ``y_i <- 1/n sum_j d_ij / |y_i - y_j| (y_i - y_j)`` minimises a bound that touches the stress, so that it
  falls with every step. Several starts go together.

Differs from scikit-learn: dissimilarities are taken as they are, not by their ranks alone (there is no non-metric
scaling); the default start is classical scaling, which scikit-learn announces.
"""

import math
from typing import Any, NamedTuple

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_random_state

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractEmbedding
from chainrule.estimators.distances import Distance, named_distance
from chainrule.estimators.kernel_pca import components
from chainrule.estimators.memory import MIB, blocks
from chainrule.estimators.spectra import doubly_centred
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

#: Bytes of a block of pairs on the CPU, so that it stays in the cache.
BLOCK = 2**20


class Scaled(NamedTuple):
    """Places of classical scaling.

    Attributes:
        values: Leading eigenvalues of B, falling; 0 where they are negative.
        places: The places.
    """

    values: Float[Tensor, " m"]
    places: Float[Tensor, "n m"]


class Smacof(NamedTuple):
    """Where several starts have led.

    Attributes:
        places: Places from each start.
        stress: Half the sum of ``(|y_i - y_j| - d_ij)^2`` over ordered pairs.
        steps: Guttman transforms that were done.
    """

    places: Float[Tensor, "r n m"]
    stress: Float[Tensor, " r"]
    steps: list[int]


def dissimilarities(X: Float[Tensor, "n d"], metric: str | Distance, memory: float) -> Float[Tensor, "n n"]:
    """How far samples are from each other.

    Args:
        X: Samples, or with ``"precomputed"`` the dissimilarities themselves.
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, a function of two matrices, or
            ``"precomputed"``.
        memory: Bound on temporary memory, MiB.

    Raises:
        InputError: When precomputed dissimilarities are not square, symmetric and above zero.
    """
    if metric != "precomputed":
        distance, found = named_distance(metric), X.new_empty(len(X), len(X))
        for rows in blocks(len(X), 8 * len(X) * X.element_size(), memory):
            found[rows] = distance(X[rows], X)
        return found
    if X.shape[0] != X.shape[1]:
        raise InputError(f"Precomputed dissimilarities have to be [n, n]; received {list(X.shape)}.")
    tolerance = 1e-10 if X.dtype == torch.float64 else 1e-5
    if not torch.allclose(X, X.T, rtol=tolerance, atol=tolerance) or bool((X < 0).any()):
        raise InputError("Precomputed dissimilarities have to be symmetric and not negative; write (D + D.T) / 2.")
    return X


def classical(distances: Float[Tensor, "n n"], count: int) -> Scaled:
    """Classical scaling.

    Args:
        distances: Symmetric.
        count: How many axes.
    """
    inner = distances.square().mul_(-0.5)
    means = inner.mean(dim=0)
    values, vectors = components(doubly_centred(inner, means, means.mean()), count)
    places = distances.new_zeros(len(distances), count)
    places[:, : len(values)] = (vectors * values.sqrt()[:, None]).T
    return Scaled(values, places)


def smacof(distances: Float[Tensor, "n n"], starts: Float[Tensor, "r n m"], max_iter: int, eps: float) -> Smacof:
    """Stress majorisation from several starts at once.

    Args:
        distances: ``d_ij``, symmetric.
        starts: Where to begin.
        max_iter: Guttman transforms at most.
        eps: A start is done when a transform lowers its stress by less than this share of the sum of squared
            distances in the picture.
    """
    places, stress = starts.clone(), starts.new_full((len(starts),), math.inf)
    active, steps = torch.arange(len(starts), device=starts.device), [0] * len(starts)
    for step in range(max_iter + 1):
        now, size, following = _transformed(distances, places[active])
        # The stress of the start itself is not compared: any first step is taken.
        going = torch.ones_like(now, dtype=torch.bool) if step < 2 else (stress[active] - now) / size >= eps
        stress[active] = now
        for start in active.tolist():
            steps[start] = step
        active, following = active[going], following[going]
        if not len(active) or step == max_iter:
            break
        places[active] = following
    return Smacof(places, stress, steps)


def _transformed(
    distances: Float[Tensor, "n n"], places: Float[Tensor, "r n m"]
) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"], Float[Tensor, "r n m"]]:
    """Stress of the places, half their sum of squared distances, and their Guttman transform, in one pass."""
    starts, count, _ = places.shape
    stress, size, following = places.new_zeros(starts), places.new_zeros(starts), torch.empty_like(places)
    bound = BLOCK / MIB if places.device.type == "cpu" else 256
    for rows in blocks(count, starts * count * places.element_size(), bound):
        far = torch.cdist(places[:, rows], places, compute_mode="donot_use_mm_for_euclid_dist")
        given = distances[rows]
        size += far.square().sum(dim=(1, 2)) / 2
        stress += (far - given).square_().sum(dim=(1, 2)) / 2
        ratio = torch.where(far > 0, given / far, 0)
        following[:, rows] = ratio.sum(dim=2, keepdim=True) * places[:, rows] - ratio @ places
    return stress, size, following / count


@register(
    "embedding",
    "classical-mds",
    family="embeddings",
    paper="Torgerson 1952, Multidimensional scaling: I. Theory and method",
    year=1952,
    peer="sklearn.manifold.ClassicalMDS",
    exceptions={"bounds_its_memory": "The dissimilarities of all pairs are needed, n x n."},
)
class ClassicalMDS(ClassNamePrefixFeaturesOutMixin, AbstractEmbedding):
    """Classical scaling: of Euclidean distances it gives the principal components of the samples.

    Args:
        n_components: Axes.
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, a function of two matrices, or
            ``"precomputed"`` for dissimilarities ``[n, n]`` in the place of samples.
        memory: Bound on temporary memory beside the dissimilarities, MiB.

    Attributes:
        embedding_: The places ``[n, m]``.
        eigenvalues_: Leading eigenvalues of the centred inner products.
        n_features_in_: Features of a sample.
    """

    def __init__(self, *, n_components: int = 2, metric: str | Distance = "euclidean", memory: float = 256) -> None:
        self.n_components = n_components
        self.metric = metric
        self.memory = memory

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.embedding_.shape[1]

    def _embedded(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        _counted("n_components", self.n_components)
        scaled = classical(dissimilarities(X, self.metric, self.memory), self.n_components)
        self.eigenvalues_ = scaled.values
        return scaled.places


@register(
    "embedding",
    "mds",
    family="embeddings",
    paper="de Leeuw 1977, Applications of convex analysis to multidimensional scaling",
    year=1977,
    peer="sklearn.manifold.MDS",
    exceptions={"bounds_its_memory": "The dissimilarities of all pairs are needed, n x n."},
)
class MDS(ClassNamePrefixFeaturesOutMixin, AbstractEmbedding):
    """Metric multidimensional scaling by stress majorisation.

    Args:
        n_components: Axes.
        n_init: Random starts; the one that ends with the least stress counts.
        init: ``"classical_mds"``, ``"random"``, or the places ``[n, m]`` to begin from.
        max_iter: Steps from each start at most.
        eps: A start is done when a step lowers its stress by less than this share of the sum of squared distances in
            the picture.
        random_state: Seed of random starts.
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, a function of two matrices, or
            ``"precomputed"`` for dissimilarities ``[n, n]`` in the place of samples.
        memory: Bound on temporary memory beside the dissimilarities, MiB.

    Attributes:
        embedding_: The places ``[n, m]``.
        stress_: ``sum_{i<j} (|y_i - y_j| - d_ij)^2``.
        n_iter_: Steps from the best start.
        n_features_in_: Features of a sample.
    """

    def __init__(
        self,
        *,
        n_components: int = 2,
        n_init: int = 1,
        init: Any = "classical_mds",
        max_iter: int = 300,
        eps: float = 1e-6,
        random_state: Any = None,
        metric: str | Distance = "euclidean",
        memory: float = 256,
    ) -> None:
        self.n_components = n_components
        self.n_init = n_init
        self.init = init
        self.max_iter = max_iter
        self.eps = eps
        self.random_state = random_state
        self.metric = metric
        self.memory = memory

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.embedding_.shape[1]

    def _embedded(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        for name in ("n_components", "n_init", "max_iter"):
            _counted(name, getattr(self, name))
        distances = dissimilarities(X, self.metric, self.memory)
        found = smacof(distances, self._starts(distances), self.max_iter, self.eps)
        best = int(found.stress.argmin())
        self.stress_, self.n_iter_ = float(found.stress[best]), found.steps[best]
        return found.places[best].clone()

    def _starts(self, distances: Float[Tensor, "n n"]) -> Float[Tensor, "r n m"]:
        shape = (len(distances), self.n_components)
        if not isinstance(self.init, str):
            places = arrays.targets(self.init, distances)
            if places.shape != shape:
                raise InputError(f"init has to be {list(shape)}; received {list(places.shape)}.")
            return places[None]
        if self.init == "classical_mds":
            return classical(distances, self.n_components).places[None]
        if self.init == "random":
            draw = check_random_state(self.random_state).uniform(size=(self.n_init, *shape))
            return arrays.tensor(draw).to(distances)
        raise UnknownNameError("start of MDS", self.init, ["classical_mds", "random"])


def _counted(name: str, value: int) -> None:
    if value < 1:
        raise InputError(f"{name} has to be 1 or more; received {value!r}.")
