"""The checks that read a run's record: each is silent on a healthy run and speaks up on a sick one."""

from typing import Any

import pytest

from chainrule import registry
from chainrule.doctor import examine
from chainrule.doctor.finding import Finding
from chainrule.training.events import Built, Epoch, Evaluated, Event, Finished, InitialLoss, Loaded, RateTest


def loaded(*, sizes: dict[str, int] | None = None, counts: dict[str, int] | None = None, **more: Any) -> Loaded:
    return Loaded(
        **{
            "name": "d",
            "inputs": {"kind": "image"},
            "target": {"kind": "classes", "names": ["a", "b"]},
            "sizes": sizes or {"train": 800, "valid": 100, "test": 100},
            "balance": {"train": counts or {"a": 400, "b": 400}},
            "duplicates": {},
            "notes": [],
            **more,
        }
    )


BUILT = Built(
    model="lenet5",
    paper="",
    parameters=1,
    preparation=[],
    task="classification",
    device="cpu",
    processes=1,
    versions={},
    command="",
    config={"augment": "auto", "epochs": None},
)


def epochs(train: list[float], valid: list[float]) -> list[Event]:
    """The epochs of a run with these losses, and its end."""
    events: list[Event] = []
    for number, (t, v) in enumerate(zip(train, valid, strict=True), start=1):
        best = v == min(valid[:number])
        events.append(
            Epoch(
                epoch=number,
                epochs=len(train),
                train={"loss": t},
                valid={"loss": v},
                best=best,
                rate=0.1,
                seconds=1.0,
                memory=1.0,
            )
        )
    end = Finished(reason="all epochs done", epoch=valid.index(min(valid)) + 1, monitor="valid loss", seconds=1.0)
    return [BUILT, *events, end]


def result(model: dict[str, float], constant: dict[str, float]) -> Evaluated:
    return Evaluated(split="test", metrics=model, baseline=constant)


def rate(suggestions: list[float], spread: float) -> RateTest:
    return RateTest(rates=[], losses=[], smoothed=[], suggestions=suggestions, rate=0.01, spread=spread, seconds=1.0)


SETTLED = [1.0, 0.6, 0.4, 0.31, 0.305, 0.30, 0.30, 0.30, 0.30, 0.30]
RUNS: list[tuple[str, str, list[Event]]] = [
    ("duplicates", "PASS", [loaded()]),
    ("duplicates", "WARN", [loaded(duplicates={"train/test": 3})]),
    ("duplicates", "FAIL", [loaded(duplicates={"train/test": 30})]),
    ("class-balance", "PASS", [loaded(counts={"a": 400, "b": 100})]),
    ("class-balance", "WARN", [loaded(counts={"a": 750, "b": 50})]),
    ("test-size", "PASS", [loaded()]),
    ("test-size", "WARN", [loaded(sizes={"train": 90, "valid": 10, "test": 20})]),
    ("initial-loss", "PASS", [InitialLoss(loss=2.4, untrained=2.303, constant=2.3)]),
    ("initial-loss", "WARN", [InitialLoss(loss=25.0, untrained=2.303, constant=2.3)]),
    ("initial-loss", "WARN", [InitialLoss(loss=0.2, untrained=2.303, constant=2.3)]),
    ("rate-test", "PASS", [rate([0.01, 0.012, 0.009], 1.2)]),
    ("rate-test", "WARN", [rate([0.001, 0.1], 10.0)]),
    ("rate-test", "WARN", [rate([], 1.0)]),
    ("better-than-constant", "PASS", [result({"loss": 0.2, "accuracy": 0.9}, {"loss": 0.69, "accuracy": 0.5})]),
    ("better-than-constant", "WARN", [result({"loss": 0.9, "accuracy": 0.7}, {"loss": 0.69, "accuracy": 0.5})]),
    ("better-than-constant", "FAIL", [result({"loss": 0.7, "accuracy": 0.5}, {"loss": 0.69, "accuracy": 0.5})]),
    ("better-than-constant", "FAIL", [result({"loss": 1.1, "r2": -0.1}, {"loss": 1.0, "r2": 0.0})]),
    ("overfitting", "PASS", epochs(SETTLED, SETTLED)),
    ("overfitting", "WARN", epochs(SETTLED, [1.0, 0.6, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0])),
    # Both losses rise: that is a rate too high, not too much freedom.
    ("overfitting", "PASS", epochs([1.0, 0.5, 0.4, 0.9, 1.2, 1.5], [1.0, 0.5, 0.4, 0.9, 1.2, 1.5])),
    ("still-falling", "PASS", epochs(SETTLED, SETTLED)),
    ("still-falling", "WARN", epochs(SETTLED, [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5])),
]


def finding(events: list[Event], check: str) -> Finding:
    return next(found for found in examine(events) if found.check == check)


@pytest.mark.parametrize(("check", "status", "events"), RUNS)
def test_a_check_tells_the_healthy_from_the_sick(check: str, status: str, events: list[Event]) -> None:
    found = finding(events, check)
    assert found.status == status
    assert found.sentence.endswith(".")
    assert bool(found.cause) == bool(found.remedy) == (status in ("WARN", "FAIL"))


def test_every_check_is_tried_here_and_silent_about_nothing() -> None:
    here = ("recorded_data", "recorded_training")
    rows = [row for row in registry.entries("check").values() if row.build.__module__.rpartition(".")[2] in here]
    assert {check for check, _, _ in RUNS} == {row.name for row in rows}
    assert examine([]) == []


def test_the_most_serious_comes_first() -> None:
    events = [*RUNS[2][2], *RUNS[15][2]]
    order = [found.status for found in examine(events) if not found.under]
    assert order == sorted(order, key=("FAIL", "WARN", "PASS", "SKIP").index)


def test_the_remedy_for_overfitting_fits_the_data() -> None:
    valid = [1.0, 0.6, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0]
    assert "--augment" in finding([loaded(), *epochs(SETTLED, valid)], "overfitting").remedy
    table = loaded(inputs={"kind": "vector"})
    assert "--weight-decay" in finding([table, *epochs(SETTLED, valid)], "overfitting").remedy
