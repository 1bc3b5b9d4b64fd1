"""What classification and regression by support vectors have in common: options, kernel, the course's quantities."""

import warnings
from typing import Any

import torch

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractEstimator
from chainrule.estimators.kernels import AbstractKernel, Kernel, Linear, gram, mercer_check, named_kernel
from chainrule.estimators.memory import blocks
from chainrule.estimators.svm.training import Outcome, Samples
from chainrule.shapes import Float, Tensor

#: Samples that a caller's kernel is checked on.
CHECKED = 400


class AbstractMachine(AbstractEstimator):
    """A support vector machine.

    Attributes:
        support_: Which samples are support vectors.
        support_vectors_: These samples ``[s, d]``; empty when the Gram matrix was given.
        dual_coef_: Their coefficients.
        intercept_: The constant of each problem.
        coef_: Normal vectors ``[p, d]``; only with the linear kernel.
        gamma_: The number that ``gamma`` stood for.
        n_iter_: Working sets that each problem took.
        margin_: ``1 / ||w||`` of each problem.
        slack_: Sum of the slacks of each problem.
        kkt_violation_: Largest violation of the KKT conditions of each problem.
        primal_objective_: Primal objective of each problem.
        dual_objective_: Dual objective of each problem.
        duality_gap_: The first less the second: how far from optimal either can be.
    """

    C: float
    kernel: Any
    gamma: float | str
    coef_: Tensor
    tol: float
    max_iter: int
    memory: float

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags

    def _checked_options(self) -> None:
        """Refuse options that do not fit.

        Raises:
            InputError: When one does not.
        """
        name = type(self).__name__
        if not self.C > 0:
            raise InputError(f"{name} wants a C above 0; received {self.C!r}. A hard margin is C=float('inf').")
        if not self.tol > 0:
            raise InputError(f"{name} wants a tol above 0; received {self.tol!r}.")
        if not (self.max_iter == -1 or self.max_iter >= 1):
            raise InputError(f"{name} wants a max_iter from 1 up, or -1 for no bound; received {self.max_iter!r}.")

    def _prepared(self, X: Float[Tensor, "n d"], weight: Tensor | None) -> Samples:
        """The samples with their kernel, checked.

        Raises:
            InputError: When the kernel does not fit the samples.
        """
        self._checked_options()
        if hasattr(self, "coef_"):
            # Of an earlier fit, perhaps with another kernel.
            del self.coef_
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            if X.shape[0] != X.shape[1]:
                raise InputError(
                    f"kernel='precomputed' takes the square Gram matrix of the samples; received {list(X.shape)}."
                )
            self._check_mercer(X[_spread(X)][:, _spread(X)])
            return Samples(X, None)
        kernel = self._resolved(X, weight)
        self.gamma_ = getattr(kernel, "gamma", None)
        if not isinstance(kernel, AbstractKernel):
            self._check_mercer(gram(kernel, X[_spread(X)]))
        return Samples(X, kernel)

    def _resolved(self, X: Float[Tensor, "n d"], weight: Tensor | None) -> Kernel:
        kernel = named_kernel(self.kernel, self.gamma)
        return kernel.resolved(X, weight) if isinstance(kernel, AbstractKernel) else kernel

    def _check_mercer(self, K: Float[Tensor, "n n"]) -> None:
        verdict = mercer_check(K)
        if not verdict.valid:
            warnings.warn(
                f"{verdict.sentence} The solution is a stationary point then, and no margin is maximised.",
                UserWarning,
                stacklevel=4,
            )

    def _learned_kernel(self) -> Kernel:
        """The kernel with the numbers of the samples that were learned from."""
        kernel = named_kernel(self.kernel, self.gamma)
        if not isinstance(kernel, AbstractKernel) or self.gamma_ is None:
            return kernel
        return type(kernel)(**{**vars(kernel), "gamma": self.gamma_})

    def _expansions(self, X: Float[Tensor, "n d"], parts: list[slice]) -> list[Tensor]:
        """For each part of the support vectors the sums of ``dual_coef_`` times the kernel, ``[n, rows]``."""
        sums: list[list[Tensor]] = [[] for _ in parts]
        count = len(self.support_)
        for rows in blocks(len(X), 4 * X.element_size() * max(1, count), self.memory):
            K = self._against(X[rows])
            for part, collected in zip(parts, sums, strict=True):
                collected.append(K[:, part] @ self.dual_coef_[:, part].mT)
        return [torch.cat(collected) for collected in sums]

    def _against(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n s"]:
        """The kernel of samples with the support vectors."""
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            return X[:, self.support_]
        return torch.as_tensor(self._learned_kernel()(X, self.support_vectors_)).to(X)

    def _keep(self, X: Float[Tensor, "n d"], outcomes: list[Outcome]) -> None:
        """Take the quantities of the problems; ``support_`` and ``dual_coef_`` are there already."""
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            self.support_vectors_ = X.new_empty(0, 0)
        else:
            self.support_vectors_ = X[self.support_]

        def each(name: str) -> Tensor:
            return torch.tensor([getattr(one, name) for one in outcomes], device=X.device, dtype=X.dtype)

        self.intercept_, self.margin_, self.slack_ = each("offset"), each("margin"), each("slack")
        self.primal_objective_, self.dual_objective_ = each("primal"), each("dual")
        self.duality_gap_ = torch.tensor([one.primal - one.dual for one in outcomes], device=X.device, dtype=X.dtype)
        self.kkt_violation_ = each("violation")
        self.n_iter_ = torch.tensor([max(1, one.sets) for one in outcomes], device=X.device)

    @property
    def _linear(self) -> bool:
        return isinstance(self.kernel, Linear) or self.kernel == "linear"


def _spread(X: Float[Tensor, "n d"]) -> Tensor:
    """Evenly spread samples, no more than a check can take."""
    step = -(-len(X) // CHECKED)
    return torch.arange(0, len(X), step, device=X.device)
