"""Perceptrons, learned from their mistakes, and the neuron that came before them.

F. Rosenblatt, "The perceptron: a probabilistic model", 1958. With classes ``y`` of -1 and 1 it starts at ``w = 0``,
``b = 0`` and goes through the samples in their order; each mistake, ``y_i (<w, x_i> + b) <= 0``, is answered by

    w <- w + y_i x_i,    b <- b + y_i

until an epoch passes without one. So ``w = sum_i c_i y_i x_i`` with ``c_i`` the mistakes on sample ``i``. On features
``phi(x)`` it is ``make_pipeline(transformer, Perceptron())``; where only their inner products are known it is
:class:`chainrule.estimators.kernel_perceptron.KernelPerceptron`.

If a plane with ``|w*| = 1`` keeps all samples at ``y_i (<w*, x_i> + b*) >= rho``, and ``|x_i| <= r``, there are at most
``(b*^2 + 1)(r^2 + 1) / rho^2`` mistakes (A. B. J. Novikoff, "On convergence proofs on perceptrons", 1962).

More than two classes: one unit each, against all others. Differs from scikit-learn's ``Perceptron``: rows stay in their
order unless ``shuffle=True``, a vanishing ``y f`` is a mistake, no tolerance ends the learning early (so ``max_iter``
is 100 by default), and samples have no weights: one with weight 2 is not the same as two.
"""

import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractClassifier, DecisionFunction
from chainrule.estimators.separability import closest_plane, linearly_separable
from chainrule.registry import register
from chainrule.shapes import Float, Int, Shaped, Tensor

#: Rows that are scored at once; after a mistake the rest of them is scored anew.
BLOCK = 256


def mcculloch_pitts(x: Shaped[Tensor, "*batch d"], theta: float) -> Int[Tensor, "*batch"]:
    """The neuron of W. S. McCulloch and W. Pitts, 1943: 1 where at least ``theta`` inputs are 1, else 0.

    Args:
        x: Inputs of 0 and 1, or truth values.
        theta: The threshold.

    Raises:
        InputError: When an input is neither 0 nor 1.
    """
    if not bool(((x == 0) | (x == 1)).all()):
        raise InputError("The McCulloch-Pitts neuron takes inputs of 0 and 1.")
    return (x.sum(dim=-1) >= theta).long()


def novikoff_bound(
    X: Float[Tensor, "n d"], signs: Float[Tensor, " n"], weights: Float[Tensor, " d"], intercept: Float[Tensor, ""]
) -> float:
    """The mistakes that a perceptron makes at most, seen from a plane: ``(b*^2 + 1)(r^2 + 1) / rho^2``.

    Args:
        X: Samples.
        signs: -1 or 1 for each.
        weights: Normal of the plane, of any length.
        intercept: Its constant.

    Returns:
        The bound; infinity when the plane does not separate the samples.
    """
    length = weights.norm()
    rho = float((signs * (X @ weights + intercept)).min() / length)
    if not rho > 0:
        return float("inf")
    return float((intercept / length) ** 2 + 1) * (float(X.square().sum(dim=1).max()) + 1) / rho**2


def mistakes(
    X: Float[Tensor, "n d"], signs: Float[Tensor, " n"], order: Int[Tensor, " n"], plane: Float[Tensor, " d1"]
) -> Int[Tensor, " m"]:
    """One epoch of the perceptron's rule.

    A block of rows ``z_i = y_i (x_i, 1)`` is scored at once. A mistake adds ``z_i`` to the plane, and to the scores of
    the rows behind it their products with ``z_i``, so the work in Python is one step for each mistake.

    Args:
        X: Samples.
        signs: -1 or 1 for each.
        order: In which the samples are gone through.
        plane: Weights, and the constant behind them; changed in place.

    Returns:
        The rows with a mistake.
    """
    found = []
    for rows in order.split(BLOCK):
        signed = torch.cat([X[rows], X.new_ones(len(rows), 1)], dim=1) * signs[rows, None]
        scores, behind = signed @ plane, 0
        while wrong := (scores[behind:] <= 0).nonzero()[:1].tolist():
            at = behind + wrong[0][0]
            behind = at + 1
            plane += signed[at]
            scores[behind:].addmv_(signed[behind:], signed[at])
            found.append(rows[at])
    return torch.stack(found) if found else order[:0]


def unit_signs(codes: Int[Tensor, " n"], k: int, like: Float[Tensor, "n d"]) -> Float[Tensor, "u n"]:
    """What each unit is to learn: of two classes one row, 1 for the second; else a row for each class, 1 for it."""
    own = torch.arange(k, device=codes.device) if k > 2 else torch.ones(1, dtype=torch.long, device=codes.device)
    return torch.where(codes == own[:, None], 1.0, -1.0).to(like.dtype)


def class_scores(values: Float[Tensor, "n u"], k: int) -> Float[Tensor, "n k"]:
    """The scores of ``k`` classes from the values of the units."""
    return torch.cat([torch.zeros_like(values), values], dim=1) if k == 2 else values


def orders(n: int, epochs: int, shuffle: bool, random_state: Any, device: torch.device) -> Iterator[Int[Tensor, " n"]]:
    """The order of the rows in each epoch."""
    source = check_random_state(random_state)
    for _ in range(epochs):
        yield torch.from_numpy(source.permutation(n) if shuffle else np.arange(n)).to(device)


def warn_unfinished(name: str, epochs: int, remedy: str) -> None:
    """Warn that the last epoch had mistakes."""
    warnings.warn(
        f"{name} still makes mistakes after max_iter={epochs} epochs; {remedy}.", ConvergenceWarning, stacklevel=3
    )


