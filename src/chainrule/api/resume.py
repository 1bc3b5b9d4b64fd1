"""``resume``: go on with whatever was interrupted, a run or a study."""

from pathlib import Path
from typing import Any

from torch import nn

from chainrule.config import configure
from chainrule.errors import InputError
from chainrule.job import Job, load_data, proceed
from chainrule.run import Run
from chainrule.study.job import StudyJob
from chainrule.study.study import Study
from chainrule.training.describe import fingerprint


def resume(directory: str | Path, *, source: Any = None, model: nn.Module | None = None) -> Run | Study:
    """Go on with an interrupted run or study.

    A run ends bit for bit where it would have ended without the interruption; a study tries the same trials.

    Args:
        directory: The directory of the run or of the study.
        source: The data again, when it came from Python.
        model: A fresh module again, when the model of a run came from Python.

    Returns:
        The finished run, or the study.

    Raises:
        InputError: When the directory is damaged, its data has changed, or something from Python is missing.
    """
    job = proceed_with(directory, source=source, model=model)
    for _ in job:
        pass
    return job.study if isinstance(job, StudyJob) else job.run()


def proceed_with(directory: str | Path, *, source: Any = None, model: nn.Module | None = None) -> Job | StudyJob:
    """Make an interrupted run or study ready to go on; the arguments and errors are those of :func:`resume`.

    Raises:
        InputError: As :func:`resume` does.
    """
    if not Study.found(directory):
        return proceed(directory, source=source, model=model)
    study = Study.open(Path(directory), source=source)
    if study.asked["source"].startswith("<") and source is None:
        raise InputError(
            f"This study's data was {study.asked['source']}, passed from Python; write resume(directory, source=...)."
        )
    data = load_data(study.source, configure({**study.asked["settings"], "seed": first_seed(study)}))
    if fingerprint(data) != study.asked["fingerprint"]:
        raise InputError(
            f"The data in {study.asked['source']} is not what it was when the study began; start a new one with "
            f"chainrule {study.asked['verb']}."
        )
    return StudyJob(study)


def first_seed(study: Study) -> int:
    """The seed of the split that the study's fingerprint is of."""
    seeds = study.asked.get("seeds") or [study.asked["settings"].get("seed", 0)]
    return int(seeds[0])
