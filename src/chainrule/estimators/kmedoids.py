"""k-medoids (Kaufman & Rousseeuw 1987): clusters around k of the samples, under any distance.

The objective is ``sum_j min_i d(x_j, m_i)``. A swap makes a sample a medoid in the place of another, and is done when
it lowers the objective, until none does. FasterPAM (Schubert & Rousseeuw 2021) takes for each candidate c all k changes
at once: with ``n`` and ``s`` the distances of a sample to its nearest and second nearest medoid, removing i costs
``sum_j min(d(x_j, c), n_j) - n_j``, plus over the samples of i ``clamp(d(x_j, c), n_j, s_j) - n_j``.

Differs from FasterPAM: candidates are taken in blocks, of which the best swap is done, where it takes each as it comes.
"""

import math
import warnings
from typing import Any, Self

import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractClusterer
from chainrule.estimators.distances import Distance, resolved_distance
from chainrule.estimators.memory import MIB, blocks
from chainrule.estimators.row_draws import RowDraws, generator, row_keys
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor

#: Names of the starts.
STARTS = ("build", "k-medoids++", "random")

#: The metric of a user who brings the distances.
PRECOMPUTED = "precomputed"

#: Samples from which on a fit warns of its n^2 distances.
MANY = 50_000


class Pairs:
    """The distances between all samples, kept where they fit in memory, else computed again block by block.

    Args:
        X: Samples ``[n, d]``, or the distances ``[n, n]`` when ``distance`` is None.
        distance: Of two matrices.
        memory: Bound on temporary memory, MiB.
    """

    def __init__(self, X: Float[Tensor, "n d"], distance: Distance | None, memory: float) -> None:
        self.X, self.distance, self.memory = X, distance, memory
        self.table = X if distance is None else None
        if distance is not None and 2 * len(X) ** 2 * X.element_size() <= memory * MIB:
            self.table = torch.cat([distance(X[part], X) for part in self.parts()])

    def parts(self) -> list[slice]:
        """Blocks of candidates."""
        return list(blocks(len(self.X), 6 * len(self.X) * self.X.element_size(), self.memory))

    def __getitem__(self, rows: Int[Tensor, " b"] | slice) -> Float[Tensor, "b n"]:
        """Distances of some samples to all."""
        return self.distance(self.X[rows], self.X) if self.table is None and self.distance else self._kept()[rows]

    def _kept(self) -> Float[Tensor, "n n"]:
        assert self.table is not None
        return self.table


def swapped(pairs: Pairs, medoids: Int[Tensor, " k"], max_iter: int) -> tuple[Int[Tensor, " k"], int, bool]:
    """Swaps until none lowers the objective.

    Args:
        pairs: Distances.
        medoids: The start, without repetition.
        max_iter: Visits to all candidates, at most.

    Returns:
        The medoids, visits, and whether no swap is left.
    """
    medoids = medoids.clone()
    near = pairs[medoids]
    for step in range(1, max_iter + 1):
        changed = False
        for part in pairs.parts():
            candidates = pairs[part]
            while True:
                gain, row, place = _best_swap(candidates, near)
                # What is no more than rounding is no gain: else equal sets could follow each other for ever.
                if not gain > 8 * torch.finfo(near.dtype).eps * float(near.amin(dim=0).sum()):
                    break
                medoids[place] = part.start + row
                near[place] = candidates[row]
                changed = True
        if not changed:
            return medoids, step, True
    return medoids, max_iter, False


def _best_swap(candidates: Float[Tensor, "b n"], near: Float[Tensor, "k n"]) -> tuple[float, int, int]:
    """The greatest fall of the objective by one swap, the candidate, and the medoid that it replaces."""
    if len(near) == 1:
        first, second = near[0], torch.full_like(near[0], math.inf)
        owner = torch.zeros_like(first, dtype=torch.int64)
    else:
        found = near.topk(2, dim=0, largest=False)
        (first, second), owner = found.values, found.indices[0]
    members = torch.zeros_like(near).scatter_(0, owner[None], 1.0)
    # A member of i has min(d, s) after the swap, each other sample min(d, n).
    other = torch.minimum(candidates, first)
    loss = (torch.minimum(candidates, second) - other) @ members.T
    loss += (other - first).sum(dim=1, keepdim=True)
    best = int(loss.argmin())
    return -float(loss.flatten()[best]), best // len(near), best % len(near)


def built(pairs: Pairs, k: int) -> Int[Tensor, " k"]:
    """The start BUILD: each further medoid lowers the objective most."""
    nearest = torch.full_like(pairs[slice(0, 1)][0], math.inf)
    chosen: list[int] = []
    for _ in range(k):
        sums = torch.cat([torch.minimum(pairs[part], nearest).sum(dim=1) for part in pairs.parts()])
        sums[chosen] = math.inf
        chosen.append(int(sums.argmin()))
        nearest = torch.minimum(pairs[slice(chosen[-1], chosen[-1] + 1)][0], nearest)
    return torch.tensor(chosen, device=nearest.device)


