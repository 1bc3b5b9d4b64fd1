"""Variants of diffGrad: other frictions.

Nanni, Maguolo, Lumini 2021, Exploiting Adam-like optimization algorithms to improve the performance of convolutional
neural networks, https://arxiv.org/abs/2103.14689 (DGrad, Cos#1, Exp, Sto), and their later work of 2022 (ExpLR).

    D_t = |g_t - avg_t|, avg_t a moving average of the gradients before
    N_t = D_t / max(D_t), over each parameter tensor
    DGrad  xi = sigmoid(4 N_t)
    Cos#1  xi = sigmoid(4 w_t N_t),  w_t = 2 - |cos(pi t / 30)| exp(-0.01 (mod(t, 30) + 1))
    Exp    xi = sigmoid(4 E_t),      E_t = N_t exp(-k N_t), divided by its maximum
    ExpLR  xi = sigmoid(4 w_t E_t)
    Sto    xi = sigmoid(4 u_t N_t),  u_t random

Differs from the paper: perhaps. The authors' programs are not public, and the texts leave open what follows; these are
our readings. avg_t is the average of the gradients (the text speaks of element-wise squares, which have another unit),
with memory 0.9. D is divided by its maximum before Exp is applied, so that k does not depend on the scale of the loss;
k is 2. ExpLR takes the wave w_t of Cos#1. u_t is uniform on [0, 1), drawn for each component. Each of them is an option
or a step that can be changed: ``DiffGrad(params, friction=Friction(normalize(), hump(3.0), normalize(4.0)))``.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from chainrule import registry
from chainrule.errors import InputError
from chainrule.optim.diffgrad import DiffGrad, Friction, FrictionStep

PAPER = (
    "Nanni, Maguolo, Lumini 2021, Exploiting Adam-like optimization algorithms to improve the performance of "
    "convolutional neural networks"
)
#: The factor before the sigmoid: xi reaches sigmoid(4) = 0.982 where the gradient changes most.
STEEPNESS = 4.0

Betas = tuple[float, float]


def normalize(peak: float = 1.0) -> FrictionStep:
    """Scale each tensor so that its largest component is ``peak``; one that is zero everywhere stays so."""

    def normalized(changes: list[Tensor], t: int) -> None:
        largest = list(torch._foreach_max(changes))
        # No change of a maximum, but that of zero, by which nothing can be divided.
        torch._foreach_clamp_min_(largest, torch.finfo(changes[0].dtype).tiny)
        torch._foreach_mul_(largest, 1 / peak)
        torch._foreach_div_(changes, largest)

    return normalized


def wave(period: int) -> FrictionStep:
    """Multiply by ``2 - |cos(pi t / period)| exp(-0.01 (mod(t, period) + 1))``, between 1 and 2.

    Raises:
        InputError: When the period is not at least 1.
    """
    if period < 1:
        raise InputError(f"period must be at least 1 step; received {period!r}.")

    def waved(changes: list[Tensor], t: int) -> None:
        height = 2 - abs(math.cos(math.pi * t / period)) * math.exp(-0.01 * (t % period + 1))
        torch._foreach_mul_(changes, height)

    return waved


def hump(k: float) -> FrictionStep:
    """Make ``D exp(-k D)`` of D: largest at ``D = 1 / k``, smaller for greater changes.

    Raises:
        InputError: When k is negative.
    """
    if not k >= 0:
        raise InputError(f"k must not be negative; received {k!r}.")

    def humped(changes: list[Tensor], t: int) -> None:
        weights = torch._foreach_mul(changes, -k)
        torch._foreach_exp_(weights)
        torch._foreach_mul_(changes, weights)

    return humped


def noise(changes: list[Tensor], t: int) -> None:
    """Multiply each component by its own random number from [0, 1), drawn from torch's generator."""
    for change in changes:
        change.mul_(torch.rand_like(change))


@registry.register("optimizer", "dgrad", family="adaptive", paper=PAPER, year=2021)
def dgrad(
    params: Iterable[Any],
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    weight_decay: float = 0.0,
    memory: float = 0.9,
) -> DiffGrad:
    """DiffGrad against a moving average: xi = sigmoid(4 N), N the normalised distance of the gradient from it."""
    friction = Friction(normalize(STEEPNESS), memory=memory)
    return DiffGrad(params, lr, betas=betas, weight_decay=weight_decay, friction=friction)


@registry.register("optimizer", "dgrad_cos", family="adaptive", paper=PAPER, year=2021)
def dgrad_cos(
    params: Iterable[Any],
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    weight_decay: float = 0.0,
    memory: float = 0.9,
    period: int = 30,
) -> DiffGrad:
    """Cos#1: DGrad with a friction that swings with a period of so many steps."""
    friction = Friction(normalize(STEEPNESS), wave(period), memory=memory)
    return DiffGrad(params, lr, betas=betas, weight_decay=weight_decay, friction=friction)


@registry.register("optimizer", "dgrad_exp", family="adaptive", paper=PAPER, year=2021)
def dgrad_exp(
    params: Iterable[Any],
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    weight_decay: float = 0.0,
    memory: float = 0.9,
    k: float = 2.0,
) -> DiffGrad:
    """Exp: DGrad on N exp(-k N), normalised again, so that the largest changes no longer count most."""
    friction = Friction(normalize(), hump(k), normalize(STEEPNESS), memory=memory)
    return DiffGrad(params, lr, betas=betas, weight_decay=weight_decay, friction=friction)


@registry.register("optimizer", "dgrad_explr", family="adaptive", paper=PAPER + "; and their later work", year=2022)
def dgrad_explr(
    params: Iterable[Any],
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    weight_decay: float = 0.0,
    memory: float = 0.9,
    k: float = 2.0,
    period: int = 30,
) -> DiffGrad:
    """ExpLR: Exp with the swinging friction of Cos#1."""
    friction = Friction(normalize(), hump(k), normalize(STEEPNESS), wave(period), memory=memory)
    return DiffGrad(params, lr, betas=betas, weight_decay=weight_decay, friction=friction)


@registry.register("optimizer", "dgrad_sto", family="adaptive", paper=PAPER, year=2021)
def dgrad_sto(
    params: Iterable[Any],
    lr: float = 1e-3,
    *,
    betas: Betas = (0.9, 0.999),
    weight_decay: float = 0.0,
    memory: float = 0.9,
) -> DiffGrad:
    """Sto: DGrad with N multiplied by random numbers from [0, 1)."""
    friction = Friction(normalize(STEEPNESS), noise, memory=memory)
    return DiffGrad(params, lr, betas=betas, weight_decay=weight_decay, friction=friction)
