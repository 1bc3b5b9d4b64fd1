"""Trials: copies of a program that learn for a while, and what was seen meanwhile.

:func:`training` is the program's own training, :func:`memorised` the second step of the course's procedure (overfit a
small sample; Karpathy & Johnson, CS231n, Stanford 2016) with an optimizer that is known to work.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.doctor.measures.running import placed
from chainrule.doctor.measures.trial_observer import EndedError, Observer, dead_units
from chainrule.doctor.measures.trial_scores import Look, Pass, scored
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Pair, Program

#: Passes where a program does not say how many it plans.
EPOCHS = 10
#: Share of a probe's seconds for the program's own training, and for learning a small sample by heart.
OWN, HEART = 0.7, 0.4
#: A sample that goes on beyond what was read stands for the rest of it: at most so many steps are tried.
STEPS = 1500
#: Most passes after which loss and scores are taken.
LOOKS = 20
#: Samples that are learned by heart, the rates of Adam tried for it, the steps of each and then of the best.
HEARTS, RATES, TRY, LEARN = 32, (3e-3, 1e-2, 3e-4, 1e-1), 50, 450
#: Shares of the way from a constant's score to a perfect one, and of the first loss, that count as learned by heart.
PERFECT, LITTLE = 0.99, 0.02
#: A loss that no rate lowers by this share of itself does not move.
STUCK = 0.005


@dataclass(frozen=True, eq=False)
class Trial:
    """A copy of a program that has learned for a while.

    Attributes:
        program: The trained copy.
        losses: The loss at each step.
        epochs: What each pass gave, or some of them where looking takes long; the first entry is the start. None where
            nobody looked.
        steps: Steps of the optimizer.
        planned: Steps that were to be taken.
        seconds: How long it took.
        error: Why it ended before, which begins with ``not finite``, ``raised`` or ``out of time``; empty where it
            did not.
        tail: Score of the outputs at the last steps, in training mode and before each step.
        moved: By layer: norm of the change over norm of the weights, at the first and at the last steps.
        pushed: Layers that had a gradient at one of these steps.
        dead: Share of units with a ReLU that are zero on every sample, at the start and at the end; NaN without any.
    """

    program: Program
    losses: list[float]
    epochs: list[Pass]
    steps: int
    planned: int
    seconds: float
    error: str = ""
    tail: float = math.nan
    moved: dict[str, tuple[float, float]] = field(default_factory=dict)
    pushed: frozenset[str] = frozenset()
    dead: tuple[float, float] = (math.nan, math.nan)

    @property
    def finite(self) -> bool:
        """Whether loss and outputs stayed finite."""
        return not self.error.startswith("not finite")

    @property
    def ran(self) -> bool:
        """Whether nothing was raised."""
        return not self.error.startswith("raised")

    @property
    def start(self) -> Pass:
        """Loss and scores before the first step."""
        return self.epochs[0]

    @property
    def end(self) -> Pass:
        """Loss and scores after the last step."""
        return self.epochs[-1]


def training(probe: Probe) -> Trial:
    """The program's own training on its sample: own optimizer, own loop, the passes that are planned.

    Args:
        probe: Of the program. Where its sample is not all there is, the sample is gone through more often, for about as
            many steps as planned.
    """
    program, sample = peaked(probe.copied()), probe.sample
    epochs = program.epochs or EPOCHS
    if not sample.whole:
        total = _length(probe.program.batches)
        epochs *= max(1, round(total / len(sample.batches))) if total else 1
        epochs = max(program.epochs or EPOCHS, min(epochs, math.ceil(STEPS / len(sample.batches))))
    return learn(probe, program, [sample.batches] * epochs, seconds=OWN * probe.seconds)


def memorised(probe: Probe) -> Trial:
    """A fresh copy learns a few samples by heart: usual steps with Adam at the best of a few rates, without dropout.

    Args:
        probe: Of the program.
    """
    batch = few(probe)
    until = time.thread_time() + HEART * probe.seconds
    tried = []
    for rate in RATES:
        tried.append(_by_heart(probe, rate, batch, TRY, (until - time.thread_time()) / 2))
        if known(tried[-1]) or time.thread_time() > until:
            return tried[-1]
    best = min(range(len(tried)), key=lambda i: _reached(tried[i]))
    left = until - time.thread_time()
    # Starting again is of use only where it gets farther than the try did, which moved the loss at all.
    first = next(iter(tried[best].losses), math.nan)
    longer = left > 2 * tried[best].seconds and first - _reached(tried[best]) > STUCK * abs(first)
    return _by_heart(probe, RATES[best], batch, LEARN, left) if longer else tried[best]


def known(trial: Trial) -> bool:
    """Whether a trial has learned its samples by heart: a perfect score, or where there is none hardly any loss."""
    if not trial.finite or not trial.epochs:
        return False
    if not math.isnan(trial.end.train_score):
        return trial.end.train_score >= PERFECT
    return trial.end.train_loss <= LITTLE * trial.start.train_loss


def few(probe: Probe, samples: int = HEARTS) -> Pair:
    """Some samples that differ from one another, from all over the sample."""
    inputs, targets = probe.sample.inputs, probe.sample.targets
    flat = inputs.flatten(1) if inputs.dim() > 1 else inputs[:, None]
    spread = torch.linspace(0, len(flat) - 1, min(len(flat), 4 * samples)).long().unique()
    seen, chosen = set(), []
    for index in spread.tolist():
        content = flat[index].cpu().numpy().tobytes()
        if content not in seen:
            seen.add(content)
            chosen.append(index)
    chosen = [chosen[round(i)] for i in torch.linspace(0, len(chosen) - 1, min(samples, len(chosen))).tolist()]
    return inputs[chosen], targets[chosen]


def learn(probe: Probe, program: Program, passes: Sequence[list[Pair]], *, seconds: float, looks: int = LOOKS) -> Trial:
    """Let a program learn, and observe it.

    Args:
        probe: Of the program that ``program`` is a copy of.
        program: What learns, with its own loop where it has one, and with Adam where it has no optimizer.
        passes: The batches of each pass.
        seconds: When it has to end.
        looks: After how many passes at most loss and scores are taken; with 0 not at the start either.
    """
    optimizer = program.optimizer or torch.optim.Adam(program.model.parameters(), lr=1e-3)
    begun, seen = time.thread_time(), passes[0]
    observer = Observer(program, optimizer, seconds)
    look = Look(probe, program, seen, seconds)
    marks = {round(mark) for mark in torch.linspace(1, len(passes), min(looks, len(passes))).tolist()}
    error, dead = "", (math.nan, math.nan)
    try:
        if looks:
            look(0, 0, math.nan)
            dead = (dead_units(program.model, seen[0][0]), math.nan)
        for epoch, batches in enumerate(passes, start=1):
            done = len(observer.losses)
            try:
                with observer:
                    (program.train or usual)(program.model, observer, optimizer, batches)
                    # A loop that does not call the loss that it is given is stopped here.
                    observer.hurry()
            except EndedError as ended:
                error = str(ended)
            last = bool(error) or epoch == len(passes)
            if looks and (last or (epoch in marks and look.cheap)):
                look(epoch, observer.steps, sum(observer.losses[done:]) / max(len(observer.losses) - done, 1))
            if error:
                break
        if looks:
            dead = (dead[0], dead_units(program.model, seen[0][0]))
    except Exception as raised:  # a stranger's code may raise anything
        error = f"raised {type(raised).__name__}: {raised}"
    return Trial(
        program=program,
        losses=observer.losses,
        epochs=look.passes,
        steps=observer.steps,
        planned=sum(map(len, passes)),
        seconds=time.thread_time() - begun,
        error=error,
        tail=scored(probe, observer.tail),
        moved=observer.ratios(),
        pushed=frozenset(observer.pushed),
        dead=dead,
    )


def usual(model: nn.Module, loss: Callable[[Any, Any], Tensor], optimizer: Any, batches: Iterable[Pair]) -> None:
    """The usual pass: forward, loss, backward, step."""
    for inputs, targets in batches:

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            optimizer.zero_grad()
            value = loss(model(placed(model, inputs)), placed(model, targets)).mean()
            if value.requires_grad:
                value.backward()
            return value

        if isinstance(optimizer, torch.optim.LBFGS):
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()


def peaked(program: Program) -> Program:
    """The same with each rate at its height, where a schedule has it start low.

    Args:
        program: A copy; its optimizer is changed.
    """
    for group in program.optimizer.param_groups if program.optimizer else ():
        if "initial_lr" in group:
            group["lr"] = max(group["lr"], group["initial_lr"], group.get("max_lr", 0.0))
    return program


def _by_heart(probe: Probe, rate: float, batch: Pair, steps: int, seconds: float) -> Trial:
    program = probe.copied()
    for module in program.model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
    weights = [weight for weight in program.model.parameters() if weight.requires_grad]
    sound = replace(program, optimizer=torch.optim.Adam(weights, lr=rate) if weights else None, train=None, valid=None)
    torch.manual_seed(0)
    return learn(probe, sound, [[batch]] * steps, seconds=seconds, looks=steps // 20)


def _reached(trial: Trial) -> float:
    tail = trial.losses[-5:]
    return sum(tail) / len(tail) if tail and trial.finite and trial.ran else math.inf


def _length(batches: Any) -> int:
    try:
        return len(batches)
    except TypeError:
        return 0
