"""``tune``: the recipe for each network, a search for each estimator, and the best of them together."""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from chainrule import models, registry
from chainrule.config import configure
from chainrule.data import Data
from chainrule.errors import InputError
from chainrule.job import load_data
from chainrule.study.asking import trains
from chainrule.study.bench import Bench, Candidate
from chainrule.study.events import Note
from chainrule.study.finale import choose, finish
from chainrule.study.halving import search_estimator
from chainrule.study.recipe import Recipe
from chainrule.study.spaces import companions
from chainrule.study.study import Study

#: Folds of a small data set, and up to how many rows it is one.
FOLDS, SMALL = 5, 1000
#: Share of the budget after which nothing is begun that would have to be waited for.
SEARCH = 0.85
#: Share of the budget after which a trial that is not done ends without a result; the rest is for the final model.
DEADLINE = 0.95
#: Share of the budget that companions of the network may take together.
COMPANY = 0.35


def candidates_of(model: str, data: Data) -> tuple[list[str], list[str]]:
    """The networks and the estimators to be tuned.

    Args:
        model: ``"auto"``, or calls of models separated by commas.
        data: The data.
    """
    if model == "auto":
        return [models.default(data.inputs)], companions(data)
    calls = [str(call) for call in registry.parse_list(model)]
    return [call for call in calls if trains(call)], [call for call in calls if not trains(call)]


def folds_for(source: Any, data: Data, settings: dict[str, Any]) -> int:
    """How many folds the candidates are measured on: 5 for a small data set, unless it cannot be folded."""
    if len(data.train) + len(data.valid) > SMALL:
        return 1
    try:
        load_data(source, replace(configure(settings), fold=f"1/{FOLDS}"))
    except InputError:
        return 1
    return FOLDS


def tuning(study: Study) -> Generator[Note, None, None]:
    """Tune the models that a study asks for, within its budget.

    Args:
        study: The study.

    Yields:
        What was tried, measured and decided.
    """
    asked = study.asked
    bench = Bench(study, folds=asked["folds"])
    networks, estimators = candidates_of(asked["model"], bench.data)
    end = SEARCH * float(asked["budget"])
    # All defaults side by side, before any of them is searched for longer.
    yield from bench.evaluate([Candidate(model=model, step="search") for model in estimators])
    for place, model in enumerate(estimators):
        share = COMPANY * float(asked["budget"]) if networks else end
        yield from search_estimator(bench, model, until=part(study.elapsed, share, len(estimators) - place))
    for place, model in enumerate(networks):
        yield from Recipe(bench, model, until=part(study.elapsed, end, len(networks) - place)).steps()
    if not bench.scored:
        yield from study.decide("end", "No model learned anything, so there is none to keep.")
        return
    members = yield from choose(bench)
    yield from finish(bench, members)


def part(now: float, end: float, parts: int) -> float:
    """The end of the first of several equal parts of the time that is left."""
    return now + (end - now) / parts
