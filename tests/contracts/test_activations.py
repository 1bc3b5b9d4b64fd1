"""What every registered activation keeps to, built with its ``tiny`` arguments."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from chainrule.errors import InputError
from chainrule.nn import activation
from chainrule.registry import Entry
from tests.contracts.cases import cases, strays

# (check, activation): why it cannot pass the check.
EXCEPTIONS = {
    ("is_elementwise", "maxout"): "it mixes the channels",
    ("channels_may_be_shared", "maxout"): "it mixes the channels",
}
CHECKS: set[str] = set()
SHAPES = [(5, 3), (5, 3, 7), (5, 3, 4, 6), (2, 3, 4, 5, 6), (2, 3, 40)]

# Compiles every activation whole, forward and backward, and compares with the eager one.
COMPILE = """
import sys, torch
from chainrule import registry
torch.set_num_threads(1)
for name, entry in registry.entries("activation").items():
    torch.manual_seed(0)
    torch._dynamo.reset()
    module = entry.build(**entry.tiny)
    with torch.no_grad():
        for p in module.parameters():
            p += 0.1 * torch.randn_like(p)
    compiled = torch.compile(module, fullgraph=True, backend=sys.argv[1])
    for shape in ((2, 3, 6, 8), (4, 3))[: 1 if sys.argv[1] == "aot_eager" else 2]:
        x = torch.randn(shape, requires_grad=True)
        wanted = torch.autograd.grad(module(x).square().sum(), [x, *module.parameters()])
        y = compiled(x)
        torch.testing.assert_close(y, module(x))
        found = torch.autograd.grad(y.square().sum(), [x, *module.parameters()])
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, msg=lambda text: f"{name} {shape}: {text}")
    print(name)
"""


def each_activation(test: Callable[..., None]) -> Any:
    """Run a test over all activations, with its exceptions."""
    check = test.__name__.removeprefix("test_")
    CHECKS.add(check)
    return pytest.mark.parametrize("entry", cases("activation", check, EXCEPTIONS))(test)


def build(entry: Entry) -> nn.Module:
    """The tiny activation, its numbers away from their start."""
    module: nn.Module = entry.build(**entry.tiny)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return module


def sample(entry: Entry) -> Tensor:
    """Inputs on both sides of 0, from -3 to 5."""
    return 8 * torch.rand(64, *entry.sample[1:]) - 3


@each_activation
def test_row_is_complete(entry: Entry) -> None:
    assert entry.family
    assert str(entry.year) in entry.paper


@each_activation
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_shape_and_dtype_stay(entry: Entry, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    y = build(entry).to(dtype)(torch.randn(shape, dtype=dtype))
    assert y.shape == shape
    assert y.dtype == dtype
    assert y.isfinite().all()


@each_activation
def test_every_number_gets_a_gradient(entry: Entry) -> None:
    module, x = build(entry), sample(entry).requires_grad_()
    y = module(x)
    (y * torch.randn_like(y)).sum().backward()
    numbers = [*module.named_parameters(), ("x", x)]
    assert [name for name, p in numbers if p.grad is None or (p.grad == 0).any()] == []


@each_activation
def test_is_elementwise(entry: Entry) -> None:
    module, x = build(entry), sample(entry)
    parts = [module(x)[..., [position]] for position in range(x.shape[2])]
    torch.testing.assert_close(torch.cat([module(x[..., [n]]) for n in range(x.shape[2])], 2), torch.cat(parts, 2))
    one = x.clone()
    one[:, 1] = 0
    torch.testing.assert_close(module(one)[:, [0, 2]], module(x)[:, [0, 2]])


@each_activation
def test_channels_may_be_shared(entry: Entry) -> None:
    module = entry.build(1)
    assert module(torch.randn(4, 7, 5)).shape == (4, 7, 5)


@each_activation
def test_wrong_channels_are_refused(entry: Entry) -> None:
    with pytest.raises(InputError, match="channels"):
        build(entry)(torch.randn(4, 5, 6))
    with pytest.raises(InputError, match="channels"):
        entry.build(0)


@each_activation
def test_state_survives_a_file(entry: Entry, tmp_path: Path) -> None:
    module, other, x = build(entry), entry.build(**entry.tiny), sample(entry)
    for saved in other.state_dict().values():
        saved.zero_()
    save_file(module.state_dict(), tmp_path / "activation.safetensors")
    other.load_state_dict(load_file(tmp_path / "activation.safetensors"))
    assert torch.equal(other(x), module(x))


@each_activation
def test_is_built_without_memory(entry: Entry) -> None:
    with torch.device("meta"):
        module = entry.build(**entry.tiny)
    assert {value.device.type for value in module.state_dict().values()} == {"meta"}
    assert module(sample(entry).to("meta")).shape == sample(entry).shape


@each_activation
def test_exports_with_any_batch(entry: Entry) -> None:
    module, x = build(entry), sample(entry)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("b")},))
    torch.testing.assert_close(program.module()(x[:5]), module(x[:5]))


@each_activation
def test_is_found_by_name(entry: Entry) -> None:
    built, plain = activation(entry.name.upper(), channels=3), entry.build(3)
    assert type(built) is type(plain)
    assert built.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiles_whole(backend: str) -> None:
    # In a process of its own: under torch.compile the shape checks of the tests report false errors.
    environment = {**os.environ, "JAXTYPING_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, backend], capture_output=True, text=True, env=environment, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert {"melu", "wide-melu", "galu", "srelu", "aplu", "maxout"} <= set(done.stdout.split())


def test_exceptions_belong_to_a_check() -> None:
    assert strays("activation", CHECKS, EXCEPTIONS) == []
