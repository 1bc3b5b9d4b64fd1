"""The parameters that a watched optimizer moves: their gradients, and how their values change."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

#: Number and version of a gradient; a new gradient, and one that was written into, has another.
Mark = tuple[int, int]


class Weights:
    """Parameters of a model that an optimizer holds; all of the model's where it holds none, or there is none.

    Args:
        model: Any network.
        optimizer: What moves it, or None.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer | None) -> None:
        named = dict(model.named_parameters())
        held = {id(weight) for group in optimizer.param_groups for weight in group["params"]} if optimizer else set()
        own = {name: weight for name, weight in named.items() if id(weight) in held}
        self.held = optimizer is None or bool(own)
        self.names, self.tensors = list(own or named), list((own or named).values())
        self._ids = {id(weight) for weight in self.tensors}

    def __len__(self) -> int:
        return len(self.tensors)

    def moved_by(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer holds any of them."""
        return any(id(weight) in self._ids for group in optimizer.param_groups for weight in group["params"])

    def marks(self) -> list[Mark | None]:
        """What shows of each gradient whether something was added to it."""
        return [None if weight.grad is None else (id(weight.grad), weight.grad._version) for weight in self.tensors]

    def gradients(self) -> list[float]:
        """Norm of each gradient; 0 where there is none."""
        present = [(place, weight.grad) for place, weight in enumerate(self.tensors) if weight.grad is not None]
        found = [0.0] * len(self)
        for (place, _), size in zip(present, norms([gradient for _, gradient in present]), strict=True):
            found[place] = size
        return found

    def sizes(self) -> list[float]:
        """Norm of each parameter."""
        return norms(self.tensors)

    def copies(self) -> list[Tensor]:
        """Copies of the parameters."""
        return [weight.detach().clone() for weight in self.tensors]

    @torch.no_grad()
    def keep(self, copies: list[Tensor]) -> None:
        """Write the parameters into older copies."""
        for copy, weight in zip(copies, self.tensors, strict=True):
            copy.copy_(weight)

    @torch.no_grad()
    def changes(self, copies: list[Tensor]) -> list[float]:
        """Norm of each parameter's change since it was copied."""
        return norms([weight - copy for weight, copy in zip(self.tensors, copies, strict=True)])


@torch.no_grad()
def norms(tensors: Sequence[Tensor]) -> list[float]:
    """Norm of each tensor, read in one go."""
    if not tensors:
        return []
    dense = [tensor.detach().coalesce().values() if tensor.is_sparse else tensor.detach() for tensor in tensors]
    sizes = [torch.linalg.vector_norm(tensor.float() if tensor.itemsize < 4 else tensor) for tensor in dense]
    sizes = [size.to(dense[0].device, torch.float32) for size in sizes]
    found: list[float] = torch.stack(sizes).tolist()
    return found


def total(sizes: Sequence[float]) -> float:
    """Norm of the whole from the norms of its parts."""
    return math.sqrt(sum(size**2 for size in sizes)) if all(math.isfinite(size) for size in sizes) else math.nan
