"""What is asked of a study: checked before anything is written, and kept in ``study.json``."""

import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chainrule import models
from chainrule.config import NETWORKS, configure
from chainrule.data import Data
from chainrule.data.spec import to_json
from chainrule.errors import InputError
from chainrule.job import call_of
from chainrule.training.describe import fingerprint
from chainrule.training.machine import Machine
from chainrule.training.plan import Plan

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(time: str | float) -> float:
    """A time in seconds: ``"90s"``, ``"10m"``, ``"2h"``, or a number of seconds.

    Raises:
        InputError: For anything else.
    """
    match = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)\s*([smh]?)", str(time).strip())
    try:
        seconds = float(match[1]) * UNITS[match[2]] if match else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InputError(f"A time must be a number greater than 0 with s, m or h, as in '10m'; received {time!r}.")
    return seconds


def trains(model: str) -> bool:
    """Whether a model is a network, which is trained step by step; an estimator learns all at once."""
    row = models.row(model)
    return row is None or row.kind not in models.ESTIMATORS


def settings_for(model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that mean something for a model: an estimator has no training loop."""
    return {name: value for name, value in settings.items() if trains(model) or name not in NETWORKS}


def asked_for(
    verb: str,
    source: Any,
    data: Data,
    *,
    jobs: int | None,
    settings: Mapping[str, Any],
    models: Sequence[str],
    words: Mapping[str, Any],
) -> dict[str, Any]:
    """What ``study.json`` says of any study; each model is built once, so that what does not fit is said now.

    Args:
        verb: ``"compare"`` or ``"tune"``.
        source: The data, as it was given.
        data: The data itself.
        jobs: Trials at a time; None: as many as there are cores, or one on another device than the CPU.
        settings: Settings of ``fit`` that differ from their defaults.
        models: The models.
        words: Further options of the command line that does it again.

    Raises:
        InputError: When a model, the data and the settings do not go together, or ``jobs`` is no number of processes.
    """
    config = configure(settings)
    machine = Machine(precision=config.precision, device=config.device)
    if machine.processes > 1:
        raise InputError(f"{verb} starts its own processes; write chainrule {verb} without torchrun or accelerate.")
    for model in models:
        own = configure({**settings_for(model, settings), "model": model})
        Plan.build(own, data, call=call_of(own, None, data), network=None, machine=machine)
    if jobs is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        jobs = cores if machine.device.type == "cpu" else 1
    if not (isinstance(jobs, int) and jobs >= 1):
        raise InputError(f"jobs must be a whole number of at least 1; received {jobs!r}.")
    place = str(source) if isinstance(source, str | os.PathLike) else f"<{type(source).__name__}>"
    return {
        "verb": verb,
        "source": str(Path(place).resolve()) if Path(place).exists() else place,
        "fingerprint": fingerprint(data),
        "data": data.name,
        "sizes": {name: len(part) for name, part in data.splits.items()},
        "inputs": str(data.inputs),
        "target": to_json(data.target),
        "settings": dict(settings),
        "jobs": jobs,
        "command": command(verb, place, {**words, **settings}),
    }


def command(verb: str, source: str, options: Mapping[str, Any]) -> str:
    """The command line that does a study again."""
    words = ["chainrule", verb, source]
    for name, value in options.items():
        if value not in (None, False):
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
    return shlex.join(words)
