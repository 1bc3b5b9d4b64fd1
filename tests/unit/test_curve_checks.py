"""The checks that read the curves of a record: silent on a healthy run, and on a sick one not."""

import math
from typing import Any

import pytest

from chainrule.doctor import examine
from chainrule.doctor.finding import Finding
from chainrule.training.events import Epoch, Event, Finished, Loaded, Step

FALLING = [1.0 * 0.8**epoch for epoch in range(12)]
RISING = [1 - 0.5 * 0.7**epoch for epoch in range(12)]


def run(
    losses: list[float],
    scores: list[float] | None = None,
    *,
    valid: list[float] | None = None,
    judged: list[float] | None = None,
    steps: list[float] | None = None,
    norms: list[float] | None = None,
    metric: str = "accuracy",
    samples: int = 200,
) -> list[Event]:
    """A run of two balanced classes with these curves; four steps an epoch, each with the epoch's loss."""
    scores = scores or [0.5] * len(losses)
    valid, judged = valid or losses, judged or scores
    target = {"kind": "classes" if metric == "accuracy" else "real", "names": ["a", "b"]}
    sizes = {"train": 800, "valid": samples, "test": samples}
    balance: dict[str, Any] = {"train": {"a": 400, "b": 400}}
    events: list[Event] = [
        Loaded(
            name="d", inputs={"kind": "vector"}, target=target, sizes=sizes, balance=balance, duplicates={}, notes=[]
        )
    ]
    each = steps or [loss for loss in losses for _ in range(4)]
    for number, loss in enumerate(each):
        norm = norms[number] if norms else 1.0
        events.append(
            Step(
                epoch=number // 4 + 1,
                step=number % 4 + 1,
                steps=4,
                phase="",
                loss=loss,
                rate=0.1,
                norm=norm,
                samples=200,
            )
        )
    for number, (loss, score, other, told) in enumerate(zip(losses, scores, valid, judged, strict=True), start=1):
        events.append(
            Epoch(
                epoch=number,
                epochs=len(losses),
                train={"loss": loss, metric: score},
                valid={"loss": other, metric: told},
                best=True,
                rate=0.1,
                seconds=1.0,
                memory=1.0,
            )
        )
    return [*events, Finished(reason="all epochs done", epoch=len(losses), monitor="valid loss", seconds=1.0)]


def finding(events: list[Event], check: str) -> Finding:
    return next(found for found in examine(events) if found.check == check)


HEALTHY = run(FALLING, RISING)
FLAT = [1.0] * 12
ZIGZAG = [1.0, 0.5, 1.2, 0.4, 1.3, 0.5, 1.2, 0.4, 1.3, 0.5, 1.2, 0.4]
SICK: list[tuple[str, str, list[Event]]] = [
    ("diverged", "FAIL", run([1.0, 0.9, 1.2, 1.6])),
    ("oscillation", "WARN", run(ZIGZAG)),
    ("rate-recorded", "WARN", run(FALLING, RISING, steps=[1.0] * 3 + [2.0] * 5 + [0.5] * 40)),
    ("rate-recorded", "WARN", run(FLAT, RISING)),
    ("gradient-norm", "WARN", run(FALLING, RISING, norms=[1e-9] * 48)),
    ("gradient-norm", "WARN", run(FALLING, RISING, norms=[1.0] * 20 + [2e3] + [1.0] * 27)),
    ("gradient-norm", "WARN", run(FALLING, RISING, norms=[10.0 ** (number / 10) for number in range(48)])),
    ("plateau-recorded", "WARN", run([1.0, 0.7] + [0.6] * 10, [0.5] + [0.7] * 11)),
    ("loss-without-score", "WARN", run(FALLING, [0.5] * 12)),
    ("chance", "FAIL", run(FALLING, [0.5] * 12)),
    ("fit-verdict", "WARN", run(FALLING, RISING, judged=[0.7] * 12)),
    ("fit-verdict", "WARN", run(FALLING, [0.6] * 12)),
    ("noisy-validation", "WARN", run(FALLING, RISING, valid=[1.0, 0.9, 0.8, *(0.5 + 0.4 * (n % 2) for n in range(9))])),
]


@pytest.mark.parametrize(("check", "status", "events"), SICK)
def test_a_check_tells_the_healthy_from_the_sick(check: str, status: str, events: list[Event]) -> None:
    assert finding(HEALTHY, check).status == "PASS"
    found = finding(events, check)
    assert found.status == status
    assert found.cause
    assert found.remedy
    assert found.sentence.endswith(".")


def test_a_gap_is_a_matter_of_how_many_samples_show_it() -> None:
    """0.84 against 0.7: on 200 samples that is 4.3 standard errors of sqrt(0.21 / 200), on 20 it is 1.4."""
    scores, judged = [0.84] * 12, [0.7] * 12
    assert finding(run(FALLING, scores, judged=judged, samples=200), "fit-verdict").status == "WARN"
    assert finding(run(FALLING, scores, judged=judged, samples=20), "fit-verdict").status == "PASS"


def test_bias_and_variance_have_their_own_remedies() -> None:
    assert "--weight-decay" in finding(run(FALLING, RISING, judged=[0.7] * 12), "fit-verdict").remedy
    assert "larger --model" in finding(run(FALLING, [0.6] * 12), "fit-verdict").remedy


def test_a_loss_that_falls_hundredfold_in_a_swing_is_no_oscillation() -> None:
    curve = [1.0, 0.9, 1.0, 0.8, 0.9, 0.7, 0.8, 0.5, 0.6, 0.3, 0.4, 0.1]
    assert finding(run(curve), "oscillation").status == "PASS"


def test_what_is_not_finite_is_found_at_its_step() -> None:
    """A record has None where a loss was not finite; no other check may stumble over it."""
    events = run(FALLING, RISING)
    lost = [event for event in events if isinstance(event, Step)][5]
    object.__setattr__(lost, "loss", None)
    for epoch in (event for event in events if isinstance(event, Epoch) and event.epoch > 1):
        epoch.train["loss"] = epoch.valid["loss"] = None  # type: ignore[assignment]
    found = finding(events, "diverged")
    assert (found.status, found.where) == ("FAIL", "epoch 2, step 2")


def test_a_run_that_broke_off_is_judged_by_its_steps() -> None:
    broken = [event for event in run([1.0, 50.0]) if isinstance(event, Step)]
    assert finding(list(broken), "diverged").status == "FAIL"
    assert finding([event for event in HEALTHY if isinstance(event, Step)], "diverged").status == "PASS"


def test_a_metric_without_a_known_constant_has_no_verdict_on_chance() -> None:
    events = [event for event in run(FALLING, RISING) if not isinstance(event, Loaded)]
    assert not [found for found in examine(events) if found.check in ("chance", "loss-without-score")]
    # The best constant has an R2 of 0 whatever the data.
    real = run(FALLING, [0.0] * 12, metric="r2")
    assert finding(real, "chance").evidence["constant"] == 0
    assert finding(real, "chance").status == "FAIL"


def test_noise_is_measured_against_the_neighbours() -> None:
    """A curve that alternates by d differs from the mean of its neighbours by d at each point."""
    valid = [1.0, 0.8, 0.6, *(0.4 + 0.1 * (n % 2) for n in range(9))]
    found = finding(run(FALLING, RISING, valid=valid), "noisy-validation")
    assert found.evidence["noise"] == pytest.approx(0.1 * math.sqrt(2 / 3), rel=0.1)
