"""The loop: equal to a hand-written torch loop, exact in its pieces, and silent about nothing."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from chainrule.data.batches import Batches
from chainrule.data.dataset import Rows
from chainrule.errors import NotFiniteError
from chainrule.optim import build_optimizer, build_schedule
from chainrule.tasks import Classification
from chainrule.training.events import Epoch, Event, Step
from chainrule.training.loop import Training, train
from chainrule.training.machine import Machine

CPU = torch.device("cpu")


def blobs(n: int = 90) -> Rows:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % 3
    inputs = torch.randn(n, 5, generator=generator) + 2 * F.one_hot(targets, 5).float()
    return Rows(inputs, targets, [f"row {i + 1}" for i in range(n)])


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))


def training(
    net: nn.Module,
    data: Rows,
    *,
    optimizer: str = "adamw",
    epochs: int = 2,
    rate: float = 0.01,
    pieces: int = 1,
    **more,
) -> Training:
    model = nn.Sequential(nn.Identity(), net, nn.Softmax(-1))
    batches = Batches(data, size=32, device=CPU, seed=3, pieces=pieces)
    moved = build_optimizer(optimizer, net.parameters(), rate=rate)
    return Training(
        model=model,
        task=Classification([30, 30, 30]),
        train=batches,
        valid=Batches(data, size=64, device=CPU),
        optimizers={"fit": moved},
        schedules={"fit": build_schedule("cosine", moved, rate=rate, epochs=epochs, steps=batches.steps)},
        machine=Machine(device="cpu"),
        epochs=epochs,
        rate=rate,
        **more,
    )


def hand_written(net: nn.Module, data: Rows, *, clip: float | None = None, value: float | None = None) -> list[float]:
    """What anybody would write."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    batches = Batches(data, size=32, device=CPU, seed=3)
    total, done, losses = 2 * batches.steps, 0, []
    for epoch in (1, 2):
        for index in batches.order(epoch).tensor_split(batches.steps):
            progress = (done + 0.5) / total
            factor = progress / 0.05 if progress < 0.05 else (1 + math.cos(math.pi * (progress - 0.05) / 0.95)) / 2
            for group in optimizer.param_groups:
                group["lr"] = 0.01 * factor
            optimizer.zero_grad()
            loss = F.cross_entropy(net(data.inputs[index]), data.targets[index])
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            if value:
                nn.utils.clip_grad_value_(net.parameters(), value)
            optimizer.step()
            losses.append(loss.item())
            done += 1
    return losses


@pytest.mark.parametrize(("clip", "value"), [(None, None), (0.05, None), (None, 0.01)])
def test_it_is_the_hand_written_loop(clip: float | None, value: float | None) -> None:
    ours, theirs = network(), network()
    events = list(train(training(ours, blobs(), clip=clip, clip_value=value)))
    losses = hand_written(theirs, blobs(), clip=clip, value=value)
    assert [event.loss for event in events if isinstance(event, Step)] == pytest.approx(losses, rel=1e-6)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_the_norm_is_that_of_the_whole_gradient_before_clipping() -> None:
    net, data = network(), blobs()
    first = next(iter(train(training(copy.deepcopy(net), data, clip=0.01))))
    index = Batches(data, size=32, device=CPU, seed=3).order(1).tensor_split(3)[0]
    F.cross_entropy(net(data.inputs[index]), data.targets[index]).backward()
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in net.parameters()))
    assert isinstance(first, Step)
    assert first.norm == pytest.approx(norm, rel=1e-5)
    assert (first.epoch, first.step, first.steps, first.samples) == (1, 1, 3, 30)


def test_pieces_change_nothing_but_the_memory() -> None:
    whole, cut = network(), network()
    events = [list(train(training(net, blobs(), pieces=p))) for net, p in ((whole, 1), (cut, 4))]
    for a, b in zip(*events, strict=True):
        if isinstance(a, Step):
            assert b.loss == pytest.approx(a.loss, rel=1e-5)
            assert b.norm == pytest.approx(a.norm, rel=1e-4)
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_epochs_tell_what_they_gave() -> None:
    t = training(network(), blobs(), epochs=4, rate=0.05)
    events: list[Event] = list(train(t))
    epochs = [event for event in events if isinstance(event, Epoch)]
    assert [event.epoch for event in epochs] == [1, 2, 3, 4]
    steps = [event for event in events if isinstance(event, Step) and event.epoch == 2]
    assert epochs[1].train["loss"] == pytest.approx(sum(s.loss * s.samples for s in steps) / 90, rel=1e-6)
    with torch.no_grad():
        logits = t.model.eval()[:2](blobs().inputs)
    assert epochs[-1].valid["loss"] == pytest.approx(F.cross_entropy(logits, blobs().targets).item(), rel=1e-6)
    assert epochs[-1].valid["accuracy"] == pytest.approx((logits.argmax(1) == blobs().targets).float().mean().item())
    best = min(event.valid["loss"] for event in epochs)
    assert t.best is not None
    assert t.best[0] == best
    assert [e.best for e in epochs] == [
        e.valid["loss"] == min(f.valid["loss"] for f in epochs[: i + 1]) for i, e in enumerate(epochs)
    ]


@pytest.mark.parametrize("name", ["sgd(momentum=0.9, nesterov=True)", "lbfgs(max_iter=4)", "rprop", "adagrad"])
def test_any_optimizer_of_torch_trains(name: str) -> None:
    t = training(network(), blobs(), optimizer=name, epochs=6, rate=0.05)
    losses = [event.valid["loss"] for event in train(t) if isinstance(event, Epoch)]
    assert losses[-1] < 0.8 * math.log(3)


class Root(nn.Module):
    """Finite itself, with an infinite slope at zero."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs().sqrt()


class Vanish(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0


class Explode(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > x.amax() - 1e-6, torch.inf, x)


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (
            nn.Sequential(nn.Linear(5, 8), Explode(), nn.Linear(8, 3)),
            r"epoch 1, step 1: the first non-finite output is that of module '1' \(Explode\)",
        ),
        (
            nn.Sequential(nn.Linear(5, 8), Vanish(), Root(), nn.Linear(8, 3)),
            r"the first non-finite gradient comes back out of module '2' \(Root\)",
        ),
    ],
)
def test_what_is_not_finite_is_named_and_the_weights_do_not_move(net: nn.Module, sentence: str) -> None:
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(NotFiniteError, match=sentence):
        list(train(training(net, blobs())))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_sample_that_is_not_finite_is_named() -> None:
    data = blobs()
    data.inputs[17, 2] = float("nan")
    with pytest.raises(NotFiniteError, match=r"the inputs are not finite .*'row 18'"):
        list(train(training(network(), data)))
