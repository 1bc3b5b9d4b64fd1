"""One trial carried out: in a process of its own, or in this one.

A trial is a run like any other, in a directory of its own, but its page is written only when somebody asks for it. A
trial whose directory is there already goes on from its checkpoint, whether it was paused by the study or interrupted.
"""

import contextlib
import math
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from chainrule import storage
from chainrule.config import Config, configure
from chainrule.data import Data
from chainrule.errors import ChainruleError
from chainrule.job import Job, begin, load_data, proceed
from chainrule.study.events import Trial, Tried
from chainrule.training.evaluation import predictions
from chainrule.training.events import Built, Epoch, Event, Fitted, RateTest, Step
from chainrule.training.record import Record

#: What a run of a study keeps beside what every run keeps: its outputs on the validation and the test split.
OUTPUTS = "outputs.safetensors"
#: Data sets that a process keeps; the folds of one data set are as many.
KEPT = 12


class LateError(ChainruleError):
    """A trial was not done at its deadline."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A trial with all that is needed to carry it out anywhere.

    Attributes:
        trial: What is wanted.
        source: The data.
        settings: Settings of the whole study.
        directory: Directory of the run.
        version: Fingerprint of the data.
        stop: A file; when it is there, work ends at the next step.
        parent: Number of the process that asked, or 0 when it is this one; when it is gone, work ends as well.
        deadline: Time of the clock at which the trial ends without a result.
    """

    trial: Trial
    source: Any
    settings: dict[str, Any]
    directory: Path
    version: str
    stop: Path
    parent: int = 0
    deadline: float = math.inf

    def stopped(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self.stop.exists() or (self.parent != 0 and os.getppid() != self.parent)

    def check_time(self) -> None:
        """Raise a ``LateError`` after the deadline."""
        if time.time() > self.deadline:
            raise LateError("The time was up before it came to its end.")


def carry_out(order: Order) -> Tried | None:
    """Run a trial, or go on with it, to its end or its pause; None when it was stopped before."""
    if order.parent:
        # The process that asked decides what a signal means; here is one core of several.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        torch.set_num_threads(1)
    if order.stopped():
        return None
    began = time.perf_counter()
    _forget_peak()
    try:
        order.check_time()
        job = _job(order)
        if job is not None and not _went_through(job, order):
            return None
        if job is not None and order.trial.until is None:
            _keep_outputs(job)
    except ChainruleError as error:
        return Tried(trial=order.trial, error=str(error), seconds=time.perf_counter() - began)
    return summary(order.trial, Record(order.directory))


def summary(trial: Trial, record: Record) -> Tried:
    """What the record of a trial's run says.

    Args:
        trial: The trial.
        record: Its run.
    """
    events: list[Event] = list(record.events())
    epochs = [event for event in events if isinstance(event, Epoch)]
    size = max((event.parameters for event in events if isinstance(event, Built)), default=0)
    swept = next((event for event in events if isinstance(event, RateTest)), None)
    rate = configure(record.settings()["config"]).fixed_rate or (swept.rate if swept else 0.0)
    best = next((epoch for epoch in reversed(epochs) if epoch.best), epochs[-1] if epochs else None)
    fitted = next((event for event in events if isinstance(event, Fitted)), None)
    if best is not None:
        return Tried(
            trial=trial,
            epochs=epochs[-1].epoch,
            epoch=best.epoch,
            train=best.train,
            valid=best.valid,
            rate=rate,
            size=size,
            seconds=sum(epoch.seconds for epoch in epochs) + (swept.seconds if swept else 0.0),
            memory=_peak() or epochs[-1].memory,
        )
    if fitted is not None:
        return Tried(
            trial=trial,
            train=fitted.train,
            valid=fitted.valid,
            size=fitted.numbers,
            seconds=fitted.seconds,
            memory=_peak() or fitted.memory,
        )
    return Tried(trial=trial, error="It ended before it had learned anything.")


def _forget_peak() -> None:
    """Begin to measure the peak of this process's memory anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """Peak of this process's memory since :func:`_forget_peak`, MiB; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def _job(order: Order) -> Job | None:
    """The run, new or to be gone on with; None when it is at its end."""
    directory, trial = order.directory, order.trial
    if (directory / "config.json").exists():
        if not Record(directory).finished:
            return proceed(directory, source=order.source, loader=partial(loaded, version=order.version))
        if trial.until is not None or (directory / OUTPUTS).exists():
            return None
    shutil.rmtree(directory, ignore_errors=True)
    settings = {**order.settings, **trial.settings, "model": trial.model}
    if trial.limit is not None:
        settings = _within(order, settings, trial.limit)
    return begin(order.source, out=directory, loader=partial(loaded, version=order.version), **settings)


def _within(order: Order, settings: dict[str, Any], limit: float) -> dict[str, Any]:
    """The settings with as many epochs as can be trained within a limit, by the time that the first one takes."""
    draft = order.directory.with_name(f"{order.directory.name}.pace")
    shutil.rmtree(draft, ignore_errors=True)
    began = time.perf_counter()
    try:
        job = begin(order.source, out=draft, loader=partial(loaded, version=order.version), **settings)
        if not job.session.plan.trains:
            return settings
        with contextlib.closing(job.events()) as stream:
            first = next((event for event in stream if isinstance(event, Epoch)), None)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    if first is None:
        return settings
    left = limit - (time.perf_counter() - began - first.seconds)
    return {**settings, "epochs": min(first.epochs, max(1, int(left / max(first.seconds, 1e-9))))}


def _went_through(job: Job, order: Order) -> bool:
    """Read the events of a job to its end or its pause; False when it was stopped before."""
    with contextlib.closing(job.events()) as stream:
        for event in stream:
            if isinstance(event, Epoch) and event.epoch == order.trial.until:
                return True
            if isinstance(event, Step | Epoch):
                if order.stopped():
                    return False
                order.check_time()
    return True


def _keep_outputs(job: Job) -> None:
    """Write what the model says of the validation and the test split."""
    plan = job.session.plan
    outputs = {name: predictions(plan, plan.learner, name)[1] for name in ("valid", "test")}
    storage.write_tree(job.record.directory / OUTPUTS, outputs)


_DATA: dict[tuple[Any, ...], Data] = {}


def loaded(source: Any, config: Config, version: str) -> Data:
    """The data as :func:`chainrule.job.load_data` gives it; what comes from a file is read once by each process.

    Args:
        source: The data.
        config: The settings.
        version: Fingerprint of what the source held when the study began.
    """
    if not isinstance(source, str | os.PathLike):
        return load_data(source, config)
    key = (str(source), version, *(getattr(config, name) for name in _CUTS))
    if key not in _DATA:
        while len(_DATA) >= KEPT:
            del _DATA[next(iter(_DATA))]
        _DATA[key] = load_data(source, config)
    return _DATA[key]


#: Settings that the data depends on.
_CUTS = ("target", "kind", "group", "ordered", "categorical", "missing", "size", "fractions", "seed", "fold")
