"""``chainrule predict``."""

from typing import Annotated

import typer

from chainrule.cli.options import Directory


def command(
    directory: Directory,
    source: Annotated[str, typer.Argument(metavar="FILE_OR_FOLDER", help="A table, an image, or a folder of images.")],
    out: Annotated[
        str | None, typer.Option(help="File to write, .csv or .json; it must be new. Default: CSV to stdout.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON lines instead of CSV.")] = False,
) -> None:
    """Predict with a run's best weights: classes and probabilities, labels, or numbers, as CSV or JSON lines."""
    import sys

    from chainrule import api
    from chainrule.prediction import as_csv, as_json, rows_of

    run = api.load_run(directory)
    rows = rows_of(run, source, warn=lambda sentence: typer.echo(f"chainrule: {sentence}", err=True))
    write = as_json if json or (out or "").endswith((".json", ".jsonl")) else as_csv
    if out is None:
        write(rows, sys.stdout)
        return
    from pathlib import Path

    from chainrule import storage

    storage.write_stream(Path(out), lambda file: write(rows, file))


command.__name__ = "predict"
