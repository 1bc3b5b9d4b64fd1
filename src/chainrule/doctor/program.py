"""``Program``: a training program as its writer has it, ready to be examined and never changed."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.data import Data
from chainrule.data.batches import Batch, Batches
from chainrule.tasks import AbstractTask
from chainrule.training.plan import Plan
from chainrule.training.rate import FALLBACK

#: Inputs and targets of one step.
Pair = tuple[Tensor, Tensor]
#: A user's own training: one pass over batches.
Train = Callable[[nn.Module, Callable[[Any, Any], Tensor], torch.optim.Optimizer, Iterable[Pair]], Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """What is trained, on what, and how.

    Attributes:
        model: From a batch of inputs to outputs.
        loss: From outputs and targets to a loss: a number, or one for each sample.
        optimizer: Over the model's parameters; None where the program has none yet.
        batches: Training batches, pairs of inputs and targets, that can be gone through again.
        valid: Validation batches, or None.
        epochs: Passes over the training batches that are planned, or None.
        train: The program's own loop, one pass: ``train(model, loss, optimizer, batches)``; None is the usual one
            (forward, loss, backward, step).
        level: The best score that can be hoped for, such as a human's: an accuracy, or an R2.
        plan: The plan behind it, where it is a run of ``fit``; its settings are what remedies can name.
    """

    model: nn.Module
    loss: Callable[[Any, Any], Tensor]
    batches: Iterable[Any]
    optimizer: torch.optim.Optimizer | None = None
    valid: Iterable[Any] | None = None
    epochs: int | None = None
    train: Train | None = None
    level: float | None = None
    plan: Plan | None = None

    @classmethod
    def of(cls, plan: Plan, *, level: float | None = None) -> "Program":
        """The program that a plan would run; its rate is that of the range test where none is set."""
        rate = plan.config.fixed_rate or plan.rate_test().rate or FALLBACK
        training = plan.training(rate)
        phase = plan.task.phases[0]
        return cls(
            model=training.model[:2],
            loss=TaskLoss(plan.task),
            optimizer=training.optimizers[phase],
            batches=Passes(training.train),
            valid=Passes(training.valid),
            epochs=training.epochs,
            level=level,
            plan=plan,
        )

    @property
    def data(self) -> Data | None:
        """The data with all its splits, where chainrule loaded it."""
        return self.plan.data if self.plan else None

    def copied(self) -> "Program":
        """The same with copies of all that training moves; the optimizer moves the copied model."""
        memo: dict[int, Any] = {}
        model, loss, optimizer = copy.deepcopy((self.model, self.loss, self.optimizer), memo)
        # An optimizer copies its groups and its state alone; LBFGS, for one, has more. A step that a schedule has put
        # there would move the original.
        for name, value in vars(self.optimizer).items() if self.optimizer else ():
            if name not in vars(optimizer) and not callable(value):
                setattr(optimizer, name, copy.deepcopy(value, memo))
        return replace(self, model=model, loss=loss, optimizer=optimizer)


class TaskLoss(nn.Module):
    """What a task descends, as a loss of outputs and targets.

    Args:
        task: The task.
    """

    def __init__(self, task: AbstractTask) -> None:
        super().__init__()
        self.task = task

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch."""
        batch = Batch(targets, targets, torch.arange(len(targets)), len(targets))
        return self.task.step(self.task.phases[0], lambda raw: outputs, batch).share(len(targets))[1]


class Passes:
    """Batches as pairs; each time they are gone through is a further epoch.

    Args:
        batches: The steps of an epoch.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches, self.epoch = batches, 0

    def __len__(self) -> int:
        return self.batches.steps

    def __iter__(self) -> Iterator[Pair]:
        self.epoch += 1
        for pieces in self.batches.epoch(self.epoch):
            for piece in pieces:
                yield piece.inputs, piece.targets
