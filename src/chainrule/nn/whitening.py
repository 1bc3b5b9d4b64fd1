"""Whitening of raw inputs by PCA and ZCA.

Like :class:`chainrule.nn.preparation.Standardize` these learn from the training split, batch by batch, in float64, and
live inside the saved model.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.nn.scaling import checked
from chainrule.registry import register
from chainrule.shapes import Float, Shaped, Tensor

# A covariance of so many features takes 0.8 GB, and its eigenvectors minutes.
MOST_FEATURES = 10_000


def signed(vectors: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """Directions as rows, each turned so that its entry of the greatest size is positive, as scikit-learn does it."""
    sign = torch.sign(vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True)))
    return vectors * torch.where(sign == 0, 1.0, sign)


def principal(matrix: Float[Tensor, "d d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Eigenvalues of a matrix without negative ones, falling, and their directions as rows, with signs."""
    values, vectors = torch.linalg.eigh(matrix)
    return values.flip(0).clamp(min=0), signed(vectors.mT.flip(0))


def inverse_deviations(variances: Float[Tensor, " k"], features: int, epsilon: float = 0.0) -> Float[Tensor, " k"]:
    """One over the deviation in each direction, and 0 where the variance is no more than rounding.

    Args:
        variances: Falling.
        features: Features of a sample.
        epsilon: Share of the greatest variance that is added to each.
    """
    noise = variances[0] * features * torch.finfo(variances.dtype).eps
    return torch.where(variances > noise, (variances + epsilon * variances[0]).rsqrt(), 0.0)


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
        self.features, self.outputs, self.epsilon = features, outputs, epsilon
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
        for batch in checked(batches, "whitened", mean.device):
            rows = batch.flatten(1)
            if rows.shape[1] != self.features:
                raise InputError(f"Whitening was made for {self.features} features; received {rows.shape[1]}.")
            size, centre = len(rows), rows.mean(0)
            shift, rows = centre - mean, rows - centre
            scatter += rows.T @ rows + torch.outer(shift, shift) * (count * size / (count + size))
            mean += shift * (size / (count + size))
            count += size
        values, directions = principal(scatter / count)
        vectors = directions.T
        scale = inverse_deviations(values, self.features, self.epsilon)
        self.mean.copy_(mean)
        self.outputs = self.kept(values)
        self.matrix = self.whitener(vectors, scale).clone()
        return self

    def kept(self, values: Float[Tensor, " d"]) -> int:
        """How many numbers come out, from the falling variances."""
        return self.outputs

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
        components: Directions that are kept, the greatest first: a number of them; a share of the variance below 1,
            for as many as it takes; None for all.
        epsilon: Share of the greatest variance that is added to each.

    Raises:
        InputError: When a number does not fit.
    """

    #: What comes out is a vector, whatever the shape of what goes in.
    flat: ClassVar[bool] = True

    def __init__(self, features: int, *, components: float | None = None, epsilon: float = 1e-5) -> None:
        components = features if components is None else components
        share = isinstance(components, float) and 0 < components < 1
        if not share and not (isinstance(components, int) and 1 <= components <= features):
            raise InputError(
                f"pca wants from 1 to {features} components, or a share of the variance between 0 and 1; received "
                f"{components!r}."
            )
        super().__init__(features, features if share else int(components), epsilon=epsilon)
        self.share = components if share else None

    def whitener(self, vectors: Float[Tensor, "d d"], scale: Float[Tensor, " d"]) -> Float[Tensor, "d k"]:
        return (vectors * scale)[:, : self.outputs]

    def kept(self, values: Float[Tensor, " d"]) -> int:
        """As many directions as the share of the variance takes."""
        if self.share is None:
            return self.outputs
        return min(int((values.cumsum(0) < self.share * values.sum()).sum()) + 1, self.features)

    def forward(self, inputs: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        """Whiten raw inputs of any type; the result is float32 rows, images flattened."""
        return self._whiten(inputs)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"features": self.features, "components": self.outputs, "epsilon": self.epsilon}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return [f"Inputs are whitened to {self.outputs} principal directions of the training split, variance 1."]


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
