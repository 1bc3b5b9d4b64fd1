"""What the loss of an untrained model should be: that of outputs of zero, and of the best constant output."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chainrule.doctor.measures.criterion import criterion
from chainrule.doctor.measures.endings import Ending
from chainrule.doctor.measures.outputs import outputs
from chainrule.doctor.measures.running import mean_loss, placed, running
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Pair, Program

#: Most batches and samples that the losses are taken over: a mean of this many is known well enough.
BATCHES, SAMPLES = 16, 1024
#: Share of a probe's seconds for the losses in training mode; those in evaluation mode take as long again.
SHARE = 0.1
#: Most steps of the descent on the constant.
STEPS = 50
#: Activations that a constant can be put through.
APPLIED: dict[str, Callable[[Tensor, int], Tensor]] = {
    "softmax": lambda given, axis: given.softmax(axis),
    "logsoftmax": lambda given, axis: given.log_softmax(axis),
    "sigmoid": lambda given, axis: given.sigmoid(),
    "tanh": lambda given, axis: given.tanh(),
    "relu": lambda given, axis: given.relu(),
    "softplus": lambda given, axis: nn.functional.softplus(given),
    "exp": lambda given, axis: given.exp(),
}


@dataclass(frozen=True)
class Reference:
    """Losses to hold the first loss against.

    Attributes:
        trained: Loss of the program before training, in training mode.
        evaluated: The same in evaluation mode.
        untrained: Loss of outputs that are all zero, behind the model's own last activation.
        constant: Least loss of one output for all samples, behind the same activation.
        size: Root of the mean square of the program's outputs.
    """

    trained: float
    evaluated: float
    untrained: float
    constant: float
    size: float


def reference(probe: Probe) -> Reference | None:
    """The losses; None where the program does not run, or a constant has no loss."""
    found = probe.measure(outputs)
    if probe.measure(running).error or found is None:
        return None
    program = probe.copied()
    batches, samples = [], 0
    for batch in probe.sample.batches[:BATCHES]:
        batches.append(batch)
        samples += len(batch[1])
        if samples >= SAMPLES:
            break
    takes = probe.measure(criterion).takes
    ending = found.endings[0] if found.endings else Ending("none", -math.inf, math.inf)
    if ending.name == "none" and takes in ("probabilities", "log-probabilities", "positive"):
        ending = _wanted(takes, found.evaluated)
    if ending.name not in (*APPLIED, "none"):
        return None
    try:
        batches, trained = _first(program, batches, SHARE * probe.seconds, training=True)
        batches, evaluated = _first(program, batches, math.inf, training=False)
        untrained, constant = _constants(program, batches, ending)
    except Exception:  # a stranger's loss may refuse constant outputs
        return None
    return Reference(trained, evaluated, untrained, constant, float(found.evaluated.square().mean().sqrt()))


def _wanted(takes: str, given: Tensor) -> Ending:
    """The activation that the loss asks for, where the model has none that is known."""
    several = given.ndim > 1 and given.shape[1] > 1
    name = {"probabilities": "softmax" if several else "sigmoid", "log-probabilities": "logsoftmax"}.get(takes, "exp")
    return Ending(name, -math.inf, math.inf, axis=1)


def _first(program: Program, batches: list[Pair], seconds: float, *, training: bool) -> tuple[list[Pair], float]:
    """The batches for which there was time, and the mean loss of the program on them as it is."""
    program.model.train(training)
    total, seen, until = 0.0, 0, time.perf_counter() + seconds
    with torch.no_grad():
        for number, batch in enumerate(batches):
            if number and time.perf_counter() > until:
                batches = batches[:number]
                break
            inputs, targets = (placed(program.model, part) for part in batch)
            total += float(mean_loss(program, program.model(inputs), targets)) * len(targets)
            seen += len(targets)
    return batches, total / seen


def _constants(program: Program, batches: list[Pair], ending: Ending) -> tuple[float, float]:
    """Loss of outputs of zero, and of the best constant."""
    with torch.no_grad():
        given = program.model.eval()(placed(program.model, batches[0][0]))
    rows = len(given) // len(batches[0][0])
    shape = given.shape[1:]
    zero = torch.zeros(shape, device=given.device, dtype=given.dtype, requires_grad=True)
    activation = APPLIED.get(ending.name)
    axis = ending.axis if 0 < ending.axis <= len(shape) else len(shape)

    def loss() -> Tensor:
        total = torch.zeros((), device=given.device)
        for inputs, targets in batches:
            put = zero.expand(rows * len(inputs), *shape)
            put = put if activation is None else activation(put, axis)
            total = total + mean_loss(program, put, placed(program.model, targets)) * len(targets)
        return total / sum(len(targets) for _, targets in batches)

    with torch.enable_grad():
        untrained = least = float(loss().detach())
        for start in (torch.zeros_like(zero), _middle(batches, zero)):
            with torch.no_grad():
                zero.copy_(start)
            mover = torch.optim.LBFGS([zero], max_iter=STEPS, line_search_fn="strong_wolfe")

            def again(mover: torch.optim.Optimizer = mover) -> float:
                mover.zero_grad()
                value = loss()
                value.backward()
                return float(value.detach())

            mover.step(again)
            found = float(loss().detach())
            least = min(least, found) if math.isfinite(found) else least
    return untrained, least


def _middle(batches: list[Pair], zero: Tensor) -> Tensor:
    """The mean target, where targets go with the outputs; a descent from zero takes long to get there."""
    rows = torch.cat([targets.flatten(1) if targets.ndim > 1 else targets.unsqueeze(1) for _, targets in batches])
    if rows.shape[1] != zero.numel() or not rows.is_floating_point():
        return torch.zeros_like(zero)
    return rows.mean(0).reshape(zero.shape).to(zero)
