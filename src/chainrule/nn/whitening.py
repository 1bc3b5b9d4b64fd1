"""More preparations of raw inputs: scale to 0 .. 1, subtract the mean image, PCA and ZCA whitening.

Like :class:`chainrule.nn.preparation.Standardize` they learn from the training split, batch by batch, in float64, and
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

# A covariance of so many features takes 0.8 GB, and its eigenvectors minutes.
MOST_FEATURES = 10_000


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
        for batch in _checked(batches, "scaled to 0 .. 1", self.least.device):
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
        for batch in _checked(batches, "centred by their mean", self.mean.device, tuple(self.mean.shape)):
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


class AbstractWhitening(nn.Module):
    """Subtracts the mean of the training split and multiplies by a matrix that takes the covariance to the identity.

    With eigenvalues ``v_i`` and eigenvectors ``U`` of the covariance, each direction is divided by
    ``sqrt(v_i + epsilon v_1)``, ``v_1`` being the greatest. Directions without variance become 0. The covariance is
    that of the samples at hand (divided by ``n``), merged batch by batch as by Chan, Golub and LeVeque 1983.

    Args:
        features: Numbers in one sample, flattened; 10,000 at most.
        outputs: Numbers that come out.
        epsilon: Share of the greatest variance that is added to each; it keeps the noise of weak directions small.

    Attributes:
        mean: Float64 ``[features]``.
        matrix: Float64 ``[features, outputs]``.

    Raises:
        InputError: When there are too many features, or ``epsilon`` is negative.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, features: int, outputs: int, *, epsilon: float) -> None:
        super().__init__()
        if not 1 <= features <= MOST_FEATURES:
            raise InputError(
                f"Whitening takes 1 to {MOST_FEATURES} numbers a sample; received {features}: make the images smaller, "
                "or standardise them."
            )
        if not epsilon >= 0:
            raise InputError(f"Whitening wants an epsilon from 0 up; received {epsilon!r}.")
        self.features, self.epsilon = features, epsilon
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("matrix", torch.eye(features, outputs, dtype=torch.float64))

    @torch.no_grad()
    def learn(self, batches: Iterable[Tensor]) -> Self:
        """Learn mean and matrix in one pass over the raw training inputs ``[b, ...]``.

        Raises:
            InputError: When there is no sample, a value is not finite, or the samples have another size.
        """
        count, mean = 0, torch.zeros_like(self.mean)
        scatter = torch.zeros(self.features, self.features, dtype=torch.float64, device=mean.device)
        for batch in _checked(batches, "whitened", mean.device):
            rows = batch.flatten(1)
            if rows.shape[1] != self.features:
                raise InputError(f"Whitening was made for {self.features} features; received {rows.shape[1]}.")
            size, centre = len(rows), rows.mean(0)
            shift, rows = centre - mean, rows - centre
            scatter += rows.T @ rows + torch.outer(shift, shift) * (count * size / (count + size))
            mean += shift * (size / (count + size))
            count += size
        values, vectors = torch.linalg.eigh(scatter / count)
        values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
        # An eigenvector has no sign of its own; the largest entry is made positive, so that runs agree.
        vectors = vectors * torch.sign(vectors.gather(0, vectors.abs().argmax(0, keepdim=True)))
        noise = values[0] * self.features * torch.finfo(values.dtype).eps
        scale = torch.where(values > noise, (values + self.epsilon * values[0]).rsqrt(), 0.0)
        self.mean.copy_(mean)
        self.matrix.copy_(self.whitener(vectors, scale))
        return self

    def whitener(self, vectors: Float[Tensor, "d d"], scale: Float[Tensor, " d"]) -> Float[Tensor, "d k"]:
        """The matrix, from the eigenvectors as columns, greatest variance first, and one over their deviations."""
        raise NotImplementedError

    def _whiten(self, inputs: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        values = inputs.flatten(1)
        values = values if values.dtype == torch.float64 else values.float()
        return ((values - self.mean.to(values.dtype)) @ self.matrix.to(values.dtype)).float()


@register("preparation", "pca", tiny={"features": 3, "components": 2}, sample=(4, 3))
class PCAWhitening(AbstractWhitening):
    """Turns inputs to their principal directions and gives each of them variance 1.

    Args:
        features: Numbers in one sample, flattened; 10,000 at most.
        components: Directions that are kept, the greatest first; None for all.
        epsilon: Share of the greatest variance that is added to each.

    Raises:
        InputError: When a number does not fit.
    """

    def __init__(self, features: int, *, components: int | None = None, epsilon: float = 1e-5) -> None:
        components = features if components is None else components
        if not 1 <= components <= features:
            raise InputError(f"pca wants from 1 to {features} components; received {components!r}.")
        super().__init__(features, components, epsilon=epsilon)
        self.components = components

    def whitener(self, vectors: Float[Tensor, "d d"], scale: Float[Tensor, " d"]) -> Float[Tensor, "d k"]:
        return (vectors * scale)[:, : self.components]

    def forward(self, inputs: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        """Whiten raw inputs of any type; the result is float32 rows, images flattened."""
        return self._whiten(inputs)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"features": self.features, "components": self.components, "epsilon": self.epsilon}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return [f"Inputs are whitened to {self.components} principal directions of the training split, variance 1."]


@register("preparation", "zca", tiny={"features": 3}, sample=(4, 3))
class ZCAWhitening(AbstractWhitening):
    """Whitens inputs and turns them back, so that they stay as near to themselves as can be; images keep their shape.

    Args:
        features: Numbers in one sample, flattened; 10,000 at most.
        epsilon: Share of the greatest variance that is added to each.

    Raises:
        InputError: When a number does not fit.
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5) -> None:
        super().__init__(features, features, epsilon=epsilon)

    def whitener(self, vectors: Float[Tensor, "d d"], scale: Float[Tensor, " d"]) -> Float[Tensor, "d k"]:
        return (vectors * scale) @ vectors.T

    def forward(self, inputs: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Whiten raw inputs of any type; the result is float32."""
        return self._whiten(inputs).reshape(inputs.shape)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"features": self.features, "epsilon": self.epsilon}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return ["Inputs are whitened by ZCA: no correlation over the training split, each direction of variance 1."]


def _checked(
    batches: Iterable[Tensor], what: str, device: torch.device, shape: tuple[int, ...] | None = None
) -> Iterator[Tensor]:
    """The batches that are not empty, in float64."""
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
