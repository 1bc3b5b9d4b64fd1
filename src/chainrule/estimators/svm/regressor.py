"""Regression by support vectors: a flat function that errors by no more than a tube's radius, or pays for it.

V. Vapnik, "The nature of statistical learning theory", 1995; A. J. Smola and B. Schölkopf, "A tutorial on support
vector regression", 2004:

    minimise 1/2 ||w||^2 + C sum_i max(0, |y_i - f(x_i)| - epsilon),   f(x) = <w, phi(x)> + b

Its dual has one coefficient ``alpha_i - alpha_i*`` between ``-C`` and ``C`` for each sample, and the penalty
``epsilon`` on their absolute values.

Differs from scikit-learn as :mod:`chainrule.estimators.svm.classifier` does.
"""

import math
from typing import Any, Self

import torch

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractRegressor
from chainrule.estimators.svm.machine import AbstractMachine
from chainrule.estimators.svm.training import Task, train
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "regressor",
    "svm",
    family="svm",
    paper="Vapnik 1995, The nature of statistical learning theory",
    year=1995,
    peer="sklearn.svm.SVR",
)
class SVR(AbstractMachine, AbstractRegressor):
    """Support vector regressor with a tube, and any kernel.

    Args:
        C: Price of an error outside the tube, for each unit.
        epsilon: Radius of the tube, in the target's units.
        kernel: As for :class:`~chainrule.estimators.svm.SVC`.
        gamma: ``gamma`` of a kernel asked for by name.
        tol: Violation of the KKT conditions that is good enough, in the target's units.
        max_iter: Most working sets; -1 for no bound.
        memory: Bound of what is needed beside the samples, MiB.

    Attributes:
        n_support_: Number of support vectors, ``[1]``.
        dual_coef_: ``alpha_i - alpha_i*`` of the support vectors, ``[1, s]``.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        epsilon: float = 0.1,
        kernel: Any = "rbf",
        gamma: float | str = "scale",
        tol: float = 1e-3,
        max_iter: int = -1,
        memory: float = 512,
    ) -> None:
        self.C = C
        self.epsilon = epsilon
        self.kernel = kernel
        self.gamma = gamma
        self.tol = tol
        self.max_iter = max_iter
        self.memory = memory

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``, or their Gram matrix ``[n, n]``.
            y: Their targets ``[n]``.
            sample_weight: Factors of ``C``, ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When an option does not fit.
        """
        X, target, weight = self._begin(X, y, sample_weight)
        if not self.epsilon >= 0:
            raise InputError(f"SVR wants an epsilon from 0 up; received {self.epsilon!r}.")
        if math.isinf(self.C):
            raise InputError("SVR wants a finite C: a tube that no sample may leave need not exist.")
        samples = self._prepared(X, weight)
        cost = torch.full_like(target, self.C, dtype=torch.float64)
        cost = cost if weight is None else cost * weight.double()
        kept = (cost > 0).nonzero()[:, 0]
        task = Task(kept, target[kept].double(), -cost[kept], cost[kept], float(self.epsilon))
        outcomes = train(samples, [task], tol=self.tol, max_iter=self.max_iter, memory=self.memory)
        used = outcomes[0].x != 0
        self.support_ = kept[used]
        self.n_support_ = torch.tensor([len(self.support_)], device=X.device)
        self.dual_coef_ = outcomes[0].x[used][None].to(X.dtype)
        self._keep(X, outcomes)
        if self._linear:
            self.coef_ = self.dual_coef_ @ self.support_vectors_
        return self

    def _values(self, X: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self._expansions(X, [slice(0, len(self.support_))])[0][:, 0] + self.intercept_[0]
