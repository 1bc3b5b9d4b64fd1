"""``chainrule data``."""

from collections.abc import Sequence
from typing import Any

from chainrule.cli.options import Json, Source, with_settings

READING = ("target", "kind", "group", "ordered", "categorical", "missing", "size", "fractions", "seed")


def data(source: Source, json: Json = False, **settings: Any) -> None:
    """Show how data is understood: columns, target, splits; nothing is trained."""
    from rich.console import Console

    from chainrule import api
    from chainrule.cli.table import as_json, say, show
    from chainrule.config import configure
    from chainrule.data.spec import Vector, to_json
    from chainrule.training.describe import balance

    loaded = api.load_data(source, configure(settings))
    figures = balance(loaded)
    if json:
        as_json(
            {
                **loaded.describe(),
                "inputs": to_json(loaded.inputs),
                "target": to_json(loaded.target),
                "balance": figures,
                "duplicates": loaded.duplicates,
                "notes": list(loaded.notes),
            }
        )
        return
    console = Console()
    for name, text in loaded.describe().items():
        say(console, name, text)
    for note in (*loaded.notes, *_twice(loaded.duplicates)):
        say(console, "", note)
    if isinstance(loaded.inputs, Vector):
        columns = loaded.inputs.columns
        console.print()
        show(
            {
                "column": [column.name for column in columns],
                "kind": [column.kind for column in columns],
                "categories": [_first(column.categories) for column in columns],
            }
        )
    console.print()
    show({"target": loaded.target.names, **{split: _short(figures[split]) for split in figures}})


def _first(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _twice(duplicates: dict[str, int]) -> list[str]:
    sentences = []
    for pair, count in duplicates.items():
        earlier, later = pair.split("/")
        what = f"sample of {later} stands" if count == 1 else f"samples of {later} stand"
        sentences.append(f"{count} {what} in {earlier} as well.")
    return sentences


def _short(figures: dict[str, Any]) -> list[str]:
    return [
        f"{value['mean']:.4g} +- {value['std']:.3g}" if isinstance(value, dict) else str(value)
        for value in figures.values()
    ]


command = with_settings(data, READING.__contains__)
