"""``chainrule check``: data, runs, wrong input; what it prints and its exit code."""

import json
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import InputError, UnknownNameError
from tests.cli.conftest import Command
from tests.cli.test_wrong_input import wrong

FAST = ("--epochs", "3", "--rate", "0.01", "--seconds", "2")


def test_of_data_that_is_sound(chainrule: Command, place: Path) -> None:
    done = chainrule("check", "iris", *FAST, "--all")
    assert done.code == 0
    assert "PASS  input-scale" in done.out
    assert "0 failed" in done.out
    assert list(place.iterdir()) == []  # nothing is written


def test_of_a_program_that_is_sick_as_json(chainrule: Command, place: Path) -> None:
    done = chainrule("check", "iris", "--epochs", "30", "--rate", "1e-7", "--seconds", "2", "--json")
    said = json.loads(done.out)
    assert done.code == 1
    assert said["failed"] == sum(finding["status"] == "FAIL" for finding in said["findings"])
    first = said["findings"][0]
    # How much is tried depends on the time; that nothing is learned shows in any.
    assert (first["status"], first["under"]) == ("FAIL", "")
    assert {"rate-too-low", "stuck-at-chance"} & {finding["check"] for finding in said["findings"]}


def test_of_a_run(chainrule: Command, trained: Path, place: Path) -> None:
    run = next(path for path in trained.iterdir() if (path / "events.jsonl").exists())
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = chainrule("check", str(run), "--json")
    assert {finding["check"] for finding in json.loads(done.out)["findings"]} >= {"initial-loss", "class-balance"}
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("check", "irris"), "iris"),
        (("check", "iris", "--seconds", "0"), "seconds must be greater than 0"),
        (("check", "iris", "--model", "svm"), "svm is an estimator"),
        (("check", "iris", "--rate", "fast"), "rate must be a number"),
    ],
)
def test_wrong_input(chainrule: Command, place: Path, words: tuple[str, ...], sentence: str) -> None:
    wrong(chainrule(*words), sentence)


def test_a_run_has_its_own_settings(chainrule: Command, trained: Path) -> None:
    run = next(path for path in trained.iterdir() if (path / "events.jsonl").exists())
    wrong(chainrule("check", str(run), "--rate", "0.1"), "is a run, whose settings are in its record")


def test_wrong_arguments_in_python() -> None:
    import torch
    from torch import nn

    batches, model = [(torch.randn(4, 2), torch.zeros(4).long())], nn.Linear(2, 2)
    loss, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1)
    own = {"model": model, "loss": loss, "optimizer": optimizer, "batches": batches}
    for change, sentence in (
        ({"model": "mlp"}, "model has to be a torch module"),
        ({"loss": "mse"}, "loss has to be a function"),
        ({"optimizer": "adam"}, "optimizer has to be a torch optimizer"),
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"rate": 0.1}, "rate is a setting of fit"),
        ({"source": "iris"}, "Both data and batches"),
        ({"batches": iter(batches)}, "an iterator"),
        ({"batches": []}, "no batch"),
        ({"batches": [torch.ones(3)]}, "a pair of tensors"),
    ):
        with pytest.raises(InputError, match=sentence):
            cr.check(**{**own, **change})
    with pytest.raises(InputError, match="nothing to check"):
        cr.check()
    with pytest.raises(InputError, match="valid and train belong"):
        cr.check("iris", valid=batches)
    with pytest.raises(UnknownNameError, match="epochs"):
        cr.check("iris", epoch=3)


def test_arrays_are_data() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    findings = cr.check((x, (x[:, 0] > 0).astype(int)), epochs=3, rate=0.01, seconds=0.5)
    assert {"runs", "input-scale"} <= {finding.check for finding in findings if finding.status == "PASS"}
