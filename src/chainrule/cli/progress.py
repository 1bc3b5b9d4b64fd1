"""Live progress in a terminal; one line an epoch elsewhere; and the words at the end of a run."""

import json as jsonlib
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from chainrule.run import Run
from chainrule.training.events import Built, Epoch, Event, Finished, Loaded, RateTest, Step


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
        for line in lines(event):
            self.console.print(line, soft_wrap=True, markup=False, highlight=False)


class Live(Lines):
    """A progress bar over all steps, with epoch, batch, loss, metric, rate and the time left."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self.task: TaskID | None = None
        self.epochs, self.metric = 0, ""

    def __enter__(self) -> Self:
        self.bar.start()
        self.bar.add_task("preparing", total=None, figures="")
        return self

    def __exit__(self, *ending: Any) -> None:
        self.bar.stop()

    def show(self, event: Event) -> None:
        """Move the bar, or print the event's line above it."""
        bar = self.bar.tasks[0].id
        if isinstance(event, Loaded | Built):
            super().show(event)
            self.bar.update(bar, description="looking for a rate" if isinstance(event, Built) else "preparing")
        elif isinstance(event, RateTest):
            super().show(event)
        elif isinstance(event, Step):
            total = self.epochs * event.steps or None
            figures = f"loss {event.loss:.3f}{self.metric}  rate {event.rate:.1e}"
            name = f"epoch {event.epoch}{f'/{self.epochs}' if self.epochs else ''}  batch {event.step}/{event.steps}"
            done = (event.epoch - 1) * event.steps + event.step
            self.bar.update(bar, description=name, total=total, completed=done, figures=figures)
        elif isinstance(event, Epoch):
            self.epochs, self.metric = event.epochs, "  valid " + _figures(event.valid)
        elif isinstance(event, Finished):
            super().show(event)
            self.bar.update(bar, description="evaluating", figures="")


def display(*, quiet: bool) -> Display:
    """The display that fits where the output goes."""
    console = Console()
    if quiet:
        return Silent()
    return Live(console) if console.is_terminal else Lines(console)


def lines(event: Event) -> list[str]:
    """What an event says, in lines of plain text."""
    if isinstance(event, Loaded):
        sizes = ", ".join(f"{count} {name}" for name, count in event.sizes.items())
        return [f"data    {event.name}: {sizes}", *(f"        {note}" for note in event.notes)]
    if isinstance(event, Built):
        where = f"{event.device}" + (f" x {event.processes}" if event.processes > 1 else "")
        return [f"model   {event.model}: {event.parameters:,} parameters, {event.task}, on {where}"]
    if isinstance(event, RateTest):
        return [f"rate    {event.rate:.2g} (range test, spread {event.spread:.2f}, {event.seconds:.1f} s)"]
    if isinstance(event, Epoch):
        mark = " *" if event.best else ""
        return [
            f"epoch   {event.epoch}/{event.epochs}  train {_figures(event.train)}  valid {_figures(event.valid)}  "
            f"rate {event.rate:.1e}  {event.seconds:.1f} s{mark}"
        ]
    if isinstance(event, Finished):
        return [f"done    {event.reason}; epoch {event.epoch} has the best {event.monitor} ({event.seconds:.1f} s)"]
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
    console.print(verdict(run.events, run.findings), markup=False, highlight=False)
    console.print()
    for name, text in (("report", page), ("predict", f"chainrule predict {run.directory} FILE_OR_FOLDER")):
        console.print(f"{name:<8}{text}", soft_wrap=True, markup=False, highlight=False)
