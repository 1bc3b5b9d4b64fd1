"""Principal components, whitening and truncated singular value decomposition.

K. Pearson, "On lines and planes of closest fit to systems of points in space", 1901; H. Hotelling, "Analysis of a
complex of statistical variables into principal components", 1933; C. Eckart and G. Young, "The approximation of one
matrix by another of lower rank", 1936; A. Kessy, A. Lewin and K. Strimmer, "Optimal whitening and decorrelation", 2018.

With the covariance ``V diag(v) V^T`` of samples, ``z = V_k^T (x - mean)`` keeps the most variance that ``k`` numbers
can keep, ``z / sqrt(v)`` has covariance 1 (PCA whitening), and ``V diag(1 / sqrt(v)) V^T (x - mean)`` has so too and
stays nearest to ``x`` (ZCA whitening). Without the mean, ``V`` are right singular vectors of the table itself. How
``V`` is found stands in :mod:`chainrule.estimators.directions`.

Differs from scikit-learn: whitening gives 0, not noise, in a direction without variance; ``"randomized"`` goes on to a
tolerance; sparse tables, ``n_components="mle"`` and the density of probabilistic PCA are left to it.
"""

from numbers import Real
from typing import Any, ClassVar, Self

import torch
from sklearn.base import OneToOneFeatureMixin

