"""What every task offers to the loop; the loop knows no more than this."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from chainrule.data.batches import Batch


class StepOutput(NamedTuple):
    """What one batch gave.

    Attributes:
        losses: Loss of each sample, ``[b]``. The loop averages over the whole step.
        output: Predictions as the metrics take them, ``[b, ...]``.
        truth: Targets as the metrics take them, ``[b, ...]``.
        auxiliary: What is added to the losses for the gradient's sake, ``[b]``; it is not shown.
    """

    losses: Tensor
    output: Tensor
    truth: Tensor
    auxiliary: Tensor | None = None

    def share(self, samples: int) -> tuple[Tensor, Tensor]:
        """The batch's share of the mean over ``samples``: the loss that is shown, and what is descended."""
        shown = self.losses.sum() / samples
        return shown, shown if self.auxiliary is None else shown + self.auxiliary.sum() / samples


@dataclass(frozen=True)
class Reference:
    """Two losses to hold a model against.

    Attributes:
        untrained: Loss of a model whose outputs are all zero: about what a fresh network should show.
        constant: Least loss of a constant output on the training split: what a model must beat to have learned
            anything.
    """

    untrained: float
    constant: float


class AbstractTask(nn.Module, ABC):
    """A task.

    Its tensors (class weights, say) are buffers, so that it follows the model to a device.
    """

    #: Name of the task, for people.
    name: str
    #: Phases of a step, in order; each has its own optimizer. A GAN would have ``("discriminator", "generator")``.
    phases: tuple[str, ...] = ("fit",)
    #: Metrics for which more is better; for all others less is.
    rising: frozenset[str] = frozenset()

    @abstractmethod
    def step(self, phase: str, forward: Callable[[Tensor], Tensor], batch: Batch) -> StepOutput:
        """Losses and outputs of one batch.

        Args:
            phase: One of :attr:`phases`.
            forward: The network behind its preparation: raw inputs to outputs, ``[b, ...]`` to ``[b, k]``.
            batch: The samples.
        """

    def parameters_of(self, phase: str, network: nn.Module) -> Iterable[nn.Parameter]:
        """The parameters that a phase moves; by default all that are not frozen."""
        del phase
        return (parameter for parameter in network.parameters() if parameter.requires_grad)

    @abstractmethod
    def output(self) -> nn.Module:
        """Fresh module from the network's outputs to what a user wants: probabilities, or the target's own units."""

    @abstractmethod
    def metrics(self) -> Any:
        """Fresh ``torchmetrics.MetricCollection`` that takes ``(output, truth)`` of a :class:`StepOutput`."""

    def summarise(self, values: dict[str, Tensor]) -> dict[str, float]:
        """The computed metrics as plain numbers by name."""
        return {name: float(value) for name, value in values.items()}

    @abstractmethod
    def constant(self, targets: Tensor) -> Tensor:
        """The best constant output ``[k]``, learned from the training targets."""

    def reference(self, targets: Tensor) -> Reference:
        """The two losses to compare with, for training targets ``[n]`` or ``[n, k]``, through the task's own loss."""
        best = self.constant(targets)
        return Reference(self._loss_of(torch.zeros_like(best), targets), self._loss_of(best, targets))

    def _loss_of(self, constant: Tensor, targets: Tensor) -> float:
        """Mean loss over the targets of a model whose output is always ``constant``."""
        total = 0.0
        for part in targets.split(4096):
            batch = Batch(part, part, torch.arange(len(part)), len(part))
            output = self.step(self.phases[0], lambda raw: constant.expand(len(raw), -1), batch)
            total += float(output.losses.double().sum())
        return total / len(targets)

    def improves(self, metric: str, value: float, best: float | None) -> bool:
        """Whether ``value`` of ``metric`` is better than the best so far; never true for NaN."""
        if value != value or best is None:
            return value == value
        return value > best if metric in self.rising else value < best
