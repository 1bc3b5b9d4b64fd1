"""Studies in the terminal: one line a trial or decision, a bar over all of them, and the words at the end."""

import shlex
import signal
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from chainrule.cli.table import as_json, say
from chainrule.study.events import Decided, Note, Tried

if TYPE_CHECKING:
    from chainrule.cli.stop import Signals
    from chainrule.study.job import StudyJob
    from chainrule.study.study import Study


def carry_out(job: "StudyJob", *, quiet: bool, json: bool) -> None:
    """Carry out a study, show its progress, and end with its verdict; Ctrl-C leaves it to be resumed.

    The exit code is 1 for a search in which no model learned anything.
    """
    import typer

    from chainrule.cli import stop

    study = job.study
    display = Display(study, quiet=quiet or json)
    with stop.on_signal(study.stop) as signals:
        signals.gently = True
        stopped = _iterate(job, display, signals)
    if stopped:
        go_on = shlex.join(["chainrule", "resume", str(study.directory)])
        typer.echo(f"{stopped} Go on with: {go_on}", err=True)
        raise typer.Exit(128 + (signals.number or signal.SIGINT))
    if json:
        as_json(outcome(study))
    elif not quiet:
        conclude(study)
    if study.asked["verb"] == "tune" and not study.measured("test"):
        raise typer.Exit(1)


def _iterate(job: "StudyJob", display: "Display", signals: "Signals") -> str:
    """Show the notes of a study until it ends or a signal comes; says how a signal stopped it."""
    from chainrule.study.study import StoppedError

    try:
        with display, closing(iter(job)) as stream:
            for note in stream:
                display.show(note)
                if signals.number:
                    return "Stopped, nothing is lost."
    except StoppedError:
        return "Stopped, nothing is lost."
    except KeyboardInterrupt:
        return "Stopped at once; what the journal holds is safe."
    return ""


class Display:
    """Shows the notes of a study: in a terminal decisions above a bar, elsewhere a line for each note.

    Args:
        study: The study.
        quiet: Whether nothing is shown.
    """

    def __init__(self, study: "Study", *, quiet: bool) -> None:
        self.study, self.quiet = study, quiet
        self.console = Console()
        self.live = self.console.is_terminal and not quiet
        # A terminal shows ^C where the cursor is; without room for it the line would break.
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TimeElapsedColumn(),
            console=Console(width=self.console.width - len("^C")) if self.live else self.console,
            transient=True,
            expand=True,
            disable=not self.live,
        )
        asked = study.asked
        self.total = asked["budget"] if asked["verb"] == "tune" else len(asked["models"]) * len(asked["seeds"])
        self.task = self.bar.add_task("starting", total=self.total)
        self.trials = 0

    def __enter__(self) -> "Display":
        self.bar.start()
        return self

    def __exit__(self, *ending: Any) -> None:
        self.bar.stop()

    def show(self, note: Note) -> None:
        """Show one note."""
        if self.quiet:
            return
        if isinstance(note, Tried):
            self.trials += 1
            text = f"{note.trial.model}: {note.error or figures(note.valid)}"
            place = note.trial.settings.get("fold") or f"seed {note.trial.settings.get('seed', 0)}"
            done = note.elapsed if self.study.asked["verb"] == "tune" else self.trials
            self.bar.update(self.task, completed=done, description=f"trial {self.trials}  {text[:60]}")
            # What failed, and every run of a comparison, is worth a line; a search has hundreds.
            if note.error or not self.live or self.study.asked["verb"] == "compare":
                say(self.bar.console, "trial", f"{note.trial.step}  {place}  {text}  {note.seconds:.1f} s")
        elif isinstance(note, Decided):
            say(self.bar.console, "", f"{note.step}: {note.sentence}")


def figures(metrics: dict[str, float]) -> str:
    """The first two metrics in words."""
    shown = [(name, value) for name, value in metrics.items() if value is not None][:2]
    return "valid " + "  ".join(f"{name} {value:.3f}" for name, value in shown) if shown else "no result"


def outcome(study: "Study") -> dict[str, Any]:
    """What came out, as plain values."""
    page = str(study.directory / "report.html")
    if study.asked["verb"] == "compare":
        from chainrule.study.comparing import Comparison

        found = Comparison(study)
        pairs = [
            {"first": pair.first, "second": pair.second, "difference": pair.test.difference, "p": pair.p}
            for pair in found.pairs
        ]
        told: dict[str, Any] = {
            "metric": found.metric,
            "table": found.table(),
            "pairs": pairs,
            "ensembles": found.ensembles,
        }
        return {"study": str(study.directory), "report": page, "verdict": found.verdict, **told}
    from chainrule.study.tuning_page import next_command, verdict

    test = next(iter(study.measured("test")), None)
    decisions = [{"step": note.step, "sentence": note.sentence} for note in study.decisions]
    told = {"verdict": verdict(study), "test": test, "decisions": decisions, "next": next_command(study)}
    return {"study": str(study.directory), "report": page, **told}


def conclude(study: "Study") -> None:
    """Say what came out of a study and what to do next."""
    from chainrule.cli import table

    console, told = Console(), outcome(study)
    console.print()
    if study.asked["verb"] == "compare":
        rows = told["table"]
        columns = {
            "model": [row["model"] for row in rows],
            told["metric"]: [f"{row['mean']:.4f}" for row in rows],
            "±": ["" if row["std"] is None else f"{row['std']:.4f}" for row in rows],
            "seeds": [row["seeds"] for row in rows],
            "seconds": ["" if row["seconds"] is None else f"{row['seconds']:.2f}" for row in rows],
            "MiB": ["" if row["memory"] is None else f"{row['memory']:.0f}" for row in rows],
        }
        table.show(columns)
        console.print()
    say(console, "verdict", told["verdict"])
    sys.stdout.flush()
    for name, text in (("report", told["report"]), ("next", told.get("next", ""))):
        if text:
            console.print(f"{name:<{table.INDENT}}{text}", soft_wrap=True, markup=False, highlight=False)
