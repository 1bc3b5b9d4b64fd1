"""Schedules: the closed forms of the course at every step, torch's own schedulers, the published values."""

import copy
import importlib.util
import json
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer, lr_scheduler

from chainrule import registry
from chainrule.errors import InputError, UnknownNameError
from chainrule.optim import Schedule, build_schedule, robbins_monro
from chainrule.optim.curves import (
    Factor,
    constant,
    cosine,
    exp_range,
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    multistep,
    noam,
    sgdr,
    step,
    triangular,
    triangular2,
)
from chainrule.optim.schedules import TORCH
from tests.house.source import ROOT

RATE, EPOCHS, STEPS = 0.4, 40, 7


def optimizer(rate: float = RATE) -> Optimizer:
    return SGD([nn.Parameter(torch.zeros(1))], lr=rate)


def walk(name: str, *, epochs: int = EPOCHS, steps: int = STEPS, metric: Callable[[int], float] = float) -> list[float]:
    """The rate of each step of a run."""
    moved, rates = optimizer(), []
    schedule = build_schedule(name, moved, rate=RATE, epochs=epochs, steps=steps)
    for epoch in range(epochs):
        for _ in range(steps):
            rates.append(float(moved.param_groups[0]["lr"]))
            moved.step()
            schedule.after_batch()
        schedule.after_epoch(metric(epoch))
    return rates


def restart(t: float, period: float, growth: float) -> tuple[float, float, int]:
    """Time since the restart, length of the period, number of restarts."""
    number = 0
    while t >= period:
        t, period, number = t - period, period * growth, number + 1
    return t, period, number


def cycle(t: float, s: float) -> tuple[int, float]:
    """Smith's cycle, counted from 1, and the height of the triangle."""
    number = math.floor(1 + t / (2 * s))
    return number, max(0.0, 1 - abs(t / s - 2 * number + 1))


def warmed(share: float, warmup: float, after: Callable[[float], float]) -> float:
    return share / warmup if share < warmup else after((share - warmup) / (1 - warmup))


def cosine_with_restarts(t: float) -> float:
    now, length, number = restart(t, 5, 2)
    high = 0.5**number
    return 0.1 + (high - 0.1) / 2 * (1 + math.cos(math.pi * now / length))


# The call, and the factor on the rate at the time t in epochs.
FORMS: dict[str, Callable[[float], float]] = {
    "constant": lambda t: 1.0,
    "constant(warmup=0.5)": lambda t: min(t / 20, 1.0),
    "linear": lambda t: warmed(t / EPOCHS, 0.05, lambda a: 1 - a),
    "linear(warmup=0, floor=0.01, over=30)": lambda t: (1 - min(t / 30, 1)) + min(t / 30, 1) * 0.01,
    "cosine": lambda t: warmed(t / EPOCHS, 0.05, lambda a: 0.5 * (1 + math.cos(math.pi * a))),
    "cosine(warmup=0)": lambda t: 0.5 * (1 + math.cos(math.pi * t / EPOCHS)),
    "cosine(warmup=0.2, floor=0.1)": lambda t: warmed(
        t / EPOCHS, 0.2, lambda a: 0.1 + 0.9 / 2 * (1 + math.cos(math.pi * a))
    ),
    "noam(warmup=0.1)": lambda t: min(t**-0.5, t * 4**-1.5) * 4**0.5,
    "step": lambda t: 0.1 ** math.floor(3 * t / EPOCHS),
    "step(every=6, factor=0.5)": lambda t: 0.5 ** math.floor(t / 6),
    "multistep": lambda t: 1.0 if t < 20 else 0.1 if t < 30 else 0.01,
    "multistep(at=(3, 10, 11), factor=0.5)": lambda t: 1.0 if t < 3 else 0.5 if t < 10 else 0.25 if t < 11 else 0.125,
    "exponential": lambda t: 0.01 ** (t / EPOCHS),
    "exponential(k=0.3)": lambda t: math.exp(-0.3 * t),
    "inverse_time(k=0.5)": lambda t: 1 / (1 + 0.5 * t),
    "inverse_sqrt(k=0.5)": lambda t: 1 / math.sqrt(1 + 0.5 * t),
    "inverse_sqrt(k=1)": lambda t: (t + 1) ** -0.5,
    "triangular(half=3, low=0.25)": lambda t: 0.25 + 0.75 * cycle(t, 3)[1],
    "triangular2(half=3, low=0.25)": lambda t: 0.25 + 0.75 * cycle(t, 3)[1] / 2 ** (cycle(t, 3)[0] - 1),
    "exp_range(half=3, low=0.25, gamma=0.9)": lambda t: 0.25 + 0.75 * cycle(t, 3)[1] * 0.9**t,
    "sgdr(period=5, floor=0.1, decay=0.5)": cosine_with_restarts,
    "sgdr(period=4, growth=1)": lambda t: 0.5 * (1 + math.cos(math.pi * (t % 4) / 4)),
}


