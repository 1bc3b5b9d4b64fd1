"""Data held in memory: tensors, divided into three splits."""

from collections.abc import Sequence
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chainrule.data.dataset import Data, Rows
from chainrule.data.spec import Classes, Inputs, Target
from chainrule.errors import listing


class Numbered(Sequence[str]):
    """Origins such as ``"row 17"``, counted from 1 and made when asked for.

    Args:
        word: What is counted.
        indices: ``[n]``, position of each sample in its source, from 0.
    """

    def __init__(self, word: str, indices: NDArray[np.int64]) -> None:
        self.word = word
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "Numbered": ...

    def __getitem__(self, index: int | slice) -> "str | Numbered":
        if isinstance(index, slice):
            return Numbered(self.word, self.indices[index])
        return f"{self.word} {self.indices[index] + 1}"


def in_memory(
    inputs: Tensor,
    targets: Tensor,
    parts: Sequence[NDArray[np.int64]],
    *,
    name: str,
    specs: tuple[Inputs, Target],
    word: str = "row",
    notes: tuple[str, ...] = (),
) -> Data:
    """Divide tensors into the three splits.

    Args:
        inputs: ``[n, ...]``, raw samples.
        targets: ``[n]`` or ``[n, names]``.
        parts: Indices of the training, validation and test samples.
        name: Name of the data.
        specs: What the inputs and the target are.
        word: What a sample is called in its origin.
        notes: What was done to the data on the way in.
    """
    train, valid, test = (
        Rows(inputs[torch.from_numpy(part)], targets[torch.from_numpy(part)], Numbered(word, part)) for part in parts
    )
    notes = notes + absent_classes(specs[1], train.targets)
    return Data(name=name, train=train, valid=valid, test=test, inputs=specs[0], target=specs[1], notes=notes)


def strata(target: Target, targets: Tensor) -> NDArray[np.int64] | None:
    """What a split is stratified by: the classes, if the target is classes."""
    return targets.numpy() if isinstance(target, Classes) else None


def absent_classes(target: Target, trained: Tensor) -> tuple[str, ...]:
    """A note about the classes of which the training split has no sample."""
    if not isinstance(target, Classes):
        return ()
    counts = torch.bincount(trained, minlength=len(target.names))
    names = [name for name, count in zip(target.names, counts.tolist(), strict=True) if not count]
    if not names:
        return ()
    return (f"The training split has no sample of the class{'es' if len(names) > 1 else ''} {listing(names)}.",)
