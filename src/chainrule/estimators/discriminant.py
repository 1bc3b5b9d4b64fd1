"""Gaussian discriminant analysis: a Gaussian for each class, and Bayes' rule.

R. A. Fisher, "The use of multiple measurements in taxonomic problems", 1936; B. L. Welch, "Note on discriminant
functions", 1939. With ``p(x | c) = N(mean_c, S_c)``, fitted by maximum likelihood (scatter divided by the number of
samples), the class with the greatest

    log p(c) - 1/2 log |S_c| - 1/2 (x - mean_c)^T S_c^-1 (x - mean_c)

wins: a quadratic surface (QDA), and a plane where all classes share one ``S`` (LDA), the scatter of all samples around
the means of their classes. Both learn from sums, so the rows may lie on several processes.

Differs from scikit-learn: ``tol`` of QDA is relative to the spread of the features, so that units do not matter, and
priors that do not add up to 1 are refused.
"""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractProbabilisticClassifier, DecisionFunction
from chainrule.estimators.class_moments import class_means, class_scatter, given_priors, memberships, without_rounding
from chainrule.estimators.memory import blocks
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor


def without_rounding_of(covariance: Float[Tensor, "d d"], mean: Float[Tensor, " d"]) -> Float[Tensor, "d d"]:
    """A covariance, with zeros for features whose variance is no more than the rounding of their mean."""
    varies = without_rounding(covariance.diagonal(), mean) > 0
    return covariance * varies * varies[:, None]


def whitening(covariance: Float[Tensor, "d d"], least: float) -> Float[Tensor, "d r"]:
    """A matrix ``W`` with ``W W^T`` a pseudo-inverse of a covariance: ``W^T x`` has covariance 1 in ``r`` directions.

    Features are brought to deviation 1 before the rank is decided, so that their units do not matter.

    Args:
        covariance: Symmetric, without negative eigenvalues.
        least: Directions with a smaller deviation than this are left out.
    """
    deviation = covariance.diagonal().sqrt()
    deviation = torch.where(deviation > 0, deviation, 1.0)
    values, vectors = torch.linalg.eigh(covariance / deviation / deviation[:, None])
    noise = len(values) * torch.finfo(values.dtype).eps * float(values[-1])
    kept = values > max(least**2, noise)
    return vectors[:, kept] / values[kept].sqrt() / deviation[:, None]


def factor(covariance: Float[Tensor, "d d"], least: float) -> Float[Tensor, "d d"] | None:
    """The Cholesky factor of a covariance, or None where it is singular.

    Args:
        covariance: Symmetric.
        least: It is singular when the features before one leave less than this share of its deviation.
    """
    deviation = covariance.diagonal().sqrt()
    if not bool((deviation > 0).all()):
        return None
    lower, failed = torch.linalg.cholesky_ex(covariance / deviation / deviation[:, None])
    noise = (len(lower) * torch.finfo(lower.dtype).eps) ** 0.5
    if int(failed) or not float(lower.diagonal().min()) > max(least, noise):
        return None
    return lower * deviation[:, None]


def quadratic_scores(
    X: Float[Tensor, "n d"], means: Float[Tensor, "k d"], factors: Float[Tensor, "k d d"], memory: float
) -> Float[Tensor, "n k"]:
    """``-1/2 log |S_c| - 1/2 (x - mean_c)^T S_c^-1 (x - mean_c)`` with the Cholesky factors of ``S_c``.

    Args:
        X: Samples.
        means: Means of the classes.
        factors: Lower triangles.
        memory: Bound of the temporary memory, MiB.
    """
    constant = factors.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    scores = X.new_empty(len(X), len(means))
    for rows in blocks(len(X), 3 * means.numel() * X.element_size(), memory):
        white = torch.linalg.solve_triangular(factors, (X[rows] - means[:, None]).mT, upper=False)
        scores[rows] = -constant - 0.5 * white.square().sum(dim=1).T
    return scores


