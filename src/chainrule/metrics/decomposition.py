"""Bias-variance decomposition of a squared error, from models fitted to resampled training sets.

Geman, Bienenstock and Doursat 1992, "Neural networks and the bias/variance dilemma". With the predictions ``p_r`` of
``r`` refits for one sample and its true value ``t``::

    mean_r (p_r - t)^2 = (mean_r p_r - t)^2 + mean_r (p_r - mean p)^2 = bias^2 + variance

Where the target is noisy, the bias term has the irreducible noise in it; only true values without noise take it out.
"""

from typing import NamedTuple

from chainrule.errors import InputError
from chainrule.shapes import Float, Tensor


class Decomposition(NamedTuple):
    """The parts of the mean squared error of each sample, ``[n]`` each; their means are those of the data set.

    Attributes:
        squared_bias: Square of how far the mean prediction is off, with the target's noise.
        variance: Spread of the predictions around their mean.
        error: Mean squared error, the sum of the two.
    """

    squared_bias: Tensor
    variance: Tensor
    error: Tensor


def bias_variance(predictions: Float[Tensor, "r n"], target: Float[Tensor, " n"]) -> Decomposition:
    """Split the squared error of refitted models into bias and variance.

    Args:
        predictions: What each of at least two models (rows), fitted to training sets of its own, predicts for the same
            samples.
        target: True values of these samples.

    Raises:
        InputError: When the shapes do not match, or there is one model only.
    """
    if predictions.ndim != 2 or predictions.shape[1:] != target.shape or len(predictions) < 2:
        raise InputError(
            "bias_variance wants predictions [r, n] of at least 2 models and the true values [n]; received "
            f"{list(predictions.shape)} and {list(target.shape)}."
        )
    mean = predictions.mean(0)
    return Decomposition(
        squared_bias=(mean - target).square(),
        variance=(predictions - mean).square().mean(0),
        error=(predictions - target).square().mean(0),
    )
