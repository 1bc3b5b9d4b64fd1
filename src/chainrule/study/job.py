"""``StudyJob``: a study in the making, and its page at the end."""

from collections.abc import Generator
from pathlib import Path

from chainrule.study.comparing import comparing
from chainrule.study.events import Note
from chainrule.study.study import Study
from chainrule.study.tuning import tuning

#: What each verb does.
PROCEDURES = {"compare": comparing, "tune": tuning}


class StudyJob:
    """A study in the making: iterate over it to carry it out; stop iterating and it can be resumed.

    Args:
        study: The study.
    """

    def __init__(self, study: Study) -> None:
        self.study = study

    def __iter__(self) -> Generator[Note, None, None]:
        """Carry out what the journal does not know yet, and end with the page."""
        yield from PROCEDURES[self.study.asked["verb"]](self.study)
        self.write_page()

    def write_page(self) -> Path:
        """Write the page of what there is; gives its path."""
        # matplotlib is needed once, at the end.
        from chainrule.report import sheet
        from chainrule.study.comparison_page import comparison_sheet
        from chainrule.study.tuning_page import tuning_sheet

        made = {"compare": comparison_sheet, "tune": tuning_sheet}[self.study.asked["verb"]]
        return sheet.write(made(self.study), self.study.directory / "report.html")
