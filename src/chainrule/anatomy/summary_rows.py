"""What stands in a row of the layer table, and how its numbers are found."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from chainrule.anatomy.receptive import Field
from chainrule.anatomy.summary_rules import each

Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One call of a layer, or of a function between layers.

    Attributes:
        name: Dotted name of the layer; of a function, that of the module that calls it, and the function's.
        type: Class of the layer, or name of the function.
        kernel: Size of the window of a convolution or pooling; None elsewhere.
        stride: Its steps.
        padding: What is added on each side; a text such as ``"same"`` where the layer says so.
        dilation: Steps inside the window.
        groups: Groups of a convolution.
        size: Shape of the output, without the batch.
        weights: Parameters that are used here first, without the biases.
        biases: Biases that are used here first.
        shared: Parameters that an earlier row has used, too, and counts.
        multiplications: Multiplications of convolutions and matrix products.
        field: Receptive field; None where it has no meaning.
        bytes: Memory of the output; 0 where it lies in that of the input (in place, or a view).
    """

    name: str
    type: str
    kernel: Numbers | None
    stride: Numbers | None
    padding: Numbers | str | None
    dilation: Numbers | None
    groups: int | None
    size: Numbers
    weights: int
    biases: int
    shared: int
    multiplications: int
    field: Field | None
    bytes: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases


def _convolved(given: dict[str, Any], output: Tensor) -> int:
    """Each weight once at each position of the output; of a transposed one, of the input."""
    positions = given["input"] if given["transposed"] else output
    return positions.shape[0] * math.prod(positions.shape[2:]) * given["weight"].numel()


def _multiplied(given: dict[str, Any], output: Tensor) -> int:
    left: Any = given.get("batch1", given.get("mat1", given.get("self")))
    return output.numel() * left.shape[-1]


#: Multiplications of the operations of ATen that layers come down to.
COUNTS: dict[str, Callable[[dict[str, Any], Tensor], int]] = {
    "convolution": _convolved,
    **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot"), _multiplied),
}


def geometry(
    module: nn.Module | None, window: dict[str, Any] | None, axes: int
) -> tuple[Numbers | None, Numbers | None, Numbers | str | None, Numbers | None, int | None]:
    """Kernel, stride, padding, dilation and groups: those of the layer, else those of the one window inside."""
    given: dict[str, Any] = {}
    count = axes - 2
    if module is not None and hasattr(module, "kernel_size"):
        given = {
            name: getattr(module, name, None) for name in ("kernel_size", "stride", "padding", "dilation", "groups")
        }
    elif window and window["dim"] == axes:
        weight = window.get("weight")
        given = {**window, "kernel_size": weight.shape[2:] if weight is not None else window["kernel_size"]}
    if not given or count < 1:
        return None, None, None, None, None

    def numbers(value: Any, default: Any) -> Numbers:
        return tuple(each(default if value is None or value == [] else value, count))

    kernel = numbers(given["kernel_size"], 1)
    padding = given.get("padding")
    return (
        kernel,
        numbers(given.get("stride"), kernel),
        padding if isinstance(padding, str) else numbers(padding, 0),
        numbers(given.get("dilation"), 1),
        given.get("groups") or 1,
    )
