"""``chainrule fit``."""

from typing import TYPE_CHECKING, Any

from chainrule.cli.options import Json, Out, Quiet, Source, with_settings

if TYPE_CHECKING:
    from chainrule.api import Job


def fit(source: Source, out: Out = None, quiet: Quiet = False, json: Json = False, **settings: Any) -> None:
    """Train a model on data: the best weights, a verdict and a report."""
    from chainrule import api

    carry_out(api.begin(source, out=out, **settings), quiet=quiet, json=json)


def carry_out(job: "Job", *, quiet: bool, json: bool) -> None:
    """Run a job, show its progress, and end with its verdict; Ctrl-C leaves a checkpoint."""
    import typer

    from chainrule.cli import progress, stop

    display = progress.display(quiet=quiet or json or not job.machine.first)
    with stop.on_signal() as asked, display:
        stream = iter(job)
        for event in stream:
            display.show(event)
            if asked():
                stream.close()
                break
    if asked():
        message = f"Stopped, nothing is lost. Go on with: chainrule resume {job.record.directory}"
        if job.machine.first:
            typer.echo(message, err=True)
        raise typer.Exit(130)
    if job.machine.first and not quiet:
        progress.conclude(job.run(), json=json)


command = with_settings(fit)
