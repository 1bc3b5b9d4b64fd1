"""Checks of the architecture: a program with one fault, and its healthy twin."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule import registry
from chainrule.doctor import Finding, Probe, Program
from chainrule.doctor.checks.structure import bottleneck, linear_only, missing_layers, redundant_layers

ALL = (linear_only, redundant_layers, bottleneck, missing_layers)
L = nn.Linear


def found(check: Callable[[Probe], Finding | None], model: nn.Module, *shape: int, classes: int = 3) -> Finding | None:
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(32, *shape, generator=generator), torch.arange(32) % classes
    pairs = list(zip(inputs.split(16), targets.split(16), strict=True))
    return check(Probe(Program(model=model, loss=nn.CrossEntropyLoss(), batches=pairs), seconds=0.5))


def status(check: Callable[[Probe], Finding | None], model: nn.Module, *shape: int, classes: int = 3) -> str:
    finding = found(check, model, *shape, classes=classes)
    return "" if finding is None else finding.status


class Of(nn.Module):
    """A forward of parts.

    Args:
        run: Of the module and the inputs.
        parts: Layers by name.
    """

    def __init__(self, run: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(L(8, 16), L(16, 16), L(16, 3)), "FAIL"),
        (nn.Sequential(L(8, 16), nn.Dropout(0.2), L(16, 3), nn.Softmax(1)), "FAIL"),
        (nn.Sequential(L(8, 16), nn.BatchNorm1d(16), L(16, 3)), "FAIL"),
        (Of(lambda m, x: m.b(m.a(x) + x), a=L(8, 8), b=L(8, 3)), "FAIL"),
        (nn.Sequential(L(8, 16), nn.ReLU(), L(16, 16), L(16, 3)), "WARN"),
        (nn.Sequential(L(8, 16), nn.ReLU(), L(16, 3)), "PASS"),
        (Of(lambda m, x: m.b(F.relu(m.a(x))), a=L(8, 16), b=L(16, 3)), "PASS"),
        (Of(lambda m, x: m.b(m.a(x) * (m.a(x) > 0)), a=L(8, 16), b=L(16, 3)), "PASS"),
        (nn.Sequential(L(8, 16), nn.LayerNorm(16), L(16, 3)), "PASS"),
        (nn.Sequential(L(8, 3)), "SKIP"),
    ],
    ids=["stack", "softmax", "norm", "residual", "pair", "relu", "functional", "mask", "layer-norm", "single"],
)
def test_linear_only(model: nn.Module, expected: str) -> None:
    assert status(linear_only, model, 8) == expected


def test_convolution_norm_convolution_is_a_pair() -> None:
    def net(*between: nn.Module) -> nn.Module:
        head = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(8, 3))
        return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), *between, nn.Conv2d(8, 8, 3), *head)

    finding = found(linear_only, net(), 1, 9, 9)
    assert finding is not None
    assert (finding.status, finding.where) == ("WARN", "2")
    assert status(linear_only, net(nn.ReLU()), 1, 9, 9) == "PASS"


def test_depthwise_pointwise_and_low_rank_are_meant() -> None:
    head = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(8, 3))
    separable = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1), *head)
    assert status(linear_only, separable, 4, 9, 9) == "PASS"
    assert status(linear_only, nn.Sequential(L(32, 4), L(4, 32), nn.ReLU(), L(32, 3)), 32) == "PASS"


@pytest.mark.parametrize(
    "between",
    [
        (nn.ReLU(), nn.ReLU()),
        (nn.Softmax(1),),
        (nn.Softmax(1), nn.Softmax(1)),
        (nn.ReLU(), nn.Dropout(0.1), nn.Dropout(0.1)),
        (nn.BatchNorm1d(16), nn.BatchNorm1d(16), nn.ReLU()),
        (nn.Tanh(), nn.ReLU()),
    ],
    ids=["relu", "softmax", "softmax-twice", "dropout", "norm", "two"],
)
def test_redundant_layers(between: tuple[nn.Module, ...]) -> None:
    assert status(redundant_layers, nn.Sequential(L(8, 16), *between, L(16, 3)), 8) == "WARN"


def test_layers_that_are_not_redundant() -> None:
    usual = (nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), L(16, 16), nn.ReLU(), L(16, 3), nn.Softmax(1))
    assert status(redundant_layers, nn.Sequential(L(8, 16), *usual), 8) == "PASS"
    attention = Of(lambda m, x: m.o((m.s(x).softmax(1) * x).sum(1)), s=L(8, 1), o=L(8, 3))
    assert status(redundant_layers, attention, 5, 8) == "PASS"


def test_bottleneck() -> None:
    def net(width: int, outputs: int) -> nn.Module:
        return nn.Sequential(L(16, 32), nn.ReLU(), L(32, width), nn.ReLU(), L(width, outputs))

    assert status(bottleneck, net(1, 3), 16) == "WARN"
    assert status(bottleneck, net(3, 16), 16, classes=16) == "WARN"
    assert status(bottleneck, net(8, 16), 16, classes=16) == "PASS"
    assert status(bottleneck, net(8, 3), 16) == "PASS"


def test_narrow_branch_is_no_bottleneck() -> None:
    """Squeeze and excitation: one unit decides on a factor, beside the signal."""
    gated = Of(
        lambda m, x: m.o(F.relu(m.i(x)) * torch.sigmoid(m.b(F.relu(m.a(m.i(x)))))),
        i=L(16, 32), a=L(32, 1), b=L(1, 32), o=L(32, 3),
    )  # fmt: skip
    assert status(bottleneck, gated, 16) == ""


def test_inputs_that_nothing_depends_on() -> None:
    def columns(count: int) -> nn.Module:
        return Of(lambda m, x: m.b(F.relu(m.a(x[:, :count]))), a=L(count, 16), b=L(16, 3))

    finding = found(missing_layers, columns(4), 10)
    assert finding is not None
    assert (finding.status, finding.evidence["share"]) == ("FAIL", pytest.approx(0.6))
    assert finding.evidence["entries"] == [4, 5, 6, 7, 8, 9]
    assert status(missing_layers, columns(7), 10) == "WARN"
    assert status(missing_layers, columns(10), 10) == "PASS"


@pytest.mark.parametrize(("step", "expected"), [(0, "FAIL"), (-1, "PASS")])
def test_step_that_a_sequence_is_read_at(step: int, expected: str) -> None:
    torch.manual_seed(0)
    model = Of(lambda m, x: m.o(m.r(x)[0][:, step]), r=nn.GRU(4, 8, batch_first=True), o=L(8, 3))
    finding = found(missing_layers, model, 6, 4)
    assert finding is not None
    assert finding.status == expected
    if step == 0:
        assert (finding.evidence["share"], finding.evidence["axis"]) == (pytest.approx(5 / 6), 1)


def test_tokens_are_exchanged_as_there_is_no_gradient() -> None:
    inputs = torch.randint(0, 9, (32, 5), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = Of(lambda m, x: m.o(m.e(x)[:, :2].flatten(1)), e=nn.Embedding(9, 4), o=L(8, 3))
    pairs = [(inputs, torch.arange(32) % 3)]
    finding = missing_layers(Probe(Program(model=model, loss=nn.CrossEntropyLoss(), batches=pairs)))
    assert finding is not None
    assert (finding.status, finding.evidence["entries"]) == ("FAIL", [2, 3, 4])


def test_pixels_that_pooling_passes_by_are_looked_at() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.MaxPool2d(6), nn.Flatten(), L(4, 8), nn.ReLU(), L(8, 3))
    assert status(missing_layers, model, 1, 12, 12) == "PASS"


def test_images_into_a_single_linear_layer() -> None:
    assert status(missing_layers, nn.Sequential(nn.Flatten(), L(144, 3)), 1, 12, 12) == "WARN"
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), L(400, 3))
    assert status(missing_layers, net, 1, 12, 12) == "PASS"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["cnn", "densenet121", "mlp", "resnet20", "resnet50", "seresnet50", "vgg11", "xception"]
)
def test_known_networks_pass(name: str) -> None:
    entry = registry.entries("model")[name]
    torch.manual_seed(0)
    for check in ALL:
        finding = found(check, entry.make(**entry.tiny), *entry.sample[1:])
        assert finding is None or not finding.asks, finding.sentence
