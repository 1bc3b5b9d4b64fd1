"""Sums of hats: MeLU, GaLU, and the flexible MeLU.

Maguolo, Nanni and Ghidoni 2021, Ensemble of convolutional neural networks trained with different activation functions;
Nanni, Lumini, Ghidoni and Maguolo 2020, Stochastic selection of activation layers for convolutional neural networks.

``hat_{a,l}(x) = max(l - |x - a|, 0)`` and ``wave_{a,l} = hat_{a,l} - hat_{a+2l,l}``, which is the papers'
``max(l - |x-a|, 0) + min(|x-a-2l| - l, 0)``. On inputs ``X = x / M``, ``M`` being ``max_input``:

- ``MeLU(x) / M = PReLU(X) + sum_j c_j hat_{a_j,l_j}(X)``, hats ``(a, l)`` = ``(2, 2)``, ``(1, 1)``, ``(3, 1)`` for
  ``k=4``, and ``(.5, .5)``, ``(1.5, .5)``, ``(2.5, .5)``, ``(3.5, .5)`` besides for ``k=8``: halved level by level;
- ``GaLU(x) / M = PReLU(X) + sum_j c_j wave_{a_j,l_j}(X)``, waves ``(1, 1)`` for ``k=2``, and ``(.5, .5)``,
  ``(2.5, .5)`` besides for ``k=4``.

All learned numbers start at 0, so each starts as ReLU. The hats cover ``0 .. 4 M``: inputs beyond them meet none, so
``M`` must fit. It is 1 for standardised inputs, and 255 in the authors' networks on raw pixels.

Differs from the papers: the widest hat of MeLU is subtracted, as in the authors' code, while the paper adds it; the
functions are the same, with the sign of that one number turned. ``k`` may be any power of two.
"""

import math

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.nn.activations.piecewise import check_channels, check_options, inner_points, piecewise_linear
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

MELU = {
    "paper": "Maguolo, Nanni, Ghidoni 2021, Ensemble of CNNs trained with different activation functions",
    "year": 2021,
}
GALU = {
    "paper": "Nanni, Lumini, Ghidoni, Maguolo 2020, Stochastic selection of activation layers for CNNs",
    "year": 2020,
}
SUCCESSORS = {
    "paper": "Nanni, Brahnam, Paci, Ghidoni 2022, Comparison of different CNN activation functions",
    "year": 2022,
}
SHELF = {"family": "piecewise linear", "tiny": {"channels": 3}, "sample": (4, 3, 5)}


def hats(
    x: Float[Tensor, "b c *rest"],
    slope: Float[Tensor, " #c"],
    heights: Float[Tensor, "#c j"],
    centres: Float[Tensor, "#c j"],
    half_widths: Float[Tensor, " j"],
    max_input: Float[Tensor, ""],
    *,
    cells: int | None = None,
) -> Float[Tensor, "b c *rest"]:
    """``max(0, x) + slope min(0, x) + sum_j heights_j max(M half_width_j - |x - M centre_j|, 0)``, ``M = max_input``.

    Args:
        x: Inputs, channels on axis 1.
        slope: Slope below 0.
        heights: Factor of each hat.
        centres: Peak of each hat over M.
        half_widths: Half the width of each hat over M; greater than 0.
        max_input: The scale of the inputs.
        cells: Where all corners of the hats lie on an even grid from 0 to 4 M, its number of cells; that is faster.
    """
    # At least float32: in bfloat16 the knots of M = 255 would be rounded.
    work = torch.promote_types(heights.dtype, torch.float32)
    slope, heights, scale = slope.to(work), heights.to(work), max_input.to(work)
    centres, half_widths = scale * centres, scale * half_widths
    with torch.no_grad():
        if cells is None:
            corners = (centres - half_widths, centres, centres + half_widths, torch.zeros_like(centres[:, :1]))
            knots = torch.cat(corners, dim=1).sort(dim=1).values
        else:
            knots = scale * torch.arange(cells + 1, dtype=work, device=x.device)[None] * (4 / cells)
        points = inner_points(knots)
        distance = points[..., None] - centres[:, None]
        inside = (distance.abs() < half_widths).to(work)
        rise = -distance.sign() * inside
        positive = (points > 0).to(work)
    slopes = positive + (1 - positive) * slope[:, None] + (rise * heights[:, None]).sum(-1)
    intercepts = ((inside * half_widths - rise * centres[:, None]) * heights[:, None]).sum(-1)
    return piecewise_linear(x, knots, slopes, intercepts, even=cells is not None)


class AbstractHats(nn.Module):
    """PReLU and a sum of hats on 0 .. 4 M.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one set of numbers.
        k: Learned numbers a channel, the peaks not counted.
        max_input: ``M``, the scale of the inputs.
        cells: Cells of the even grid on which the corners lie, if there is one.

    Attributes:
        slope: ``[channels]``, the slope below 0.
        heights: ``[channels, k - 1]``, the factors of the hats or waves, the widest first.
        max_input: ``M``, a buffer.

    Raises:
        InputError: When an option, or at the call the input, does not fit.
    """

    max_input: Tensor

    def __init__(self, channels: int, k: int, max_input: float, *, cells: int | None) -> None:
        super().__init__()
        name = type(self).__name__
        check_options(name, channels, max_input)
        if not isinstance(k, int) or k < 2 or k & (k - 1):
            raise InputError(f"{name} wants k, its learned numbers a channel, as 2, 4, 8, ...; received {k!r}.")
        self.channels, self.cells = channels, cells
        self.slope = nn.Parameter(torch.zeros(channels))
        self.heights = nn.Parameter(torch.zeros(channels, k - 1))
        self.register_buffer("max_input", torch.tensor(float(max_input)))

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        check_channels(x, self.channels, type(self).__name__)
        heights, centres, half_widths = self.layout()
        return hats(x, self.slope, heights, centres, half_widths, self.max_input, cells=self.cells)

    def layout(self) -> tuple[Float[Tensor, "c j"], Float[Tensor, "#c j"], Float[Tensor, " j"]]:
        """Heights, centres and half widths of the hats, in units of M."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Its options."""
        return f"channels={self.channels}, k={self.heights.shape[1] + 1}"