@register(
    "classifier",
    "perceptron",
    family="perceptron",
    paper="Rosenblatt 1958, The perceptron: a probabilistic model for information storage in the brain",
    year=1958,
    tiny={"max_iter": 20},
    exceptions={"stays_on_the_device": "the verdict is a linear program on the CPU; verdict=False leaves it out"},
)
class Perceptron(DecisionFunction, AbstractClassifier):
    """A plane learned from mistakes; for more than two classes one for each, against all others.

    Args:
        max_iter: Epochs at most.
        shuffle: Whether the rows are put in a new order for each epoch.
        random_state: Seed of these orders, or a ``numpy.random.RandomState``.
        verdict: Whether ``fit`` also says what the data allows, ``separable_`` and ``bound_``: for 10,000 samples of 50
            features about a second a class on the CPU. Without it, only a fit that ends without mistakes knows.

    Attributes:
        coef_: Weights, ``[1, d]`` for two classes, else ``[k, d]``.
        intercept_: Constants, ``[1]`` or ``[k]``.
        n_iter_: Epochs until none of the units made a mistake, that epoch included, or ``max_iter``.
        mistakes_: Number of updates of each unit, ``[1]`` or ``[k]``.
        mistake_counts_: Mistakes on each sample, ``[1, n]`` or ``[k, n]``; after ``fit`` only.
        separable_: For each unit, whether a plane separates its class, None where that is not known; after ``fit``.
        bound_: For each unit, Novikoff's bound on ``mistakes_``, infinity where no plane separates its class, None
            where it is not known; after ``fit``.
    """

    def __init__(
        self, *, max_iter: int = 100, shuffle: bool = False, random_state: Any = None, verdict: bool = True
    ) -> None:
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.verdict = verdict

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples, from the start.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there is one class, or ``max_iter`` is below 1.
        """
        if not self.max_iter >= 1:
            raise InputError(f"Perceptron wants a max_iter of at least 1; received {self.max_iter!r}.")
        samples, codes, _ = self._begin(X, y, least_classes=2)
        signs = unit_signs(codes, len(self.classes_), samples)
        self._start(samples, len(signs))
        self.mistake_counts_ = torch.zeros(signs.shape, dtype=torch.long, device=samples.device)
        learning = list(range(len(signs)))
        for order in orders(len(samples), self.max_iter, self.shuffle, self.random_state, samples.device):
            learning = self._epoch(samples, signs, order, learning)
            if not learning:
                break
        self.mistakes_ = self.mistake_counts_.sum(dim=1)
        verdicts = [self._verdict(samples, sign, unit, unit not in learning) for unit, sign in enumerate(signs)]
        self.separable_, self.bound_ = [known for known, _ in verdicts], [bound for _, bound in verdicts]
        if learning:
            known = [self.separable_[unit] for unit in learning]
            remedy = "raise it, or ask linearly_separable whether that would help"
            remedy = "a plane without mistakes exists, so raise it" if all(known) else remedy
            remedy = "no plane separates the classes, so more epochs would not help" if False in known else remedy
            warn_unfinished("Perceptron", self.max_iter, remedy)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Go once through more samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.
            classes: All classes that will come; needed the first time.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there is one class.
        """
        samples, codes, _ = self._begin_part(X, y, classes)
        if len(self.classes_) < 2:
            raise InputError("Perceptron needs at least 2 classes, but classes holds one class.")
        signs = unit_signs(codes, len(self.classes_), samples)
        if not hasattr(self, "coef_"):
            self._start(samples, len(signs))
        for name in {"separable_", "bound_"} & set(vars(self)):
            delattr(self, name)
        self.mistake_counts_ = torch.zeros(signs.shape, dtype=torch.long, device=samples.device)
        for order in orders(len(samples), 1, self.shuffle, self.random_state, samples.device):
            self._epoch(samples, signs, order, list(range(len(signs))))
        self.mistakes_ = self.mistakes_ + self.mistake_counts_.sum(dim=1)
        return self

    def _epoch(
        self, X: Float[Tensor, "n d"], signs: Float[Tensor, "u n"], order: Int[Tensor, " n"], learning: list[int]
    ) -> list[int]:
        """Let those units that are learning go through the samples; gives those that made a mistake."""
        self.n_iter_ += 1
        wrong = []
        for unit in learning:
            plane = torch.cat([self.coef_[unit], self.intercept_[unit : unit + 1]])
            rows = mistakes(X, signs[unit], order, plane)
            self.coef_[unit], self.intercept_[unit] = plane[:-1], plane[-1]
            self.mistake_counts_[unit, rows] += 1
            wrong += [unit] if len(rows) else []
        return wrong

    def _start(self, X: Float[Tensor, "n d"], units: int) -> None:
        self.coef_, self.intercept_ = X.new_zeros(units, X.shape[1]), X.new_zeros(units)
        self.mistakes_, self.n_iter_ = torch.zeros(units, dtype=torch.long, device=X.device), 0

    def _verdict(
        self, X: Float[Tensor, "n d"], signs: Float[Tensor, " n"], unit: int, finished: bool
    ) -> tuple[bool | None, float | None]:
        """Whether a plane separates the class of a unit, and the bound on its mistakes, as far as they are known."""
        if not self.verdict:
            return True if finished else None, None
        X, signs = X.cpu().double(), signs.cpu().double()
        plane = closest_plane(X, signs)
        if plane is None and finished:
            plane = self.coef_[unit].cpu().double(), self.intercept_[unit].cpu().double()
        if plane is None:
            found = linearly_separable(X, signs)
            if found.weights is None:
                return False, float("inf")
            plane = found.weights, torch.as_tensor(found.intercept, dtype=X.dtype)
        return True, novikoff_bound(X, signs, *plane)

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return class_scores(X @ self.coef_.T + self.intercept_, len(self.classes_))
