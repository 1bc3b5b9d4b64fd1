"""What a model does to its outputs last, read from the graph that autograd keeps: modules and functions look alike."""

import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor

#: Steps of the graph that only move numbers, or copy them.
MOVES = re.compile(
    r"^(View|UnsafeView|Reshape|ReshapeAlias|Squeeze|Unsqueeze|Clone|Select|Slice|Alias|ToCopy|Expand|AsStrided|Narrow|"
    r"Contiguous|Flatten|Unflatten|Movedim)$"
)
#: Those that change the order of the axes.
TURNS = re.compile(r"^(Transpose|Permute|T|Numpy_T|Adjoint|MT)$")
#: Least and greatest value of the activations with fixed ones.
BOUNDS: dict[str, tuple[float, float]] = {
    "softmax": (0.0, 1.0),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, float("inf")),
    "softplus": (0.0, float("inf")),
    "exp": (0.0, float("inf")),
    "logsoftmax": (float("-inf"), 0.0),
    "logsigmoid": (float("-inf"), 0.0),
    "silu": (-0.279, float("inf")),
    "gelu": (-0.17, float("inf")),
    "leakyrelu": (float("-inf"), float("inf")),
    "log": (float("-inf"), float("inf")),
}
#: Most steps of the graph that are looked at.
STEPS = 30


@dataclass(frozen=True)
class Ending:
    """An activation that outputs go through.

    Attributes:
        name: ``"softmax"``, ``"logsoftmax"``, ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"clamp"``, ...
        low: Its least value.
        high: Its greatest value.
        axis: Axis that a softmax sums over; -1 for others.
        shape: Shape of what a softmax was applied to; empty for others.
        turned: Whether axes change their order after it.
    """

    name: str
    low: float
    high: float
    axis: int = -1
    shape: tuple[int, ...] = ()
    turned: bool = False


def endings(outputs: Tensor) -> tuple[Ending, ...]:
    """The activations that outputs went through after the last layer, the last one first.

    Args:
        outputs: As the model gives them, with their graph.
    """
    found: list[Ending] = []
    node: Any = outputs.grad_fn
    turned = False
    for _ in range(STEPS):
        if node is None:
            break
        name = re.sub(r"Backward\d*$", "", type(node).__name__)
        behind = [before for before, _ in node.next_functions if before is not None]
        activation = _activation(name, node, turned)
        if activation is not None:
            found.append(activation)
        elif TURNS.match(name):
            turned = True
        # A number that is added, such as the epsilon inside a logarithm, leaves one branch.
        elif not MOVES.match(name) and not (name in ("Add", "Sub") and len(behind) == 1 and not _leaf(behind[0])):
            break
        node = behind[0] if len(behind) == 1 else None
    return tuple(found)


def _activation(name: str, node: Any, turned: bool) -> Ending | None:
    lower = name.lower()
    if lower in ("softmax", "logsoftmax"):
        shape = tuple(node._saved_result.shape)
        axis = node._saved_dim
        axis = axis - 2**64 if axis >= 2**63 else axis
        low, high = BOUNDS[lower]
        return Ending(lower, low, high, axis % max(len(shape), 1), shape, turned)
    if lower in BOUNDS:
        return Ending(lower, *BOUNDS[lower], turned=turned)
    if lower in ("clamp", "clampmin", "clampmax", "hardtanh"):
        low = _saved(node, ("min", "min_val"), float("-inf"))
        high = _saved(node, ("max", "max_val"), float("inf"))
        if (low, high) == (0.0, float("inf")):
            return Ending("relu", low, high, turned=turned)
        return Ending("clamp", low, high, turned=turned)
    if lower == "elu":
        return Ending("elu", -float(node._saved_alpha) * float(node._saved_scale), float("inf"), turned=turned)
    if lower == "threshold" and float(node._saved_threshold) == 0:
        return Ending("relu", *BOUNDS["relu"], turned=turned)
    return None


def _saved(node: Any, names: tuple[str, ...], default: float) -> float:
    for name in names:
        value = getattr(node, f"_saved_{name}", None)
        if isinstance(value, int | float):
            return float(value)
    return default


def _leaf(node: Any) -> bool:
    """Whether it is a parameter: a learned shift is a layer, not a constant."""
    return type(node).__name__ == "AccumulateGrad"
