"""The modules that a forward pass calls: dropout, normalisation, and which one's output goes straight into which."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from chainrule.anatomy.passes import tensor_of
from chainrule.doctor.measures.running import placed
from chainrule.doctor.measures.structure import watchable
from chainrule.doctor.probe import Probe

#: Numbers differ less than this share of their size only by rounding.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Dropped:
    """A dropout layer that is called.

    Attributes:
        layer: Dotted name.
        rate: Share that it drops.
        width: Numbers of a sample that it gets.
    """

    layer: str
    rate: float
    width: int


@dataclass(frozen=True)
class Normed:
    """A normalisation layer that is called.

    Attributes:
        layer: Dotted name.
        kind: Its class.
        values: Least numbers that one mean and one deviation are taken over, in the batches of the sample.
        batch: Samples of the smallest batch.
        over: Whether it is over the samples of a batch.
        constant: Whether its outputs are the same for all samples although its inputs differ.
    """

    layer: str
    kind: str
    values: int
    batch: int
    over: bool
    constant: bool


@dataclass(frozen=True)
class Parts:
    """What a forward pass calls.

    Attributes:
        dropouts: In order of the first call.
        norms: In order of the first call.
        straight: Pairs of modules without children, the first one's output being the second one's input: names and
            classes, in order.
    """

    dropouts: tuple[Dropped, ...] = ()
    norms: tuple[Normed, ...] = ()
    straight: tuple[tuple[str, type[nn.Module], str, type[nn.Module]], ...] = ()


def parts(probe: Probe) -> Parts:
    """The modules that a forward pass of the first batch calls, in training mode.

    Args:
        probe: Of the program.
    """
    model = probe.copied().model.train()
    batches = probe.sample.batches
    inputs = placed(model, batches[0][0])
    watch = _Watch(len(inputs), min(len(inputs) for inputs, _ in batches))
    for name, module in watchable(model):
        if not any(module.children()):
            module.register_forward_pre_hook(lambda module, given, name=name: watch.enter(name, module, given))
            module.register_forward_hook(lambda module, _given, output, name=name: watch.leave(name, module, output))
    try:
        with torch.no_grad():
            model(inputs)
    except Exception:  # a stranger's model may raise anything; whether it runs is said elsewhere
        return Parts()
    return Parts(tuple(watch.dropouts.values()), tuple(watch.norms.values()), tuple(watch.straight))


class _Watch:
    """What the modules of a model are given and give.

    Args:
        samples: Of the batch that is passed through.
        least: Samples of the smallest batch.
    """

    def __init__(self, samples: int, least: int) -> None:
        self.samples, self.least = samples, least
        self.dropouts: dict[str, Dropped] = {}
        self.norms: dict[str, Normed] = {}
        self.straight: list[tuple[str, type[nn.Module], str, type[nn.Module]]] = []
        self.made: dict[int, tuple[str, type[nn.Module]]] = {}
        self.alive: list[Tensor] = []  # so that a number stays that of one tensor
        self.given: list[Tensor | None] = []

    def enter(self, name: str, module: nn.Module, given: Any) -> None:
        tensor = tensor_of(given)
        self.given.append(None if tensor is None else tensor.detach().clone())
        if tensor is None:
            return
        before = self.made.get(id(tensor))
        if before is not None:
            self.straight.append((*before, name, type(module)))
        if isinstance(module, _DropoutNd):
            self.dropouts.setdefault(name, Dropped(name, module.p, tensor.numel() // max(len(tensor), 1)))

    def leave(self, name: str, module: nn.Module, output: Any) -> None:
        given, tensor = self.given.pop(), tensor_of(output)
        if tensor is None or given is None:
            return
        self.made[id(tensor)] = (name, type(module))
        self.alive.append(tensor)
        values = _values(module, given, self.least)
        if values is None:
            return
        constant = _same(tensor) and not _same(given)
        over = isinstance(module, _BatchNorm) and not isinstance(module, _InstanceNorm)
        self.norms.setdefault(name, Normed(name, type(module).__name__, values, self.least, over, constant))


def _values(module: nn.Module, given: Tensor, least: int) -> int | None:
    """Numbers that one mean is taken over; None for what does not normalise."""
    if given.dim() < 2:
        return None
    if isinstance(module, _InstanceNorm):
        return given[0, 0].numel()
    if isinstance(module, _BatchNorm):
        return least * given[0, 0].numel()
    if isinstance(module, nn.GroupNorm):
        return given[0].numel() // module.num_groups
    if isinstance(module, nn.LayerNorm):
        return torch.Size(module.normalized_shape).numel()
    return None


def _same(values: Tensor) -> bool:
    """Whether all samples are alike."""
    values = values.detach().float()
    apart = (values - values[:1]).abs().amax()
    return bool(apart <= ROUNDING * values.abs().amax().clamp_min(1e-12))