def spread(pairs: Pairs, k: int, draws: RowDraws, power: int) -> Int[Tensor, " k"]:
    """A start by chance, each further medoid with probability in proportion to a power of its distance to the others.

    Args:
        pairs: Distances.
        k: How many.
        draws: Draws among the samples.
        power: 1 for k-medoids++, 0 for equal probabilities.
    """
    nearest = torch.ones_like(pairs[slice(0, 1)][0])
    free, chosen = torch.ones_like(nearest), []
    for step in range(k):
        weight = free * nearest**power
        index = draws(weight if bool(weight.sum() > 0) else free, 1)[1]
        chosen.append(index)
        free[index] = 0.0
        nearest = torch.minimum(pairs[index][0], nearest) if step else pairs[index][0]
    return torch.cat(chosen)


@register(
    "clusterer",
    "kmedoids",
    family="clustering",
    paper="Kaufman & Rousseeuw 1987; Schubert & Rousseeuw 2021, Fast and eager k-medoids clustering",
    year=1987,
    tiny={"n_clusters": 3, "random_state": 0},
)
class KMedoids(AbstractClusterer):
    """k-medoids: each sample belongs to the nearest of k samples, under any distance.

    The method visits all pairs of samples, so it takes time for n^2 distances in each iteration. They are kept where
    ``memory`` allows it; else they are computed anew when they are needed.

    Args:
        n_clusters: Number of clusters.
        metric: A name of :data:`chainrule.estimators.distances.NAMES`, ``"minkowski"``, ``"precomputed"`` for distances
            ``[n, n]`` in the place of samples, or a function of two matrices.
        p: Exponent of ``"minkowski"``.
        init: ``"build"``, ``"k-medoids++"`` or ``"random"``.
        max_iter: Visits to all candidates, at most.
        random_state: Seed, or generator.
        memory: Bound on temporary memory, MiB.

    Attributes:
        medoid_indices_: Rows of the medoids.
        cluster_centers_: The medoids ``[k, d]``; None for distances.
        labels_: Cluster of each sample.
        inertia_: Sum of the distances of the samples to their medoids.
        n_iter_: Visits to all candidates.
        n_features_in_: Features of a sample.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        metric: str | Distance = "euclidean",
        p: float = 2,
        init: str = "build",
        max_iter: int = 300,
        random_state: Any = None,
        memory: float = 256,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.p = p
        self.init = init
        self.max_iter = max_iter
        self.random_state = random_state
        self.memory = memory

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == PRECOMPUTED
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the medoids.

        Args:
            X: Samples ``[n, d]``, or distances ``[n, n]``.
            y: Not used; scikit-learn's pipelines pass it.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there are fewer samples than clusters, distances are not square or negative, or an option
                is none of its values.
        """
        samples = self._features(X)
        pairs = self._pairs(samples)
        if self.init not in STARTS:
            raise UnknownNameError("start of k-medoids", self.init, STARTS)
        if not 1 <= self.n_clusters <= len(samples) or self.max_iter < 1:
            raise InputError(
                f"n_samples={len(samples)} should be >= n_clusters={self.n_clusters} >= 1, and max_iter 1 or more; "
                f"received max_iter={self.max_iter}."
            )
        if self.init == "build":
            start = built(pairs, self.n_clusters)
        else:
            draws = RowDraws(samples, row_keys(samples), generator(self.random_state))
            start = spread(pairs, self.n_clusters, draws, int(self.init == "k-medoids++"))
        self.medoid_indices_, self.n_iter_, settled = swapped(pairs, start, self.max_iter)
        if not settled:
            warnings.warn(
                f"Swaps are left after max_iter={self.max_iter} visits to all samples; raise max_iter.",
                ConvergenceWarning,
                stacklevel=2,
            )
        least, labels = pairs[self.medoid_indices_].min(dim=0)
        self.cluster_centers_ = None if self.metric == PRECOMPUTED else samples[self.medoid_indices_]
        self.inertia_ = float(least.sum())
        self.labels_ = arrays.given_back(labels, X)
        return self

    def _assigned(self, X: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        if self.cluster_centers_ is None:
            return X[:, self.medoid_indices_].argmin(dim=1)
        distance = resolved_distance(self.metric, self.p, X)
        rows = blocks(len(X), 3 * (len(self.cluster_centers_) + X.shape[1]) * X.element_size(), self.memory)
        return torch.cat([distance(X[part], self.cluster_centers_).argmin(dim=1) for part in rows])

    def _pairs(self, X: Float[Tensor, "n d"]) -> Pairs:
        if len(X) > MANY:
            warnings.warn(
                f"k-medoids takes {len(X)}^2 distances for each visit; learn from a sample of {MANY} or fewer, or use "
                "k-means.",
                UserWarning,
                stacklevel=3,
            )
        if self.metric != PRECOMPUTED:
            return Pairs(X, resolved_distance(self.metric, self.p, X), self.memory)
        if X.shape[0] != X.shape[1] or bool((X < 0).any()):
            raise InputError(f"Precomputed distances have to be a square matrix, not negative; received {[*X.shape]}.")
        return Pairs(X, None, self.memory)
