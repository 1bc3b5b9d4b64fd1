"""What all losses share: the ranges of their options, class targets, the reduction."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.shapes import Bool, Float, Shaped, Tensor

_POSITIVE = ("a number greater than 0", lambda value: value > 0)
_NOT_NEGATIVE = ("a number not less than 0", lambda value: value >= 0)

#: What each option of the losses must be, by its name; NaN is none of them.
RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "reduction": ("'mean', 'sum' or 'none'", lambda value: value in ("mean", "sum", "none")),
    "ignore_index": ("a whole number", lambda value: isinstance(value, int)),
    "smooth": _POSITIVE,
    "alpha": _POSITIVE,
    "beta": _POSITIVE,
    "gamma": _NOT_NEGATIVE,
    "sharpness": ("a number not less than 1", lambda value: value >= 1),
    "margin": _POSITIVE,
    "present": _POSITIVE,
    "absent": _NOT_NEGATIVE,
    "absent_weight": _NOT_NEGATIVE,
    "penalty": _NOT_NEGATIVE,
    "bandwidths": ("None, or numbers greater than 0", lambda value: value is None or (value and min(value) > 0)),
    "unbiased": ("True or False", lambda value: isinstance(value, bool)),
}


class AbstractLoss(nn.Module):
    """A loss as a module that only keeps options; the mathematics is the function beside it.

    Args:
        options: The keyword arguments of that function.

    Raises:
        InputError: When an option is out of its range.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        check(**options)
        self.options = dict(options)

    def extra_repr(self) -> str:
        """The options, as they stand between the parentheses of the module's name."""
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


def check(**options: Any) -> None:
    """Hold options against :data:`RANGES`.

    Raises:
        InputError: For the first one that is out of its range.
    """
    for name, value in options.items():
        wanted, holds = RANGES[name]
        try:
            good = bool(holds(value))
        except TypeError:
            good = False
        if not good:
            raise InputError(f"{name} must be {wanted}; received {value!r}.")


def same_shape(**tensors: Tensor) -> None:
    """Refuse tensors that do not have one shape.

    Raises:
        InputError: The sentence names the first two that differ.
    """
    (first, wanted), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != wanted.shape:
            raise InputError(
                f"{first} and {name} must have the same shape; received {list(wanted.shape)} and {list(tensor.shape)}."
            )


def precise(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The tensor in at least float32, because sums over pixels leave the range and the digits of half precision."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def one_of_k(
    logits: Float[Tensor, "b k *rest"], targets: Shaped[Tensor, "*any"], ignore_index: int
) -> tuple[Float[Tensor, "b q n"], Bool[Tensor, "b q n"], Bool[Tensor, "b n"]]:
    """Class logits and class indices in the one form that the losses work on.

    A single logit ``z`` is short for the two logits ``(0, z)``, because the softmax of these is ``sigmoid(z)``.

    Args:
        logits: One class more is added where ``k`` is 1.
        targets: Class indices ``[b, *rest]``.
        ignore_index: The target of positions that do not count.

    Returns:
        Logits, flat in the positions; which class is the target's own, exactly one a position (class 0 where it does
        not count); which positions count.

    Raises:
        InputError: When the targets are no class indices of that shape, or one is out of range (on a GPU that is
            torch's own device assertion).
    """
    _refuse_other_targets(logits, targets)
    scores = precise(logits).flatten(2) if logits.ndim > 2 else precise(logits).unsqueeze(2)
    if logits.shape[1] == 1:
        scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
    flat = targets.flatten(1) if targets.ndim > 1 else targets.unsqueeze(1)
    counted = flat != ignore_index
    index = torch.where(counted, flat, 0).long().unsqueeze(1)
    try:
        # The bounds are checked by torch, at no cost; nothing is read back from the device.
        own = torch.zeros_like(scores, dtype=torch.bool).scatter(1, index, True)
    except RuntimeError as error:
        raise InputError(
            f"The targets must be class indices from 0 to {scores.shape[1] - 1}, or {ignore_index} for what does not "
            f"count; received one that is neither."
        ) from error
    return scores, own, counted


def _refuse_other_targets(logits: Tensor, targets: Tensor) -> None:
    wanted = [logits.shape[0], *logits.shape[2:]]
    whole = not (targets.is_floating_point() or targets.is_complex())
    if whole and list(targets.shape) == wanted:
        return
    came = f"{str(targets.dtype).removeprefix('torch.')} {list(targets.shape)}"
    remedy = ""
    if targets.shape == logits.shape:
        remedy = "; write targets.argmax(dim=1)" if logits.shape[1] > 1 else "; write targets.squeeze(1).long()"
    elif list(targets.shape) == wanted:
        remedy = "; write targets.long()"
    raise InputError(
        f"Logits {list(logits.shape)} want targets of class indices, whole numbers {wanted}; received {came}{remedy}."
    )


def over_positions(losses: Float[Tensor, "b n"], counted: Bool[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Mean loss of each sample over its positions that count; 0 where none does."""
    return torch.where(counted, losses, 0.0).sum(1) / counted.sum(1).clamp_min(1)


def reduced(
    losses: Float[Tensor, " b"], reduction: str, counted: Bool[Tensor, "b n"] | None = None
) -> Float[Tensor, "..."]:
    """Reduce the losses of samples.

    Args:
        losses: One loss a sample, 0 for one without a position that counts.
        reduction: ``"mean"``, over the samples that have a position that counts; ``"sum"``; ``"none"``.
        counted: Which positions count; None is all.
    """
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    return losses.mean() if counted is None else losses.sum() / counted.any(1).sum().clamp_min(1)