@register("activation", "melu", **MELU, **SHELF)
class MeLU(AbstractHats):
    """Mexican ReLU: PReLU and hats on 0 .. 4 M, with ``k`` learned numbers a channel.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one set of numbers.
        k: 4, or 8 for the wide MeLU; any power of two.
        max_input: ``M``, the scale of the inputs.

    Attributes:
        slope: ``[channels]``, the slope below 0.
        heights: ``[channels, k - 1]``, the factors of the hats, the widest first; that one is subtracted.
        centres: Buffer ``[k - 1]``, the peaks over M.
        half_widths: Buffer ``[k - 1]``, over M.
    """

    centres: Tensor
    half_widths: Tensor
    signs: Tensor

    def __init__(self, channels: int = 1, *, k: int = 4, max_input: float = 1.0) -> None:
        super().__init__(channels, k, max_input, cells=k)
        centres, half_widths = _tree(k, span=2)
        self.register_buffer("centres", centres)
        self.register_buffer("half_widths", half_widths)
        self.register_buffer("signs", _signs(k))

    def layout(self) -> tuple[Float[Tensor, "c j"], Float[Tensor, "#c j"], Float[Tensor, " j"]]:
        return self.signs * self.heights, self.centres[None], self.half_widths


@register("activation", "flexible-melu", **SUCCESSORS, **SHELF)
class FlexibleMeLU(AbstractHats):
    """MeLU whose peaks are learned, too: ``2 k - 1`` numbers a channel.

    A peak gets no gradient while its height is 0; all move from the second step on.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one set of numbers.
        k: 4 or 8, as for MeLU; any power of two.
        max_input: ``M``, the scale of the inputs.

    Attributes:
        slope: ``[channels]``, the slope below 0.
        heights: ``[channels, k - 1]``, the factors of the hats, the widest first; that one is subtracted.
        centres: ``[channels, k - 1]``, the peaks over M.
        half_widths: Buffer ``[k - 1]``, over M.
    """

    half_widths: Tensor
    signs: Tensor

    def __init__(self, channels: int = 1, *, k: int = 4, max_input: float = 1.0) -> None:
        super().__init__(channels, k, max_input, cells=None)
        centres, half_widths = _tree(k, span=2)
        self.centres = nn.Parameter(centres.repeat(channels, 1))
        self.register_buffer("half_widths", half_widths)
        self.register_buffer("signs", _signs(k))

    def layout(self) -> tuple[Float[Tensor, "c j"], Float[Tensor, "#c j"], Float[Tensor, " j"]]:
        return self.signs * self.heights, self.centres, self.half_widths


@register("activation", "galu", **GALU, **SHELF)
class GaLU(AbstractHats):
    """Gaussian ReLU: PReLU and waves, a hat up and a hat down, on 0 .. 4 M, with ``k`` learned numbers a channel.

    Args:
        channels: Size of axis 1 of the input, or 1 to share one set of numbers.
        k: 4, or 2 for the small GaLU; any power of two.
        max_input: ``M``, the scale of the inputs.

    Attributes:
        slope: ``[channels]``, the slope below 0.
        heights: ``[channels, k - 1]``, the factors of the waves, the widest first.
        centres: Buffer ``[k - 1]``, the peaks of the waves over M.
        half_widths: Buffer ``[k - 1]``, of the hats in them, over M.
    """

    centres: Tensor
    half_widths: Tensor

    def __init__(self, channels: int = 1, *, k: int = 4, max_input: float = 1.0) -> None:
        super().__init__(channels, k, max_input, cells=2 * k)
        centres, half_widths = _tree(k, span=4)
        self.register_buffer("centres", centres)
        self.register_buffer("half_widths", half_widths)

    def layout(self) -> tuple[Float[Tensor, "c j"], Float[Tensor, "#c j"], Float[Tensor, " j"]]:
        heights = torch.cat([self.heights, -self.heights], dim=1)
        centres = torch.cat([self.centres, self.centres + 2 * self.half_widths])
        return heights, centres[None], self.half_widths.repeat(2)


@register("activation", "wide-melu", **MELU, **SHELF)
def wide_melu(channels: int = 1, *, max_input: float = 1.0) -> MeLU:
    """MeLU with seven hats, 8 learned numbers a channel."""
    return MeLU(channels, k=8, max_input=max_input)


@register("activation", "small-galu", **GALU, **SHELF)
def small_galu(channels: int = 1, *, max_input: float = 1.0) -> GaLU:
    """GaLU with one wave, 2 learned numbers a channel."""
    return GaLU(channels, k=2, max_input=max_input)


def _tree(k: int, *, span: int) -> tuple[Float[Tensor, " j"], Float[Tensor, " j"]]:
    """Centres and half widths of hats (``span=2`` half widths) or waves (``span=4``) that tile 0 .. 4 on each level."""
    places = [(4 / span / 2**level, i) for level in range(int(math.log2(k))) for i in range(2**level)]
    return torch.tensor([half + span * half * i for half, i in places]), torch.tensor([half for half, _ in places])


def _signs(k: int) -> Float[Tensor, " j"]:
    """The widest hat is subtracted, the others are added."""
    return torch.tensor([-1.0] + [1.0] * (k - 2))
