"""Looks at a copy of a program while it learns: loss and scores, as in evaluation."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.doctor.measures.running import placed
from chainrule.doctor.measures.scores import score
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Pair, Program

#: Most samples that loss and scores are taken on.
SAMPLES = 1024
#: Most of the time that may go into looking, and into one look.
LOOKING, LONGEST = 0.3, 0.05


@dataclass(frozen=True)
class Pass:
    """One pass over the batches.

    Attributes:
        epoch: Counted from 1; the last of a trial that ended early may be incomplete. 0 is the start.
        steps: Steps from the start of the trial.
        loss: Mean of the losses of its steps; NaN for the start.
        train_loss: Loss on training samples afterwards, as in evaluation.
        train_score: Accuracy or R2 on them, NaN where it has no meaning.
        valid_loss: Loss on the validation samples; NaN where there are none.
        valid_score: Accuracy or R2 on them.
    """

    epoch: int
    steps: int
    loss: float
    train_loss: float
    train_score: float
    valid_loss: float
    valid_score: float


class Look:
    """Takes loss and scores now and then, as in evaluation, and sees to it that this does not take long.

    Args:
        probe: Of the program that learns.
        program: The copy that learns.
        seen: The batches that it learns from.
        seconds: How long it may learn.
    """

    def __init__(self, probe: Probe, program: Program, seen: list[Pair], seconds: float) -> None:
        self.probe, self.program, self.seconds = probe, program, seconds
        self.sources = (seen, probe.valid.batches if probe.valid else [])
        self.passes: list[Pass] = []
        self.begun, self.spent = time.thread_time(), 0.0

    @property
    def cheap(self) -> bool:
        """Whether looking has taken little of the time so far."""
        return self.spent < max(LOOKING * (time.thread_time() - self.begun), LONGEST * self.seconds)

    def __call__(self, epoch: int, steps: int, mean: float) -> None:
        begun = time.thread_time()
        looks = [self._evaluated(batches) for batches in self.sources]
        self.passes.append(Pass(epoch, steps, mean, *looks[0], *looks[1]))
        self.spent += time.thread_time() - begun

    def _evaluated(self, batches: list[Pair]) -> tuple[float, float]:
        """Mean loss and score; NaN where the program has no loss of outputs and targets."""
        model, begun = self.program.model, time.thread_time()
        kept, total, samples = [], 0.0, 0
        with suppress(Exception), evaluating(model):
            for inputs, targets in batches:
                inputs, targets = placed(model, inputs), placed(model, targets)
                outputs = model(inputs)
                total += float(self.program.loss(outputs, targets).float().mean()) * len(inputs)
                samples += len(inputs)
                kept.append((outputs, targets))
                if samples >= SAMPLES or time.thread_time() - begun > LONGEST * self.seconds:
                    break
        return (total / samples, scored(self.probe, kept)) if samples else (math.nan, math.nan)


def scored(probe: Probe, pairs: Sequence[tuple[Any, Any]]) -> float:
    """Score of some batches of outputs and targets; NaN where it has no meaning.

    Args:
        probe: Of the program that they come from.
        pairs: Outputs and targets.
    """
    if not pairs or not all(isinstance(part, Tensor) for pair in pairs for part in pair):
        return math.nan
    try:
        outputs, targets = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return score(probe, outputs, targets)
    except Exception:  # outputs of different lengths, or of a form that has no score
        return math.nan


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each module's own mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
