"""Bases: functions of each feature, in which a linear model becomes a curve.

Bishop 2006, ch. 3: ``y = sum_j w_j phi_j(x)``; with ``Phi_ij = phi_j(x_i)`` the least-squares weights are
``(Phi^T Phi)^-1 Phi^T y``. A pipeline does that::

    make_pipeline(PolynomialBasis(degree=3), LinearRegression())

Each feature has functions of its own. Products of features are in scikit-learn's ``PolynomialFeatures``.
"""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractTransformer
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "transformer",
    "polynomial-basis",
    family="basis",
    paper="Bishop 2006, Pattern recognition and machine learning, ch. 3",
    year=2006,
    peer="sklearn.preprocessing.PolynomialFeatures",
)
class PolynomialBasis(AbstractTransformer):
    """Powers of each feature, ``phi_j(x) = x^j``.

    scikit-learn's ``PolynomialFeatures`` has the products of different features, too.

    Args:
        degree: The greatest power.
        include_bias: Whether ``x^0 = 1`` comes first, once for all features.
    """

    def __init__(self, *, degree: int = 3, include_bias: bool = True) -> None:
        self.degree = degree
        self.include_bias = include_bias

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the number of features.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.

        Raises:
            InputError: When the degree is below 1.
        """
        if not (isinstance(self.degree, int) and self.degree >= 1):
            raise InputError(f"PolynomialBasis takes a degree from 1 up; received {self.degree!r}.")
        self._features(X)
        return self

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        powers = torch.cumprod(X[:, :, None].expand(-1, -1, self.degree), dim=2).flatten(1)
        return torch.cat((torch.ones_like(X[:, :1]), powers), dim=1) if self.include_bias else powers

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names such as ``x0^2``.

        Args:
            input_features: Names of the features; those that were learned from, or ``x0``, ``x1``, ...
        """
        check_is_fitted(self, "n_features_in_")
        names = _check_feature_names_in(self, input_features)
        powers = [name if power == 1 else f"{name}^{power}" for name in names for power in range(1, self.degree + 1)]
        return np.array(["1"] * self.include_bias + powers, dtype=object)


class AbstractLocalBasis(AbstractTransformer):
    """Functions ``phi((x - c_j) / s_j)`` of each feature around centres.

    Args:
        centers: How many for each feature: they then lie at equal shares of its sorted values, from the least to the
            greatest. Or the centres themselves, ``[m]`` for all features or ``[m, d]``.
        width: ``s``, one number or one for each centre; ``"auto"`` is the mean distance between neighbouring centres of
            the feature.

    Attributes:
        centers_: ``[m, d]``.
        width_: ``[m, d]``.
    """

    centers_: Tensor
    width_: Tensor

    def __init__(self, *, centers: Any = 8, width: Any = "auto") -> None:
        self.centers = centers
        self.width = width

    @staticmethod
    @abstractmethod
    def _phi(u: Float[Tensor, "n m d"]) -> Float[Tensor, "n m d"]:
        """The function of the distance to a centre, in widths."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn where the centres lie.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.

        Raises:
            InputError: When centres or widths do not fit.
        """
        X = self._features(X)
        self.centers_ = self._placed(X)
        m = len(self.centers_)
        if isinstance(self.width, str):
            if self.width != "auto":
                raise InputError(
                    f"width has to be a number above 0, one for each centre, or 'auto'; received {self.width!r}."
                )
            span = self.centers_.amax(dim=0) - self.centers_.amin(dim=0)
            gap = span / max(m - 1, 1)
            self.width_ = torch.where(gap > 0, gap, 1.0).repeat(m, 1)
            return self
        width = torch.as_tensor(self.width, dtype=X.dtype, device=X.device)
        if width.shape not in ((), (m,)) or not bool((width > 0).all()):
            raise InputError(
                f"width has to be above 0, one number or one for each of {m} centres; received {self.width!r}."
            )
        self.width_ = width.reshape(-1, 1).expand(m, X.shape[1]).clone()
        return self

    def _placed(self, X: Tensor) -> Tensor:
        if isinstance(self.centers, int):
            if self.centers < 1:
                raise InputError(f"centers has to be a number from 1 up, or an array; received {self.centers!r}.")
            shares = torch.linspace(0, 1, self.centers, dtype=X.dtype, device=X.device)
            at = (shares if self.centers > 1 else shares + 0.5) * (len(X) - 1)
            ordered, below = X.sort(dim=0).values, at.floor().long()
            return torch.lerp(ordered[below], ordered[at.ceil().long()], (at - below)[:, None])
        centers = torch.as_tensor(self.centers, dtype=X.dtype, device=X.device)
        if centers.ndim == 1:
            centers = centers[:, None].expand(-1, X.shape[1])
        if (
            centers.ndim != 2
            or centers.shape[1] != X.shape[1]
            or not len(centers)
            or not bool(centers.isfinite().all())
        ):
            raise InputError(
                f"centers has to be a number, or an array [m] or [m, {X.shape[1]}]; received one of shape "
                f"{list(centers.shape)}."
            )
        return centers.clone()

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        # The functions of one feature stand side by side.
        return self._phi((X[:, None] - self.centers_) / self.width_).transpose(1, 2).flatten(1)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names such as ``gaussian_x0_2``.

        Args:
            input_features: Names of the features; those that were learned from, or ``x0``, ``x1``, ...
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        kind = type(self).__name__.removesuffix("Basis").lower()
        return np.array([f"{kind}_{name}_{j}" for name in names for j in range(len(self.centers_))], dtype=object)


@register(
    "transformer",
    "gaussian-basis",
    family="basis",
    paper="Bishop 2006, Pattern recognition and machine learning, ch. 3",
    year=2006,
)
class GaussianBasis(AbstractLocalBasis):
    """Gaussian bells on each feature, ``phi_j(x) = exp(-(x - c_j)^2 / (2 s_j^2))``."""

    @staticmethod
    def _phi(u: Float[Tensor, "n m d"]) -> Float[Tensor, "n m d"]:
        return torch.exp(u.square() / -2)


@register(
    "transformer",
    "sigmoid-basis",
    family="basis",
    paper="Bishop 2006, Pattern recognition and machine learning, ch. 3",
    year=2006,
)
class SigmoidBasis(AbstractLocalBasis):
    """Sigmoids on each feature, ``phi_j(x) = 1 / (1 + exp(-(x - c_j) / s_j))``."""

    @staticmethod
    def _phi(u: Float[Tensor, "n m d"]) -> Float[Tensor, "n m d"]:
        return torch.sigmoid(u)
