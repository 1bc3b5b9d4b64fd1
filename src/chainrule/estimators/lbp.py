"""Local binary patterns: textures by which of a pixel's neighbours are at least as bright as itself.

``LBP_{P,R} = sum_p s(g_p - g_c) 2^p``, ``s(u) = 1`` for ``u >= 0``, over P points on a circle of radius R around the
pixel (Ojala, Pietikainen & Harwood 1996; Ojala, Pietikainen & Maenpaa 2002); between pixels the image is interpolated
linearly, and outside it is 0. Patterns become fewer by

- rotation: the least of the P numbers that a turned pattern has: 36, 4,116 and 699,252 for P = 8, 16 and 24;
- uniformity: a pattern with at most two changes along the circle keeps a number of its own (58, 242, 554 of them), all
  others share one;
- both: a uniform pattern counts its ones, 0 to P, all others are P + 1.

``VAR_{P,R}``, the variance of the P neighbours, is the contrast that the codes leave out. An image is described by the
histogram of its codes, or by those of its regions side by side (Ahonen, Hadid & Pietikainen 2006).

Differs from the paper: the first neighbour is to the right and the circle runs counter-clockwise, and positions are
rounded to five decimals, both as in scikit-image, whose codes these are. Differs from scikit-image: a flat
neighbourhood has variance 0, not NaN.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators.memory import MIB, blocks
from chainrule.shapes import Bool, Float, Int, Num, Tensor

#: Pixels that are worked on at a time on the CPU, so that all threads have work and the cache still helps.
TILE = 2**19

#: A pattern has at most so many bits.
MOST_POINTS = 30

#: A histogram has at most so many bins for each region.
MOST_BINS = 2**16


def patterns(images: Num[Tensor, "n h w"], P: int, R: float, *, memory: float = 256) -> Int[Tensor, "n h w"]:
    """The pattern around each pixel, as a number below ``2^P``.

    Args:
        images: Grey values.
        P: Points on the circle.
        R: Its radius, in pixels.
        memory: Bound on temporary memory, MiB.

    Raises:
        InputError: When a circle is none.
    """
    return _numbered(images, P, R, NUMBERINGS["default"], memory)


def contrast(images: Num[Tensor, "n h w"], P: int, R: float, *, memory: float = 256) -> Float[Tensor, "n h w"]:
    """The variance of the P neighbours of each pixel, ``VAR_{P,R}``.

    Args:
        images: Grey values.
        P: Points on the circle.
        R: Its radius, in pixels.
        memory: Bound on temporary memory, MiB.

    Raises:
        InputError: When a circle is none.
    """
    found = torch.empty(images.shape, dtype=torch.float64, device=images.device)
    for place, centres, around in _tiles(images, P, R, memory):
        every = torch.empty(P, *centres.shape, dtype=torch.float64, device=images.device)
        for point, values in around:
            every[point] = values
        found[place] = every.var(dim=0, correction=0)
    return found


def _numbered(images: Tensor, P: int, R: float, numbering: "Numbering", memory: float) -> Tensor:
    found = torch.empty(images.shape, dtype=torch.int64, device=images.device)
    for place, centres, around in _tiles(images, P, R, memory):
        parts = torch.zeros(math.ceil(P / 8), *centres.shape, dtype=torch.uint8, device=images.device)
        bits = torch.empty(centres.shape, dtype=torch.bool, device=images.device)
        for point, values in around:
            torch.ge(values, centres, out=bits)
            # Eight bits a byte: these pass through the cache faster than whole numbers.
            parts[point // 8].add_(bits.view(torch.uint8), alpha=1 << point % 8)
        codes = parts[-1].int()
        for part in parts[:-1].flip(0):
            codes.mul_(256).add_(part)
        found[place] = numbering.numbers(codes, P)
    return found


def _tiles(
    images: Tensor, P: int, R: float, memory: float
) -> Iterator[tuple[tuple[slice, slice], Tensor, Iterator[tuple[int, Tensor]]]]:
    """Parts of the images: where they are, their pixels, and each point's number with its values around them."""
    if not (1 <= P <= MOST_POINTS and int(P) == P) or not (0 < R < math.inf):
        raise InputError(f"A circle wants 1 to {MOST_POINTS} points P and a radius R above 0; received P={P}, R={R}.")
    count, height, width = images.shape
    reach = math.ceil(R)
    pixel = 8 * (P + 8)
    bound = min(memory, TILE * pixel / MIB) if images.device.type == "cpu" else memory
    for some in blocks(count, height * (width + 2 * reach) * pixel, bound):
        padded = torch.nn.functional.pad(images[some].double(), (reach, reach, reach, reach))
        for rows in blocks(height, len(padded) * (width + 2 * reach) * pixel, bound):
            part = padded[:, rows.start : rows.stop + 2 * reach].contiguous()
            centres = part[:, reach:-reach, reach:-reach].contiguous()
            yield (some, rows), centres, _around(part, P, R, reach, rows.start)


