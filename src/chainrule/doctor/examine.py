"""``examine`` and ``diagnose``: every registered check over the record of a run, or over a live program."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from chainrule import registry
from chainrule.doctor.causes import ranked
from chainrule.doctor.finding import Finding
from chainrule.doctor.probe import Probe
from chainrule.errors import InputError
from chainrule.training.events import Event


def examine(events: Sequence[Event]) -> list[Finding]:
    """The findings of all checks of a record that apply, the likely root cause first.

    Args:
        events: The recorded events of one run, finished or not.
    """
    return ranked(_findings("record", events))


def diagnose(probe: Probe, *, only: Collection[str] = ()) -> list[Finding]:
    """The findings of the checks of a live program that apply, the likely root cause first.

    Args:
        probe: Measurements of the program, which is left as it is.
        only: Names of the checks; default: all.
    """
    return ranked(_findings("probe", probe, only))


def _findings(read: str, evidence: Any, only: Collection[str] = ()) -> list[Finding]:
    checks = {
        name: entry.build
        for name, entry in registry.entries("check").items()
        if read in entry.inputs and (not only or name in only)
    }
    found = [_tried(name, check, evidence) for name, check in checks.items()]
    return [finding for finding in found if finding is not None]


def _tried(name: str, check: Callable[[Any], Finding | None], evidence: Any) -> Finding | None:
    """What a check finds; a program may be stranger than a check can bear, and the others still have their say."""
    try:
        return check(evidence)
    except InputError:
        raise
    except Exception as error:  # a stranger's module may raise anything
        sentence = f"The check could not be carried out on this program: {type(error).__name__}: {error}"
        return Finding(check=name, status="SKIP", sentence=sentence, evidence={"raised": type(error).__name__})
