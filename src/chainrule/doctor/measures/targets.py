"""What the targets are: their range beside that of the outputs, and how often each class occurs."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from chainrule.doctor.measures.criterion import criterion
from chainrule.doctor.measures.running import mean_loss, running
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.probe import Probe, Sample

#: Targets that are asked for one by one where the first batches are not all there is.
ASKED = 300
#: The class that cross-entropy leaves out.
IGNORED = -100


@dataclass(frozen=True)
class Range:
    """What values the targets have, and whether the loss takes them.

    Attributes:
        least: The least target, apart from those that are ignored.
        largest: The largest.
        whole: Whether all are whole numbers.
        outputs: Outputs for each target: classes of the model; 0 where there are none.
        refused: Whether the loss raises on the targets as they are.
        repair: What makes the loss take them: ``"indices"`` (bring them to 0 .. outputs - 1), ``"unit"`` (to 0 .. 1) or
            ``"argmax"`` (indices of one-hot rows); empty where it takes them, or none of these helps.
    """

    least: float
    largest: float
    whole: bool
    outputs: int
    refused: bool = False
    repair: str = ""


@dataclass(frozen=True)
class Counted:
    """How often each class occurs.

    Attributes:
        train: By class: its samples among those of the training part that were looked at.
        valid: The same of the validation part; empty where there is none.
        whole: Whether all training samples were looked at.
        outputs: Classes of the model; 0 where that is not known.
        labels: Share of ones of each label, where a sample has several.
    """

    train: dict[int, int] = field(default_factory=dict)
    valid: dict[int, int] = field(default_factory=dict)
    whole: bool = True
    outputs: int = 0
    labels: tuple[float, ...] = ()


def target_range(probe: Probe) -> Range:
    """The range of the targets, and what the loss says to them."""
    targets = probe.sample.targets.detach().cpu()
    known = targets[targets != IGNORED] if not targets.is_floating_point() else targets[targets.isfinite()]
    if not known.numel():
        return Range(math.nan, math.nan, False, 0)
    values = known.double()
    ran = probe.measure(running)
    found = Range(
        least=float(values.min()),
        largest=float(values.max()),
        whole=bool((values == values.round()).all()),
        outputs=_outputs(ran.outputs_shape, probe.measure(criterion).axis, targets),
    )
    if ran.stage != "loss":
        return found
    repair = next((name for name, change in _repairs(found).items() if _accepted(probe, change)), "")
    return Range(**{**vars(found), "refused": True, "repair": repair})


def counted(probe: Probe) -> Counted:
    """How often each class occurs in the training and in the validation part."""
    outputs = probe.measure(target_range).outputs
    data = probe.program.data
    if data is not None:
        return _of_data(data, outputs)
    if kind(probe) == "labels" and probe.sample.targets[0].numel() > 1:
        flat = probe.sample.targets.double().flatten(1)
        return Counted(outputs=outputs, labels=tuple((flat > 0).double().mean(0).tolist()))
    if kind(probe) == "real":
        return Counted()
    train = _classes(probe.sample)
    whole = probe.sample.whole
    if not whole:
        asked = _asked(probe.program.batches)
        train = train if asked is None else np.concatenate([train, asked])
    valid = _classes(probe.valid) if probe.valid is not None else np.empty(0, dtype=np.int64)
    return Counted(_count(train), _count(valid), whole, outputs)


def _of_data(data: Any, outputs: int) -> Counted:
    """All targets of data that chainrule loaded."""
    train, valid = data.train.targets, data.valid.targets
    if data.target.kind == "labels":
        return Counted(outputs=outputs, labels=tuple(train.double().mean(0).tolist()))
    if data.target.kind == "real":
        return Counted()
    return Counted(_count(train.numpy()), _count(valid.numpy()), True, outputs)


def _classes(sample: Sample) -> Any:
    targets = sample.targets.detach().cpu()
    if targets.is_floating_point() and targets.ndim > 1 and targets.shape[1] > 1:
        targets = targets.argmax(1)
    flat = targets.flatten()
    flat = flat[flat.isfinite()] if flat.is_floating_point() else flat
    return flat.long().numpy()


def _count(classes: Any) -> dict[int, int]:
    values, counts = np.unique(classes[classes != IGNORED], return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def _asked(loader: Any) -> Any:
    """Classes of samples from all over a loader's data set; None where it cannot be asked."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    dataset: Any = loader.dataset
    try:
        indices = np.random.default_rng(0).choice(len(dataset), size=min(ASKED, len(dataset)), replace=False)
        # The loader may hold a subset of its data set back by its sampler; that has its own indices.
        own = getattr(loader.sampler, "indices", None)
        indices = indices if own is None else np.asarray(own)[indices % len(own)]
        return np.array([int(dataset[int(index)][1]) for index in indices], dtype=np.int64)
    except Exception:  # a data set of another form
        return None


def _outputs(shape: tuple[int, ...], axis: int, targets: Tensor) -> int:
    """Classes of the outputs: the length of the axis that the targets do not have."""
    if len(shape) < 2:
        return 0
    if targets.ndim == len(shape) and targets.shape[1:] == shape[1:]:
        return shape[1]
    return shape[axis] if 0 < axis < len(shape) else shape[1] if len(shape) != 3 else shape[-1]


def _repairs(found: Range) -> dict[str, Callable[[Tensor], Tensor]]:
    """What may bring targets to what a loss takes, the least change first."""
    repairs: dict[str, Callable[[Tensor], Tensor]] = {}
    if found.whole and found.outputs > 1 and (found.least < 0 or found.largest >= found.outputs):
        repairs["indices"] = lambda targets: targets.clamp(0, found.outputs - 1)
    if found.least < 0 or found.largest > 1:
        repairs["unit"] = lambda targets: targets.clamp(0, 1)
    repairs["argmax"] = lambda targets: targets.argmax(1) if targets.ndim > 1 and targets.shape[1] > 1 else targets
    return repairs


def _accepted(probe: Probe, change: Callable[[Tensor], Tensor]) -> bool:
    """Whether the loss runs over all batches once their targets are changed."""
    program = probe.copied()
    try:
        with torch.no_grad():
            for inputs, targets in probe.sample.batches[:20]:
                mean_loss(program, program.model(inputs), change(targets))
    except Exception:  # then it was something else
        return False
    return True
