"""The delta rule: sigmoid units that descend along the gradient of their squared error.

B. Widrow and M. E. Hoff, "Adaptive switching circuits", 1960; T. M. Mitchell, "Machine Learning", 1997, chapter 4. With
``o = sigmoid(<w, x> + b)`` and targets ``t`` of 0 and 1,

    E = 1/2 sum_i (t_i - o_i)^2,    dE/dw_j = - sum_i (t_i - o_i) o_i (1 - o_i) x_ij,

and ``w <- w - eta dE/dw``, with the sum over all samples or sample by sample. Two classes have one unit, more have one
each, against all others. Unlike the perceptron's rule it also settles where no plane separates the classes.

Differs from the book: the features are brought to mean 0 and deviation 1 inside, so that one rate fits all of them; the
sum over all samples is divided by their number (their weight), so that the rate does not depend on it; the start is 0.
"""

import warnings
from typing import Any, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from torch.nn.functional import logsigmoid

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractProbabilisticClassifier, DecisionFunction
from chainrule.estimators.class_moments import without_rounding
from chainrule.estimators.perceptron import class_scores, unit_signs
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def squared_error(
    Z: Float[Tensor, "n d1"], t: Float[Tensor, "n u"], weights: Float[Tensor, "u d1"], share: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """``1/2 sum_i share_i |t_i - sigmoid(z_i w)|^2`` over samples and units.

    Args:
        Z: Samples, with a column of ones.
        t: Targets from 0 to 1.
        weights: Of each unit.
        share: Of each sample.
    """
    return 0.5 * ((t - (Z @ weights.T).sigmoid()).square() * share[:, None]).sum()


def delta(
    Z: Float[Tensor, "n d1"], t: Float[Tensor, "n u"], weights: Float[Tensor, "u d1"], share: Float[Tensor, " n"]
) -> Float[Tensor, "u d1"]:
    """Minus the gradient of :func:`squared_error`: ``sum_i share_i (t_i - o_i) o_i (1 - o_i) z_i``.

    Args:
        Z: Samples, with a column of ones.
        t: Targets from 0 to 1.
        weights: Of each unit.
        share: Of each sample.
    """
    o = (Z @ weights.T).sigmoid()
    return ((t - o) * o * (1 - o) * share[:, None]).T @ Z


def safe_rate(Z: Float[Tensor, "n d1"], share: Float[Tensor, " n"]) -> float:
    """A rate at which a step along the whole gradient cannot raise the error, for targets of 0 and 1.

    It is one over a bound on the curvature: the greatest eigenvalue of ``sum_i share_i z_i z_i^T``, times the greatest
    second derivative of ``1/2 (t - sigmoid(a))^2`` by ``a``, which is below 0.0771.
    """
    return 1 / (0.0771 * float(torch.linalg.eigvalsh((Z * share[:, None]).T @ Z)[-1]))


@register(
    "classifier",
    "delta-rule",
    family="perceptron",
    paper="Widrow and Hoff 1960, Adaptive switching circuits; Mitchell 1997, Machine Learning",
    year=1960,
    tiny={"max_iter": 100},
)
class DeltaRule(DecisionFunction, AbstractProbabilisticClassifier):
    """Sigmoid units trained on the squared error by the delta rule.

    The probabilities of more than two classes are the outputs of their units, divided by their sum.

    Args:
        mode: ``"batch"``, a step along the gradient of all samples, or ``"sample"``, a step for each.
        eta0: The rate; None for the greatest at which the steps of a batch cannot raise the error, and a tenth of that
            for single samples.
        max_iter: Epochs at most.
        tol: The learning ends when no entry of the gradient, divided by the number of samples, exceeds this.
        shuffle: Whether single samples come in a new order in each epoch.
        random_state: Seed of these orders, or a ``numpy.random.RandomState``.

    Attributes:
        coef_: Weights for the features as they came, ``[1, d]`` for two classes, else ``[k, d]``.
        intercept_: Constants, ``[1]`` or ``[k]``.
        n_iter_: Epochs.
        rate_: The rate that was used.
        loss_: ``E`` divided by the number of samples.
    """

    def __init__(
        self,
        *,
        mode: str = "batch",
        eta0: float | None = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        shuffle: bool = True,
        random_state: Any = None,
    ) -> None:
        self.mode = mode
        self.eta0 = eta0
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.
            sample_weight: Their weights ``[n]``; with ``mode="sample"`` factors of the steps, so that a weight of 2 is
                not the same as coming twice.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there is one class, or an option does not fit.
        """
        if self.mode not in ("batch", "sample"):
            raise InputError(f"mode has to be 'batch' or 'sample'; received {self.mode!r}.")
        if not self.max_iter >= 1 or (self.eta0 is not None and not self.eta0 > 0):
            raise InputError(
                f"DeltaRule wants a max_iter of at least 1 and a rate above 0; received max_iter={self.max_iter!r} and "
                f"eta0={self.eta0!r}."
            )
        samples, codes, weight = self._begin(X, y, sample_weight, least_classes=2)
        share = samples.new_ones(len(samples)) if weight is None else weight
        share = share / share.sum()
        mean = share @ samples
        mean = mean + share @ (samples - mean)  # what the first sum's rounding left over
        var = without_rounding(share @ (samples - mean).square(), mean)
        scale = torch.where(var > 0, var, 1.0).sqrt()
        Z = torch.cat([(samples - mean) / scale * (var > 0), samples.new_ones(len(samples), 1)], dim=1)
        t = (unit_signs(codes, len(self.classes_), Z).T + 1) / 2
        weights = self._descend(Z, t, share)
        self.loss_ = float(squared_error(Z, t, weights, share))
        self.coef_ = weights[:, :-1] / scale
        self.intercept_ = weights[:, -1] - self.coef_ @ mean
        return self

    def _descend(
        self, Z: Float[Tensor, "n d1"], t: Float[Tensor, "n u"], share: Float[Tensor, " n"]
    ) -> Float[Tensor, "u d1"]:
        """The weights at which the gradient vanishes, or ``max_iter`` epochs ended."""
        weights, source = Z.new_zeros(t.shape[1], Z.shape[1]), check_random_state(self.random_state)
        batch = self.mode == "batch"
        self.rate_ = self.eta0 or safe_rate(Z, share) * (1.0 if batch else 0.1)
        step = delta(Z, t, weights, share)
        for epoch in range(1, self.max_iter + 1):
            self.n_iter_ = epoch
            if batch:
                weights += self.rate_ * step
            else:
                order = source.permutation(len(Z)) if self.shuffle else np.arange(len(Z))
                for row in torch.from_numpy(order).to(Z.device).split(1):
                    weights += self.rate_ * delta(Z[row], t[row], weights, share[row] * len(Z))
            step = delta(Z, t, weights, share)
            if float(step.abs().max()) <= self.tol:
                return weights
        warnings.warn(
            f"DeltaRule has not settled after max_iter={self.max_iter} epochs; raise it, or tol.",
            ConvergenceWarning,
            stacklevel=3,
        )
        return weights

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        values = X @ self.coef_.T + self.intercept_
        return class_scores(values if len(self.classes_) == 2 else logsigmoid(values), len(self.classes_))
