"""``compare``: several models on the same splits, with the uncertainty of every difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chainrule import registry
from chainrule.config import configure
from chainrule.errors import InputError
from chainrule.job import free_directory, load_data
from chainrule.study.asking import asked_for, seconds_of
from chainrule.study.comparing import Comparison
from chainrule.study.job import StudyJob
from chainrule.study.study import Study


def compare(
    source: Any,
    *,
    models: str | Sequence[str],
    seeds: int | Sequence[int] = 5,
    budget: str | float | None = None,
    ensemble: bool = False,
    jobs: int | None = None,
    out: str | Path | None = None,
    **settings: Any,
) -> Comparison:
    """Compare models on the same splits of data.

    Args:
        source: Data as ``fit`` takes it.
        models: Calls of networks and estimators, a list or a text with commas: ``"knn, svm(C=10), mlp, lenet5"``; also
            dotted names of scikit-learn's.
        seeds: How many seeds, or which; each is a split of its own, the same for all models.
        budget: Time that one training may take (``"60s"``); a network then gets as many epochs as fit in. Default: as
            many as ``fit`` gives it.
        ensemble: Whether to combine the models of each seed, too.
        jobs: Trials at a time, one core each; default: as many as there are cores.
        out: Directory of the study; it must be new. Default: ``runs/NAME-compare-N``.
        **settings: Every other setting of ``fit``; those of the training loop hold for the networks.

    Returns:
        Scores, tests of all pairs, and the runs behind them.

    Raises:
        UnknownNameError: For a setting, model or data set that does not exist.
        InputError: When data, models and settings do not go together, or the directory is not new.
        StoppedError: When it was stopped from outside.
    """
    job = begin_compare(
        source, models=models, seeds=seeds, budget=budget, ensemble=ensemble, jobs=jobs, out=out, **settings
    )
    for _ in job:
        pass
    return Comparison(job.study)


def begin_compare(
    source: Any,
    *,
    models: str | Sequence[str],
    seeds: int | Sequence[int] = 5,
    budget: str | float | None = None,
    ensemble: bool = False,
    jobs: int | None = None,
    out: str | Path | None = None,
    **settings: Any,
) -> StudyJob:
    """Make a study ready; the arguments and errors are those of :func:`compare`.

    Raises:
        InputError: As :func:`compare` does.
    """
    calls = [str(call) for call in registry.parse_list(models if isinstance(models, str) else ", ".join(models))]
    if not calls or len(set(calls)) < len(calls):
        raise InputError(f"models must be names, each of them once, as in 'knn, svm, mlp'; received {models!r}.")
    for name in ("seed", "model"):
        if name in settings:
            raise InputError(f"compare takes {name}s, several of them; write {name}s instead of {name}.")
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers or len(set(numbers)) < len(numbers) or any(not isinstance(n, int) or n < 0 for n in numbers):
        raise InputError(f"seeds must be a number of seeds, or different whole numbers; received {seeds!r}.")
    config = configure({**settings, "seed": numbers[0]})
    data = load_data(source, config)
    kept = {name: value for name, value in config.changes().items() if name != "seed"}
    words = {"models": ",".join(calls), "seeds": seeds if isinstance(seeds, int) else ",".join(map(str, numbers))}
    asked = asked_for(
        "compare",
        source,
        data,
        jobs=jobs,
        settings=kept,
        models=calls,
        words={**words, "budget": budget, "ensemble": ensemble},
    )
    asked.update(models=calls, seeds=numbers, ensemble=ensemble, budget=None if budget is None else seconds_of(budget))
    directory = Path(out) if out is not None else free_directory(data.name, "compare")
    return StudyJob(Study.create(directory, source, asked))
