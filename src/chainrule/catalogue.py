"""The catalogue: the registry's rows as plain values, readable without importing torch.

``catalogue.json`` is written from the registry by ``make docs``; a house test keeps it current. The lists on the
command line are read from it, so they are instant.
"""

import json
from importlib.resources import files
from typing import Any

from chainrule import registry

FIELDS = ("name", "family", "summary", "paper", "year", "inputs", "targets", "where", "peer", "parameters")


def rows(kind: str) -> list[dict[str, Any]]:
    """The catalogue's rows of one kind, by name."""
    text = files("chainrule").joinpath("catalogue.json").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(text)[kind]
    return found


def render() -> str:
    """The catalogue as the registry has it now, as JSON."""
    kinds = {
        kind: [{name: getattr(entry, name) for name in FIELDS} for entry in registry.entries(kind).values()]
        for kind in registry.ROOMS
    }
    return json.dumps(kinds, indent=1, ensure_ascii=False) + "\n"
