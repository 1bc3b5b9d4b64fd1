"""The command line called within the test's process, data to call it on, and runs to ask."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chainrule.cli import main

FAST = ("--epochs", "2", "--rate", "0.01")


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def chainrule(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Call the command line with some arguments."""

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["chainrule", *arguments])
        monkeypatch.setattr(sys, "path", [*sys.path])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Outcome(end.value.code or 0, *capfd.readouterr())

    return call


def table(rows: int = 60) -> pd.DataFrame:
    """Two classes that one column tells apart, beside columns of other kinds."""
    rng = np.random.default_rng(0)
    kind = np.arange(rows) % 2
    return pd.DataFrame(
        {
            "size": np.round(rng.normal(size=rows) + 4 * kind, 3),
            "shade": np.round(rng.normal(size=rows), 3),
            "site": np.array(["north", "south", "west"])[np.arange(rows) % 3],
            "patient": np.arange(rows) // 4,
            "day": pd.date_range("2024-01-01", periods=rows).strftime("%Y-%m-%d"),
            "wings": kind,
            "legs": (np.arange(rows) % 3 == 0).astype(int),
            "species": np.array(["ant", "bee"])[kind],
        }
    )


def pictures(folder: Path, each: int = 10) -> Path:
    """Dark ants and light bees."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("ant", "bee")):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            pixels = rng.integers(120 * number, 120 * number + 60, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished runs: ``classes``, ``labels``, ``real`` and ``images``, beside the data that they learned from."""
    from chainrule import fit

    root = tmp_path_factory.mktemp("trained")
    table().to_csv(root / "table.csv", index=False)
    pictures(root / "pictures")
    settings = {"epochs": 2, "rate": 0.01, "batch": 16}
    fit(root / "table.csv", target="species", group="patient", out=root / "classes", **settings)
    fit(root / "table.csv", target="wings,legs", out=root / "labels", **settings)
    fit(root / "table.csv", target="size", out=root / "real", **settings)
    fit(root / "pictures", out=root / "images", **settings)
    return root


@pytest.fixture
def run(trained: Path, place: Path) -> Path:
    """A finished run of one's own, in the working directory: ``run``, beside its ``table.csv``."""
    shutil.copy(trained / "table.csv", place)
    return Path(shutil.copytree(trained / "classes", place / "run")).relative_to(place)