from chainrule.errors import InputError
from chainrule.estimators import moments
from chainrule.estimators.base import AbstractTransformer
from chainrule.estimators.directions import named_solver, squares
from chainrule.estimators.projections import Invertible, checked_count, enough_rows
from chainrule.nn.whitening import inverse_deviations
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "transformer",
    "pca",
    family="projection",
    paper="Pearson 1901, On lines and planes of closest fit to systems of points in space",
    year=1901,
    tiny={"n_components": 2},
    peer="sklearn.decomposition.PCA",
    laws=("shards",),
)
class PCA(Invertible, AbstractTransformer):
    """Principal components: the directions along which samples vary most.

    Args:
        n_components: How many are kept; a share of the variance below 1 for as many as it takes; None for all,
            ``min(n, d)``.
        whiten: Whether each new feature gets variance 1.
        svd_solver: How they are found: ``"auto"``, ``"covariance_eigh"``, ``"full"`` or ``"randomized"``.
        random_state: Seed, or generator, of ``"randomized"``.

    Attributes:
        components_: The directions as rows, most variance first, ``[k, d]``; the entry of greatest size is positive.
        explained_variance_: Variance along each, divided by ``n - 1``, ``[k]``.
        explained_variance_ratio_: Its share of the variance of all features, ``[k]``.
        singular_values_: Singular values of the centred samples, ``[k]``.
        mean_: Mean of the samples, ``[d]``.
        noise_variance_: Mean variance along the directions that are not kept.
        n_components_: How many are kept.
        n_samples_: Samples that were learned from.
        n_features_in_: Features of a sample.
    """

    sums: ClassVar[bool] = True

    def __init__(
        self,
        *,
        n_components: float | None = None,
        whiten: bool = False,
        svd_solver: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.svd_solver = svd_solver
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Not used; scikit-learn's pipelines pass it.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there is one sample, or an option does not fit.
        """
        samples = self._features(X)
        rows, features = enough_rows(self, samples), samples.shape[1]
        share = self.n_components if isinstance(self.n_components, Real) else None
        share = float(share) if share is not None and 0 < share < 1 else None
        count = checked_count(None if share else self.n_components, rows, features)
        solver = named_solver(self.svd_solver)
        self.mean_ = moments.mean(samples, None)
        values, vectors = solver(samples, self.mean_, count, self.random_state)
        variances = values.square() / (rows - 1)
        if len(values) == min(rows, features):
            variance = variances.sum()
        else:
            variance = squares(samples, self.mean_, vectors)[0].sum() / (rows - 1)
        if share:
            count = min(int((variances.cumsum(0) <= share * variance).sum()) + 1, count)
        self.n_samples_, self.n_components_ = rows, count
        self.components_, self.singular_values_ = vectors[:count].clone(), values[:count].clone()
        self.explained_variance_ = variances[:count].clone()
        self.explained_variance_ratio_ = self.explained_variance_ / torch.where(variance > 0, variance, 1.0)
        left = (variance - self.explained_variance_.sum()).clamp(min=0)
        self.noise_variance_ = float(left) / max(1, min(rows, features) - count)
        return self

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        scores = (X - self.mean_) @ self.components_.mT
        return scores * inverse_deviations(self.explained_variance_, X.shape[1]) if self.whiten else scores

    def _restored(self, Z: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
        scores = Z.to(self.components_)
        if self.whiten:
            scores = scores * self.explained_variance_.sqrt()
        return scores @ self.components_ + self.mean_


@register(
    "transformer",
    "zca",
    family="projection",
    paper="Kessy, Lewin and Strimmer 2018, Optimal whitening and decorrelation",
    year=2018,
    laws=("shards",),
)
class ZCA(OneToOneFeatureMixin, Invertible, AbstractTransformer):
    """Whitening that stays nearest to the samples: no correlation, variance 1, as little turned as can be.

    Args:
        epsilon: Share of the greatest variance that is added to each; it keeps the noise of weak directions small.

    Attributes:
        components_: The principal directions as rows, ``[min(n, d), d]``.
        explained_variance_: Variance along each, divided by ``n - 1``.
        mean_: Mean of the samples, ``[d]``.
        n_features_in_: Features of a sample.
    """

    sums: ClassVar[bool] = True

    def __init__(self, *, epsilon: float = 0.0) -> None:
        self.epsilon = epsilon

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Not used; scikit-learn's pipelines pass it.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there is one sample, or ``epsilon`` is negative.
        """
        if not self.epsilon >= 0:
            raise InputError(f"Whitening wants an epsilon from 0 up; received {self.epsilon!r}.")
        samples = self._features(X)
        rows = enough_rows(self, samples)
        self.mean_ = moments.mean(samples, None)
        values, self.components_ = named_solver("auto")(samples, self.mean_, min(rows, samples.shape[1]), 0)
        self.explained_variance_ = values.square() / (rows - 1)
        return self

    @property
    def _n_features_out(self) -> int:
        return len(self.mean_)

    def _scale(self) -> Float[Tensor, " k"]:
        return inverse_deviations(self.explained_variance_, len(self.mean_), self.epsilon)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return ((X - self.mean_) @ self.components_.mT * self._scale()) @ self.components_

    def _restored(self, Z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        scale = self._scale()
        deviation = torch.where(scale > 0, 1 / scale, 0.0)
        return (Z.to(self.components_) @ self.components_.mT * deviation) @ self.components_ + self.mean_


@register(
    "transformer",
    "truncated-svd",
    family="projection",
    paper="Eckart and Young 1936, The approximation of one matrix by another of lower rank",
    year=1936,
    peer="sklearn.decomposition.TruncatedSVD",
    laws=("shards",),
)
class TruncatedSVD(Invertible, AbstractTransformer):
    """The greatest singular triplets of the samples themselves, which are not centred: the best table of that rank.

    Args:
        n_components: How many are kept.
        algorithm: How they are found: ``"auto"``, ``"covariance_eigh"``, ``"full"`` or ``"randomized"``.
        random_state: Seed, or generator, of ``"randomized"``.

    Attributes:
        components_: Right singular vectors as rows, ``[k, d]``; the entry of greatest size is positive.
        explained_variance_: Variance of each new feature, divided by ``n``, ``[k]``.
        explained_variance_ratio_: Its share of the variance of all features, ``[k]``.
        singular_values_: The singular values, ``[k]``.
        n_features_in_: Features of a sample.
    """

    sums: ClassVar[bool] = True

    def __init__(self, *, n_components: int = 2, algorithm: str = "auto", random_state: Any = None) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Not used; scikit-learn's pipelines pass it.

        Returns:
            The estimator itself.

        Raises:
            InputError: When an option does not fit.
        """
        samples = self._features(X)
        rows = moments.rows(samples)
        count = checked_count(self.n_components, rows, samples.shape[1])
        solver = named_solver(self.algorithm)
        values, vectors = solver(samples, torch.zeros_like(samples[0]), count, self.random_state)
        self.components_, self.singular_values_ = vectors[:count].clone(), values[:count].clone()
        features, along = squares(samples, moments.mean(samples, None), self.components_)
        self.explained_variance_ = along / rows
        variance = features.sum()
        self.explained_variance_ratio_ = along / torch.where(variance > 0, variance, 1.0)
        return self

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return X @ self.components_.mT

    def _restored(self, Z: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
        return Z.to(self.components_) @ self.components_
