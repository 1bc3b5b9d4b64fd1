"""``chainrule data``."""

from typing import Any

from chainrule.cli.options import Json, Source, with_settings

READING = ("target", "kind", "group", "ordered", "categorical", "missing", "size", "fractions", "seed")


def data(source: Source, json: Json = False, **settings: Any) -> None:
    """Show how data is understood: columns, target, splits; nothing is trained."""
    from dataclasses import asdict

    from chainrule import api
    from chainrule.cli.table import show
    from chainrule.config import configure
    from chainrule.data.spec import Vector, to_json
    from chainrule.training.describe import balance

    loaded = api.load_data(source, configure(settings))
    if json:
        values = {
            **loaded.describe(),
            "inputs": to_json(loaded.inputs),
            "target": to_json(loaded.target),
            "balance": balance(loaded),
            "duplicates": loaded.duplicates,
            "notes": list(loaded.notes),
        }
        import json as jsonlib
        import sys

        sys.stdout.write(jsonlib.dumps(values, ensure_ascii=False, indent=2) + "\n")
        return
    from rich.console import Console

    console = Console()
    for name, text in loaded.describe().items():
        console.print(f"{name:<8}{text}", markup=False, highlight=False)
    for note in loaded.notes:
        console.print(f"        {note}", markup=False, highlight=False)
    for pair, count in loaded.duplicates.items():
        if count:
            console.print(f"        {count} samples stand in both of {pair}", markup=False, highlight=False)
    console.print()
    if isinstance(loaded.inputs, Vector):
        rows = [asdict(column) for column in loaded.inputs.columns]
        show(
            {
                "column": [row["name"] for row in rows],
                "kind": [row["kind"] for row in rows],
                "categories": [", ".join(row["categories"][:8]) for row in rows],
            },
            json=False,
        )
        console.print()
    figures = balance(loaded)
    show({"target": list(loaded.target.names), **{s: _short(figures[s]) for s in figures}}, json=False)


def _short(figures: dict[str, Any]) -> list[str]:
    return [
        f"{value['mean']:.4g} +- {value['std']:.3g}" if isinstance(value, dict) else str(value)
        for value in figures.values()
    ]


command = with_settings(data, READING.__contains__)
