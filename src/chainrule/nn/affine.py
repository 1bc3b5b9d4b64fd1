"""``Affine``: fixed shift and scale, the output side of a standardised target."""

import torch
from torch import nn

from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register("preparation", "affine", family="output", tiny={"shift": [1.0, 2.0], "scale": [3.0, 4.0]}, sample=(2, 2))
class Affine(nn.Module):
    """``y = shift + scale * x`` per feature; both are buffers and are not trained.

    Args:
        shift: One number a feature.
        scale: One number a feature, not zero.
    """

    def __init__(self, shift: list[float], scale: list[float]) -> None:
        super().__init__()
        self.shift: Tensor
        self.scale: Tensor
        # float64: a target such as a year or a price keeps its small differences beside its large mean.
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return (self.shift + self.scale * x).to(torch.float32)

    def inverse(self, y: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """The ``x`` that gives ``y``."""
        return ((y - self.shift) / self.scale).to(torch.float32)

    def options(self) -> dict[str, list[float]]:
        """Constructor options."""
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist()}
