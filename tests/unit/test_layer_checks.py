"""Checks of gradients, layers and initial weights: a program with one fault, and its healthy twin."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule.doctor import Finding, Probe, Program
from chainrule.doctor.checks.gradients import frozen_parts, no_gradient, optimizer_parameters
from chainrule.doctor.checks.layers import (
    activation_scale,
    dead_units,
    dropout_rate,
    gradient_scale,
    saturated_units,
    small_batch_norm,
)
from chainrule.doctor.checks.weights import initial_weights
from chainrule.doctor.measures.weights import fresh

Check = Callable[[Probe], Finding | None]


def batches(samples: int = 64, features: int = 8, size: int = 16, scale: float = 1.0) -> list[tuple[Tensor, Tensor]]:
    """Three classes, each around a centre of its own."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 3, (samples,), generator=generator)
    centres = torch.randn(3, features, generator=generator)
    inputs = scale * (torch.randn(samples, features, generator=generator) + 2 * centres[targets])
    return list(zip(inputs.split(size), targets.split(size), strict=True))


def program(model: nn.Module, *, rate: float = 1e-2, epochs: int = 10, **parts: Any) -> Program:
    given: dict[str, Any] = {
        "loss": nn.CrossEntropyLoss(),
        "optimizer": torch.optim.Adam(model.parameters(), lr=rate),
        "batches": batches(),
    }
    return Program(model=model, epochs=epochs, **{**given, **parts})


def mlp(*, activation: type[nn.Module] = nn.ReLU, width: int = 32, depth: int = 2, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for index in range(depth):
        layers += [nn.Linear(width if index else 8, width), activation()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(width, 3))


def changed(model: nn.Module, change: Callable[[nn.Linear], Any]) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            change(module)
    return model


def said(check: Check, sick: Program, *, seconds: float = 3.0) -> Finding:
    finding = check(Probe(sick, seconds=seconds))
    assert finding is not None
    assert finding.sentence.endswith(".")
    assert not finding.asks or (finding.cause and finding.remedy)
    return finding


class Two(nn.Module):
    """Two layers and what is done between them.

    Args:
        between: Of the first layer's output.
    """

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.between = nn.Linear(8, 16), nn.Linear(16, 3), between

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x)))


@pytest.mark.parametrize(
    "between",
    [
        lambda h: torch.relu(h).detach(),
        lambda h: torch.relu(h.data),
        lambda h: F.one_hot(h.argmax(1), 16).float(),
        lambda h: torch.tensor(h.detach().numpy()),
    ],
    ids=["detach", "data", "argmax", "numpy"],
)
def test_cut_graph_is_found_where_it_is_cut(between: Callable[[Tensor], Tensor]) -> None:
    finding = said(no_gradient, program(Two(between)))
    assert (finding.status, finding.where) == ("FAIL", "last")
    assert finding.evidence["names"] == ["first.weight", "first.bias"]


def test_every_parameter_gets_a_gradient() -> None:
    assert said(no_gradient, program(Two(torch.relu))).status == "PASS"


def test_loss_without_graph() -> None:
    sick = program(mlp(), loss=lambda outputs, targets: F.cross_entropy(outputs.detach(), targets))
    finding = said(no_gradient, sick)
    assert finding.status == "FAIL"
    assert "no graph" in finding.sentence


def test_unused_layer_is_no_cut() -> None:
    model = Two(torch.relu)
    model.spare = nn.Linear(2, 2)
    finding = said(no_gradient, program(model))
    assert (finding.status, finding.where) == ("WARN", "spare")


def test_frozen_parameters_are_no_cut() -> None:
    model = mlp()
    model[0].requires_grad_(False)
    assert said(no_gradient, program(model)).status == "PASS"


