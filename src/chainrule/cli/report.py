"""``chainrule report``."""

from chainrule.cli.options import Directory


def command(directory: Directory) -> None:
    """Write the report.html of a run or a study again from its record, also for one that is not finished."""
    import typer

    from chainrule import api

    typer.echo(api.write_report(directory))


command.__name__ = "report"
