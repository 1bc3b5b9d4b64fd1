"""Region growing: from seeds, neighbouring pixels of similar value join, until none does (Adams & Bischof 1994).

A pixel beside the region joins when

- ``"fixed"``: ``|I - I_seed| <= T``. The region is all that such pixels connect with the seed, whatever the order.
- ``"mean"``: ``|I - m| <= T``, ``m`` being the mean of the region so far. Here the order matters: all pixels beside the
  region are judged by the same mean, those that pass join together, and the mean is taken anew. So the result does not
  depend on the order of pixels or seeds, and turns with the image.

Each seed grows a region of its own. Where these meet, the pixel belongs to the region whose seed (or mean, at the end)
is nearest in value, and of equally near ones to the first.

Differs from Adams & Bischof 1994: pixels are judged by a threshold, and those that no region wants stay without one;
there, all pixels are given out one by one, the most similar first.
"""

from typing import NamedTuple

import torch
from torch.nn import functional

from chainrule.errors import InputError
from chainrule.shapes import Bool, Float, Int, Num, Tensor


class Regions(NamedTuple):
    """Pixels, by the region that they belong to.

    Attributes:
        labels: 0 where there is no region, else the number of the seed, from 1.
        masks: Each seed's region, before those that meet are told apart.
    """

    labels: Int[Tensor, "*batch h w"]
    masks: Bool[Tensor, "*batch s h w"]


def grow(
    image: Num[Tensor, "*batch h w"],
    seeds: Int[Tensor, "*seedbatch s 2"],
    threshold: float,
    *,
    connectivity: int = 8,
    criterion: str = "fixed",
) -> Regions:
    """Grow regions from seeds.

    Args:
        image: One image ``[h, w]``, or several ``[n, h, w]``.
        seeds: Row and column of each seed, ``[s, 2]`` for all images, or ``[n, s, 2]``.
        threshold: How far a pixel may be from the seed or the mean, inclusive.
        connectivity: 4 neighbours, or 8.
        criterion: ``"fixed"`` or ``"mean"``.

    Raises:
        InputError: When an option does not fit, a seed lies outside, or a value is not finite.
    """
    if connectivity not in (4, 8):
        raise InputError(f"A pixel has 4 or 8 neighbours; received connectivity={connectivity!r}.")
    if criterion not in ("fixed", "mean"):
        raise InputError(f'Regions grow by criterion="fixed" or "mean"; received {criterion!r}.')
    if not threshold >= 0:
        raise InputError(f"Region growing wants a threshold from 0 up; received {threshold!r}.")
    values = _checked(image)
    places = seeds.to(values.device).long().expand(len(values), *seeds.shape[-2:])
    height, width = values.shape[-2:]
    limits = torch.tensor([height, width], device=values.device)
    if bool(((places < 0) | (places >= limits)).any()):
        raise InputError(f"A seed lies outside of the image of {height} x {width} pixels.")
    flat = places[..., 0] * width + places[..., 1]
    start = torch.zeros(len(values), places.shape[1], height * width, dtype=torch.bool, device=values.device)
    masks = start.scatter_(2, flat[..., None], True).view(*start.shape[:2], height, width)
    levels = values.flatten(1).gather(1, flat)
    if criterion == "fixed":
        near = (values[:, None] - levels[..., None, None]).abs() <= threshold
        masks = flooded(masks, near, connectivity)
    else:
        masks = _by_mean(values, masks, threshold, connectivity)
        levels = _means(values, masks)
    labels = _apart(values, masks, levels)
    return Regions(labels, masks) if image.ndim == 3 else Regions(labels[0], masks[0])


def flooded(
    masks: Bool[Tensor, "n s h w"], allowed: Bool[Tensor, "n s h w"], connectivity: int
) -> Bool[Tensor, "n s h w"]:
    """All allowed pixels that are connected with the masks, which must be allowed themselves.

    A run of allowed pixels in a row or column is filled at once, so that there are as many rounds as the longest way
    has turns, not pixels.

    Args:
        masks: Where to start.
        allowed: Which pixels may join.
        connectivity: 4 or 8.
    """
    rows, columns = _runs(allowed), _runs(allowed.mT).mT
    while True:
        before = masks
        for runs in (rows, columns):
            hit = torch.zeros(int(runs.max()) + 1, dtype=torch.bool, device=masks.device)
            hit[runs[masks]] = True
            masks = hit[runs] & allowed
        if connectivity == 8:
            masks = widened(masks, 8) & allowed
        if bool((masks == before).all()):
            return masks


def widened(masks: Bool[Tensor, "n s h w"], connectivity: int) -> Bool[Tensor, "n s h w"]:
    """Masks, and the pixels beside them; ``connectivity`` is 4 or 8."""
    bits = masks.float()
    across = functional.max_pool2d(bits, (1, 3), stride=1, padding=(0, 1))
    down = functional.max_pool2d(across if connectivity == 8 else bits, (3, 1), stride=1, padding=(1, 0))
    return (down > 0) | (across > 0)


def _runs(allowed: Bool[Tensor, "n s h w"]) -> Int[Tensor, "n s h w"]:
    """A number for each run of allowed pixels along a row; other pixels have the number of the run before them."""
    begins = allowed & ~functional.pad(allowed[..., :-1], (1, 0))
    return begins.flatten().cumsum(0).view(allowed.shape)


def _by_mean(
    values: Float[Tensor, "n h w"], masks: Bool[Tensor, "n s h w"], threshold: float, connectivity: int
) -> Bool[Tensor, "n s h w"]:
    while True:
        near = (values[:, None] - _means(values, masks)[..., None, None]).abs() <= threshold
        grown = masks | (widened(masks, connectivity) & near)
        if bool((grown == masks).all()):
            return masks
        masks = grown


def _means(values: Float[Tensor, "n h w"], masks: Bool[Tensor, "n s h w"]) -> Float[Tensor, "n s"]:
    """The mean of each region, added up from differences to the image's mean so that no digits are lost."""
    centre = values.mean(dim=(1, 2))
    sums = torch.einsum("nhw,nshw->ns", values - centre[:, None, None], masks.to(values.dtype))
    return centre[:, None] + sums / masks.sum(dim=(2, 3))


def _apart(
    values: Float[Tensor, "n h w"], masks: Bool[Tensor, "n s h w"], levels: Float[Tensor, "n s"]
) -> Int[Tensor, "n h w"]:
    """For each pixel the number of the region that it is in and nearest to, 0 for none."""
    far = (values[:, None] - levels[..., None, None]).abs().masked_fill(~masks, torch.inf)
    return torch.where(masks.any(dim=1), far.argmin(dim=1) + 1, 0)


def _checked(image: Tensor) -> Float[Tensor, "n h w"]:
    if image.ndim not in (2, 3) or not image.numel():
        raise InputError(f"Region growing takes an image [h, w] or images [n, h, w]; received {list(image.shape)}.")
    values = image if image.is_floating_point() else image.double()
    if not bool(values.isfinite().all()):
        raise InputError("The image contains NaN or infinity; fill these pixels first.")
    return values.view(-1, *values.shape[-2:])
