"""Bias and variance of any estimator, by learning again from resampled training sets.

Squared loss (Geman, Bienenstock & Doursat 1992), with ``m(x)`` the mean prediction over training sets:

    E (y - h(x))^2 = (f(x) - m(x))^2 + E (h(x) - m(x))^2 + E (y - f(x))^2
                   = bias^2 + variance + noise

Zero-one loss (Domingos 2000, "A unified bias-variance decomposition for zero-one and squared loss"), with ``m(x)`` the
most frequent prediction: the bias is 1 where ``m`` is wrong, the variance is how often ``h`` differs from ``m``. Where
``m`` is right that raises the error; where ``m`` is wrong only predictions that hit the right class lower it. So the
error is the bias, plus the variance of unbiased samples, less how often biased samples are classified rightly.

The training sets are bootstrap samples of the one at hand. So the variance is that of drawing from it, and what chance
did to it as a whole is counted as bias; to keep them apart takes fresh training sets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_consistent_length, check_random_state

from chainrule.errors import InputError
from chainrule.shapes import Tensor


@dataclass(frozen=True)
class BiasVariance:
    """The parts of an estimator's error, means over the test samples.

    ``error = bias + net_variance + net_noise``, exactly.

    Attributes:
        error: Mean loss over training sets and test samples.
        bias: Squared bias; for zero-one loss the share of samples whose main prediction is wrong. Without a known
            truth it includes the noise.
        variance: Mean loss of the predictions against the main prediction.
        noise: Mean loss of the observed targets against the truth; zero where no truth is given.
        net_variance: What the variance adds to the error; less than it for zero-one loss, where it may help.
        net_noise: What the noise adds to the error.
        main: The main prediction of each test sample: mean, or most frequent class (the first of several).
        rounds: Training sets.
    """

    error: float
    bias: float
    variance: float
    noise: float
    net_variance: float
    net_noise: float
    main: np.ndarray
    rounds: int


def bias_variance(
    estimator: Any,
    X: Any,
    y: Any,
    X_test: Any,
    y_test: Any,
    *,
    rounds: int = 50,
    loss: Literal["squared", "zero-one"] = "squared",
    truth: Any = None,
    random_state: Any = None,
) -> BiasVariance:
    """Decompose the error of an estimator on test samples.

    Args:
        estimator: Anything with scikit-learn's ``fit`` and ``predict``; it is cloned, not changed.
        X: Training samples.
        y: Their targets.
        X_test: Test samples.
        y_test: Their observed targets ``[n]``, or ``[n, t]`` for squared loss.
        rounds: Bootstrap samples that are learned from.
        loss: ``"squared"`` or ``"zero-one"``.
        truth: What the targets of the test samples are without noise, where that is known.
        random_state: Seed, or generator, of the bootstrap samples.

    Raises:
        InputError: When the loss is unknown, there is no round, or the targets do not fit the predictions.
    """
    if loss not in LOSSES or rounds < 1:
        raise InputError(f"Wanted loss 'squared' or 'zero-one' and rounds from 1 up; received {loss!r} and {rounds!r}.")
    check_consistent_length(X, y)
    generator = check_random_state(random_state)
    predictions = []
    for _ in range(rounds):
        rows = generator.randint(0, len(y), len(y))
        fitted = clone(estimator).fit(_taken(X, rows), _taken(y, rows))
        predictions.append(_array(fitted.predict(X_test)))
    stacked, observed = np.stack(predictions), _array(y_test)
    right = observed if truth is None else _array(truth)
    if observed.shape != stacked.shape[1:] or right.shape != stacked.shape[1:]:
        raise InputError(
            f"y_test and truth have to be of the predictions' shape {[*stacked.shape[1:]]}; received "
            f"{[*observed.shape]} and {[*right.shape]}."
        )
    return LOSSES[loss](stacked, observed, right)


def squared_parts(predictions: np.ndarray, observed: np.ndarray, truth: np.ndarray) -> BiasVariance:
    """The parts of the squared error.

    With a known truth the error is that against fresh observations, with noise of the size of the observed one.

    Args:
        predictions: One row for each training set.
        observed: Targets of the test samples.
        truth: The targets without noise; the observed ones where these are unknown.
    """
    main = predictions.mean(axis=0)
    noise = float(((observed - truth) ** 2).mean())
    variance = float(((predictions - main) ** 2).mean())
    return BiasVariance(
        error=float(((predictions - truth) ** 2).mean()) + noise,
        bias=float(((main - truth) ** 2).mean()),
        variance=variance,
        noise=noise,
        net_variance=variance,
        net_noise=noise,
        main=main,
        rounds=len(predictions),
    )


def zero_one_parts(predictions: np.ndarray, observed: np.ndarray, truth: np.ndarray) -> BiasVariance:
    """The parts of the share of errors.

    Args:
        predictions: One row of classes for each training set.
        observed: Classes of the test samples.
        truth: The best classes; the observed ones where these are unknown.
    """
    classes, codes = np.unique(predictions, return_inverse=True)
    codes = codes.reshape(predictions.shape)
    main = classes[(codes == np.arange(len(classes))[:, None, None]).sum(axis=1).argmax(axis=0)]
    biased, missed = main != truth, predictions != truth
    return BiasVariance(
        error=float((predictions != observed).mean()),
        bias=float(biased.mean()),
        variance=float((predictions != main).mean()),
        noise=float((observed != truth).mean()),
        net_variance=float((missed * 1.0 - biased).mean()),
        net_noise=float(((predictions != observed) * 1.0 - missed).mean()),
        main=main,
        rounds=len(predictions),
    )


#: The parts of the error, by the name of the loss.
LOSSES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], BiasVariance]] = {
    "squared": squared_parts,
    "zero-one": zero_one_parts,
}


def _taken(values: Any, rows: np.ndarray) -> Any:
    return values[rows] if isinstance(values, Tensor) else _safe_indexing(values, rows)


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
