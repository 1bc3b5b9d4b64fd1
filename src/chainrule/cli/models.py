"""``chainrule models``."""

from typing import Annotated

import typer

from chainrule.cli.options import Json


def command(
    pattern: Annotated[str, typer.Argument(help="Show the models whose name matches, as in 'resnet*'.")] = "*",
    json: Json = False,
) -> None:
    """List the models that fit can train.

    Raises:
        UnknownNameError: When no model matches.
    """
    from fnmatch import fnmatch

    from chainrule import catalogue
    from chainrule.cli.table import show
    from chainrule.errors import UnknownNameError

    rows = [row for row in catalogue.rows("model") if fnmatch(row["name"], pattern)]
    if not rows:
        raise UnknownNameError("model", pattern, [row["name"] for row in catalogue.rows("model")])
    columns = {
        "name": [row["name"] for row in rows],
        "takes": [", ".join(row["inputs"]) for row in rows],
        "learns": [", ".join(row["targets"]) for row in rows],
        "what it is": [row["summary"] for row in rows],
        "paper": [row["paper"] for row in rows],
    }
    show(columns, json=json)


command.__name__ = "models"
