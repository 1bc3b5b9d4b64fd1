"""Factor analysis: a few hidden factors, and noise of its own in each feature.

C. Spearman, " 'General intelligence', objectively determined and measured", 1904; the algorithm is expectation
maximisation (D. B. Rubin and D. T. Thayer, "EM algorithms for ML factor analysis", 1982) in the form of D. Barber,
"Bayesian reasoning and machine learning", 2012, 21.1:

    x = W^T z + mean + e,    z ~ N(0, 1),    e ~ N(0, diag(psi)),    so  x ~ N(mean, W^T W + diag(psi)).

With ``v_k, u_k`` the leading eigenpairs of the covariance of ``x / sqrt(psi)``, ``W_k = sqrt(max(v_k - 1, 0)) u_k
sqrt(psi)`` maximises the likelihood for this ``psi``, and ``psi = var(x) - sum_k W_k^2`` follows. The covariance is all
that is needed, ``[d, d]``, so a step costs the same for any number of samples, and these may lie on several processes.

Differs from scikit-learn: ``psi`` begins with the variances, and its floor is a share of them, so that units do not
matter; the eigenvectors are exact, as with its ``svd_method="lapack"``; the log-likelihood is that of the model also
where a factor vanishes; rotations are left to it.
"""

import math
import warnings
from typing import Any, ClassVar, Self

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import InputError
from chainrule.estimators import arrays, moments
from chainrule.estimators.base import AbstractTransformer
from chainrule.estimators.class_moments import without_rounding
from chainrule.estimators.memory import blocks
from chainrule.estimators.projections import checked_count, enough_rows
from chainrule.nn.whitening import principal
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def step(covariance: Float[Tensor, "d d"], psi: Float[Tensor, " d"], count: int) -> tuple[Float[Tensor, "k d"], float]:
    """The best loadings for given noise, and the mean log-likelihood of a sample that they reach.

    Args:
        covariance: Covariance of the samples, divided by ``n``.
        psi: Variance of the noise of each feature.
        count: Factors.
    """
    root = psi.sqrt()
    values, vectors = principal(covariance / root / root[:, None])
    leading = values[:count]
    loadings = (leading - 1).clamp(min=0).sqrt()[:, None] * vectors[:count] * root
    # A direction that varies less than the noise gets no factor: the model leaves it variance 1.
    explained = torch.where(leading > 1, leading.clamp(min=1).log() + 1, leading).sum() + values[count:].sum()
    return loadings, -0.5 * (len(psi) * math.log(2 * math.pi) + float(explained + psi.log().sum()))


def hidden(
    loadings: Float[Tensor, "k d"], psi: Float[Tensor, " d"]
) -> tuple[Float[Tensor, "k k"], Float[Tensor, " k"], Float[Tensor, "k d"]]:
    """Singular value decomposition of the loadings in units of the noise, of which all that follows is made."""
    turn, values, vectors = torch.linalg.svd(loadings / psi.sqrt(), full_matrices=False)
    return turn, values, vectors


@register(
    "transformer",
    "factor-analysis",
    family="projection",
    paper="Rubin and Thayer 1982, EM algorithms for ML factor analysis",
    year=1982,
    tiny={"n_components": 1},
    peer="sklearn.decomposition.FactorAnalysis",
    laws=("shards",),
)
class FactorAnalysis(ClassNamePrefixFeaturesOutMixin, AbstractTransformer):
    """Factor analysis; the new features are the posterior means of the factors.

    Args:
        n_components: Factors; None for one for each feature.
        tol: Learning ends when the log-likelihood of all samples rises by less.
        max_iter: The most steps.
        memory: Bound of the temporary memory of ``score_samples``, MiB.

    Attributes:
        components_: Loadings of the factors, ``[k, d]``; the entry of greatest size is positive.
        noise_variance_: Variance of the noise of each feature, ``[d]``.
        mean_: Mean of the samples, ``[d]``.
        loglike_: Log-likelihood of all samples at each step.
        n_iter_: Steps that were taken.
        n_features_in_: Features of a sample.
    """

    sums: ClassVar[bool] = True

    def __init__(
        self, *, n_components: int | None = None, tol: float = 1e-2, max_iter: int = 1000, memory: float = 256
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.memory = memory

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
        if not self.max_iter >= 1 or not self.tol >= 0:
            raise InputError(
                f"Factor analysis wants max_iter from 1 up and tol from 0 up; received {self.max_iter!r}, {self.tol!r}."
            )
        samples = self._features(X)
        rows, features = enough_rows(self, samples), samples.shape[1]
        count = features if self.n_components is None else checked_count(self.n_components, features, features)
        self.mean_ = moments.mean(samples, None)
        covariance = moments.gram(samples, samples[:, :0], None, self.mean_) / rows
        variance = without_rounding(covariance.diagonal(), self.mean_)
        least = max(1e-12, torch.finfo(samples.dtype).eps) * torch.where(variance > 0, variance, 1.0)
        psi = torch.where(variance > 0, variance, 1.0)
        self.loglike_: list[float] = []
        for turn in range(1, self.max_iter + 1):
            self.n_iter_ = turn
            self.components_, likelihood = step(covariance, psi, count)
            self.noise_variance_ = psi
            self.loglike_.append(rows * likelihood)
            if turn > 1 and self.loglike_[-1] - self.loglike_[-2] < self.tol:
                return self
            psi = torch.maximum(variance - self.components_.square().sum(dim=0), least)
        warnings.warn(
            f"FactorAnalysis did not converge in {self.max_iter} steps; write a greater max_iter or tol.",
            ConvergenceWarning,
            stacklevel=2,
        )
        return self

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        turn, values, vectors = hidden(self.components_, self.noise_variance_)
        white = (X - self.mean_) / self.noise_variance_.sqrt()
        return (white @ vectors.mT * (values / (1 + values.square()))) @ turn.mT

    def get_covariance(self) -> Any:
        """The covariance of the model, ``W^T W + diag(psi)``.

        Returns:
            ``[d, d]``.
        """
        check_is_fitted(self)
        return self.components_.mT @ self.components_ + self.noise_variance_.diag()

    def score_samples(self, X: Any) -> Any:
        """The log-likelihood of each sample.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n]``.
        """
        samples = self._known(X)
        _, values, vectors = hidden(self.components_, self.noise_variance_)
        size = 1 + values.square()
        constant = len(self.mean_) * math.log(2 * math.pi) + self.noise_variance_.log().sum() + size.log().sum()
        distance = samples.new_empty(len(samples))
        for part in blocks(len(samples), 4 * samples.shape[1] * samples.element_size(), self.memory):
            white = (samples[part] - self.mean_) / self.noise_variance_.sqrt()
            along = white @ vectors.mT
            # What no factor reaches is taken from the sample, not from its length, where digits would be lost.
            rest = white - along @ vectors
            distance[part] = rest.square().sum(dim=1) + (along.square() / size).sum(dim=1)
        return arrays.given_back(-0.5 * (constant + distance), X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-likelihood of a sample.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.
        """
        return float(self.score_samples(X).mean())
