"""What passes the layers of a model: units that are off or saturated, spread and gradient through its depth."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from chainrule.anatomy.flow import gradient_flow
from chainrule.anatomy.passes import tensor_of
from chainrule.anatomy.statistics import FLAT
from chainrule.doctor.measures.operations import Operation, Structure
from chainrule.doctor.measures.running import mean_loss, placed
from chainrule.doctor.measures.structure import traced, watchable
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program

#: Samples, and numbers of inputs, that are passed through for the statistics; at least LEAST samples.
SOME, NUMBERS, LEAST = 128, 2**20, 16
#: Steps of time from which on a sequence counts as long.
LONG = 20


@dataclass(frozen=True)
class Units:
    """The units behind one activation that a layer with weights follows.

    Attributes:
        layer: Dotted name of the activation, or of the layer with weights before it.
        kind: ``"relu"``, ``"sigmoid"``, ...
        units: How many: channels of an image, else numbers on the last axis.
        off: Share of them that are zero for all samples; None where the activation has no such side.
        saturated: Share of outputs at an end of a bounded activation; None where it has none.
        alone: Whether all that the model gives passes this activation.
    """

    layer: str
    kind: str
    units: int
    off: float | None
    saturated: float | None
    alone: bool


@dataclass(frozen=True)
class Depth:
    """Signal and gradient through the depth of a model, in training mode, without dropout.

    Attributes:
        spread: By layer with a matrix, in order: how much its outputs differ between samples (standard deviation).
        gradient: By learning layer with a matrix, in order: norm of the gradient that arrives at its output.
        loss: Loss of the samples; NaN where it could not be taken.
        times: By step of time, where the model reads long sequences: norm of the gradient of its inputs.
    """

    spread: dict[str, float] = field(default_factory=dict)
    gradient: dict[str, float] = field(default_factory=dict)
    loss: float = math.nan
    times: tuple[float, ...] = ()


def some(inputs: Tensor) -> int:
    """How many samples to pass through."""
    return min(len(inputs), SOME, max(LEAST, NUMBERS // max(inputs[0].numel(), 1)))


def quiet(model: nn.Module) -> nn.Module:
    """A copy's model in training mode, without dropout."""
    model.train()
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.eval()
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
    return model


def units(probe: Probe) -> tuple[Units, ...]:
    """The hidden units behind activations with an end, by layer, in order.

    Args:
        probe: Of the program.
    """
    inputs = probe.sample.inputs
    if len(inputs) < LEAST:
        return ()  # a unit that is off for a few samples is not yet dead
    seen = traced(quiet(probe.copied().model), inputs[: some(inputs)])
    masks: dict[tuple[str, str], list[tuple[Tensor | None, Tensor | None, bool]]] = {}
    for place, operation in enumerate(seen.operations):
        look = LOOKS.get(operation.kind)
        source = _source(seen, place)
        if look is None or source is None or source.weight in seen.recurrent or not seen.hidden(place):
            continue
        try:
            off, ends = look(operation.node)
        except (RuntimeError, AttributeError):  # what was saved has been written over, or is not there
            continue
        axis = 1 if "conv" in source.kind else -1
        found = (_by_unit(off, axis), None if ends is None else ends.float().mean(), seen.alone(place))
        masks.setdefault((operation.layer or source.layer, operation.kind), []).append(found)
    return tuple(_units(layer, kind, found) for (layer, kind), found in masks.items())


def depth(probe: Probe) -> Depth:
    """Spread and gradient through the model as it is.

    Args:
        probe: Of the program.
    """
    program = probe.copied()
    quiet(program.model)
    count = some(probe.sample.inputs)
    inputs, targets = (placed(program.model, part[:count]) for part in (probe.sample.inputs, probe.sample.targets))
    try:
        with torch.no_grad():
            spread = _spread(program.model, inputs)
        flow = gradient_flow(
            program.model, (inputs, targets), loss=lambda outputs, wanted: mean_loss(program, outputs, wanted)
        )
        times = _times(program, inputs, targets)
    except Exception:  # a stranger's model and loss may raise anything; whether the program runs is said elsewhere
        return Depth()
    rows = {row.name: row.arriving for row in flow.rows if row.matrix and row.gradient is not None}
    gradient = {name: arriving for name, arriving in rows.items() if arriving is not None}
    return Depth(spread, gradient, flow.loss, times)


