"""``chainrule report``."""

from chainrule.cli.options import Directory


def command(directory: Directory) -> None:
    """Write a run's report.html again from its record, also for a run that is not finished."""
    import typer

    from chainrule import api

    typer.echo(api.write_report(directory))


command.__name__ = "report"
