"""What the record says of the data, the model and the software."""

import hashlib
import platform
from importlib.metadata import version
from typing import Any

import torch

from chainrule import models
from chainrule.data import Data, spec
from chainrule.data.dataset import Rows
from chainrule.data.spec import Classes, Labels
from chainrule.models import assembly
from chainrule.training.events import Built, Loaded
from chainrule.training.plan import Plan


def loaded(data: Data) -> Loaded:
    """What the data is."""
    return Loaded(
        name=data.name,
        inputs=spec.to_json(data.inputs),
        target=spec.to_json(data.target),
        sizes={name: len(split) for name, split in data.splits.items()},
        balance=balance(data),
        duplicates=data.duplicates,
        notes=list(data.notes),
    )


def built(plan: Plan, command: str) -> Built:
    """What the model is.

    Args:
        plan: What is to be run.
        command: The command line that does it again.
    """
    row = None if ":" in plan.call or plan.call.startswith("<") else models.row(plan.call)
    return Built(
        model=plan.title,
        paper=row.paper if row else "",
        parameters=assembly.parameters(plan.model),
        preparation=assembly.describe(plan.model[0]),
        start=list(plan.transfer.told),
        task=plan.task.name,
        device=str(plan.machine.device),
        processes=plan.machine.processes,
        versions=versions(),
        command=command,
        config=plan.config.to_json(),
    )


def balance(data: Data) -> dict[str, Any]:
    """Per split: the count of each class or label, or mean, spread and range of each real target."""
    return {name: _balance_of(split.targets, data) for name, split in data.splits.items()}


def _balance_of(targets: torch.Tensor, data: Data) -> dict[str, Any]:
    names = data.target.names
    if isinstance(data.target, Classes):
        return dict(zip(names, torch.bincount(targets, minlength=len(names)).tolist(), strict=True))
    if isinstance(data.target, Labels):
        return dict(zip(names, targets.sum(dim=0).long().tolist(), strict=True))
    values = targets.double()
    figures = {
        "mean": values.mean(dim=0),
        "std": values.std(dim=0, correction=0),
        "min": values.amin(dim=0),
        "max": values.amax(dim=0),
    }
    return {name: {key: float(value[i]) for key, value in figures.items()} for i, name in enumerate(names)}


def fingerprint(data: Data) -> str:
    """A hash of the splits; for samples that are not in memory, of their places and targets."""
    digest = hashlib.blake2b(digest_size=16)
    for split in data.splits.values():
        digest.update(split.targets.contiguous().numpy().tobytes())
        if isinstance(split, Rows):
            digest.update(split.inputs.contiguous().numpy().tobytes())
        else:
            digest.update("\n".join(split.origin).encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    packages = ("chainrule", "torch", "numpy", "scikit-learn", "accelerate")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
