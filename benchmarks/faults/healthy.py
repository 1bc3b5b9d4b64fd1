"""Healthy programs: the planted ones repaired, every network of the registry, and honest ones that look unusual."""

import torch
import torch.nn.functional as F
from benchmarks.faults import honest, images, loops, sequences, tables
from benchmarks.faults.case import Case, Parts, Script, adam, healthy, parted, twins
from torch import Tensor

from chainrule import registry
from chainrule.registry import Entry

ROWS, CLASSES = 160, 3


def clouds(entry: Entry) -> Parts:
    """Noise around one mean for each class, in the shape of the network's sample; masks have one for each pixel."""
    draw = torch.Generator().manual_seed(0)
    channels, *sides = entry.sample[1:]
    noise = 0.7 * torch.randn(ROWS, channels, *sides, generator=draw)
    if "mask" in entry.targets:
        y = torch.randint(CLASSES, (ROWS, *sides), generator=draw)
        return parted(y[:, None] - 1.0 + noise / 2, y, standardised=False)
    y = torch.arange(ROWS) % CLASSES
    if not sides:
        return parted(1.5 * torch.eye(CLASSES, channels)[y] + noise, y, standardised=False)
    # The means are coarse: pooling would take the differences of fine ones away.
    coarse = torch.randn(CLASSES, channels, *[3] * len(sides), generator=draw)
    return parted(F.interpolate(coarse, size=tuple(sides))[y] + noise, y, standardised=False)


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of classes, of pixels, or of several heads ``[heads, n, k]``."""
    if outputs.ndim == 3:
        return F.cross_entropy(outputs.flatten(0, 1), targets.repeat(len(outputs)))
    return F.cross_entropy(outputs, targets)


def registered() -> list[Case]:
    """A program for each network of the registry; rows whose tiny networks are one have one program."""
    rows: dict[str, Entry] = {}
    for entry in registry.entries("model").values():
        rows.setdefault(f"{entry.where} {dict(entry.preset) | dict(entry.tiny)}", entry)
    return [healthy(f"registry/{entry.name}", written(entry)) for entry in rows.values()]


def written(entry: Entry) -> Script:
    """A script that trains a network of the registry."""
    return Script(
        name=f"registry/{entry.name}",
        data=lambda: clouds(entry),
        net=lambda: entry.make(**entry.tiny),
        loss=loss,
        optimizer=adam(0.003 if len(entry.sample) > 2 else 0.02),
        batch=16,
        epochs=8,
    )


FAULTS = [*tables.FAULTS, *images.FAULTS, *sequences.FAULTS, *loops.FAULTS]


def programs() -> list[Case]:
    """All healthy programs."""
    return [*twins(FAULTS), *[healthy(f"honest/{script.name}", script) for script in honest.SCRIPTS], *registered()]
