"""``Rows``, a split held in memory, and ``Data``, three splits with their specs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import Dataset

from chainrule.data.spec import Inputs, Target


class Split(Protocol):
    """A map-style dataset of ``(input, target)`` pairs that knows all its targets and where each sample is from."""

    @property
    def targets(self) -> Tensor: ...

    @property
    def origin(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, eq=False)
class Rows(Dataset[tuple[Tensor, Tensor]]):
    """A split held in memory, batched by indexing its tensors.

    Attributes:
        inputs: Raw samples, ``[n, ...]`` as the spec of the inputs says.
        targets: ``[n]`` or ``[n, names]`` as the spec of the target says.
        origin: Where each sample is from: ``"row 17"`` or a file's path.
    """

    inputs: Tensor
    targets: Tensor
    origin: Sequence[str]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Three splits and what they are.

    Attributes:
        name: Name of a built-in set, or of the file or folder.
        train: Learned from. Also what every preparation is learned from.
        valid: Chooses the epoch, stops early, is never learned from.
        test: Looked at once, at the end.
        inputs: What a raw input is.
        target: What is to be learned.
        notes: What was done to the data on the way in, in sentences (resized, converted, left out).
        duplicates: How many samples of a later split stand in an earlier one as well, as ``{"train/test": 3}``.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    inputs: Inputs
    target: Target
    notes: tuple[str, ...] = ()
    duplicates: dict[str, int] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def describe(self) -> dict[str, Any]:
        """Sizes and specs in plain words."""
        sizes = {name: len(split) for name, split in self.splits.items()}
        return {"name": self.name, "inputs": str(self.inputs), "target": str(self.target), **sizes}
