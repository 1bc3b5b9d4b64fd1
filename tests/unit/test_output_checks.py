"""What a program gives and what it is held against: whether it runs, which loss it has, and its scores."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule import losses, registry
from chainrule.doctor import Probe, Program
from chainrule.doctor.checks.outputs import output_shape
from chainrule.doctor.checks.running import runs
from chainrule.doctor.measures.criterion import criterion
from chainrule.doctor.measures.endings import endings
from chainrule.doctor.measures.known_losses import OURS
from chainrule.doctor.measures.scores import chance, kind, score

N, D, K, T = 32, 5, 4, 6


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


X = torch.randn(N, D, generator=drawn())
CLASSES = torch.arange(N) % K
HOT = F.one_hot(CLASSES, K).float()
BITS = (torch.arange(N) % 2).float()
REAL = torch.randn(N, generator=drawn(1))
WEIGHTS = torch.tensor([0.5, 1.0, 1.5, 2.0])


class Linear(nn.Module):
    """A linear layer, and what is done with its outputs."""

    def __init__(self, outputs: int, after: Callable[[Tensor], Tensor] = lambda given: given) -> None:
        super().__init__()
        self.layer, self.after = nn.Linear(D, outputs), after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.layer(x))


def probe(model: nn.Module, loss: Any, targets: Tensor, inputs: Tensor = X, batch: int = N) -> Probe:
    torch.manual_seed(0)
    batches = list(zip(inputs.split(batch), targets.split(batch), strict=True))
    return Probe(Program(model=model, loss=loss, batches=batches))


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    each = F.cross_entropy(outputs, targets, reduction="none")
    return ((1 - torch.exp(-each)) ** 2 * each).mean()


KNOWN: dict[str, tuple[int, Tensor, Any, str, str]] = {
    "function": (K, CLASSES, F.cross_entropy, "cross-entropy", "logits"),
    "weighted and smoothed": (
        *(K, CLASSES),
        lambda o, t: F.cross_entropy(o, t, weight=WEIGHTS, label_smoothing=0.1, reduction="sum"),
        *("cross-entropy", "logits"),
    ),
    "of one-hot rows": (K, HOT, lambda o, t: -(t * o.log_softmax(1)).sum(1), "cross-entropy", "logits"),
    "softmax inside": (K, CLASSES, lambda o, t: F.cross_entropy(o.softmax(1), t), "cross-entropy of softmax", "logits"),
    "sigmoid inside": (K, CLASSES, lambda o, t: F.cross_entropy(o.sigmoid(), t), "cross-entropy of sigmoid", "logits"),
    "nll": (K, CLASSES, lambda o, t: F.nll_loss(o, t), "nll", "log-probabilities"),
    "nll of softmax": (K, CLASSES, lambda o, t: F.nll_loss(o.softmax(1), t), "nll of softmax", "logits"),
    "nll of log softmax": (K, CLASSES, lambda o, t: F.nll_loss(o.log_softmax(1), t), "cross-entropy", "logits"),
    "logarithm": (
        *(K, HOT, lambda o, t: -(t * (o + 1e-9).log()).sum(1).mean()),
        *("cross-entropy of probabilities", "probabilities"),
    ),
    "kl": (K, HOT * 0.9 + 0.025, lambda o, t: F.kl_div(o, t, reduction="batchmean"), "kl", "log-probabilities"),
    "focal": (K, CLASSES, focal, "focal", "logits"),
    "multi-class hinge": (K, CLASSES, lambda o, t: F.multi_margin_loss(o, t), "multi-class hinge", "logits"),
    "bce": (1, BITS, lambda o, t: F.binary_cross_entropy(o[:, 0], t), "bce", "probabilities"),
    "bce with logits": (
        *(1, BITS, lambda o, t: F.binary_cross_entropy_with_logits(o[:, 0], t, pos_weight=torch.tensor(3.0))),
        *("bce-logits", "logits"),
    ),
    "bce of sigmoid": (1, BITS, lambda o, t: F.binary_cross_entropy(o[:, 0].sigmoid(), t), "bce-logits", "logits"),
    "hinge": (1, BITS * 2 - 1, lambda o, t: (1 - o[:, 0] * t).clamp(min=0).mean(), "hinge", "logits"),
    "hinge of 0 and 1": (
        *(1, BITS, lambda o, t: (1 - o[:, 0] * (2 * t - 1)).clamp(min=0).mean()),
        *("hinge of signs", "logits"),
    ),
    "mse": (1, REAL, lambda o, t: ((o[:, 0] - t) ** 2).mean(), "mse", "real"),
    "rmse": (1, REAL, lambda o, t: ((o[:, 0] - t) ** 2).mean().sqrt(), "rmse", "real"),
    "l1": (1, REAL, lambda o, t: (o[:, 0] - t).abs().sum(), "l1", "real"),
    "huber": (1, REAL, lambda o, t: F.huber_loss(o[:, 0], t, delta=0.5), "huber", "real"),
    "mse of sigmoid": (1, BITS, lambda o, t: ((o[:, 0].sigmoid() - t) ** 2).mean(), "mse of sigmoid", "logits"),
    "poisson": (1, BITS * 3, lambda o, t: F.poisson_nll_loss(o[:, 0], t), "poisson", "logits"),
    "module": (K, CLASSES, nn.CrossEntropyLoss(), "cross-entropy", "logits"),
    "our own": (K, CLASSES, losses.FocalLoss(), "focal", "logits"),
    "no known one": (1, BITS, lambda o, t: 1 - (o[:, 0].sigmoid() * t).sum() / (o.sigmoid() + 1).sum(), "unknown", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", KNOWN)
def test_criterion_knows_a_loss_by_its_gradients(case: str) -> None:
    outputs, targets, loss, name, takes = KNOWN[case]
    found = probe(Linear(outputs), loss, targets).measure(criterion)
    assert (found.name, found.sign) == (name, 1)
    assert found.takes == (takes or "unknown")


def test_criterion_sees_a_sign_and_an_axis_and_penalties() -> None:
    assert probe(Linear(K), lambda o, t: -F.cross_entropy(o, t), CLASSES).measure(criterion).sign == -1
    sequences, places = torch.randn(N, T, D, generator=drawn(2)), torch.randint(0, K, (N, T), generator=drawn(3))
    flat = probe(Linear(K), lambda o, t: F.cross_entropy(o.flatten(0, 1), t.flatten()), places, sequences)
    assert (flat.measure(criterion).name, flat.measure(criterion).axis) == ("cross-entropy", 2)
    model = Linear(K)
    penalised = probe(model, lambda o, t: F.cross_entropy(o, t) + 0.1 * model.layer.weight.square().sum(), CLASSES)
    assert penalised.measure(criterion).name == "cross-entropy"


def test_criterion_of_a_loss_without_a_name_says_what_it_takes() -> None:
    def odd(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.log_softmax(1) * torch.arange(K)).sum(1).square().mean() + targets.sum() * 0

    found = probe(Linear(K), odd, CLASSES).measure(criterion)
    assert (found.name, found.takes, found.exact) == ("unknown", "logits", False)


def test_every_loss_of_classes_that_is_shipped_is_known() -> None:
    for name, entry in registry.entries("loss").items():
        if entry.family in OURS:
            assert probe(Linear(K), entry.make(), CLASSES).measure(criterion).exact, name


def test_scores_of_each_kind_of_target() -> None:
    classes = probe(Linear(K), F.cross_entropy, CLASSES)
    assert (kind(classes), chance(classes)) == ("classes", 0.25)
    assert score(classes, 3 * HOT, CLASSES) == 1.0
    assert score(classes, torch.tensor([[9.0, 0, 0, 0]]).expand(N, -1), CLASSES) == 0.25
    labels = probe(Linear(1, torch.Tensor.sigmoid), lambda o, t: F.binary_cross_entropy(o[:, 0], t), BITS)
    assert (kind(labels), chance(labels)) == ("labels", 0.5)
    assert score(labels, 0.4 + 0.2 * BITS, BITS) == 1.0
    logits = probe(Linear(1), lambda o, t: F.binary_cross_entropy_with_logits(o[:, 0], t), BITS)
    assert score(logits, BITS - 0.3, BITS) == 1.0
    real = probe(Linear(1), lambda o, t: F.mse_loss(o[:, 0], t), REAL)
    assert (kind(real), chance(real)) == ("real", 0.0)
    assert score(real, REAL, REAL) == 1.0
    assert score(real, REAL.mean().expand(N), REAL) == pytest.approx(0.0, abs=1e-6)
    assert math.isnan(score(real, torch.ones(3), REAL))


def test_scores_of_sequences_find_the_axis_of_classes_and_leave_padding_out() -> None:
    sequences, places = torch.randn(N, T, D, generator=drawn(2)), torch.randint(0, K, (N, T), generator=drawn(3))
    places[:, 0] = -100
    found = probe(Linear(K), lambda o, t: F.cross_entropy(o.transpose(1, 2), t), places, sequences)
    right = F.one_hot(places.clamp(min=0), K).float()
    assert score(found, right, places) == 1.0
    assert chance(found) == float(places[places >= 0].bincount().max() / (N * (T - 1)))


def test_endings_are_read_from_the_graph() -> None:
    x = torch.randn(6, 4, requires_grad=True)
    given = {"softmax": x.softmax(1), "sigmoid": x.sigmoid().squeeze(), "relu": x.clamp(min=0), "tanh": x.tanh()}
    assert {name: endings(outputs)[0].name for name, outputs in given.items()} == {name: name for name in given}
    assert [ending.name for ending in endings((x.relu().softmax(-1) + 1e-8).log())] == ["log", "softmax", "relu"]
    assert endings(x.softmax(0).t())[0].axis == 0
    assert endings(2 * x.tanh()) == ()
    assert (endings(F.relu6(x))[0].low, endings(F.relu6(x))[0].high) == (0.0, 6.0)


STOPPED: dict[str, tuple[nn.Module, Any, Tensor, str, str]] = {
    "features": (nn.Linear(D + 1, K), F.cross_entropy, CLASSES, "forward", "number of features"),
    "class index": (Linear(K - 1), F.cross_entropy, CLASSES, "loss", "class index"),
    "beyond 0..1": (Linear(1), nn.BCELoss(), BITS[:, None], "loss", "probabilities"),
    "column of classes": (Linear(K), F.cross_entropy, CLASSES[:, None], "loss", "class indices"),
    "doubles": (Linear(K).double(), F.cross_entropy, CLASSES, "forward", "types of numbers"),
    "detached": (Linear(K, torch.Tensor.detach), F.cross_entropy, CLASSES, "backward", "detached"),
    "plain number": (Linear(K), lambda o, t: F.cross_entropy(o, t).item(), CLASSES, "loss", "plain number"),
    "different shapes": (Linear(1), nn.BCEWithLogitsLoss(), BITS, "loss", "different shapes"),
    "fixed batch": (Linear(K, lambda given: given.view(20, -1)), F.cross_entropy, CLASSES, "forward", "fixed batch"),
}


@pytest.mark.parametrize("case", STOPPED)
def test_runs_says_where_a_program_stops(case: str) -> None:
    model, loss, targets, stage, cause = STOPPED[case]
    found = runs(probe(model, loss, targets))
    assert (found.status, found.evidence["stage"]) == ("FAIL", stage)
    assert cause in found.cause
    assert found.remedy


def test_runs_looks_at_the_last_batch_and_at_the_loss() -> None:
    bn = nn.Sequential(nn.Linear(D, 8), nn.BatchNorm1d(8), nn.Linear(8, K))
    alone = runs(probe(bn, F.cross_entropy, CLASSES, batch=31))
    assert (alone.status, alone.evidence["batch"]) == ("FAIL", 2)
    assert "drop_last" in alone.remedy
    assert runs(probe(bn, F.cross_entropy, CLASSES, batch=16)).status == "PASS"
    missing = X.clone()
    missing[0, 0] = math.nan
    assert runs(probe(Linear(K), F.cross_entropy, CLASSES, missing)).status == "FAIL"


def test_runs_lets_a_loop_of_its_own_be() -> None:
    def train(model: Any, loss: Any, optimizer: Any, batches: Any) -> None:
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss(model(inputs)["logits"], targets).backward()
            optimizer.step()

    class Named(Linear):
        def forward(self, x: Tensor) -> Any:
            return {"logits": self.layer(x)}

    model = Named(K)
    sgd = torch.optim.SGD(model.parameters(), 0.1)
    program = Program(model=model, loss=F.cross_entropy, optimizer=sgd, batches=[(X, CLASSES)], train=train)
    assert runs(Probe(program)).status == "SKIP"
    assert runs(probe(Named(K), F.cross_entropy, CLASSES)).status == "FAIL"


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_output_shape_sees_pairs_that_are_broadcast() -> None:
    for loss in (nn.MSELoss(), lambda o, t: (o - t).abs().mean()):
        found = output_shape(probe(Linear(1), loss, REAL))
        assert found is not None
        assert found.status == "FAIL"
        assert "[32, 32]" in found.sentence
    for model, loss, targets in (
        (Linear(1), lambda o, t: ((o.squeeze() - t) ** 2).mean(), REAL),
        (Linear(1), nn.MSELoss(), REAL[:, None]),
        (Linear(1), lambda o, t: ((o[:, 0] - t) ** 2).mean().sqrt(), REAL),
    ):
        found = output_shape(probe(model, loss, targets))
        assert found is not None
        assert found.status == "PASS"


@pytest.mark.parametrize(
    ("outputs", "targets", "status"),
    [(K, CLASSES, "PASS"), (K - 1, CLASSES, "FAIL"), (1, BITS.long(), "FAIL"), (K, CLASSES + 1, "FAIL"),
     (K + 1, CLASSES + 1, "WARN"), (10, BITS.long(), "WARN")],
)  # fmt: skip
def test_output_shape_counts_classes(outputs: int, targets: Tensor, status: str) -> None:
    found = output_shape(probe(Linear(outputs), F.cross_entropy, targets))
    assert found is not None
    assert found.status == status


def test_output_shape_misses_the_axis_of_samples() -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets.float().mean()).square().mean()

    for after in (lambda given: given.mean(0), lambda given: given.mean()):
        found = output_shape(probe(Linear(3, after), loss, CLASSES))
        assert found is not None
        assert found.status == "FAIL"
