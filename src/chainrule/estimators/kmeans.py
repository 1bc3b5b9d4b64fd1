"""k-means clustering (Lloyd 1982; MacQueen 1967), on all samples or on small batches (Sculley 2010).

``z_j = argmin_i |x_j - mu_i|^2`` and ``mu_i = mean of the x_j with z_j = i``, in turn until nothing changes; the
within-cluster sum of squares ``sum_i sum_{x in S_i} |x - mu_i|^2`` never grows. The functions are in
:mod:`chainrule.estimators.lloyd`.
"""

import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators import arrays, moments
from chainrule.estimators.assignment import assigned
from chainrule.estimators.base import AbstractClusterer, AbstractTransformer
from chainrule.estimators.lloyd import Partition, drawn, inertia, lloyd, plus_plus
from chainrule.estimators.memory import blocks
from chainrule.estimators.row_draws import RowDraws, generator, row_keys
from chainrule.estimators.shards import total
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor

#: How the first centres are found, by name.
STARTS: dict[str, Callable[[Tensor, Tensor, int, RowDraws], tuple[Tensor, Tensor]]] = {
    "k-means++": plus_plus,
    "random": drawn,
}

#: Bound on temporary memory where it is no option, MiB.
MEMORY = 64


class AbstractCentres(ClassNamePrefixFeaturesOutMixin, AbstractTransformer, AbstractClusterer):
    """Clusters that are given by their centres.

    Attributes:
        cluster_centers_: Centres ``[k, d]``.
        inertia_: Weighted sum of the squared distances of the samples to their centres.
    """

    n_clusters: int
    init: Any
    cluster_centers_: Tensor
    inertia_: float

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the weighted sum of the squared distances of samples to their centres.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.
            sample_weight: Weights ``[n]``.
        """
        samples = self._known(X)
        weight = arrays.weights(sample_weight, samples)
        weight = torch.ones_like(samples[:, 0]) if weight is None else weight
        return -float(inertia(samples, weight, self.cluster_centers_, self._assigned(samples), MEMORY))

    def _assigned(self, X: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        centre = self.cluster_centers_.mean(dim=0)
        labels = torch.empty(len(X), dtype=torch.int64, device=X.device)
        for part in blocks(len(X), X.shape[1] * X.element_size(), MEMORY):
            labels[part] = assigned(X[part] - centre, self.cluster_centers_ - centre, MEMORY)
        return labels

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The distances to the centres."""
        return torch.cdist(X, self.cluster_centers_, compute_mode="donot_use_mm_for_euclid_dist")

    def _given(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "k d"] | None:
        """The start that the user states, checked; None where it is named."""
        if not self.n_clusters >= 1:
            raise InputError(f"n_clusters has to be 1 or more; received {self.n_clusters!r}.")
        if isinstance(self.init, str):
            if self.init not in STARTS:
                raise UnknownNameError("start of k-means", self.init, STARTS)
            return None
        stated = torch.as_tensor(self.init, dtype=X.dtype, device=X.device)
        if stated.shape != (self.n_clusters, X.shape[1]) or not bool(stated.isfinite().all()):
            raise InputError(
                f"init has to hold one finite centre for each of the {self.n_clusters} clusters, "
                f"[{self.n_clusters}, {X.shape[1]}], or name one of {', '.join(STARTS)}; received {[*stated.shape]}."
            )
        return stated

    def _tolerance(self, X: Float[Tensor, "n d"], weight: Float[Tensor, " n"], tol: float) -> float:
        """``tol`` in the units of centred samples: times the mean variance of a feature."""
        if tol == 0:
            return 0.0
        squares = total(weight @ torch.linalg.vector_norm(X, dim=1).square())
        return tol * float(squares / moments.mass(X, weight)) / X.shape[1]

    def _enough(self, X: Float[Tensor, "n d"]) -> None:
        rows = moments.rows(X)
        if rows < self.n_clusters:
            raise InputError(f"n_samples={rows} should be >= n_clusters={self.n_clusters}.")

    def _warn_of_duplicates(self, labels: Int[Tensor, " n"]) -> None:
        used = int((total(torch.bincount(labels, minlength=self.n_clusters)) > 0).sum())
        if used < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({used}) found smaller than n_clusters ({self.n_clusters}); "
                "samples may be equal.",
                ConvergenceWarning,
                stacklevel=3,
            )


@register(
    "clusterer",
    "kmeans",
    family="clustering",
    paper="Lloyd 1982, Least squares quantization in PCM; Arthur & Vassilvitskii 2007, k-means++",
    year=1982,
    tiny={"n_clusters": 3, "random_state": 0},
    peer="sklearn.cluster.KMeans",
    laws=("shards",),
)
class KMeans(AbstractCentres):
    """k-means: each sample belongs to the nearest of k means.

    The draws of a start depend on the seed and on what the rows hold, not on their order: a shuffled table, rows on
    several processes, and a row written twice instead of weighing 2 all give the same clusters, up to rounding.

    Args:
        n_clusters: Number of clusters.
        init: ``"k-means++"``, ``"random"``, or centres ``[k, d]``.
        n_init: Starts, of which the best result is kept; ``"auto"`` is 10 for ``"random"``, else 1.
        max_iter: Iterations at most.
        tol: It ends when the squared movements of the centres add up to this part of the mean variance of a feature.
        random_state: Seed, or generator.
        memory: Bound on temporary memory besides a centred copy of the samples, MiB.

    Attributes:
        cluster_centers_: Centres ``[k, d]``.
        labels_: Cluster of each sample.
        inertia_: Weighted sum of the squared distances of the samples to their centres.
        n_iter_: Iterations of the best start.
        n_features_in_: Features of a sample.
    """

    sums: ClassVar[bool] = True

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
        memory: float = 256,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.memory = memory

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the clusters.

        Args:
            X: Samples ``[n, d]``.
            y: Not used; scikit-learn's pipelines pass it.
            sample_weight: Weights ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there are fewer samples than clusters, or an option is none of its values.
        """
        samples = self._features(X)
        weight = arrays.weights(sample_weight, samples)
        weight = torch.ones_like(samples[:, 0]) if weight is None else weight
        self._enough(samples)
        centre = moments.mean(samples, weight)
        rows = samples - centre
        best = self._best(samples, rows, weight, centre, self._tolerance(rows, weight, self.tol))
        self.cluster_centers_ = best.centres + centre
        self.n_iter_ = best.iterations
        self.inertia_ = best.inertia
        self.labels_ = arrays.given_back(best.labels, X)
        self._warn_of_duplicates(best.labels)
        return self

    def _best(self, samples: Tensor, rows: Tensor, weight: Tensor, centre: Tensor, tolerance: float) -> Partition:
        """The best result of all starts."""
        given = self._given(samples)
        if self.max_iter < 1 or not (self.n_init == "auto" or (isinstance(self.n_init, int) and self.n_init >= 1)):
            raise InputError(
                f'max_iter and n_init have to be 1 or more, or n_init="auto"; received max_iter={self.max_iter!r}, '
                f"n_init={self.n_init!r}."
            )
        if given is not None:
            starts = iter([given - centre])
        else:
            draws = RowDraws(rows, row_keys(samples), generator(self.random_state))
            tries = self.n_init if isinstance(self.n_init, int) else (10 if self.init == "random" else 1)
            starts = (STARTS[self.init](rows, weight, self.n_clusters, draws)[0] for _ in range(tries))
        found = (
            lloyd(rows, weight, start, max_iter=self.max_iter, tolerance=tolerance, memory=self.memory)
            for start in starts
        )
        return min(found, key=lambda partition: partition.inertia)
