"""Live progress in a terminal; one line an epoch elsewhere; and the words at the end of a run."""

import json as jsonlib
import shlex
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from chainrule.cli.table import INDENT, say
from chainrule.run import Run
from chainrule.training.events import Built, Epoch, Event, Finished, Fitted, Loaded, RateTest, Step


class Display(Protocol):
    """What shows the events of a run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None: ...

    def show(self, event: Event) -> None:
        """Show one event."""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ending: Any) -> None:
        pass

    def show(self, event: Event) -> None:
        """Show nothing."""


class Lines:
    """One line for each thing that matters; no control characters."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ending: Any) -> None:
        pass

    def show(self, event: Event) -> None:
        """Print the event's line, if it has one."""
        for name, text in lines(event):
            say(self.console, name, text)


class Live(Lines):
    """One line that moves: epoch, batch, loss, metric, rate, a bar over all steps, and the time left."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.bar = Progress(
            TextColumn("{task.description}"),
            # The bar takes what the text leaves, so that the line fits any terminal.
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            expand=True,
        )
        self.task = self.bar.add_task("preparing", total=None)
        self.epochs, self.metric = 0, ""

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *ending: Any) -> None:
        self.bar.stop()

    def show(self, event: Event) -> None:
        """Move the bar, or print the event's line above it."""
        if isinstance(event, Step):
            epochs = f"/{self.epochs}" if self.epochs else ""
            text = (
                f"epoch {event.epoch}{epochs} batch {event.step}/{event.steps} loss {event.loss:.3f}"
                f"{self.metric} rate {event.rate:.1e}"
            )
            done = (event.epoch - 1) * event.steps + event.step
            self.bar.update(self.task, description=text, total=self.epochs * event.steps or None, completed=done)
        elif isinstance(event, Epoch):
            name, value = list(event.valid.items())[:2][-1]
            self.epochs, self.metric = event.epochs, f" valid {name} {value:.3f}"
        else:
            super().show(event)
            if isinstance(event, Built):
                self.epochs = event.config["epochs"] or 0
                self.bar.update(self.task, description="looking for a rate" if event.parameters else "fitting")
            elif isinstance(event, Finished | Fitted):
                self.bar.update(self.task, description="evaluating")


def display(*, quiet: bool) -> Display:
    """The display that fits where the output goes."""
    console = Console()
    if quiet:
        return Silent()
    if not console.is_terminal:
        return Lines(console)
    # A terminal shows ^C where the cursor is; without room for it the line would break and the bar stand there twice.
    return Live(Console(width=console.width - len("^C")))


def lines(event: Event) -> list[tuple[str, str]]:
    """What an event says: a name and a text for each line."""
    if isinstance(event, Loaded):
        sizes = ", ".join(f"{count} {name}" for name, count in event.sizes.items())
        return [("data", f"{event.name}: {sizes}"), *(("", note) for note in event.notes)]
    if isinstance(event, Built):
        where = f"{event.device}" + (f" x {event.processes}" if event.processes > 1 else "")
        size = f"{event.parameters:,} parameters, " if event.parameters else ""
        made = f"{event.model}: {size}{event.task}, on {where}"
        return [("model", made), *(("", sentence) for sentence in event.start)]
    if isinstance(event, RateTest):
        spread = f"spread {event.spread:.2f}, " if len(event.suggestions) > 1 else ""
        return [("rate", f"{event.rate:.2g} (range test, {spread}{event.seconds:.1f} s)")]
    if isinstance(event, Epoch):
        figures = f"train {_figures(event.train)}  valid {_figures(event.valid)}"
        mark = " *" if event.best else ""
        text = f"{event.epoch}/{event.epochs}  {figures}  rate {event.rate:.1e}  {event.seconds:.1f} s{mark}"
        return [("epoch", text)]
    if isinstance(event, Fitted):
        figures = f"train {_figures(event.train)}  valid {_figures(event.valid)}"
        return [("fitted", f"{figures}  {event.numbers:,} numbers learned  {event.seconds:.1f} s")]
    if isinstance(event, Finished):
        best = f"epoch {event.epoch} has the best {event.monitor}"
        return [("done", f"{event.reason}; {best} ({event.seconds:.1f} s)")]
    return []


def _figures(metrics: dict[str, float]) -> str:
    shown = list(metrics.items())[:2]
    return "  ".join(f"{name} {value:.3f}" for name, value in shown)


def conclude(run: Run, *, json: bool) -> None:
    """Say what came out of a run and what to do next."""
    from chainrule.report import verdict

    page = run.directory / "report.html"
    if json:
        findings = [asdict(finding) for finding in run.findings]
        values = {"run": str(run.directory), "report": str(page), "test": run.test, "findings": findings}
        sys.stdout.write(jsonlib.dumps(values, ensure_ascii=False) + "\n")
        return
    console = Console()
    console.print()
    say(console, "verdict", verdict(run.events, run.findings))
    # These two are made to be copied, so they are never wrapped.
    for name, text in (
        ("report", page),
        ("predict", f"{shlex.join(['chainrule', 'predict', str(run.directory)])} DATA"),
    ):
        console.print(f"{name:<{INDENT}}{text}", soft_wrap=True, markup=False, highlight=False)
