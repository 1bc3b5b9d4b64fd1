"""``examine`` and ``diagnose``: every registered check over the record of a run, or over a live program."""

from collections.abc import Callable, Sequence
from typing import Any

from chainrule import registry
from chainrule.doctor.causes import ranked
from chainrule.doctor.finding import Finding
from chainrule.doctor.probe import Probe
from chainrule.training.events import Event


def examine(events: Sequence[Event]) -> list[Finding]:
    """The findings of all checks of a record that apply, the likely root cause first.

    Args:
        events: The recorded events of one run, finished or not.
    """
    return ranked(_findings("record", events))


def diagnose(probe: Probe) -> list[Finding]:
    """The findings of all checks of a live program that apply, the likely root cause first.

    Args:
        probe: Measurements of the program, which is left as it is.
    """
    return ranked(_findings("probe", probe))


def _findings(read: str, evidence: Any) -> list[Finding]:
    checks: list[Callable[[Any], Finding | None]] = [
        entry.build for entry in registry.entries("check").values() if read in entry.inputs
    ]
    return [finding for check in checks if (finding := check(evidence)) is not None]
