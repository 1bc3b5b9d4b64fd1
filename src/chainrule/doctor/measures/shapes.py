"""Whether outputs and targets of different shapes are compared all with all."""

import math

import torch
from torch import Tensor

from chainrule.doctor.measures.criterion import criterion, gradients
from chainrule.doctor.measures.running import mean_loss, running
from chainrule.doctor.probe import Probe

#: Samples that are asked for, and the least cosine of gradients that are the same but for a factor.
SAMPLES, ALIKE = 16, 1 - 1e-4


def broadcasts(probe: Probe) -> bool:
    """Whether the loss of one sample depends on the targets of others.

    Outputs and targets of ``[b, 1]`` and ``[b]`` make ``[b, b]``; a loss that squeezes them itself does not. So the
    targets of one half of the samples are exchanged, and the gradients at the other half looked at.
    """
    ran, loss = probe.measure(running), probe.measure(criterion)
    targets = probe.sample.batches[0][1][:SAMPLES]
    shape = (len(targets), *ran.outputs_shape[1:])
    # Losses over a whole batch, such as that of overlaps, depend on all targets by their nature: they are not known.
    if not loss.exact or loss.axis or shape == tuple(targets.shape) or len(targets) < 4:
        return False
    if ran.outputs_shape[0] != ran.targets_shape[0] or math.prod(shape) != targets.numel():
        return False
    program, half = probe.copied(), len(targets) // 2
    generator = torch.Generator().manual_seed(0)
    outputs = torch.rand((1, *shape), generator=generator) * 0.9 + 0.05
    changed = _changed(targets, half)
    if changed is None:
        return False
    before, after = (gradients(program.loss, outputs, held) for held in (targets, changed))
    if before is None or after is None:
        return False
    first, second = (part[0, :half].double().flatten() for part in (before, after))
    return float(torch.cosine_similarity(first, second, dim=0)) < ALIKE


def numbers(probe: Probe) -> bool:
    """Whether a distance compares every output with the number of the class: one-hot rows are not its least."""
    targets = probe.sample.batches[0][1]
    shape = probe.measure(running).outputs_shape
    if len(shape) != 2 or targets.is_complex() or targets.numel() != len(targets) or targets.max() >= shape[1]:
        return False
    rows = torch.nn.functional.one_hot(targets.flatten().long(), shape[1]).float()
    program = probe.copied()
    try:
        right, zero = (float(mean_loss(program, part, targets)) for part in (rows, torch.zeros_like(rows)))
    except Exception:  # a stranger's loss may raise anything
        return False
    return right > 1e-6 * zero


def _changed(targets: Tensor, half: int) -> Tensor | None:
    """Targets whose second half is that of the one sample that differs most from them; None where all are the same."""
    rows = targets.reshape(len(targets), -1).double()
    away = (rows - rows[half:].mean(0)).square().sum(1)
    changed = targets.clone()
    changed[half:] = targets[int(away.argmax())]
    return None if torch.equal(changed, targets) else changed