@pytest.mark.parametrize("name", FORMS)
def test_each_step_has_the_rate_of_the_closed_form(name: str) -> None:
    # Those with a warm-up are read in the middle of a step, so that none has a rate of zero.
    shift = 0.5 if registry.parse(name).name in ("constant", "linear", "cosine", "noam") else 0.0
    times = [(done + shift) / STEPS for done in range(EPOCHS * STEPS)]
    assert walk(name) == pytest.approx([RATE * FORMS[name](t) for t in times], rel=1e-9, abs=1e-12)


def test_every_schedule_has_a_closed_form() -> None:
    assert {registry.parse(name).name for name in FORMS} | {"plateau"} == set(registry.entries("schedule"))


# Ours with the time in steps, and torch's with the same meaning.
PEERS: dict[str, tuple[Factor, Callable[[Optimizer], lr_scheduler.LRScheduler]]] = {
    "step": (step(every=4, factor=0.5), lambda o: lr_scheduler.StepLR(o, 4, gamma=0.5)),
    "multistep": (multistep(at=(3, 9)), lambda o: lr_scheduler.MultiStepLR(o, [3, 9])),
    "exponential": (exponential(k=0.2), lambda o: lr_scheduler.ExponentialLR(o, math.exp(-0.2))),
    "linear": (
        linear(over=10, warmup=0, floor=0.05),
        lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.05, total_iters=10),
    ),
    "cosine": (
        cosine(over=20, warmup=0, floor=0.25),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 20, eta_min=0.25 * RATE),
    ),
    "triangular": (
        triangular(half=3, low=0.25),
        lambda o: lr_scheduler.CyclicLR(o, 0.25 * RATE, RATE, step_size_up=3, cycle_momentum=False),
    ),
    "triangular2": (
        triangular2(half=3, low=0.25),
        lambda o: lr_scheduler.CyclicLR(o, 0.25 * RATE, RATE, step_size_up=3, mode="triangular2", cycle_momentum=False),
    ),
    "exp_range": (
        exp_range(half=3, low=0.25, gamma=0.9),
        lambda o: lr_scheduler.CyclicLR(
            o, 0.25 * RATE, RATE, step_size_up=3, mode="exp_range", gamma=0.9, cycle_momentum=False
        ),
    ),
    "sgdr": (
        sgdr(period=3, growth=2, floor=0.25),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, T_mult=2, eta_min=0.25 * RATE),
    ),
    "constant": (constant(over=10), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
}


@pytest.mark.parametrize("name", PEERS)
def test_it_is_that_of_torch(name: str) -> None:
    factor, make = PEERS[name]
    ours, theirs = optimizer(), optimizer()
    pair = [lr_scheduler.LambdaLR(ours, factor), make(theirs)]
    for _ in range(20):
        assert ours.param_groups[0]["lr"] == pytest.approx(float(theirs.param_groups[0]["lr"]), rel=1e-9, abs=1e-12)
        for moved, scheduler in zip((ours, theirs), pair, strict=True):
            moved.step()
            scheduler.step()


@pytest.mark.parametrize(("t", "rate"), [(0, 0.001), (1000, 0.0035), (2000, 0.006), (3000, 0.0035), (4000, 0.001)])
def test_published_values_of_the_cyclic_rate(t: int, rate: float) -> None:
    assert 0.006 * triangular(half=2000, low=0.001 / 0.006)(t) == pytest.approx(rate)


def test_triangle_of_the_course() -> None:
    assert [triangular(half=4, low=0)(t) for t in range(9)] == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]


