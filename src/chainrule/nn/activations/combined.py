"""Activations made of others: the symmetric MeLU and GaLU, and the mean of both.

Nanni, Brahnam, Paci and Ghidoni 2022, Comparison of different convolutional neural network activation functions:

``Symmetric(f)(x) = f(x) + f(-x)``; ``Average(f, g)(x) = (f(x) + g(x)) / 2``.
Differs from the paper: nothing known.
"""

import torch
from torch import nn

from chainrule.nn.activations.hats import SHELF, SUCCESSORS, GaLU, MeLU
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


class Symmetric(nn.Module):
    """The even form of an activation, ``f(x) + f(-x)``, both terms with the same numbers.

    With MeLU or GaLU it starts as ``|x|``, because ``ReLU(x) + ReLU(-x) = |x|``.

    Args:
        activation: ``f``.
    """

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        return self.activation(x) + self.activation(-x)


class Average(nn.Module):
    """The mean of activations, each with its own numbers.

    Args:
        activations: What is averaged.
    """

    def __init__(self, *activations: nn.Module) -> None:
        super().__init__()
        self.activations = nn.ModuleList(activations)

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        return torch.stack([activation(x) for activation in self.activations]).mean(0)


@register("activation", "symmetric-melu", **SUCCESSORS, **SHELF)
def symmetric_melu(channels: int = 1, *, k: int = 4, max_input: float = 1.0) -> Symmetric:
    """``MeLU(x) + MeLU(-x)``; starts as ``|x|``."""
    return Symmetric(MeLU(channels, k=k, max_input=max_input))


@register("activation", "symmetric-galu", **SUCCESSORS, **SHELF)
def symmetric_galu(channels: int = 1, *, k: int = 4, max_input: float = 1.0) -> Symmetric:
    """``GaLU(x) + GaLU(-x)``; starts as ``|x|``."""
    return Symmetric(GaLU(channels, k=k, max_input=max_input))


@register("activation", "melu-galu", **SUCCESSORS, **SHELF)
def melu_galu(channels: int = 1, *, max_input: float = 1.0) -> Average:
    """The mean of MeLU and GaLU; starts as ReLU."""
    return Average(MeLU(channels, max_input=max_input), GaLU(channels, max_input=max_input))
