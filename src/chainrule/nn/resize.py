"""Resizing images inside a model, so that a saved model takes raw images of any size.

Bilinear interpolation; when a side shrinks, the triangle is widened by the ratio of the sizes (antialiasing), as Pillow
and ``torch.nn.functional.interpolate(antialias=True)`` do. Pixels are areas: corners of the image are aligned, centres
of the corner pixels are not.
"""

import torch.nn.functional as F
from torch import nn

from chainrule.errors import InputError
from chainrule.registry import register
from chainrule.shapes import Float, Num, Tensor


@register("preparation", "resize", family="image", tiny={"height": 4, "width": 6}, sample=(2, 3, 8, 8))
class Resize(nn.Module):
    """Images of any size and real dtype to float32 images of one size; those of that size keep their values.

    Args:
        height: Height of the output, pixels.
        width: Width of the output, pixels.

    Raises:
        InputError: When a side is not a whole number of at least one pixel.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        for name, side in (("height", height), ("width", width)):
            if not isinstance(side, int) or side < 1:
                raise InputError(f"resize wants a {name} of 1 pixel or more; received {side!r}.")
        self.height = height
        self.width = width

    def forward(self, images: Num[Tensor, "b c h w"]) -> Float[Tensor, "b c height width"]:
        images = images.float()
        before = tuple(images.shape[2:])
        if before == (self.height, self.width):
            return images
        shrinks = self.height < before[0] or self.width < before[1]
        return F.interpolate(images, size=(self.height, self.width), mode="bilinear", antialias=shrinks)

    def options(self) -> dict[str, int]:
        """Arguments that build the same module again."""
        return {"height": self.height, "width": self.width}

    def describe(self) -> list[str]:
        """What the module does, in words."""
        return [f"images resized to {self.height}x{self.width}"]
