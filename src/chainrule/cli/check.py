"""``chainrule check``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli.options import Json, Source, with_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from chainrule.doctor import Finding

STYLES = {"FAIL": "bold red", "WARN": "yellow", "PASS": "green", "SKIP": "dim"}


def check(
    source: Source,
    level: Annotated[float | None, typer.Option(help="The best score to hope for: an accuracy, or an R2.")] = None,
    seconds: Annotated[float, typer.Option(help="About how long one measurement may train.")] = 10.0,
    everything: Annotated[bool, typer.Option("--all", help="Show what passed, too, with its numbers.")] = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Find what is wrong with a training program, or with a run, why, and what to do; code 1 if something fails."""
    from rich.console import Console

    from chainrule import api
    from chainrule.cli.table import as_json
    from chainrule.config import configure

    findings = api.check(source, level=level, seconds=seconds, **configure(settings).changes())
    failed = sum(finding.status == "FAIL" for finding in findings)
    if json:
        as_json({"failed": failed, "findings": [asdict(finding) for finding in findings]})
    else:
        show(Console(), findings, everything=everything)
    raise typer.Exit(1 if failed else 0)


def show(console: "Console", findings: "Sequence[Finding]", *, everything: bool) -> None:
    """Print findings: what asks for something with cause and remedy, consequences under their cause."""
    from rich.padding import Padding
    from rich.text import Text

    for finding in findings:
        if not (finding.asks or everything):
            continue
        indent = 4 if finding.under else 0
        head = Text(f"{finding.status}  ", STYLES[finding.status]).append(finding.check, "bold").append("  ")
        where = f" [{finding.where}]" if finding.where else ""
        console.print(Padding(head.append(finding.sentence + where, "default"), (0, 0, 0, indent)))
        for name in ("cause", "remedy") if finding.asks and not finding.under else ():
            if text := getattr(finding, name):
                console.print(Padding(Text(f"{name:<7}", "dim").append(text, "default"), (0, 0, 0, indent + 6)))
    tally = [
        f"{sum(finding.status == status for finding in findings)} {what}"
        for status, what in (("FAIL", "failed"), ("WARN", "to look at"), ("PASS", "passed"), ("SKIP", "left out"))
    ]
    console.print(", ".join(tally), highlight=False)


command = with_settings(check)
