"""Least squares and ridge regression in closed form, as functions.

Legendre 1805, Gauss 1809: ``(w, b) = argmin sum_i v_i (y_i - w x_i - b)^2``, which is the maximum-likelihood estimate
under Gaussian noise. The normal equations are ``(X^T V X) w = X^T V y`` of centred samples; for one feature they read
``w = cov(x, y) / var(x)``, ``b = mean(y) - w mean(x)``. Ridge regression (Hoerl and Kennard 1970) adds
``alpha ||w||^2``; the intercept is not penalised.

Everything is learned from sums over the rows, see :mod:`chainrule.estimators.moments`.
"""

from typing import NamedTuple

import torch

from chainrule.errors import InputError
from chainrule.estimators import moments
from chainrule.shapes import Bool, Float, Tensor

#: What a least-squares problem can be solved by.
SOLVERS = ("auto", "normal", "qr", "svd")


class Solution(NamedTuple):
    """What the closed form gives.

    Attributes:
        coef: Coefficients ``[d, t]``.
        intercept: ``[t]``.
        rank: Rank of the centred samples; constant features do not count.
        root: A matrix whose singular values are those of the centred samples, without constant features.
        solver: What it was found by.
    """

    coef: Float[Tensor, "d t"]
    intercept: Float[Tensor, " t"]
    rank: int
    root: Float[Tensor, "r v"]
    solver: str


class Problem(NamedTuple):
    """A least-squares problem, boiled down to a small matrix.

    Attributes:
        A: Of the features that vary: their Gram matrix ``[v, v]``, or a factor of it ``[r, v]``.
        B: What belongs to the targets, as many rows.
        scale: Euclidean norm of each feature that varies.
        vary: Features that are not constant.
        centre: What was subtracted from samples and targets.
        relative: Bound below which a singular value counts as zero, relative to the greatest.
    """

    A: Float[Tensor, "r v"]
    B: Float[Tensor, "r t"]
    scale: Float[Tensor, " v"]
    vary: Bool[Tensor, " d"]
    centre: Float[Tensor, " m"]
    relative: float

    def solution(self, coef: Float[Tensor, "v t"], rank: int, root: Tensor, solver: str) -> Solution:
        """The solution for all features, from the coefficients of those that vary; the others get zero."""
        d = len(self.vary)
        full = coef.new_zeros(d, coef.shape[1])
        full[self.vary] = coef
        return Solution(full, self.centre[d:] - self.centre[:d] @ full, rank, root, solver)


def trusted(dtype: torch.dtype) -> float:
    """The condition number up to which a Gram matrix is used: it costs at most a third of the digits."""
    return torch.finfo(dtype).eps ** (-1 / 3)


def least_squares(
    X: Float[Tensor, "n d"],
    Y: Float[Tensor, "n t"],
    weight: Float[Tensor, " n"] | None,
    *,
    intercept: bool = True,
    solver: str = "auto",
) -> Solution:
    """The least-squares solution, of minimal norm where there are several.

    Args:
        X: Samples.
        Y: Targets.
        weight: Weight of each sample.
        intercept: Whether there is one.
        solver: As for :class:`chainrule.estimators.linear.LinearRegression`.

    Raises:
        InputError: When the solver is unknown, or cannot solve this problem.
    """
    if solver not in SOLVERS:
        raise InputError(f"There is no solver {solver!r} for least squares; write one of: {', '.join(SOLVERS)}.")
    found = None
    if solver == "normal" or (solver == "auto" and moments.rows(X) >= X.shape[1]):
        found = _normal(_squared(X, Y, weight, intercept), solver)
    if found is None:
        problem = _factored(X, Y, weight, intercept)
        found = (_qr(problem, solver) if solver != "svd" else None) or _svd(problem, Y.new_zeros(Y.shape[1]))
    return found


