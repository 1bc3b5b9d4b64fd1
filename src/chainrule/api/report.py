"""``write_report``: the page of whatever is there, a run or a study."""

from pathlib import Path

from chainrule.errors import InputError
from chainrule.job import conclude
from chainrule.study.job import StudyJob
from chainrule.study.study import Study
from chainrule.training.record import Record


def write_report(directory: str | Path) -> Path:
    """Write the findings and page of a run again from its record, or the page of a study; gives the page's path.

    Args:
        directory: The directory of the run or of the study.

    Raises:
        InputError: When there is no run, or its record is damaged; what stood there before is then left as it is.
    """
    if Study.found(directory):
        return StudyJob(Study.open(Path(directory))).write_page()
    record = Record(Path(directory))
    record.check()
    record.check_whole()
    try:
        conclude(record)
    except (AttributeError, IndexError, KeyError, TypeError, ZeroDivisionError) as error:
        raise InputError(
            f"The events in {record.directory / 'events.jsonl'} do not go together ({type(error).__name__}: {error}); "
            "the file is damaged, or chainrule has an error."
        ) from error
    return record.directory / "report.html"
