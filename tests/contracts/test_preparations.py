"""What every registered preparation keeps to: a module that is saved beside the network and rebuilt from JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chainrule import storage
from chainrule.registry import Entry
from tests.contracts.cases import cases

each_preparation = pytest.mark.parametrize("entry", cases("preparation", "", {}))


def build(entry: Entry) -> Any:
    """The tiny preparation, as it begins; a transformer is nothing before it has learned."""
    module = entry.build(**entry.tiny).eval()
    return module.learn(sample(entry), torch.arange(len(sample(entry)))) if entry.name == "transformer" else module


def sample(entry: Entry) -> Tensor:
    """Raw inputs."""
    return torch.rand(entry.sample, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@each_preparation
def test_output_is_finite(entry: Entry) -> None:
    output = build(entry)(sample(entry))
    assert output.dtype == torch.float32
    assert len(output) == len(sample(entry))
    assert output.isfinite().all()


@each_preparation
def test_nothing_is_trained(entry: Entry) -> None:
    assert [p for p in build(entry).parameters() if p.requires_grad] == []


@each_preparation
def test_options_survive_json(entry: Entry) -> None:
    module = build(entry)
    options = json.loads(json.dumps(module.options(), allow_nan=False))
    again = entry.build(**options).eval()
    assert again.options() == module.options()
    again.load_state_dict(module.state_dict())
    x = sample(entry)
    assert torch.equal(again(x), module(x))


@each_preparation
def test_state_survives_a_file(entry: Entry, tmp_path: Path) -> None:
    module, x = build(entry), sample(entry)
    again = entry.build(**json.loads(json.dumps(module.options()))).eval()
    for saved in again.state_dict().values():
        if isinstance(saved, Tensor):
            saved.zero_()
    storage.write_tree(tmp_path / "preparation.safetensors", dict(module.state_dict()))
    again.load_state_dict(storage.read_tree(tmp_path / "preparation.safetensors"))
    assert torch.equal(again(x), module(x))


@each_preparation
def test_same_rows_give_the_same(entry: Entry) -> None:
    module, x = build(entry), sample(entry)
    torch.testing.assert_close(torch.cat([module(row[None]) for row in x]), module(x))
