"""Auxiliary heads: classifiers on inner layers, whose losses count less (Szegedy et al. 2015, section 5)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.data.batches import Batch
from chainrule.tasks.base import AbstractTask, StepOutput


class AuxiliaryHeads(AbstractTask):
    """A task for a network that, while it trains, gives the outputs of several heads, ``[heads, b, k]``.

    What is descended is ``L_main + weight * sum of the others``; the loss that is shown, the outputs and the metrics
    are those of the main head, which comes first. In evaluation the network gives ``[b, k]``.

    Args:
        task: What a head's outputs mean.
        weight: What the loss of each further head counts.
    """

    def __init__(self, task: AbstractTask, weight: float) -> None:
        super().__init__()
        self.task, self.weight = task, weight
        self.name, self.phases, self.rising = task.name, task.phases, task.rising

    def step(self, phase: str, forward: Callable[[Tensor], Tensor], batch: Batch) -> StepOutput:
        outputs = forward(batch.inputs)
        if outputs.ndim == 2:
            return self._head(phase, outputs, batch)
        main, *others = (self._head(phase, output, batch) for output in outputs)
        return main._replace(auxiliary=self.weight * torch.stack([other.losses for other in others]).sum(0))

    def _head(self, phase: str, output: Tensor, batch: Batch) -> StepOutput:
        return self.task.step(phase, lambda raw: output, batch)

    def output(self) -> nn.Module:
        return self.task.output()

    def metrics(self) -> Any:
        return self.task.metrics()

    def summarise(self, values: dict[str, Tensor]) -> dict[str, float]:
        return self.task.summarise(values)

    def constant(self, targets: Tensor) -> Tensor:
        return self.task.constant(targets)
