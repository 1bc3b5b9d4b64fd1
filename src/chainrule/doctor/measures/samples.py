"""What the samples are: their form, and the columns and targets that statistics and simple models take."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from chainrule.data.spec import Vector
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.probe import Probe

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

#: Most samples that are looked at, and most numbers of each; larger images are shrunk.
SAMPLES, NUMBERS = 2000, 4096
#: Rows of a table whose neighbouring columns are this much more alike than any two, and this much at least, are images.
ALIKE, AT_LEAST = 1.3, 0.2


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of the training batches.

    Attributes:
        form: ``"table"``, ``"images"``, ``"sequences"`` or ``"tokens"``.
        flat: All numbers of each, ``[n, d]``; not finite where they are not.
        names: Name of each of the ``d`` numbers.
        channel: Number of the column or channel that each belongs to, ``[d]``.
        pictured: Whether the rows of a table are images in truth.
        maps: Images ``[n, c, ...]``, or sequences ``[n, c, t]``; tables as they are.
        targets: One column for each class (one or zero), label or number, ``[n, k]``; none where a sample has several
            classes.
        classes: Class of each sample, ``[n]``; None where the target is no single class.
        values: What the classes are called in the targets.
        natural: Whether samples so alike are expected by chance, because few different ones are possible.
    """

    form: str
    flat: Floats
    names: tuple[str, ...]
    channel: Whole
    pictured: bool
    maps: Tensor
    targets: Floats
    classes: Whole | None
    values: tuple[float, ...]
    natural: bool

    def __len__(self) -> int:
        return len(self.flat)

    @property
    def columns(self) -> bool:
        """Whether each number has a meaning of its own, as in a table."""
        return self.form == "table" and not self.pictured


def samples(probe: Probe) -> Samples:
    """The samples of the training batches as columns."""
    return columns(probe, probe.sample.inputs[:SAMPLES], probe.sample.targets[:SAMPLES])


def columns(probe: Probe, inputs: Tensor, targets: Tensor) -> Samples:
    """Some samples of a program as columns.

    Args:
        probe: Of the program.
        inputs: ``[n, ...]``.
        targets: ``[n, ...]``.
    """
    inputs = inputs.detach().cpu()
    inputs = torch.view_as_real(inputs).flatten(-2) if inputs.is_complex() else inputs
    found = form(probe)
    maps = _maps(found, inputs, probe.program.model)
    flat = maps.flatten(1).double().numpy()
    pictured = found == "table" and _pictured(flat)
    numbers, classes, values = _targets(probe, targets.detach().cpu())
    return Samples(
        form=found,
        flat=flat,
        names=_names(probe, found, maps),
        channel=np.repeat(np.arange(maps.shape[1]), math.prod(maps.shape[2:])),
        pictured=pictured,
        maps=maps,
        targets=numbers,
        classes=classes,
        values=values,
        natural=expected_twins(flat) > 0.01,
    )


def form(probe: Probe) -> str:
    """``"table"``, ``"images"``, ``"sequences"`` or ``"tokens"``, by the shape of the inputs and the first layer."""
    inputs = probe.sample.inputs
    first = first_layer(probe.program.model)
    whole = not inputs.is_floating_point() or bool((inputs == inputs.round()).all())
    if isinstance(first, nn.Embedding | nn.EmbeddingBag) and whole:
        return "tokens"
    if inputs.ndim >= 4:
        return "images"
    if inputs.ndim == 3:
        flattened = isinstance(first, nn.Linear) and first.in_features == inputs[0].numel() != inputs.shape[2]
        return "images" if flattened or isinstance(first, nn.Conv2d) else "sequences"
    return "table"


def first_layer(model: nn.Module) -> nn.Module | None:
    """The first module that has parameters itself, in the order of their declaration; one of torch is preferred."""
    layers = [module for module in model.modules() if next(module.parameters(recurse=False), None) is not None]
    simple = [layer for layer in layers if type(layer).__module__.startswith("torch.nn")]
    return next(iter(simple or layers), None)


