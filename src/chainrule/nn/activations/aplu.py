"""The adaptive piecewise linear unit.

Agostinelli, Hoffman, Sadowski and Baldi 2015, Learning activation functions to improve deep neural networks:

``max(0, x) + sum_s a_s max(0, b_s - x)``, slopes ``a_s`` and knots ``b_s`` learned, channel by channel.

Differs from the paper: ``b_s`` starts uniform on ``0 .. max_input`` and ``a_s`` at 0, as Maguolo, Nanni and Ghidoni
2021 have it, so that it starts as ReLU. They also divide the learning rate of the slopes by ``max_input`` and put an L2
penalty of 0.001 on them: give ``slopes`` a parameter group of its own for that.
"""

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.nn.activations.piecewise import check_channels, check_options, inner_points, piecewise_linear
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def aplu(
    x: Float[Tensor, "b c *rest"], slopes: Float[Tensor, "#c s"], knots: Float[Tensor, "#c s"]
) -> Float[Tensor, "b c *rest"]:
    """``max(0, x) + sum_s slopes_s max(0, knots_s - x)``, channels on axis 1."""
    with torch.no_grad():
        ordered = torch.cat([knots, torch.zeros_like(knots[:, :1])], dim=1).sort(dim=1).values
        points = inner_points(ordered)
        active = (points[..., None] < knots[:, None]).to(slopes.dtype)
    falling = active * slopes[:, None]
    lines = (points > 0).to(slopes.dtype) - falling.sum(-1)
    return piecewise_linear(x, ordered, lines, (falling * knots[:, None]).sum(-1))


@register(
    "activation",
    "aplu",
    family="piecewise linear",
    paper="Agostinelli, Hoffman, Sadowski, Baldi 2015, Learning activation functions to improve deep neural networks",
    year=2015,
    tiny={"channels": 3},
    sample=(4, 3, 5),
)
class APLU(nn.Module):
    """Adaptive piecewise linear unit: ReLU and hinges, with 2 learned numbers a hinge and channel.

    A knot gets no gradient while its slope is 0; all move from the second step on.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one set of numbers.
        hinges: Number of hinges.
        max_input: The scale of the inputs; the knots start uniform from 0 to it.

    Attributes:
        slopes: ``[channels, hinges]``, ``a``; starts at 0.
        knots: ``[channels, hinges]``, ``b``.

    Raises:
        InputError: When an option, or at the call the input, does not fit.
    """

    def __init__(self, channels: int = 1, *, hinges: int = 3, max_input: float = 1.0) -> None:
        super().__init__()
        check_options("APLU", channels, max_input)
        if not isinstance(hinges, int) or hinges < 1:
            raise InputError(f"APLU wants hinges as a whole number from 1 up; received {hinges!r}.")
        self.channels = channels
        self.slopes = nn.Parameter(torch.zeros(channels, hinges))
        self.knots = nn.Parameter(max_input * torch.rand(channels, hinges))

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        check_channels(x, self.channels, "APLU")
        return aplu(x, self.slopes, self.knots)

    def extra_repr(self) -> str:
        """Its options."""
        return f"channels={self.channels}, hinges={self.slopes.shape[1]}"
