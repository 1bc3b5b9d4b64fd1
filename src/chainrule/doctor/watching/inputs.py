"""What identifies a batch and its samples: whole numbers made of their bytes."""

from typing import Any

import torch
from torch import Tensor

#: Most numbers of a sample that are read; a larger one is read at evenly spaced places.
READ = 1024


def rows(inputs: Tensor) -> list[int]:
    """A number for each sample, the same wherever the sample stands.

    Args:
        inputs: A batch, ``[n, ...]``.
    """
    with torch.no_grad():
        flat = inputs.detach().reshape(len(inputs), -1)
        flat = flat[:, :: max(1, -(-flat.shape[1] // READ))].cpu()
        if flat.is_complex():
            flat = torch.view_as_real(flat).flatten(1)
        # Sums of whole numbers do not depend on the order of summation, so neither on the batch around a sample.
        if flat.is_floating_point():
            flat = flat.double().contiguous().view(torch.int64)
        whole = flat.to(torch.int64)
        # Products modulo 2**64: multiplying by odd numbers loses nothing, the shift brings the high bits down.
        places = 2 * torch.arange(1, whole.shape[1] + 1) * 2654435761 + 1
        mixed = (whole ^ (whole >> 32)) * places
        numbers: list[int] = (mixed ^ (mixed >> 29)).sum(1).tolist()
        return numbers


def first(parts: Any) -> Tensor | None:
    """The first tensor with an axis of samples among the arguments of a forward pass.

    Args:
        parts: Tensors, and sequences and mappings of them.
    """
    if isinstance(parts, Tensor):
        return parts if parts.ndim and len(parts) and not parts.is_sparse else None
    if isinstance(parts, dict):
        parts = list(parts.values())
    if not isinstance(parts, list | tuple):
        return None
    return next((found for part in parts if (found := first(part)) is not None), None)
