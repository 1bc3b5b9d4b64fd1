"""How much the outputs depend on the inputs, before and after a short training on few samples."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from chainrule.doctor.measures.mixing import mixing
from chainrule.doctor.measures.running import mean_loss, placed, running
from chainrule.doctor.measures.trials import memorised
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program

#: Samples that the losses are taken over, and the part of the first loss to which it must fall to have learned.
SAMPLES, LEARNED = 32, 0.7


@dataclass(frozen=True)
class Dependence:
    """What the inputs are worth.

    Attributes:
        change: Largest change of an output where inputs are exchanged, as a part of the outputs' size, after training.
        loss: Loss after training, in evaluation mode.
        zeros: The same with zeros for the inputs.
        start: Loss before training.
        learned: Whether the loss fell enough to say something.
    """

    change: float
    loss: float
    zeros: float
    start: float
    learned: bool


def dependence(probe: Probe) -> Dependence | None:
    """The losses and changes; None where the program does not run."""
    mixed = probe.measure(mixing)
    if probe.measure(running).error or mixed is None:
        return None
    trial = probe.measure(memorised)
    if not trial.finite or not trial.losses:
        return None
    inputs, targets = probe.sample.batches[0]
    program = trial.program
    inputs, targets = (placed(program.model, part[:SAMPLES]) for part in (inputs, targets))
    try:
        true, given = _loss(program, inputs, targets)
        zeros, empty = _loss(program, torch.zeros_like(inputs), targets)
    except Exception:  # zeros may be nothing that a stranger's model takes
        return None
    rows = given.reshape(len(inputs), -1)
    size = max(float(rows.square().mean().sqrt()), 1e-12)
    change = max(float((given - empty).abs().max()), float((rows - rows[:1]).abs().max())) / size
    return Dependence(
        change=max(change, mixed.inputs) if math.isfinite(change) else mixed.inputs,
        loss=true,
        zeros=zeros,
        start=trial.losses[0],
        learned=trial.losses[-1] < LEARNED * trial.losses[0] and true < LEARNED * trial.losses[0],
    )


def _loss(program: Program, inputs: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    with torch.no_grad():
        outputs = program.model.eval()(inputs)
        return float(mean_loss(program, outputs, targets)), outputs.float()
