"""k-means on small batches (Sculley 2010): for more samples than one wants to visit again and again.

Each batch is drawn with probabilities in proportion to the weights; its samples are assigned to their nearest centres,
and a centre becomes the mean of all samples that were ever assigned to it. Centres that hardly any sample chose are put
on samples of a batch.
"""

import math
from typing import Any, Self

import torch

from chainrule.errors import InputError
from chainrule.estimators import arrays, moments
from chainrule.estimators.kmeans import MEMORY, STARTS, AbstractCentres
from chainrule.estimators.lloyd import inertia
from chainrule.estimators.row_draws import RowDraws, generator, row_keys
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor


@register(
    "clusterer",
    "mini-batch-kmeans",
    family="clustering",
    paper="Sculley 2010, Web-scale k-means clustering",
    year=2010,
    tiny={"n_clusters": 3, "random_state": 0},
    peer="sklearn.cluster.MiniBatchKMeans",
)
class MiniBatchKMeans(AbstractCentres):
    """k-means that learns from small batches, by itself or as they come.

    Differs from scikit-learn: weights say how often a sample is drawn into a batch, where it then counts once, so that
    a weight of 2 is the same as a row written twice.

    Args:
        n_clusters: Number of clusters.
        init: ``"k-means++"``, ``"random"``, or centres ``[k, d]``.
        max_iter: Visits to as many samples as there are, at most.
        batch_size: Samples of a batch.
        random_state: Seed, or generator.
        tol: It ends when the squared movements of the centres add up to this part of the mean variance of a feature;
            0 for never.
        max_no_improvement: It ends after so many batches in which the smoothed inertia did not fall; None for never.
        init_size: Samples among which a start is chosen; None for three batches.
        n_init: Starts, of which the best goes on; ``"auto"`` is 3 for ``"random"``, else 1.
        reassignment_ratio: Centres with a smaller part of the greatest count are put elsewhere.

    Attributes:
        cluster_centers_: Centres ``[k, d]``.
        counts_: Samples that each centre is the mean of.
        labels_: Cluster of each sample, after ``partial_fit`` of those of its batch.
        inertia_: Weighted sum of the squared distances of these samples to their centres.
        n_iter_: Visits to as many samples as there are.
        n_steps_: Batches.
        since_: Samples since unused centres were last put elsewhere.
        n_features_in_: Features of a sample.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: int | str = "auto",
        reassignment_ratio: float = 0.01,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio

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
        if self.max_iter < 1 or self.batch_size < 1:
            raise InputError(
                f"max_iter and batch_size have to be 1 or more; received {self.max_iter!r} and {self.batch_size!r}."
            )
        samples = self._features(X)
        self._enough(samples)
        weight = arrays.weights(sample_weight, samples)
        weight = torch.ones_like(samples[:, 0]) if weight is None else weight
        centre = moments.mean(samples, weight)
        tolerance = self._tolerance(samples - centre, weight, self.tol)
        draw = generator(self.random_state)
        draws = RowDraws(samples, row_keys(samples), draw)
        self._start(samples, weight, draws)
        per_visit = math.ceil(int((weight > 0).sum()) / self.batch_size)
        smooth, best, since = math.inf, math.inf, 0
        share = min(1.0, 2 * self.batch_size / (int((weight > 0).sum()) + 1))
        for step in range(self.max_iter * per_visit):
            if step % per_visit == 0:
                visit = draws.places(weight, per_visit * self.batch_size).split(self.batch_size)
            batch = samples[visit[step % per_visit]]
            old = self.cluster_centers_
            labels = self._assigned(batch)
            error = float(inertia(batch, torch.ones_like(batch[:, 0]), old, labels, MEMORY)) / len(batch)
            self._learn(batch, torch.ones_like(batch[:, 0]), labels, draw)
            smooth = error if smooth == math.inf else (1 - share) * smooth + share * error
            best, since = (smooth, 0) if smooth < best else (best, since + 1)
            if self.tol > 0 and float((self.cluster_centers_ - old).square().sum()) <= tolerance:
                break
            if self.max_no_improvement is not None and since >= self.max_no_improvement:
                break
        self.n_iter_ = math.ceil(self.n_steps_ / per_visit)
        labels = self._note(samples, weight, X)
        self._warn_of_duplicates(labels)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one batch.

        Args:
            X: Samples ``[n, d]``; the first batch also gives the start.
            y: Not used.
            sample_weight: Weights ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When the first batch has fewer samples than there are clusters.
        """
        first = not hasattr(self, "cluster_centers_")
        samples = self._features(X) if first else self._known(X)
        weight = arrays.weights(sample_weight, samples)
        weight = torch.ones_like(samples[:, 0]) if weight is None else weight
        draw = generator(self.random_state)
        if first:
            self._enough(samples)
            self._start(samples, weight, RowDraws(samples, row_keys(samples), draw))
        self._learn(samples, weight, self._assigned(samples), draw)
        self.n_iter_ = self.n_steps_
        self._note(samples, weight, X)
        return self

    def _start(self, samples: Float[Tensor, "n d"], weight: Float[Tensor, " n"], draws: RowDraws) -> None:
        """The first centres: of several starts the best for a sample of the samples."""
        given = self._given(samples)
        if given is None:
            size = max(self.init_size or 3 * self.batch_size, 3 * self.n_clusters)
            some, _ = draws(weight, size)
            centre, equal = some.mean(dim=0), torch.ones_like(some[:, 0])
            tries = self.n_init if isinstance(self.n_init, int) else (3 if self.init == "random" else 1)
            among = RowDraws(some - centre, row_keys(some), draws.draw)
            found = []
            for _ in range(tries):
                self.cluster_centers_ = STARTS[self.init](among.X, equal, self.n_clusters, among)[0] + centre
                error = inertia(some, equal, self.cluster_centers_, self._assigned(some), MEMORY)
                found.append((float(error), self.cluster_centers_))
            given = min(found, key=lambda pair: pair[0])[1]
        self.cluster_centers_ = given.clone()
        self.counts_ = given.new_zeros(self.n_clusters)
        self.n_steps_, self.since_ = 0, 0

    def _learn(
        self, batch: Float[Tensor, "b d"], weight: Float[Tensor, " b"], labels: Int[Tensor, " b"], draw: torch.Generator
    ) -> None:
        """Move the centres to the means of all that was assigned to them, then unused centres to samples."""
        counts = self.counts_.index_add(0, labels, weight)
        away = (batch - self.cluster_centers_[labels]) * weight[:, None]
        moves = torch.zeros_like(self.cluster_centers_).index_add_(0, labels, away)
        centres = self.cluster_centers_ + moves / torch.where(counts > 0, counts, 1)[:, None]
        self.n_steps_ += 1
        self.since_ += len(batch)
        if self.reassignment_ratio > 0 and (not bool((counts > 0).all()) or self.since_ >= 10 * self.n_clusters):
            self.since_ = 0
            # Not more than half of the batch.
            rare = counts.argsort(stable=True)[: len(batch) // 2]
            rare = rare[counts[rare] < self.reassignment_ratio * counts.max()]
            rows = torch.randperm(len(batch), generator=draw)[: len(rare)].to(batch.device)
            kept = torch.ones_like(counts, dtype=torch.bool)
            kept[rare] = False
            centres[rare] = batch[rows]
            counts[rare] = counts[kept].min()
        self.cluster_centers_, self.counts_ = centres, counts

    def _note(self, samples: Float[Tensor, "n d"], weight: Float[Tensor, " n"], X: Any) -> Int[Tensor, " n"]:
        labels = self._assigned(samples)
        self.inertia_ = float(inertia(samples, weight, self.cluster_centers_, labels, MEMORY))
        self.labels_ = arrays.given_back(labels, X)
        return labels
