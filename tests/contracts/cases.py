"""Rows of the registry as test cases; exceptions to a contract are data, each with its reason.

A row's own exceptions stand in the row, where the catalogue finds them, too; else in the suite's table.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from chainrule import registry
from chainrule.registry import Entry

Exceptions = Mapping[tuple[str, str], str]


def cases(kind: str, check: str = "", exceptions: Exceptions | None = None, *, every: bool = False) -> list[Any]:
    """One case for each distinct row of a kind, or for every row.

    An exception is expected to fail, and fails the suite once it passes.
    """
    made = []
    for name, entry in (registry.entries(kind) if every else distinct(kind)).items():
        reason = entry.exceptions.get(check) or (exceptions or {}).get((check, name))
        made.append(
            pytest.param(entry, id=name, marks=[pytest.mark.xfail(reason=reason, strict=True)] if reason else [])
        )
    return made


def distinct(kind: str) -> dict[str, Entry]:
    """The rows of a kind by name; of several that make the same tiny part, the first."""
    rows: dict[str, Entry] = {}
    for name, entry in registry.entries(kind).items():
        if all((entry.build, parts(entry)) != (row.build, parts(row)) for row in rows.values()):
            rows[name] = entry
    return rows


def parts(entry: Entry) -> Mapping[str, Any]:
    """The arguments of the tiny part."""
    return {**entry.preset, **entry.tiny}


def strays(kind: str, checks: set[str], exceptions: Exceptions) -> list[tuple[str, str]]:
    """Exceptions that belong to no check or no row."""
    rows = registry.entries(kind)
    return [(check, name) for check, name in exceptions if check not in checks or name not in rows]
