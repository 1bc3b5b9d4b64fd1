"""Files are whole or not there, and hold nothing that is executed."""

from pathlib import Path

import pytest
import torch

from chainrule import storage
from chainrule.errors import InputError


def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    tied = torch.arange(6.0)
    tree = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(2, 3, dtype=torch.float64)}, 1: {}},
        "groups": [{"lr": 0.1, "betas": [0.9, 0.999], "foreach": None, "params": [0, 1]}],
        "views": [tied[::2], tied, torch.empty(0), torch.tensor(True), torch.tensor([1.0], dtype=torch.bfloat16)],
        "nothing": None,
        "text": 'ä "quoted" $tensor',
    }
    storage.write_tree(tmp_path / "t", tree)
    read = storage.read_tree(tmp_path / "t")
    assert list(read["state"]) == [0, 1]
    assert torch.equal(read["state"][0]["exp_avg"], tree["state"][0]["exp_avg"])
    assert read["groups"] == tree["groups"]
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(read["views"], tree["views"], strict=True))
    assert (read["nothing"], read["text"]) == (None, tree["text"])


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "t"
    storage.write_tree(path, {"a": torch.ones(2)})
    with pytest.raises(TypeError, match="/b holds a set"):
        storage.write_tree(path, {"a": torch.zeros(2), "b": {1, 2}})
    assert torch.equal(storage.read_tree(path)["a"], torch.ones(2))
    assert [item.name for item in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damaged_files_are_named(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "state.safetensors"
    storage.write_tree(path, {"a": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(InputError, match=r"state\.safetensors is damaged"):
        storage.read_tree(path)
    path.unlink()
    with pytest.raises(InputError, match="missing"):
        storage.read_tree(path)
    path.write_text("{not json")
    with pytest.raises(InputError, match="damaged"):
        storage.read_json(path)


def test_streams_do_not_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    storage.write_stream(path, lambda file: file.write("a\n"))
    with pytest.raises(InputError, match="exists already"):
        storage.write_stream(path, lambda file: file.write("b\n"))
    assert path.read_text() == "a\n"


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "t"
    storage.write_tree(path, {"a": torch.ones(2)})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="its checksum is another"):
        storage.read_tree(path)
