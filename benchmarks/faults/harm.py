"""What a fault costs: both programs are trained as they are, and judged on the healthy one's validation part."""

import math
import warnings
from typing import Any

import torch
from benchmarks.faults.case import Case, Keywords
from benchmarks.faults.loops import sound
from torch import Tensor, nn


def trained(program: Keywords) -> nn.Module:
    """The program's network after its epochs."""
    model: nn.Module = program["model"]
    step = program.get("train") or sound
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(program["epochs"]):
            step(model, program["loss"], program["optimizer"], program["batches"])
    return model


def score(model: nn.Module, valid: Any, limit: float) -> float:
    """Accuracy, or R2 of real targets; a sample at a time, as a network is used.

    Args:
        model: The network.
        valid: Validation batches.
        limit: A single output above this is class 1.
    """
    outputs, targets = answers(model, valid)
    if not targets.is_floating_point():
        axis = -1 if outputs.ndim == 3 and outputs.shape[:2] == targets.shape else 1
        return float((outputs.argmax(axis) == targets).float().mean())
    outputs, targets = outputs.flatten(), targets.flatten()
    if ((targets == 0) | (targets == 1)).all():
        return float(((outputs > limit) == (targets > 0)).float().mean())
    return 1 - float(((outputs - targets) ** 2).mean() / targets.var())


def answers(model: nn.Module, valid: Any) -> tuple[Tensor, Tensor]:
    """Outputs and targets of validation samples."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x[i : i + 1]), y[i : i + 1]) for x, y in valid for i in range(len(x))]
    outputs, targets = (torch.cat(part) for part in zip(*pairs, strict=True))
    return outputs, targets


def costs(case: Case) -> tuple[float, float, float]:
    """Scores: of the healthy twin, of the faulty program on its own validation part, and on that of the twin.

    They are not a number where the program cannot be run.
    """
    assert case.twin is not None
    repaired = case.twin()
    model = trained(repaired)
    outputs, _ = answers(model, repaired["valid"])
    limit = 0.5 if outputs.min() >= 0 and outputs.max() <= 1 else 0.0
    best = score(model, repaired["valid"], limit)
    try:
        faulty = case.build()
        model = trained(faulty)
        own = score(model, faulty["valid"], limit)
        return best, own, score(model, repaired["valid"], limit)
    except (RuntimeError, IndexError, ValueError):
        return best, math.nan, math.nan
