"""What every optimizer keeps to, torch's and ours, called by name."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from chainrule import registry, storage
from chainrule.errors import InputError
from chainrule.optim import Newton, build_optimizer, landscapes
from chainrule.optim.optimizers import TORCH, optimizers

# For each optimizer: a rate that suits it on the two functions below, and the steps that it may take.
BUDGET: dict[str, tuple[float, int]] = {
    "adadelta": (0.3, 900),
    "adafactor": (0.5, 1500),
    "adagrad": (1.0, 500),
    "adam": (0.1, 500),
    "adamax": (0.2, 500),
    "adamw": (0.1, 500),
    "asgd": (0.015, 1500),
    "dgrad": (0.1, 600),
    "dgrad_cos": (0.1, 600),
    "dgrad_exp": (0.1, 600),
    "dgrad_explr": (0.1, 600),
    "dgrad_sto": (0.1, 600),
    "diffgrad": (0.2, 600),
    "lbfgs": (0.5, 10),
    "nadam": (0.05, 800),
    "newton": (1.0, 8),
    "radam": (0.01, 1500),
    "rmsprop": (0.01, 1000),
    "rprop": (0.1, 200),
    "sgd": (0.015, 1000),
}

# (check, optimizer): why it cannot pass the check.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("groups_have_their_own_rates", "lbfgs"): "torch's L-BFGS has one group of parameters only",
    ("can_be_copied", "lbfgs"): "torch's L-BFGS leaves attributes of its own out of a copy",
    ("goes_on_from_a_saved_state", "nadam"): "torch casts its float32 product of momenta to float64 when it is loaded",
    ("works_in_bfloat16", "adadelta"): "its first steps are smaller than the spacing of bfloat16 at 1",
}
CHECKS: set[str] = set()


def each_optimizer(test: Callable[..., None]) -> Any:
    """Run a test over all optimizers, with its exceptions."""
    check = test.__name__.removeprefix("test_")
    CHECKS.add(check)
    names = [
        pytest.param(name, marks=[pytest.mark.xfail(reason=reason, strict=True)] if reason else [])
        for name in sorted(optimizers())
        for reason in [EXCEPTIONS.get((check, name))]
    ]
    return pytest.mark.parametrize("name", names)(test)


def build(name: str, parameters: Any) -> Optimizer:
    """The optimizer with the rate that suits it."""
    rate, _ = BUDGET[name]
    # By name, as fit does it; Newton's method stands outside, because it is not for batches.
    return Newton(parameters, rate) if name == "newton" else build_optimizer(name, parameters, rate=rate)


def go(optimizer: Optimizer, loss: Callable[[], Tensor], steps: int = 1) -> None:
    """Take steps, through a closure as the optimizer wants it."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value.detach()

    for _ in range(steps):
        optimizer.step(loss if isinstance(optimizer, Newton) else closure)


def at(*point: float, dtype: torch.dtype = torch.float64) -> nn.Parameter:
    """A point in the plane."""
    return nn.Parameter(torch.tensor(point, dtype=dtype))


