"""A run that was killed and resumed is the run that was never interrupted, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from chainrule import api, storage
from chainrule.errors import InputError
from chainrule.run import Run
from chainrule.training.events import Epoch, Event, RateTest, Step

SETTINGS = {"epochs": 3, "batch": 200, "rate": 0.003, "augment": "crop, rotate, mixup", "checkpoint_every": 0.0}


class Small(nn.Module):
    """Dropout draws from the global generator, batch normalization has running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def small() -> Small:
    torch.manual_seed(3)
    return Small()


def without_clock(event: Event) -> Event:
    """The event, but for what a clock or the machine says."""
    fields = {name: 0.0 for name in ("seconds", "memory") if hasattr(event, name)}
    return type(event)(**{**vars(event), **fields})


def outcome(directory: Path) -> tuple[dict[str, torch.Tensor], list[Event]]:
    run = api.load_run(directory, model=small())
    return run.model.state_dict(), [without_clock(event) for event in run._record.events(steps=True)]


def same(one: Path, two: Path) -> None:
    (weights, events), (others, theirs) = outcome(one), outcome(two)
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert events[2:] == theirs[2:]  # the second event names the command, and so the directory's time
    assert api.load_run(one).test == api.load_run(two).test


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "run"
    api.fit("digits", model=small(), out=directory, **SETTINGS)
    return directory


@pytest.mark.parametrize("steps", [1, 5, 6, 7, 13, 18])
def test_a_run_that_is_stopped_anywhere_goes_on_as_if_it_had_not_been(whole: Path, tmp_path: Path, steps: int) -> None:
    job = api.begin("digits", model=small(), out=tmp_path / "run", **SETTINGS)
    stream = iter(job)
    seen = 0
    for event in stream:
        seen += isinstance(event, Step)
        if seen == steps:
            break
    stream.close()
    # Everything random is elsewhere by now, as it would be in another process.
    torch.rand(7)
    random.random()
    api.resume(tmp_path / "run", model=small())
    same(whole, tmp_path / "run")


def test_stopping_twice_is_as_good(whole: Path, tmp_path: Path) -> None:
    job = api.begin("digits", model=small(), out=tmp_path / "run", **SETTINGS)
    for _ in range(2):
        stream = iter(job)
        for event in stream:
            if isinstance(event, Step) and event.step == 4:
                break
        stream.close()
        job = api.proceed(tmp_path / "run", model=small())
    for _ in job:
        pass
    same(whole, tmp_path / "run")


COMMAND = [sys.executable, "-m", "chainrule"]
OPTIONS = ["--model", "mlp(dropout=0.3)", "--epochs", "8", "--checkpoint-every", "0.02", "--augment", "crop, shift"]


@pytest.mark.slow
def test_sigkill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    def start(*arguments: str) -> subprocess.Popen:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen([*COMMAND, *arguments, "--quiet"], cwd=tmp_path, env=environment)

    def kill_after_progress(process: subprocess.Popen, events: Path, pause: float) -> None:
        before = events.stat().st_mtime_ns if events.exists() else 0
        while process.poll() is None and (not events.exists() or events.stat().st_mtime_ns == before):
            time.sleep(0.002)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert start("fit", "digits", *OPTIONS, "--out", "whole").wait() == 0
    draw = random.Random(0)
    name, kills = "killed", 0
    process = start("fit", "digits", *OPTIONS, "--out", name)
    while kills < 6 and process.poll() is None:
        # At any moment: in the range test, in a step, while a checkpoint is written.
        kill_after_progress(process, tmp_path / name / "events.jsonl", draw.uniform(0, 0.3))
        kills += process.returncode == -signal.SIGKILL
        if not (tmp_path / name / "report.html").exists():
            process = start("resume", name)
    assert process.wait() in (0, -signal.SIGKILL)
    assert kills >= 3
    weights = [storage.read_tree(tmp_path / d / "model" / "weights.safetensors") for d in ("whole", name)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert api.load_run(tmp_path / "whole").test == api.load_run(tmp_path / name).test


def test_the_same_seed_gives_the_same_run_whatever_was_drawn_before(tmp_path: Path) -> None:
    settings = {"model": "mlp(dropout=0.5)", "epochs": 1, "augment": "crop, cutout"}
    runs = []
    for number in range(2):
        torch.manual_seed(number)
        random.seed(number)
        runs.append(api.fit("digits", out=tmp_path / str(number), **settings))
    first, second = (run.model.state_dict() for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert runs[0].test == runs[1].test
    other = api.fit("digits", out=tmp_path / "other", seed=1, **settings)
    assert other.test != runs[0].test


def test_the_range_test_changes_nothing_in_the_run_that_follows(tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 1}
    auto = api.fit("digits", model=small(), out=tmp_path / "auto", **{**settings, "rate": "auto"})
    found = next(event for event in auto.events if isinstance(event, RateTest))
    fixed = api.fit("digits", model=small(), out=tmp_path / "fixed", **{**settings, "rate": repr(found.rate)})
    first, second = auto.model.state_dict(), load(tmp_path / "fixed").model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert auto.test == fixed.test


def load(directory: Path) -> Run:
    return api.load_run(directory, model=small())


def test_early_stopping_keeps_the_best_weights_and_survives_an_interruption(tmp_path: Path) -> None:
    settings = {"epochs": 50, "rate": 0.5, "patience": 2, "batch": 300, "model": "linear", "augment": "none"}
    run = api.fit("digits", out=tmp_path / "whole", **settings)
    epochs = [event for event in run.events if isinstance(event, Epoch)]
    best = min(epochs, key=lambda event: event.valid["loss"])
    assert len(epochs) == best.epoch + 2 < 50
    job = api.begin("digits", out=tmp_path / "cut", **settings)
    stream = iter(job)
    for event in stream:
        if isinstance(event, Epoch) and event.epoch == len(epochs):
            break
    stream.close()
    resumed = api.resume(tmp_path / "cut")
    assert [e.epoch for e in resumed.events if isinstance(e, Epoch)] == [e.epoch for e in epochs]
    assert resumed.test == run.test


def test_what_cannot_be_resumed_gets_a_sentence(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is finished"):
        api.resume(whole, model=small())
    with pytest.raises(InputError, match="no such directory"):
        api.resume(tmp_path / "nothing")
    stream = iter(api.begin("digits", model=small(), out=tmp_path / "run", **SETTINGS))
    next(stream)
    stream.close()
    with pytest.raises(InputError, match=r"write resume\(directory, model=\.\.\.\)"):
        api.resume(tmp_path / "run")
    settings = storage.read_json(tmp_path / "run" / "config.json")
    storage.write_json(tmp_path / "run" / "config.json", {**settings, "fingerprint": "other"})
    with pytest.raises(InputError, match="is not what it was"):
        api.resume(tmp_path / "run", model=small())
    storage.write_json(tmp_path / "run" / "config.json", {**settings, "processes": 4})
    with pytest.raises(InputError, match="made by 4 processes"):
        api.resume(tmp_path / "run", model=small())
    with pytest.raises(InputError, match="exists and is not overwritten"):
        api.fit("digits", out=whole)
