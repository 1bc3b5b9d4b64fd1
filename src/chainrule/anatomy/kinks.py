"""Where an operation has no derivative: at which operands, and which slope torch takes there."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from chainrule.anatomy.recording import Step


def kink(step: Step) -> str | None:
    """One sentence when an operand lies where the operation is not differentiable, else None."""
    test = KINKS.get(step.operation)
    if test is None or step.output is None:
        return None
    try:
        where = test(*step.operands)
    except (TypeError, RuntimeError):  # called in a form that has no such point, as sum-like ones with a dimension
        return None
    if where is None or not (count := int(where.sum())):
        return None
    cotangent = torch.ones_like(step.output)
    said = []
    for parent, slope in zip(step.parents, step.pull_back(cotangent), strict=True):
        if slope is not None:
            if slope.shape == where.shape:
                slope = slope[where]
            values = [f"{value:.6g}" for value in slope.unique().tolist()[:4]]
            said.append(f"{' or '.join(values)} by {parent.name}")
    entries = "" if where.numel() == 1 else f" in {count} of {where.numel()} entries"
    return f"{step.name} = {step.expression} is not differentiable here{entries}; torch takes {', '.join(said)}."


def _at(*points: float) -> Callable[..., Tensor]:
    def test(value: Tensor, *_: Any) -> Tensor:
        return torch.stack([value == point for point in points]).any(0)

    return test


def _tie(one: Tensor, other: Any, *_: Any) -> Tensor | None:
    # A dimension in the place of the other: torch gives the slope to one index, and says which.
    return one == other if isinstance(other, Tensor) else None


def _root(value: Tensor, exponent: Any = 0.5, *_: Any) -> Tensor:
    return (value == 0) & torch.as_tensor((exponent > 0) & (exponent < 1))


def _origin(value: Tensor, *_: Any) -> Tensor:
    return (value == 0).all()


def _edges(value: Tensor, low: Any = None, high: Any = None, *_: Any) -> Tensor:
    none = torch.zeros_like(value, dtype=torch.bool)
    return (none if low is None else value == low) | (none if high is None else value == high)


def _hard(value: Tensor, low: float = -1.0, high: float = 1.0, *_: Any) -> Tensor:
    return _edges(value, low, high)


def _largest(one: Tensor, other: Any = None, *rest: Any) -> Tensor | None:
    if other is None:
        return _repeated(one, one.max())
    return _tie(one, other, *rest)


def _least(one: Tensor, other: Any = None, *rest: Any) -> Tensor | None:
    if other is None:
        return _repeated(one, one.min())
    return _tie(one, other, *rest)


def _repeated(values: Tensor, extreme: Tensor) -> Tensor:
    return (values == extreme).sum() > 1


#: Operation: which of its operands' entries lie at such a point.
KINKS: dict[str, Callable[..., Tensor | None]] = {
    "relu": _at(0.0),
    "leaky_relu": _at(0.0),
    "prelu": _at(0.0),
    "relu6": _at(0.0, 6.0),
    "abs": _at(0.0),
    "absolute": _at(0.0),
    "sign": _at(0.0),
    "sqrt": _at(0.0),
    "pow": _root,
    "linalg_vector_norm": _origin,
    "norm": _origin,
    "clamp": _edges,
    "hardtanh": _hard,
    "maximum": _tie,
    "minimum": _tie,
    "amax": _largest,
    "amin": _least,
    "max": _largest,
    "min": _least,
}
