"""Classification by support vectors: the widest margin between two classes, hard or soft.

C. Cortes and V. Vapnik, "Support-vector networks", 1995; B. E. Boser, I. M. Guyon and V. N. Vapnik 1992. With labels
``y`` of -1 and 1:

    minimise 1/2 ||w||^2 + C sum_i xi_i   subject to   y_i (<w, phi(x_i)> + b) >= 1 - xi_i,   xi_i >= 0

which is solved in its dual, ``max sum_i alpha_i - 1/2 sum_ij alpha_i alpha_j y_i y_j K(x_i, x_j)`` with
``0 <= alpha_i <= C`` and ``sum_i alpha_i y_i = 0``; then ``f(x) = sum_i alpha_i y_i K(x_i, x) + b``. ``C = inf`` is the
hard margin. The distance from the plane to the nearest sample is ``1 / ||w||``.

More than two classes: one problem for each pair of them, solved side by side, and each has a vote (U. Kressel 1999).

Differs from scikit-learn: equal votes are decided by the sums of the decisions, as by its ``break_ties=True``; classes
without weight are left out; the rule ``gamma="scale"`` minds the weights of the samples, so that a weight of two is
the same as having a sample twice; ``degree`` and ``coef0`` are options of the kernel, as in
``kernel="poly(degree=2, coef0=1)"``; ``memory`` takes the place of ``cache_size``.
"""

import math
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if

from chainrule.errors import InputError
from chainrule.estimators import arrays
from chainrule.estimators.base import AbstractClassifier
from chainrule.estimators.svm.machine import AbstractMachine
from chainrule.estimators.svm.probability import coupled, crossed, sigmoid_fit, sigmoid_values
from chainrule.estimators.svm.training import Outcome, Samples, Task, train
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor

#: What an infinite ``C`` is replaced by, over the mean of ``K(x, x)``; a margin of a thousandth is still found.
HARD = 1e6


def pairs_of(k: int) -> list[tuple[int, int]]:
    """The pairs of classes, in libsvm's order."""
    return [(first, second) for first in range(k) for second in range(first + 1, k)]


def votes(decisions: Float[Tensor, "n p"], k: int) -> Float[Tensor, "n k"]:
    """For each class the pairs it wins, and within less than a half the sum of their decisions.

    Args:
        decisions: Of each pair; above 0 for the first class.
        k: Number of classes.
    """
    won, sums = decisions.new_zeros(len(decisions), k), decisions.new_zeros(len(decisions), k)
    for pair, (first, second) in enumerate(pairs_of(k)):
        decision = decisions[:, pair]
        won[:, first] += (decision > 0).to(won.dtype)
        won[:, second] += (decision <= 0).to(won.dtype)
        sums[:, first] += decision
        sums[:, second] -= decision
    return won + sums / (3 * (sums.abs() + 1))


def pair_tasks(slices: list[Int[Tensor, " m"]], cost: Float[Tensor, " n"]) -> list[Task]:
    """One problem for each pair of classes; of two classes the second is the positive one, else the first.

    Args:
        slices: Samples of each class.
        cost: ``C`` of each sample.
    """
    tasks = []
    for first, second in pairs_of(len(slices)):
        samples = torch.cat([slices[first], slices[second]])
        target = torch.ones(len(samples), dtype=torch.float64, device=samples.device)
        target[len(slices[first]) :] = -1
        target = -target if len(slices) == 2 else target
        bound = cost[samples].double()
        zero = torch.zeros_like(bound)
        tasks.append(Task(samples, target, torch.where(target > 0, zero, -bound), torch.where(target > 0, bound, zero)))
    return tasks


def _with_probability(machine: Any) -> bool:
    if not machine.probability:
        raise AttributeError("SVC gives probabilities only when it was made with probability=True.")
    return True


