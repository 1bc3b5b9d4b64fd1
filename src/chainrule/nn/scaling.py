"""Scaling of raw inputs: to 0 .. 1, or less the mean image.

Like :class:`chainrule.nn.preparation.Standardize` these learn from the training split, batch by batch, in float64, and
live inside the saved model.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.registry import register
from chainrule.shapes import Float, Shaped, Tensor


@register("preparation", "minmax", tiny={"features": 3}, sample=(4, 3))
class MinMaxScale(nn.Module):
    """Brings each feature, or each channel of an image, to 0 .. 1 over the training split.

    Later inputs beyond the least or the greatest training value come out beyond 0 or 1. A feature that is constant
    becomes 0.

    Args:
        features: Features ``d`` of a row, or channels ``c`` of an image.

    Attributes:
        least: Float64 ``[features]``.
        width: Float64 ``[features]``, greatest less least; 1 for a feature that is constant.
    """

    least: Tensor
    width: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("least", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("width", torch.ones(features, dtype=torch.float64))

    @torch.no_grad()
    def learn(self, batches: Iterable[Tensor]) -> Self:
        """Learn the least and greatest values in one pass over the raw training inputs ``[b, features, ...]``.

        Raises:
            InputError: When there is no sample, or a value is not finite.
        """
        least, most = torch.full_like(self.least, math.inf), torch.full_like(self.least, -math.inf)
        for batch in checked(batches, "scaled to 0 .. 1", self.least.device):
            values = batch.transpose(0, 1).flatten(1)
            least, most = torch.minimum(least, values.amin(1)), torch.maximum(most, values.amax(1))
        self.least.copy_(least)
        self.width.copy_(torch.where(least == most, 1.0, most - least))
        return self

    def forward(self, inputs: Shaped[Tensor, "b d *rest"]) -> Float[Tensor, "b d *rest"]:
        """Scale raw inputs of any type; the result is float32."""
        values = inputs if inputs.dtype == torch.float64 else inputs.float()
        shape = (-1,) + (1,) * (inputs.ndim - 2)
        least, width = self.least.to(values.dtype).reshape(shape), self.width.to(values.dtype).reshape(shape)
        return ((values - least) / width).float()

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"features": self.features}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return [f"Each of {self.features} features is scaled to 0 .. 1 over the training split."]


@register(
    "preparation",
    "mean-image",
    family="image",
    paper="Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep convolutional neural networks",
    year=2012,
    tiny={"channels": 3, "height": 4, "width": 6},
    sample=(2, 3, 4, 6),
)
class MeanImage(nn.Module):
    """Subtracts the mean image of the training split, pixel by pixel.

    Args:
        channels: Channels of an image.
        height: Height, pixels.
        width: Width, pixels.

    Attributes:
        mean: Float64 ``[channels, height, width]``.
    """

    mean: Tensor

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, height, width, dtype=torch.float64))

    @torch.no_grad()
    def learn(self, batches: Iterable[Tensor]) -> Self:
        """Learn the mean in one pass over the raw training images ``[b, channels, height, width]``.

        Raises:
            InputError: When there is no image, a value is not finite, or the images have another size.
        """
        total, count = torch.zeros_like(self.mean), 0
        for batch in checked(batches, "centred by their mean", self.mean.device, tuple(self.mean.shape)):
            total += batch.sum(0)
            count += len(batch)
        self.mean.copy_(total / count)
        return self

    def forward(self, images: Shaped[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Subtract the mean from raw images of any type; the result is float32."""
        values = images if images.dtype == torch.float64 else images.float()
        return (values - self.mean.to(values.dtype)).float()

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        channels, height, width = self.mean.shape
        return {"channels": channels, "height": height, "width": width}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return ["The mean image of the training split is subtracted."]


def checked(
    batches: Iterable[Tensor], what: str, device: torch.device, shape: tuple[int, ...] | None = None
) -> Iterator[Tensor]:
    """The batches that are not empty, in float64.

    Raises:
        InputError: When there is no sample, a value is not finite, or the samples have another shape.
    """
    empty = True
    for batch in batches:
        if shape is not None and tuple(batch.shape[1:]) != shape:
            raise InputError(f"Inputs of shape {shape} were expected; received {tuple(batch.shape[1:])}.")
        if not len(batch):
            continue
        empty, values = False, batch.to(device, torch.float64)
        if not torch.isfinite(values).all():
            raise InputError(f"The inputs cannot be {what}, because a value is NaN or infinite; correct them.")
        yield values
    if empty:
        raise InputError(f"The inputs cannot be {what}, because no sample came; correct the training inputs.")
