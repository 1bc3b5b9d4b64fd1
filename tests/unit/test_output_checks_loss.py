"""Loss, last activation and targets: each check fails on a sick program and passes on its healthy twin."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule import losses, registry
from chainrule.doctor import Finding, Probe, Program
from chainrule.doctor.checks.activations import last_activation, missing_activation
from chainrule.doctor.checks.loss import initial_loss_live, wrong_loss
from chainrule.doctor.checks.softmaxes import sigmoid_twice, softmax_dimension, softmax_one_unit, softmax_twice
from chainrule.doctor.measures.known_losses import OURS

N, D, K = 60, 5, 3
X = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(N) % K
HOT = F.one_hot(CLASSES, K).float()
BITS = (torch.arange(N) % 2).float()[:, None]
REAL = X[:, :1] - X[:, 1:2]
SEVERAL = (X[:, :K] > 0).float()
CE, BCE, LOGITS, MSE = nn.CrossEntropyLoss(), nn.BCELoss(), nn.BCEWithLogitsLoss(), nn.MSELoss()
Check = Callable[[Probe], Finding | None]


def net(outputs: int, *last: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(D, 16), nn.ReLU(), nn.Linear(16, outputs), *last)


def status(check: Check, model: nn.Module, loss: Any, targets: Tensor, inputs: Tensor = X) -> str:
    """What the check says; ``-`` where it says nothing."""
    batches = list(zip(inputs.split(20), targets.split(20), strict=True))
    found = check(Probe(Program(model=model, loss=loss, batches=batches)))
    return "-" if found is None else found.status


def focal_of_softmax(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs.softmax(1), targets)


def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    return (1 - outputs * targets).clamp(min=0).mean()


CASES: dict[str, tuple[Check, nn.Module, Any, Tensor, str]] = {
    "softmax before cross-entropy": (softmax_twice, net(K, nn.Softmax(1)), CE, CLASSES, "FAIL"),
    "softmax in the loss": (softmax_twice, net(K), focal_of_softmax, CLASSES, "FAIL"),
    "softmax before focal": (softmax_twice, net(K, nn.Softmax(1)), losses.FocalLoss(), CLASSES, "FAIL"),
    "log of two softmaxes": (softmax_twice, net(K, nn.Softmax(1), nn.LogSoftmax(1)), nn.NLLLoss(), CLASSES, "FAIL"),
    "softmax once": (softmax_twice, net(K), CE, CLASSES, "PASS"),
    "log_softmax before cross-entropy": (softmax_twice, net(K, nn.LogSoftmax(1)), CE, CLASSES, "PASS"),
    "log_softmax before nll": (softmax_twice, net(K, nn.LogSoftmax(1)), nn.NLLLoss(), CLASSES, "-"),
    "sigmoid before logits": (sigmoid_twice, net(1, nn.Sigmoid()), LOGITS, BITS, "FAIL"),
    "sigmoid before cross-entropy": (sigmoid_twice, net(K, nn.Sigmoid()), CE, CLASSES, "FAIL"),
    "two sigmoids": (sigmoid_twice, net(1, nn.Sigmoid(), nn.Sigmoid()), BCE, BITS, "FAIL"),
    "sigmoid once": (sigmoid_twice, net(1), LOGITS, BITS, "PASS"),
    "sigmoid before bce": (sigmoid_twice, net(1, nn.Sigmoid()), BCE, BITS, "-"),
    "softmax of one unit": (softmax_one_unit, net(1, nn.Softmax(1)), BCE, BITS, "FAIL"),
    "softmax of units": (softmax_one_unit, net(K, nn.LogSoftmax(1)), nn.NLLLoss(), CLASSES, "PASS"),
    "softmax over the batch": (softmax_dimension, net(K, nn.LogSoftmax(0)), nn.NLLLoss(), CLASSES, "FAIL"),
    "softmax over classes": (softmax_dimension, net(K, nn.LogSoftmax(-1)), nn.NLLLoss(), CLASSES, "PASS"),
    "nll of raw outputs": (missing_activation, net(K), nn.NLLLoss(), CLASSES, "FAIL"),
    "nll of probabilities": (missing_activation, net(K, nn.Softmax(1)), nn.NLLLoss(), CLASSES, "FAIL"),
    "nll of logarithms": (missing_activation, net(K, nn.LogSoftmax(1)), nn.NLLLoss(), CLASSES, "PASS"),
    "bce of raw outputs": (missing_activation, net(1), BCE, BITS, "FAIL"),
    "bce of probabilities": (missing_activation, net(1, nn.Sigmoid()), BCE, BITS, "PASS"),
    "kl of raw outputs": (missing_activation, net(K), nn.KLDivLoss(reduction="batchmean"), HOT * 0.7 + 0.1, "FAIL"),
    "relu before cross-entropy": (last_activation, net(K, nn.ReLU()), CE, CLASSES, "FAIL"),
    "tanh before logits": (last_activation, net(1, nn.Tanh()), LOGITS, BITS, "FAIL"),
    "relu before softmax": (last_activation, net(K, nn.ReLU(), nn.LogSoftmax(1)), nn.NLLLoss(), CLASSES, "FAIL"),
    "relu for negative targets": (last_activation, net(1, nn.ReLU()), MSE, REAL, "FAIL"),
    "tanh for large targets": (last_activation, net(1, nn.Tanh()), MSE, 100 * REAL, "FAIL"),
    "relu for positive targets": (last_activation, net(1, nn.ReLU()), MSE, REAL.exp(), "PASS"),
    "dropout at the end": (last_activation, net(K, nn.Dropout(0.5)), CE, CLASSES, "FAIL"),
    "sigmoid for pixels": (last_activation, net(D, nn.Sigmoid()), MSE, X.sigmoid(), "PASS"),
    "nothing at the end": (last_activation, net(K), CE, CLASSES, "-"),
    "mse of class numbers": (wrong_loss, net(1), MSE, CLASSES.float()[:, None], "FAIL"),
    "mse of one-hot rows": (wrong_loss, net(K, nn.Softmax(1)), MSE, HOT, "WARN"),
    "mse of numbers for each class": (
        *(wrong_loss, net(K), lambda o, t: F.mse_loss(o, t.float()[:, None].expand_as(o)), CLASSES),
        "FAIL",
    ),
    "mse of 0 and 1": (wrong_loss, net(1, nn.Sigmoid()), MSE, BITS, "WARN"),
    "mse of real targets": (wrong_loss, net(1), MSE, REAL, "PASS"),
    "mse of counts": (wrong_loss, net(1), MSE, (REAL.abs() * 3).round(), "PASS"),
    "cross-entropy of real targets": (wrong_loss, net(2), CE, torch.cat([REAL, 2 * REAL], 1), "FAIL"),
    "cross-entropy of a real target": (wrong_loss, net(1), CE, REAL, "FAIL"),
    "cross-entropy of several labels": (wrong_loss, net(K), CE, SEVERAL, "FAIL"),
    "cross-entropy of mixed rows": (wrong_loss, net(K), CE, HOT * 0.7 + 0.1, "PASS"),
    "bce of one-hot rows": (wrong_loss, net(K), LOGITS, HOT, "WARN"),
    "bce of several labels": (wrong_loss, net(K), LOGITS, SEVERAL, "PASS"),
    "bce of real targets": (wrong_loss, net(1), LOGITS, REAL, "FAIL"),
    "hinge of 0 and 1": (wrong_loss, net(1), hinge, BITS, "FAIL"),
    "hinge of signs": (wrong_loss, net(1), hinge, 2 * BITS - 1, "PASS"),
    "poisson of negatives": (wrong_loss, net(1), nn.PoissonNLLLoss(), REAL, "FAIL"),
    "poisson of counts": (wrong_loss, net(1), nn.PoissonNLLLoss(), REAL.abs().round(), "PASS"),
    "negative of the loss": (wrong_loss, net(K), lambda o, t: -F.cross_entropy(o, t), CLASSES, "FAIL"),
    "targets from far away": (initial_loss_live, net(1), MSE, REAL + 100, "WARN"),
    "targets about zero": (initial_loss_live, net(1), MSE, REAL, "PASS"),
    "absolute error": (initial_loss_live, net(1), nn.L1Loss(reduction="sum"), REAL, "PASS"),
    "behind a sigmoid": (initial_loss_live, net(1, nn.Sigmoid()), BCE, BITS, "PASS"),
    "behind log_softmax": (initial_loss_live, net(K, nn.LogSoftmax(1)), nn.NLLLoss(), CLASSES, "PASS"),
}


@pytest.mark.parametrize("case", CASES)
def test_checks_of_loss_and_last_activation(case: str) -> None:
    check, model, loss, targets, wanted = CASES[case]
    assert status(check, model, loss, targets) == wanted


def test_softmax_over_time_instead_of_classes() -> None:
    inputs, targets = torch.randn(N, 7, D, generator=torch.Generator().manual_seed(1)), CLASSES[:, None].expand(-1, 7)

    def loss(outputs: Tensor, held: Tensor) -> Tensor:
        return F.nll_loss(outputs.flatten(0, 1), held.flatten())

    assert status(softmax_dimension, net(K, nn.LogSoftmax(1)), loss, targets, inputs) == "FAIL"
    assert status(softmax_dimension, net(K, nn.LogSoftmax(2)), loss, targets, inputs) == "PASS"


def test_softmax_without_an_axis_goes_over_the_first_of_three() -> None:
    inputs = torch.randn(N, 7, D, generator=torch.Generator().manual_seed(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, targets = net(K, nn.LogSoftmax()), CLASSES[:, None].expand(-1, 7)
        said = status(softmax_dimension, model, lambda o, t: F.nll_loss(o.transpose(1, 2), t), targets, inputs)
    assert said == "FAIL"


@pytest.mark.parametrize("name", [name for name, entry in registry.entries("loss").items() if entry.family in OURS])
def test_initial_loss_is_right_for_every_shipped_loss_of_classes(name: str) -> None:
    entry = registry.entries("loss")[name]
    model = net(K, nn.Sigmoid()) if entry.family == "capsule" else net(K)
    assert status(initial_loss_live, model, entry.make(), CLASSES) == "PASS"


def test_initial_loss_is_too_high_for_large_outputs_and_too_low_for_trained_ones() -> None:
    assert status(initial_loss_live, net(K), CE, CLASSES, 1000 * X) == "FAIL"
    model = net(K)
    adam = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(300):
        adam.zero_grad()
        CE(model(X), CLASSES).backward()
        adam.step()
    assert status(initial_loss_live, model, CE, CLASSES) == "WARN"
