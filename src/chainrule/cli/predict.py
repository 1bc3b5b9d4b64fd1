"""``chainrule predict``."""

from typing import Annotated

import typer

from chainrule.cli.options import Directory


def command(
    directory: Directory,
    source: Annotated[str, typer.Argument(metavar="DATA", help="A table, an image, or a folder of images.")],
    out: Annotated[
        str | None, typer.Option(help="New file that ends in .csv, .json or .jsonl. Default: CSV to stdout.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write JSON lines to stdout instead of CSV.")] = False,
) -> None:
    """Predict with a run's best weights: classes and probabilities, labels, or numbers."""
    import sys
    from pathlib import Path

    from chainrule import api, storage
    from chainrule.prediction import rows_of, writer

    write = writer(out, json=json)
    run = api.load_run(directory)
    rows = rows_of(run, source, warn=lambda sentence: typer.echo(f"chainrule: {sentence}", err=True))
    if out is None:
        write(rows, sys.stdout)
    else:
        storage.write_stream(Path(out), lambda file: write(rows, file))


command.__name__ = "predict"
