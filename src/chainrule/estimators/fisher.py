"""Fisher's discriminant analysis as a projection: where the classes lie apart, seen from within.

R. A. Fisher, "The use of multiple measurements in taxonomic problems", 1936; C. R. Rao, "The utilization of multiple
measurements in problems of biological classification", 1948. With the covariance ``S_w`` within the classes and ``S_b``
of their means, weighted by their shares, the directions ``w`` with the greatest ``w^T S_b w / w^T S_w w`` are found as
the principal directions of the means after the samples are whitened by ``S_w``. There are at most as many as classes
less one, and each has variance 1 within the classes.

Where ``S_w`` is singular, its pseudo-inverse takes the place of its inverse: directions without spread within the
classes are left out, with a warning if the means differ there; ``shrinkage`` keeps them.

Differs from scikit-learn, where this is ``transform`` of the classifier: samples are centred, and signs are set.
"""

import warnings
from typing import Any, ClassVar, Self

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin

from chainrule.errors import InputError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractTransformer
from chainrule.estimators.class_moments import class_means, class_scatter, memberships
from chainrule.estimators.discriminant import whitening, without_rounding_of
from chainrule.nn.whitening import signed
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def directions(
    means: Float[Tensor, "k d"], share: Float[Tensor, " k"], white: Float[Tensor, "d r"]
) -> tuple[Float[Tensor, " m"], Float[Tensor, "m d"]]:
    """Ratios of the variance between the classes to that within, falling, and their directions as rows.

    Args:
        means: Means of the classes, less the mean of all.
        share: Shares of the classes.
        white: ``white white^T`` is a pseudo-inverse of the covariance within.
    """
    _, values, vectors = torch.linalg.svd(share.sqrt()[:, None] * means @ white, full_matrices=False)
    # The means have no part along the last, as their weighted sum is 0.
    most = min(len(means) - 1, len(values))
    return values[:most].square(), signed(vectors[:most] @ white.mT)


@register(
    "transformer",
    "fisher",
    family="projection",
    paper="Fisher 1936, The use of multiple measurements in taxonomic problems",
    year=1936,
    peer="sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    laws=("shards",),
)
class FisherDiscriminant(ClassNamePrefixFeaturesOutMixin, AbstractTransformer):
    """Fisher's discriminant directions, along which classes lie apart most for their spread.

    Args:
        n_components: How many are kept; None for all, the least of classes less one and features. There are fewer where
            the covariance within has a lower rank.
        shrinkage: Share ``a`` from 0 to 1: the covariance within becomes ``(1 - a) S_w + a tr(S_w) / d 1``.
        tol: Directions with less deviation than this, of features that are brought to deviation 1, count as collinear.

    Attributes:
        components_: The directions as rows, ``[m, d]``; the entry of greatest size is positive.
        explained_variance_ratio_: Share of each direction in the sum of the ratios, ``[m]``.
        means_: Means of the classes, ``[k, d]``.
        mean_: Mean of the samples, ``[d]``.
        covariance_: Covariance within the classes, ``[d, d]``.
        classes_: The classes, sorted.
        n_features_in_: Features of a sample.
    """

    sums: ClassVar[bool] = True

    def __init__(self, *, n_components: int | None = None, shrinkage: float = 0.0, tol: float = 1e-4) -> None:
        self.n_components = n_components
        self.shrinkage = shrinkage
        self.tol = tol

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there are no classes or one, each has one sample, nothing varies within the classes, or an
                option does not fit.
        """
        if not 0 <= self.shrinkage <= 1:
            raise InputError(f"shrinkage has to be from 0 to 1; received {self.shrinkage!r}.")
        if y is None:
            raise InputError("FisherDiscriminant requires y to be passed, but the target y is None.")
        samples = self._features(X)
        self.classes_, codes = arrays.encoded(y, samples)
        number, features = len(self.classes_), samples.shape[1]
        if number < 2:
            raise InputError("FisherDiscriminant needs samples of at least 2 classes, but y holds one class.")
        count, self.means_ = class_means(samples, codes, memberships(codes, None, samples, number))
        if float(count.sum()) <= number:
            raise InputError(
                f"FisherDiscriminant needs more samples than classes, to see how they spread; received "
                f"{int(count.sum())} sample(s) of {number} classes."
            )
        most = min(number - 1, features)
        wanted = most if self.n_components is None else self.n_components
        if wanted not in range(1, most + 1):
            raise InputError(
                f"n_components has to be from 1 to {most}, the least of classes less one and n_features={features}; "
                f"received {self.n_components!r}."
            )
        share = count / count.sum()
        self.mean_ = share @ self.means_
        scatter = class_scatter(samples, codes, self.means_)
        within = without_rounding_of(scatter / count.sum(), self.means_.abs().amax(dim=0))
        shrunk = (1 - self.shrinkage) * within
        shrunk.diagonal().add_(self.shrinkage * within.diagonal().mean())
        self.covariance_ = shrunk
        self._keep(share, int(wanted))
        return self

    def _keep(self, share: Float[Tensor, " k"], wanted: int) -> None:
        """Directions from means and covariance.

        Raises:
            InputError: When nothing varies within the classes.
        """
        white = whitening(self.covariance_, self.tol)
        if not white.shape[1]:
            raise InputError(
                "FisherDiscriminant found no spread within the classes: all samples of a class are the same."
            )
        between = self.means_ - self.mean_
        left = between - between @ white @ white.mT @ self.covariance_
        size = between.abs().amax(dim=0) + self.covariance_.diagonal().sqrt()
        if bool((left.abs() > 1e3 * torch.finfo(left.dtype).eps ** 0.5 * size).any()):
            warnings.warn(
                "The means of the classes differ where the samples of a class do not; FisherDiscriminant leaves these "
                "directions out. Write shrinkage=0.1 to keep them.",
                stacklevel=3,
            )
        ratios, vectors = directions(between, share, white)
        total = ratios.sum()
        self.explained_variance_ratio_ = (ratios / torch.where(total > 0, total, 1.0))[:wanted].clone()
        self.components_ = vectors[:wanted].clone()

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        return (X - self.mean_) @ self.components_.mT
