"""Smooth activations with learned numbers: soft-learnable, SRS, PDELU, and learnable Swish and Mish.

Each is a pure function and a module that owns one number a channel. The start values are those of Nanni, Brahnam, Paci
and Ghidoni 2022, Comparison of different convolutional neural network activation functions, who use them side by side.
None of them starts as ReLU. They learn ``beta`` of Swish at a tenth of the rate: give it a parameter group of its own.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from chainrule.errors import InputError
from chainrule.nn.activations.piecewise import check_channels, check_options
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

SHELF = {"family": "smooth", "tiny": {"channels": 3}, "sample": (4, 3, 5)}


def soft_learnable(
    x: Float[Tensor, "b c *rest"], alpha: Float[Tensor, " #c"], beta: Float[Tensor, " #c"]
) -> Float[Tensor, "b c *rest"]:
    """``x`` for ``x > 0``, else ``alpha log((1 + exp(beta x)) / 2)``; channels on axis 1."""
    below = by_channel(alpha, x) * (F.softplus(by_channel(beta, x) * x.clamp(max=0)) - math.log(2))
    return torch.where(x > 0, x, below).to(x.dtype)


def srs(
    x: Float[Tensor, "b c *rest"], alpha: Float[Tensor, " #c"], beta: Float[Tensor, " #c"]
) -> Float[Tensor, "b c *rest"]:
    """Soft-root-sign, ``x / (x / alpha + exp(-x / beta))``; channels on axis 1.

    Args:
        x: Inputs.
        alpha: Its limit at infinity; greater than 0.
        beta: Greater than 0 and less than ``e alpha``; from there on the denominator has a zero.
    """
    alpha, beta = by_channel(alpha, x), by_channel(beta, x)
    # Below 0 the fraction is expanded by exp(x / beta), so that nothing overflows.
    rise = torch.exp(x.clamp(max=0) / beta)
    return (x * rise / (x * rise / alpha + torch.exp(-x.clamp(min=0) / beta))).to(x.dtype)


def pdelu(x: Float[Tensor, "b c *rest"], alpha: Float[Tensor, " #c"], theta: float) -> Float[Tensor, "b c *rest"]:
    """``x`` for ``x > 0``, else ``alpha (max(1 + (1 - theta) x, 0) ** (1 / (1 - theta)) - 1)``; channels on axis 1."""
    power = (1 + (1 - theta) * x.clamp(max=0)).clamp(min=0) ** (1 / (1 - theta))
    return torch.where(x > 0, x, by_channel(alpha, x) * (power - 1)).to(x.dtype)


def swish(x: Float[Tensor, "b c *rest"], beta: Float[Tensor, " #c"]) -> Float[Tensor, "b c *rest"]:
    """``x sigmoid(beta x)``; channels on axis 1."""
    return (x * torch.sigmoid(by_channel(beta, x) * x)).to(x.dtype)


def mish(x: Float[Tensor, "b c *rest"], beta: Float[Tensor, " #c"]) -> Float[Tensor, "b c *rest"]:
    """``x tanh(log(1 + exp(beta x)))``; channels on axis 1."""
    return (x * torch.tanh(F.softplus(by_channel(beta, x) * x))).to(x.dtype)


def by_channel(numbers: Float[Tensor, " c"], x: Tensor) -> Tensor:
    """The numbers with axes of size 1 behind them, so that they meet axis 1 of ``x``."""
    return numbers.reshape(-1, *[1] * (x.ndim - 2))


@register(
    "activation",
    "soft-learnable",
    paper="Nanni, Brahnam, Paci, Ghidoni 2022, Comparison of different CNN activation functions",
    year=2022,
    **SHELF,
)
class SoftLearnable(nn.Module):
    """The identity above 0, a scaled softplus below: ``alpha log((1 + exp(beta x)) / 2)``.

    Differs from the paper: ``alpha`` starts at 1, for the paper's start is not known here.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one number.
        learn_beta: Whether ``beta``, 1 at the start, is learned, too.

    Attributes:
        alpha: ``[channels]``.
        beta: ``[channels]``; a buffer unless it is learned.

    Raises:
        InputError: When the channels do not fit the input.
    """

    beta: Tensor

    def __init__(self, channels: int = 1, *, learn_beta: bool = False) -> None:
        super().__init__()
        check_options("SoftLearnable", channels)
        self.channels = channels
        self.alpha = nn.Parameter(torch.ones(channels))
        if learn_beta:
            self.register_parameter("beta", nn.Parameter(torch.ones(channels)))
        else:
            self.register_buffer("beta", torch.ones(channels))

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        check_channels(x, self.channels, "SoftLearnable")
        return soft_learnable(x, self.alpha, self.beta)


@register(
    "activation",
    "srs",
    paper="Zhou, Li, Dong, Wang, Xing 2020, Soft-root-sign activation function",
    year=2020,
    **SHELF,
)
class SRS(nn.Module):
    """Soft-root-sign: ``x / (x / alpha + exp(-x / beta))``, smooth, bounded, with a dip below 0.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one pair of numbers.
        alpha: Start of ``alpha``.
        beta: Start of ``beta``, less than ``e alpha``.

    Attributes:
        alpha: ``[channels]``.
        beta: ``[channels]``.

    Raises:
        InputError: When a start value, or at the call the input, does not fit.
    """

    def __init__(self, channels: int = 1, *, alpha: float = 5.0, beta: float = 3.0) -> None:
        super().__init__()
        check_options("SRS", channels)
        if not 0 < beta < math.e * alpha:
            raise InputError(f"SRS wants 0 < beta < e * alpha; received alpha={alpha!r} and beta={beta!r}.")
        self.channels = channels
        self.alpha = nn.Parameter(torch.full((channels,), float(alpha)))
        self.beta = nn.Parameter(torch.full((channels,), float(beta)))

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        check_channels(x, self.channels, "SRS")
        return srs(x, self.alpha, self.beta)


@register(
    "activation",
    "pdelu",
    paper="Cheng, Li, Wang, Zhao, Zhang 2020, Parametric deformable exponential linear units",
    year=2020,
    **SHELF,
)
class PDELU(nn.Module):
    """Parametric deformable ELU: ``alpha (max(1 + (1 - theta) x, 0) ** (1 / (1 - theta)) - 1)`` below 0.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one number.
        alpha: Start of ``alpha``.
        theta: Degree of the deformation, from 0 up to, but not, 1, where it would be ELU; it is not learned.

    Attributes:
        alpha: ``[channels]``.

    Raises:
        InputError: When ``theta``, or at the call the input, does not fit.
    """

    def __init__(self, channels: int = 1, *, alpha: float = 0.1, theta: float = 0.9) -> None:
        super().__init__()
        check_options("PDELU", channels)
        if not 0 <= theta < 1:
            raise InputError(f"PDELU wants theta from 0 up to, but not, 1; received {theta!r}.")
        self.channels, self.theta = channels, theta
        self.alpha = nn.Parameter(torch.full((channels,), float(alpha)))

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        check_channels(x, self.channels, "PDELU")
        return pdelu(x, self.alpha, self.theta)


@register(
    "activation",
    "learnable-swish",
    paper="Ramachandran, Zoph, Le 2017, Searching for activation functions",
    year=2017,
    **SHELF,
)
class LearnableSwish(nn.Module):
    """``x sigmoid(beta x)``; with ``beta`` fixed at 1 it is torch's SiLU.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one number.
        beta: Start of ``beta``: 0.1 in the comparison; the paper begins with 1.

    Attributes:
        beta: ``[channels]``.

    Raises:
        InputError: When the channels do not fit the input.
    """

    def __init__(self, channels: int = 1, *, beta: float = 0.1) -> None:
        super().__init__()
        check_options("LearnableSwish", channels)
        self.channels = channels
        self.beta = nn.Parameter(torch.full((channels,), float(beta)))

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        check_channels(x, self.channels, "LearnableSwish")
        return swish(x, self.beta)


@register(
    "activation",
    "learnable-mish",
    paper="Misra 2020, Mish: a self regularized non-monotonic activation function",
    year=2020,
    **SHELF,
)
class LearnableMish(nn.Module):
    """``x tanh(log(1 + exp(beta x)))``; with ``beta`` fixed at 1 it is torch's Mish.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one number.
        beta: Start of ``beta``.

    Attributes:
        beta: ``[channels]``.

    Raises:
        InputError: When the channels do not fit the input.
    """

    def __init__(self, channels: int = 1, *, beta: float = 0.1) -> None:
        super().__init__()
        check_options("LearnableMish", channels)
        self.channels = channels
        self.beta = nn.Parameter(torch.full((channels,), float(beta)))

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        check_channels(x, self.channels, "LearnableMish")
        return mish(x, self.beta)
