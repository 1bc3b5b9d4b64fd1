"""Scores: what kind the targets are, how often outputs are right, and what the best constant reaches."""

import copy
import math

import numpy as np
import torch
from torch import Tensor

from chainrule.data.spec import Classes, Labels
from chainrule.doctor.measures.criterion import criterion
from chainrule.doctor.measures.running import running
from chainrule.doctor.probe import Probe
from chainrule.tasks import Regression

#: Largest distance from 1 of the sum of a row that is said to hold probabilities.
ROUNDING = 1e-3
#: Fewest outputs from which it can be said that all lie within 0..1 and so are probabilities.
ENOUGH = 8


def kind(probe: Probe) -> str:
    """``"classes"``, ``"labels"`` (a single column of 0 and 1 as well) or ``"real"``: what the targets say.

    Args:
        probe: Of the program.
    """
    return probe.measure(_kind)


def score(probe: Probe, outputs: Tensor, targets: Tensor) -> float:
    """Accuracy of outputs, or their R2 where targets are real numbers; NaN where neither has a meaning.

    Args:
        probe: Of the program.
        outputs: Of the program's model, for some samples.
        targets: Of these samples.
    """
    outputs, targets = outputs.detach().cpu().float(), targets.detach().cpu()
    found, loss = kind(probe), probe.measure(criterion)
    if not bool(outputs.isfinite().all()):
        return math.nan
    if found == "classes":
        return _accuracy(outputs, targets, loss.axis, single(outputs, loss.takes))
    if outputs.numel() != targets.numel() or not targets.numel():
        return math.nan
    targets = in_units(probe, targets).reshape(outputs.shape).float()
    if found == "labels":
        signs = bool((targets < 0).any())
        above = outputs > (0.0 if signs else single(outputs, loss.takes))
        return float((above == (targets > (0 if signs else 0.5))).float().mean())
    outputs = _as_targets(outputs, loss.name, loss.takes)
    return r2(*(part.double().reshape(len(part), -1).numpy() for part in (outputs, targets)))


def chance(probe: Probe) -> float:
    """The score of the best constant on the sample: the share of the commonest class, or 0 for an R2.

    Args:
        probe: Of the program.
    """
    return probe.measure(_chance)


def in_units(probe: Probe, targets: Tensor) -> Tensor:
    """Targets as the loss compares them: chainrule's regression standardises them.

    Args:
        probe: Of the program.
        targets: Of some samples.
    """
    task = getattr(probe.program.loss, "task", None)
    return copy.deepcopy(task).cpu().units.inverse(targets) if isinstance(task, Regression) else targets


def single(outputs: Tensor, takes: str) -> float:
    """The threshold of an output that stands alone: 0 for logits, 0.5 for probabilities and what lies like them.

    Args:
        outputs: Outputs of the model.
        takes: What the loss takes.
    """
    within = outputs.numel() >= ENOUGH and bool(((outputs >= 0) & (outputs <= 1)).all())
    return 0.0 if takes == "logits" and not within else 0.5


def binary(targets: Tensor) -> bool:
    """Whether all targets are 0 and 1, or all are -1 and 1.

    Args:
        targets: Of any type.
    """
    values = set(targets.unique().tolist()) if targets.numel() and not targets.is_complex() else set()
    return bool(values) and (values <= {0, 1} or values <= {-1, 1})


def one_of_several(targets: Tensor) -> bool:
    """Whether the targets are probabilities of classes that exclude one another: rows ``[b, k]`` that sum to 1.

    Args:
        targets: Of any type.
    """
    if targets.ndim < 2 or targets.shape[1] < 2 or targets.is_complex() or not targets.numel():
        return False
    rows = targets.double()
    return bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() < ROUNDING).all())


def _kind(probe: Probe) -> str:
    if probe.program.data is not None:
        spec = probe.program.data.target
        return "classes" if isinstance(spec, Classes) else "labels" if isinstance(spec, Labels) else "real"
    batches = [targets for _, targets in probe.sample.batches]
    first = batches[0]
    if all(binary(targets) for targets in batches):
        return _of_zeros_and_ones(probe, batches)
    if not first.is_floating_point() and not first.is_complex():
        # Whole numbers that are no class indices are what a regression on counts has.
        return "real" if "real" in probe.measure(criterion).kinds and first.ndim > 1 else "classes"
    if all(one_of_several(targets) for targets in batches) and "real" not in probe.measure(criterion).kinds:
        return "classes"
    return "real"


def _of_zeros_and_ones(probe: Probe, batches: list[Tensor]) -> str:
    """Classes where one of several columns is 1, or where there is an output for each class; else labels."""
    if all(one_of_several(targets) for targets in batches):
        return "classes"
    outputs = probe.measure(running).outputs_shape
    whole = not batches[0].is_floating_point()
    if whole and math.prod(outputs) > batches[0].numel():
        return "classes"
    return "labels"


def _chance(probe: Probe) -> float:
    found = kind(probe)
    if found == "real":
        return 0.0
    batches = [targets for _, targets in probe.sample.batches]
    if found == "labels":
        columns = torch.cat([t.flatten(1) if t.ndim > 1 else t.unsqueeze(1) for t in batches]).float()
        share = (columns > 0).float().mean(0)
        return float(torch.maximum(share, 1 - share).mean())
    if batches[0].is_floating_point() and all(one_of_several(targets) for targets in batches):
        batches = [targets.argmax(1) for targets in batches]
    counted = torch.cat([targets.flatten() for targets in batches])
    counted = counted[counted >= 0]
    return float(counted.unique(return_counts=True)[1].max() / len(counted)) if len(counted) else math.nan


def _accuracy(outputs: Tensor, targets: Tensor, axis: int, threshold: float) -> float:
    if targets.shape == outputs.shape and targets.is_floating_point() and outputs.ndim > 1 and outputs.shape[1] > 1:
        targets, axis = targets.argmax(1), 1
    if outputs.numel() == targets.numel():
        decided = (outputs > threshold).long()
    else:
        axis = axis if _leaves(outputs, axis, targets) else _class_axis(outputs, targets)
        if not axis:
            return math.nan
        decided = outputs.argmax(axis)
    targets = targets.flatten().long()
    counted = targets >= 0
    return float((decided.flatten() == targets)[counted].float().mean())


def _leaves(outputs: Tensor, axis: int, targets: Tensor) -> bool:
    """Whether the outputs without that axis have one place for each target."""
    return 0 < axis < outputs.ndim and outputs.numel() // outputs.shape[axis] == targets.numel()


def _class_axis(outputs: Tensor, targets: Tensor) -> int:
    """The axis that the targets lack, 0 where there is none."""
    axes = [axis for axis in range(1, outputs.ndim) if _leaves(outputs, axis, targets)]
    return axes[0] if axes else 0


def _as_targets(outputs: Tensor, name: str, takes: str) -> Tensor:
    """Outputs on the scale of real targets, as the loss sees them."""
    inner = name.partition(" of ")[2]
    if inner in ("sigmoid", "tanh", "relu"):
        return getattr(outputs, inner)()
    if name == "poisson" and takes == "logits":
        return outputs.exp()
    return outputs.sigmoid() if name == "bce-logits" else outputs


def r2(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Coefficient of determination, each column with the weight of its variance; NaN where none varies.

    Args:
        outputs: Predictions, ``[n, k]``.
        targets: The truth, ``[n, k]``.
    """
    # scikit-learn is slow to import, and only real targets need it.
    from sklearn.metrics import r2_score

    varies = len(targets) > 1 and (targets != targets[:1]).any()
    return float(r2_score(targets, outputs, multioutput="variance_weighted")) if varies else math.nan
