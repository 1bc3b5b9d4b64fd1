"""A table on the terminal, or as JSON."""

import json as jsonlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def show(columns: Mapping[str, Sequence[Any]], *, json: bool) -> None:
    """Print columns as a table, or as a JSON list of rows."""
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if json:
        sys.stdout.write(jsonlib.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    Console().print(table)
