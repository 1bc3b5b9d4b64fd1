"""``examine``: every registered check over the events of a run."""

from collections.abc import Sequence
from typing import TypeVar

from chainrule import registry
from chainrule.doctor.finding import Finding
from chainrule.training.events import Event

Kind = TypeVar("Kind")

ORDER = ("FAIL", "WARN", "PASS", "SKIP")


def examine(events: Sequence[Event]) -> list[Finding]:
    """The findings of all checks that apply, the most serious first.

    Args:
        events: The recorded events of one run, finished or not.
    """
    findings = [entry.build(events) for entry in registry.entries("check").values()]
    return sorted((f for f in findings if f is not None), key=lambda finding: ORDER.index(finding.status))


def find(events: Sequence[Event], kind: type[Kind]) -> Kind | None:
    """The last event of a kind, or None."""
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def find_all(events: Sequence[Event], kind: type[Kind]) -> list[Kind]:
    """All events of a kind, in order."""
    return [event for event in events if isinstance(event, kind)]
