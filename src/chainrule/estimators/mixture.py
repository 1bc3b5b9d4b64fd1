"""Gaussian mixtures (Pearson 1894) by expectation-maximisation (Dempster, Laird & Rubin 1977).

``p(x) = sum_i pi_i N(x; mu_i, Sigma_i)``. E: ``r_ji = pi_i N(x_j; mu_i, Sigma_i) / sum_l pi_l N(x_j; mu_l, Sigma_l)``.
M: ``pi_i = sum_j r_ji / n``, ``mu_i = sum_j r_ji x_j / sum_j r_ji``, and ``Sigma_i`` the covariance
weighted by ``r_ji``. The log-likelihood never falls. With one tiny spherical variance that is the same for all
components EM becomes k-means. One iteration is in :mod:`chainrule.estimators.em`.

Differs from Dempster et al.: ``reg_covar`` is added to the variances, so that no component shrinks to a point.
"""

import math
import warnings
from typing import Any, ClassVar, Self

import torch
from sklearn.base import DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators import arrays, moments
from chainrule.estimators.base import AbstractEstimator
from chainrule.estimators.covariances import COVARIANCES, AbstractCovariance
from chainrule.estimators.em import Components, em_step, first_step, log_joint, tiles
from chainrule.estimators.mixture_starts import STARTS
from chainrule.estimators.row_draws import generator
from chainrule.estimators.shards import greatest
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "clusterer",
    "gaussian-mixture",
    family="clustering",
    paper="Dempster, Laird & Rubin 1977, Maximum likelihood from incomplete data via the EM algorithm",
    year=1977,
    tiny={"n_components": 3, "random_state": 0},
    peer="sklearn.mixture.GaussianMixture",
    laws=("shards",),
)
class GaussianMixture(DensityMixin, AbstractEstimator):
    """A mixture of Gaussians, learned by EM.

    The start depends on the seed and on what the rows hold, not on their order nor on the processes that hold them.

    Args:
        n_components: Number of components.
        covariance_type: ``"full"``, ``"tied"``, ``"diag"`` or ``"spherical"``.
        tol: It ends when the mean log-likelihood of a sample grows by less.
        reg_covar: Added to the variances.
        max_iter: Iterations at most.
        n_init: Starts, of which the best result is kept.
        init_params: How memberships begin: ``"kmeans"``, ``"k-means++"``, ``"random"`` or ``"random_from_data"``.
        weights_init: First weights ``[k]``, instead.
        means_init: First means ``[k, d]``, instead.
        precisions_init: First inverse covariances, instead, in the shape of ``covariances_``.
        random_state: Seed, or generator.

    Attributes:
        weights_: Probabilities of the components.
        means_: Their means ``[k, d]``.
        covariances_: ``[k, d, d]``, ``[d, d]`` when tied, ``[k, d]`` when diagonal, ``[k]`` when spherical.
        precisions_cholesky_: Factors ``P`` of the inverse covariances ``P P^T``, in the same shape.
        labels_: The likeliest component of each sample.
        lower_bound_: Mean log-likelihood of a sample before the last M-step.
        converged_: Whether ``tol`` was reached.
        n_iter_: Iterations of the best start.
        n_features_in_: Features of a sample.
    """

    sums: ClassVar[bool] = True

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the components.

        Args:
            X: Samples ``[n, d]``.
            y: Not used; scikit-learn's pipelines pass it.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there are fewer samples than components, a covariance becomes singular, or an option is
                none of its values.
        """
        samples = self._features(X)
        kind = self._checked(samples)
        draw, centre = generator(self.random_state), moments.mean(samples, None)
        results = [
            self._learned(samples, centre, self._started(samples, centre, kind, draw)) for _ in range(self.n_init)
        ]
        best, self.lower_bound_, self.n_iter_, self.converged_ = max(results, key=lambda result: result[1])
        if not self.converged_:
            warnings.warn(
                f"EM did not converge in max_iter={self.max_iter} iterations; raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.weights_, self.means_ = best.weights, best.means + centre
        self.covariances_, self.precisions_cholesky_ = best.covariances, best.factors
        self.labels_ = arrays.given_back(self._joint(samples).argmax(dim=1), X)
        return self

    def fit_predict(self, X: Any, y: Any = None) -> Any:
        """Learn the components, and give the likeliest of each sample.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.
        """
        return self.fit(X).labels_

    def predict(self, X: Any) -> Any:
        """The likeliest component of each of the samples ``[n, d]``, counted from 0."""
        return arrays.given_back(self._joint(self._known(X)).argmax(dim=1), X)

    def score_samples(self, X: Any) -> Any:
        """The logarithm of the density at each sample.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n]``.
        """
        return arrays.given_back(self._joint(self._known(X)).logsumexp(dim=1), X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean log-likelihood of a sample.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.
        """
        return float(self._joint(self._known(X)).logsumexp(dim=1).mean())

    def predict_proba(self, X: Any) -> Any:
        """The probability of each component, given the sample.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n, k]``; rows add up to 1.
        """
        return arrays.given_back(self._joint(self._known(X)).softmax(dim=1), X)

    def sample(self, n_samples: int = 1) -> tuple[Any, Any]:
        """Draw new samples.

        Args:
            n_samples: How many.

        Returns:
            Samples ``[n, d]`` and their components ``[n]``, in the order of the components.

        Raises:
            InputError: When ``n_samples`` is below 1.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise InputError(f"n_samples has to be 1 or more; received {n_samples!r}.")
        draw, d = generator(self.random_state), self.means_.shape[1]
        pick = (
            torch.multinomial(self.weights_.cpu().double(), n_samples, replacement=True, generator=draw).sort().values
        )
        noise = torch.randn(n_samples, d, generator=draw, dtype=torch.float64).to(self.means_)
        pick = pick.to(self.means_.device)
        drawn = torch.empty_like(noise)
        for i in range(len(self.means_)):
            factors = self.precisions_cholesky_ if self.covariance_type == "tied" else self.precisions_cholesky_[[i]]
            rows = pick == i
            drawn[rows] = COVARIANCES[self.covariance_type].coloured(noise[rows].T[None], factors)[0].T
        drawn += self.means_[pick]
        return arrays.given_back(drawn, self.labels_), arrays.given_back(pick, self.labels_)

    def bic(self, X: Any) -> float:
        """Schwarz's criterion on samples ``[n, d]``; the lower the better."""
        return -2 * self.score(X) * len(X) + math.log(len(X)) * self._parameters()

    def aic(self, X: Any) -> float:
        """Akaike's criterion on samples ``[n, d]``; the lower the better."""
        return -2 * self.score(X) * len(X) + 2 * self._parameters()

    def _parameters(self) -> int:
        k, d = self.means_.shape
        return COVARIANCES[self.covariance_type].parameters(k, d) + k * d + k - 1

    def _joint(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """``log pi_i + log N(x_j; mu_i, Sigma_i)``."""
        kind, centre = COVARIANCES[self.covariance_type], self.means_.mean(dim=0)
        means = self.means_ - centre
        mixture = Components(kind, self.weights_, means, self.covariances_, self.precisions_cholesky_)
        found = X.new_empty(len(X), len(means))
        for part in tiles(X, 2 * means.numel()):
            found[part] = log_joint(mixture, kind.whitened(X[part] - centre, means, mixture.factors)).T
        return found

    def _checked(self, X: Float[Tensor, "n d"]) -> AbstractCovariance:
        """The kind of covariance, after the options were checked."""
        if self.covariance_type not in COVARIANCES:
            raise UnknownNameError("covariance_type", self.covariance_type, COVARIANCES)
        if self.init_params not in STARTS:
            raise UnknownNameError("start of a mixture", self.init_params, STARTS)
        if min(self.n_components, self.max_iter, self.n_init) < 1 or self.reg_covar < 0:
            raise InputError(
                "n_components, max_iter and n_init have to be 1 or more and reg_covar not negative; received "
                f"{self.n_components!r}, {self.max_iter!r}, {self.n_init!r} and {self.reg_covar!r}."
            )
        rows = moments.rows(X)
        if rows < max(2, self.n_components):
            raise InputError(
                f"n_samples={rows} should be >= {max(2, self.n_components)} for a mixture of "
                f"n_components={self.n_components}."
            )
        return COVARIANCES[self.covariance_type]

    def _started(
        self, X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], kind: AbstractCovariance, draw: torch.Generator
    ) -> Components:
        """The components that EM begins with, their means less ``centre``."""
        k, d = self.n_components, X.shape[1]
        weights = self._stated("weights_init", X, [k])
        means = self._stated("means_init", X, [k, d])
        precisions = self._stated("precisions_init", X, kind.shape(k, d))
        if weights is not None and not (bool((weights >= 0).all()) and abs(float(weights.sum()) - 1) < 1e-5):
            raise InputError(
                f"weights_init has to hold probabilities that add up to 1; received {self.weights_init!r}."
            )
        if means is not None:
            means = means - centre
        matrices = precisions if self.covariance_type in ("full", "tied") else None
        if matrices is not None and not torch.allclose(matrices, matrices.mT):
            raise InputError("precisions_init has to hold symmetric matrices, but one is not.")
        if weights is None or means is None or precisions is None:
            begun = first_step(X, centre, kind, STARTS[self.init_params](X, k, draw), self.reg_covar)
        else:
            begun = Components(kind, weights, means, precisions, precisions)
        covariances = begun.covariances if precisions is None else kind.inverse(precisions)
        return Components(
            kind,
            begun.weights if weights is None else weights / weights.sum(),
            begun.means if means is None else means,
            covariances,
            kind.factors(covariances),
        )

    def _stated(self, name: str, X: Float[Tensor, "n d"], shape: list[int]) -> Tensor | None:
        given = getattr(self, name)
        if given is None:
            return None
        stated = torch.as_tensor(given, dtype=X.dtype, device=X.device)
        if [*stated.shape] != shape or not bool(stated.isfinite().all()):
            raise InputError(f"{name} has to hold finite numbers of the shape {shape}; received {[*stated.shape]}.")
        return stated

    def _learned(
        self, X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], mixture: Components
    ) -> tuple[Components, float, int, bool]:
        """EM from a start: components, lower bound, iterations, and whether it converged."""
        reach = max(float((X[part] - centre).norm(dim=1).max()) for part in tiles(X, 2 * X.shape[1]))
        reach = float(greatest(X.new_tensor(reach)))
        bound = -math.inf
        for step in range(1, self.max_iter + 1):
            before = bound
            mixture, bound = em_step(X, centre, mixture, self.reg_covar, reach)
            if abs(bound - before) < self.tol:
                return mixture, bound, step, True
        return mixture, bound, self.max_iter, False
