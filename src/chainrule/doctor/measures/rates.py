"""Controlled trials of the rate, of the optimizer's settings and of the batch: one thing changed, all else equal."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from chainrule.doctor.measures.scores import chance
from chainrule.doctor.measures.settings import rate_of, suspected
from chainrule.doctor.measures.trials import Trial, learn, peaked, training
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Pair, Program

#: Factors of the program's own rate, those that tell most first.
FACTORS = (1.0, 0.1, 10.0, 100.0, 0.01, 1000.0, 0.001)
#: What is tried beyond the last of them: where even that moves the loss by less than this share of itself, or where
#: even the least raises it.
FARTHER, STILL = (1e4, 1e5, 1e6), 0.1
#: Rates of a sound Adam beside it.
SOUND = (1e-3, 1e-2, 1e-4)
#: Steps of a short trial, the fewest that can be judged, and the samples of a batch of a program that is slow.
STEPS, FEWEST, SLOW = 40, 15, 16
#: Share of a probe's seconds for all short trials, and for one of full length.
SHORT, FULL = 0.8, 0.35
#: A program that gains this share of the way to a perfect score has nothing to gain by another rate or batch.
NEARLY = 0.95
#: A batch of so many samples is tiny, one of so many is tried instead; an epoch of so many steps has few.
TINY, MIDDLE, FEW = 2, 16, 4


@dataclass(frozen=True)
class Reached:
    """What a trial came to.

    Attributes:
        loss: Mean over the last quarter of its steps; infinite where it did not stay finite.
        score: Accuracy or R2 on training samples, NaN where it has no meaning.
        valid: The same on the validation samples; NaN after a short trial.
        steps: Steps that it took.
    """

    loss: float
    score: float
    valid: float
    steps: int


@dataclass(frozen=True)
class Rates:
    """Short trials from the same start on the same batches.

    Attributes:
        rate: The program's own rate, of its first group; NaN where it has no optimizer with one.
        start: Loss before training.
        chance: The best constant's score, NaN where that has no meaning.
        own: By factor of the program's own rate, what its own optimizer reached.
        sound: By rate, what Adam reached.
        steps: Steps of each.
    """

    rate: float
    start: float
    chance: float
    own: dict[float, Reached] = field(default_factory=dict)
    sound: dict[float, Reached] = field(default_factory=dict)
    steps: int = 0


def rates(probe: Probe) -> Rates:
    """Short trials of the program's own optimizer at several rates, and of a sound Adam.

    Args:
        probe: Of the program; where it is so slow that few steps fit into the time, the later trials are left out.
    """
    own = probe.measure(training)
    start = next(iter(own.losses), math.nan)
    rate, guess = rate_of(probe.program), chance(probe)
    if math.isnan(rate) or not own.ran or not own.losses:
        return Rates(rate, start, guess)
    begun, limit = time.thread_time(), SHORT * probe.seconds
    batches = _batches(probe, limit / (STEPS * (len(FACTORS) + len(SOUND))), own)
    tried: dict[float, Reached] = {}
    adam: dict[float, Reached] = {}
    changes: list[tuple[dict[float, Reached], float, Callable[[Program], Program]]] = [
        *((tried, factor, _faster(factor)) for factor in FACTORS[:4]),
        *((adam, other, _adam(other)) for other in SOUND[:2]),
        *((tried, factor, _faster(factor)) for factor in FACTORS[4:]),
        *((adam, other, _adam(other)) for other in SOUND[2:]),
    ]
    for results, key, change in changes:
        if not (found := _short(probe, change, batches, limit - (time.thread_time() - begun))):
            break
        results[key] = found
    else:
        for factor in _beyond(tried, start):
            if found := _short(probe, _faster(factor), batches, limit):
                tried[factor] = found
    return Rates(rate, start, guess, tried, adam, len(batches))


def neighbours(probe: Probe) -> dict[float, Reached]:
    """The program's own training at other rates, by factor: a tenth, ten times, and the best of the short trials.

    Args:
        probe: Of the program; there is nothing where its own training takes too long to be repeated, or learns nearly
            all there is.
    """
    short = probe.measure(rates)
    if not repeatable(probe) or not short.own or learned(probe):
        return {}
    best = min(short.own, key=lambda factor: short.own[factor].loss)
    return {factor: again(probe, _faster(factor)) for factor in {0.1, 10.0, best} - {1.0}}


def settled(probe: Probe) -> dict[str, Reached]:
    """The program's own training with one suspected setting of its optimizer made sound, by the setting's name.

    Args:
        probe: Of the program; short trials stand in where its own training takes too long to be repeated.
    """
    return {name: again(probe, _set(name, value)) for name, value in suspected(probe.program).items()}


def batched(probe: Probe) -> dict[int, Reached]:
    """The program's own training with the same samples in batches of other sizes, by size.

    Args:
        probe: Of the program. Larger batches are tried where a batch has one or two samples, smaller ones where an
            epoch has few steps.
    """
    sample, size = probe.sample, max(len(inputs) for inputs, _ in probe.sample.batches)
    if not repeatable(probe) or learned(probe):
        return {}
    passes = round(probe.measure(training).planned / len(sample.batches))
    others = [MIDDLE] if size <= TINY else [max(size // 8, 8)] if len(sample.batches) <= FEW and size >= 32 else []
    found = {}
    for other in others:
        cut = list(zip(sample.inputs.split(other), sample.targets.split(other), strict=True))
        found[other] = reached(vary(probe, _faster(1.0), [cut] * passes, seconds=FULL * probe.seconds, looks=2))
    return found


def full(probe: Probe) -> Reached:
    """What the program's own training came to.

    Args:
        probe: Of the program.
    """
    return reached(probe.measure(training))


def repeatable(probe: Probe) -> bool:
    """Whether the program's own training is quick enough to be repeated with something changed."""
    own = probe.measure(training)
    return own.ran and own.seconds < FULL * probe.seconds


