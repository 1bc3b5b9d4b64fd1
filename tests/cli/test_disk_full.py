"""A disk that is full: one sentence, exit code 2, and whatever was written before is whole."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainrule import load_run
from tests.cli.conftest import FAST, Command, table
from tests.cli.test_wrong_input import wrong


def size(disk: Path, kibibytes: int) -> None:
    """Give the disk another size."""
    subprocess.run(["mount", "-o", f"remount,size={kibibytes}k", str(disk)], check=True)


@pytest.fixture
def disk(place: Path) -> Iterator[Path]:
    """A small disk of its own, made of memory, mounted at ``disk``; beside it a table."""
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    (place / "disk").mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", "disk"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.decode().strip()}")
    table().to_csv("t.csv", index=False)
    yield Path("disk")
    os.chdir(place)
    subprocess.run(["umount", str(place / "disk")], check=True)


FIT = ("fit", "t.csv", "--target", "species", "--out", "disk/run", *FAST)


def test_while_training(chainrule: Command, disk: Path) -> None:
    # Room for the first checkpoint and the first weights, not for a second checkpoint beside it.
    size(disk, 400)
    wrong(chainrule(*FIT, "-q"), "No space left on device: disk/run/checkpoint", "chainrule resume disk/run")
    assert sorted(path.name for path in disk.rglob("*") if path.is_file()) == [
        "config.json",
        "events.jsonl",
        "model.json",
        "state.safetensors",
        "weights.safetensors",
    ]
    assert len(load_run("disk/run").predict("t.csv")) == 60
    size(disk, 8000)
    assert chainrule("resume", "disk/run", "-q") == (0, "", "")
    assert chainrule(*FIT[:-5], "elsewhere", *FAST, "-q").code == 0
    assert load_run("disk/run").test == load_run("elsewhere").test


def test_while_writing_the_page(chainrule: Command, disk: Path) -> None:
    assert chainrule(*FIT, "-q").code == 0
    page = (disk / "run" / "report.html").read_bytes()
    used = sum(path.stat().st_blocks for path in disk.rglob("*")) // 2
    size(disk, used + 8)
    wrong(chainrule("report", "disk/run"), "No space left on device: disk/run/report.html", "is whole")
    assert (disk / "run" / "report.html").read_bytes() == page


def test_while_predicting(chainrule: Command, disk: Path) -> None:
    assert chainrule(*FIT, "-q").code == 0
    used = sum(path.stat().st_blocks for path in disk.rglob("*")) // 2
    size(disk, used)
    wrong(chainrule("predict", "disk/run", "t.csv", "--out", "disk/p.csv"), "No space left on device: disk/p.csv")
    assert not (disk / "p.csv").exists()


def test_before_anything_is_trained(chainrule: Command, disk: Path) -> None:
    size(disk, 4)
    wrong(chainrule(*FIT), "No space left on device: disk/run")
    assert list(disk.iterdir()) == []
