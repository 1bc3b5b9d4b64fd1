"""``chainrule fit``: what it prints, what it leaves behind, one's own networks, and stopping it."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from chainrule import load_run
from chainrule.data.sources import folder
from tests.cli.conftest import FAST, Command, pictures, table

FIT = ("fit", "t.csv", "--target", "species", "--out", "run")
OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, target, *, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs.shape[0], width), nn.ReLU(), nn.LazyLinear(len(target.names)))

    def forward(self, x):
        return self.layers(x)
"""


@pytest.fixture(autouse=True)
def files(place: Path) -> None:
    table().to_csv("t.csv", index=False)


def test_one_line_an_epoch_and_no_control_characters(chainrule: Command) -> None:
    code, out, err = chainrule(*FIT, "--epochs", "3", "--rate", "0.01")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "\r" not in out
    assert len(re.findall(r"^epoch   \d/3  train loss .* valid loss .* rate .* s( \*)?$", out, flags=re.M)) == 3
    assert re.search(r"^data    t\.csv: 39 train, 9 valid, 12 test$", out, flags=re.M)
    assert re.search(r"^model   mlp: [\d,]+ parameters, classification, on \w+", out, flags=re.M)
    assert re.search(r"^verdict Test accuracy .* on only 12 samples", out, flags=re.M)
    assert out.endswith("report  run/report.html\npredict chainrule predict run DATA\n")
    assert Path("run/report.html").stat().st_size > 10_000


def test_quiet_prints_nothing(chainrule: Command) -> None:
    assert chainrule(*FIT, *FAST, "--quiet") == (0, "", "")


def test_json_is_one_object(chainrule: Command) -> None:
    code, out, err = chainrule(*FIT, *FAST, "--json")
    outcome = json.loads(out)
    assert (code, err) == (0, "")
    assert outcome["run"] == "run"
    assert outcome["test"] == load_run("run").test
    assert {finding["status"] for finding in outcome["findings"]} <= {"PASS", "WARN", "FAIL", "SKIP"}


def test_the_rate_is_found_and_runs_are_numbered(chainrule: Command) -> None:
    for _ in range(2):
        outcome = chainrule("fit", "t.csv", "--target", "species", "--epochs", "1")
        assert re.search(r"^rate    [\d.e-]+ \(range test, ", outcome.out, flags=re.M)
    assert sorted(os.listdir("runs")) == ["t.csv-mlp-1", "t.csv-mlp-2"]


@pytest.mark.parametrize(
    "options",
    [
        "--ordered day --group patient --categorical wings",
        "--kind classes --balance --label-smoothing 0.1 --monitor accuracy --patience 1",
        "--optimizer lbfgs --schedule constant",
        "--schedule OneCycleLR --clip 1",
        "--schedule ReduceLROnPlateau --weight-decay 0.1 --optimizer sgd(momentum=0.9,nesterov=True)",
        "--precision bf16 --accumulate 4 --workers 0 --clip-value 1",
        "--model linear --fractions 0.5,0.2,0.3 --seed 7 --missing north",
    ],
)
def test_options(chainrule: Command, options: str) -> None:
    outcome = chainrule(*FIT, *FAST, "--quiet", *options.split())
    assert (outcome.code, outcome.err) == (0, "")
    assert 0 <= load_run("run").test["accuracy"] <= 1


@pytest.mark.parametrize(
    "options",
    ["--augment crop,rotate,mixup", "--augment none --size 16", "--model resnet20", "--model linear", "--model mlp"],
)
def test_images(chainrule: Command, place: Path, options: str) -> None:
    pictures(place / "images")
    outcome = chainrule("fit", "images", "--out", "run", *FAST, "--quiet", *options.split())
    assert (outcome.code, outcome.err) == (0, "")
    assert load_run("run").predict("images").shape == (20,)


@pytest.mark.slow
def test_images_that_are_streamed_train_as_those_in_memory(
    chainrule: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(place / "images", each=150)
    assert chainrule("fit", "images", "--out", "memory", *FAST, "--quiet").code == 0
    monkeypatch.setattr(folder, "MEMORY_BUDGET", 1000)
    streamed = chainrule("fit", "images", "--out", "streamed", *FAST, "--workers", "0")
    assert streamed.code == 0
    assert "do not fit in memory and are read from disk" in streamed.out
    assert load_run("streamed").test == load_run("memory").test


def test_a_network_of_the_working_directory(chainrule: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("mine.py").write_text(OWN)
    assert chainrule(*FIT, *FAST, "--quiet", "--model", "mine:Net(width=3)") == (0, "", "")
    monkeypatch.delitem(sys.modules, "mine")
    predicted = chainrule("predict", "run", "t.csv")
    assert (predicted.code, len(predicted.out.splitlines())) == (0, 61)


def test_the_command_in_the_record_does_it_again(chainrule: Command) -> None:
    assert chainrule(*FIT, *FAST, "--quiet", "--clip", "1").code == 0
    built = next(event for event in load_run("run").events if hasattr(event, "command"))
    words = built.command.split()
    assert words[:2] == ["chainrule", "fit"]
    assert chainrule(*words[1:], "--out", "again", "--quiet").code == 0
    assert load_run("again").test == load_run("run").test


def weights(run: str) -> dict[str, torch.Tensor]:
    """The best weights of a run."""
    return load_run(run).model.state_dict()


def start(out: str, epochs: int, *options: str) -> subprocess.Popen[str]:
    """Begin a run in a process of its own."""
    command = [sys.executable, "-m", "chainrule", *FIT[:-1], out, "--epochs", str(epochs), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_signal_stops_a_run_that_then_goes_on(chainrule: Command) -> None:
    with start("run", 60, "--rate", "0.01") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("epoch   3/"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == [
        "Stopping after this step; once more stops at once.",
        "Stopped, nothing is lost. Go on with: chainrule resume run",
    ]
    assert not Path("run/report.html").exists()
    assert chainrule("resume", "run", "--quiet") == (0, "", "")
    assert chainrule(*FIT[:-1], "whole", "--epochs", "60", "--rate", "0.01", "--quiet").code == 0
    assert load_run("run").test == load_run("whole").test
    assert all(torch.equal(a, b) for a, b in zip(weights("run").values(), weights("whole").values(), strict=True))


@pytest.mark.slow
def test_a_signal_before_the_first_step_stops_at_once() -> None:
    with start("run", 2, "--model", "mlp(width=2000, depth=4)") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("model"))
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == "Stopped before the training began. Go on with: chainrule resume run\n"


def test_a_reader_that_goes_away() -> None:
    with start("run", 200, "--rate", "0.01") as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("epoch   1/"))
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert process.returncode == 1
    assert err == ("Stopped, because nobody reads the output; nothing is lost. Go on with: chainrule resume run\n")
    assert Path("run/checkpoint/state.safetensors").exists()


def test_a_terminal_shows_one_line_that_moves() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "chainrule", *FIT, "--epochs", "12", "--rate", "0.01"]
    size = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=size) as process:
        os.close(theirs)
        shown = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert process.returncode == 0
    assert re.search(r"epoch \d+/12 batch \d/3 loss [\d.]+ valid accuracy [\d.]+ rate [\d.e-]+ ", text)
    assert max(len(line) for line in re.split(r"[\r\n]+", text)) <= 80
    assert "epoch   1/12" not in text
