"""The errors a user can meet, and how they are worded: what was wanted, what came, what to write."""

from collections.abc import Iterable
from difflib import get_close_matches


class ChainruleError(Exception):
    """Base of every error that chainrule raises on purpose; its text is one sentence for the user."""


class InputError(ChainruleError, ValueError):
    """The input (a file, a column, an option, a name) cannot be used. The command line exits with 2."""


class NotFiniteError(ChainruleError, ArithmeticError):
    """A loss or a gradient became infinite or NaN; the weights were not moved."""


class UnknownNameError(InputError):
    """A name that is not among the known ones."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = nearest(name, known)
        hint = f"did you mean {near!r}?" if near else f"write one of: {choices(known)}."
        super().__init__(f"There is no {what} named {name!r}; {hint}")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to ``name`` in spelling, or None when none is close."""
    by_lower = {item.lower(): item for item in known}
    matches = get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[matches[0]] if matches else None


def choices(items: Iterable[str], most: int = 12) -> str:
    """``a, b, c and 40 more``: names to choose from, without quotes."""
    shown = list(items)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def listing(items: Iterable[object], most: int = 5) -> str:
    """``'a', 'b', 'c' and 4 more``: a list short enough for a sentence."""
    shown = [repr(item) if isinstance(item, str) else str(item) for item in items]
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {len(shown) - most} more"
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + shown[-1] if shown else "none"
