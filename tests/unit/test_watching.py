"""What a watch notes, and what the measurement of a program's own loop does with it."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

from chainrule.doctor.checks.during import loop_runs
from chainrule.doctor.measures.loop import watched
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program
from chainrule.doctor.watching import Watch, watch
from chainrule.doctor.watching.graph import factor
from chainrule.doctor.watching.inputs import READ, first, rows
from chainrule.doctor.watching.watcher import MOST
from tests.training_loops import accumulating, adam, adversarial, clipping, network, sgd, table, usual


def test_step_by_hand() -> None:
    """One weight, one sample: the gradient of (w x - y)**2 is 2 x (w x - y)."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer) as seen:
        functional.mse_loss(model(torch.tensor([[3.0]])), torch.tensor([[5.0]])).backward()
        optimizer.step()
    (step,) = seen.watched.steps
    assert (step.arrived, step.used, step.norm, step.rate) == (6.0, 6.0, 2.0, 0.1)
    # The weight goes from 2 to 2 - 0.1 * 6 = 1.4.
    assert step.update == pytest.approx(0.6 / 1.4)
    assert (step.forwards, step.backwards, step.late, step.size, step.outside) == (1, 1, 0, 1, 0.0)
    assert seen.watched.moved


def test_clipping_is_seen() -> None:
    model = network()
    optimizer = sgd(model)
    with watch(model, optimizer) as seen:
        clipping(model, lambda outputs, targets: 100 * functional.cross_entropy(outputs, targets), optimizer, table())
    for step in seen.watched.steps:
        assert step.arrived > 0.5
        assert step.used == pytest.approx(0.5, rel=1e-4)
        assert step.factor == pytest.approx(100)


def test_accumulation_is_counted() -> None:
    model = network()
    optimizer = sgd(model)
    with watch(model, optimizer) as seen:
        accumulating(model, nn.CrossEntropyLoss(), optimizer, table())
    assert [(step.forwards, step.backwards) for step in seen.watched.steps] == [(3, 3), (3, 3)]
    assert all(step.factor == pytest.approx(1 / 3) for step in seen.watched.steps)


def test_critic_is_judged_without_its_generator() -> None:
    model = network()
    optimizer = sgd(model)
    with watch(model, optimizer) as seen:
        adversarial(model, nn.CrossEntropyLoss(), optimizer, table())
    # What the generator's loss leaves in the critic is zeroed before its next step.
    assert [step.backwards for step in seen.watched.steps] == [2] * 6
    assert not any(step.carried for step in seen.watched.steps)
    assert (seen.watched.count, seen.watched.foreign) == (6, 6)


def test_checkpointed_layers_count_once() -> None:
    class Thrifty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.two(checkpoint(self.one, inputs.clone().requires_grad_(), use_reentrant=True))

    model = Thrifty()
    optimizer = sgd(model)
    with watch(model, optimizer) as seen:
        usual(model, nn.CrossEntropyLoss(), optimizer, table())
    assert (seen.watched.backwards, seen.watched.unreached) == (6, ())


def test_optimizer_inside_the_backward_pass_is_not_judged() -> None:
    """The order of events says nothing there."""
    model = nn.Linear(5, 3)
    own = {weight: torch.optim.SGD([weight], lr=0.1) for weight in model.parameters()}
    for weight in model.parameters():
        weight.register_post_accumulate_grad_hook(lambda moved: own[moved].step())
    with watch(model) as seen:
        for inputs, targets in table():
            functional.cross_entropy(model(inputs), targets).backward()
    assert seen.watched.fused
    assert seen.findings() == []


def test_long_loops_are_remembered_in_part() -> None:
    model = nn.Linear(5, 3)
    optimizer = sgd(model)
    inputs, targets = next(iter(table()))
    with watch(model, optimizer) as seen:
        for _ in range(MOST + 50):
            usual(model, nn.CrossEntropyLoss(), optimizer, [(inputs, targets)])
    assert (len(seen.watched.steps), seen.watched.count, seen.watched.backwards) == (MOST, MOST + 50, MOST + 50)


@pytest.mark.parametrize(
    ("scaled", "expected"),
    [
        (lambda loss: loss, 1.0),
        (lambda loss: loss / 4, 0.25),
        (lambda loss: 1000 * loss, 1000.0),
        (lambda loss: torch.tensor(5.0) * loss / 2, 2.5),
        (lambda loss: -loss * -3, 3.0),
        (lambda loss: loss / 2 + loss.detach(), 0.5),
    ],
)
def test_factor(scaled: Any, expected: float) -> None:
    outputs = torch.randn(8, 3, requires_grad=True)
    loss = functional.cross_entropy(outputs, torch.zeros(8, dtype=torch.int64))
    assert factor(scaled(loss), 8) == pytest.approx(expected)


