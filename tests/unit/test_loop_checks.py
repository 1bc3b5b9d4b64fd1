"""The checks of a training loop: each names its fault, in a watch as in a probe, and sound loops are left alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from chainrule import registry
from chainrule.doctor.checks.during import loop_runs
from chainrule.doctor.finding import Finding
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program
from chainrule.doctor.watching import Watched, watch
from tests.training_loops import (
    SICK,
    SOUND,
    Loop,
    adam,
    closure_never_zeroed,
    momentum,
    network,
    one_batch,
    partly_detached,
    step_late,
    summed,
    table,
    undivided,
    usual,
    with_closure,
)

NAMES = {
    "accumulated-loss",
    "clipped-away",
    "detached-loss",
    "evaluation-mode",
    "gradients-not-zeroed",
    "loss-scale",
    "no-backward",
    "no-step",
    "rate-moves",
    "repeated-batch",
    "same-order",
    "training-mode-in-validation",
    "validation-trained",
    "weights-overwritten",
    "zeroed-before-step",
}


def seen_in(
    loop: Loop,
    model: nn.Module | None = None,
    made: Callable[[nn.Module], Optimizer] = momentum,
    *,
    loader: Any = None,
    passes: int = 3,
) -> dict[str, Finding]:
    """Findings of a watched loop by their checks."""
    model = model or network(dropout=True)
    loss, optimizer, batches = nn.CrossEntropyLoss(), made(model), loader or table()
    with watch(model, optimizer) as seen:
        for _ in range(passes):
            loop(model, loss, optimizer, batches)
    return {finding.check: finding for finding in seen.findings()}


def probed(
    loop: Loop | None,
    model: nn.Module | None = None,
    made: Callable[[nn.Module], Optimizer] = momentum,
    *,
    loader: Any = None,
    valid: Any = None,
) -> dict[str, Finding]:
    """Findings of the checks of loops over a probe."""
    model = model or network(dropout=True)
    program = Program(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=made(model),
        batches=loader or table(),
        valid=valid,
        train=loop,
    )
    probe = Probe(program, seconds=5)
    entries = registry.entries("check")
    found = [entries[name].build(probe) for name in sorted(NAMES)]
    return {finding.check: finding for finding in [*found, loop_runs(probe)] if finding is not None}


def asking(findings: dict[str, Finding]) -> dict[str, str]:
    """What asks for something, with its status."""
    return {name: finding.status for name, finding in findings.items() if finding.asks}


def test_all_checks_judge_a_watch_and_a_probe() -> None:
    rows = {entry.name: entry for entry in registry.entries("check").values() if "watched" in entry.inputs}
    assert set(rows) == NAMES
    assert all(entry.family == "during training" and "probe" in entry.inputs for entry in rows.values())


@pytest.mark.parametrize(("check", "status", "loop"), SICK, ids=lambda part: getattr(part, "__name__", None))
def test_faults_are_named(check: str, status: str, loop: Loop) -> None:
    for findings in (seen_in(loop), probed(loop)):
        assert asking(findings) == {check: status}
        told = findings[check]
        assert told.cause
        assert told.remedy
        assert any(letter.isdigit() for letter in told.sentence)


def test_usual_loop_passes_with_numbers() -> None:
    findings = seen_in(usual)
    assert {name for name, finding in findings.items() if finding.status == "PASS"} >= {
        "gradients-not-zeroed",
        "zeroed-before-step",
        "no-step",
        "no-backward",
        "detached-loss",
        "evaluation-mode",
        "repeated-batch",
        "rate-moves",
        "weights-overwritten",
    }
    # 96 rows in batches of 16 are 6 steps a pass; the first has nothing before it.
    assert findings["no-step"].sentence == "18 steps follow 18 backward passes."
    assert findings["gradients-not-zeroed"].evidence["steps"] == 17


def test_no_loop_of_its_own_nothing_to_say() -> None:
    assert probed(None) == {}


def test_parameter_that_is_left_out_is_named() -> None:
    model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3))

    def loop(model: nn.Module, loss: Any, optimizer: Optimizer, batches: Any) -> None:
        for inputs, targets in batches:
            for name, weight in model.named_parameters():
                weight.grad = weight.grad if name == "2.bias" else None
            loss(model(inputs), targets).backward()
            optimizer.step()

    found = seen_in(loop, model)["gradients-not-zeroed"]
    assert (found.status, found.where) == ("FAIL", "2.bias")


def test_part_that_is_cut_off_is_named() -> None:
    """A watch cannot know whether it is meant; beside the usual loss it shows."""
    model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3))
    assert seen_in(partly_detached, model)["detached-loss"].status == "WARN"
    found = probed(partly_detached, model)["detached-loss"]
    assert (found.status, found.where) == ("FAIL", "0.weight")
    model[0].requires_grad_(False)
    assert asking(seen_in(partly_detached, model)) == {}


def test_step_that_comes_late() -> None:
    assert asking(seen_in(step_late, nn.Linear(5, 3))) == {"no-step": "WARN"}


def lbfgs(model: nn.Module) -> Optimizer:
    return torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)


@pytest.mark.parametrize("made", [lbfgs, adam])
def test_closures(made: Callable[[nn.Module], Optimizer]) -> None:
    assert asking(seen_in(with_closure, made=made)) == {}
    assert asking(seen_in(closure_never_zeroed, made=made)) == {"gradients-not-zeroed": "FAIL"}


def test_same_batch_from_a_loader() -> None:
    """It is a fault where the loader has more, and full-batch training where it has not."""
    findings = (seen_in(one_batch, loader=table(shuffle=False)), probed(one_batch, loader=table(shuffle=False)))
    assert [asking(found)["repeated-batch"] for found in findings] == ["FAIL", "FAIL"]
    assert "repeated-batch" not in seen_in(one_batch, loader=table(batch=96, shuffle=False))
    # With shuffling it is another batch each time.
    assert seen_in(one_batch, loader=table())["repeated-batch"].status == "PASS"


def test_same_order() -> None:
    assert asking(seen_in(usual, loader=table(shuffle=False))) == {"same-order": "WARN"}
    assert asking(probed(usual, loader=table(shuffle=False))) == {"same-order": "WARN"}
    # A list is what somebody has at hand for a check; its order says nothing of the training.
    assert asking(probed(usual, loader=list(table()))) == {}
    assert "same-order" not in seen_in(usual, loader=table(shuffle=False), passes=1)


def test_training_on_validation_batches() -> None:
    valid = [(inputs + 1, targets) for inputs, targets in table(48, shuffle=False)]

    def loop(model: nn.Module, loss: Any, optimizer: Optimizer, batches: Any) -> None:
        usual(model, loss, optimizer, batches)
        usual(model, loss, optimizer, valid)

    found = probed(loop, valid=valid)["validation-trained"]
    assert found.status == "FAIL"
    # Two passes of 6 training and 3 validation batches.
    assert (found.evidence["steps"], found.evidence["share"]) == (18, pytest.approx(1 / 3))
    assert "validation-trained" not in probed(usual, valid=valid)
    # Samples that are in both are no proof.
    assert "validation-trained" not in probed(usual, valid=list(table(shuffle=False)))


def test_factor_of_the_loss_cancels_in_adam() -> None:
    assert seen_in(summed, made=adam)["loss-scale"].status == "PASS"
    assert seen_in(summed, made=adam)["loss-scale"].evidence["times"] == pytest.approx(16)
    assert "cancels" in seen_in(undivided, made=adam)["accumulated-loss"].sentence


def test_frozen_parts_may_mean_evaluation_mode() -> None:
    def loop(model: nn.Module, loss: Any, optimizer: Optimizer, batches: Any) -> None:
        model.eval()
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss(model(inputs), targets).backward()
            optimizer.step()

    model = network(dropout=True)
    model[0].requires_grad_(False)
    assert asking(seen_in(loop, model)) == {"evaluation-mode": "WARN"}
    # A single layer that is put out of training mode is meant.
    model = network(dropout=True)
    model[1].eval()
    assert model.training
    plain = SOUND["zeroed_last"]
    assert asking(seen_in(plain, model)) == {}
    # Without layers that differ there is nothing to say.
    assert "evaluation-mode" not in seen_in(loop, network())


def test_judgements_stay_silent_without_evidence() -> None:
    rows = [entry.build for entry in registry.entries("check").values() if "watched" in entry.inputs]
    assert [check(Watched()) for check in rows] == [None] * len(NAMES)
    broken = Watched(forwards=1, error="ValueError: no")
    assert [check(broken) for check in rows] == [None] * len(NAMES)


@pytest.mark.parametrize(("rate", "status"), [(0.8, "PASS"), (0.3, "FAIL")])
def test_rate_that_vanishes(rate: float, status: str) -> None:
    def loop(model: nn.Module, loss: Any, optimizer: Optimizer, batches: Any) -> None:
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss(model(inputs), targets).backward()
            optimizer.step()
            optimizer.param_groups[0]["lr"] *= rate

    # 0.8 ** 17 is 0.02; 0.3 ** 6 is below a thousandth, so 12 of 18 steps are.
    found = seen_in(loop)["rate-moves"]
    assert found.status == status
    if status == "FAIL":
        assert "67%" in found.sentence


def test_period_in_epochs_counted_in_batches() -> None:
    def loop(model: nn.Module, loss: Any, optimizer: Optimizer, batches: Any) -> None:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
        for _ in range(10):
            for inputs, targets in batches:
                optimizer.zero_grad()
                loss(model(inputs), targets).backward()
                optimizer.step()
                schedule.step()

    assert asking(seen_in(loop, passes=1)) == {"rate-moves": "WARN"}