def test_branch_that_begins_with_zeros_gets_its_gradient_later() -> None:
    """The gradient of A is zero at first, because B is (LoRA; zero-initialised residual branches)."""

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.base, self.a, self.b = nn.Linear(8, 3), nn.Linear(8, 4), nn.Linear(4, 3)
            nn.init.zeros_(self.b.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.base(x) + self.b(torch.tanh(self.a(x)))

    assert said(no_gradient, program(Branch())).status == "PASS"


def test_optimizer_of_another_model() -> None:
    finding = said(optimizer_parameters, replace(program(mlp()), model=mlp()))
    assert finding.status == "FAIL"
    assert finding.evidence["foreign"] == len(finding.evidence["missing"]) == 6


def test_optimizer_that_lacks_a_fresh_layer() -> None:
    model = mlp()
    finding = said(optimizer_parameters, program(model, optimizer=torch.optim.SGD(model[2:].parameters(), lr=0.1)))
    assert finding.status == "FAIL"
    assert finding.evidence["missing"] == ["0.weight", "0.bias"]


class PlainList(nn.Module):
    """A network that keeps its hidden layers where torch does not look."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = [nn.Linear(8, 32), nn.Linear(32, 32)], nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = layer(x).relu()
        logits: Tensor = self.out(x)
        return logits


def test_weights_of_zero_beside_drawn_biases() -> None:
    model = mlp()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
    assert said(initial_weights, program(model)).status == "FAIL"


def test_layers_in_a_plain_list() -> None:
    finding = said(optimizer_parameters, program(PlainList()))
    assert finding.status == "FAIL"
    assert finding.evidence["unregistered"] == 4


def test_optimizer_that_holds_all() -> None:
    assert said(optimizer_parameters, program(mlp())).status == "PASS"
    assert said(optimizer_parameters, program(mlp(), optimizer=None)).status == "SKIP"


def test_fresh_layers_are_frozen() -> None:
    model = mlp()
    model[:4].requires_grad_(False)
    finding = said(frozen_parts, program(model))
    assert finding.status == "FAIL"
    assert finding.evidence["drawn"] == ["0.weight", "2.weight"]


def test_frozen_layers_that_have_learned_pass() -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for inputs, targets in batches() * 30:
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    model[:4].requires_grad_(False)
    model[4] = nn.Linear(32, 3)
    assert said(frozen_parts, program(model)).status == "PASS"


def test_all_or_the_last_frozen() -> None:
    assert said(frozen_parts, program(mlp().requires_grad_(False))).evidence["share"] == 1.0
    model = mlp()
    model[4].requires_grad_(False)
    finding = said(frozen_parts, program(model))
    assert (finding.status, finding.where) == ("FAIL", "4")


def test_fresh_draws_are_told_from_moved_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = (torch.rand(32, 25, generator=generator) * 2 - 1) / 5  # torch's own: uniform up to 1 / sqrt(25)
    assert fresh(weight) is True
    assert fresh(weight + 0.05 * torch.randn(32, 25, generator=generator)) is False
    assert fresh(torch.randn(64, 50, generator=generator) * 0.2) is True  # He: sqrt(2 / 50) = 0.2
    assert fresh(torch.randn(64, 50, generator=generator) * 0.33) is False
    assert fresh(torch.linalg.qr(torch.randn(16, 16, generator=generator))[0]) is True
    assert fresh(torch.zeros(2, 2)) is None


def test_dead_layer() -> None:
    finding = said(dead_units, program(changed(mlp(), lambda layer: nn.init.constant_(layer.bias, -50.0))))
    assert (finding.status, finding.where) == ("FAIL", "1")
    assert finding.evidence["dead"]["1"] == 1.0


def test_dead_functional_units_by_share() -> None:
    model = Two(F.relu)
    nn.init.constant_(model.first.bias[:12], -50.0)
    finding = said(dead_units, program(model))
    assert finding.status == "WARN"
    assert 0.75 <= finding.evidence["dead"]["first"] < 1
    assert said(dead_units, program(Two(F.relu))).status == "PASS"


def test_saturated_layer() -> None:
    finding = said(saturated_units, program(mlp(activation=nn.Sigmoid), batches=batches(scale=300.0)))
    assert finding.asks
    assert finding.where == "1"
    assert finding.evidence["saturated"]["1"] > 0.9
    assert said(saturated_units, program(mlp(activation=nn.Sigmoid))).status == "PASS"


def test_vanishing_through_depth() -> None:
    probe = Probe(program(mlp(activation=nn.Sigmoid, depth=9), rate=1e-3, epochs=30), seconds=4)
    for check in (activation_scale, gradient_scale):
        sick = check(probe)
        assert sick is not None
        assert sick.status == "FAIL"
        assert sick.evidence["learned"] < 0.25 * sick.evidence["well scaled"]
        assert said(check, program(mlp(depth=3))).status == "PASS"


def test_branch_of_zeros_leaves_the_scale_to_the_signal_beside_it() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.head = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16)), nn.Linear(16, 3)
            self.branch = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))
            changed(self.branch, lambda layer: nn.init.zeros_(layer.weight))

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.head(x + self.branch(x))

    finding = said(activation_scale, program(Residual()))
    assert finding.status == "PASS"
    assert list(finding.evidence["by layer"]) == ["stem.0", "stem.2"]


def test_gradient_through_time() -> None:
    """It is multiplied by 0.5 at each of 40 steps: that of the first is 0.5^39 of the last one's."""

    class Decaying(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            state = torch.zeros_like(x[:, 0])
            for step in x.unbind(1):
                state = 0.5 * state + step
            return self.head(state)

    inputs = torch.randn(32, 40, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.randint(0, 3, (32,), generator=torch.Generator().manual_seed(1))
    finding = said(gradient_scale, program(Decaying(), rate=0.0, epochs=2, batches=[(inputs, targets)]), seconds=0.5)
    assert finding.asks
    first = sum(0.5 ** (39 - step) for step in range(4)) / 4
    assert finding.evidence["early"] == pytest.approx(first, rel=1e-3)


def test_constant_weights_stay_alike() -> None:
    finding = said(initial_weights, program(changed(mlp(), lambda layer: nn.init.constant_(layer.weight, 0.1))))
    assert finding.status == "FAIL"
    assert finding.evidence["alike"] == ["0.weight", "2.weight"]


def test_zeros_break_no_symmetry_but_in_a_single_layer() -> None:
    def zero(layer: nn.Linear) -> None:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)

    assert said(initial_weights, program(changed(mlp(), zero))).status == "FAIL"
    assert said(initial_weights, program(changed(nn.Linear(8, 3), zero))).status == "PASS"


def test_weights_that_are_far_too_small() -> None:
    def small(layer: nn.Linear) -> None:
        nn.init.normal_(layer.weight, std=1e-3)
        nn.init.zeros_(layer.bias)

    model = changed(mlp(width=64, depth=5), small)
    sick = program(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.01), epochs=40)
    assert said(initial_weights, sick).status == "FAIL"
    assert said(initial_weights, program(mlp())).status == "PASS"


def test_weights_that_have_learned_are_no_fresh_draw() -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for inputs, targets in batches() * 30:
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    assert said(initial_weights, program(model)).status == "SKIP"


@pytest.mark.parametrize(("rate", "status"), [(0.95, "FAIL"), (0.8, "WARN"), (0.5, "PASS")])
def test_dropout_rate(rate: float, status: str) -> None:
    assert said(dropout_rate, program(mlp(dropout=rate))).status == status


def test_dropout_before_a_real_output() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 1))
    real = [(inputs, inputs[:, :1]) for inputs, _ in batches()]
    assert said(dropout_rate, program(model, loss=nn.MSELoss(), batches=real)).status == "WARN"


@pytest.mark.parametrize(("samples", "size", "status"), [(33, 16, "FAIL"), (32, 2, "WARN"), (32, 16, "PASS")])
def test_batch_norm_over_few(samples: int, size: int, status: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    given = batches(samples, size=size)
    finding = said(small_batch_norm, program(model, batches=given))
    assert (finding.status, finding.evidence["values"]) == (status, {"1": len(given[-1][0])})


def test_norm_of_a_single_number() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 1), nn.LayerNorm(1), nn.Linear(1, 3))
    finding = said(small_batch_norm, program(model))
    assert (finding.status, finding.where) == ("FAIL", "1")
