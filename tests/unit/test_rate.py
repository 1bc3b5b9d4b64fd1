"""The range test: where it suggests, when it ends, and that it leaves no trace."""

import hashlib
import math

import numpy as np
import pytest
import torch
from torch import nn

from chainrule import seeding, storage
from chainrule.data.batches import Batches
from chainrule.data.dataset import Rows
from chainrule.optim import build_optimizer
from chainrule.tasks import Classification, Regression
from chainrule.training import rate as rate_module
from chainrule.training.machine import Machine
from chainrule.training.rate import diverged, noise, range_test, smooth, suggest

RATES = np.geomspace(rate_module.LOWEST, rate_module.HIGHEST, rate_module.STEPS).tolist()


def valley(fall: float = 1e-2, explode: float = 0.5, *, spread: float = 0.0, seed: int = 0) -> list[float]:
    """A loss that falls from 2 around one rate (a logistic curve in log(rate)) and explodes at another."""
    generator = np.random.default_rng(seed)
    losses = []
    for rate in RATES:
        loss = 2 - 1.5 / (1 + math.exp(-3 * math.log(rate / fall))) + (rate / explode) ** 3
        losses.append(loss + spread * generator.normal())
        if diverged(losses):
            break
    return losses


@pytest.mark.parametrize("fall", [1e-4, 1e-3, 1e-2])
def test_the_suggestion_lies_where_the_loss_falls(fall: float) -> None:
    for seed in range(5):
        suggestion = suggest(RATES, valley(fall, 100 * fall, spread=0.02, seed=seed))
        assert suggestion is not None
        assert fall / 4 <= suggestion <= 4 * fall


@pytest.mark.parametrize(("a", "b"), [(1.0, -10.0), (1.0, 1e4), (1e-3, 0.0), (50.0, -3.0)])
def test_shifting_or_scaling_the_loss_changes_nothing(a: float, b: float) -> None:
    """So the criterion is right for negative losses, where 'more than four times the best' is not."""
    plain = valley(spread=0.02)
    moved = [a * loss + b for loss in valley(spread=0.02)]
    ends = [i for i in range(1, len(plain) + 1) if diverged(plain[:i])]
    assert ends == [i for i in range(1, len(moved) + 1) if diverged(moved[:i])]
    assert ends == [len(plain)]
    assert suggest(RATES, moved) == suggest(RATES, plain)


def test_pure_noise_gives_no_suggestion() -> None:
    suggestions = [
        suggest(RATES, (2 + 0.1 * np.random.default_rng(seed).normal(size=len(RATES))).tolist()) for seed in range(40)
    ]
    assert sum(s is not None for s in suggestions) <= 4


def test_a_loss_that_is_not_finite_ends_a_sweep() -> None:
    assert diverged([1.0, math.nan])
    assert diverged([1.0, math.inf])
    assert suggest(RATES, [1.0, math.nan]) is None


def test_smoothing_and_noise() -> None:
    assert smooth([3.0] * 20) == pytest.approx([3.0] * 20)
    line = np.linspace(0, 1, 50)
    assert smooth(line.tolist())[15:35] == pytest.approx(line[15:35])
    sample = np.random.default_rng(0).normal(scale=0.2, size=4000)
    assert noise(sample.tolist()) == pytest.approx(0.2, rel=0.1)
    # A slope does not count as noise.
    assert noise((line + 5).tolist()) < 1e-12


class Network(nn.Module):
    """A network with everything that could leave a trace: dropout, running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def digest(*parts: object) -> str:
    text = hashlib.sha256()
    storage_tree = [seeding.state(), *parts]
    tensors: dict[str, torch.Tensor] = {}
    text.update(repr(storage._pack(storage_tree, "", tensors)).encode())
    for name, tensor in sorted(tensors.items()):
        text.update(name.encode() + tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else b"")
        text.update(repr(tensor.tolist()).encode())
    return text.hexdigest()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd(momentum=0.9)"])
def test_it_leaves_no_trace(optimizer: str) -> None:
    x = torch.randn(200, 4)
    data = Rows(x, (x[:, 0] > 0).long() + (x[:, 1] > 1).long(), [str(i) for i in range(200)])
    model = nn.Sequential(nn.Identity(), Network(), nn.Softmax(-1))
    moving = build_optimizer(optimizer, model.parameters(), rate=0.1)
    batches = Batches(data, size=32, device=torch.device("cpu"), seed=0)
    task = Classification([100, 70, 30])

    def everything() -> str:
        return digest(
            dict(model.state_dict()),
            [p.grad for p in model.parameters()],
            moving.state_dict(),
            batches.order(1),
            model.training,
        )

    # One real step first, so that the optimizer has moments to lose.
    task.step("fit", model[:2], next(batches.epoch(1))[0]).losses.mean().backward()
    moving.step()
    before = everything()
    test = range_test(
        model,
        task,
        lambda repeat: Batches(data, size=32, device=torch.device("cpu"), seed=repeat),
        lambda network, phase, rate: build_optimizer(optimizer, network.parameters(), rate=rate),
        Machine(device="cpu"),
    )
    assert everything() == before
    assert test.suggestions
    assert test.spread >= 1
    assert min(test.suggestions) <= test.rate <= max(test.suggestions) * (1 + 1e-9)
    torch.rand(1)
    assert everything() != before


def test_a_model_that_cannot_learn_gets_the_fallback() -> None:
    data = Rows(torch.zeros(64, 2), torch.randn(64, 1), [str(i) for i in range(64)])
    network = nn.Linear(2, 1, bias=False)
    test = range_test(
        nn.Sequential(nn.Identity(), network, nn.Identity()),
        Regression(["y"], [0.0], [1.0]),
        lambda repeat: Batches(data, size=16, device=torch.device("cpu"), seed=repeat),
        lambda network, phase, rate: build_optimizer("sgd", network.parameters(), rate=rate),
        Machine(device="cpu"),
    )
    assert (test.suggestions, test.rate, test.spread) == ([], rate_module.FALLBACK, 1.0)