def learned(probe: Probe) -> bool:
    """Whether the program's own training learns nearly all there is to learn of its samples.

    Args:
        probe: Of the program.
    """
    score, guess = probe.measure(full).score, chance(probe)
    return guess < 1 and (score - guess) / (1 - guess) >= NEARLY


def again(probe: Probe, change: Callable[[Program], Program]) -> Reached:
    """The program's own training with something changed; a short trial where the whole takes too long."""
    batches = probe.sample.batches
    if repeatable(probe):
        passes = max(1, round(probe.measure(training).planned / len(batches)))
        return reached(vary(probe, change, [batches] * passes, seconds=FULL * probe.seconds, looks=2))
    short = [list(itertools.islice(itertools.cycle(batches), STEPS))]
    return reached(vary(probe, change, short, seconds=FULL * probe.seconds, looks=0))


def vary(
    probe: Probe, change: Callable[[Program], Program], passes: list[list[Pair]], *, seconds: float, looks: int
) -> Trial:
    """A trial of a changed copy; what it draws is the same each time.

    Args:
        probe: Of the program.
        change: Changes a copy.
        passes: The batches of each pass.
        seconds: When it has to end.
        looks: After how many passes loss and scores are taken.
    """
    torch.manual_seed(0)
    return learn(probe, change(peaked(probe.copied())), passes, seconds=seconds, looks=looks)


def reached(trial: Trial) -> Reached:
    """What a trial came to."""
    tail = trial.losses[-max(len(trial.losses) // 4, 1) :]
    looked = trial.finite and bool(trial.epochs)
    return Reached(
        loss=sum(tail) / len(tail) if tail and trial.finite and trial.ran else math.inf,
        score=trial.end.train_score if looked else trial.tail,
        valid=trial.end.valid_score if looked else math.nan,
        steps=trial.steps,
    )


def _short(probe: Probe, change: Callable[[Program], Program], batches: list[Pair], seconds: float) -> Reached | None:
    """What a short trial reached; None where it ran out of time."""
    trial = vary(probe, change, [batches], seconds=seconds, looks=0)
    return None if trial.error.startswith("out of time") else reached(trial)


def _beyond(tried: dict[float, Reached], start: float) -> tuple[float, ...]:
    """Further factors, where the highest still hardly moves the loss, or the lowest still throws it about."""
    highest, lowest = tried[max(tried)].loss, tried[min(tried)].loss
    if abs(highest - tried[min(tried)].loss) < STILL * abs(start):
        return FARTHER
    return tuple(1 / factor for factor in FARTHER) if lowest > start + abs(start) else ()


def _faster(factor: float) -> Callable[[Program], Program]:
    def change(program: Program) -> Program:
        for group in program.optimizer.param_groups if program.optimizer else ():
            group["lr"] = group["lr"] * factor
        return program

    return change


def _set(name: str, value: Any) -> Callable[[Program], Program]:
    def change(program: Program) -> Program:
        for group in program.optimizer.param_groups if program.optimizer else ():
            if name in group:
                group[name] = bool(value) if name == "maximize" else value
        return program

    return change


def _adam(rate: float) -> Callable[[Program], Program]:
    def change(program: Program) -> Program:
        moved = (
            [weight for group in program.optimizer.param_groups for weight in group["params"]]
            if program.optimizer
            else []
        )
        return replace(
            program, optimizer=torch.optim.Adam([weight for weight in moved if weight.requires_grad], lr=rate)
        )

    return change


def _batches(probe: Probe, affordable: float, own: Trial) -> list[Pair]:
    """The batches of every short trial: smaller ones where a step takes longer than is affordable."""
    batches = probe.sample.batches
    if own.seconds / max(own.steps, 1) > 2 * affordable:
        batches = [(inputs[:SLOW], targets[:SLOW]) for inputs, targets in batches]
    steps = STEPS if own.seconds / max(own.steps, 1) < affordable else FEWEST
    return list(itertools.islice(itertools.cycle(batches), steps))
