"""What checks look up in the events of a run."""

from collections.abc import Sequence
from typing import TypeVar

from chainrule.training.events import Event

Kind = TypeVar("Kind")


def find(events: Sequence[Event], kind: type[Kind]) -> Kind | None:
    """The last event of a kind, or None."""
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def find_all(events: Sequence[Event], kind: type[Kind]) -> list[Kind]:
    """All events of a kind, in order."""
    return [event for event in events if isinstance(event, kind)]
