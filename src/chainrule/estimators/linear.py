"""Linear regression and ridge regression; the formulas stand in :mod:`chainrule.estimators.squares`."""

from typing import Any, ClassVar, Self

import torch

from chainrule.errors import InputError
from chainrule.estimators import moments, squares
from chainrule.estimators.base import AbstractRegressor
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


class AbstractLinear(AbstractRegressor):
    """A regressor that predicts ``w x + b``, for one target or several.

    Attributes:
        coef_: ``[d]``, or ``[t, d]`` for targets ``[n, t]``.
        intercept_: One number, or ``[t]``.
        solver_: What the solution was found by.
    """

    sums: ClassVar[bool] = True

    coef_: Tensor
    intercept_: Tensor

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _keep(self, found: squares.Solution, y: Tensor) -> None:
        several = y.ndim == 2
        self.coef_ = found.coef.T.contiguous() if several else found.coef[:, 0]
        self.intercept_ = found.intercept if several else found.intercept[0]
        self.solver_ = found.solver

    def _values(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n ..."]:
        return X @ (self.coef_.T if self.coef_.ndim == 2 else self.coef_) + self.intercept_


@register(
    "regressor",
    "least-squares",
    family="linear",
    paper="Legendre 1805, Nouvelles methodes pour la determination des orbites des cometes; Gauss 1809",
    year=1805,
    peer="sklearn.linear_model.LinearRegression",
    laws=("shards",),
)
class LinearRegression(AbstractLinear):
    """Least squares with one or several features and targets.

    Differs from scikit-learn: a direction counts as dependent below ``max(n, d)`` rounding errors, not below ``tol``
    (1e-6) of the strongest, so polynomials of high degree keep all their coefficients; constant features get exactly 0.

    Args:
        fit_intercept: Whether ``b`` is learned; else it is zero.
        solver: ``"normal"``, Cholesky's factor of the Gram matrix: fastest, but it squares the condition number.
            ``"qr"``: for ill-conditioned features. ``"svd"``: for dependent ones; gives the solution of minimal norm.
            ``"auto"`` scales the columns, measures the condition number and takes the first that is safe.

    Attributes:
        coef_: ``[d]``, or ``[t, d]`` for targets ``[n, t]``.
        intercept_: One number, or ``[t]``.
        rank_: Rank of the centred samples.
        singular_: Their singular values, greatest first.
        solver_: What was taken.
    """

    def __init__(self, *, fit_intercept: bool = True, solver: str = "auto") -> None:
        self.fit_intercept = fit_intercept
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples and targets.

        Args:
            X: Samples ``[n, d]``.
            y: Targets ``[n]`` or ``[n, t]``.
            sample_weight: Weight of each sample's squared error ``[n]``.
        """
        X, y, weight = self._begin(X, y, sample_weight)
        Y = y.reshape(len(y), -1)
        found = squares.least_squares(X, Y, weight, intercept=self.fit_intercept, solver=self.solver)
        self._keep(found, y)
        self.rank_ = found.rank
        values = torch.linalg.svdvals(found.root)
        self.singular_ = values.new_zeros(min(moments.rows(X), X.shape[1]))
        self.singular_[: len(values)] = values[: len(self.singular_)]
        return self


@register(
    "regressor",
    "ridge",
    family="linear",
    paper="Hoerl and Kennard 1970, Ridge regression: biased estimation for nonorthogonal problems",
    year=1970,
    peer="sklearn.linear_model.Ridge",
    laws=("shards",),
)
class Ridge(AbstractLinear):
    """Least squares with the penalty ``alpha ||w||^2``, which is the MAP estimate under a Gaussian prior on ``w``.

    Args:
        alpha: Penalty, one number or one for each target. With 0 it is least squares.
        fit_intercept: Whether ``b`` is learned, which is not penalised; else it is zero.

    Attributes:
        coef_: ``[d]``, or ``[t, d]`` for targets ``[n, t]``.
        intercept_: One number, or ``[t]``.
        solver_: ``"cholesky"``, ``"dual"`` when there are fewer rows than features, or ``"svd"`` when the penalised
            Gram matrix is ill-conditioned.
    """

    def __init__(self, *, alpha: Any = 1.0, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples and targets.

        Args:
            X: Samples ``[n, d]``.
            y: Targets ``[n]`` or ``[n, t]``.
            sample_weight: Weight of each sample's squared error ``[n]``.

        Raises:
            InputError: When ``alpha`` is negative, or not one number for each target.
        """
        X, y, weight = self._begin(X, y, sample_weight)
        Y = y.reshape(len(y), -1)
        alpha = torch.as_tensor(self.alpha, dtype=X.dtype, device=X.device)
        if alpha.shape not in ((), (1,), (Y.shape[1],)) or not bool(((alpha >= 0) & alpha.isfinite()).all()):
            raise InputError(
                f"Ridge takes an alpha from 0 up, one number or one for each of {Y.shape[1]} target(s); received "
                f"{self.alpha!r}."
            )
        alpha = alpha.expand(Y.shape[1])
        self._keep(squares.ridge(X, Y, weight, alpha, intercept=self.fit_intercept), y)
        return self
