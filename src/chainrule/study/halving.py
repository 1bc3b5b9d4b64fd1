"""What Optuna searches: successive halving over a grid of networks, and the options of estimators.

Successive halving (Jamieson & Talwalkar 2016; Li et al. 2020, "A system for massively parallel hyperparameter tuning"):
all candidates train for a little, the better third goes on three times as long, and so on. A paused candidate goes on
from its checkpoint. Options of estimators are proposed by a Gaussian process (Snoek, Larochelle & Adams 2012,
"Practical Bayesian optimization of machine learning algorithms").
"""

import math
from collections.abc import Generator, Sequence
from typing import Any

from chainrule.study.bench import Bench, Candidate, Scored
from chainrule.study.events import Note, Tried
from chainrule.study.spaces import space_of, with_options

#: One of so many goes on.
REDUCTION = 3
#: Candidates of an estimator that are drawn, and that follow for each option from what is known then.
BASE, EACH = 4, 6


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
    # Slow to import.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
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
    # Slow to import.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.GPSampler(seed=int(bench.study.asked["settings"].get("seed", 0)), n_startup_trials=BASE)
    search = optuna.create_study(direction="minimize", sampler=sampler)
    distributions = {name: range_.distribution() for name, range_ in space.items()}

    def propose() -> dict[str, Any]:
        asked = [search.ask(distributions) for _ in range(math.ceil(bench.jobs / bench.folds))]
        for trial in asked:
            search.tell(trial, state=optuna.trial.TrialState.FAIL)  # what comes of it is added below
        return {"options": [rounded(trial.params) for trial in asked]}

    begun, spent = 0, 0.0
    while begun < BASE + EACH * len(space) and bench.study.elapsed + spent < until:
        before = bench.study.elapsed
        # A proposal stands in the journal: it must be the same when the study is resumed.
        proposed = (yield from bench.study.once(f"options {begun} of {model}", propose))["options"]
        candidates = [Candidate(model=with_options(model, **options), step="search") for options in proposed]
        scored = {one.candidate.key: one for one in (yield from bench.evaluate(candidates))}
        for options, candidate in zip(proposed, candidates, strict=True):
            if (one := scored.get(candidate.key)) is not None:
                search.add_trial(
                    optuna.trial.create_trial(params=options, distributions=distributions, value=one.error)
                )
        found += scored.values()
        begun, spent = begun + len(proposed), bench.study.elapsed - before
    return found


def rounded(options: dict[str, Any]) -> dict[str, Any]:
    """Three digits are enough for an option that is to be read and written again."""
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in options.items()}
