"""Augmentations that move pixels: flips, crops, shifts, rotations. What comes in from outside is black."""

from dataclasses import dataclass
from math import pi
from typing import ClassVar

import torch
import torch.nn.functional as F

from chainrule.data.augment.base import AbstractAugmentation, Draws, Images, Targets, check_range, each, signed, whole
from chainrule.errors import InputError
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register("augmentation", "hflip", family="geometry", tiny={})
@dataclass(frozen=True, kw_only=True)
class HFlip(AbstractAugmentation):
    """Swap left and right.

    Attributes:
        p: Probability that a sample is flipped.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_range("p of hflip", self.p, 0, 1)

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        return torch.where(each(u[:, 0] < self.p, images), images.flip(3), images), targets


@register("augmentation", "vflip", family="geometry", tiny={})
@dataclass(frozen=True, kw_only=True)
class VFlip(AbstractAugmentation):
    """Swap top and bottom.

    Attributes:
        p: Probability that a sample is flipped.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_range("p of vflip", self.p, 0, 1)

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        return torch.where(each(u[:, 0] < self.p, images), images.flip(2), images), targets


@register(
    "augmentation",
    "crop",
    family="geometry",
    paper="Lee, Xie, Gallagher, Zhang, Tu 2015, Deeply-Supervised Nets",
    year=2015,
    tiny={"pad": 1},
)
@dataclass(frozen=True, kw_only=True)
class Crop(AbstractAugmentation):
    """Pad with black, then cut out a window of the old size at a random place, in whole pixels.

    Attributes:
        pad: Pixels added on each side; by default one eighth of that side, rounded up.

    Raises:
        InputError: When ``pad`` is not a whole number of at least 0.
    """

    pad: int | None = None
    draws: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.pad is not None and (not isinstance(self.pad, int) or self.pad < 0):
            raise InputError(f"pad of crop must be a whole number of pixels, 0 or more; received {self.pad!r}.")

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        height, width = images.shape[2:]
        down, right = (-(-side // 8) if self.pad is None else self.pad for side in (height, width))
        # All windows [b, c, top, left, h, w], as a view: only the chosen ones are copied.
        windows = F.pad(images, (right, right, down, down)).unfold(2, height, 1).unfold(3, width, 1)
        top, left = whole(u[:, 0], 2 * down + 1), whole(u[:, 1], 2 * right + 1)
        return windows[torch.arange(len(images), device=images.device), :, top, left], targets


@register("augmentation", "shift", family="geometry", tiny={})
@dataclass(frozen=True, kw_only=True)
class Shift(AbstractAugmentation):
    """Move the image by fractions of a pixel, bilinearly; what comes in is black.

    Attributes:
        most: Greatest move in each direction, as a fraction of the side.
    """

    most: float = 0.1
    draws: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_range("most of shift", self.most, 0, 1)

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        right, down = (self.most * signed(u)).unbind(1)
        one, zero = torch.ones_like(right), torch.zeros_like(right)
        # The map leads from output to input, in units of half a side.
        return _sample(images, [[one, zero, -2 * right], [zero, one, -2 * down]]), targets


@register("augmentation", "rotate", family="geometry", tiny={})
@dataclass(frozen=True, kw_only=True)
class Rotate(AbstractAugmentation):
    """Turn the image about its centre, bilinearly; corners that come in are black.

    Attributes:
        degrees: Greatest angle in either direction; positive angles turn counterclockwise.
    """

    degrees: float = 15.0

    def __post_init__(self) -> None:
        check_range("degrees of rotate", self.degrees, 0, 180)

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        angle = self.degrees * pi / 180 * signed(u[:, 0])
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        # Coordinates are in units of half a side, so the sides enter where an image is not square.
        aspect = images.shape[2] / images.shape[3]
        return _sample(images, [[cos, -sin * aspect, zero], [sin / aspect, cos, zero]]), targets


def _sample(images: Float[Tensor, "b c h w"], rows: list[list[Float[Tensor, " b"]]]) -> Float[Tensor, "b c h w"]:
    """Images read at places that an affine map gives for each output pixel; outside is black.

    Args:
        images: The images.
        rows: The two rows of the map, three numbers a sample, in units of half a side from the centre.
    """
    maps = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    places = F.affine_grid(maps.to(images.dtype), list(images.shape), align_corners=False)
    read = F.grid_sample(images, places, mode="bilinear", padding_mode="zeros", align_corners=False)
    # Rounding of the places must not touch an image that does not move.
    still = (maps == torch.eye(2, 3, device=maps.device)).all(dim=2).all(dim=1)
    return torch.where(each(still, images), images, read)
