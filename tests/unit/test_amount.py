"""The learning curve against the amount of data."""

import numpy as np
import torch
from torch import nn

from chainrule.doctor import Finding, Probe, Program
from chainrule.doctor.checks.amount import more_data


def judged(x: np.ndarray, y: np.ndarray) -> Finding:
    inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    batches = list(zip(inputs.split(32), targets.split(32), strict=True))
    finding = more_data(Probe(Program(model=nn.Linear(x.shape[1], 1), loss=nn.MSELoss(), batches=batches)))
    assert finding is not None
    return finding


def test_few_samples_for_many_columns() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 40))
    finding = judged(x, (x @ draw.normal(size=40) + draw.normal(size=120))[:, None])
    assert finding.status == "WARN"
    assert finding.evidence["samples"] == [24, 48, 96]
    scores = finding.evidence["scores"]
    assert scores[0] < scores[1] < scores[2]


def test_enough_samples() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(600, 3))
    finding = judged(x, (x @ np.array([1.0, 2, 3]) + draw.normal(size=600))[:, None])
    assert finding.status == "PASS"
