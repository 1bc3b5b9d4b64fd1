"""Outputs depend on their own inputs and on nothing else, and evaluation mode is what it should be."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from chainrule.doctor import Finding, Probe, Program
from chainrule.doctor.checks.modes import train_eval
from chainrule.doctor.checks.outputs import batch_leak, input_independent

N, D, K, T = 48, 5, 3, 6
X = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
S = torch.randn(N, T, D, generator=torch.Generator().manual_seed(1))
CLASSES = X[:, :K].argmax(1)
Given = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """Layers, and what is done with them."""

    def __init__(self, given: Given, *layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.given = nn.ModuleList(layers), given

    def forward(self, x: Tensor) -> Tensor:
        return self.given(self, x)


def probe(
    model: nn.Module, inputs: Tensor = X, targets: Tensor = CLASSES, *, batch: int = 16, epochs: int = 5
) -> Probe:
    batches = list(zip(inputs.split(batch), targets.split(batch), strict=True))
    adam = torch.optim.Adam(model.parameters(), 0.01)
    return Probe(Program(model=model, loss=F.cross_entropy, optimizer=adam, batches=batches, epochs=epochs), seconds=2)


def status(found: Finding | None) -> str:
    return "-" if found is None else found.status


def last_step(net: Any, x: Tensor) -> Tensor:
    return net.layers[1](net.layers[0](x)[0][:, -1])


def dense(*inside: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D, 16), *inside, nn.ReLU(), nn.Linear(16, K))


LEAKS: dict[str, tuple[nn.Module, Tensor, str]] = {
    "time first": (Net(last_step, nn.LSTM(D, 8), nn.Linear(8, K)), S, "FAIL"),
    "batch first": (Net(last_step, nn.LSTM(D, 8, batch_first=True), nn.Linear(8, K)), S, "PASS"),
    "centred over the batch": (Net(lambda net, x: net.layers[0](x - x.mean(0)), nn.Linear(D, K)), X, "FAIL"),
    "centred over the features": (
        *(Net(lambda net, x: net.layers[0](x - x.mean(1, keepdim=True)), nn.Linear(D, K)), X),
        "PASS",
    ),
    "view that mixes": (Net(lambda net, x: net.layers[0](x).view(K, -1).t(), nn.Linear(D, K)), X, "FAIL"),
    "softmax over the batch": (Net(lambda net, x: net.layers[0](x).softmax(0), nn.Linear(D, K)), X, "FAIL"),
    "batch normalisation": (dense(nn.BatchNorm1d(16)), X, "PASS"),
    "without statistics": (dense(nn.BatchNorm1d(16, track_running_stats=False)), X, "WARN"),
    "dropout": (dense(nn.Dropout(0.5)), X, "PASS"),
}


@pytest.mark.parametrize("case", LEAKS)
def test_batch_leak(case: str) -> None:
    model, inputs, wanted = LEAKS[case]
    assert status(batch_leak(probe(model, inputs))) == wanted


def test_batch_leak_sees_a_fixed_batch_size_and_a_state() -> None:
    fixed = Net(lambda net, x: net.layers[0](x.view(16, -1)), nn.Linear(D, K))
    found = batch_leak(probe(fixed))
    assert found is not None
    assert (found.status, "half a batch" in found.sentence) == ("WARN", True)

    def stateful(net: Any, x: Tensor) -> Tensor:
        net.mean = getattr(net, "mean", 0.0) * 0.9 + x.detach().mean()
        return net.layers[0](x - net.mean)

    program = probe(Net(stateful, nn.Linear(D, K))).program
    assert status(batch_leak(Probe(program))) == "WARN"
    shuffled = DataLoader(TensorDataset(X, CLASSES), 16, shuffle=True)
    program = Program(model=Net(stateful, nn.Linear(D, K)), loss=F.cross_entropy, batches=shuffled)
    assert status(batch_leak(Probe(program))) == "FAIL"


def test_batches_may_have_time_first() -> None:
    model = Net(lambda net, x: net.layers[1](net.layers[0](x)[0]), nn.LSTM(D, 8), nn.Linear(8, K))
    places = S[..., :K].argmax(2)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    batches = [(S[i : i + 16].transpose(0, 1), places[i : i + 16].t()) for i in (0, 16)]
    assert status(batch_leak(Probe(Program(model=model, loss=loss, batches=batches)))) == "WARN"
    loader = DataLoader(TensorDataset(S, places), 16)
    assert status(batch_leak(Probe(Program(model=model, loss=loss, batches=loader)))) == "FAIL"


def test_train_eval_wants_evaluation_to_be_the_same_twice() -> None:
    def dropped(net: Any, x: Tensor) -> Tensor:
        return net.layers[0](F.dropout(x, 0.5))

    def dropped_in_training(net: Any, x: Tensor) -> Tensor:
        return net.layers[0](F.dropout(x, 0.5, training=net.training))

    def sampled(net: Any, x: Tensor) -> Tensor:
        return net.layers[0](x + torch.randn_like(x))

    assert status(train_eval(probe(Net(dropped, nn.Linear(D, K))))) == "FAIL"
    assert status(train_eval(probe(Net(dropped_in_training, nn.Linear(D, K))))) == "PASS"
    assert status(train_eval(probe(Net(sampled, nn.Linear(D, K))))) == "WARN"


def test_train_eval_looks_at_batch_normalisation() -> None:
    assert status(train_eval(probe(dense(nn.BatchNorm1d(16))))) == "PASS"
    assert status(train_eval(probe(dense(nn.BatchNorm1d(16, momentum=0.0))))) == "FAIL"
    assert status(train_eval(probe(dense(nn.BatchNorm1d(16, momentum=1.0))))) == "WARN"
    # After 3 batches in each of 5 epochs 0.999^15, 99 %, of the first values are left.
    slow = train_eval(probe(dense(nn.BatchNorm1d(16, momentum=0.001))))
    assert slow is not None
    assert slow.evidence["left"] == pytest.approx(0.999**15)
    assert status(train_eval(probe(dense(nn.BatchNorm1d(16, momentum=0.001)), epochs=2000))) == "PASS"
    assert status(train_eval(probe(dense(nn.BatchNorm1d(16)), batch=2))) == "WARN"
    maps = nn.Sequential(nn.Conv1d(T, 4, 1), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(4 * D, K))
    assert status(train_eval(probe(maps, S, batch=1))) == "FAIL"


def test_train_eval_lets_a_model_in_evaluation_mode_be() -> None:
    assert status(train_eval(probe(dense(nn.Dropout(0.5)).eval()))) == "PASS"


def test_input_independent() -> None:
    assert status(input_independent(probe(dense()))) == "PASS"
    dead = dense()
    nn.init.constant_(dead[0].bias, -100.0)
    assert status(input_independent(probe(dead))) == "FAIL"
    assert status(input_independent(probe(Net(lambda net, x: net.layers[0](x * 0), nn.Linear(D, K))))) == "FAIL"
    silent = dense()
    nn.init.zeros_(silent[-1].weight)
    assert status(input_independent(probe(silent))) == "PASS"