@register(
    "classifier",
    "lda",
    family="bayes",
    paper="Fisher 1936, The use of multiple measurements in taxonomic problems",
    year=1936,
    peer="sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    laws=("shards",),
)
class LinearDiscriminantAnalysis(DecisionFunction, AbstractProbabilisticClassifier):
    """Gaussian discriminant analysis with one covariance for all classes.

    Where features are collinear the pseudo-inverse of the covariance takes the place of its inverse: directions without
    spread within the classes are left out, with a warning if the means differ along one.

    Args:
        priors: Probabilities of the classes; None for their shares of the samples.
        tol: Directions with less deviation than this, of features that are brought to deviation 1, count as collinear.

    Attributes:
        covariance_: The shared covariance, ``[d, d]``.
        means_: Means of the classes, ``[k, d]``.
        priors_: Probabilities of the classes, ``[k]``.
        coef_: Weights of the score of each class, ``[k, d]``; of two classes their difference, ``[1, d]``.
        intercept_: Its constants, ``[k]`` or ``[1]``.
    """

    sums: ClassVar[bool] = True

    def __init__(self, *, priors: Sequence[float] | None = None, tol: float = 1e-4) -> None:
        self.priors = priors
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there is one class, each has one sample, nothing varies within the classes, or the priors
                do not fit.
        """
        samples, codes, _ = self._begin(X, y, least_classes=2)
        count, means = class_means(samples, codes, memberships(codes, None, samples, len(self.classes_)))
        if float(count.sum()) <= len(count):
            raise InputError(
                f"LinearDiscriminantAnalysis needs more samples than classes, to see how they spread; received "
                f"{int(count.sum())} sample(s) of {len(count)} classes."
            )
        self.priors_, self.means_ = given_priors(self.priors, count), means
        scatter = class_scatter(samples, codes, means)
        self.covariance_ = without_rounding_of(scatter / count.sum(), means.abs().amax(dim=0))
        self._solve()
        return self

    def _solve(self) -> None:
        """Weights and constants from priors, means and covariance."""
        white = whitening(self.covariance_, self.tol)
        if not white.shape[1]:
            raise InputError(
                "LinearDiscriminantAnalysis found no spread within the classes: all samples of a class are the same."
            )
        centre = self.priors_ @ self.means_
        between = self.means_ - centre
        inside = between @ white
        coef = inside @ white.T
        left = between - coef @ self.covariance_
        size = between.abs().amax(dim=0) + self.covariance_.diagonal().sqrt()
        if bool((left.abs() > 1e3 * torch.finfo(left.dtype).eps ** 0.5 * size).any()):
            warnings.warn(
                "The means of the classes differ where the samples of a class do not; LinearDiscriminantAnalysis "
                "leaves these directions out.",
                stacklevel=3,
            )
        intercept = self.priors_.log() - 0.5 * inside.square().sum(dim=1) - coef @ centre
        if len(coef) == 2:
            coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
        self.coef_, self.intercept_ = coef, intercept

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        scores = X @ self.coef_.T + self.intercept_
        return torch.cat([torch.zeros_like(scores), scores], dim=1) if len(self.classes_) == 2 else scores


@register(
    "classifier",
    "qda",
    family="bayes",
    paper="Welch 1939, Note on discriminant functions",
    year=1939,
    peer="sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis",
    laws=("shards",),
)
class QuadraticDiscriminantAnalysis(DecisionFunction, AbstractProbabilisticClassifier):
    """Gaussian discriminant analysis with a covariance for each class.

    Args:
        priors: Probabilities of the classes; None for their shares of the samples.
        reg_param: Each covariance ``S`` becomes ``(1 - reg_param) S + reg_param 1``.
        tol: A covariance is singular when the other features leave less than this share of one's deviation.
        memory: Bound of the temporary memory of a prediction, MiB.

    Attributes:
        means_: Means of the classes, ``[k, d]``.
        priors_: Probabilities of the classes, ``[k]``.
        factors_: Cholesky factors of their covariances, ``[k, d, d]``.
    """

    sums: ClassVar[bool] = True

    def __init__(
        self,
        *,
        priors: Sequence[float] | None = None,
        reg_param: float = 0.0,
        tol: float = 1e-4,
        memory: float = 256,
    ) -> None:
        self.priors = priors
        self.reg_param = reg_param
        self.tol = tol
        self.memory = memory

    @property
    def covariance_(self) -> Float[Tensor, "k d d"]:
        """The covariances of the classes, regularised."""
        return self.factors_ @ self.factors_.mT

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there is one class, a class has one sample, a covariance is singular, or an option does not
                fit.
        """
        if not 0 <= self.reg_param <= 1:
            raise InputError(f"reg_param has to be from 0 to 1; received {self.reg_param!r}.")
        samples, codes, _ = self._begin(X, y, least_classes=2)
        count, means = class_means(samples, codes, memberships(codes, None, samples, len(self.classes_)))
        if bool((count < 2).any()):
            alone = self.classes_.tolist()[int(count.argmin())]
            raise InputError(
                f"y has only 1 sample in class {alone!r}, so its covariance is unknown; add samples of it."
            )
        self.priors_, self.means_ = given_priors(self.priors, count), means
        self.factors_ = torch.stack([self._factor(samples, codes, code, count) for code in range(len(count))])
        return self

    def _factor(
        self, X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], code: int, count: Float[Tensor, " k"]
    ) -> Float[Tensor, "d d"]:
        """The Cholesky factor of the covariance of one class."""
        mean = self.means_[code]
        mine = X[codes == code]
        scatter = class_scatter(mine, codes.new_zeros(len(mine)), mean[None])
        covariance = without_rounding_of(scatter / count[code], mean)
        unit = torch.eye(len(mean), dtype=X.dtype, device=X.device)
        lower = factor((1 - self.reg_param) * covariance + self.reg_param * unit, self.tol)
        if lower is None:
            raise InputError(
                f"The covariance matrix of class {self.classes_.tolist()[code]!r} is not full rank, with "
                f"{int(count[code])} samples and {len(mean)} features; write reg_param=0.1 or less, or leave collinear "
                "features out."
            )
        return lower

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.priors_.log() + quadratic_scores(X, self.means_, self.factors_, self.memory)