def expected_twins(flat: Floats) -> float:
    """How many equal samples a sample would have by chance if its columns had nothing to do with one another."""
    chance = float(len(flat))
    for column in flat.T:
        chance *= float((np.square(np.unique(column, return_counts=True)[1] / len(column))).sum())
        if chance < 1e-6:
            break
    return chance


def fingerprints(inputs: Tensor) -> list[bytes]:
    """The content of each input, to look equal ones up."""
    rows = (inputs.detach().cpu().flatten(1) if inputs.ndim > 1 else inputs.detach().cpu()[:, None]).contiguous()
    if rows.is_floating_point():
        rows = rows + 0.0  # -0.0 becomes 0.0
    return [row.tobytes() for row in rows.to(torch.float64 if rows.dtype == torch.bfloat16 else rows.dtype).numpy()]


def _maps(found: str, inputs: Tensor, model: nn.Module) -> Tensor:
    """Samples with channels before places; large images are shrunk."""
    if inputs.ndim == 1:
        return inputs[:, None].double()
    if found == "sequences" and not isinstance(first_layer(model), nn.Conv1d):
        inputs = inputs.transpose(1, 2)
    if found == "images":
        inputs = inputs[:, None] if inputs.ndim == 3 else inputs
        inputs = inputs.float()
        if inputs.ndim == 4 and inputs[0].numel() > NUMBERS:
            side = int(math.sqrt(NUMBERS / inputs.shape[1]))
            inputs = F.adaptive_avg_pool2d(inputs, (min(side, inputs.shape[2]), min(side, inputs.shape[3])))
        return inputs
    return inputs if found == "tokens" else inputs.double()


def _names(probe: Probe, found: str, maps: Tensor) -> tuple[str, ...]:
    spec = probe.program.data.inputs if probe.program.data else None
    if isinstance(spec, Vector) and len(spec.columns) == maps.shape[1]:
        return spec.names
    if maps.ndim == 2:
        word = "position" if found == "tokens" else "column"
        return tuple(f"{word} {number}" for number in range(maps.shape[1]))
    places = np.ndindex(*maps.shape[1:])
    word = "pixel" if found == "images" else "channel"
    return tuple(f"{word} {place[0]} at {', '.join(map(str, place[1:]))}" for place in places)


def _targets(probe: Probe, targets: Tensor) -> tuple[Floats, Whole | None, tuple[float, ...]]:
    """Columns of the targets; the classes where each sample has one."""
    numbers = targets.double().reshape(len(targets), -1)
    what = kind(probe)
    if (
        what == "classes"
        and numbers.shape[1] > 1
        and targets.ndim == 2
        and bool((numbers.sum(1) - 1).abs().max() < 1e-3)
    ):
        numbers = numbers.argmax(1, keepdim=True).double()
    if what == "classes" and numbers.shape[1] > 1:
        return numbers[:, :0].numpy(), None, ()  # a class for each place of a sample
    single = numbers.shape[1] == 1 and (what == "classes" or len(numbers.unique()) == 2)
    if not single:
        return numbers.numpy(), None, ()
    values, classes = np.unique(numbers[:, 0].numpy(), return_inverse=True)
    return np.eye(len(values))[classes], classes.astype(np.int64), tuple(values.tolist())


def _pictured(flat: Floats) -> bool:
    """Whether columns in a row could be an image, and neighbours are as alike as pixels are."""
    width = flat.shape[1]
    sides = [round(math.sqrt(width / channels)) for channels in (1, 3)]
    if not any(side >= 6 and side * side * channels == width for side, channels in zip(sides, (1, 3), strict=True)):
        return False
    moving = flat[:, flat.std(axis=0) > 0]
    if moving.shape[1] < width // 4 or not np.isfinite(moving).all():
        return False
    alike = np.abs(np.corrcoef(moving.T))
    beside = float(np.diagonal(alike, offset=1).mean())
    return beside > max(AT_LEAST, ALIKE * float(alike[np.triu_indices(len(alike), 1)].mean()))
