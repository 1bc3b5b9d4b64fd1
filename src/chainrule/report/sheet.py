"""The page of a study: what came out of several runs on the same data, with tables, figures and findings.

It holds what it is given and looks like the page of a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chainrule.doctor.finding import Finding
from chainrule.errors import InputError, listing
from chainrule.report.page import SEVERITY, put, template
from chainrule.report.tables import Fact
from chainrule.report.wording import counted

if TYPE_CHECKING:
    from chainrule.report.drawing import Drawing


class Table(NamedTuple):
    """A table of texts.

    Attributes:
        header: One text a column.
        rows: One text a column; the first names the row.
        caption: How to read it; it stands below.
        best: The row that is set off from the others, counted from 0.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    best: int | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: text, then tables, drawings and findings; what is empty is left out.

    Attributes:
        name: Unique on the page: lower-case letters, digits and hyphens.
        title: Its heading, and its entry in the line of contents.
        text: Paragraphs, with an empty line between two.
        drawings: Figures, each with a name that is unique on the page.
        tables: Tables of texts.
        findings: What the checks say; those that ask for attention come first.
    """

    name: str
    title: str
    text: str = ""
    drawings: Sequence["Drawing"] = ()
    tables: Sequence[Table] = ()
    findings: Sequence[Finding] = ()

    @property
    def paragraphs(self) -> list[str]:
        """The text, paragraph by paragraph."""
        return [part.strip() for part in self.text.split("\n\n") if part.strip()]

    @property
    def asking(self) -> list[Finding]:
        """The findings that ask for attention, in their order."""
        return [finding for finding in self.findings if finding.asks]

    @property
    def groups(self) -> dict[str, list[Finding]]:
        """The findings by their status."""
        return {status: [finding for finding in self.findings if finding.status == status] for status in SEVERITY}


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """All that the page of a study says.

    Attributes:
        kind: What kind of study it is, such as ``"comparison"``.
        title: Its heading, such as the name of the data.
        verdict: What came out, in one or two sentences.
        facts: The few numbers under the verdict.
        next_command: The command line to run next; empty when there is none.
        sections: The parts of the page, in their order.

    Raises:
        InputError: When two sections, or two drawings, have the same name.
    """

    kind: str
    title: str
    verdict: str
    facts: Sequence[Fact] = ()
    next_command: str = ""
    sections: Sequence[Section] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        drawings = [drawing.name for section in self.sections for drawing in section.drawings]
        for what, names in (("sections", [section.name for section in self.sections]), ("drawings", drawings)):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise InputError(f"Names of {what} have to be unique on a page; received {listing(twice)} twice.")


def write(sheet: Sheet, path: Path) -> Path:
    """Write the page as one file with everything in it, atomically.

    Args:
        sheet: What it says.
        path: Where it goes.

    Returns:
        ``path``.
    """
    return put(render(sheet), path)


def render(sheet: Sheet) -> str:
    """The page as text; the same sheet always gives the same text."""
    return template("sheet.html").render(sheet=sheet, counted=counted)
