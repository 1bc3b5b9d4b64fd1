"""S-shaped ReLU.

Jin, Xu, Feng, Wei, Xiong and Yan 2016, Deep learning with S-shaped rectified linear activation units:

``t_l + a_l (x - t_l)`` for ``x <= t_l``, ``x`` in between, ``t_r + a_r (x - t_r)`` for ``x >= t_r``; all four are
learned, channel by channel.

Differs from the paper: ``t_r`` starts at ``max_input``, as Maguolo, Nanni and Ghidoni 2021 have it, instead of at a
quantile of the first activations; with ``a_l = t_l = 0`` and ``a_r = 1`` it starts as ReLU all the same. Where learning
moves ``t_l`` beyond ``t_r``, the left line holds up to ``t_l``.
"""

import torch
from torch import nn

from chainrule.nn.activations.piecewise import check_channels, check_options, piecewise_linear
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def srelu(
    x: Float[Tensor, "b c *rest"],
    left_knot: Float[Tensor, " #c"],
    left_slope: Float[Tensor, " #c"],
    right_knot: Float[Tensor, " #c"],
    right_slope: Float[Tensor, " #c"],
) -> Float[Tensor, "b c *rest"]:
    """The identity between two knots, and a line of another slope on either side; channels on axis 1."""
    knots = torch.stack([left_knot, torch.maximum(left_knot, right_knot)], dim=1)
    slopes = torch.stack([left_slope, torch.ones_like(left_slope), right_slope], dim=1)
    left, right = left_knot * (1 - left_slope), right_knot * (1 - right_slope)
    return piecewise_linear(x, knots, slopes, torch.stack([left, torch.zeros_like(left), right], dim=1))


@register(
    "activation",
    "srelu",
    family="piecewise linear",
    paper="Jin, Xu, Feng, Wei, Xiong, Yan 2016, Deep learning with S-shaped rectified linear activation units",
    year=2016,
    tiny={"channels": 3},
    sample=(4, 3, 5),
)
class SReLU(nn.Module):
    """S-shaped ReLU: three lines, with 4 learned numbers a channel.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one set of numbers.
        max_input: The scale of the inputs, where the right knot starts; the function is not scaled by it.

    Attributes:
        left_knot: ``[channels]``, ``t_l``; starts at 0.
        left_slope: ``[channels]``, ``a_l``; starts at 0.
        right_knot: ``[channels]``, ``t_r``; starts at ``max_input``.
        right_slope: ``[channels]``, ``a_r``; starts at 1.

    Raises:
        InputError: When an option, or at the call the input, does not fit.
    """

    def __init__(self, channels: int = 1, *, max_input: float = 1.0) -> None:
        super().__init__()
        check_options("SReLU", channels, max_input)
        self.channels = channels
        self.left_knot = nn.Parameter(torch.zeros(channels))
        self.left_slope = nn.Parameter(torch.zeros(channels))
        self.right_knot = nn.Parameter(torch.full((channels,), float(max_input)))
        self.right_slope = nn.Parameter(torch.ones(channels))

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        check_channels(x, self.channels, "SReLU")
        return srelu(x, self.left_knot, self.left_slope, self.right_knot, self.right_slope)

    def extra_repr(self) -> str:
        """Its options."""
        return f"channels={self.channels}"
