"""``compare``: the same splits for all models, and tests that know that the splits overlap.

A seed is a split and all that a model draws. On one seed all models learn from the same samples and are judged on the
same ones, so their scores pair up. Splits of one data set share samples: what decides is the corrected test of Nadeau
and Bengio (:func:`chainrule.study.statistics.paired`), with Holm's correction for the number of pairs.
"""

import re
from collections.abc import Generator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import combinations
from typing import Any

import torch

from chainrule.ensembles import bagged, diversity, gain
from chainrule.report.glossary import headline, term
from chainrule.study.bench import score
from chainrule.study.events import Note, Trial, Tried
from chainrule.study.statistics import Paired, holm, paired, spread
from chainrule.study.study import Study

#: What the ensemble of all models is called in tables.
ENSEMBLE = "ensemble"


def trials_of(asked: dict[str, Any]) -> list[Trial]:
    """The trials of a comparison, seed by seed, so that what is there early is fair."""
    return [
        Trial(
            name=f"{re.sub(r'[^A-Za-z0-9]+', '-', model).strip('-').lower()[:40]}-{number}-seed-{seed}",
            step="compare",
            model=model,
            settings={"seed": seed},
            limit=asked["budget"],
        )
        for seed in asked["seeds"]
        for number, model in enumerate(asked["models"], start=1)
    ]


def comparing(study: Study) -> Generator[Note, None, None]:
    """Run all models on all seeds, and combine them where an ensemble is asked for.

    Args:
        study: The study.

    Yields:
        What came of each trial, and of the ensemble of each seed.
    """
    trials = trials_of(study.asked)
    tried = yield from study.try_all(trials)
    for seed in study.asked["seeds"] if study.asked["ensemble"] else ():
        members = [one for one in tried if one.trial.settings["seed"] == seed and not one.error]
        if len(members) > 1:
            yield from study.once(f"ensemble {seed}", partial(combined, study, members, seed))


def combined(study: Study, members: list[Tried], seed: int) -> dict[str, Any]:
    """The ensemble of one seed: chosen on the validation split, judged on the test split.

    Args:
        study: The study.
        members: The trials of the seed.
        seed: The seed.
    """
    data = study.data(seed=seed)
    kind, names = data.target.kind, [one.trial.model for one in members]
    outputs = [study.outputs(one.trial) for one in members]
    valid, test = (torch.stack([output[split] for output in outputs]).double() for split in ("valid", "test"))
    weights = bagged(valid, data.valid.targets, kind)
    scores = [score(output, data.valid.targets, kind) for output in valid]
    best = max(range(len(members)), key=lambda i: scores[i])
    together = torch.tensordot(weights, test, dims=1)
    return {
        "seed": seed,
        "names": names,
        "weights": weights.tolist(),
        "best": names[best],
        "valid": score(torch.tensordot(weights, valid, dims=1), data.valid.targets, kind),
        "test": round(score(together, data.test.targets, kind), 6),
        "gain": asdict(gain(test[best], together, data.test.targets, kind)),
        "diversity": {name: matrix.tolist() for name, matrix in diversity(test, data.test.targets, kind).items()},
    }


@dataclass(frozen=True)
class Pair:
    """Two models of a comparison.

    Attributes:
        first: The one with the better mean.
        second: The other.
        test: The corrected test of their difference.
        p: Its p-value, corrected by Holm for the number of pairs.
    """

    first: str
    second: str
    test: Paired
    p: float | None


