"""Torch datasets: read sample by sample, because their transforms may be random."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from chainrule.data.dataset import Data
from chainrule.data.sources.arrays import as_array, from_arrays, read_targets
from chainrule.data.sources.memory import Numbered, absent_classes, strata
from chainrule.data.sources.target import check_members
from chainrule.data.spec import Classes, Inputs, Target, Vector, maps_of
from chainrule.data.splits import split
from chainrule.errors import InputError


class Streamed(Dataset[tuple[Tensor, Tensor]]):
    """A split of a torch dataset that gives ``(x, y)``.

    Attributes:
        source: The dataset.
        indices: ``[n]``, which of its samples belong to the split.
        targets: ``[n]`` or ``[n, names]``.
        spec: What its inputs are; a sample of another shape is refused.
        origin: ``"sample 17"``.
    """

    def __init__(self, source: Dataset[Any], indices: NDArray[np.int64], targets: Tensor, spec: Inputs) -> None:
        self.source = source
        self.indices = indices
        self.targets = targets
        self.spec = spec
        self.origin: Sequence[str] = Numbered("sample", indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = _sample(self.source, int(self.indices[index]))
        if tuple(sample.shape) != self.spec.shape:
            raise InputError(
                f"All samples have to have the shape {list(self.spec.shape)} of the first one, but "
                f"{self.origin[index]} has {list(sample.shape)}; resize or pad it in the dataset."
            )
        return sample, self.targets[index]


def from_dataset(
    source: Dataset[Any],
    *,
    kind: str | None = None,
    fractions: Sequence[float],
    seed: int,
    fold: tuple[int, int] | None = None,
) -> Data:
    """Divide a torch map-style dataset into splits without reading its samples.

    The targets are its attribute ``targets``, if it has one, else they are read in one pass. The names of the classes
    are its attribute ``classes``, if it has one.

    Raises:
        InputError: When it does not give ``(x, y)`` with ``x`` a tensor or array of numbers.
    """
    if isinstance(source, IterableDataset) or not hasattr(source, "__len__"):
        raise InputError(
            f"A dataset with a length and an index is wanted, but a {type(source).__name__} came; collect its samples "
            "in arrays."
        )
    name = type(source).__name__
    if type(source) is TensorDataset and len(source.tensors) == 2:
        return from_arrays(*source.tensors, name=name, kind=kind, fractions=fractions, seed=seed, fold=fold)
    number = len(source)
    if number == 0:
        raise InputError(f"The dataset {name} is empty; bring samples.")
    first = _sample(source, 0)
    values = getattr(source, "targets", None)
    if values is None:
        values = torch.stack([torch.as_tensor(source[index][1]) for index in range(number)])
    target, targets, notes = read_targets(as_array(values), kind)
    target = _named(target, getattr(source, "classes", None))
    check_members(target, targets, what="sample")
    spec = _spec(first)
    parts = split(number, fractions=fractions, seed=seed, fold=fold, strata=strata(target, targets))
    train, valid, test = (Streamed(source, part, targets[torch.from_numpy(part)], spec) for part in parts)
    notes += (f"Samples are taken as {name} gives them, so a random transform in it acts on all three splits.",)
    notes += absent_classes(target, train.targets)
    return Data(name=name, train=train, valid=valid, test=test, inputs=spec, target=target, notes=notes)


def _sample(source: Dataset[Any], index: int) -> Tensor:
    item = source[index]
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise InputError(
            f"Each sample of the dataset has to be a pair (x, y), but a {type(item).__name__} came; wrap the dataset."
        )
    if not isinstance(item[0], Tensor | np.ndarray):
        raise InputError(
            f"Each x of the dataset has to be a tensor or an array, but a {type(item[0]).__name__} came; give the "
            "dataset a transform that makes one, such as torchvision's ToTensor."
        )
    sample = torch.as_tensor(item[0])
    return sample.double() if sample.ndim == 1 else sample


def _spec(sample: Tensor) -> Inputs:
    if sample.ndim == 1:
        return Vector.numbers(len(sample))
    if sample.ndim in (3, 4):
        return maps_of(sample.shape, white=255.0 if sample.dtype == torch.uint8 else 1.0)
    raise InputError(
        "Each x of the dataset has to be numbers [d], an image [c, h, w] or a volume [c, d, h, w], but "
        f"{list(sample.shape)} came; reshape it in the dataset."
    )


def _named(target: Target, names: Sequence[Any] | None) -> Target:
    """The class names that the dataset knows, if its targets number them."""
    if isinstance(target, Classes) and names is not None:
        numbered = target.names == tuple(str(position) for position in range(len(names)))
        return Classes(tuple(str(name) for name in names)) if numbered else target
    return target
