"""``chainrule compare`` and ``chainrule tune``: what they print and leave behind, stopping, wrong input."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import r2_score

from chainrule import load_run
from chainrule.data import load
from tests.cli.conftest import Command, table

COMPARE = ("compare", "t.csv", "--target", "species", "--out", "study", "--jobs", "1")
TUNE = ("tune", "t.csv", "--target", "species", "--out", "study", "--jobs", "1", "--budget", "4s")


@pytest.fixture(autouse=True)
def files(place: Path) -> None:
    table().to_csv("t.csv", index=False)


def test_compare(chainrule: Command) -> None:
    code, out, err = chainrule(
        *COMPARE, "--models", "naive-bayes, mlp", "--seeds", "2", "--epochs", "2", "--rate", "0.01"
    )
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert len(re.findall(r"^trial   compare  seed \d  (naive-bayes|mlp): valid loss ", out, flags=re.M)) == 4
    assert re.search(r"^model +accuracy +± +seeds +seconds +MiB$", out, flags=re.M)
    assert re.search(r"^verdict .* has the best mean test accuracy, [\d.]+ ± ", out, flags=re.M)
    assert out.endswith("report  study/report.html\n")
    page = Path("study/report.html").read_text()
    assert "Ranks and critical difference" in page
    assert "Learning curves" in page
    code, out, _ = chainrule("report", "study")
    assert (code, Path("study/report.html").read_text()) == (0, page)
    code, _, err = chainrule("predict", "study", "t.csv")
    assert code == 2
    assert "keeps no final model" in err
    trial = next(Path("study/trials").iterdir())
    assert chainrule("predict", str(trial), "t.csv").code == 0


def test_compare_as_json(chainrule: Command) -> None:
    code, out, _ = chainrule(*COMPARE, "--models", "naive-bayes, knn", "--seeds", "0,4", "--ensemble", "--json")
    told = json.loads(out)
    assert code == 0
    assert {row["model"] for row in told["table"]} == {"naive-bayes", "knn", "ensemble"}
    assert {row["seed"] for row in told["ensembles"]} == {0, 4}
    assert len(told["pairs"]) == 3


def test_tune_estimators_and_predict(chainrule: Command) -> None:
    code, out, err = chainrule(*TUNE, "--model", "naive-bayes, knn")
    assert (code, err) == (0, "")
    assert re.search(r"^ +ensemble: Of \d+ candidates \d+ make the final model: ", out, flags=re.M)
    assert "next    chainrule predict study DATA" in out
    assert Path("study/best/report.html").stat().st_size > 10_000
    code, out, _ = chainrule("predict", "study", "t.csv")
    assert code == 0
    assert len(out.splitlines()) == len(pd.read_csv("t.csv")) + 1
    run = load_run("study")
    assert run.test["accuracy"] == load_run("study/best").test["accuracy"]
    again = chainrule("resume", "study")
    assert again.code == 0


def test_tune_real_numbers(chainrule: Command) -> None:
    words = ("tune", "diabetes", "--model", "ridge, knn", "--budget", "4s", "--jobs", "1", "--out", "study", "--json")
    code, out, _ = chainrule(*words)
    told = json.loads(out)
    assert code == 0
    run = load_run("study")
    assert run.test["r2"] == pytest.approx(told["test"]["ensemble"], abs=1e-5)
    assert 0.2 < run.test["r2"] < 0.8
    data = load("diabetes")
    assert r2_score(data.test.targets, run.predict(data.test.inputs)) == pytest.approx(run.test["r2"], abs=1e-5)


@pytest.mark.slow
def test_tune_a_network(chainrule: Command) -> None:
    code, out, _ = chainrule(*TUNE[:-1], "40s", "--model", "mlp(width=16)")
    assert code == 0
    for step in ("initial loss", "memorise", "rates", "grid", "longer", "curves", "ensemble"):
        assert re.search(rf"^ +{step}: ", out, flags=re.M), step
    page = Path("study/report.html").read_text()
    for part in ("The recipe", "Checks", "isolation-rate", "Learning curves", "Ensemble", "Cost"):
        assert part in page


def test_a_network_that_cannot_learn_is_said(chainrule: Command, place: Path) -> None:
    Path("stuck.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self, inputs, target):\n        super().__init__()\n"
        "        self.hidden = nn.Linear(inputs.shape[0], 30)\n"
        "        self.fc = nn.Linear(30, len(target.names))\n\n"
        "    def forward(self, x):\n        return self.fc((0 * self.hidden(x)).relu())\n"
    )
    code, out, _ = chainrule(*TUNE, "--model", "stuck:Net")
    assert code == 1
    assert "cannot learn this, so it is left out" in out
    assert not Path("study/best").exists()
    assert "There is no final model" in Path("study/report.html").read_text()


@pytest.mark.slow
def test_a_search_that_is_killed_and_resumed_tries_the_same(place: Path) -> None:
    command = [sys.executable, "-m", "chainrule", "tune", "t.csv", "--target", "species", "--model", "knn, svm"]
    options = ["--budget", "1h", "--quiet"]
    subprocess.run([*command, *options, "--out", "whole", "--jobs", "2"], check=True)
    cut = subprocess.Popen([*command, *options, "--out", "cut", "--jobs", "2"], stderr=subprocess.PIPE, text=True)
    journal = Path("cut/journal.jsonl")
    while not journal.exists() or journal.read_text().count("\n") < 15:
        time.sleep(0.05)
    cut.send_signal(signal.SIGINT)
    _, err = cut.communicate()
    assert cut.returncode == 130
    assert "Go on with: chainrule resume cut" in err
    subprocess.run([sys.executable, "-m", "chainrule", "resume", "cut", "--quiet"], check=True)

    def tried(study: str) -> list[tuple[str, str, float]]:
        notes = [json.loads(line) for line in Path(study, "journal.jsonl").read_text().splitlines()]
        rows = [note for note in notes if note["note"] == "Tried"]
        return sorted((row["trial"]["name"], row["trial"]["model"], row["valid"]["loss"]) for row in rows)

    assert tried("cut") == tried("whole")
    assert load_run("cut").test == load_run("whole").test


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("compare", "t.csv", "--target", "species", "--models", "knn, nope"), "nope"),
        (("compare", "t.csv", "--target", "species", "--models", "knn", "--seeds", "x"), "--seeds must be"),
        (("compare", "t.csv", "--models", "knn"), "Which column"),
        (("tune", "t.csv", "--target", "species", "--budget", "soon"), "10m"),
        (("tune", "t.csv", "--target", "species", "--model", "lenet5"), "takes images"),
        (("tune", "gone.csv", "--target", "species"), "gone.csv"),
        (("fit", "t.csv", "--target", "species", "--fold", "6/5"), "2/5"),
    ],
)
def test_wrong_input(chainrule: Command, words: tuple[str, ...], sentence: str) -> None:
    code, out, err = chainrule(*words)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not Path("runs").exists()
