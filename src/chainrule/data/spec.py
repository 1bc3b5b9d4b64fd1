"""What the inputs and the target are: small frozen records that travel with data, models and runs.

The pair of specs chooses the task, shapes the model and is saved beside the weights, so that a loaded model knows how
to read raw rows and images.

======== ============================== =============================================================
kind     spec                           raw tensor of ``b`` samples
======== ============================== =============================================================
vector   ``Vector(columns)``            float64 ``[b, columns]``; NaN is missing, a category its index
image    ``Image(channels, h, w)``      uint8 or float ``[b, channels, h, w]``
volume   ``Volume(channels, d, h, w)``  uint8 or float ``[b, channels, d, h, w]``
classes  ``Classes(names)``             int64 ``[b]``, index into ``names``
labels   ``Labels(names)``              float32 ``[b, names]`` of zeros and ones
real     ``Real(names)``                float32 ``[b, names]`` in the target's own units
======== ============================== =============================================================
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

ColumnKind = Literal["number", "boolean", "category", "date"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Header of the column.
        kind: ``number``; ``boolean`` (0, 1); ``category`` (index into ``categories``); ``date`` (days since 1970).
        categories: The values seen in the training split, for a ``category``; any other value is *unseen*.
    """

    name: str
    kind: ColumnKind = "number"
    categories: tuple[str, ...] = ()

    #: Raw value of a category that the training split did not show (a missing one is NaN).
    UNSEEN: ClassVar[float] = -1.0


@dataclass(frozen=True)
class Vector:
    """Rows of a table: ``[b, columns]``.

    Attributes:
        columns: The columns, in order.
        missing: Texts that mean *missing* beside the usual ones.
    """

    columns: tuple[Column, ...]
    missing: tuple[str, ...] = ()
    kind: ClassVar[str] = "vector"

    @classmethod
    def numbers(cls, names: Iterable[str] | int) -> "Vector":
        """Plain numeric columns, by their names or just by their number."""
        if isinstance(names, int):
            names = (f"x{i}" for i in range(names))
        return cls(tuple(Column(name) for name in names))

    @property
    def names(self) -> tuple[str, ...]:
        """Headers of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (len(self.columns),)

    def __str__(self) -> str:
        return f"{len(self.columns)} columns"


@dataclass(frozen=True)
class Image:
    """Images of one size: ``[b, channels, height, width]``.

    Attributes:
        white: The value of full white: 255 for 8-bit images, 16 for the digits of scikit-learn, 1 for floats.
    """

    channels: int
    height: int
    width: int
    white: float = 255.0
    kind: ClassVar[str] = "image"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (self.channels, self.height, self.width)

    def __str__(self) -> str:
        return f"images of {self.channels}x{self.height}x{self.width}"


@dataclass(frozen=True)
class Volume:
    """Volumes of one size, images of three dimensions: ``[b, channels, depth, height, width]``.

    Attributes:
        white: The value that is drawn as full white: 255 for 8-bit volumes, 1 for floats from 0 to 1.
    """

    channels: int
    depth: int
    height: int
    width: int
    white: float = 255.0
    kind: ClassVar[str] = "volume"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (self.channels, self.depth, self.height, self.width)

    def __str__(self) -> str:
        return f"volumes of {self.channels}x{self.depth}x{self.height}x{self.width}"


@dataclass(frozen=True)
class Classes:
    """One class out of several."""

    names: tuple[str, ...]
    kind: ClassVar[str] = "classes"

    def __str__(self) -> str:
        return f"{len(self.names)} classes"


@dataclass(frozen=True)
class Labels:
    """Any number of labels at once (multi-label)."""

    names: tuple[str, ...]
    kind: ClassVar[str] = "labels"

    def __str__(self) -> str:
        return f"{len(self.names)} labels"


@dataclass(frozen=True)
class Real:
    """One or several real numbers (regression)."""

    names: tuple[str, ...]
    kind: ClassVar[str] = "real"

    def __str__(self) -> str:
        return f"{len(self.names)} real number{'s' if len(self.names) > 1 else ''}"


def maps_of(shape: Sequence[int], *, white: float) -> Image | Volume:
    """Images or volumes of the shape of one of them, ``[c, h, w]`` or ``[c, d, h, w]``."""
    channels, *depth, height, width = shape
    return Volume(channels, depth[0], height, width, white) if depth else Image(channels, height, width, white)


Inputs = Vector | Image | Volume
Target = Classes | Labels | Real
SPECS: dict[str, Any] = {spec.kind: spec for spec in (Vector, Image, Volume, Classes, Labels, Real)}


def to_json(spec: Inputs | Target) -> dict[str, Any]:
    """The spec as plain values, with its kind."""
    return {"kind": spec.kind, **asdict(spec)}


def from_json(values: dict[str, Any]) -> Any:
    """The spec that :func:`to_json` wrote."""
    fields = dict(values)
    spec = SPECS[fields.pop("kind")]
    if spec is Vector:
        fields["columns"] = tuple(
            Column(column["name"], column["kind"], tuple(column["categories"])) for column in fields["columns"]
        )
        fields["missing"] = tuple(fields["missing"])
    if "names" in fields:
        fields["names"] = tuple(fields["names"])
    return spec(**fields)
