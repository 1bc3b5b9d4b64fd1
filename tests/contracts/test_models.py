"""What every registered model keeps to, built with its ``tiny`` arguments."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from chainrule import models
from chainrule.data.spec import Classes, Image, Inputs, Labels, Real, Target, Vector
from chainrule.registry import Entry
from tests.contracts.cases import cases, strays

BATCH = 8

# (check, model): why the model cannot pass the check.
EXCEPTIONS = {
    ("overfits_a_small_sample", "linear"): "a plane in four dimensions does not separate eight random samples",
}
CHECKS: set[str] = set()

TARGETS: dict[str, Target] = {
    "classes": Classes(("a", "b", "c")),
    "labels": Labels(("a", "b", "c")),
    "real": Real(("a", "b", "c")),
}


def each_model(test: Callable[..., None]) -> Any:
    """Run a test over all models, with its exceptions."""
    check = test.__name__.removeprefix("test_")
    CHECKS.add(check)
    return pytest.mark.parametrize("entry", cases("model", check, EXCEPTIONS))(test)


def build(entry: Entry) -> nn.Module:
    """The tiny model."""
    model: nn.Module = entry.build(**entry.tiny)
    return model


def sample(entry: Entry) -> Tensor:
    """A random batch that fits the tiny model."""
    return torch.randn(BATCH, *entry.sample[1:])


def trained_a_little(entry: Entry) -> nn.Module:
    """The tiny model after a few steps, so that no weight and no running average is at its start."""
    model, x = build(entry), sample(entry)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().add(model(x).mean()).backward()
        optimizer.step()
    return model


@each_model
def test_row_is_complete(entry: Entry) -> None:
    assert entry.family
    assert entry.paper
    assert str(entry.year) in entry.paper
    assert entry.inputs
    assert entry.targets
    assert entry.arguments is not None
    if entry.peer:
        module, _, name = entry.peer.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


@each_model
def test_output_is_finite(entry: Entry) -> None:
    output = build(entry)(sample(entry))
    assert output.shape[0] == BATCH
    assert output.isfinite().all()


@each_model
def test_every_parameter_gets_a_gradient(entry: Entry) -> None:
    model = build(entry)
    output = model(sample(entry))
    (output * torch.randn_like(output)).sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@each_model
def test_evaluation_is_deterministic(entry: Entry) -> None:
    model, x = trained_a_little(entry).eval(), sample(entry)
    first = model(x)
    torch.manual_seed(1)
    assert torch.equal(model(x), first)


@each_model
def test_samples_do_not_mix_in_evaluation(entry: Entry) -> None:
    model, x = trained_a_little(entry).eval(), sample(entry)
    torch.testing.assert_close(torch.cat([model(row[None]) for row in x]), model(x))


@each_model
def test_saved_weights_give_the_same_model(entry: Entry, tmp_path: Path) -> None:
    model, other, x = trained_a_little(entry).eval(), build(entry).eval(), sample(entry)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(other(x), model(x))


@each_model
def test_overfits_a_small_sample(entry: Entry) -> None:
    model, x = build(entry), sample(entry)
    targets = torch.randperm(BATCH) % model(x).shape[1]
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), targets)
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    assert torch.equal(model(x).argmax(dim=1), targets)


@each_model
def test_exports_with_any_batch(entry: Entry) -> None:
    model, x = trained_a_little(entry).eval(), sample(entry)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("b")},))
    torch.testing.assert_close(program.module()(x[:3]), model(x[:3]))


@each_model
def test_is_built_without_memory(entry: Entry) -> None:
    with torch.device("meta"):
        model = build(entry)
    real = build(entry)
    assert {p.device.type for p in model.state_dict().values()} == {"meta"}
    assert {n: p.shape for n, p in model.state_dict().items()} == {n: p.shape for n, p in real.state_dict().items()}
    assert model(sample(entry).to("meta")).shape == real(sample(entry)).shape


@each_model
def test_trains_in_mixed_precision(entry: Entry) -> None:
    model, x = build(entry), sample(entry)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(x)
    output.float().square().sum().backward()
    assert output.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@each_model
def test_mixed_precision_is_close(entry: Entry) -> None:
    model, x = trained_a_little(entry).eval(), sample(entry)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(x)
    # One rounding to bfloat16 is 0.4 %; over 40 seeds the tiny models were off by 2.3 % at most.
    assert (output.float() - model(x)).norm() <= 0.05 * model(x).norm()


@each_model
def test_is_built_from_specs(entry: Entry) -> None:
    side = max(entry.smallest, 12)
    inputs: dict[str, Inputs] = {"vector": Vector.numbers(5), "image": Image(3, side, side + 2)}
    for kind in entry.inputs:
        for target in entry.targets:
            model = models.build(entry.name, inputs=inputs[kind], target=TARGETS[target])
            assert model(torch.randn(2, *inputs[kind].shape)).shape == (2, 3)


def test_exceptions_belong_to_a_check() -> None:
    assert strays("model", CHECKS, EXCEPTIONS) == []
