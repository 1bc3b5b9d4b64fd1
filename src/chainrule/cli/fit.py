"""``chainrule fit``."""

import errno
import shlex
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Any

from chainrule.cli.options import Json, Out, Quiet, Source, with_settings

if TYPE_CHECKING:
    from chainrule.api import Job
    from chainrule.cli.progress import Display
    from chainrule.cli.stop import Signals


def fit(source: Source, out: Out = None, quiet: Quiet = False, json: Json = False, **settings: Any) -> None:
    """Train a model on data: the best weights, a verdict and a report."""
    from chainrule import api

    carry_out(api.begin(source, out=out, **settings), quiet=quiet, json=json)


def carry_out(job: "Job", *, quiet: bool, json: bool) -> None:
    """Run a job, show its progress, and end with its verdict; Ctrl-C leaves a checkpoint.

    Raises:
        InputError: When the disk is full; the sentence says how to go on.
    """
    import typer

    from chainrule.cli import progress, stop
    from chainrule.errors import InputError

    go_on = shlex.join(["chainrule", "resume", str(job.record.directory)])
    display = progress.display(quiet=quiet or json or not job.machine.first)
    try:
        with stop.on_signal() as signals:
            stopped = _iterate(job, display, signals)
    except (BrokenPipeError, SystemExit):  # rich makes the second of the first
        typer.echo(f"Stopped, because nobody reads the output; nothing is lost. Go on with: {go_on}", err=True)
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or job.record.directory
        raise InputError(
            f"{error.strerror}: {place}; what was written before is whole. Make room, then: {go_on}"
        ) from None
    if stopped:
        if job.machine.first:
            typer.echo(f"{stopped} Go on with: {go_on}", err=True)
        job.machine.close()
        raise typer.Exit(128 + (signals.number or signal.SIGINT))
    if job.machine.first and not quiet:
        progress.conclude(job.run(), json=json)


def _iterate(job: "Job", display: "Display", signals: "Signals") -> str:
    """Show the events of a job until it ends or a signal comes; says how a signal stopped it."""
    from chainrule.training.events import Epoch, Step

    at_once = "Stopped before the training began."
    try:
        with display, closing(iter(job)) as stream:
            for event in stream:
                display.show(event)
                if isinstance(event, Step):
                    at_once = "Stopped at once; what the last checkpoint holds is safe."
                # Before the first step and after the last there is nothing that a checkpoint would save.
                signals.gently = isinstance(event, Step | Epoch)
                if job.machine.same(signals.number):
                    return "Stopped, nothing is lost."
    except KeyboardInterrupt:
        return at_once
    return ""


command = with_settings(fit)
