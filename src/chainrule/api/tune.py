"""``tune``: the recipe's seven steps as a loop, for data and a model, within a budget of time."""

from pathlib import Path
from typing import Any

from chainrule.config import configure
from chainrule.errors import InputError
from chainrule.job import free_directory, load_data
from chainrule.study.asking import asked_for, seconds_of
from chainrule.study.job import StudyJob
from chainrule.study.study import Study
from chainrule.study.tuning import DEADLINE, candidates_of, folds_for


def tune(
    source: Any,
    *,
    model: str = "auto",
    budget: str | float = "5m",
    jobs: int | None = None,
    out: str | Path | None = None,
    **settings: Any,
) -> Study:
    """Find the best model for data within a budget: rates, regularisation, size, and the best of them together.

    Args:
        source: Data as ``fit`` takes it.
        model: Calls of models, separated by commas; ``"auto"``: the default network, and estimators that suit the data.
        budget: Time that it may take: ``"90s"``, ``"10m"``, ``"2h"``, or seconds.
        jobs: Trials at a time, one core each; default: as many as there are cores.
        out: Directory of the study; it must be new. Default: ``runs/NAME-tune-N``.
        **settings: Every other setting of ``fit``, for all trials; a ``rate`` or ``weight_decay`` that is given is not
            searched.

    Returns:
        The study; its ``best`` is the final model as a run.

    Raises:
        UnknownNameError: For a setting, model or data set that does not exist.
        InputError: When data, models and settings do not go together, or the directory is not new.
        StoppedError: When it was stopped from outside.
    """
    job = begin_tune(source, model=model, budget=budget, jobs=jobs, out=out, **settings)
    for _ in job:
        pass
    return job.study


def begin_tune(
    source: Any,
    *,
    model: str = "auto",
    budget: str | float = "5m",
    jobs: int | None = None,
    out: str | Path | None = None,
    **settings: Any,
) -> StudyJob:
    """Make a study ready; the arguments and errors are those of :func:`tune`.

    Raises:
        InputError: As :func:`tune` does.
    """
    if settings.get("fold") is not None:
        raise InputError("tune chooses its folds by itself; leave out fold.")
    config = configure(settings)
    data = load_data(source, config)
    networks, estimators = candidates_of(model, data)
    if not networks and not estimators:
        raise InputError("There is no model to tune; write --model with one or several names.")
    asked = asked_for(
        "tune",
        source,
        data,
        jobs=jobs,
        settings=config.changes(),
        models=[*networks, *estimators],
        words={"model": model, "budget": budget},
    )
    seconds = seconds_of(budget)
    asked.update(model=model, budget=seconds, deadline=DEADLINE * seconds, folds=folds_for(source, data, settings))
    directory = Path(out) if out is not None else free_directory(data.name, "tune")
    return StudyJob(Study.create(directory, source, asked))
