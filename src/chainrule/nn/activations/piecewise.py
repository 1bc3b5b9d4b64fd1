"""Piecewise linear functions of each channel: the one routine behind MeLU, GaLU, SReLU and APLU.

On segment ``m`` between two knots the function is the line ``slope_m x + intercept_m``. The segment of an input is
found by a division where the knots are evenly spaced, else by comparison or search; its line by a gather, and the
gradient of the lines by a scatter. So the cost hardly depends on the number of knots. It is done part by part: the
temporaries stay in the cache, and nothing is kept for the backward pass but the input.

Letters: ``n`` knots, ``m = n + 1`` segments, ``l`` rows of ``i`` inputs that share their lines.
"""

from typing import Any

import torch

from chainrule.errors import InputError
from chainrule.shapes import Float, Int, Tensor

# Inputs in one part: 1 MiB in float32.
PART = 1 << 18
# So many knots are faster compared one by one than searched.
FEW = 24


def piecewise_linear(
    x: Float[Tensor, "b c *rest"],
    knots: Float[Tensor, "#c n"],
    slopes: Float[Tensor, "#c m"],
    intercepts: Float[Tensor, "#c m"],
    *,
    even: bool = False,
) -> Float[Tensor, "b c *rest"]:
    """Evaluate ``slope_m x + intercept_m`` on the segment of each input.

    The gradient reaches ``x``, ``slopes`` and ``intercepts``; the knots get theirs through the intercepts that are
    computed from them, which is all of it where the function is continuous. An input on a knot belongs to the segment
    on the left. Half precision is evaluated in float32. Second derivatives and ``torch.func`` work.

    Args:
        x: Inputs; channels on axis 1.
        knots: Ascending, one row for all channels or one for each.
        slopes: Slope of each segment, from left to right.
        intercepts: Value of each segment's line at 0.
        even: Whether the knots are evenly spaced, which is faster; at least two then.
    """
    work = torch.promote_types(torch.promote_types(x.dtype, slopes.dtype), torch.float32)
    batch, channels, *rest = x.shape
    inner = torch.Size(rest).numel()
    # The gradient of the lines is first summed row by row; rows shorter than their lines would make it large.
    by_channel = inner < slopes.shape[1]
    order = x.transpose(0, 1) if by_channel else x
    rows = order.reshape(channels if by_channel else batch * channels, batch * inner if by_channel else inner)
    edges, *lines = (table.to(work).expand(channels, -1) for table in (knots.detach(), slopes, intercepts))
    if not by_channel:
        edges, *lines = (table.repeat(batch, 1) for table in (edges, *lines))
    y = _Lines.apply(rows.contiguous(), edges.contiguous(), *lines, even).reshape(order.shape)
    return y.transpose(0, 1).contiguous() if by_channel else y


def inner_points(knots: Float[Tensor, "#c n"]) -> Float[Tensor, "#c m"]:
    """A point inside each segment between ascending knots, where slopes and intercepts can be read off."""
    middles = (knots[:, 1:] + knots[:, :-1]) / 2
    return torch.cat([knots[:, :1] - 1, middles, knots[:, -1:] + 1], dim=1)


def check_channels(x: Tensor, channels: int, name: str, *, shared: bool = True) -> None:
    """Refuse inputs that an activation with numbers for each channel cannot take.

    Args:
        x: The inputs.
        channels: Channels that the activation was made for.
        name: Its name.
        shared: Whether 1 channel means numbers that all channels share.

    Raises:
        InputError: When ``x`` is not ``[b, c, ...]`` of real numbers, or does not have these channels.
    """
    if x.ndim < 2 or not x.is_floating_point():
        raise InputError(
            f"{name} wants floating-point inputs [batch, channels, ...]; received {x.dtype} of shape {tuple(x.shape)}."
        )
    if channels != x.shape[1] and not (shared and channels == 1):
        raise InputError(
            f"{name} was made for {channels} channels, but the input of shape {tuple(x.shape)} has {x.shape[1]} on "
            f"axis 1; write channels={x.shape[1]}."
        )