def ridge(
    X: Float[Tensor, "n d"],
    Y: Float[Tensor, "n t"],
    weight: Float[Tensor, " n"] | None,
    alpha: Float[Tensor, " t"],
    *,
    intercept: bool = True,
) -> Solution:
    """The ridge solution.

    Cholesky's factor of ``X^T X + alpha`` where there are at least as many rows as features, of ``X X^T + alpha`` where
    there are fewer (the dual form), and singular values where these would lose more than a third of the digits.

    Args:
        X: Samples.
        Y: Targets.
        weight: Weight of each sample.
        alpha: Penalty of each target.
        intercept: Whether there is one.
    """
    tall = moments.rows(X) >= X.shape[1]
    problem = (_squared if tall else _factored)(X, Y, weight, intercept)
    G = problem.A if tall else problem.A @ problem.A.T
    values = torch.linalg.eigvalsh(G) if len(G) else alpha + 1
    if values[0] + alpha.min() <= (values[-1] + alpha.min()) / trusted(X.dtype):
        return _svd(_factored(X, Y, weight, intercept) if tall else problem, alpha)
    eye = torch.eye(len(G), dtype=X.dtype, device=X.device)
    found = torch.empty_like(problem.B)
    for each in alpha.unique():
        own = alpha == each
        found[:, own] = torch.cholesky_solve(problem.B[:, own], torch.linalg.cholesky(G + each * eye))
    if tall:
        return problem.solution(found, len(G), G, "cholesky")
    return problem.solution(problem.A.T @ found, len(G), problem.A, "dual")


def _squared(X: Tensor, Y: Tensor, weight: Tensor | None, intercept: bool) -> Problem:
    d, centre = X.shape[1], X.new_zeros(X.shape[1] + Y.shape[1])
    small, centre = moments.scatter(X, Y, weight) if intercept else (moments.gram(X, Y, weight, centre), centre)
    norms = small.diagonal()[:d].clamp_min(0).sqrt()
    vary = _vary(X, norms, centre)
    return Problem(small[:d, :d][vary][:, vary], small[:d, d:][vary], norms[vary], vary, centre, _relative(X))


def _factored(X: Tensor, Y: Tensor, weight: Tensor | None, intercept: bool) -> Problem:
    d, centre = X.shape[1], X.new_zeros(X.shape[1] + Y.shape[1])
    if intercept:
        centre = torch.cat((moments.mean(X, weight), moments.mean(Y, weight)))
    small = moments.factor(X, Y, weight, centre)
    norms = torch.linalg.vector_norm(small[:, :d], dim=0)
    vary = _vary(X, norms, centre)
    return Problem(small[:, :d][:, vary], small[:, d:], norms[vary], vary, centre, _relative(X))


def _vary(X: Tensor, norms: Tensor, centre: Tensor) -> Tensor:
    # What is left of a constant feature after its mean is subtracted is rounding.
    return norms > 8 * torch.finfo(X.dtype).eps * moments.rows(X) ** 0.5 * centre[: len(norms)].abs()


def _relative(X: Tensor) -> float:
    return max(moments.rows(X), X.shape[1]) * torch.finfo(X.dtype).eps


def _normal(problem: Problem, solver: str) -> Solution | None:
    unit = problem.A / torch.outer(problem.scale, problem.scale)
    values = torch.linalg.eigvalsh(unit) if len(unit) else unit.new_ones(1)
    least = 1 / trusted(unit.dtype) if solver == "auto" else problem.relative
    if values[0] <= least * values[-1]:
        if solver == "auto":
            return None
        raise InputError(
            "The features depend on each other, so the normal equations have no single solution; write solver='svd'."
        )
    root = torch.linalg.cholesky(unit)
    coef = torch.cholesky_solve(problem.B / problem.scale[:, None], root) / problem.scale[:, None]
    return problem.solution(coef, len(unit), root.T * problem.scale, "normal")


def _qr(problem: Problem, solver: str) -> Solution | None:
    v = len(problem.scale)
    R = torch.linalg.qr(torch.cat((problem.A / problem.scale, problem.B), dim=1), mode="r")[1]
    values = torch.linalg.svdvals(R[:v, :v])
    if len(R) < v or (v and values[-1] <= problem.relative * values[0]):
        if solver == "auto":
            return None
        raise InputError("The features depend on each other, so R of QR has no inverse; write solver='svd'.")
    coef = torch.linalg.solve_triangular(R[:v, :v], R[:v, v:], upper=True) / problem.scale[:, None]
    return problem.solution(coef, v, R[:v, :v] * problem.scale, "qr")


def _svd(problem: Problem, alpha: Tensor) -> Solution:
    """Through singular values ``s``: each direction times ``s / (s^2 + alpha)``, those of the null space times zero."""
    U, s, Vh = torch.linalg.svd(problem.A, full_matrices=False)
    kept = s > problem.relative * s[:1]
    s = s[:, None]
    coef = Vh.T @ (torch.where(kept[:, None], s / (s * s + alpha), 0.0) * (U.T @ problem.B))
    return problem.solution(coef, int(kept.sum()), problem.A, "svd")
