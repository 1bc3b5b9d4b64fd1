"""Which parts of the inputs a model's outputs depend on: columns, channels, pixels, steps of time."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from chainrule.doctor.measures.running import placed
from chainrule.doctor.probe import Probe

#: Samples that are passed through, and most entries of an axis that are tried one by one.
SAMPLES, TRIED = 32, 64


@dataclass(frozen=True)
class Looking:
    """What of the inputs is never looked at.

    Attributes:
        share: Of the positions that differ between samples, the share that no output depends on; NaN if unknown.
        axis: The axis whose entries are ignored as wholes, such as steps of time: its number in the inputs; 0 if none.
        entries: Entries of that axis that are ignored.
        length: Length of that axis.
    """

    share: float = math.nan
    axis: int = 0
    entries: tuple[int, ...] = ()
    length: int = 0


def looking(probe: Probe) -> Looking:
    """Positions that other samples' values can be put in without any change of the outputs.

    The gradient says which to try. Alone it would be wrong about what a pooling passes by for these samples.

    Args:
        probe: Of the program.
    """
    inputs = probe.sample.inputs[:SAMPLES]
    if len(inputs) < 4 or inputs.dim() < 2 or inputs[0].numel() < 2:
        return Looking()
    for wide in (True, False):  # in double precision a small column does not drown in the sum with a large one
        try:
            model = probe.copied().model.eval()
            given = placed(model, inputs)
            return (
                _looked(model.double(), given.double()) if wide and given.is_floating_point() else _looked(model, given)
            )
        except Exception:  # a stranger's model may refuse other inputs, and other numbers, than its own
            continue
    return Looking()


def _looked(model: nn.Module, inputs: Tensor) -> Looking:
    exchanged = inputs.roll(1, 0)
    differs = (inputs != exchanged).any(0)
    with torch.no_grad():
        before = _outputs(model, inputs)
        blind = before.numel() == 0 or torch.equal(_outputs(model, exchanged), before)
    if blind or not bool(differs.any()):
        return Looking()
    gradient = _gradient(model, inputs)

    @torch.no_grad()
    def ignored(mask: Tensor) -> bool:
        return bool(mask.any()) and torch.equal(_outputs(model, torch.where(mask, exchanged, inputs)), before)

    silent = differs if gradient is None else differs & (gradient == 0)
    if not bool(silent.any()):
        return Looking(share=0.0)
    if ignored(silent):
        return _told(differs, silent)
    found = torch.zeros_like(differs)
    for axis in range(differs.dim()):
        places = torch.linspace(0, differs.shape[axis] - 1, min(differs.shape[axis], TRIED)).long().unique().tolist()
        whole = [_entry(differs, axis, place) for place in places]
        for mask in whole:
            if not bool((mask & ~silent).any()) and ignored(mask):
                found |= mask
    return _told(differs, found) if ignored(found) else Looking(share=0.0)


def _told(differs: Tensor, silent: Tensor) -> Looking:
    share = float(silent.sum() / differs.sum())
    for axis in range(differs.dim()):
        others = [other for other in range(differs.dim()) if other != axis]
        known, read = (mask.any(others) if others else mask for mask in (differs, differs & ~silent))
        entries = (known & ~read).nonzero().flatten().tolist()
        if entries:
            return Looking(share, axis + 1, tuple(entries), differs.shape[axis])
    return Looking(share)


def _gradient(model: nn.Module, inputs: Tensor) -> Tensor | None:
    """The largest derivative of a mixture of the outputs by each position, without its sign; None if there is none."""
    if not inputs.is_floating_point():
        return None
    with torch.enable_grad():
        leaf = inputs.clone().requires_grad_()
        outputs = _outputs(model, leaf.clone())
        if not outputs.requires_grad:
            return None
        mixed = (outputs * torch.randn(len(outputs), device=outputs.device, dtype=outputs.dtype)).sum()
        (gradient,) = torch.autograd.grad(mixed, leaf, allow_unused=True)
    return None if gradient is None else gradient.abs().amax(0)


def _entry(differs: Tensor, axis: int, place: int) -> Tensor:
    mask = torch.zeros_like(differs)
    mask.select(axis, place).copy_(differs.select(axis, place))
    return mask


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    found = [leaf.flatten().double() for leaf in tree_leaves(model(inputs)) if isinstance(leaf, Tensor)]
    return torch.cat(found) if found else torch.zeros(0)
