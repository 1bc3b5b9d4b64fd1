"""The learning-rate range test.

Smith 2017, Cyclical learning rates for training neural networks, section 3.3.

A copy of the model is trained on the run's own first batches while the rate rises exponentially; the loss is smoothed
over log(rate). The suggestion of one sweep is the rate at which the loss falls fastest per factor of the rate. Several
sweeps over different batches give its spread.

Differs from the paper: the sweep is exponential and decided on log(rate), where the slope against the rate itself
favours the smallest ones; it ends where the loss has risen above its start by as much as it had fallen (and by more
than the noise), a criterion that does not change when the loss is shifted or scaled, so it holds for negative losses
as well. It works on copies and puts the random generators back: the run after it is the run without it.
"""

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from chainrule import seeding
from chainrule.data.batches import Batch, Batches
from chainrule.tasks import AbstractTask
from chainrule.training.events import RateTest
from chainrule.training.machine import Machine

LOWEST, HIGHEST, STEPS, REPEATS = 1e-6, 10.0, 100, 3
#: Rate taken when no sweep shows a falling loss, and none diverges.
FALLBACK = 1e-3
#: Width (standard deviation) of the Gaussian that smooths the losses, in steps of the sweep.
SMOOTH = 3.0
#: Steps at the start of a sweep whose mean is the loss that the sweep began with.
START = 10

#: From a network, a phase of the task and a rate.
MakeOptimizer = Callable[[nn.Module, str, float], torch.optim.Optimizer]


def range_test(
    model: nn.Sequential,
    task: AbstractTask,
    batches: Callable[[int], Batches],
    make_optimizer: MakeOptimizer,
    machine: Machine,
    *,
    seed: int = 0,
    clip: float | None = None,
) -> RateTest:
    """Find a learning rate; leaves no trace in the model, the optimizer, the sampler or any random generator.

    Args:
        model: ``Sequential(preparation, network, output)``; it is copied for each sweep.
        task: The task; its first phase is tested.
        batches: Gives the training batches of a repeat, whole (not shared among processes).
        make_optimizer: Builds the run's optimizer for a network, a phase and a rate.
        machine: Device and precision.
        seed: Seed of what the network itself draws (dropout).
        clip: Largest norm of the gradient.
    """
    began = time.perf_counter()
    rates = np.geomspace(LOWEST, HIGHEST, STEPS).tolist()
    with seeding.preserved():
        seeding.seed_all(seed, seeding.RATE)
        losses = [
            sweep(copy.deepcopy(model).to(machine.device), task, batches(repeat), make_optimizer, machine, rates, clip)
            for repeat in range(REPEATS)
        ]
    suggestions = [rate for curve in losses if (rate := suggest(rates, curve)) is not None]
    # Processes may differ in the last digit; they must not differ in the rate.
    rate = machine.same(statistics.geometric_mean(suggestions) if suggestions else fallback(rates, losses))
    spread = math.exp(statistics.stdev(map(math.log, suggestions))) if len(suggestions) > 1 else 1.0
    return RateTest(
        rates=rates,
        losses=losses,
        smoothed=[smooth(curve).tolist() for curve in losses],
        suggestions=suggestions,
        rate=rate,
        spread=spread,
        seconds=time.perf_counter() - began,
    )


def sweep(
    model: nn.Sequential,
    task: AbstractTask,
    batches: Batches,
    make_optimizer: MakeOptimizer,
    machine: Machine,
    rates: list[float],
    clip: float | None,
) -> list[float]:
    """Train ``model`` with each rate for one step; gives the losses until they diverge."""
    phase = task.phases[0]
    parameters = list(task.parameters_of(phase, model[1]))
    optimizer = make_optimizer(model[1], phase, rates[0])
    factors = [group["lr"] / rates[0] for group in optimizer.param_groups]
    losses: list[float] = []
    model.train()
    for rate, pieces in zip(rates, _endless(batches), strict=False):
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = factor * rate

        def loss_and_gradient(pieces: list[Batch] = pieces) -> torch.Tensor:
            optimizer.zero_grad()
            total = torch.zeros((), device=machine.device)
            for piece in pieces:
                with machine.autocast():
                    share, objective = task.step(phase, model[:2], piece).share(piece.total)
                objective.backward()
                total += share.detach()
            if clip is not None:
                nn.utils.clip_grad_norm_(parameters, clip)
            return total

        loss = float(optimizer.step(loss_and_gradient))  # type: ignore[arg-type]
        losses.append(loss)
        if diverged(losses):
            break
    return losses


def diverged(losses: list[float]) -> bool:
    """Whether a sweep has left the ground: the same answer for ``a * loss + b`` with any positive ``a``."""
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < 15:
        return False
    start, recent = statistics.fmean(losses[:START]), statistics.median(losses[-3:])
    fallen = start - min(smooth(losses))
    return recent - start > max(fallen, 6 * noise(losses))


def suggest(rates: list[float], losses: list[float]) -> float | None:
    """The rate at which the smoothed loss falls fastest per factor of the rate.

    None when the loss never falls out of its noise.

    Args:
        rates: Rates of the sweep, equally spaced in log(rate).
        losses: The loss at each of them; may end early.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(finite) < 15:
        return None
    curve = smooth(finite)
    lowest = int(curve.argmin())
    start = statistics.fmean(finite[:START])
    # Both ends of the fall are averages, quieter than a loss by the root of the number of steps in them.
    uncertainty = noise(finite) * math.sqrt(1 / START + 1 / (2 * math.sqrt(math.pi) * SMOOTH))
    if lowest == 0 or start - curve[lowest] <= 3 * uncertainty:
        return None
    slope = np.gradient(curve[: lowest + 1])
    return float(rates[int(slope.argmin())])


def fallback(rates: list[float], losses: list[list[float]]) -> float:
    """The rate taken when no sweep shows a falling loss: a tenth of where they diverged, if they did."""
    ends = [rates[len(curve) - 1] for curve in losses if len(curve) < len(rates)]
    return statistics.geometric_mean(ends) / 10 if ends else FALLBACK


def smooth(losses: list[float]) -> np.ndarray:
    """Gaussian average over neighbouring steps; at the ends over those that exist."""
    values = np.asarray([loss for loss in losses if math.isfinite(loss)], dtype=np.float64)
    distance = np.subtract.outer(np.arange(len(values)), np.arange(len(values)))
    weights = np.exp(-0.5 * (distance / SMOOTH) ** 2)
    # Relative to the first value, so that a large constant in the loss costs no digits.
    first = values[0] if len(values) else 0.0
    averaged: np.ndarray = first + (weights @ (values - first)) / weights.sum(axis=1)
    return averaged


def noise(losses: list[float]) -> float:
    """Standard deviation from step to step, from the median of the second differences, into which no slope enters."""
    bends = np.abs(np.diff(losses, n=2))
    # 1.4826 makes a deviation of a median; a second difference has 1 + 4 + 1 times the variance of one loss.
    return float(np.median(bends)) * 1.4826 / math.sqrt(6)


def _endless(batches: Batches) -> Iterator[list[Batch]]:
    epoch = 1
    while True:
        yield from batches.epoch(epoch)
        epoch += 1
