"""Rows of the registry as test cases; exceptions to a contract are data, each with its reason."""

from collections.abc import Mapping
from typing import Any

import pytest

from chainrule import registry

Exceptions = Mapping[tuple[str, str], str]


def cases(kind: str, check: str, exceptions: Exceptions) -> list[Any]:
    """One case for each row of a kind; an exception is expected to fail, and fails the suite once it passes."""
    return [
        pytest.param(
            entry,
            id=name,
            marks=[pytest.mark.xfail(reason=reason, strict=True)] if (reason := exceptions.get((check, name))) else [],
        )
        for name, entry in registry.entries(kind).items()
    ]


def strays(kind: str, checks: set[str], exceptions: Exceptions) -> list[tuple[str, str]]:
    """Exceptions that belong to no check or no row."""
    rows = registry.entries(kind)
    return [(check, name) for check, name in exceptions if check not in checks or name not in rows]
