"""What becomes of a map's size on its way through a network, and what a spec says to a constructor."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from chainrule.errors import InputError


def image_arguments(inputs: Any, target: Any) -> dict[str, Any]:
    """Arguments of a network that takes images of any size: ``channels`` and ``classes``."""
    return {"channels": inputs.shape[0], "classes": len(target.names)}


def sized_arguments(inputs: Any, target: Any) -> dict[str, Any]:
    """Arguments of a network that is made for one size: ``channels``, ``classes`` and ``size``."""
    return {**image_arguments(inputs, target), "size": inputs.shape[1:]}


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width, from both or from one number for both."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def output_shape(network: nn.Module, shape: Sequence[int], *, what: str = "") -> tuple[int, ...]:
    """Shape of what a network makes of one sample; nothing is computed, so it costs no memory and next to no time.

    Args:
        network: The network, or its first part; layers stay as they are.
        shape: Shape of the sample, without the batch: ``(c, h, w)`` or ``(c, d, h, w)``.
        what: What the network is called in the sentence; default its class.

    Returns:
        The output's shape, without the batch.

    Raises:
        InputError: When a map vanishes on the way; the sentence names the layer and the least size that would do.
    """
    shape = tuple(shape)
    try:
        return _shape(network, shape)
    except _VanishedError as vanished:
        sizes = "x".join(map(str, shape[1:]))
        least = _least(lambda side: _passes(network, (shape[0], *(max(side, s) for s in shape[1:]))))
        kind = "volumes" if len(shape) == 4 else "images"
        advice = f"; take {kind} of at least {least} pixels a side" if least else ""
        raise InputError(
            f"{what or type(network).__name__} cannot take {kind} of {sizes} pixels: the map vanishes at "
            f"{vanished}{advice}."
        ) from vanished


class _VanishedError(Exception):
    """A layer that has nothing left to work on."""


def _shape(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    entered: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def note(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, inputs: entered.append((name, module, tuple(inputs[0].shape[1:])))

    hooks = [module.register_forward_pre_hook(note(name)) for name, module in network.named_modules()]
    tensors = {name: tensor.to("meta") for name, tensor in (*network.named_parameters(), *network.named_buffers())}
    training = [module for module in network.modules() if module.training]
    try:
        # Batch normalization of a 1x1 map and one sample has no statistics in training mode.
        network.eval()
        output = functional_call(network, tensors, (torch.empty(1, *shape, device="meta"),))
    except RuntimeError as error:
        name, module, came = entered[-1]
        if "too small" not in str(error) and "greater than actual input" not in str(error):
            raise
        sizes = "x".join(map(str, came))
        raise _VanishedError(f"{name or 'the first layer'} ({type(module).__name__}, which gets {sizes})") from error
    finally:
        for hook in hooks:
            hook.remove()
        for module in training:
            module.training = True
    return tuple(output.shape[1:])


def _passes(network: nn.Module, shape: tuple[int, ...]) -> bool:
    try:
        return math.prod(_shape(network, shape)) > 0
    except (_VanishedError, RuntimeError):
        return False


def _least(passes: Callable[[int], bool], most: int = 1024) -> int | None:
    """The least side that passes, by bisection; a larger one always does where a smaller one did."""
    if not passes(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
