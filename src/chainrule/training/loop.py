"""The page that trains: batch, forward, loss, backward, clip, step.

``train`` is a generator of events. Whoever iterates over it may read each event, write it down, save the state, or
stop; nobody hooks into it. Between two events the state is whole: what :meth:`Training.state_dict` gives there is
enough to go on bit for bit.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.data.batches import Batch, Batches
from chainrule.optim import Schedule
from chainrule.tasks import AbstractTask
from chainrule.training import blame
from chainrule.training.events import Epoch, Step
from chainrule.training.machine import Machine
from chainrule.training.meter import Meter, measure


@dataclass(kw_only=True)
class Training:
    """Everything that moves while a network trains.

    Attributes:
        model: ``Sequential(preparation, network, output)``.
        task: What a batch means.
        train: Steps of the training split.
        valid: Batches of the validation split.
        optimizers: One for each phase of the task.
        schedules: One for each phase.
        machine: Device, precision and processes.
        epochs: Passes over the training split.
        rate: The rate that the schedules scale.
        monitor: Validation metric that chooses the best epoch.
        clip: Largest norm of the gradient.
        clip_value: Largest size of a component of the gradient.
        penalties: Functions of the network that are added to the loss.
        limits: Functions that put the network's weights back in bounds after each step.
        epoch: Epoch in progress, counted from 1.
        step: Steps done in it.
        last_rate: Rate of the last step.
        best: Best value of the monitored metric so far, and its epoch.
        seconds: Time spent in the epoch in progress, and in all before it.
    """

    model: nn.Sequential
    task: AbstractTask
    train: Batches
    valid: Batches
    optimizers: dict[str, torch.optim.Optimizer]
    schedules: dict[str, Schedule]
    machine: Machine
    epochs: int
    rate: float
    monitor: str = "loss"
    clip: float | None = None
    clip_value: float | None = None
    penalties: Sequence[Callable[[nn.Module], Tensor]] = ()
    limits: Sequence[Callable[[nn.Module], None]] = ()
    epoch: int = 1
    step: int = 0
    last_rate: float = 0.0
    best: tuple[float, int] | None = None
    seconds: tuple[float, float] = (0.0, 0.0)
    meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        self.meter = Meter(self.task, self.machine.device)
        self.forward = self.machine.distribute(self.model)
        # Listed once: to walk through a network's modules costs as much as to clip its gradient.
        self.parameters = {phase: list(self.task.parameters_of(phase, self.model[1])) for phase in self.task.phases}

    def ended(self, patience: int | None) -> str | None:
        """Why training is over, or None.

        Args:
            patience: Epochs without a better one after which it stops early.
        """
        if self.epoch > self.epochs:
            return "all epochs done"
        since = self.epoch - 1 - self.best[1] if self.best else 0
        if patience and since >= patience:
            return f"stopped early: no better valid {self.monitor} for {since} epochs"
        return None

    def state_dict(self) -> dict[str, Any]:
        """All that has moved, but for the random generators."""
        return {
            "model": self.model.state_dict(),
            "optimizers": {phase: optimizer.state_dict() for phase, optimizer in self.optimizers.items()},
            "schedules": {phase: schedule.state_dict() for phase, schedule in self.schedules.items()},
            "rate": self.rate,
            "position": [self.epoch, self.step, self.last_rate],
            "best": self.best,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        for phase, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][phase])
            self.schedules[phase].load_state_dict(state["schedules"][phase])
        self.epoch, self.step, self.last_rate = state["position"]
        self.best = tuple(state["best"]) if state["best"] else None
        self.seconds = tuple(state["seconds"])


def train(t: Training) -> Iterator[Step | Epoch]:
    """Train from where ``t`` stands to its last epoch.

    Yields:
        A ``Step`` after each move of an optimizer, an ``Epoch`` after each pass and its validation.

    Raises:
        NotFiniteError: When a loss or a gradient is not finite; the weights have not moved.
    """
    while t.epoch <= t.epochs:
        began, before = time.perf_counter(), t.seconds[0]
        t.model.train()
        for pieces in t.train.epoch(t.epoch, start=t.step):
            t.step += 1
            steps = []
            for phase in t.task.phases:
                t.last_rate = t.optimizers[phase].param_groups[0]["lr"]
                loss, norm = descend(t, phase, pieces)
                t.schedules[phase].after_batch()
                steps.append(
                    Step(
                        epoch=t.epoch,
                        step=t.step,
                        steps=t.train.steps,
                        phase=phase,
                        loss=loss,
                        rate=t.last_rate,
                        norm=norm,
                        samples=pieces[0].total,
                    )
                )
            t.seconds = (before + time.perf_counter() - began, t.seconds[1])
            yield from steps
        yield close(t, began - before)


def descend(t: Training, phase: str, pieces: list[Batch]) -> tuple[float, float]:
    """One step of one optimizer; gives the loss over the whole batch, without penalties, and the gradient's norm."""
    optimizer = t.optimizers[phase]
    first: list[float] = []

    def loss_and_gradient() -> Tensor:
        optimizer.zero_grad()
        shares = []
        for number, piece in enumerate(pieces, start=1):
            # Only the last piece makes the processes exchange their gradients.
            with t.machine.alone(t.model) if number < len(pieces) else contextlib.nullcontext():
                output = t.task.step(phase, t.forward, piece)
                share, objective = output.share(piece.total)
                # Processes average their gradients; the sum over the whole batch is wanted.
                objective = objective * t.machine.processes
                for penalty in t.penalties if number == len(pieces) else ():
                    objective = objective + penalty(t.model[1])
                objective.backward()
            shares.append(share.detach())
            if not first:
                t.meter.update(output)
        total, norm = sum(shares[1:], start=shares[0]), clipped(t, phase)
        loss, size = t.machine.total(total).item(), norm.item()
        if not (math.isfinite(loss) and math.isfinite(size)):
            raise blame.not_finite(t, phase, pieces, loss)
        if not first:
            first.extend((loss, size))
        return total

    optimizer.step(loss_and_gradient)  # type: ignore[arg-type] # torch wants a float, and takes the tensor it needs
    for limit in t.limits:
        limit(t.model[1])
    return first[0], first[1]


def clipped(t: Training, phase: str) -> Tensor:
    """Clip the gradient as asked; gives its norm before."""
    if t.clip is not None:
        return t.machine.clip_norm(t.parameters[phase], t.clip)
    norm = nn.utils.get_total_norm([p.grad for p in t.parameters[phase] if p.grad is not None])
    if t.clip_value is not None:
        nn.utils.clip_grad_value_(t.parameters[phase], t.clip_value)
    return norm


def close(t: Training, began: float) -> Epoch:
    """End the epoch: training metrics, validation, schedules, the best so far."""
    trained = t.meter.compute()
    valid = measure(t.model, t.task, t.machine, t.valid)
    value = valid[t.monitor]
    best = t.task.improves(t.monitor, value, t.best[0] if t.best else None)
    for schedule in t.schedules.values():
        schedule.after_epoch(-value if t.monitor in t.task.rising else value)
    seconds = time.perf_counter() - began
    event = Epoch(
        epoch=t.epoch,
        epochs=t.epochs,
        train=trained,
        valid=valid,
        best=best,
        rate=t.last_rate,
        seconds=seconds,
        memory=t.machine.memory(),
    )
    t.best = (value, t.epoch) if best else t.best
    t.seconds = (0.0, t.seconds[1] + seconds)
    t.epoch, t.step = t.epoch + 1, 0
    return event
