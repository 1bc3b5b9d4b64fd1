"""What Optuna searches: successive halving over a grid of networks, and the options of estimators.

Successive halving (Jamieson & Talwalkar 2016; Li et al. 2020, "A system for massively parallel hyperparameter tuning"):
all candidates train for a little, the better third goes on three times as long, and so on. A paused candidate goes on
from its checkpoint. The tree-structured Parzen estimator (Bergstra et al. 2011) proposes options of estimators.
"""

import math
from collections.abc import Generator, Sequence
from typing import Any

import optuna

from chainrule.study.bench import Bench, Candidate, Scored
from chainrule.study.events import Note, Tried
from chainrule.study.spaces import space_of, with_options

optuna.logging.set_verbosity(optuna.logging.WARNING)

#: One of so many goes on.
REDUCTION = 3
#: Trials of an estimator for each option that is searched, and beside these.
EACH, BASE = 10, 4


def halve(
    bench: Bench, candidates: Sequence[Candidate], rungs: Sequence[int]
) -> Generator[Note, None, list[tuple[Candidate, Tried]]]:
    """Train candidates on the first fold, the better ones longer.

    Args:
        bench: Where they are measured.
        candidates: What is tried, the most likely first: among the first few of a rung the best so far goes on.
        rungs: Epochs after which it is decided who goes on, ascending, each ``REDUCTION`` times the one before.

    Yields:
        The notes of the study.

    Returns:
        The candidates that gave a number, each with its last trial: those that came farthest first, the best of them
        before the others.
    """
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=rungs[0], reduction_factor=REDUCTION)
    search = optuna.create_study(direction="minimize", pruner=pruner)
    which: dict[str, optuna.distributions.BaseDistribution] = {
        "candidate": optuna.distributions.IntDistribution(0, len(candidates) - 1)
    }
    alive = []
    for number, candidate in enumerate(candidates):
        search.enqueue_trial({"candidate": number})
        alive.append((candidate, bench.trial(candidate, 1).name, search.ask(which)))
    last: dict[tuple[str, str], tuple[Candidate, Tried]] = {}
    for rung in rungs:
        wanted = [bench.trial(candidate, 1, until=rung, name=name) for candidate, name, _ in alive]
        results = yield from bench.study.try_all(wanted)
        going = []
        for entry, result in zip(alive, results, strict=True):
            candidate, _, asked = entry
            if result.error or not math.isfinite(loss_of(result)):
                search.tell(asked, state=optuna.trial.TrialState.FAIL)
                continue
            last[candidate.key] = (candidate, result)
            asked.report(loss_of(result), step=rung)
            if asked.should_prune():
                search.tell(asked, state=optuna.trial.TrialState.PRUNED)
            else:
                going.append(entry)
        alive = going
    return sorted(last.values(), key=lambda pair: (-pair[1].epochs, loss_of(pair[1])))


def loss_of(result: Tried) -> float:
    """The least validation loss so far; infinite where there is none."""
    value = result.valid.get("loss")
    return math.inf if value is None else value


def search_estimator(bench: Bench, model: str, *, until: float) -> Generator[Note, None, list[Scored]]:
    """Search the options of an estimator: its defaults first, then what Optuna proposes.

    Args:
        bench: Where candidates are measured.
        model: Call of the estimator; the options that it gives are left as they are.
        until: Time of the study after which no more candidates are begun.

    Yields:
        The notes of the study.

    Returns:
        All candidates that were measured.
    """
    space = space_of(model)
    found = yield from bench.evaluate([Candidate(model=model, step="search")])
    if not space or not found:
        return found
    sampler = optuna.samplers.TPESampler(seed=int(bench.study.asked["settings"].get("seed", 0)))
    search = optuna.create_study(direction="minimize", sampler=sampler)
    at_once = math.ceil(bench.jobs / bench.folds)
    distributions = {name: range_.distribution() for name, range_ in space.items()}
    begun, spent = 0, 0.0
    while begun < BASE + EACH * len(space) and bench.study.elapsed + spent < until:
        before = bench.study.elapsed
        asked = [search.ask(distributions) for _ in range(at_once)]
        candidates = [Candidate(model=with_options(model, **rounded(trial.params)), step="search") for trial in asked]
        scored = {one.candidate.key: one for one in (yield from bench.evaluate(candidates))}
        for trial, candidate in zip(asked, candidates, strict=True):
            one = scored.get(candidate.key)
            if one is None:
                search.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                search.tell(trial, one.error)
        found += scored.values()
        begun, spent = begun + at_once, bench.study.elapsed - before
    return found


def rounded(options: dict[str, Any]) -> dict[str, Any]:
    """Three digits are enough for an option that is to be read and written again."""
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in options.items()}
