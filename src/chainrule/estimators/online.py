"""Least mean squares: the rule of Widrow and Hoff, one sample after the other.

Widrow and Hoff 1960, "Adaptive switching circuits": ``e_i = y_i - w x_i``, then ``w += alpha e_i x_i``. Normalised
(Nagumo and Noda 1967): ``w += alpha e_i x_i / ||x_i||^2``.

The samples are taken in blocks, and the result is the same: within a block that begins with ``w``, the errors that the
sequential rule meets solve ``(I + L) e = y - X w``; ``L`` is the part of ``X X^T diag(steps)`` below the diagonal.
"""

import warnings
from typing import Any, Self

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from chainrule.errors import InputError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractRegressor
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

#: Samples in a block; its triangular system has as many rows.
BLOCK = 128


def widrow_hoff(
    X: Float[Tensor, "n d"], Y: Float[Tensor, "n t"], W: Float[Tensor, "d t"], steps: Float[Tensor, " n"]
) -> Float[Tensor, "d t"]:
    """The weights after one pass over the samples in their order.

    Args:
        X: Samples.
        Y: Targets.
        W: The weights before.
        steps: Step of each sample, ``alpha`` or ``alpha / ||x||^2``.
    """
    for x, y, step in zip(X.split(BLOCK), Y.split(BLOCK), steps.split(BLOCK), strict=True):
        # Only what lies below the diagonal is read; the diagonal counts as one.
        errors = torch.linalg.solve_triangular((x @ x.T) * step, y - x @ W, upper=False, unitriangular=True)
        W = torch.addmm(W, x.T, errors * step[:, None])
    return W


@register(
    "regressor",
    "lms",
    family="linear",
    paper="Widrow and Hoff 1960, Adaptive switching circuits",
    year=1960,
    peer="sklearn.linear_model.SGDRegressor",
)
class LeastMeanSquares(AbstractRegressor):
    """Linear regression learned online by the rule of Widrow and Hoff.

    With a constant rate the weights come to rest at the least-squares solution where the targets are an exact linear
    function of the samples; where they are noisy, in a cycle around it that is the smaller the smaller the rate. The
    features should have like scales, else weak directions are learned slowly.

    Args:
        rate: Step ``alpha``. ``"auto"`` is ``1 / max ||x_i||^2`` over the samples seen so far (the intercept counts as
            a feature of ones); it never exceeds ``1 / lambda_max`` of ``X^T X / n``, and no single step overshoots.
            If normalised, ``"auto"`` is 1, and any rate below 2 is stable.
        normalized: Whether each step is divided by the sample's ``||x_i||^2``.
        fit_intercept: Whether an intercept is learned.
        max_iter: Passes over the samples that ``fit`` makes at most.
        tol: ``fit`` ends when a pass changes no weight by more than this share of the greatest.
        shuffle: Whether each pass takes the samples in a new order; noisy targets then never come to rest.
        random_state: Seed of the orders.

    Attributes:
        coef_: ``[d]``, or ``[t, d]`` for targets ``[n, t]``.
        intercept_: One number, or ``[t]``.
        n_iter_: Passes over the samples.
        rate_: The step that was taken last.
    """

    coef_: Tensor
    intercept_: Tensor

    def __init__(
        self,
        *,
        rate: Any = "auto",
        normalized: bool = False,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-6,
        shuffle: bool = False,
        random_state: Any = None,
    ) -> None:
        self.rate = rate
        self.normalized = normalized
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from zero weights, in passes over the samples until the weights rest.

        Args:
            X: Samples ``[n, d]``.
            y: Targets ``[n]`` or ``[n, t]``.

        Raises:
            InputError: When the weights grow without bound.
        """
        X, y = self._begin(X, y)[:2]
        A, Y = self._widened(X), y.reshape(len(y), -1)
        W, steps = A.new_zeros(A.shape[1], Y.shape[1]), self._steps(A, None)
        random, order = check_random_state(self.random_state), torch.arange(len(X), device=X.device)
        for iteration in range(1, self.max_iter + 1):
            self.n_iter_ = iteration
            if self.shuffle:
                order = torch.from_numpy(random.permutation(len(X))).to(X.device)
                W, before = widrow_hoff(A[order], Y[order], W, steps[order]), W
            else:
                W, before = widrow_hoff(A, Y, W, steps), W
            # Weights that are not finite never rest.
            if not bool((W - before).abs().max() > self.tol * W.abs().max()):
                break
        else:
            warnings.warn(
                f"The weights still moved after {self.max_iter} passes; raise max_iter or tol, or standardise X.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self._keep(W, y)

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Go on learning: one pass over these samples in their order.

        Args:
            X: Samples ``[n, d]``.
            y: Targets ``[n]`` or ``[n, t]``.

        Raises:
            InputError: When the samples or targets differ in number of columns, or the weights grow without bound.
        """
        first = not hasattr(self, "coef_")
        if first:
            X, y = self._begin(X, y)[:2]
        else:
            X = self._known(X)
            y = arrays.targets(y, X)
        A, Y = self._widened(X), y.reshape(len(y), -1)
        W = A.new_zeros(A.shape[1], Y.shape[1])
        if not first:
            W = self.coef_.reshape(-1, X.shape[1]).T
            if self.fit_intercept:
                W = torch.cat((W, self.intercept_.reshape(1, -1)))
            if W.shape[1] != Y.shape[1]:
                raise InputError(f"partial_fit was called with {W.shape[1]} target(s) before; received {Y.shape[1]}.")
        self.n_iter_ = 1 if first else self.n_iter_ + 1
        return self._keep(widrow_hoff(A, Y, W, self._steps(A, None if first else self.rate_)), y)

    def _widened(self, X: Tensor) -> Tensor:
        return torch.cat((X, torch.ones_like(X[:, :1])), dim=1) if self.fit_intercept else X

    def _steps(self, A: Tensor, before: float | None) -> Tensor:
        """The step of each sample; ``before`` is the rate of earlier samples, which an automatic one never exceeds."""
        norms = A.square().sum(dim=1)
        if isinstance(self.rate, str):
            if self.rate != "auto":
                raise InputError(f"rate has to be a number above 0 or 'auto'; received {self.rate!r}.")
            greatest = float(norms.max())
            self.rate_ = 1.0 if self.normalized or greatest == 0 else 1 / greatest
            self.rate_ = self.rate_ if before is None else min(self.rate_, before)
        elif not self.rate > 0:
            raise InputError(f"rate has to be a number above 0 or 'auto'; received {self.rate!r}.")
        else:
            self.rate_ = float(self.rate)
        if self.normalized:
            return torch.where(norms > 0, self.rate_ / norms, 0.0)
        return torch.full_like(norms, self.rate_)

    def _keep(self, W: Tensor, y: Tensor) -> Self:
        if not bool(W.isfinite().all()):
            raise InputError(f"The weights grow without bound with rate={self.rate_:g}; write rate='auto'.")
        coef, intercept = W, W.new_zeros(W.shape[1])
        if self.fit_intercept:
            coef, intercept = W[:-1], W[-1]
        several = y.ndim == 2
        self.coef_ = coef.T.contiguous() if several else coef[:, 0].clone()
        self.intercept_ = intercept.clone() if several else intercept[0].clone()
        return self

    def _values(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n ..."]:
        return X @ (self.coef_.T if self.coef_.ndim == 2 else self.coef_) + self.intercept_
