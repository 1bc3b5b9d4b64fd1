"""The weights as they are: their scale, whether units are alike, and whether they look like a fresh draw."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.parameter import UninitializedParameter

from chainrule.doctor.measures.gradients import nudge
from chainrule.doctor.measures.layers import quiet
from chainrule.doctor.measures.operations import Operation, Structure
from chainrule.doctor.measures.structure import structure
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program

#: Numbers from which on a uniform distribution can be told, and from which on a normal one.
FEWEST, MANY = 32, 1024
#: So many deviations may an average be apart from what it should be; of n draws the largest is within EDGE / n of the
#: bound in all but exp(-EDGE) of the cases.
APART, EDGE = 4.0, 12.0
#: Singular values of independent draws end at sqrt(rows) + sqrt(columns) deviations; learned ones go beyond.
BEYOND = 1.2


@dataclass(frozen=True)
class Weight:
    """A matrix or kernel that data is multiplied by.

    Attributes:
        name: Of the parameter.
        shape: Its shape.
        learns: Whether it asks for a gradient.
        deviation: Standard deviation of its numbers.
        usual: What an initialiser would give, from the least to the greatest.
        alike: Whether all its units have the same weights.
        zero: Whether they all are zero.
        stays: Whether they still have after a few steps of training; False where they differ.
        last: Whether no other weights follow.
        only: Whether it is the only one.
        normed: Whether a normalisation follows directly, which undoes its scale.
        chain: Whether everything passes it.
        fresh: Whether its numbers look like a fresh draw; None where they are too few to tell.
        bias: Mean size of the layer's bias; 0 where it has none.
    """

    name: str
    shape: tuple[int, ...]
    learns: bool
    deviation: float
    usual: tuple[float, float]
    alike: bool
    zero: bool
    stays: bool
    last: bool
    only: bool
    normed: bool
    chain: bool
    fresh: bool | None
    bias: float


def weights(probe: Probe) -> tuple[Weight, ...]:
    """The matrices and kernels of the model, in order of their first use.

    Args:
        probe: Of the program.
    """
    seen = probe.measure(structure)
    program = probe.copied()
    own = dict(program.model.named_parameters())
    before = {name: own[name].detach().clone() for name in seen.layers if name in own}
    alike = {name for name, weight in before.items() if _alike(weight)}
    stays = _stays(probe, program, alike) if alike else set()
    first: dict[str, int] = {}
    for place in seen.weighted:
        first.setdefault(seen.operations[place].weight, place)
    found = []
    for name, place in first.items():
        if name not in before:
            continue
        weight, operation = before[name], seen.operations[place]
        bias = own.get(f"{name.removesuffix('weight')}bias")
        found.append(
            Weight(
                name=name,
                shape=tuple(weight.shape),
                learns=own[name].requires_grad,
                deviation=float(weight.float().std(correction=0)),
                usual=_usual(weight, operation),
                alike=name in alike,
                zero=not bool(weight.any()),
                stays=name in stays,
                last=not seen.hidden(place),
                only=len(first) == 1,
                normed=_normed(seen, place),
                chain=seen.alone(place),
                fresh=fresh(weight),
                bias=0.0 if bias is None or not name.endswith("weight") else float(bias.detach().float().abs().mean()),
            )
        )
    return tuple(found)


def fresh(weight: Tensor) -> bool | None:
    """Whether a matrix is a draw of a known initialiser that nothing has moved; None for too few numbers to tell.

    Args:
        weight: Two axes or more.
    """
    if weight.dim() < 2 or weight.numel() < FEWEST or not weight.is_floating_point():
        return None
    values = weight.detach().double().flatten(1)
    deviation, largest = float(values.std(correction=0)), float(values.abs().max())
    if not deviation or not math.isfinite(deviation):
        return None
    singular = torch.linalg.svdvals(values)
    if float(singular[-1]) > 0.99 * float(singular[0]):
        return True  # orthogonal
    count = values.numel()
    known = _deviations(weight)
    # No number is beyond the bound of a uniform draw, and the largest of n is close to it; a few steps break that.
    if any(1 - EDGE / count < largest / (math.sqrt(3) * usual) < 1 + 1e-5 for usual in known):
        return True
    near = any(abs(deviation / usual - 1) < APART / math.sqrt(2 * count) for usual in known)
    standard = (values - values.mean()) / deviation
    normal = abs(float(standard.pow(4).mean()) - 3) < APART * math.sqrt(24 / count)
    centred = abs(float(values.mean())) < APART * deviation / math.sqrt(count)
    edge = deviation * sum(math.sqrt(side) for side in values.shape)
    looks = near and normal and centred and float(singular[0]) < BEYOND * edge
    return (None if count < MANY else True) if looks else False


def _deviations(weight: Tensor) -> set[float]:
    """What initialisers give for its shape."""
    kernel = weight[0][0].numel()
    sides = weight.shape[0] * kernel, weight.shape[1] * kernel
    squares = {1 / (3 * side) for side in sides} | {gain / side for side in sides for gain in (1, 2)}
    squares |= {gain * gain * 2 / sum(sides) for gain in (1, 5 / 3, math.sqrt(2))}
    squares |= {1 / (3 * weight.shape[0] / gates) for gates in (3, 4)}  # of recurrent layers
    return {math.sqrt(square) for square in squares} | {0.01, 0.02, 1.0}


def _alike(weight: Tensor) -> bool:
    """Whether all units, of two or more, have the same weights."""
    return weight.dim() > 1 and len(weight) > 1 and bool((weight == weight[:1]).all())


def _stays(probe: Probe, program: Program, alike: set[str]) -> set[str]:
    """Which of these matrices still have equal units after a few steps."""
    quiet(program.model)
    own = dict(program.model.named_parameters())
    try:
        nudge(probe, program)
    except Exception:  # a stranger's model and loss may raise anything; whether the program runs is said elsewhere
        return set()
    return {name for name in alike if own[name].requires_grad and _near(own[name].detach())}


def _near(weight: Tensor) -> bool:
    apart = (weight - weight[:1]).abs().max()
    return bool(apart <= 1e-4 * weight.abs().max())


def _usual(weight: Tensor, operation: Operation) -> tuple[float, float]:
    """The least and the greatest deviation that known initialisers give: torch's own, LeCun's, Xavier's and He's."""
    rows, columns = weight.shape[0], weight[0].numel()
    kernel = weight[0][0].numel() if weight.dim() > 2 else 1
    into, out = columns, rows * kernel
    turned = weight.dim() == 2 and operation.shape and operation.shape[-1] == columns != rows
    if turned or getattr(operation.node, "_saved_transposed", False):
        into, out = out, into
    least = min(1 / math.sqrt(3 * into), math.sqrt(2 / (into + out)), math.sqrt(2 / out))
    return least, math.sqrt(2 / into)


def _normed(seen: Structure, place: int) -> bool:
    kinds = (seen.operations[after].kind for after in seen.chained(place))
    return any("norm" in kind for kind in list(kinds)[:4])


@dataclass(frozen=True)
class Frozen:
    """What of a model does not ask for a gradient.

    Attributes:
        names: The frozen parameters.
        share: Their share of all numbers.
        drawn: Those of them that look like a fresh draw.
        learned: Those that look learned.
        last: Whether the last weights, with nothing behind them that learns, are among them.
        module: What the frozen parameters have in common: the dotted name of the smallest part that holds them all.
    """

    names: tuple[str, ...]
    share: float
    drawn: tuple[str, ...]
    learned: tuple[str, ...]
    last: str
    module: str


def frozen(probe: Probe) -> Frozen:
    """The frozen parameters, and what their numbers look like.

    Args:
        probe: Of the program.
    """
    model = probe.copied().model
    every = {name: p for name, p in model.named_parameters() if not isinstance(p, UninitializedParameter)}
    still = {name: parameter for name, parameter in every.items() if not parameter.requires_grad}
    looks = {name: fresh(parameter) for name, parameter in still.items()}
    tracked = [int(buffer) for name, buffer in model.named_buffers() if name.endswith("num_batches_tracked")]
    if tracked and max(tracked) > 0:  # normalisation has seen data, so the network has been trained
        looks = {name: False if look else look for name, look in looks.items()}
    total = sum(parameter.numel() for parameter in every.values())
    seen = probe.measure(structure)
    last = [seen.operations[place].weight for place in seen.weighted if not seen.hidden(place)]
    parts = [name.split(".")[:-1] for name in still]
    common = [pieces[0] for pieces in zip(*parts, strict=False) if len(set(pieces)) == 1]
    return Frozen(
        names=tuple(still),
        share=sum(parameter.numel() for parameter in still.values()) / max(total, 1),
        drawn=tuple(name for name, look in looks.items() if look),
        learned=tuple(name for name, look in looks.items() if look is False),
        last=next((name for name in last if name in still), ""),
        module=".".join(common),
    )
