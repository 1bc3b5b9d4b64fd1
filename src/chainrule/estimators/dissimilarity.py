"""Dissimilarity spaces: samples described by their distances to others.

E. Pekalska and R. P. W. Duin, "The dissimilarity representation for pattern recognition", 2005; E. Pekalska, R. P. W.
Duin and P. Paclik, "Prototype selection for dissimilarity-based classifiers", 2006. A sample ``x`` becomes

    D(x, R) = [d(x, r_1), ..., d(x, r_m)]

for a representation set ``R`` of prototypes, and ordinary methods for vectors take over; ``d`` need not be a metric.
The prototypes are all samples, some of them by chance, the centres of k-means, or the medoids of k-medoids, among all
samples or among those of each class. Only samples that are learned from can be prototypes. A support vector machine
after it wants the distances scaled by the minima and maxima of the training samples, as in

    make_pipeline(DissimilaritySpace(prototypes="kmeans"), MinMaxScaler(), SVC())
"""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_random_state

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractTransformer
from chainrule.estimators.distances import Distance, resolved_distance
from chainrule.estimators.kmeans import KMeans
from chainrule.estimators.kmedoids import KMedoids
from chainrule.estimators.memory import blocks
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


class Choice(Protocol):
    """A way to choose prototypes."""

    def __call__(self, X: Tensor, count: int, distance: Distance, seed: int) -> Tensor:
        """So many prototypes ``[m, d]`` for samples ``[n, d]``."""


@dataclass(frozen=True)
class AllSamples:
    """Every sample is a prototype, however many were asked for."""

    def __call__(self, X: Tensor, count: int, distance: Distance, seed: int) -> Tensor:
        return X


@dataclass(frozen=True)
class RandomSamples:
    """Samples by chance, each at most once."""

    def __call__(self, X: Tensor, count: int, distance: Distance, seed: int) -> Tensor:
        order = torch.randperm(len(X), generator=torch.Generator().manual_seed(seed))
        return X[order[:count].to(X.device)]


@dataclass(frozen=True)
class KMeansCentres:
    """The centres of k-means, which are no samples; it clusters by the Euclidean distance, whatever the metric."""

    def __call__(self, X: Tensor, count: int, distance: Distance, seed: int) -> Tensor:
        return KMeans(n_clusters=count, random_state=seed).fit(X).cluster_centers_


@dataclass(frozen=True)
class KMedoidsSamples:
    """The medoids of k-medoids, which are samples, by the metric itself."""

    def __call__(self, X: Tensor, count: int, distance: Distance, seed: int) -> Tensor:
        return X[KMedoids(n_clusters=count, metric=distance, random_state=seed).fit(X).medoid_indices_]


#: Ways to choose prototypes by name.
CHOICES: dict[str, Choice] = {
    "all": AllSamples(),
    "random": RandomSamples(),
    "kmeans": KMeansCentres(),
    "kmedoids": KMedoidsSamples(),
}


@register(
    "transformer",
    "dissimilarity",
    family="projection",
    paper="Pekalska and Duin 2005, The dissimilarity representation for pattern recognition",
    year=2005,
    tiny={"n_prototypes": 4, "random_state": 0},
    peer="sklearn.metrics.pairwise_distances",
)
class DissimilaritySpace(ClassNamePrefixFeaturesOutMixin, AbstractTransformer):
    """Distances to prototypes as features.

    Args:
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, ``"minkowski"``, or a function of two matrices.
        p: Exponent of ``"minkowski"``.
        prototypes: ``"random"``, ``"kmeans"``, ``"kmedoids"``, ``"all"``, or a part that is called with samples, their
            number, the distance and a seed, and gives prototypes ``[m, d]``.
        n_prototypes: How many there are; with ``per_class``, of each class. Not used with ``"all"``.
        per_class: Whether they are chosen for each class by itself; then ``fit`` needs ``y``.
        random_state: Seed, or generator, of the choice.
        memory: Bound of the temporary memory of a transformation, MiB.

    Attributes:
        prototypes_: The prototypes, ``[m, d]``.
        prototype_classes_: Index of the class of each among ``classes_``, ``[m]``; None without ``per_class``.
        classes_: The classes, sorted; None without ``per_class``.
        n_features_in_: Features of a sample.
    """

    def __init__(
        self,
        *,
        metric: str | Distance = "euclidean",
        p: float = 2,
        prototypes: str | Choice = "random",
        n_prototypes: int = 10,
        per_class: bool = False,
        random_state: Any = None,
        memory: float = 256,
    ) -> None:
        self.metric = metric
        self.p = p
        self.prototypes = prototypes
        self.n_prototypes = n_prototypes
        self.per_class = per_class
        self.random_state = random_state
        self.memory = memory

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.per_class
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Choose the prototypes among samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``; used with ``per_class`` only.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there are fewer samples than prototypes, ``per_class`` lacks ``y``, or an option does not
                fit.
        """
        choice = self.prototypes
        if isinstance(choice, str):
            if choice not in CHOICES:
                raise UnknownNameError("choice of prototypes", choice, CHOICES)
            choice = CHOICES[choice]
        if self.per_class and y is None:
            raise InputError("DissimilaritySpace(per_class=True) requires y to be passed, but the target y is None.")
        samples = self._features(X)
        groups, self.classes_, self.prototype_classes_ = [samples], None, None
        if self.per_class:
            self.classes_, codes = arrays.encoded(y, samples)
            groups = [samples[codes == code] for code in range(len(self.classes_))]
        fewest = min(len(group) for group in groups)
        if not self.n_prototypes >= 1 or (self.n_prototypes > fewest and not isinstance(choice, AllSamples)):
            which = "of its smallest class" if self.per_class else ""
            raise InputError(
                f"n_prototypes has to be from 1 to n_samples={fewest}{' ' if which else ''}{which}; received "
                f"{self.n_prototypes!r}."
            )
        distance = self._distance = resolved_distance(self.metric, self.p, samples)
        random = check_random_state(self.random_state)
        found = [choice(group, self.n_prototypes, distance, int(random.randint(2**31 - 1))) for group in groups]
        self.prototypes_ = torch.cat(found).clone()
        if self.per_class:
            sizes = torch.tensor([len(part) for part in found], device=samples.device)
            self.prototype_classes_ = torch.arange(len(found), device=samples.device).repeat_interleave(sizes)
        return self

    @property
    def _n_features_out(self) -> int:
        return len(self.prototypes_)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        if not hasattr(self, "_distance"):  # after loading, which only names of distances survive
            self._distance = resolved_distance(self.metric, self.p, self.prototypes_)
        found = X.new_empty(len(X), len(self.prototypes_))
        for rows in blocks(len(X), 4 * len(self.prototypes_) * X.element_size(), self.memory):
            found[rows] = self._distance(X[rows], self.prototypes_)
        return found
