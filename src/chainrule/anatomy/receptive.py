"""Receptive fields: which pixels of the input a unit of a map can see, followed through torch's own operations.

Along one axis of the input, the unit at position ``p`` of a map sees the pixels from ``low + jump p`` to
``high + jump p``; the input itself has ``low = high = 0`` and ``jump = 1``. A window of ``k`` positions (stride ``s``,
padding ``q``, dilation ``d``) makes of that ``low - q jump``, ``high + (d (k - 1) - q) jump`` and ``s jump``; the
transposed one divides the jump by ``s``. Branches are joined by the hull of what they see.

What the positions of an axis are is kept through transpositions, reshapes and matrix products; where it is lost (a sum
over the axis, a linear layer on a flattened map) a unit sees the whole axis. Normalization counts as if its statistics
were constants, as those of batch normalization are in evaluation mode.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Field:
    """What the units of a map see of the input, one number for each axis behind the channels.

    Attributes:
        size: Pixels that a unit sees, padding included; the whole axis where ``stride`` is None.
        stride: Pixels from one unit to the next (the *jump*); None where a unit sees the whole axis.
        centre: Middle of what the first unit sees, in pixels; the first pixel is 0.
    """

    size: tuple[int, ...]
    stride: tuple[float | None, ...]
    centre: tuple[float, ...]

    @property
    def whole(self) -> bool:
        """Whether a unit sees the whole input."""
        return all(stride is None for stride in self.stride)


@dataclass(frozen=True)
class Reach:
    """What is seen along one axis of the input.

    Attributes:
        low: First pixel that the unit at position 0 sees.
        high: Last pixel that it sees.
        jump: Pixels from one position to the next.
        least: Size before the first upsampling on the way.
        coarse: Jump before it, in whose steps the size grows from there on; 0 without one.
    """

    low: float = 0.0
    high: float = 0.0
    jump: float = 1.0
    least: float = 0.0
    coarse: float = 0.0

    @property
    def size(self) -> int:
        """Pixels that a unit sees; of the units behind an upsampling, the one that sees most."""
        extent = self.high - self.low
        if self.coarse:
            extent = self.least + self.coarse * math.floor((extent - self.least) / self.coarse + 1e-6)
        return round(extent) + 1

    def window(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> "Reach":
        """What a unit sees behind a convolution or pooling."""
        low = self.low - padding * self.jump
        high = self.high + (dilation * (kernel - 1) - padding) * self.jump
        return replace(self, low=low, high=high, jump=self.jump * stride)

    def spread(self, taps: float, factor: float, padding: float) -> "Reach":
        """What a unit sees behind a transposed convolution: position ``o`` from ``(o + padding - taps) / factor``."""
        known = self if self.coarse else replace(self, least=self.high - self.low, coarse=self.jump)
        low = self.low + self.jump * (padding - taps) / factor
        return replace(known, low=low, high=self.high + self.jump * padding / factor, jump=self.jump / factor)


# An axis of a tensor is a product of factors: how many positions, and which axis of the input they follow, if any.
Factors = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True)
class Trail:
    """Where a tensor comes from.

    Attributes:
        dims: The factors of each of its axes.
        reach: What is seen of each axis of the input; None for all of it.
    """

    dims: tuple[Factors, ...]
    reach: tuple[Reach | None, ...]

    @classmethod
    def start(cls, shape: Sequence[int], first: int) -> "Trail":
        """The input itself; what stands behind axis ``first`` is followed."""
        dims = tuple(((size, axis - first if axis >= first else None),) for axis, size in enumerate(shape))
        return cls(dims, tuple(Reach() for _ in shape[first:]))

    def field(self, shape: Sequence[int]) -> Field:
        """What it says of an input of that shape."""
        ends = [reach or Reach(0.0, size - 1.0, 0.0) for reach, size in zip(self.reach, shape, strict=True)]
        return Field(
            tuple(end.size for end in ends),
            tuple(reach.jump if reach else None for reach in self.reach),
            tuple((end.low + end.high) / 2 for end in ends),
        )

    def axis_at(self, dim: int) -> int | None:
        """The axis of the input that axis ``dim`` follows."""
        return self.dims[dim][0][1] if len(self.dims[dim]) == 1 else None

    def change(self, dim: int, size: int, change: Callable[[Reach], Reach]) -> "Trail":
        """The same with another size of axis ``dim``, and with what becomes of its reach."""
        axis = self.axis_at(dim)
        dims = list(self.dims)
        dims[dim] = ((size, axis),)
        seen = self.reach if axis is None else _with(self.reach, axis, change)
        return Trail(tuple(dims), seen)


def _with(reach: tuple[Reach | None, ...], axis: int, change: Callable[[Reach], Reach]) -> tuple[Reach | None, ...]:
    return tuple(change(one) if one and number == axis else one for number, one in enumerate(reach))
