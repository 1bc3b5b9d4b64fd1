"""Checks of the targets, and of what the inputs say of them: sick data and its healthy twin."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import datasets
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from chainrule.doctor import Finding, Probe, Program
from chainrule.doctor.checks.signal import giveaway, label_noise, unrelated_targets
from chainrule.doctor.checks.targets import classes, range_of_targets
from chainrule.doctor.measures.baseline import baseline
from chainrule.doctor.measures.simple import simple

Check = Callable[[Probe], Finding | None]


def program(inputs: Any, targets: Any, outputs: int, *, loss: Any = None, valid: Any = None) -> Program:
    inputs, targets = torch.as_tensor(inputs).float(), torch.as_tensor(targets)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(inputs.shape[1], 8), nn.ReLU(), nn.Linear(8, outputs))
    return Program(
        model=model,
        loss=loss or nn.CrossEntropyLoss(),
        optimizer=torch.optim.Adam(model.parameters()),
        batches=DataLoader(TensorDataset(inputs, targets), batch_size=32, shuffle=True),
        valid=valid,
    )


def standard(name: str) -> tuple[Any, Any]:
    inputs, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    return (inputs - inputs.mean(0)) / inputs.std(0).clip(1e-9), targets


def found(check: Check, examined: Program) -> Finding:
    result = check(Probe(examined))
    assert result is not None
    return result


def regression(inputs: Any, targets: Any) -> Program:
    values = torch.as_tensor((targets - targets.mean()) / targets.std()).float().reshape(-1, 1)
    return program(inputs, values, 1, loss=nn.MSELoss())


@pytest.mark.parametrize(("name", "outputs"), [("iris", 3), ("breast_cancer", 2)])
def test_giveaway(name: str, outputs: int) -> None:
    inputs, targets = standard(name)
    some = np.random.default_rng(0).permutation(len(targets))[:150]
    inputs, targets = inputs[some], targets[some]
    assert found(giveaway, program(inputs, targets, outputs)).status == "PASS"
    rows = np.random.default_rng(0).normal(0, 0.01, len(targets))
    for column in (targets, targets + rows, np.argsort(np.argsort(targets, kind="stable"))):
        leaked = found(giveaway, program(np.c_[inputs, column], targets, outputs))
        assert (leaked.status, leaked.where) == ("FAIL", f"column {inputs.shape[1]}")


def test_giveaway_of_real_targets() -> None:
    inputs, targets = standard("diabetes")
    assert found(giveaway, regression(inputs, targets)).status == "PASS"
    noise = np.random.default_rng(0).normal(0, 0.1 * targets.std(), len(targets))
    for column, expected in ((2 * targets + 3, "FAIL"), (targets + 0.3 * noise, "FAIL"), (targets + noise, "WARN")):
        assert found(giveaway, regression(np.c_[inputs, column], targets)).status == expected


def test_last_value_of_a_series_is_no_giveaway() -> None:
    wave = np.sin(np.arange(300) * 0.1)
    windows = np.stack([wave[i : i + 12] for i in range(280)])
    assert found(giveaway, regression(windows, wave[12:292])).status == "PASS"


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_unrelated_targets(name: str) -> None:
    inputs, targets = standard(name)
    some = np.random.default_rng(1).permutation(len(targets))[:100]
    inputs, targets = inputs[some], targets[some]
    shuffled = np.random.default_rng(0).permutation(targets)
    for values, expected in ((targets, "PASS"), (shuffled, "WARN")):
        examined = regression(inputs, values) if name == "diabetes" else program(inputs, values, int(values.max()) + 1)
        assert found(unrelated_targets, examined).status == expected


def test_too_few_samples_say_nothing() -> None:
    inputs, targets = standard("iris")
    assert found(unrelated_targets, program(inputs[::5], targets[::5], 3)).status == "SKIP"


def test_label_noise() -> None:
    inputs, targets = standard("iris")
    assert found(label_noise, program(inputs, targets, 3)).status == "PASS"
    wrong = np.arange(0, 50, 7)
    changed = targets.copy()
    changed[wrong] = 2
    ordered = program(inputs, changed, 3)
    ordered = Program(**{**vars(ordered), "batches": DataLoader(TensorDataset(*_tensors(inputs, changed)), 32)})
    noisy = found(label_noise, ordered)
    assert noisy.status == "WARN"
    assert {row["sample"] for row in noisy.evidence["first"]} <= set(wrong.tolist())


def _tensors(inputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
    return torch.as_tensor(inputs).float(), torch.as_tensor(targets)


def test_classes() -> None:
    inputs, targets = standard("iris")
    rest = [_tensors(inputs[100:], targets[100:])]
    assert found(classes, program(inputs[:100], targets[:100], 3, valid=rest)).status == "FAIL"
    assert found(classes, program(inputs[:50], targets[:50], 3)).status == "FAIL"
    assert found(classes, program(inputs, 2 * targets, 5)).evidence["missing"] == [1, 3]
    rare = np.r_[0:50, 50:54]
    assert found(classes, program(inputs[rare], targets[rare], 2)).evidence["ratio"] == 12.5
    assert found(classes, program(inputs, targets, 3, valid=rest)).status == "PASS"


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), lambda outputs, targets: F.cross_entropy(outputs, targets)])
def test_indices_out_of_range(loss: Any) -> None:
    inputs, targets = standard("iris")
    one = found(range_of_targets, program(inputs, targets + 1, 3, loss=loss))
    assert (one.status, one.remedy) == ("FAIL", "Write targets - 1.")
    many = found(range_of_targets, program(inputs, targets * 2, 3, loss=loss))
    assert (many.status, many.remedy) == ("FAIL", "Give the last layer 5 outputs.")
    assert found(range_of_targets, program(inputs, targets, 3, loss=loss)).status == "PASS"


def test_one_hot_rows_of_whole_numbers() -> None:
    inputs, targets = standard("iris")
    rows = F.one_hot(torch.as_tensor(targets))
    assert found(range_of_targets, program(inputs, rows, 3)).remedy == "Write targets.argmax(1)."
    assert found(range_of_targets, program(inputs, rows.float(), 3)).status == "PASS"


@pytest.mark.parametrize(
    ("loss", "low", "expected"),
    [
        (nn.BCEWithLogitsLoss(), -1.0, "FAIL"),
        (nn.BCEWithLogitsLoss(), 0.0, "PASS"),
        (lambda outputs, targets: F.binary_cross_entropy(outputs.sigmoid(), targets), -1.0, "FAIL"),
        (lambda outputs, targets: F.binary_cross_entropy(outputs.sigmoid(), targets), 0.0, "PASS"),
        (nn.SoftMarginLoss(), 0.0, "FAIL"),
        (nn.SoftMarginLoss(), -1.0, "PASS"),
        (lambda outputs, targets: (1 - outputs * targets).clamp_min(0).mean(), 0.0, "FAIL"),
        (lambda outputs, targets: (1 - outputs * targets).clamp_min(0).mean(), -1.0, "PASS"),
    ],
)
def test_binary_targets(loss: Any, low: float, expected: str) -> None:
    inputs, targets = standard("breast_cancer")
    values = torch.where(torch.as_tensor(targets)[:, None] == 1, 1.0, low)
    assert found(range_of_targets, program(inputs, values, 1, loss=loss)).status == expected


def test_baseline_on_the_validation_part() -> None:
    # The class is which side of a plane a point is on: a linear model is right about all points that are not close.
    points = np.random.default_rng(0).normal(size=(800, 10))
    points = points[np.abs(points.sum(1)) > 2]
    targets = (points.sum(1) > 0).astype(np.int64)
    valid = [_tensors(points[200:], targets[200:])]
    best = Probe(program(points[:200], targets[:200], 2, valid=valid)).measure(baseline)
    assert (best.name, best.score, best.spread) == ("logistic regression", 1.0, 0.0)


def test_baseline_of_nothing_is_the_constant() -> None:
    draw = np.random.default_rng(0)
    inputs, targets = draw.normal(size=(200, 3)), (np.arange(200) % 10 == 0).astype(np.int64)
    best = Probe(program(inputs, targets, 2)).measure(baseline)
    assert best.score == pytest.approx(0.9, abs=0.011)
    assert best.spread == pytest.approx((0.9 * 0.1 / 200) ** 0.5, rel=0.3)


def test_equal_samples_stay_in_one_fold() -> None:
    inputs = np.repeat(np.random.default_rng(0).normal(size=(60, 3)), 3, axis=0)
    examined = Probe(program(inputs, np.arange(180) % 2, 2))
    folds = examined.measure(simple).folds
    rows: dict[bytes, set[int]] = {}
    for row, fold in zip(examined.sample.inputs, folds, strict=True):
        rows.setdefault(row.numpy().tobytes(), set()).add(int(fold))
    assert len(rows) == 60
    assert all(len(of) == 1 for of in rows.values())


def test_random_convolutions_see_what_stands_anywhere() -> None:
    """A rise or a fall at a random place of a sequence of noise: each step alone says nothing."""
    draw = np.random.default_rng(0)
    values, targets = draw.normal(0, 0.1, (200, 24, 1)), np.arange(200) % 2
    for row, place in enumerate(draw.integers(2, 20, 200)):
        values[row, place : place + 2, 0] += (3, -3) if targets[row] else (-3, 3)
    model = nn.LSTM(1, 4)
    batches = DataLoader(TensorDataset(*_tensors(values, targets)), 32)
    examined = Probe(Program(model=model, loss=nn.CrossEntropyLoss(), batches=batches))
    best = examined.measure(baseline)
    assert best.name == "random convolutions"
    assert best.score > 0.95
