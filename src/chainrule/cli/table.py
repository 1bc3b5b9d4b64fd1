"""What goes to the terminal beside progress: named lines, tables, JSON."""

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

#: Width of the column of names that lines begin with.
INDENT = 8


def say(console: Console, name: str, text: object) -> None:
    """Print ``name`` and a text beside it, wrapped in a terminal and on one line elsewhere."""
    lines = str(text)
    if console.is_terminal:
        width = max(console.width - INDENT, 20)
        wrapped = textwrap.wrap(lines, width, break_long_words=False, break_on_hyphens=False)
        lines = ("\n" + " " * INDENT).join(wrapped)
    console.print(f"{name:<{INDENT}}{lines}", soft_wrap=True, markup=False, highlight=False)


def show(columns: Mapping[str, Sequence[Any]]) -> None:
    """Print columns as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(str(value)) for value in row))
    Console().print(table)


def as_json(values: Any) -> None:
    """Print values as indented JSON."""
    sys.stdout.write(json.dumps(values, ensure_ascii=False, indent=2) + "\n")