def test_factor_of_sums() -> None:
    outputs, targets = torch.randn(8, 3, requires_grad=True), torch.zeros(8, 3)
    assert factor(functional.mse_loss(outputs, targets, reduction="sum"), 8) == 8
    assert factor((outputs - targets).square().sum(), 8) == 8
    assert factor((outputs - targets).square().sum() / 8, 8) == 1
    assert factor((outputs - targets).square().sum(1).mean(), 8) == 1
    assert factor(functional.cross_entropy(outputs, torch.softmax(targets, 1)), 8) == 1


def test_rows_do_not_depend_on_the_batch() -> None:
    inputs = torch.randn(6, 3, 40, 40)
    numbers = rows(inputs)
    assert rows(inputs[[4, 1]]) == [numbers[4], numbers[1]]
    assert len(set(numbers)) == 6
    assert inputs[0].numel() > READ
    assert len(set(rows(torch.eye(5, dtype=torch.bool)))) == 5
    assert len(set(rows(torch.arange(6).view(3, 2)))) == 3
    # The places count, too.
    assert len(set(rows(torch.tensor([[1.0, 2.0], [2.0, 1.0]])))) == 2


def test_first_tensor() -> None:
    inputs = torch.zeros(2, 3)
    assert first([(), {"mask": None, "x": [inputs]}]) is inputs
    assert first([torch.tensor(1.0), "text", None]) is None


def probe(loop: Any, *, batches: Any = None, **more: Any) -> Probe:
    model = network()
    program = Program(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=adam(model),
        batches=batches or table(),
        train=loop,
        **more,
    )
    return Probe(program, seconds=5)


def test_measurement_watches_two_passes() -> None:
    seen = probe(usual).measure(watched)
    assert seen is not None
    assert (seen.passes, seen.count, seen.backwards, seen.cut, seen.error) == (2, 12, 12, False, "")
    assert [step.draws for step in seen.steps] == [1] * 12
    assert seen.expected == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_loop_that_uses_the_scripts_own_names() -> None:
    """It would train the original; that is put back, and nothing is judged."""
    own = network()
    optimizer = adam(own)

    def loop(model: nn.Module, loss: Any, other: Optimizer, batches: Any) -> None:
        usual(own, loss, optimizer, batches)
        own.eval()

    before = {name: value.clone() for name, value in own.state_dict().items()}
    program = Program(model=own, loss=nn.CrossEntropyLoss(), optimizer=optimizer, batches=table(), train=loop)
    examined = Probe(program)
    seen = examined.measure(watched)
    assert seen is not None
    assert seen.strayed
    assert not seen.telling
    assert all(torch.equal(before[name], value) for name, value in own.state_dict().items())
    assert own.training
    assert not optimizer.state_dict()["state"]
    assert all(weight.grad is None for weight in own.parameters())
    found = loop_runs(examined)
    assert found is not None
    assert found.status == "SKIP"


def test_schedule_of_the_script_moves_the_copy() -> None:
    model = network()
    optimizer = sgd(model)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1)

    def loop(model: nn.Module, loss: Any, own: Optimizer, batches: Any) -> None:
        for pair in batches:
            usual(model, loss, own, [pair])
            schedule.step()

    program = Program(model=model, loss=nn.CrossEntropyLoss(), optimizer=optimizer, batches=table(), train=loop)
    seen = Probe(program).measure(watched)
    assert seen is not None
    assert [step.rate for step in seen.steps[:4]] == pytest.approx([0.05, 0.005, 0.0005, 0.00005])
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_loop_that_fails() -> None:
    def loop(model: nn.Module, loss: Any, optimizer: Optimizer, batches: Any) -> None:
        usual(model, loss, optimizer, batches)
        raise ValueError("no such file.")

    found = loop_runs(probe(loop))
    assert found is not None
    assert found.status == "WARN"
    assert "pass 1, after 6 steps: ValueError: no such file." in found.sentence


def test_loop_may_ask_for_what_a_loader_has() -> None:
    asked: list[Any] = []

    def loop(model: nn.Module, loss: Any, optimizer: Optimizer, batches: Any) -> None:
        asked[:] = [len(batches), len(batches.dataset), batches.batch_size]
        usual(model, loss, optimizer, batches)

    found = loop_runs(probe(loop))
    assert found is not None
    assert (found.status, asked) == ("PASS", [6, 96, 16])


def test_loop_without_end_is_ended() -> None:
    def loop(model: nn.Module, loss: Any, optimizer: Optimizer, batches: Any) -> None:
        while True:
            usual(model, loss, optimizer, batches)

    endless = probe(loop)
    endless.seconds = 0.2
    seen = endless.measure(watched)
    assert seen is not None
    assert seen.cut
    assert seen.count > 0
    assert seen.error == ""


def test_program_that_does_not_run_is_not_watched() -> None:
    broken = Program(model=nn.Linear(4, 3), loss=nn.CrossEntropyLoss(), batches=table(), train=usual)
    assert Probe(broken).measure(watched) is None


def test_optimizer_without_a_weight_of_the_model() -> None:
    model, other = network(), network()
    seen = Watch(model, adam(other))
    assert not seen.watched.held
    assert math.isnan(seen.watched.base)
