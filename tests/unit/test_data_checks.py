"""Checks of inputs, order and parts: each speaks up on sick data and is content with its healthy twin."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from chainrule.config import configure
from chainrule.data import load
from chainrule.doctor import Finding, Probe, Program
from chainrule.doctor.checks.order import not_shuffled, repeated_augmentation
from chainrule.doctor.checks.samples import constant_inputs, duplicate_columns, finite
from chainrule.doctor.checks.scale import input_scale, target_scale
from chainrule.doctor.checks.splits import shared_samples
from chainrule.doctor.measures.loading import order
from chainrule.doctor.measures.samples import form, samples
from chainrule.doctor.measures.scale import arrival
from chainrule.training.machine import Machine
from chainrule.training.plan import Plan

Check = Callable[[Probe], Finding | None]


def program(inputs: Tensor, targets: Tensor, model: nn.Module, *, loss: Any = None, **more: Any) -> Program:
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=16, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    return Program(
        **{
            "model": model,
            "loss": loss or nn.CrossEntropyLoss(),
            "optimizer": optimizer,
            "batches": loader,
            "epochs": 10,
            **more,
        }
    )


def network(columns: int, outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(columns, 16), nn.ReLU(), nn.Linear(16, outputs))


def iris() -> tuple[Tensor, Tensor]:
    rows, classes = load_iris(return_X_y=True)
    inputs = torch.from_numpy(rows).float()
    return (inputs - inputs.mean(0)) / inputs.std(0), torch.from_numpy(classes)


def of_iris(change: Callable[[Tensor], Tensor] = lambda x: x, **more: Any) -> Program:
    inputs, targets = iris()
    inputs = change(inputs.clone())
    return program(inputs, targets, network(inputs.shape[1], 3), **more)


def status(check: Check, examined: Program) -> str:
    found = check(Probe(examined, seconds=5))
    return "None" if found is None else found.status


def put(row: int, column: int, value: float) -> Callable[[Tensor], Tensor]:
    def change(inputs: Tensor) -> Tensor:
        inputs[row, column] = value
        return inputs

    return change


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_finite(value: float) -> None:
    found = finite(Probe(of_iris(put(5, 2, value))))
    assert found is not None
    assert found.status == "FAIL"
    assert found.evidence["counts"] == {"training inputs": 1}
    assert status(finite, of_iris()) == "PASS"


def test_finite_looks_at_the_validation_part_and_at_targets() -> None:
    inputs, targets = iris()
    sick = put(3, 1, float("nan"))(inputs.clone())
    assert status(finite, of_iris(valid=[(sick, targets)])) == "FAIL"
    values = inputs[:, :1].clone()
    values[7] = float("inf")
    assert status(finite, program(inputs, values, network(4, 1), loss=nn.MSELoss())) == "FAIL"


def test_missing_values_that_the_model_handles_are_fine() -> None:
    class Filled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.network(inputs.nan_to_num())

    inputs, targets = iris()
    assert status(finite, program(put(5, 2, float("nan"))(inputs), targets, Filled())) == "PASS"


def planned(frame: pd.DataFrame, **settings: Any) -> Program:
    data = load(frame, target="y")
    config = configure({"model": "mlp", "rate": "0.01", "device": "cpu", "epochs": 2, **settings})
    return Program.of(Plan.build(config, data, call="mlp", network=None, machine=Machine(device="cpu")))


def test_missing_values_of_a_table_are_fine() -> None:
    rows = pd.DataFrame({"a": np.arange(100.0) % 7, "b": np.arange(100.0) % 3 * 1e4, "y": np.arange(100.0) * 1e3})
    rows.loc[::9, "a"] = np.nan
    examined = planned(rows)
    assert bool(Probe(examined).sample.inputs.isnan().any())
    assert status(finite, examined) == "PASS"
    # The encoder standardises columns, and the task its targets.
    assert status(input_scale, examined) == "PASS"
    assert status(target_scale, examined) == "SKIP"


def test_constant_inputs() -> None:
    assert status(constant_inputs, of_iris(torch.zeros_like)) == "FAIL"
    found = constant_inputs(Probe(of_iris(lambda x: torch.cat([x, torch.ones(150, 1)], 1))))
    assert found is not None
    assert (found.status, found.where) == ("WARN", "column 4")
    assert status(constant_inputs, of_iris()) == "PASS"


def digits() -> tuple[Tensor, Tensor]:
    images, classes = load_digits(return_X_y=True)
    return torch.from_numpy(images[:400]).float().reshape(-1, 1, 8, 8) / 16, torch.from_numpy(classes[:400])


def test_border_of_images_may_be_constant() -> None:
    images, classes = digits()
    flat = images.flatten(1)
    assert bool((flat.std(0) == 0).any())
    assert status(constant_inputs, program(flat, classes, network(64, 10))) == "PASS"
    convolution = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    assert status(constant_inputs, program(images, classes, convolution)) == "PASS"


def test_constant_channel_of_images() -> None:
    images, classes = digits()
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    found = constant_inputs(Probe(program(torch.cat([images, torch.zeros_like(images)], 1), classes, model)))
    assert found is not None
    assert (found.status, found.where) == ("WARN", "channel 1")


def test_duplicate_columns() -> None:
    found = duplicate_columns(Probe(of_iris(lambda x: torch.cat([x, 3 * x[:, 1:2] + 2], 1))))
    assert found is not None
    assert found.status == "WARN"
    assert found.evidence["pairs"] == [["column 1", "column 4"]]
    assert status(duplicate_columns, of_iris()) == "PASS"


def test_yes_and_no_are_no_duplicates() -> None:
    generator = torch.Generator().manual_seed(0)
    yes = torch.randint(0, 2, (150, 1), generator=generator).float()
    assert status(duplicate_columns, of_iris(lambda x: torch.cat([x, yes, 1 - yes], 1))) == "PASS"
    assert status(duplicate_columns, of_iris(lambda x: torch.cat([x, yes, yes], 1))) == "WARN"


def test_raw_images_into_a_plain_network() -> None:
    images, classes = digits()

    def raw(scale: float, *first: nn.Module) -> Program:
        torch.manual_seed(0)
        model = nn.Sequential(*first, nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        return program(images * scale, classes, model, optimizer=torch.optim.SGD(model.parameters(), lr=0.05))

    found = input_scale(Probe(raw(255.0), seconds=5))
    assert found is not None
    assert (found.status, found.where) == ("FAIL", "1")
    assert found.evidence["largest"] == 255
    assert "255" in found.remedy
    assert status(input_scale, raw(1.0)) == "PASS"
    # The model's own normalisation stands before the first weights.
    assert status(input_scale, raw(255.0, nn.BatchNorm2d(1))) == "PASS"
    assert status(input_scale, raw(255.0, nn.BatchNorm2d(1, affine=False))) == "PASS"


def test_scale_is_measured_at_the_first_layer_with_weights() -> None:
    inputs, targets = iris()

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.zeros(1))
            self.linear = nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.linear(inputs * 100 + 7) + self.position

    found = Probe(program(inputs, targets, Scaled())).measure(arrival)
    assert found.layer == "linear"
    assert found.means == pytest.approx([7.0] * 4, abs=1e-3)
    assert found.spreads == pytest.approx([100 * (149 / 150) ** 0.5] * 4, rel=1e-4)
    assert found.ratio == pytest.approx(1, rel=1e-4)


def test_indices_have_no_scale() -> None:
    tokens = torch.randint(0, 5000, (64, 6), generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Embedding(5000, 4), nn.Flatten(), nn.Linear(24, 2))
    examined = program(tokens, tokens[:, 0] % 2, model)
    assert status(input_scale, examined) == "SKIP"
    assert form(Probe(examined)) == "tokens"


def of_targets(shift: float, scale: float) -> Program:
    inputs, _ = iris()
    targets = inputs[:, :1] + inputs[:, 1:2] ** 2
    targets = (targets - targets.mean()) / targets.std() * scale + shift
    return program(inputs, targets, network(4, 1), loss=nn.MSELoss())


def test_target_scale() -> None:
    found = target_scale(Probe(of_targets(1000, 300), seconds=5))
    assert found is not None
    assert found.status == "FAIL"
    assert found.evidence["mean"] == pytest.approx(1000, rel=1e-3)
    assert status(target_scale, of_targets(0, 1)) == "PASS"
    assert status(target_scale, of_iris()) == "None"


def test_shared_samples() -> None:
    inputs, targets = iris()
    found = shared_samples(Probe(of_iris(valid=[(inputs[:30], targets[:30])])))
    assert found is not None
    assert (found.status, found.evidence["shared"]) == ("FAIL", 30)
    assert status(shared_samples, of_iris(valid=[(inputs[:30] + 0.001, targets[:30])])) == "PASS"
    # Of the flowers two are the same.
    assert status(shared_samples, of_iris()) == "PASS"


def test_repeated_training_samples() -> None:
    inputs, targets = iris()
    assert status(shared_samples, program(inputs.repeat(2, 1), targets.repeat(2), network(4, 3))) == "WARN"


def test_few_possible_samples_are_shared_by_nature() -> None:
    bits = torch.randint(0, 2, (200, 4), generator=torch.Generator().manual_seed(0)).float()
    targets = (bits.sum(1) > 2).long()
    examined = program(bits[:150], targets[:150], network(4, 2), valid=[(bits[150:], targets[150:])])
    assert Probe(examined).measure(samples).natural
    assert status(shared_samples, examined) == "PASS"


def in_order(inputs: Tensor, targets: Tensor, loss: Any, outputs: int) -> Program:
    batches = DataLoader(TensorDataset(inputs, targets), batch_size=10)
    return program(inputs, targets, network(4, outputs), loss=loss, batches=batches)


def test_sorted_by_class() -> None:
    inputs, targets = iris()
    found = not_shuffled(Probe(in_order(inputs, targets, nn.CrossEntropyLoss(), 3)))
    assert found is not None
    assert (found.status, found.evidence["purity"]) == ("FAIL", 1.0)
    assert status(not_shuffled, of_iris()) == "PASS"


def test_same_order_in_each_pass() -> None:
    inputs, targets = iris()
    mixed = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    fixed = Probe(in_order(inputs[mixed], targets[mixed], nn.CrossEntropyLoss(), 3))
    assert fixed.measure(order).same
    found = not_shuffled(fixed)
    assert found is not None
    assert found.status == "WARN"
    assert not Probe(of_iris()).measure(order).same


def test_sorted_by_value() -> None:
    inputs, _ = iris()
    ranking = inputs[:, 0].argsort()
    targets = inputs[ranking, :1]
    assert status(not_shuffled, in_order(inputs[ranking], targets, nn.MSELoss(), 1)) == "WARN"


def test_one_batch_has_no_order() -> None:
    inputs, targets = iris()
    assert status(not_shuffled, replace(of_iris(), batches=[(inputs, targets)])) == "SKIP"


class Noisy(Dataset[Any]):
    """Images with random noise, from a generator of its own or from torch's."""

    def __init__(self, own: bool) -> None:
        self.draw = np.random.default_rng(0) if own else None

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = torch.rand(4) if self.draw is None else torch.from_numpy(self.draw.random(4)).float()
        return noise + index, index % 3


def augmented(own: bool, workers: int) -> Program:
    loader = DataLoader(Noisy(own), batch_size=8, shuffle=True, num_workers=workers)
    inputs, targets = iris()
    return program(inputs, targets, network(4, 3), batches=loader)


def test_repeated_augmentation() -> None:
    found = repeated_augmentation(Probe(augmented(own=True, workers=2)))
    assert found is not None
    assert found.status == "FAIL"
    assert found.evidence["again"]
    assert found.evidence["shared"]
    assert status(repeated_augmentation, augmented(own=False, workers=2)) == "PASS"
    # Without workers the data set's own generator goes on.
    assert status(repeated_augmentation, augmented(own=True, workers=0)) == "PASS"


def test_no_augmentation() -> None:
    assert status(repeated_augmentation, of_iris()) == "SKIP"
    inputs, targets = iris()
    assert status(repeated_augmentation, replace(of_iris(), batches=[(inputs, targets)])) == "None"