@register(
    "classifier",
    "svm",
    family="svm",
    paper="Cortes & Vapnik 1995, Support-vector networks",
    year=1995,
    peer="sklearn.svm.SVC",
)
class SVC(AbstractMachine, AbstractClassifier):
    """Support vector classifier, with a hard or soft margin and any kernel.

    Args:
        C: Price of a slack; ``float("inf")`` for a hard margin.
        kernel: ``"linear"``, ``"poly"``, ``"rbf"``, ``"sigmoid"``, also with options as in ``"poly(degree=2)"``;
            ``"precomputed"`` for Gram matrices instead of samples; a part of :mod:`chainrule.estimators.kernels`; or a
            function ``[n, d], [m, d] -> [n, m]``, of which a part of the Gram matrix is checked for Mercer's condition.
        gamma: ``gamma`` of a kernel asked for by name.
        probability: Whether to learn probabilities, too, by five-fold cross-validation of the decisions (Platt 2000).
        tol: Violation of the KKT conditions that is good enough.
        class_weight: Factor of ``C`` for each class, or ``"balanced"``.
        max_iter: Most working sets of each problem; -1 for no bound.
        decision_function_shape: ``"ovr"``, one number for each class, or ``"ovo"``, one for each pair.
        memory: Bound of what is needed beside the samples, MiB.

    Attributes:
        n_support_: Support vectors of each class.
        dual_coef_: ``y_i alpha_i`` of the support vectors in the problems of their class, ``[k - 1, s]``.
        prob_a_: Slope of the probability of each pair; only with ``probability``.
        prob_b_: Constant of the probability of each pair; only with ``probability``.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        kernel: Any = "rbf",
        gamma: float | str = "scale",
        probability: bool = False,
        tol: float = 1e-3,
        class_weight: Any = None,
        max_iter: int = -1,
        decision_function_shape: str = "ovr",
        memory: float = 512,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.gamma = gamma
        self.probability = probability
        self.tol = tol
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.decision_function_shape = decision_function_shape
        self.memory = memory

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``, or their Gram matrix ``[n, n]``.
            y: Their classes ``[n]``.
            sample_weight: Factors of ``C``, ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When an option does not fit, there is one class only, or no hard margin exists.
        """
        X, codes, weight = self._begin(X, y, sample_weight, least_classes=2)
        if self.decision_function_shape not in ("ovr", "ovo"):
            raise InputError(f"decision_function_shape is 'ovr' or 'ovo'; received {self.decision_function_shape!r}.")
        samples = self._prepared(X, weight)
        slices, cost = self._weighed(samples, codes, weight)
        tasks = pair_tasks(slices, cost)
        outcomes = train(samples, tasks, tol=self.tol, max_iter=self.max_iter, memory=self.memory)
        if math.isinf(self.C) and max(one.largest for one in outcomes) > 0.1:
            raise InputError(
                "No hard margin exists: the classes are not separable in the feature space of this kernel; write a "
                "finite C, such as C=1.0, or another kernel."
            )
        coefficients = _by_class(outcomes, slices, len(X))
        chosen = (coefficients != 0).any(dim=0)
        kept = [part[chosen[part]] for part in slices]
        self.support_ = torch.cat(kept)
        self.n_support_ = torch.tensor([len(part) for part in kept], device=X.device)
        self.dual_coef_ = coefficients[:, self.support_].to(X.dtype)
        self._keep(X, outcomes)
        if self._linear:
            self.coef_ = self._normals()
        if self.probability:
            decisions = crossed(samples, tasks, tol=self.tol, max_iter=self.max_iter, memory=self.memory)
            fits = [sigmoid_fit(one, task.target > 0) for one, task in zip(decisions, tasks, strict=True)]
            self.prob_a_, self.prob_b_ = torch.stack(fits).to(X).unbind(dim=1)
        return self

    def _weighed(
        self, samples: Samples, codes: Int[Tensor, " n"], weight: Tensor | None
    ) -> tuple[list[Tensor], Tensor]:
        """The samples of each class that count, and the price of a slack of each sample.

        Raises:
            InputError: When fewer than two classes have weight.
        """
        factors = self._class_factors(codes)
        cost = factors[codes] if weight is None else factors[codes] * weight.double()
        hard = math.isinf(self.C)
        cost = cost * (HARD / float(samples.diagonal().mean().clamp_min(1e-300)) if hard else self.C)
        slices = [((codes == code) & (cost > 0)).nonzero()[:, 0] for code in range(len(self.classes_))]
        kept = [code for code, part in enumerate(slices) if len(part)]
        if len(kept) < 2:
            raise InputError("SVC needs samples of at least 2 classes, but only one class has samples with weight.")
        if len(kept) < len(slices):
            self.classes_ = self.classes_[kept]
        return [slices[code] for code in kept], cost

    def _class_factors(self, codes: Int[Tensor, " n"]) -> Float[Tensor, " k"]:
        if self.class_weight is None:
            return torch.ones(len(self.classes_), dtype=torch.float64, device=codes.device)
        names = np.asarray(self.classes_.cpu() if isinstance(self.classes_, Tensor) else self.classes_)
        # Only the number of each class matters, so labels are made of counts instead of brought to the host.
        labels = np.repeat(names, torch.bincount(codes, minlength=len(names)).cpu().numpy())
        return torch.from_numpy(compute_class_weight(self.class_weight, classes=names, y=labels)).to(codes.device)

    def _normals(self) -> Float[Tensor, "p d"]:
        """The normal vector of each pair."""
        parts = [(self.dual_coef_[:, part] @ self.support_vectors_[part]) for part in _parts(self.n_support_)]
        k = len(parts)
        if k == 2:
            return parts[0] + parts[1]
        return torch.stack([parts[first][second - 1] + parts[second][first] for first, second in pairs_of(k)])

    def _decisions(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """The decision of each pair; above 0 for the second of two classes, else for the first of the pair."""
        parts = _parts(self.n_support_)
        if len(parts) == 2:
            return self._expansions(X, [slice(0, len(self.support_))])[0] + self.intercept_
        sums = self._expansions(X, parts)
        pairs = [sums[first][:, second - 1] + sums[second][:, first] for first, second in pairs_of(len(parts))]
        return torch.stack(pairs, dim=1) + self.intercept_

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        decisions = self._decisions(X)
        if decisions.shape[1] == 1:
            return torch.cat([-decisions, decisions], dim=1)
        return votes(decisions, len(self.n_support_))

    def decision_function(self, X: Any) -> Any:
        """How clearly each class is preferred.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            Of two classes the decision ``[n]``, above zero for the second; else ``[n, k]``, the votes of each class, or
            ``[n, pairs]``, the decision of each pair, above zero for its first class.
        """
        decisions = self._decisions(self._known(X))
        if decisions.shape[1] == 1:
            return arrays.given_back(decisions[:, 0], X)
        shaped = votes(decisions, len(self.n_support_)) if self.decision_function_shape == "ovr" else decisions
        return arrays.given_back(shaped, X)

    @available_if(_with_probability)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """The probability of each class.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n, k]``; rows add up to 1. The likeliest class need not be the one that ``predict`` gives.
        """
        share = sigmoid_values(self._decisions(self._known(X)), self.prob_a_, self.prob_b_)
        if share.shape[1] == 1:
            return arrays.given_back(torch.cat([1 - share, share], dim=1), X)
        return arrays.given_back(coupled(share, pairs_of(len(self.n_support_))), X)

    @available_if(_with_probability)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of the probability of each class.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n, k]``.
        """
        shares = self.predict_proba(X)
        return shares.log() if isinstance(shares, Tensor) else np.log(shares)


def _parts(n_support: Int[Tensor, " k"]) -> list[slice]:
    ends = n_support.cumsum(0).tolist()
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _by_class(outcomes: list[Outcome], slices: list[Tensor], n: int) -> Float[Tensor, "r n"]:
    """The coefficients of each sample in the problems of its class, in libsvm's order."""
    k = len(slices)
    found = torch.zeros(k - 1, n, dtype=torch.float64, device=slices[0].device)
    for (first, second), one in zip(pairs_of(k), outcomes, strict=True):
        split = len(slices[first])
        found[second - 1, slices[first]] = one.x[:split]
        found[first, slices[second]] = one.x[split:]
    return found