def check_options(name: str, channels: int, max_input: float = 1.0) -> None:
    """Refuse a number of channels or a scale of the input that means nothing.

    Raises:
        InputError: When ``channels`` is no whole number from 1 up, or ``max_input`` is not greater than 0.
    """
    if not isinstance(channels, int) or channels < 1:
        raise InputError(f"{name} wants channels as a whole number from 1 up; received {channels!r}.")
    if not 0 < max_input < float("inf"):
        raise InputError(f"{name} wants max_input, the scale of its inputs, greater than 0; received {max_input!r}.")


class _Lines(torch.autograd.Function):
    """The lines on rows of inputs; knots, slopes and intercepts have a row for each."""

    @staticmethod
    def forward(x: Tensor, edges: Tensor, slopes: Tensor, intercepts: Tensor, even: bool) -> Tensor:
        if torch.compiler.is_compiling():
            return _values(x, edges, slopes, intercepts, even)
        y = torch.empty_like(x)
        for part in _parts(x):
            _values(x[part], edges[part], slopes[part], intercepts[part], even, out=y[part])
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, edges, slopes, _, ctx.even = inputs
        ctx.save_for_backward(x, edges, slopes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, edges, slopes = ctx.saved_tensors
        # A second derivative needs operations that autograd sees; a compiler makes its own parts.
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            for_x, for_slopes, for_intercepts = _gradients(gradient, x, edges, slopes, ctx.even)
        else:
            for_x, for_slopes, for_intercepts = torch.empty_like(x), torch.empty_like(slopes), torch.empty_like(slopes)
            for part in _parts(x):
                _, for_slopes[part], for_intercepts[part] = _gradients(
                    gradient[part], x[part], edges[part], slopes[part], ctx.even, out=for_x[part]
                )
        return for_x, None, for_slopes, for_intercepts, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        *tensors, even = inputs
        rows = (
            tensor.expand(info.batch_size, *tensor.shape) if axis is None else tensor.movedim(axis, 0)
            for tensor, axis in zip(tensors, in_dims, strict=False)
        )
        return _Lines.apply(*(tensor.flatten(0, 1) for tensor in rows), even).unflatten(0, (info.batch_size, -1)), 0


def _parts(x: Float[Tensor, "l i"]) -> list[slice]:
    rows = max(1, PART // max(1, x.shape[1]))
    return [slice(start, start + rows) for start in range(0, len(x), rows)]


def _segments(x: Float[Tensor, "l i"], edges: Float[Tensor, "l n"], even: bool) -> Int[Tensor, "l i"]:
    """How many knots stand left of each input."""
    count = edges.shape[1]
    if not even and count > FEW:
        return torch.searchsorted(edges, x)
    if not even:
        left = torch.zeros_like(x, dtype=torch.uint8)
        for knot in edges.split(1, dim=1):
            left += (x > knot).view(torch.uint8)
        return left.long()
    step = edges[:, 1:2] - edges[:, :1]
    place = (x * (1 / step)).sub_(edges[:, :1] / step).ceil_().clamp(0, count)
    # Once more as whole numbers: NaN becomes any.
    return place.int().clamp(0, count).long()


def _values(
    x: Tensor, edges: Tensor, slopes: Tensor, intercepts: Tensor, even: bool, out: Tensor | None = None
) -> Float[Tensor, "l i"]:
    exact = x.to(slopes.dtype)
    segments = _segments(exact, edges, even)
    y = torch.addcmul(intercepts.gather(1, segments), slopes.gather(1, segments), exact, out=out)
    return y.to(x.dtype)


def _gradients(
    gradient: Tensor, x: Tensor, edges: Tensor, slopes: Tensor, even: bool, out: Tensor | None = None
) -> tuple[Float[Tensor, "l i"], Float[Tensor, "l m"], Float[Tensor, "l m"]]:
    """The gradient of inputs, which is also written to ``out``, of slopes and of intercepts."""
    exact, gradient = x.to(slopes.dtype), gradient.to(slopes.dtype)
    segments, zeros = _segments(exact.detach(), edges, even), torch.zeros_like(slopes)
    for_slopes = zeros.scatter_add(1, segments, gradient * exact)
    for_intercepts = zeros.scatter_add(1, segments, gradient)
    return torch.mul(slopes.gather(1, segments), gradient, out=out).to(x.dtype), for_slopes, for_intercepts
