"""What loss a program descends, found out by its gradients on made-up outputs rather than by its name alone.

A loss that is a class of torch or of chainrule is known by its type. Any other callable is asked for its gradient at
random outputs of the program's own shape, with the program's own targets, and the answers are compared with what the
known losses would give. A gradient tells one output from another, so it does not matter whether the loss is a sum or a
mean, is weighted by class or sample, or has something added that does not depend on the outputs.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from chainrule import losses
from chainrule.doctor.measures import known_losses as known
from chainrule.doctor.measures import matching
from chainrule.doctor.measures.running import running
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import TaskLoss
from chainrule.tasks import AuxiliaryHeads, Classification, MultiLabel, Regression

#: Samples and random draws that a loss is asked with: enough to tell the known losses apart, few enough to be quick.
SAMPLES, DRAWS = 24, 6


@dataclass(frozen=True)
class Criterion:
    """What the loss is.

    Attributes:
        name: ``"cross-entropy"``, ``"nll"``, ``"bce"``, ``"bce-logits"``, ``"mse"``, ``"l1"``, ``"hinge"``, ...; of a
            loss that applies something to the outputs first ``"cross-entropy of softmax"``; else ``"unknown"``.
        takes: What the outputs have to be: ``"logits"``, ``"log-probabilities"``, ``"probabilities"``, ``"real"`` or
            ``"unknown"``.
        kinds: Kinds of targets that it is for: ``"classes"``, ``"labels"``, ``"real"``; empty where unknown.
        sign: 1; -1 where the loss rises when the outputs come nearer to the targets.
        axis: Axis of the outputs along which the classes stand; 0 where there is none or it is not known.
        exact: Whether it was found by its values or by its own class; else by an invariance.
    """

    name: str = "unknown"
    takes: str = "unknown"
    kinds: tuple[str, ...] = ()
    sign: int = 1
    axis: int = 0
    exact: bool = True


UNKNOWN = Criterion(exact=False)


def criterion(probe: Probe) -> Criterion:
    """The loss of a program, by its class or by its gradients."""
    ran = probe.measure(running)
    program = probe.copied()
    named = of_class(program.loss)
    if named is not None:
        return named
    if ran.stage == "forward" or not ran.outputs_shape or not ran.targets_shape or 0 in ran.targets_shape:
        return UNKNOWN
    for shape, targets in _asked(ran.outputs_shape, probe.sample.batches[0][1]):
        found = by_gradients(program.loss, shape, targets)
        if found is not UNKNOWN:
            return found
    return UNKNOWN


def _asked(shape: tuple[int, ...], targets: Tensor) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Shapes of outputs and targets to ask a loss with: the program's own, then such as should have been."""
    if shape[0] == len(targets):
        targets = _mixed(targets)
        shape = (len(targets), *shape[1:])
    yield shape, targets
    if targets.numel() == math.prod(shape) and tuple(targets.shape) != shape:
        yield shape, targets.reshape(shape)
    if not targets.is_floating_point() and not targets.is_complex() and targets.ndim == 1:
        yield (len(targets), max(2, int(targets.max()) + 1)), targets


def of_class(loss: Callable[..., Tensor]) -> Criterion | None:
    """What a loss is by its class, or None where only its values can tell.

    Args:
        loss: Any callable.
    """
    if isinstance(loss, TaskLoss):
        return _of_task(loss.task)
    name = next((row for row, build in losses.TORCH.items() if type(loss) is build), "")
    if name in known.TORCH:
        return Criterion(*known.TORCH[name], axis=int(known.TORCH[name][2] == ("classes",)))
    if isinstance(loss, nn.PoissonNLLLoss):
        return Criterion("poisson", "logits" if loss.log_input else "real", ("real",))
    if isinstance(loss, losses.AbstractLoss):
        row = known.ours(type(loss))
        return Criterion(*row, axis=1) if row else None
    return None


def _of_task(task: nn.Module) -> Criterion:
    if isinstance(task, AuxiliaryHeads):
        return _of_task(task.task)
    if isinstance(task, MultiLabel):
        return Criterion("bce-logits", "logits", ("labels",))
    if isinstance(task, Regression):
        return of_class(task.loss) or Criterion("task", "real", ("real",))
    if isinstance(task, Classification):
        own = None if task.loss is None else of_class(task.loss)
        return own or Criterion("cross-entropy" if task.loss is None else "task", "logits", ("classes",), axis=1)
    return Criterion("task")


def _mixed(targets: Tensor) -> Tensor:
    """Some of the targets, those of the least and the largest value among them."""
    if len(targets) <= SAMPLES or targets.is_complex():
        return targets[:SAMPLES]
    flat = targets.flatten(1)[:, 0] if targets.ndim > 1 else targets
    order = flat.argsort(stable=True)
    return targets[order[torch.linspace(0, len(order) - 1, SAMPLES).long()]]


def by_gradients(loss: Callable[..., Tensor], shape: tuple[int, ...], targets: Tensor) -> Criterion:
    """What a loss is by its gradients at random outputs; :data:`UNKNOWN` where they are those of no known loss.

    Args:
        loss: From outputs and targets to a number or several.
        shape: Shape of outputs that go with the targets.
        targets: Targets of some samples.
    """
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand((DRAWS, *shape), generator=generator) * 0.9 + 0.05
    free = torch.randn((DRAWS, *shape), generator=generator) * 2
    at_free = gradients(loss, free, targets)
    for outputs, slopes, rows in ((free, at_free, known.OPEN), (unit, gradients(loss, unit, targets), known.CLOSED)):
        if slopes is None or not bool((slopes != 0).any()):
            continue
        for row in rows:
            for axis in matching.axes(row, shape, targets):
                sign = matching.agrees(row, outputs, slopes, targets, axis)
                if sign:
                    if row.name == "nll" and targets.is_floating_point():
                        row = replace(row, name="kl")
                    return Criterion(row.name, row.takes, row.kinds, sign=sign, axis=axis)
    return UNKNOWN if at_free is None else _invariant(at_free)


def gradients(loss: Callable[..., Tensor], outputs: Tensor, targets: Tensor) -> Tensor | None:
    """The loss's gradient at each draw of outputs, ``[draws, ...]``; None where it raises or is not finite.

    Args:
        loss: From outputs and targets to a number or several.
        outputs: Draws of outputs, ``[draws, b, ...]``.
        targets: The targets of each draw.
    """
    slopes = []
    try:
        for draw in outputs:
            leaf = draw.clone().requires_grad_()
            with torch.enable_grad():
                value = loss(leaf, targets).mean()
                slopes += torch.autograd.grad(value, leaf)
            if not bool(value.isfinite()):
                return None
    except Exception:  # a stranger's loss may raise anything, above all outside of 0..1
        return None
    found = torch.stack(slopes)
    return found if bool(found.isfinite().all()) else None


def _invariant(slopes: Tensor) -> Criterion:
    """A loss of no known name that does not change when a number is added to all classes applies a softmax."""
    for axis in range(2, slopes.ndim):
        if slopes.shape[axis] > 1:
            sums = slopes.sum(axis).abs().amax()
            if float(sums) <= 1e-4 * float(slopes.abs().amax()):
                return Criterion("unknown", "logits", ("classes",), axis=axis - 1, exact=False)
    return UNKNOWN
