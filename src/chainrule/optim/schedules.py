"""Schedules: how the learning rate moves over a run.

Ours are functions from progress (0 at the first step, 1 at the last) to a factor on the rate, so they fit a run of any
length. Any scheduler of ``torch.optim.lr_scheduler`` serves as well, by its name; it moves once an epoch, as torch's
pages show it, except for those that are made for batches.
"""

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from chainrule import registry
from chainrule.errors import InputError, UnknownNameError

Factor = Callable[[float], float]

TORCH: dict[str, type[lr_scheduler.LRScheduler]] = {
    name.lower(): item
    for name in dir(lr_scheduler)
    if isinstance(item := getattr(lr_scheduler, name), type)
    and issubclass(item, lr_scheduler.LRScheduler)
    # These take functions or other schedulers, which a name on the command line cannot carry.
    and name not in ("LRScheduler", "LambdaLR", "MultiplicativeLR", "ChainedScheduler", "SequentialLR")
}
PER_BATCH = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)


@registry.register("schedule", "constant", family="fixed")
def constant(*, warmup: float = 0.0) -> Factor:
    """The same rate throughout, after a linear warm-up over this share of the run."""
    return _warmed(lambda progress: 1.0, warmup)


@registry.register(
    "schedule",
    "cosine",
    family="decay",
    paper="Loshchilov, Hutter 2017, SGDR: stochastic gradient descent with warm restarts",
)
def cosine(*, warmup: float = 0.05, floor: float = 0.0) -> Factor:
    """Half a cosine from 1 to ``floor``, after a linear warm-up over this share of the run."""
    return _warmed(lambda progress: floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2, warmup)


@registry.register("schedule", "linear", family="decay")
def linear(*, warmup: float = 0.05, floor: float = 0.0) -> Factor:
    """A straight line from 1 to ``floor``, after a linear warm-up over this share of the run."""
    return _warmed(lambda progress: 1 - (1 - floor) * progress, warmup)


@registry.register("schedule", "step", family="decay")
def step(*, drops: int = 2, factor: float = 0.1) -> Factor:
    """``drops`` equally spaced drops, each by ``factor``: at 1/3 and 2/3 of the run for two.

    Raises:
        InputError: When there is no drop.
    """
    if drops < 1:
        raise InputError(f"drops must be at least 1; received {drops!r}.")
    return lambda progress: float(factor ** min(int(progress * (drops + 1)), drops))


@registry.register("schedule", "exponential", family="decay")
def exponential(*, final: float = 0.01) -> Factor:
    """``final ** progress``: the same ratio each step, down to ``final`` at the end.

    Raises:
        InputError: When ``final`` is not greater than 0.
    """
    if not final > 0:
        raise InputError(f"final must be greater than 0; received {final!r}.")
    return lambda progress: float(final**progress)


def _warmed(after: Factor, warmup: float) -> Factor:
    if not 0 <= warmup < 1:
        raise InputError(f"warmup is a share of the run, from 0 up to, but not, 1; received {warmup!r}.")
    return lambda progress: progress / warmup if progress < warmup else after((progress - warmup) / (1 - warmup))


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
    """Build a schedule by its name with options: ``"cosine(warmup=0.1)"``, ``"StepLR(step_size=10)"``.

    Args:
        name: The call: one of ours, or a class of ``torch.optim.lr_scheduler``.
        optimizer: Whose rate it moves.
        rate: The highest rate; torch's cyclic schedulers get it as ``max_lr``.
        epochs: Length of the run in epochs.
        steps: Steps in an epoch.

    Raises:
        UnknownNameError: When there is no such schedule.
        InputError: When it does not know an option, or misses one.
    """
    call = registry.parse(name)
    ours = registry.entries("schedule")
    if call.name in ours:
        factor: Factor = registry.call(ours[call.name].build, call.options, call.name)
        total = epochs * steps
        # The middle of each step: a warm-up then never begins with a rate of exactly zero.
        moved = lr_scheduler.LambdaLR(optimizer, lambda done: factor(min((done + 0.5) / total, 1.0)))
        return Schedule(moved, per_batch=True)
    if call.name.lower() not in TORCH:
        raise UnknownNameError("schedule", call.name, [*ours, *(item.__name__ for item in TORCH.values())])
    build = TORCH[call.name.lower()]
    lengths = {
        "T_max": epochs,
        "total_steps": epochs * steps,
        "max_lr": rate,
        "base_lr": rate / 10,
        "total_iters": epochs,
    }
    fixed = {key: value for key, value in lengths.items() if key in registry.keywords(build)}
    made = registry.call(build, call.options, call.name, optimizer=optimizer, **fixed)
    return Schedule(made, per_batch=isinstance(made, PER_BATCH))