def _around(padded: Float[Tensor, "n h w"], P: int, R: float, reach: int, first: int) -> Iterator[tuple[int, Tensor]]:
    """Each point's number, and its values; these are overwritten by the next.

    Positions count from the first pixel of the whole image, so that a part of it is rounded as the whole.
    """
    count, tall, wide = padded.shape
    height, width = tall - 2 * reach, wide - 2 * reach
    columns: dict[float, list[tuple[int, float]]] = {}
    for point in range(P):
        angle = 2 * math.pi * point / P
        # Adding zero takes the sign from a zero.
        down, right = round(-R * math.sin(angle), 5) + 0.0, round(R * math.cos(angle), 5) + 0.0
        columns.setdefault(right, []).append((point, down))
    across, spare, values = (padded.new_empty(count, rows, width) for rows in (tall, tall, height))
    for right, points in columns.items():
        lines = _between(padded, 2, right, reach, 0, (across, spare))
        for point, down in points:
            yield point, _between(lines, 1, down, reach, first, (values, spare[:, :height]))


def _between(
    grid: Float[Tensor, "n h w"], axis: int, offset: float, reach: int, first: int, room: tuple[Tensor, Tensor]
) -> Tensor:
    """Values at an offset along an axis, interpolated between the two nearest."""
    length, below = grid.shape[axis] - 2 * reach, math.floor(offset)
    near = grid.narrow(axis, reach + below, length)
    if offset == below:
        return near
    place = torch.arange(first, first + length, device=grid.device, dtype=grid.dtype)
    share = (place + offset) - (place + below)
    share = share[:, None] if axis == 1 else share
    torch.mul(near, 1 - share, out=room[0])
    torch.mul(grid.narrow(axis, reach + below + 1, length), share, out=room[1])
    return room[0].add_(room[1])


