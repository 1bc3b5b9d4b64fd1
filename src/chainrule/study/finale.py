"""The end of a search: the best of its models together, as a run of its own in ``best/``."""

import shutil
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from chainrule.ensembles import bagged, combiner, diversity, gain
from chainrule.job import conclude, plan_of
from chainrule.models import assembly
from chainrule.nn.affine import Affine
from chainrule.shapes import Float, Tensor
from chainrule.study.bench import Bench, Scored, score
from chainrule.study.events import Note
from chainrule.study.recipe import described
from chainrule.tasks.supervised import Regression
from chainrule.training.describe import built, fingerprint, loaded
from chainrule.training.evaluation import tested
from chainrule.training.record import Record


@dataclass(frozen=True, eq=False)
class Member:
    """A candidate of the final ensemble.

    Attributes:
        scored: The candidate.
        weight: What it counts.
    """

    scored: Scored
    weight: float


class Standardised(nn.Module):
    """Real targets in their own units to standardised ones.

    Args:
        units: From standardised targets to those in their own units.
    """

    def __init__(self, units: Affine) -> None:
        super().__init__()
        self.units = units

    def forward(self, values: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        return self.units.inverse(values)


def choose(bench: Bench) -> Generator[Note, None, list[Member]]:
    """Choose the candidates of the ensemble by what they say of validation samples.

    Args:
        bench: What was measured.

    Yields:
        The decision, with weights and the diversity of the members.

    Returns:
        The members, the heaviest first.
    """
    outputs = torch.stack([scored.outputs for scored in bench.scored])
    weights = bagged(outputs.float(), bench.valid, bench.target.kind).tolist()
    members = [Member(scored, weight) for scored, weight in zip(bench.scored, weights, strict=True) if weight > 0]
    members.sort(key=lambda member: -member.weight)
    names = [described(member.scored.candidate) for member in members]
    best = bench.best(bench.scored)
    said = [f"{member.weight:.0%} {name}" for member, name in zip(members, names, strict=True)]
    matrices = diversity(
        torch.stack([member.scored.outputs for member in members]).float(), bench.valid, bench.target.kind
    )
    yield from bench.study.decide(
        "ensemble",
        f"Of {len(bench.scored)} candidates {len(members)} make the final model: {'; '.join(said)}.",
        names=names,
        weights=[member.weight for member in members],
        best=described(best.candidate) if best else "",
        diversity={name: matrix.tolist() for name, matrix in matrices.items()},
    )
    return members


def finish(bench: Bench, members: list[Member]) -> Generator[Note, None, None]:
    """Put the ensemble together, look at the test split, and write its run and page.

    Args:
        bench: What was measured.
        members: The candidates of the ensemble.

    Yields:
        The outcome on the test split, beside the best candidate's and the defaults'.
    """
    study = bench.study
    record = Record(study.directory / "best")
    if not (record.found and record.finished):
        shutil.rmtree(record.directory, ignore_errors=True)
        write(bench, members, record)
    yield from study.once("test", lambda: judged(bench, members))


def judged(bench: Bench, members: list[Member]) -> dict[str, Any]:
    """Scores on the test split: of the ensemble, of the best candidate, and of what ``fit`` does by itself."""
    kind, truth = bench.target.kind, bench.data.test.targets
    outputs = sum(member.weight * said_of_test(bench, member.scored) for member in members)
    assert isinstance(outputs, torch.Tensor)
    best = bench.best(bench.scored)
    assert best is not None
    alone = said_of_test(bench, best)
    gained = gain(alone, outputs, truth, kind)
    default = next((scored for scored in bench.scored if scored.candidate.step == "default"), None)
    return {
        "ensemble": score(outputs, truth, kind),
        "best": score(alone, truth, kind),
        "default": score(said_of_test(bench, default), truth, kind) if default else None,
        "gain": asdict(gained),
        "sentence": f"On {len(truth)} test samples the ensemble is {gained}.",
    }


def said_of_test(bench: Bench, scored: Scored) -> Float[Tensor, "n k"]:
    """The mean of what a candidate's models of all folds say of the test split."""
    return torch.stack([bench.study.outputs(result.trial)["test"] for result in scored.tried]).double().mean(0)


def write(bench: Bench, members: list[Member], record: Record) -> None:
    """Write the run of the final model: its members, its outcome on the test split, and its page."""
    study, asked = bench.study, bench.study.asked
    settings = {**asked["settings"], **bench.fold(1)}
    plan = plan_of(study.source, "auto", settings)
    runs = [(study.run(result.trial), member.weight) for member in members for result in member.scored.tried]
    call = f"weighted(weights={[weight / bench.folds for _, weight in runs]})"
    record.create(
        {
            "source": asked["source"],
            "processes": 1,
            "fingerprint": fingerprint(plan.data),
            "call": "ensemble",
            "config": plan.config.to_json(),
        }
    )
    assembly.save_ensemble(
        record.model,
        [run.directory / "model" for run, _ in runs],
        combiner(call, members=len(runs), target=plan.data.target),
        plan.data.inputs,
        plan.data.target,
    )
    model = assembly.load(record.model)[0]
    if isinstance(plan.task, Regression):
        # The task takes real targets standardised, as networks give them.
        model[1] = nn.Sequential(model[1], Standardised(plan.task.units))
    model.to(plan.machine.device)
    plan.task.to(plan.machine.device)
    said = [f"{member.weight:.0%} {described(member.scored.candidate)}" for member in members]
    made = replace(
        built(plan, asked["command"]),
        model=f"an ensemble of {len(runs)} models",
        parameters=sum(result.size for member in members for result in member.scored.tried),
        preparation=["Each member prepares its inputs by itself."],
        start=[f"{text}." for text in said],
    )
    for event in (loaded(plan.data), made, tested(plan, model)):
        record.write(event)
    record.close()
    conclude(record)
