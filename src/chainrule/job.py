"""``Job``: a run in the making, from its source to its end."""

import itertools
import re
import shlex
from collections.abc import Callable, Generator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from chainrule import report, storage
from chainrule.config import Config, configure
from chainrule.data import Data, load
from chainrule.doctor import examine
from chainrule.errors import InputError
from chainrule.models import assembly, default
from chainrule.run import Run
from chainrule.training.describe import fingerprint
from chainrule.training.events import Event, Step
from chainrule.training.machine import Machine
from chainrule.training.plan import Plan
from chainrule.training.record import Record
from chainrule.training.session import Session

if TYPE_CHECKING:
    from chainrule.training.fitting import Fitting

#: From a source and the settings to the data.
Loader = Callable[[Any, Config], Data]


class Job:
    """A run in the making: iterate over it to train; stop iterating and it can be resumed.

    Args:
        session: What is to be run.
        network: The module, if it came from Python.
    """

    def __init__(self, session: "Session | Fitting", network: nn.Module | None) -> None:
        self.session, self.network = session, network
        self.machine, self.record = session.plan.machine, session.record

    def __iter__(self) -> Generator[Event, None, None]:
        """Train, record each event, and end with findings and report."""
        yield from self.events()
        if self.machine.first:
            conclude(self.record)
        self.machine.close()

    def events(self) -> Generator[Event, None, None]:
        """Train and record each event; the page is left to be written by :func:`chainrule.api.write_report`."""
        stream = self.session.events()
        try:
            for event in stream:
                self.record.write(event)
                yield event
                if not isinstance(event, Step):
                    self.record.flush()
        finally:
            # Closing the stream leaves a checkpoint.
            stream.close()
            self.record.close()

    def run(self) -> Run:
        """The finished run."""
        return Run(self.record, self.network)


def begin(
    source: Any,
    *,
    model: str | nn.Module = "auto",
    out: str | Path | None = None,
    loader: Loader | None = None,
    **settings: Any,
) -> Job:
    """Make a run ready; the arguments are those of :func:`chainrule.fit`, and what loads the data."""
    network = model if isinstance(model, nn.Module) else None
    config = configure({**settings, "model": "auto" if network is not None else model})
    if config.weights and Path(config.weights).exists():
        # A run may be resumed from another folder.
        config = replace(config, weights=str(Path(config.weights).resolve()))
    if out is not None:
        Record.check_new(Path(out))
    machine = Machine(precision=config.precision, device=config.device)
    data = (loader or load_data)(source, config)
    call = call_of(config, network, data)
    directory = Path(out) if out is not None else machine.same(free_directory(data.name, call))
    record = Record(directory, writes=machine.first)
    place = source if isinstance(source, str | Path) else f"<{type(source).__name__}>"
    plan = Plan.build(config, data, call=call, network=network, machine=machine)
    beginning = {
        "source": str(place) if not Path(place).exists() else str(Path(place).resolve()),
        "processes": machine.processes,
        "fingerprint": fingerprint(data),
        "call": call,
        "config": config.to_json(),
    }
    try:
        record.create(beginning)
        if machine.first:
            assembly.save_description(record.model, plan.model, plan.call, data.inputs, data.target)
    except OSError:
        record.discard()
        raise
    machine.wait()
    return Job(session_of(plan, record, str(place)), network)


def proceed(
    directory: str | Path, *, source: Any = None, model: nn.Module | None = None, loader: Loader | None = None
) -> Job:
    """Make an interrupted run ready to go on; the arguments are those of :func:`chainrule.resume`.

    Raises:
        InputError: When the run is damaged or finished, its data has changed, or something from Python is missing.
    """
    record = Record(Path(directory))
    settings = record.settings()
    place, call = settings["source"], settings["call"]
    if record.finished:
        raise InputError(
            f"The run in {directory} is finished, so nothing is left to resume; its page is made again by: "
            f"chainrule report {directory}"
        )
    for given, what, text in ((source, "source", place), (model, "model", call)):
        if text.startswith("<") and given is None:
            raise InputError(f"This run's {what} was {text}, passed from Python; write resume(directory, {what}=...).")
    config = configure(settings["config"])
    machine = Machine(precision=config.precision, device=config.device)
    if machine.processes != settings["processes"]:
        raise InputError(
            f"This run was made by {settings['processes']} processes, not by {machine.processes}; start as many."
        )
    data = (loader or load_data)(place if source is None else source, config)
    if fingerprint(data) != settings["fingerprint"]:
        raise InputError(
            f"The data in {place} is not what it was when the run began; start a new run with chainrule fit."
        )
    record.writes = machine.first
    plan = Plan.build(config, data, call=call, network=model, machine=machine)
    if machine.first:
        record.make()
        assembly.save_description(record.model, plan.model, plan.call, data.inputs, data.target)
    return Job(session_of(plan, record, place), model)


def plan_of(source: Any, model: str | nn.Module, settings: dict[str, Any]) -> Plan:
    """What :func:`chainrule.fit` would do with these arguments, without a directory."""
    network = model if isinstance(model, nn.Module) else None
    config = configure({**settings, "model": "auto" if network is not None else model})
    data = load_data(source, config)
    machine = Machine(precision=config.precision, device=config.device)
    return Plan.build(config, data, call=call_of(config, network, data), network=network, machine=machine)


def session_of(plan: Plan, record: Record, place: str) -> "Session | Fitting":
    """The way that a plan goes: a network trains step by step, an estimator learns all at once."""
    again = command(place, plan.config)
    if plan.trains:
        return Session(plan=plan, record=record, command=again)
    # scikit-learn is slow to import, and only an estimator needs it.
    from chainrule.training.fitting import Fitting

    return Fitting(plan=plan, record=record, command=again)


def conclude(record: Record) -> None:
    """Let the doctor read the record, and write the findings and the page."""
    events = list(record.events(steps=True))
    findings = examine(events)
    storage.write_json(record.directory / "findings.json", [asdict(finding) for finding in findings])
    report.write(events, findings, record.directory / "report.html")


def load_data(source: Any, config: Config) -> Data:
    """The data as the settings want it."""

    def parts(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())

    return load(
        source,
        target=parts(config.target) if config.target else None,
        kind=config.kind,
        group=config.group,
        ordered=config.ordered,
        categorical=parts(config.categorical),
        missing=parts(config.missing),
        size=config.size,
        fractions=config.shares,
        seed=config.seed,
        fold=config.folded,
    )


def call_of(config: Config, network: nn.Module | None, data: Data) -> str:
    """What builds the network; of a module that came from Python, how it is called in the record."""
    if network is not None:
        return f"<{type(network).__module__}.{type(network).__qualname__}>"
    return default(data.inputs) if config.model == "auto" else config.model


def free_directory(data: str, call: str) -> Path:
    """``runs/NAME-MODEL-N`` with the first N that is free."""
    stem = "-".join(
        re.sub(r"[^A-Za-z0-9_.]+", "_", text).strip("_.") or "run" for text in (data, call.partition("(")[0])
    )
    return next(path for n in itertools.count(1) if not (path := Path("runs") / f"{stem}-{n}").exists())


def command(source: str, config: Config) -> str:
    """The command line that does a run again."""
    words = ["chainrule", "fit", source]
    for name, value in {**config.changes(), "seed": config.seed}.items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    return shlex.join(words)
