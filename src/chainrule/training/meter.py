"""``Meter``: mean loss and metrics over many batches, exact over any number of processes."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.data.batches import Batches
from chainrule.tasks import AbstractTask, StepOutput
from chainrule.training.machine import Machine

# Metrics are updated with this many batches at once: an update costs as much as a small network's whole step.
TOGETHER = 128


class Meter:
    """Collects batches and gives their mean loss and the task's metrics.

    Args:
        task: The task whose metrics are wanted.
        device: Where the outputs are.
    """

    def __init__(self, task: AbstractTask, device: torch.device) -> None:
        from torchmetrics import SumMetric

        self.task = task
        self.sums = {name: SumMetric(nan_strategy="ignore").set_dtype(torch.float64) for name in ("loss", "samples")}
        self.parts: dict[str, Any] = {**self.sums, "metrics": task.metrics()}
        for part in self.parts.values():
            part.to(device).persistent(True)
        self.device = device
        self.waiting: list[tuple[torch.Tensor, ...]] = []

    def update(self, output: StepOutput) -> None:
        """Take one batch."""
        if len(self.waiting) == TOGETHER:
            self._flush()
        self.waiting.append((output.losses.detach(), output.output.detach(), output.truth.detach()))

    def compute(self) -> dict[str, float]:
        """Mean loss and metrics over all processes; starts anew afterwards."""
        self._flush()
        with warnings.catch_warnings():
            # A process may have no share of a small split; it still takes part in the sum.
            warnings.filterwarnings("ignore", message=".*compute.* method of metric .* was called before")
            values = self.task.summarise(self.parts["metrics"].compute())
            loss, samples = (float(metric.compute()) for metric in self.sums.values())
        self.reset()
        return {"loss": loss / max(samples, 1), **values}

    def reset(self) -> None:
        """Forget everything."""
        self.waiting.clear()
        for part in self.parts.values():
            part.reset()

    def state_dict(self) -> dict[str, Any]:
        """What this process has collected so far."""
        return {
            "parts": {name: dict(part.state_dict()) for name, part in self.parts.items()},
            "waiting": [list(batch) for batch in self.waiting],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        self.reset()
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
            part.to(self.device)
        self.waiting = [tuple(tensor.to(self.device) for tensor in batch) for batch in state["waiting"]]

    def _flush(self) -> None:
        if self.waiting:
            losses, output, truth = (torch.cat(parts) for parts in zip(*self.waiting, strict=True))
            self.waiting.clear()
            self.parts["metrics"].update(output, truth)
            self.sums["loss"].update(losses.double().sum())
            self.sums["samples"].update(len(losses))


@torch.no_grad()
def measure(
    model: nn.Sequential,
    task: AbstractTask,
    machine: Machine,
    batches: Batches,
    outputs: list[tuple[Tensor, ...]] | None = None,
    *,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, float]:
    """Mean loss and metrics over a split, in evaluation mode.

    Args:
        model: ``Sequential(preparation, network, output)``.
        task: What a batch means.
        machine: Where it runs.
        batches: The split.
        outputs: A list that collects ``(index, losses, output)`` of each batch of this process, on the CPU.
        forward: Another network, raw inputs to outputs.
    """
    model.eval()
    machine.align_buffers(model)
    meter = Meter(task, machine.device)
    for pieces in batches.epoch(0):
        for piece in pieces:
            # Not through the processes' common forward: they may have unequal numbers of batches here.
            given = task.step(task.phases[-1], forward or model[:2], piece)
            meter.update(given)
            if outputs is not None:
                outputs.append((piece.index, given.losses.cpu(), given.output.float().cpu()))
    return meter.compute()
