"""The page: one HTML file with everything in it, made from a run's events and findings and from nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule import storage
from chainrule.doctor.finding import Finding
from chainrule.report import tables, wording
from chainrule.report.history import History
from chainrule.report.verdict import concern_of, outcome_of
from chainrule.training.events import Event

if TYPE_CHECKING:
    from jinja2 import Template

SEVERITY = ("FAIL", "WARN", "PASS", "SKIP")


def write(events: Sequence[Event], findings: Sequence[Finding], path: Path) -> Path:
    """Write the page, atomically.

    Args:
        events: The events of a run in their order; an interrupted run gives a page of what there is.
        findings: What the doctor says of it.
        path: Where the page goes.

    Returns:
        ``path``.
    """
    return put(render(events, findings), path)


def put(text: str, path: Path) -> Path:
    """Write a page's text, atomically."""
    # A file name may hold bytes that are no text; in the page they become question marks.
    storage.write_text(path, text.encode(errors="replace").decode())
    return path


def render(events: Sequence[Event], findings: Sequence[Finding]) -> str:
    """The page as text; the same events and findings always give the same text."""
    # matplotlib is needed once, at the end of a run.
    from chainrule.report.curves import training_drawings
    from chainrule.report.drawing import page_style
    from chainrule.report.figures import outcome_drawings

    history = History.of(events)
    with page_style():
        training = training_drawings(history)
        tested = outcome_drawings(history.evaluated, history.kind) if history.evaluated else []
    return template("page.html").render(
        history=history,
        tables=tables,
        counted=wording.counted,
        outcome=outcome_of(history),
        concern=concern_of(findings),
        asking=[finding for finding in findings if finding.asks],
        findings={status: [finding for finding in findings if finding.status == status] for status in SEVERITY},
        training=training,
        drawings={drawing.name: drawing for drawing in tested},
    )


def template(name: str) -> "Template":
    """A template of the report, with the filters that write numbers; what comes from the data stays text in it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    page = Environment(
        loader=PackageLoader("chainrule.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters.update(
        number=wording.number, beside=wording.beside, rate=wording.rate, said=tables.said, setting=tables.setting
    )
    page.filters.update(duration=wording.duration, memory=wording.memory, percent=wording.percent)
    return page.get_template(name)
