"""What becomes of a receptive field in each of torch's operations."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from chainrule.anatomy.receptive import Factors, Reach, Trail

Rule = Callable[[dict[str, Any], Sequence[int], Trail], Trail]


def follow(
    name: str, given: dict[str, Any], shape: Sequence[int], known: Callable[[Any], Trail | None]
) -> Trail | None:
    """The trail of what an operation gives; None where nothing of it comes from the input.

    Args:
        name: The operation of ATen, as in ``"convolution"``.
        given: Its arguments by name.
        shape: Shape of what it gives.
        known: The trail of a tensor, or None.
    """
    if name in PRODUCTS:
        left = given.get("batch1", given.get("mat1", given.get("self")))
        right = given.get("batch2", given.get("mat2"))
        return _product(shape, known(left), known(right))
    leaves = [leaf for value in given.values() for leaf in (value if isinstance(value, list | tuple) else [value])]
    trails = [trail for leaf in leaves if (trail := known(leaf))]
    if not trails:
        return None
    rule = next((rule for names, rule in RULES if name in names), None)
    return _cleared(rule(given, shape, trails[0]) if rule else _alike(shape, trails))


def _cleared(trail: Trail) -> Trail:
    """An axis that no axis of the tensor follows any more, or several do, is seen as a whole."""
    held = [axis for dim in trail.dims for _, axis in dim if axis is not None]
    seen = tuple(reach if held.count(axis) == 1 else None for axis, reach in enumerate(trail.reach))
    dims = tuple(
        tuple((size, axis if axis is not None and seen[axis] else None) for size, axis in dim) for dim in trail.dims
    )
    return Trail(dims, seen)


def _fresh(size: int) -> Factors:
    return ((size, None),)


def _count(dim: Factors) -> int:
    return math.prod(size for size, _ in dim)


def _joined(trails: Sequence[Trail]) -> tuple[Reach | None, ...]:
    """The hull of what several tensors see; that of different jumps is the whole."""

    def hull(reaches: Sequence[Reach | None]) -> Reach | None:
        known = [reach for reach in reaches if reach]
        if len(known) < len(reaches) or len({reach.jump for reach in known}) > 1:
            return None
        largest = max(known, key=lambda reach: reach.high - reach.low)
        return replace(largest, low=min(r.low for r in known), high=max(r.high for r in known))

    return tuple(hull(reaches) for reaches in zip(*(trail.reach for trail in trails), strict=True))


def _alike(shape: Sequence[int], trails: Sequence[Trail]) -> Trail:
    """An operation of single positions, with broadcasting; whatever is not known counts as one where shapes agree."""
    dims = [_fresh(size) for size in shape]
    placed = [(len(shape) - len(trail.dims), trail) for trail in trails]
    if min(first for first, _ in placed) < 0:
        return _lost(shape, trails[0])
    for first, trail in placed:
        for place, dim in enumerate(trail.dims, start=first):
            if _count(dim) == shape[place] and all(axis is None for _, axis in dims[place]):
                dims[place] = dim
    gone = {
        axis
        for first, trail in placed
        for place, dim in enumerate(trail.dims, start=first)
        for _, axis in dim
        if dims[place] != dim
    }
    seen = _joined(trails)
    return Trail(tuple(dims), tuple(None if axis in gone else reach for axis, reach in enumerate(seen)))


def _product(shape: Sequence[int], left: Trail | None, right: Trail | None) -> Trail | None:
    """A matrix product keeps the rows of the first and the columns of the second; the axis between is seen whole."""
    kept = []
    if left:
        kept.append(_cleared(replace(left, dims=(*left.dims[:-1], _fresh(1)))))
    if right:
        kept.append(_cleared(replace(right, dims=(*right.dims[:-2], _fresh(1), right.dims[-1]))))
    return _cleared(_alike(shape, kept)) if kept else None


def _window(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    kernel = given["weight"].shape[2:] if "weight" in given else given["kernel_size"]
    count = len(kernel)
    stride = each(given["stride"] or kernel, count)
    padding, dilation = each(given["padding"], count), each(given.get("dilation", 1), count)
    kernel = each(kernel, count)
    for number, (k, s, p, d) in enumerate(zip(kernel, stride, padding, dilation, strict=True)):
        dim = len(shape) - count + number
        if given.get("transposed"):
            change = partial(Reach.spread, taps=d * (k - 1), factor=s, padding=p)
        else:
            change = partial(Reach.window, kernel=k, stride=s, padding=p, dilation=d)
        trail = trail.change(dim, shape[dim], change)
    if "weight" in given:
        trail = Trail((trail.dims[0], _fresh(shape[1]), *trail.dims[2:]), trail.reach)
    return trail


def _adapted(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    """Adaptive pooling is pooling where the size divides; the whole elsewhere."""
    dims = list(trail.dims)
    for dim in range(len(shape) - len(given["output_size"]), len(shape)):
        size = _count(trail.dims[dim])
        if size == shape[dim]:
            continue
        if shape[dim] == 1 or size % shape[dim]:
            dims[dim] = _fresh(shape[dim])
            continue
        share = size // shape[dim]
        trail = trail.change(dim, shape[dim], partial(Reach.window, kernel=share, stride=share, padding=0))
        dims[dim] = trail.dims[dim]
    return Trail(tuple(dims), trail.reach)


def _enlarge(taps: int) -> Rule:
    """Interpolation by ``f`` from ``taps`` neighbours is a transposed convolution with a kernel of ``taps f``."""

    def enlarged(reach: Reach, factor: float) -> Reach:
        if factor > 1:
            return reach.spread(taps * factor - 1, factor, (taps - 1) * factor / 2)
        return replace(reach, high=reach.high + (taps - 1) * reach.jump, jump=reach.jump / factor)

    def rule(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
        for dim in range(2, len(shape)):
            factor = shape[dim] / _count(trail.dims[dim])
            if factor != 1:
                trail = trail.change(dim, shape[dim], partial(enlarged, factor=factor))
        return trail

    return rule


def _pad(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    pads = given["pad"] if "pad" in given else given["padding"]
    for number, before in enumerate(pads[::2]):
        dim = len(shape) - 1 - number
        trail = trail.change(dim, shape[dim], partial(Reach.window, kernel=1, stride=1, padding=before))
    return trail


def _slice(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    dim = given["dim"] % len(shape)
    size, start = _count(trail.dims[dim]), given["start"] or 0
    start = min(max(start + size if start < 0 else start, 0), size)
    if start == 0 and shape[dim] == size:
        return trail
    return trail.change(dim, shape[dim], partial(Reach.window, kernel=1, stride=given["step"], padding=-start))


def _reshape(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    """Deal the factors out again, in their order; one that is torn apart is no longer followed."""
    factors = [factor for dim in trail.dims for factor in dim if factor[0] > 1]
    dims: list[Factors] = []
    for size in shape:
        taken: list[tuple[int, int | None]] = []
        room = size
        while room > 1 and factors:
            count, axis = factors.pop(0)
            if room % count:
                share = math.gcd(room, count)
                if share == 1:
                    return _lost(shape, trail)
                factors.insert(0, (count // share, None))
                count, axis = share, None
            taken.append((count, axis))
            room //= count
        dims.append(tuple(taken) or _fresh(size))
    return Trail(tuple(dims), trail.reach)


def _permute(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    order = list(range(len(trail.dims)))
    if "dims" in given:
        order = [dim % len(order) for dim in given["dims"]]
    else:
        one, other = given.get("dim0", 0), given.get("dim1", -1)
        order[one], order[other] = order[other], order[one]
    return Trail(tuple(trail.dims[dim] for dim in order), trail.reach)


def _reduce(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    """Axes that are summed over or picked from go, or stay with one position."""
    chosen = given.get("dim")
    numbers = range(len(trail.dims)) if chosen in (None, []) else chosen if isinstance(chosen, Iterable) else [chosen]
    gone = {number % len(trail.dims) for number in numbers}
    if len(shape) == len(trail.dims):
        return Trail(tuple(_fresh(1) if n in gone else dim for n, dim in enumerate(trail.dims)), trail.reach)
    return Trail(tuple(dim for n, dim in enumerate(trail.dims) if n not in gone), trail.reach)


def _mix(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    """Every position of the axes comes from all of them."""
    chosen = given.get("dim", given.get("dims", -1))
    numbers = chosen if isinstance(chosen, Iterable) else [chosen]
    mixed = {number % len(shape) for number in numbers}
    return Trail(tuple(_fresh(shape[n]) if n in mixed else dim for n, dim in enumerate(trail.dims)), trail.reach)


def _lose(given: dict[str, Any], shape: Sequence[int], trail: Trail) -> Trail:
    return _lost(shape, trail)


def _lost(shape: Sequence[int], trail: Trail) -> Trail:
    return Trail(tuple(map(_fresh, shape)), tuple(None for _ in trail.reach))


def each(value: Any, count: int) -> list[int]:
    """One number for each axis."""
    values = list(value) if isinstance(value, Iterable) else [value]
    return values * count if len(values) == 1 else values


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRODUCTS = _names("mm addmm bmm baddbmm")
WINDOWS = _names(
    "convolution max_pool2d_with_indices max_pool3d_with_indices max_pool1d max_pool2d max_pool3d "
    "avg_pool1d avg_pool2d avg_pool3d"
)
RULES: tuple[tuple[frozenset[str], Rule], ...] = (
    (WINDOWS, _window),
    (
        _names("_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_max_pool2d adaptive_max_pool3d"),
        _adapted,
    ),
    (
        _names(
            "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d "
            "_upsample_nearest_exact2d _upsample_nearest_exact3d pixel_shuffle"
        ),
        _enlarge(1),
    ),
    (_names("upsample_linear1d upsample_bilinear2d upsample_trilinear3d"), _enlarge(2)),
    (_names("upsample_bicubic2d"), _enlarge(4)),
    (
        _names(
            "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
            "replication_pad3d"
        ),
        _pad,
    ),
    (_names("slice"), _slice),
    (_names("view _unsafe_view reshape squeeze unsqueeze flatten unflatten"), _reshape),
    (_names("permute transpose t"), _permute),
    (
        _names("mean sum amax amin max min prod var std var_mean logsumexp norm linalg_vector_norm select unbind"),
        _reduce,
    ),
    (_names("_softmax _log_softmax _safe_softmax cumsum cumprod sort topk flip roll"), _mix),
    (_names("stack im2col col2im unfold gather pixel_unshuffle grid_sampler_2d _trilinear embedding"), _lose),
)