def ones(codes: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """How many bits of each number are set; numbers have 32 bits at most."""
    # Bits are added up in pairs, then in fours, and so on; in place, since this is where riu2 spends its time.
    codes = codes - (codes >> 1).bitwise_and_(0x55555555)
    fours = (codes >> 2).bitwise_and_(0x33333333)
    codes.bitwise_and_(0x33333333).add_(fours)
    codes.add_(codes >> 4).bitwise_and_(0x0F0F0F0F)
    codes.add_(codes >> 8)
    return codes.add_(codes >> 16).bitwise_and_(0x3F)


def turned(codes: Int[Tensor, "*shape"], P: int) -> Int[Tensor, "*shape"]:
    """Patterns, turned by one point."""
    return (codes >> 1) | ((codes & 1) << (P - 1))


def is_uniform(codes: Int[Tensor, "*shape"], P: int) -> Bool[Tensor, "*shape"]:
    """Which patterns have at most two changes between 0 and 1 along the circle."""
    return ones(codes ^ turned(codes, P)) <= 2


def least_rotation(codes: Int[Tensor, "*shape"], P: int) -> Int[Tensor, "*shape"]:
    """The least number that each pattern has when it is turned."""
    least = codes
    for _ in range(P - 1):
        codes = turned(codes, P)
        least = torch.minimum(least, codes)
    return least


def uniform_rotation(codes: Int[Tensor, "*shape"], P: int) -> Int[Tensor, "*shape"]:
    """The number of ones of a uniform pattern, ``P + 1`` for all others (riu2)."""
    return ones(codes).masked_fill_(~is_uniform(codes, P), P + 1)


def uniform(codes: Int[Tensor, "*shape"], P: int) -> Int[Tensor, "*shape"]:
    """A number for each uniform pattern, by its ones and how far it is turned, and one for all others (u2)."""
    count = ones(codes)
    # The lowest bit that is set, or is not, is a power of two; its exponent tells where it is.
    first_one = torch.frexp((codes & -codes).double()).exponent - 1
    first_zero = torch.frexp((~codes & (codes + 1)).double()).exponent - 1
    turns = torch.where(first_one == 0, count - first_zero, P - first_one)
    number = 1 + (count - 1) * P + turns
    number = torch.where(count == 0, 0, torch.where(count == P, P * (P - 1) + 1, number))
    return number.masked_fill_(~is_uniform(codes, P), P * (P - 1) + 2)


@dataclass(frozen=True)
class Numbering:
    """How patterns are numbered.

    Attributes:
        numbers: Patterns and P give their numbers.
        count: P gives how many numbers there are, or one more than the greatest.
    """

    numbers: Callable[[Tensor, int], Tensor]
    count: Callable[[int], int]


#: Numberings by the names that scikit-image gives them; the papers' names are LBP, ri, riu2 and u2.
NUMBERINGS = {
    "default": Numbering(lambda codes, P: codes, lambda P: 2**P),
    "ror": Numbering(least_rotation, lambda P: 2**P),
    "uniform": Numbering(uniform_rotation, lambda P: P + 2),
    "nri_uniform": Numbering(uniform, lambda P: P * (P - 1) + 3),
}


def local_binary_patterns(
    images: Num[Tensor, "n h w"], P: int, R: float, method: str = "default", *, memory: float = 256
) -> Num[Tensor, "n h w"]:
    """The code of each pixel.

    Args:
        images: Grey values.
        P: Points on the circle.
        R: Its radius, in pixels.
        method: A name of :data:`NUMBERINGS`, or ``"var"`` for :func:`contrast`.
        memory: Bound on temporary memory, MiB.

    Raises:
        InputError: When there is no such method, or a circle is none.
    """
    if method == "var":
        return contrast(images, P, R, memory=memory)
    if method not in NUMBERINGS:
        raise UnknownNameError("method of local binary patterns", method, [*NUMBERINGS, "var"])
    return _numbered(images, P, R, NUMBERINGS[method], memory)


def histograms(codes: Int[Tensor, "n h w"], bins: int, regions: tuple[int, int] = (1, 1)) -> Float[Tensor, "n m"]:
    """The share of each code in each region, regions row by row; the shares of a region add up to 1.

    Args:
        codes: Codes from 0 to ``bins - 1``.
        bins: How many codes there are.
        regions: Into how many parts the height and the width are split, as equal as they can be.

    Raises:
        InputError: When there are more parts than pixels, or more than 65,536 bins.
    """
    count, height, width = codes.shape
    if not (1 <= regions[0] <= height and 1 <= regions[1] <= width):
        raise InputError(f"An image of {height} x {width} pixels has no {regions[0]} x {regions[1]} regions.")
    if bins > MOST_BINS:
        raise InputError(
            f'A histogram has at most {MOST_BINS} bins; received {bins}: write method="uniform", or fewer points.'
        )
    device = codes.device
    down = torch.arange(height, device=device) * regions[0] // height
    across = torch.arange(width, device=device) * regions[1] // width
    region = down[:, None] * regions[1] + across
    number = regions[0] * regions[1]
    sizes = torch.bincount(region.view(-1), minlength=number).double()
    image = torch.arange(count, device=device)[:, None, None]
    place = ((image * number + region) * bins + codes).view(-1)
    counts = torch.bincount(place, minlength=count * number * bins).view(count, number, bins)
    return (counts / sizes[:, None]).view(count, number * bins)


def chi_square(X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """The chi-square distance ``sum_i (x_i - y_i)^2 / (x_i + y_i)`` of histograms; empty bins add nothing."""
    found = X.new_empty(len(X), len(Y))
    for rows in blocks(len(X), 4 * Y.numel() * X.element_size(), 256):
        one = X[rows, None]
        total = one + Y
        found[rows] = ((one - Y).square_() / total.where(total > 0, 1)).sum(dim=2)
    return found


def log_likelihood(X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """The G statistic ``2 sum_i x_i log(x_i / y_i)`` of samples ``X`` under models ``Y`` (Sokal & Rohlf 1969).

    An empty bin of a model counts as the least positive number, so that the statistic stays finite.
    """
    logs = Y.clamp_min(torch.finfo(Y.dtype).tiny).log()
    return 2 * (torch.special.xlogy(X, X).sum(dim=1, keepdim=True) - X @ logs.T)