@pytest.mark.parametrize("steps", [1, 3, 7, 60])
def test_restarts_come_after_10_30_70_and_150_epochs(steps: int) -> None:
    rates = walk("sgdr(period=10, growth=2)", epochs=152, steps=steps)
    highest = [done for done, rate in enumerate(rates) if rate == RATE]
    assert highest == [epoch * steps for epoch in (0, 10, 30, 70, 150)]
    for done in highest[1:]:
        assert rates[done - 1] < 0.03 * RATE  # just before it the rate is the lowest
    assert all(a > b for a, b in pairwise(rates) if b != RATE)  # and falls with each batch


@pytest.mark.parametrize("steps", [3, 7, 10, 30, 49])
def test_times_that_are_no_binary_fractions_are_met(steps: int) -> None:
    """Three steps of 0.1 epochs are 0.30000000000000004 of them in some orders, and 0.3 in others."""
    period = 1 / steps
    for done in range(1, 200):
        assert sgdr(period=3 * period, growth=1)(done / steps) == pytest.approx(
            0.5 * (1 + math.cos(math.pi * (done % 3) / 3)), abs=1e-6
        )
        assert step(every=3 * period, factor=0.5)(done / steps) == 0.5 ** (done // 3)
        assert multistep(at=[done * period])(done / steps) == 0.1


def test_noam_is_that_of_the_paper() -> None:
    """Vaswani et al., equation 3, with d = 512 and 4000 steps of warm-up; n is counted from 1."""
    factor, peak = noam(over=100_000, warmup=0.04), 512**-0.5 * 4000**-0.5
    for n in (1, 100, 3999, 4000, 4001, 100_000):
        assert peak * factor(n) == pytest.approx(512**-0.5 * min(n**-0.5, n * 4000**-1.5))


@pytest.mark.parametrize("name", ["constant(warmup=0.3)", "linear", "cosine", "noam"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (3, 2), (20, 50)])
def test_no_step_is_wasted_on_a_rate_of_zero(name: str, epochs: int, steps: int) -> None:
    rates = walk(name, epochs=epochs, steps=steps)
    assert min(rates) > 0
    assert max(rates) <= RATE


@pytest.mark.parametrize("name", sorted(registry.entries("schedule")))
def test_works_by_its_name_alone(name: str) -> None:
    rates = walk(name)
    assert all(0 <= rate <= RATE for rate in rates)
    assert max(rates) > 0.9 * RATE
    assert name == "constant" or min(rates) < 0.6 * RATE


def test_plateau_divides_when_the_metric_stops_falling() -> None:
    rates = walk("plateau(patience=2)", epochs=12, steps=2, metric=lambda epoch: max(1.0 - 0.2 * epoch, 0.4))
    by_epoch = rates[::2]
    assert rates[1::2] == by_epoch
    # The best is reached in the epoch 3 of 0, 1, ...; 4 and 5 are the patience, after 6 the rate falls.
    assert by_epoch == pytest.approx([RATE] * 7 + [RATE / 10] * 3 + [RATE / 100] * 2)
    floor = walk("plateau(patience=0, floor=0.5)", epochs=8, metric=lambda epoch: 1.0)
    assert min(floor) == pytest.approx(RATE / 2)


OPTIONS = {"CosineAnnealingWarmRestarts": "T_0=3", "ExponentialLR": "gamma=0.9", "MultiStepLR": "milestones=[2, 4]"}
OPTIONS |= {"StepLR": "step_size=2"}
NAMES = [*registry.entries("schedule"), *(f"{c.__name__}({OPTIONS.get(c.__name__, '')})" for c in TORCH.values())]


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_schedule_goes_on_alike(name: str) -> None:
    def made() -> tuple[Optimizer, Schedule]:
        moved = AdamW([nn.Parameter(torch.zeros(1))], lr=RATE)
        return moved, build_schedule(name, moved, rate=RATE, epochs=6, steps=4)

    def drive(moved: Optimizer, schedule: Schedule, epochs: range) -> list[float]:
        rates = []
        for epoch in epochs:
            for _ in range(4):
                moved.step()
                schedule.after_batch()
                rates.append(float(moved.param_groups[0]["lr"]))
            schedule.after_epoch(1.0 + epoch)
            rates.append(float(moved.param_groups[0]["lr"]))
        return rates

    moved, schedule = made()
    drive(moved, schedule, range(2))
    state = json.loads(json.dumps(schedule.state_dict()))
    weights = copy.deepcopy(moved.state_dict())
    other, resumed = made()
    other.load_state_dict(weights)
    resumed.load_state_dict(state)
    assert drive(other, resumed, range(2, 5)) == drive(moved, schedule, range(2, 5))


WRONG: dict[str, str] = {
    "step(every=0)": "every must be greater than 0; received 0",
    "step(every=-3)": "every must be greater than 0; received -3",
    "step(factor=2)": "factor must be greater than 0 and at most 1; received 2",
    "multistep(at=(5, 0))": "each time in at must be greater than 0; received 0",
    "exponential(k=-1)": "k must not be negative; received -1",
    "inverse_time(k=-1)": "k must not be negative",
    "inverse_sqrt(k=-1)": "k must not be negative",
    "linear(floor=-0.1)": "floor is a share of the highest rate, from 0 to 1; received -0.1",
    "linear(over=0)": "over must be greater than 0",
    "cosine(warmup=1)": "warmup is a share of the run",
    "cosine(floor=2)": "floor is a share of the highest rate",
    "noam(warmup=0)": "warmup is a share of the run, greater than 0",
    "triangular(half=0)": "half must be greater than 0",
    "triangular(low=-1)": "low is a share of the highest rate",
    "exp_range(gamma=1.5)": "gamma must be greater than 0 and at most 1",
    "sgdr(period=0)": "period must be greater than 0",
    "sgdr(growth=0.5)": "growth must be at least 1",
    "sgdr(decay=0)": "decay must be greater than 0",
    "plateau(factor=1)": "factor must be greater than 0 and less than 1",
    "plateau(patience=-1)": "patience must not be negative",
    "cosine(periods=3)": "no option of cosine named 'periods'",
    "StepLR": "StepLR does not work without 'step_size'",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_get_a_sentence(name: str) -> None:
    with pytest.raises(InputError, match=WRONG[name].replace("(", r"\(")):
        build_schedule(name, optimizer(), rate=RATE, epochs=EPOCHS, steps=STEPS)


@pytest.mark.parametrize(
    ("wrong", "sentence"), [({"rate": -0.1}, "learning rate"), ({"epochs": 0}, "at least one epoch")]
)
def test_wrong_runs_get_a_sentence(wrong: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build_schedule("cosine", optimizer(), **({"rate": RATE, "epochs": EPOCHS, "steps": STEPS} | wrong))


def test_unknown_schedules_name_the_nearest() -> None:
    for wrong, right in {"cosin": "cosine", "plateu": "plateau", "StepRL": "StepLR"}.items():
        with pytest.raises(UnknownNameError, match=f"did you mean '{right}'"):
            build_schedule(wrong, optimizer(), rate=RATE, epochs=EPOCHS, steps=STEPS)


@pytest.mark.parametrize(
    ("factor", "conditions"),
    [
        (inverse_time(k=0.01), (True, True)),
        (lambda t: (1 + t) ** -0.75, (True, True)),
        (lambda t: (1 + t) ** -1.1, (False, True)),
        (inverse_sqrt(k=1), (True, False)),
        (noam(over=1000), (True, False)),
        (constant(over=10), (True, False)),
        (exponential(k=0.1), (False, True)),
        (step(every=10), (False, True)),
        (linear(over=10, warmup=0, floor=0.1), (True, False)),
        (cosine(over=10, warmup=0), (False, True)),
        (triangular(half=7, low=0), (True, False)),
        (sgdr(), (True, False)),
    ],
)
def test_robbins_monro(factor: Factor, conditions: tuple[bool, bool]) -> None:
    assert robbins_monro(factor) == conditions


def test_each_schedule_is_drawn_on_the_page() -> None:
    spec = importlib.util.spec_from_file_location("draw_schedules", ROOT / "docs" / "draw_schedules.py")
    assert spec is not None
    assert spec.loader is not None
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    assert set(draw.CALLS) == set(registry.entries("schedule"))
    assert (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8") == draw.page(), "run docs/draw_schedules.py"
    for name in draw.CALLS:
        assert (ROOT / "docs" / "pictures" / f"schedule-{name}.svg").read_bytes().startswith(b"<?xml")
    assert draw.picture("cosine") == draw.picture("cosine")
