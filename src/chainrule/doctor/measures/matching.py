"""Whether a loss is a known one, by its gradients at random outputs.

At each position (a sample, or a step of one) the gradients at all draws have to be one combination of those of the
known loss's terms. The weights of the combination are the position's own, so that sums and means, class weights and
label smoothing make no difference.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: A function of outputs, shares of the classes and the axis of classes.
Term = Callable[[Tensor, Tensor, int], Tensor]
#: From outputs, targets and the axis to gradients, ``[terms, draws, ...]``; None where the targets do not fit.
Basis = Callable[[Tensor, Tensor, int], Tensor | None]

#: Largest part of the gradients that may stay unexplained where a loss is said to be known: rounding leaves less.
TOLERANCE = 2e-3
#: Most positions that are fitted.
POSITIONS = 512


@dataclass(frozen=True)
class Known:
    """A loss that is known.

    Attributes:
        name: As in a criterion.
        takes: What outputs have to be.
        kinds: Kinds of targets that it is for.
        classes: Whether it looks at all classes of a position together; else each output stands alone.
        basis: From outputs ``[draws, ...]``, targets and the axis of classes to the functions, ``[terms, draws, ...]``,
            of which the gradient is a combination with weights of its own at each position; None where it cannot be
            had with such targets.
        free: Whether a further constant at each output is free: what the loss holds the outputs against.
    """

    name: str
    takes: str
    kinds: tuple[str, ...]
    classes: bool
    basis: Basis
    free: bool = False


def axes(row: Known, shape: tuple[int, ...], targets: Tensor) -> list[int]:
    """The axes of outputs along which the classes may stand; 0 where each output stands alone."""
    if not row.classes:
        return [0]
    several = [axis for axis in range(1, len(shape)) if shape[axis] > 1]
    # First the axis that the targets lack: [b, t, k] or [b, k, t] with targets [b, t].
    return sorted(several, key=lambda axis: shape[:axis] + shape[axis + 1 :] != tuple(targets.shape))


def agrees(row: Known, outputs: Tensor, slopes: Tensor, targets: Tensor, axis: int) -> int:
    """1 where the gradients are those of the known loss, -1 where they are those of its negative, else 0.

    Args:
        row: The known loss.
        outputs: Draws of outputs, ``[draws, b, ...]``.
        slopes: Gradients there.
        targets: The targets of each draw.
        axis: Axis of classes among those of one draw, 0 for none.
    """
    basis = row.basis(outputs, targets, axis)
    if basis is None or basis.shape[1:] != outputs.shape or not bool(basis.isfinite().all()):
        return 0
    columns, wanted = basis.double(), slopes.double()
    if row.free:
        columns = columns - columns.mean(1, keepdim=True)
        wanted = wanted - wanted.mean(0, keepdim=True)
    # Positions first, then what is fitted together: the draws, and the classes of a position.
    columns, wanted = columns.movedim(1, -1), wanted.movedim(0, -1)
    if axis:
        columns, wanted = columns.movedim(axis + 1, -2).flatten(-2), wanted.movedim(axis, -2).flatten(-2)
    equations = columns.flatten(1, -2).permute(1, 2, 0)
    right = wanted.flatten(0, -2)
    moved = (right.abs().amax(1) > 1e-6 * float(slopes.abs().amax())).nonzero()[:POSITIONS, 0]
    if not len(moved):
        return 0
    equations, right = equations[moved], right[moved]
    weights = torch.linalg.lstsq(equations, right.unsqueeze(-1), driver="gelsd").solution
    left = (right - (equations @ weights).squeeze(-1)).square().sum()
    if float(left) > TOLERANCE**2 * float(right.square().sum()):
        return 0
    sign = int(weights.sum().sign())
    # Terms are parts of one loss: smoothing, say, adds to a cross-entropy and is never taken from it.
    return sign if bool((weights * sign >= -TOLERANCE * weights.abs().amax()).all()) else 0


def shares(targets: Tensor, outputs: Tensor, axis: int) -> Tensor | None:
    """Targets as probabilities of the classes, of the shape of outputs; None where they are not such targets.

    Args:
        targets: Class indices, or one number for each output.
        outputs: Outputs of one batch.
        axis: Axis of classes, 0 for none.
    """
    if axis == 0 or targets.is_floating_point():
        alike = targets.numel() == outputs.numel() if axis == 0 else targets.shape == outputs.shape
        return targets.reshape(outputs.shape).to(outputs.dtype) if alike else None
    classes = outputs.shape[axis]
    if targets.is_complex() or tuple(targets.shape) != (*outputs.shape[:axis], *outputs.shape[axis + 1 :]):
        return None
    if int(targets.max()) >= classes:
        return None
    return F.one_hot(targets.long().clamp_min(0), classes).to(outputs.dtype).movedim(-1, axis)


def slopes(*terms: Term) -> Basis:
    """The gradients of some functions of outputs, shares and the axis, each with a value for every draw or number."""

    def basis(outputs: Tensor, targets: Tensor, axis: int) -> Tensor | None:
        held = shares(targets, outputs[0], axis)
        if held is None:
            return None
        found = []
        for term in terms:
            leaf = outputs.clone().requires_grad_()
            with torch.enable_grad():
                value = term(leaf, held.expand_as(leaf), axis + 1 if axis else 0).sum()
                found.append(torch.autograd.grad(value, leaf)[0])
        return torch.stack(found)

    return basis


def feature(of: Callable[[Tensor, int], Tensor]) -> Basis:
    """A feature of the outputs alone, whatever the targets."""
    return lambda outputs, targets, axis: of(outputs, axis + 1 if axis else 0).unsqueeze(0)


def after(of: Callable[[Tensor, int], Tensor], *terms: Term) -> Basis:
    """The gradients of functions of what is made of the outputs first."""

    def behind(term: Term) -> Term:
        return lambda outputs, held, axis: term(of(outputs, axis), held, axis)

    return slopes(*(behind(term) for term in terms))