def _source(seen: Structure, place: int) -> Operation | None:
    """The layer with weights next above an operation."""
    above = [index for index in seen.ahead(place) if seen.operations[index].weight]
    return seen.operations[max(above)] if above else None


def _by_unit(mask: Tensor | None, axis: int) -> Tensor | None:
    """Whether it holds for a unit everywhere."""
    if mask is None or mask.dim() < 2:
        return None
    kept = mask.movedim(axis, 0)
    return kept.flatten(1).all(1)


def _units(layer: str, kind: str, found: list[tuple[Tensor | None, Tensor | None, bool]]) -> Units:
    offs = [off for off, _, _ in found if off is not None]
    ends = [float(end) for _, end, _ in found if end is not None]
    together = torch.stack(offs).all(0) if offs and len({off.shape for off in offs}) == 1 else None
    return Units(
        layer=layer,
        kind=kind,
        units=0 if together is None else len(together),
        off=None if together is None else float(together.float().mean()),
        saturated=sum(ends) / len(ends) if ends else None,
        alone=all(alone for *_, alone in found),
    )


Look = Callable[[Any], tuple[Tensor | None, Tensor | None]]


def _relu(node: Any) -> tuple[Tensor | None, Tensor | None]:
    return node._saved_result <= 0, None


def _threshold(node: Any) -> tuple[Tensor | None, Tensor | None]:
    return node._saved_self <= node._saved_threshold, None


def _sigmoid(node: Any) -> tuple[Tensor | None, Tensor | None]:
    result = node._saved_result.detach()
    return None, result * (1 - result) < FLAT


def _tanh(node: Any) -> tuple[Tensor | None, Tensor | None]:
    return None, 1 - node._saved_result.detach().square() < FLAT


def _hardsigmoid(node: Any) -> tuple[Tensor | None, Tensor | None]:
    return None, node._saved_self.abs() >= 3


def _hardtanh(node: Any) -> tuple[Tensor | None, Tensor | None]:
    return _between(node._saved_self, node._saved_min_val, node._saved_max_val)


def _clamp(node: Any) -> tuple[Tensor | None, Tensor | None]:
    return _between(node._saved_self, getattr(node, "_saved_min", None), getattr(node, "_saved_max", None))


def _between(value: Tensor, low: Any, high: Any) -> tuple[Tensor | None, Tensor | None]:
    """Off is what a lower end of 0 gives; other ends saturate."""
    off = value <= 0 if low == 0 else None
    if high is None or low is None:
        return off, None
    return off, value >= high if low == 0 else (value >= high) | (value <= low)


#: By operation, from what autograd has saved: which outputs are off, and which are at an end.
LOOKS: dict[str, Look] = {
    "relu": _relu,
    "threshold": _threshold,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "hardsigmoid": _hardsigmoid,
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "clampmin": _clamp,
}


def _spread(model: nn.Module, inputs: Tensor) -> dict[str, float]:
    found: dict[str, float] = {}

    def leave(name: str, output: Any) -> None:
        tensor = tensor_of(output)
        if tensor is None or name in found or not tensor.dim():
            return
        values = tensor.detach().float()
        between = len(values) == len(inputs) > 1
        found[name] = float(values.std(0).mean() if between else values.std(correction=0))

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: leave(name, output))
        for name, module in watchable(model)
        if any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
        and not isinstance(module, nn.Embedding | nn.EmbeddingBag)
    ]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _times(program: Program, inputs: Tensor, targets: Tensor) -> tuple[float, ...]:
    """Norms of the gradient of the inputs, or of the first embedding's outputs, by step of time."""
    read: list[Tensor] = []
    if inputs.is_floating_point():
        if inputs.dim() != 3 or inputs.shape[1] < LONG:
            return ()
        read = [inputs.clone().requires_grad_()]
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: read.append(output))
        for module in program.model.modules()
        if isinstance(module, nn.Embedding) and not read
    ]
    outputs = program.model(read[0].clone() if read else inputs)
    for hook in hooks:
        hook.remove()
    if not read or read[0].dim() != 3 or read[0].shape[1] < LONG or not read[0].requires_grad:
        return ()
    (gradient,) = torch.autograd.grad(mean_loss(program, outputs, targets), read[0], allow_unused=True)
    return () if gradient is None else tuple(gradient.float().norm(dim=(0, 2)).tolist())
