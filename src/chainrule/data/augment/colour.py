"""Augmentations that change the colour of pixels."""

from dataclasses import dataclass

from chainrule.data.augment.base import AbstractAugmentation, Draws, Images, Targets, check_range, each, signed
from chainrule.registry import register


@register("augmentation", "brightness", family="colour", tiny={})
@dataclass(frozen=True, kw_only=True)
class Brightness(AbstractAugmentation):
    """Multiply all pixels of an image by one factor; what exceeds white is white.

    Attributes:
        most: The factor lies between ``1 - most`` and ``1 + most``.
    """

    most: float = 0.2

    def __post_init__(self) -> None:
        check_range("most of brightness", self.most, 0, 1)

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        factor = 1 + self.most * signed(u[:, 0])
        return (images * each(factor, images)).clamp(0, white), targets


@register("augmentation", "contrast", family="colour", tiny={})
@dataclass(frozen=True, kw_only=True)
class Contrast(AbstractAugmentation):
    """Multiply the distance of all pixels from the mean of their image by one factor, within black and white.

    Attributes:
        most: The factor lies between ``1 - most`` and ``1 + most``.
    """

    most: float = 0.2

    def __post_init__(self) -> None:
        check_range("most of contrast", self.most, 0, 1)

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        more = self.most * signed(u[:, 0])
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return (images + each(more, images) * (images - mean)).clamp(0, white), targets
