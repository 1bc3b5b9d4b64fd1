"""What a loss was multiplied by before it goes backward, read from its graph."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

#: Most nodes that are followed from the loss into its graph.
DEPTH = 20
#: Value of a loss function's saved ``reduction`` that means a sum.
SUM = 2


def factor(loss: Tensor, samples: int) -> float:
    """Product of the plain factors of a loss, with the number of samples where it sums over them.

    ``loss / 4`` gives 0.25 and ``reduction="sum"`` the size of the batch; of several terms it is that of the
    first.

    Args:
        loss: A loss with its graph, before its backward pass.
        samples: Size of the batch.
    """
    node, product = loss.grad_fn, 1.0
    for _ in range(DEPTH):
        if node is None:
            return product
        kind = node.name()
        following = [(place, part) for place, (part, _) in enumerate(node.next_functions) if part is not None]
        if kind.startswith(("MulBackward", "DivBackward")) and len(following) == 1:
            constant = _constant(node, following[0][0])
            if constant is None:
                return product
            product = product * constant if kind.startswith("Mul") else product / constant
        elif not kind.startswith(("NegBackward", "AddBackward", "ToCopyBackward", "SubBackward")):
            return product * (samples if samples and _sums(node, samples) else 1)
        if not following:
            return product
        node = following[0][1]
    return product


def _constant(node: Any, place: int) -> float | None:
    """The size of the number that a graph goes on beside; None where it is not one number."""
    other = getattr(node, "_saved_self" if place else "_saved_other", None)
    if isinstance(other, Tensor):
        other = float(other.detach()) if other.numel() == 1 else None
    return abs(float(other)) or None if isinstance(other, int | float) else None


def _sums(node: Any, samples: int) -> bool:
    if getattr(node, "_saved_reduction", None) == SUM:
        return True
    sizes: Sequence[int] = getattr(node, "_saved_self_sym_sizes", ())
    return node.name() == "SumBackward0" and len(sizes) > 0 and sizes[0] == samples
