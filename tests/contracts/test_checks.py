"""What every check of a live program keeps to: it leaves no trace, and does not fail a healthy program."""

import copy
import random
from json import dumps
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from chainrule import registry
from chainrule.doctor import Finding, Probe, Program, diagnose

LIVE = [entry for entry in registry.entries("check").values() if "probe" in entry.inputs]
STATUS = ("PASS", "WARN", "FAIL", "SKIP")


class Jittered(Dataset[tuple[Tensor, Tensor]]):
    """Irises with noise from a generator of the data set's own."""

    def __init__(self) -> None:
        x, y = load_iris(return_X_y=True)
        self.x, self.y = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32), torch.tensor(y)
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index] + 0.01 * torch.tensor(self.rng.normal(size=4), dtype=torch.float32), self.y[index]


def one_pass(model: nn.Module, loss: Any, optimizer: torch.optim.Optimizer, batches: Any) -> None:
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()


def healthy() -> Program:
    """A program in the middle of its training, with all that has a state: momenta, statistics, generators."""
    torch.manual_seed(0)
    layers = (nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))
    model, loss = nn.Sequential(*layers), nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    batches = DataLoader(Jittered(), batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(1))
    one_pass(model, loss, optimizer, batches)
    return Program(
        model=model,
        loss=loss,
        optimizer=optimizer,
        batches=batches,
        valid=[next(iter(batches))],
        epochs=5,
        train=one_pass,
    )


def state(program: Program) -> dict[str, Any]:
    """Everything that a check could have touched."""
    loader: Any = program.batches
    return copy.deepcopy(
        {
            "model": program.model.state_dict(),
            "gradients": [parameter.grad for parameter in program.model.parameters()],
            "modes": [module.training for module in program.model.modules()],
            "hooks": [
                len(module._forward_hooks) + len(module._forward_pre_hooks) for module in program.model.modules()
            ],
            "optimizer": program.optimizer.state_dict() if program.optimizer else None,
            "torch": torch.get_rng_state(),
            "numpy": np.random.get_state(),  # noqa: NPY002
            "random": random.getstate(),
            "loader": loader.generator.get_state(),
            "data": dumps(loader.dataset.rng.bit_generator.state),
            "grad": torch.is_grad_enabled(),
            "threads": torch.get_num_threads(),
        }
    )


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(*pair) for pair in zip(a, b, strict=True))
    if isinstance(a, Tensor | np.ndarray):
        return bool((a == b).all())
    return bool(a == b)


@pytest.mark.slow
@pytest.mark.parametrize("entry", LIVE, ids=lambda entry: entry.name)
def test_leaves_no_trace(entry: registry.Entry) -> None:
    program = healthy()
    before = state(program)
    finding = entry.build(Probe(program, seconds=1.0))
    after = state(program)
    assert [name for name in before if not same(before[name], after[name])] == []
    if finding is not None:
        judge(finding)


def test_the_whole_diagnosis_leaves_no_trace_and_fails_nothing() -> None:
    program = healthy()
    before = state(program)
    findings = diagnose(Probe(program, seconds=2.0))
    after = state(program)
    assert [name for name in before if not same(before[name], after[name])] == []
    # A check that could not be carried out says so; here all of them could.
    assert [finding.sentence for finding in findings if "raised" in finding.evidence] == []
    for finding in findings:
        judge(finding)


def judge(finding: Finding) -> None:
    """A finding of a healthy program."""
    assert finding.check in {entry.name for entry in LIVE}
    assert finding.status in STATUS
    assert finding.status != "FAIL", finding.sentence
    assert finding.sentence.endswith(".")
    assert not finding.asks or (finding.cause and finding.remedy)
    dumps(finding.evidence)
