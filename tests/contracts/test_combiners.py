"""What every registered combiner keeps to: a module that is saved beside the members and rebuilt from JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chainrule import ensembles, storage
from chainrule.data.spec import Classes, Labels, Real, Target
from chainrule.ensembles import AbstractCombiner
from chainrule.errors import InputError
from chainrule.registry import Entry
from tests.contracts.cases import cases

each_combiner = pytest.mark.parametrize("entry", cases("combiner", "", {}))
each_kind = pytest.mark.parametrize("kind", ["classes", "labels", "real"])
SPECS: dict[str, Any] = {"classes": Classes, "labels": Labels, "real": Real}


def outputs_of(entry: Entry, kind: str) -> Tensor:
    """What members say of some samples."""
    raw = torch.randn(entry.sample, dtype=torch.float64)
    return {"classes": raw.softmax(dim=-1), "labels": raw.sigmoid(), "real": raw}[kind]


def targets_of(entry: Entry, kind: str) -> Tensor:
    """What they should have said; every class and label is there."""
    _, n, k = entry.sample
    if kind == "classes":
        return torch.arange(n) % k
    numbers = torch.arange(n * k).reshape(n, k)
    return (numbers % 3 == 0).float() if kind == "labels" else numbers.float().sin()


def build(entry: Entry, kind: str, outputs: Tensor) -> AbstractCombiner:
    """The tiny combiner, when it has learned."""
    combiner: AbstractCombiner = entry.build(**entry.tiny, kind=kind)
    return combiner.learn(outputs, targets_of(entry, kind))


@each_combiner
def test_row_is_complete(entry: Entry) -> None:
    assert str(entry.year) in entry.paper
    assert set(entry.targets) == set(SPECS)
    assert entry.peer


@each_combiner
@each_kind
def test_gives_what_one_member_gives(entry: Entry, kind: str) -> None:
    outputs = outputs_of(entry, kind)
    combined = build(entry, kind, outputs)(outputs)
    assert combined.shape == outputs.shape[1:]
    assert combined.dtype == outputs.dtype
    assert combined.isfinite().all()
    if kind != "real":
        assert ((combined >= 0) & (combined <= 1)).all()
    if kind == "classes":
        torch.testing.assert_close(combined.sum(dim=-1), torch.ones(len(combined), dtype=torch.float64))


@each_combiner
@each_kind
def test_any_axes_of_samples(entry: Entry, kind: str) -> None:
    outputs = outputs_of(entry, kind)
    combiner = build(entry, kind, outputs)
    whole = combiner(outputs)
    torch.testing.assert_close(combiner(outputs.unflatten(1, (5, -1))), whole.unflatten(0, (5, -1)))
    torch.testing.assert_close(combiner(outputs[:, 7]), whole[7])


@each_combiner
@each_kind
def test_options_and_state_survive_files(entry: Entry, kind: str, tmp_path: Path) -> None:
    outputs = outputs_of(entry, kind)
    combiner = build(entry, kind, outputs)
    options = json.loads(json.dumps(combiner.options(), allow_nan=False))
    again = entry.build(**options)
    assert again.options() == combiner.options()
    storage.write_tree(tmp_path / "combiner.safetensors", dict(combiner.state_dict()))
    again.load_state_dict(storage.read_tree(tmp_path / "combiner.safetensors"))
    assert torch.equal(again(outputs), combiner(outputs))


@each_combiner
@each_kind
def test_order_of_members_and_samples_does_not_matter(entry: Entry, kind: str) -> None:
    outputs, targets = outputs_of(entry, kind), targets_of(entry, kind)
    order, samples = torch.randperm(len(outputs)), torch.randperm(outputs.shape[1])
    other = entry.build(**entry.tiny, kind=kind).learn(outputs[order][:, samples], targets[samples])
    torch.testing.assert_close(other(outputs[order]), build(entry, kind, outputs)(outputs), rtol=1e-4, atol=1e-5)


@each_combiner
@each_kind
def test_is_built_by_name_for_a_target(entry: Entry, kind: str) -> None:
    target: Target = SPECS[kind](("a", "b"))
    combiner = ensembles.combiner(entry.name, members=3, target=target)
    assert (combiner.members, combiner.outputs, combiner.kind) == (3, 2, kind)
    assert [p for p in combiner.parameters() if p.requires_grad] == []


@each_combiner
@each_kind
def test_what_does_not_fit_is_said(entry: Entry, kind: str) -> None:
    outputs, targets = outputs_of(entry, kind), targets_of(entry, kind)
    combiner = build(entry, kind, outputs)
    with pytest.raises(InputError, match=r"of 3 members; received \[2, 40, 4\]"):
        combiner(outputs[:2])
    with pytest.raises(InputError, match="of 3 members"):
        combiner.learn(outputs[:2], targets)
    with pytest.raises(InputError, match="Outputs of member 1 are NaN or infinite"):
        combiner.learn(outputs.index_fill(0, torch.tensor(1), torch.nan), targets)
    with pytest.raises(InputError, match="at least one member and one output; received 0 and 1"):
        entry.build(members=0, outputs=1)
    with pytest.raises(InputError, match="'mask' cannot be combined"):
        entry.build(members=1, outputs=1, kind="mask")
