"""A run's directory damaged in each of its files: a sentence says which, and what is still usable; nothing is lost."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chainrule.api import begin, load_run
from chainrule.errors import InputError
from chainrule.training.events import Epoch
from tests.cli.conftest import Command
from tests.cli.test_wrong_input import wrong

Harm = Callable[[Path], object]
HARMS: dict[str, Harm] = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbled": lambda path: path.write_bytes(bytes(range(128, 256)) * (path.stat().st_size // 128 + 1)),
    "replaced": lambda path: path.write_text("[1, 2]\n"),
}
CONFIG, EVENTS, STATE = "config.json", "events.jsonl", "checkpoint/state.safetensors"
MODEL, WEIGHTS = "model/model.json", "model/weights.safetensors"


@pytest.fixture(scope="session")
def stopped(trained: Path) -> Path:
    """A run that was stopped in its fourth epoch."""
    settings = {"target": "species", "epochs": 6, "rate": 0.01, "batch": 16}
    stream = iter(begin(trained / "table.csv", out=trained / "stopped", **settings))
    for event in stream:
        if isinstance(event, Epoch) and event.epoch == 3:
            break
    stream.close()
    return trained / "stopped"


@pytest.fixture
def half(stopped: Path, place: Path) -> Path:
    """A run of one's own that was stopped, in the working directory."""
    return Path(shutil.copytree(stopped, place / "half")).relative_to(place)


harmed = pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)


@harmed
@pytest.mark.parametrize("name", [CONFIG, EVENTS, STATE, WEIGHTS])
def test_resume_names_the_file_and_touches_nothing(chainrule: Command, half: Path, name: str, harm: Harm) -> None:
    harm(half / name)
    kept = {path: path.read_bytes() for path in half.rglob("*") if path.is_file() and path != half / EVENTS}
    wrong(chainrule("resume", "half", "-q"), str(half / name))
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file() and path != half / EVENTS} == kept


@harmed
def test_resume_makes_a_damaged_description_of_the_model_again(chainrule: Command, half: Path, harm: Harm) -> None:
    whole = (half / MODEL).read_text()
    harm(half / MODEL)
    assert chainrule("resume", "half", "-q") == (0, "", "")
    assert (half / MODEL).read_text() == whole


@harmed
@pytest.mark.parametrize("name", [CONFIG, EVENTS, STATE])
def test_prediction_needs_the_model_only(chainrule: Command, half: Path, trained: Path, name: str, harm: Harm) -> None:
    harm(half / name)
    assert chainrule("predict", "half", str(trained / "table.csv")).code == 0


@harmed
@pytest.mark.parametrize("name", [MODEL, WEIGHTS])
def test_prediction_without_a_model(chainrule: Command, run: Path, name: str, harm: Harm) -> None:
    harm(run / name)
    wrong(chainrule("predict", "run", "table.csv"), str(run / name))


@harmed
def test_a_page_is_not_replaced_by_less(chainrule: Command, run: Path, harm: Harm) -> None:
    page = (run / "report.html").read_bytes()
    harm(run / EVENTS)
    wrong(chainrule("report", "run"), str(run / EVENTS))
    assert (run / "report.html").read_bytes() == page


@harmed
def test_the_page_is_made_from_the_events_alone(chainrule: Command, run: Path, harm: Harm) -> None:
    page = (run / "report.html").read_bytes()
    for name in ("findings.json", "report.html", CONFIG, STATE, MODEL, WEIGHTS):
        harm(run / name)
    assert chainrule("report", "run") == (0, "run/report.html\n", "")
    assert (run / "report.html").read_bytes() == page
    assert load_run("run").findings


@harmed
def test_findings_say_how_to_make_them_again(run: Path, harm: Harm) -> None:
    harm(run / "findings.json")
    with pytest.raises(InputError, match=r"findings\.json.*chainrule report run"):
        load_run("run").findings  # noqa: B018


def test_a_page_on_the_way_does_not_end_the_run(chainrule: Command, half: Path) -> None:
    assert chainrule("report", "half").code == 0
    assert chainrule("resume", "half", "-q") == (0, "", "")
    assert len([event for event in load_run("half").events if isinstance(event, Epoch)]) == 6
    wrong(chainrule("resume", "half"), "is finished", "chainrule report half")
