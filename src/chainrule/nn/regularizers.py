"""Regularizers that torch lacks: DropConnect, stochastic depth, the elastic penalty and max-norm.

Spatial dropout is torch's ``nn.Dropout1d``, ``2d`` and ``3d``; label smoothing, early stopping and augmentation are
options of ``chainrule.fit``.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import nn

from chainrule.errors import InputError
from chainrule.nn.weights import weighted_layers
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "regularizer",
    "dropconnect",
    paper="Wan, Zeiler, Zhang, LeCun, Fergus 2013, Regularization of neural networks using DropConnect",
    year=2013,
)
class DropConnect(nn.Module):
    """Sets random weights of a layer to 0 in each training pass; ``y = (m * W) x / (1 - p) + b``.

    Differs from the paper: one mask for a whole batch instead of one for each sample; the weights that stay are scaled
    by ``1 / (1 - p)`` while training, and evaluation takes the mean network, where the paper samples a Gaussian of the
    same moments; biases are not dropped.

    Args:
        layer: A layer with a ``weight``, such as ``nn.Linear``.
        p: Probability of a weight to be dropped, from 0 up to, but not, 1.

    Raises:
        InputError: When ``p`` is no such probability, or the layer has no weight.
    """

    def __init__(self, layer: nn.Module, *, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise InputError(f"DropConnect wants a probability p from 0 up to, but not, 1; received {p!r}.")
        if not isinstance(getattr(layer, "weight", None), nn.Parameter):
            raise InputError(f"DropConnect wants a layer with a weight, such as nn.Linear; received {layer}.")
        self.layer, self.p = layer, p

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        if not self.training or self.p == 0:
            return self.layer(x)
        weight = F.dropout(self.layer.get_parameter("weight"), self.p)
        return torch.func.functional_call(self.layer, {"weight": weight}, (x,))

    def extra_repr(self) -> str:
        """Its options."""
        return f"p={self.p}"


def stochastic_depth(x: Float[Tensor, "b ..."], p: float, *, training: bool = True) -> Float[Tensor, "b ..."]:
    """While training, set whole samples to 0 with probability ``p``, the others times ``1 / (1 - p)``.

    Args:
        x: The residual branch of a block, before it is added to the shortcut.
        p: Probability of a sample to skip the branch.
        training: Otherwise ``x`` comes back as it is.

    Raises:
        InputError: When ``p`` is no probability.
    """
    if not 0 <= p <= 1:
        raise InputError(f"stochastic depth wants a probability p from 0 to 1; received {p!r}.")
    if not training or p == 0:
        return x
    # Dropout of one number a sample: it scales, and p = 1 gives 0 without dividing by 0.
    return x * F.dropout(x.new_ones(len(x), *[1] * (x.ndim - 1)), p)


@register(
    "regularizer",
    "stochastic-depth",
    paper="Huang, Sun, Liu, Sedra, Weinberger 2016, Deep networks with stochastic depth",
    year=2016,
)
class StochasticDepth(nn.Module):
    """Random residual blocks are skipped while training: ``x + StochasticDepth()(branch(x))``.

    Differs from the paper: each sample skips by itself, instead of the batch as one; and the branch is scaled by
    ``1 / (1 - p)`` while training, instead of by ``1 - p`` in evaluation.

    Args:
        p: Probability of a sample to skip the branch; see :func:`depth_rates`.

    Raises:
        InputError: When ``p`` is no probability.
    """

    def __init__(self, *, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise InputError(f"StochasticDepth wants a probability p from 0 to 1; received {p!r}.")
        self.p = p

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        return stochastic_depth(x, self.p, training=self.training)

    def extra_repr(self) -> str:
        """Its options."""
        return f"p={self.p}"


def depth_rates(blocks: int, *, last: float = 0.5) -> list[float]:
    """The paper's linear rule: the probability to skip block ``l`` of ``L`` is ``l / L * last``."""
    return [last * block / blocks for block in range(1, blocks + 1)]


def elastic(parameters: Iterable[Tensor], *, l1: float = 0.0, l2: float = 0.0) -> Float[Tensor, ""]:
    """``l1 sum |w| + l2 sum w^2`` over all numbers in ``parameters``; L1 alone, L2 alone, or both (elastic net).

    The gradient of the L2 term is ``2 l2 w``: it equals a weight decay of ``2 l2`` under SGD.

    Raises:
        InputError: When a factor is negative, or there are no parameters.
    """
    parameters = list(parameters)
    if not (l1 >= 0 and l2 >= 0) or not parameters:
        came = f"l1={l1!r} and l2={l2!r} for {len(parameters)} parameters"
        raise InputError(f"The elastic penalty wants factors from 0 up, and parameters to sum over; received {came}.")
    total = torch.zeros((), device=parameters[0].device)
    for weight in parameters:
        if l1:
            total = total + l1 * weight.abs().sum()
        if l2:
            total = total + l2 * weight.square().sum()
    return total


@register(
    "regularizer",
    "elastic",
    paper="Zou, Hastie 2005, Regularization and variable selection via the elastic net",
    year=2005,
)
class Elastic(nn.Module):
    """Penalty ``l1 sum |w| + l2 sum w^2`` on the weights of linear and convolutional layers, to be added to a loss.

    Biases, and the numbers of normalizations and activations, are not penalised.

    Args:
        l1: Factor of the absolute values.
        l2: Factor of the squares.

    Raises:
        InputError: When a factor is negative.
    """

    def __init__(self, *, l1: float = 0.0, l2: float = 0.0) -> None:
        super().__init__()
        if not (l1 >= 0 and l2 >= 0):
            raise InputError(f"The elastic penalty wants factors from 0 up; received l1={l1!r} and l2={l2!r}.")
        self.l1, self.l2 = l1, l2

    def forward(self, model: nn.Module) -> Float[Tensor, ""]:
        return elastic((weight for _, weight in weighted_layers(model)), l1=self.l1, l2=self.l2)

    def extra_repr(self) -> str:
        """Its options."""
        return f"l1={self.l1}, l2={self.l2}"


@register(
    "regularizer",
    "max-norm",
    paper="Srebro, Rennie, Jaakkola 2004, Maximum-margin matrix factorization",
    year=2004,
)
@torch.no_grad()
def max_norm_(model: nn.Module, *, limit: float = 3.0) -> None:
    """Shorten the incoming weights of each unit to a Euclidean length of ``limit``, in place, after a step.

    A unit is an output of a linear layer, or a channel of a convolution with its kernel.

    Raises:
        InputError: When ``limit`` is not greater than 0, or the model has no such layer.
    """
    if not limit > 0:
        raise InputError(f"max-norm wants a limit greater than 0; received {limit!r}.")
    for _, weight in weighted_layers(model):
        weight.copy_(torch.renorm(weight, p=2, dim=0, maxnorm=limit))