class Comparison:
    """What came out of a comparison, read from the runs of its study.

    Args:
        study: The study.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.models: list[str] = study.asked["models"]
        self.seeds: list[int] = study.asked["seeds"]
        wanted = {trial.key for trial in trials_of(study.asked)}
        self.tried = [one for one in study.tried if one.trial.key in wanted]
        self.failed = [one for one in self.tried if one.error]

    def __repr__(self) -> str:
        return f"Comparison({str(self.study.directory)!r})"

    @cached_property
    def trials(self) -> dict[str, dict[int, Tried]]:
        """Trials with a result, by model and seed."""
        found: dict[str, dict[int, Tried]] = {model: {} for model in self.models}
        for one in self.tried:
            if not one.error:
                found[one.trial.model][one.trial.settings["seed"]] = one
        return found

    @cached_property
    def tests(self) -> dict[str, dict[int, dict[str, float]]]:
        """Loss and metrics on the test split, by model and seed."""
        return {
            model: {seed: plainly(self.study.run(one.trial).test) for seed, one in row.items()}
            for model, row in self.trials.items()
        }

    @cached_property
    def kind(self) -> str:
        """Kind of the target."""
        return str(self.study.asked["target"]["kind"])

    @cached_property
    def metric(self) -> str:
        """The metric that stands for a model."""
        tests = [test for row in self.tests.values() for test in row.values()]
        return (headline(tests[0], self.kind) if tests else None) or "loss"

    @property
    def rising(self) -> bool:
        """Whether more of the metric is better."""
        return term(self.metric, self.kind).rising

    @cached_property
    def scores(self) -> dict[str, dict[int, float]]:
        """The metric on the test split by model and seed; the ensemble is the last model."""
        scores = {model: {seed: test[self.metric] for seed, test in row.items()} for model, row in self.tests.items()}
        if self.ensembles:
            scores[ENSEMBLE] = {one["seed"]: one["test"] for one in self.ensembles}
        return {model: row for model, row in scores.items() if row}

    @cached_property
    def ensembles(self) -> list[dict[str, Any]]:
        """What came of the ensemble of each seed."""
        return self.study.measured("ensemble ")

    @cached_property
    def order(self) -> list[str]:
        """Models by their mean, the best first."""
        means = {model: spread(list(row.values())).mean for model, row in self.scores.items()}
        return sorted(means, key=lambda model: -means[model] if self.rising else means[model])

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of models that share splits; the better one first."""
        sizes = self.study.asked["sizes"]
        found = []
        for first, second in combinations(self.order, 2):
            shared = [seed for seed in self.seeds if seed in self.scores[first] and seed in self.scores[second]]
            if shared:
                one, other = ([self.scores[model][seed] for seed in shared] for model in (first, second))
                found.append((first, second, paired(one, other, ratio=sizes["test"] / sizes["train"])))
        corrected = holm([test.p for _, _, test in found])
        return [Pair(*pair, p) for pair, p in zip(found, corrected, strict=True)]

    def table(self) -> list[dict[str, Any]]:
        """A row a model, the best first: mean and spread of the metric, what it cost."""
        rows = []
        for model in self.order:
            tried = list(self.trials.get(model, {}).values())
            found = spread(list(self.scores[model].values()))
            row: dict[str, Any] = {"model": model, "mean": found.mean, "std": found.deviation, "seeds": found.count}
            for name in ("seconds", "memory", "size"):
                values = [getattr(one, name) for one in tried]
                row[name] = sum(values) / len(values) if values else None
            rows.append(row)
        return rows

    @property
    def verdict(self) -> str:
        """What came out, in a sentence or two."""
        if not self.order:
            return "No model gave a result."
        best, name = self.order[0], term(self.metric, self.kind).title
        mean = spread(list(self.scores[best].values()))
        said = f"{best} has the best mean test {name}, {mean.mean:.4g}"
        said += f" ± {mean.deviation:.2g} over {mean.count} seeds" if mean.deviation is not None else " on one split"
        beaten = [pair.second for pair in self.pairs if pair.first == best and pair.p is not None and pair.p < 0.05]
        others = [model for model in self.order[1:] if model not in beaten]
        if not self.order[1:]:
            return f"{said}."
        if not others:
            return f"{said}; it is better than all others beyond chance."
        alike = (
            f"not clearly better than {', '.join(others)}"
            if len(self.seeds) > 1
            else "one split cannot tell them apart"
        )
        better = f"better beyond chance than {', '.join(beaten)}, " if beaten else ""
        return f"{said}; {better}{alike}."


def plainly(metrics: dict[str, float]) -> dict[str, float]:
    """Metrics without the noise of float32, which would make equal scores differ."""
    return {name: round(value, 6) for name, value in metrics.items() if value is not None}
