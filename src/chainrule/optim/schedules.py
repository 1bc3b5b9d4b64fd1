"""Schedules: how the learning rate moves over a run.

Ours are functions from the time to a factor on the rate (``chainrule.optim.curves``). They move with every batch. Any
scheduler of ``torch.optim.lr_scheduler`` serves as well, by its class name; it moves once an epoch, as torch's pages
show it, except for those that are made for batches.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from chainrule import registry
from chainrule.errors import InputError, UnknownNameError
from chainrule.optim.curves import Factor
from chainrule.optim.optimizers import check_rate

TORCH: dict[str, type[lr_scheduler.LRScheduler]] = {
    name.lower(): item
    for name in dir(lr_scheduler)
    if isinstance(item := getattr(lr_scheduler, name), type)
    and issubclass(item, lr_scheduler.LRScheduler)
    and not name.startswith("_")
    # These take functions or other schedulers, which a name on the command line cannot carry.
    and name not in ("LRScheduler", "LambdaLR", "MultiplicativeLR", "ChainedScheduler", "SequentialLR")
}
PER_BATCH = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)


class Schedule:
    """A torch scheduler that knows when to move: after every batch, or after every epoch.

    Args:
        scheduler: The scheduler.
        per_batch: Whether it moves after every batch.
    """

    def __init__(self, scheduler: lr_scheduler.LRScheduler, *, per_batch: bool) -> None:
        self.scheduler, self.per_batch = scheduler, per_batch

    def after_batch(self) -> None:
        """Tell that a step was taken."""
        if self.per_batch:
            self.scheduler.step()

    def after_epoch(self, monitored: float) -> None:
        """Tell that an epoch has ended, and the monitored validation metric (less is better) that it gave."""
        if isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(monitored)
        elif not self.per_batch:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands."""
        return {key: value for key, value in self.scheduler.state_dict().items() if _plain(value)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        self.scheduler.load_state_dict({**self.scheduler.state_dict(), **state})


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def build_schedule(name: str, optimizer: Optimizer, *, rate: float, epochs: int, steps: int) -> Schedule:
    """Build a schedule by its name with options: ``"cosine(warmup=0.1)"``, ``"step(every=30)"``, ``"OneCycleLR"``.

    What a builder takes and the call does not say is filled from the run, by the name of the option.

    Args:
        name: The call: one of ours, or a class of ``torch.optim.lr_scheduler``.
        optimizer: Whose rate it moves.
        rate: The highest rate; torch's cyclic schedulers get it as ``max_lr``.
        epochs: Length of the run in epochs.
        steps: Steps in an epoch.

    Raises:
        UnknownNameError: When there is no such schedule.
        InputError: When it does not know an option or misses one, or when the rate or the run's length is not positive.
    """
    check_rate(rate)
    if epochs < 1 or steps < 1:
        raise InputError(f"A run has at least one epoch and one step in it; received {epochs!r} and {steps!r}.")
    call = registry.parse(name)
    ours = {name: entry.build for name, entry in registry.entries("schedule").items()}
    if call.name.lower() not in ours | TORCH:
        raise UnknownNameError("schedule", call.name, [*ours, *(item.__name__ for item in TORCH.values())])
    build: Callable[..., Any] = (ours | TORCH)[call.name.lower()]
    run = {"optimizer": optimizer} | from_run(rate=rate, epochs=epochs, steps=steps)
    if len(optimizer.param_groups) > 1:
        # Groups keep the ratio of their rates.
        rates = [group["lr"] for group in optimizer.param_groups]
        run |= {"max_lr": rates, "base_lr": [lr / 10 for lr in rates]}
    fixed = {key: value for key, value in run.items() if key in registry.keywords(build)}
    made: Factor | lr_scheduler.LRScheduler = registry.call(build, call.options, call.name, **fixed)
    if isinstance(made, lr_scheduler.LRScheduler):
        return Schedule(made, per_batch=isinstance(made, PER_BATCH))
    return Schedule(lr_scheduler.LambdaLR(optimizer, _every_batch(build, made, steps)), per_batch=True)


def from_run(*, rate: float, epochs: int, steps: int) -> dict[str, Any]:
    """What schedules, ours and torch's, want to know of a run, by the name of their option."""
    ours = {
        "over": epochs,
        "every": epochs / 3,
        "at": (epochs / 2, epochs * 3 / 4),
        "k": math.log(100) / epochs,  # an exponential ends at 1 %
    }
    torchs = {
        "T_max": epochs,
        "total_steps": epochs * steps,
        "max_lr": rate,
        "base_lr": rate / 10,
        "total_iters": epochs,
    }
    return ours | torchs


def _every_batch(build: Callable[..., Any], factor: Factor, steps: int) -> Callable[[int], float]:
    """The factor of each step, counted from 0: where the schedule stands when the step begins, as in torch.

    One with a warm-up begins with a factor of zero, so it is read in the middle of each step.
    """
    shift = 0.5 if "warmup" in inspect.signature(build).parameters else 0.0
    return lambda done: factor((done + shift) / steps)
