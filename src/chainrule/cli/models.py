"""``chainrule models``."""

from typing import Annotated, Any

import typer

from chainrule.cli.options import Json


def command(
    pattern: Annotated[str, typer.Argument(help="Show the models whose name matches, as in 'resnet*'.")] = "*",
    json: Json = False,
) -> None:
    """List the models that fit can train."""
    from chainrule.cli.table import as_json, show

    rows = _matching(pattern)
    if json:
        as_json(rows)
        return
    show(
        {
            "name": [row["name"] for row in rows],
            "kind": [row["kind"] for row in rows],
            "takes": [", ".join(row["inputs"]) or "anything" for row in rows],
            "year": [row["year"] or "" for row in rows],
            "parameters": [f"{row['parameters']:,}" if row["parameters"] else "" for row in rows],
            "what it is": [row["summary"] for row in rows],
        }
    )


def _matching(pattern: str) -> list[dict[str, Any]]:
    from fnmatch import fnmatch

    from chainrule import catalogue
    from chainrule.errors import UnknownNameError

    rows = [
        {"kind": said, **row}
        for kind, said in (("model", "network"), ("classifier", "classifier"), ("regressor", "regressor"))
        for row in catalogue.rows(kind)
    ]
    found = [row for row in rows if fnmatch(row["name"], pattern)]
    if not found:
        raise UnknownNameError("model", pattern, [row["name"] for row in rows])
    return found


command.__name__ = "models"