def network() -> tuple[nn.Module, Callable[[], Tensor]]:
    """A small classifier in float64 and its loss on 60 samples of three overlapping classes."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(60) % 3
    inputs = torch.randn(60, 4, generator=generator, dtype=torch.float64) + F.one_hot(targets, 4)
    model = nn.Linear(4, 3, dtype=torch.float64)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model, lambda: F.cross_entropy(model(inputs), targets) + 0.05 * model.weight.square().sum()


@pytest.fixture(scope="module")
def lowest() -> float:
    """The least loss of that classifier."""
    model, loss = network()
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10, tolerance_change=0
    )
    go(optimizer, loss, 3)
    assert max(float(p.grad.abs().max()) for p in model.parameters()) < 1e-8
    return loss().item()


@each_optimizer
def test_reaches_the_bottom_of_a_bowl(name: str) -> None:
    point = at(1.0, 1.0)
    go(build(name, [point]), lambda: landscapes.bowl(point), BUDGET[name][1])
    assert landscapes.bowl(point) < 1e-3  # from 50.5


@each_optimizer
def test_reaches_the_least_loss(name: str, lowest: float) -> None:
    model, loss = network()
    go(build(name, model.parameters()), loss, BUDGET[name][1])
    assert loss().item() - lowest < 2e-3  # from 0.25


@each_optimizer
def test_goes_on_from_a_saved_state(name: str, tmp_path: Path) -> None:
    model, loss = network()
    optimizer = build(name, model.parameters())
    go(optimizer, loss, 3)
    storage.write_tree(tmp_path / "state", optimizer.state_dict())
    other, other_loss = network()
    other.load_state_dict(model.state_dict())
    resumed = build(name, other.parameters())
    resumed.load_state_dict(storage.read_tree(tmp_path / "state"))
    for one, its_loss in ((optimizer, loss), (resumed, other_loss)):
        torch.manual_seed(3)
        go(one, its_loss, 3)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@each_optimizer
def test_groups_have_their_own_rates(name: str) -> None:
    rate = BUDGET[name][0]
    slow, fast, alone = at(1.0, 0.3), at(1.0, 0.3), at(1.0, 0.3)
    together = build(name, [{"params": [slow], "lr": rate / 4}, {"params": [fast]}])
    single = build(name, [alone])
    torch.manual_seed(0)
    go(together, lambda: landscapes.bowl(slow) + landscapes.bowl(fast))
    moved = [(at(1.0, 0.3) - point).abs().max().item() for point in (slow, fast)]
    torch.manual_seed(0)
    go(single, lambda: landscapes.bowl(alone))
    assert 0 < moved[0] < moved[1]
    if name != "dgrad_sto":  # its random numbers are those of other components
        torch.testing.assert_close(fast, alone, rtol=1e-3, atol=1e-6)


@each_optimizer
def test_gives_what_the_closure_gave(name: str) -> None:
    point = at(1.0, 1.0)
    optimizer = build(name, [point])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = landscapes.bowl(point)
        if name != "newton":
            loss.backward()
        return loss

    given = optimizer.step(closure)
    assert isinstance(given, Tensor)
    assert given.detach() == 50.5


@each_optimizer
def test_keeps_float64(name: str) -> None:
    point = at(1.0, 1.0)
    optimizer = build(name, [point])
    go(optimizer, lambda: landscapes.bowl(point), 3)
    assert point.dtype == torch.float64
    state = [value for values in optimizer.state.values() for value in values.values() if isinstance(value, Tensor)]
    assert all(value.dtype == torch.float64 for value in state if value.numel() == 2)


@each_optimizer
def test_works_in_bfloat16(name: str) -> None:
    point = at(1.0, 1.0, dtype=torch.bfloat16)
    go(build(name, [point]), lambda: landscapes.bowl(point), 200)
    assert point.dtype == torch.bfloat16
    assert landscapes.bowl(point) < 2.0


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@each_optimizer
def test_takes_sparse_gradients_or_says_that_it_does_not(name: str) -> None:
    table = nn.Embedding(5, 2, sparse=True)
    before, sentence = table.weight.detach().clone(), ""
    try:
        go(build(name, table.parameters()), lambda: table(torch.tensor([1, 3])).square().sum())
    except (InputError, RuntimeError) as error:
        sentence = str(error)
    moved = (table.weight != before).any(dim=1).tolist()
    assert "sparse" in sentence or moved == [False, True, False, True, False]
    assert sentence == "" or not any(moved)


@each_optimizer
def test_can_be_copied(name: str) -> None:
    point = at(1.0, 1.0)
    optimizer = build(name, [point])
    go(optimizer, lambda: landscapes.bowl(point))
    other = copy.deepcopy(optimizer)
    copied = other.param_groups[0]["params"][0]
    torch.manual_seed(0)
    go(optimizer, lambda: landscapes.bowl(point))
    torch.manual_seed(0)
    go(other, lambda: landscapes.bowl(copied))
    assert torch.equal(point, copied)


def test_every_optimizer_has_a_budget() -> None:
    assert sorted(BUDGET) == sorted(optimizers())


def test_no_name_of_torch_is_hidden() -> None:
    assert set(TORCH) & set(registry.entries("optimizer")) == set()


def test_exceptions_belong_to_a_check() -> None:
    assert [pair for pair in EXCEPTIONS if pair[0] not in CHECKS or pair[1] not in BUDGET] == []
