"""What the structure of a network says of its layers: linear pairs, doubled functions, widths."""

import math
from dataclasses import dataclass, field

from chainrule.doctor.measures.operations import Structure
from chainrule.doctor.measures.structure import LAYOUT, structure
from chainrule.doctor.probe import Probe

#: Functions that are called twice in vain, or that no hidden layer wants twice.
FUNCTIONS = (
    "relu",
    "sigmoid",
    "tanh",
    "softmax",
    "logsoftmax",
    "elu",
    "leakyrelu",
    "silu",
    "gelu",
    "hardtanh",
    "softplus",
)
SOFTMAX = ("softmax", "logsoftmax", "safesoftmax")


@dataclass(frozen=True)
class Pair:
    """Two layers with weights in a plain chain without a non-linear function between them.

    Attributes:
        first: Dotted name of the first, or of its weights.
        second: Of the second.
        narrowed: Whether the first one's width is below half of what goes in and comes out, as in a factored matrix.
    """

    first: str
    second: str
    narrowed: bool


@dataclass(frozen=True)
class Chains:
    """The layers of a network.

    Attributes:
        layers: How many operations multiply by weights.
        linear: Whether nothing between any two of them is non-linear, along no way.
        pairs: Linear pairs, in order.
        doubled: Layers that apply the same function to its own result: first, second, function.
        softmax: Softmax whose result goes straight into a layer with weights.
        hidden: By layer: whether weights follow.
        widths: Numbers of a sample that hidden layers give which everything passes, by layer.
        widest: The greatest of these, and of the inputs.
        inputs: Numbers of a sample.
        outputs: Numbers that a sample gives.
    """

    layers: int = 0
    linear: bool = False
    pairs: tuple[Pair, ...] = ()
    doubled: tuple[tuple[str, str, str], ...] = ()
    softmax: tuple[str, ...] = ()
    hidden: dict[str, bool] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    widest: int = 0
    inputs: int = 0
    outputs: int = 0


def chains(probe: Probe) -> Chains:
    """The layers of the model, from the operations of a pass in evaluation mode.

    Args:
        probe: Of the program.
    """
    seen = probe.measure(structure)
    if not seen.operations:
        return Chains()
    operations = seen.operations
    softmax = [
        operations[place].layer or "a softmax"
        for place in range(len(operations))
        if operations[place].kind in SOFTMAX and _next_weighted(seen, place, LAYOUT) is not None
    ]
    widths = {
        operations[place].layer or operations[place].weight: _width(operations[place].shape)
        for place in seen.weighted
        if seen.hidden(place) and operations[place].weight not in seen.recurrent and seen.alone(place)
    }
    given = probe.sample.inputs[0].numel()
    return Chains(
        layers=len(seen.layers),
        linear=_linear(seen),
        pairs=tuple(_pairs(seen)),
        doubled=tuple(_doubled(seen)),
        softmax=tuple(softmax),
        hidden={operation.layer: seen.hidden(place) for place, operation in enumerate(operations)},
        widths=widths,
        widest=max([given, *widths.values()]),
        inputs=given,
        outputs=sum(_width(operations[end].shape) for end in seen.ends),
    )


def _width(shape: tuple[int, ...]) -> int:
    return math.prod(shape[1:])


def _linear(seen: Structure) -> bool:
    """Whether all between the first and the last of the layers with weights is linear."""
    if len(seen.weighted) < 2:
        return False
    after: set[int] = set()
    ahead: set[int] = set()
    for place in seen.weighted:
        after |= seen.behind(place)
        ahead |= seen.ahead(place)
    between = (after & ahead) | set(seen.weighted)
    return all(seen.operations[place].linear for place in between)


def _pairs(seen: Structure) -> list[Pair]:
    found = []
    for place in seen.weighted:
        first = seen.operations[place]
        if not first.linear or first.grouped or first.weight in seen.recurrent:
            continue
        after = _next_weighted(seen, place, None)
        if after is None:
            continue
        second = seen.operations[after]
        if second.linear and not second.grouped and second.weight not in seen.recurrent:
            one, other = (seen.weights[operation.weight] for operation in (first, second))
            width = min(first.shape[1] if one.dim() > 2 and len(first.shape) > 1 else first.shape[-1], one.numel())
            least = min(one.numel() // max(width, 1), _out(seen, after, other.dim()))
            found.append(Pair(first.layer or first.weight, second.layer or second.weight, 2 * width <= least))
    return found


def _out(seen: Structure, place: int, dims: int) -> int:
    shape = seen.operations[place].shape
    return shape[1] if dims > 2 and len(shape) > 1 else shape[-1]


def _next_weighted(seen: Structure, place: int, through: frozenset[str] | None) -> int | None:
    """The layer with weights that a result alone goes to, by linear operations, or by those of a kind."""
    for after in seen.chained(place):
        operation = seen.operations[after]
        if operation.weight:
            return after
        if not (operation.linear if through is None else operation.kind in through):
            return None
    return None


def _doubled(seen: Structure) -> list[tuple[str, str, str]]:
    found = []
    for place, operation in enumerate(seen.operations):
        if operation.kind not in FUNCTIONS:
            continue
        for after in seen.chained(place):
            second = seen.operations[after]
            if second.kind == operation.kind and seen.hidden(after):
                found.append((operation.layer or "an activation", second.layer or "an activation", operation.kind))
            if second.kind not in LAYOUT:
                break
    return found
