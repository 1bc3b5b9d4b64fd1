"""Sound training loops of many kinds: the checks of a loop ask nothing of them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from chainrule.doctor.watching import watch
from tests.training_loops import SOUND, adam, momentum, network, sgd, table, usual
from tests.unit.test_loop_checks import asking, probed, seen_in


@pytest.mark.parametrize("made", [sgd, adam])
@pytest.mark.parametrize("name", SOUND)
def test_sound_loops_are_left_alone(name: str, made: Callable[[nn.Module], Optimizer]) -> None:
    assert asking(seen_in(SOUND[name], made=made, passes=2)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_sound_loops_are_left_alone_by_a_probe(name: str) -> None:
    assert asking(probed(SOUND[name])) == {}


class Recurrent(nn.Module):
    """An LSTM that hands its state on."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(5, 8, 2, dropout=0.1, batch_first=True), nn.Linear(8, 3)

    def forward(self, inputs: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        outputs, state = self.cells(inputs.unsqueeze(1).expand(-1, 4, -1), state)
        return self.head(outputs[:, -1]), state


def test_recurrent_network_with_a_state_that_is_cut() -> None:
    model, loss = Recurrent(), nn.CrossEntropyLoss()
    optimizer = adam(model)
    with watch(model, optimizer) as seen:
        for _ in range(2):
            state = None
            for inputs, targets in table():
                outputs, state = model(inputs, state)
                state = tuple(part.detach() for part in state)
                optimizer.zero_grad()
                loss(outputs, targets).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
    assert asking({finding.check: finding for finding in seen.findings()}) == {}


def test_two_optimizers_share_a_model() -> None:
    """One watched, the other, or neither: each judged by its own weights."""
    model, loss = network(), nn.CrossEntropyLoss()
    first, second = adam(model[0]), momentum(model[2])
    for given in (first, second, None):
        with watch(model, given) as seen:
            for inputs, targets in table():
                first.zero_grad()
                second.zero_grad()
                loss(model(inputs), targets).backward()
                first.step()
                second.step()
        assert asking({finding.check: finding for finding in seen.findings()}) == {}


def test_steps_of_a_sharpness_aware_optimizer() -> None:
    """It perturbs the weights, goes backward a second time, takes the perturbation back, and lets another one step."""

    class Aware(torch.optim.Optimizer):
        def __init__(self, weights: list[nn.Parameter]) -> None:
            super().__init__(weights, {"lr": 0.05})
            self.base = torch.optim.SGD(self.param_groups, lr=0.05, momentum=0.9)
            self.param_groups = self.base.param_groups
            self.old: list[Tensor] = []

        @torch.no_grad()
        def climb(self) -> None:
            self.old = [weight.clone() for weight in self.param_groups[0]["params"]]
            for weight in self.param_groups[0]["params"]:
                weight.add_(0.5 * weight.grad)
            self.zero_grad()

        @torch.no_grad()
        def descend(self) -> None:
            for weight, old in zip(self.param_groups[0]["params"], self.old, strict=True):
                weight.data = old
            self.base.step()
            self.zero_grad()

    model, loss = network(dropout=True), nn.CrossEntropyLoss()
    optimizer = Aware(list(model.parameters()))
    with watch(model, optimizer) as seen:
        for inputs, targets in table():
            loss(model(inputs), targets).backward()
            optimizer.climb()
            loss(model(inputs), targets).backward()
            optimizer.descend()
    assert seen.watched.count == 6
    assert asking({finding.check: finding for finding in seen.findings()}) == {}


def test_new_training_for_each_fold() -> None:
    model, loss = network(), nn.CrossEntropyLoss()
    with watch(model) as seen:
        for _ in range(4):
            model[0].reset_parameters()
            model[2].reset_parameters()
            optimizer = adam(model)
            usual(model, loss, optimizer, table())
    assert asking({finding.check: finding for finding in seen.findings()}) == {}


@pytest.mark.parametrize(
    "schedule",
    [
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=30),
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30),
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10),
        lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20]),
        lambda optimizer: torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters=20),
    ],
)
def test_schedules_in_batches(schedule: Callable[[Optimizer], torch.optim.lr_scheduler.LRScheduler]) -> None:
    model, loss = network(), nn.CrossEntropyLoss()
    optimizer = momentum(model)
    curve = schedule(optimizer)
    with watch(model, optimizer) as seen:
        for _ in range(5):
            for pair in table():
                usual(model, loss, optimizer, [pair])
                curve.step()
    assert asking({finding.check: finding for finding in seen.findings()}) == {}
