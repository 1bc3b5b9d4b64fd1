"""Studies: the journal, what is not done twice, stopping and going on."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

import chainrule as cr
from chainrule import api
from chainrule.config import configure
from chainrule.errors import InputError
from chainrule.job import load_data
from chainrule.study.asking import asked_for, seconds_of
from chainrule.study.comparing import Comparison
from chainrule.study.events import Note, Trial, Tried, from_json, to_json
from chainrule.study.study import StoppedError, Study
from chainrule.training.events import Epoch

SETTINGS = {"rate": "0.01", "epochs": 3}


def study(directory: Path, **settings: Any) -> Study:
    data = load_data("iris", configure(settings))
    asked = asked_for("compare", "iris", data, jobs=1, settings=settings, models=["mlp"], words={})
    return Study.create(directory, "iris", asked)


def last(notes: Generator[Note, None, Any]) -> Any:
    """Read all notes; gives what the generator returns."""
    while True:
        try:
            next(notes)
        except StopIteration as end:
            return end.value


def names(study: Study) -> list[tuple[str, int | None]]:
    return [one.trial.key for one in study.tried]


def test_a_note_comes_back_from_its_line() -> None:
    trial = Trial(name="a", step="grid", model="mlp", settings={"rate": "0.1"}, until=3)
    note = Tried(trial=trial, valid={"loss": 0.5}, rate=0.1, elapsed=2.0)
    assert from_json(json.loads(json.dumps(to_json(note)))) == note


def test_a_trial_is_a_run_with_its_outputs(tmp_path: Path) -> None:
    one = study(tmp_path / "s")
    trial = Trial(name="t", step="x", model="mlp", settings=SETTINGS)
    (tried,) = last(one.try_all([trial]))
    run = one.run(trial)
    assert isinstance(tried, Tried)
    assert tried.epochs == 3
    assert tried.valid == next(e for e in run.events if isinstance(e, Epoch) and e.epoch == tried.epoch).valid
    outputs, data = one.outputs(trial), cr.data.load("iris")
    for split in ("valid", "test"):
        assert outputs[split].shape == (len(data.splits[split]), 3)
    right = (outputs["test"].argmax(1) == data.test.targets).double().mean()
    assert right.item() == pytest.approx(run.test["accuracy"])
    assert not (run.directory / "report.html").exists()
    assert api.write_report(run.directory).exists()


def test_a_paused_trial_goes_on_bit_for_bit(tmp_path: Path) -> None:
    one = study(tmp_path / "s")
    whole = Trial(name="whole", step="x", model="mlp", settings=SETTINGS)
    paused = Trial(name="paused", step="x", model="mlp", settings=SETTINGS, until=1)
    assert last(one.try_all([paused]))[0].epochs == 1
    assert last(one.try_all([Trial(name="paused", step="x", model="mlp", settings=SETTINGS)]))[0].epochs == 3
    last(one.try_all([whole]))
    first, second = (one.run(trial).model.state_dict() for trial in (whole, paused))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_the_journal_knows_is_not_done_again(tmp_path: Path) -> None:
    one = study(tmp_path / "s")
    trials = [Trial(name=f"t{n}", step="x", model="mlp", settings={**SETTINGS, "seed": n}) for n in (0, 1)]
    first = last(one.try_all(trials))
    assert last(one.once("found", lambda: {"value": 1})) == {"value": 1}
    last(one.decide("x", "Go on.", why=2))
    elapsed = one.elapsed
    again = Study.open(tmp_path / "s")
    assert last(again.try_all(trials)) == first
    assert last(again.once("found", lambda: pytest.fail("It was known."))) == {"value": 1}
    last(again.decide("x", "Another sentence."))
    assert [note.sentence for note in again.decisions] == ["Go on."]
    assert again.elapsed == elapsed
    assert (tmp_path / "s" / "journal.jsonl").read_text().count("\n") == 4


def test_a_trial_that_fails_is_a_result(tmp_path: Path) -> None:
    one = study(tmp_path / "s")
    wild = Trial(name="wild", step="x", model="mlp", settings={"rate": "1e30", "epochs": 2, "optimizer": "sgd"})
    (tried,) = last(one.try_all([wild]))
    assert "The loss became" in tried.error
    assert tried.valid == {}


def test_a_limit_cuts_the_epochs(tmp_path: Path) -> None:
    one = study(tmp_path / "s")
    (tried,) = last(one.try_all([Trial(name="t", step="x", model="mlp", settings={"rate": "0.01"}, limit=0.5)]))
    assert 1 <= tried.epochs < 200
    assert not list((tmp_path / "s" / "trials").glob("*.pace"))


def test_a_trial_ends_at_the_deadline(tmp_path: Path) -> None:
    one = study(tmp_path / "s")
    one.asked["deadline"] = 0.3
    late = Trial(name="late", step="x", model="mlp", settings={"rate": "0.01", "epochs": 10_000})
    (tried,) = last(one.try_all([late]))
    assert tried.error == "The time was up before it came to its end."


def test_a_half_written_line_is_cut_off_and_a_damaged_one_refused(tmp_path: Path) -> None:
    one = study(tmp_path / "s")
    last(one.decide("x", "Go on."))
    path = tmp_path / "s" / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"note": "Dec')
    assert len(Study.open(tmp_path / "s").notes) == 1
    assert path.read_bytes() == whole
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(InputError, match="line 1"):
        Study.open(tmp_path / "s")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="not overwritten"):
        study(tmp_path / "s")
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["mine.txt"]


def test_stopped_in_a_trial_and_resumed(tmp_path: Path) -> None:
    """A comparison that is stopped in the middle of a training ends as one that was not."""
    options: dict[str, Any] = {"models": "mlp, knn", "seeds": 2, "jobs": 1, "epochs": 4, "rate": 0.01}
    whole = api.begin_compare("iris", out=tmp_path / "whole", **options)
    list(whole)
    cut = api.begin_compare("iris", out=tmp_path / "cut", **options)
    cut.study.stop()
    with pytest.raises(StoppedError):
        list(cut)
    job = api.proceed_with(tmp_path / "cut")
    for note in job:
        if isinstance(note, Tried):
            break  # and killed after the first trial
    found = cr.resume(tmp_path / "cut")
    assert isinstance(found, Study)
    assert names(found) == names(whole.study)
    for one, other in zip(found.tried, whole.study.tried, strict=True):
        assert one.valid == other.valid
        first, second = found.run(one.trial), whole.study.run(other.trial)
        assert first.test == second.test
    assert (tmp_path / "cut" / "report.html").exists()


def test_changed_data_is_noticed(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": range(60), "b": [i % 7 for i in range(60)], "y": [i % 2 for i in range(60)]})
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    cr.compare(str(path), target="y", models="knn", seeds=1, jobs=1, out=tmp_path / "s")
    frame.assign(a=5).to_csv(path, index=False)
    with pytest.raises(InputError, match="not what it was"):
        cr.resume(tmp_path / "s")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), (30, 30), ("1.5m", 90)])
def test_times(text: str | float, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-5", "ten", "1d", "inf", "nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InputError, match="10m"):
        seconds_of(text)


def test_a_comparison_of_two(tmp_path: Path) -> None:
    models = ["lda", "naive-bayes"]
    found = cr.compare("wine", models=models, seeds=[3, 5, 8], jobs=1, ensemble=True, out=tmp_path / "s")
    assert isinstance(found, Comparison)
    assert set(found.scores) == {"lda", "naive-bayes", "ensemble"}
    assert set(found.scores["lda"]) == {3, 5, 8}
    for seed in (3, 5, 8):
        run = cr.fit("wine", model="lda", seed=seed, out=tmp_path / f"alone-{seed}")
        assert run.test["accuracy"] == pytest.approx(found.scores["lda"][seed], abs=1e-6)
    assert len(found.pairs) == 3
    assert all(pair.test.splits == 3 for pair in found.pairs)
    assert "lda" in found.verdict or "naive-bayes" in found.verdict
    assert found.study.tried[0].memory > 10


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"models": ""}, "models must be names"),
        ({"models": "knn, knn"}, "each of them once"),
        ({"models": "knn, nope"}, "nope"),
        ({"models": "lenet5"}, "takes images"),
        ({"models": "knn", "seeds": 0}, "seeds must be"),
        ({"models": "knn", "seeds": [1, 1]}, "seeds must be"),
        ({"models": "knn", "seed": 3}, "seeds instead"),
        ({"models": "knn", "jobs": 0}, "jobs must be"),
        ({"models": "knn", "budget": "soon"}, "10m"),
        ({"models": "knn", "epoch": 3}, "epochs"),
    ],
)
def test_wrong_input_of_compare(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        cr.compare("wine", out=tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()
