"""The k nearest samples, by brute force in bounded memory.

Queries and samples are taken in blocks, and the k best so far are kept. For the Euclidean distance a matrix product
in float32 proposes k and a few more candidates; their distances are computed from the differences, and a bound on the
product's rounding (Higham 2002, sec. 3.1) proves that no other sample is nearer. Queries without that proof, because
of ties, outliers or features far from zero, are asked again in float64, then by differences alone.
"""

import math
from dataclasses import dataclass

import torch

from chainrule.estimators.distances import Distance, Minkowski
from chainrule.estimators.memory import MIB, blocks
from chainrule.shapes import Bool, Float, Int, Tensor

#: Unit roundoff of a float32 product, by ``torch.get_float32_matmul_precision()``.
ROUNDOFF = {"highest": 2.0**-24, "high": 2.0**-11, "medium": 2.0**-8}

#: Below so many queries a product is not worth its proof.
FEW = 16

#: Queries that go through one product, and samples at most; so a block stays in the cache.
TILE, WIDEST = 256, 16384

#: Candidates beyond k.
MARGIN = 8


@dataclass(frozen=True)
class Neighbours:
    """The nearest samples of each query, nearest first; of samples at the same distance the earlier one.

    Attributes:
        distances: Rising in each row.
        indices: Rows of the samples.
    """

    distances: Float[Tensor, "q k"]
    indices: Int[Tensor, "q k"]


def nearest(distances: Float[Tensor, "b m"], k: int) -> Neighbours:
    """The ``k`` smallest entries of each row, of equal ones the first.

    Args:
        distances: One row for each query.
        k: At most ``m``.
    """
    values, columns = _smallest(distances, k)
    bound = values.amax(dim=1, keepdim=True)
    crowded = (distances <= bound).sum(dim=1) > k
    if bool(crowded.any()):
        rows, limit = distances[crowded], bound[crowded]
        below, tied = rows < limit, rows == limit
        room = k - below.sum(dim=1, keepdim=True)
        taken = below | (tied & (tied.cumsum(dim=1) <= room))
        columns[crowded] = taken.nonzero()[:, 1].view(-1, k)
    columns = columns.sort(dim=1).values
    values, order = distances.gather(1, columns).sort(dim=1, stable=True)
    return Neighbours(values, columns.gather(1, order))


def merged(old: Neighbours, new: Neighbours, start: int, k: int) -> Neighbours:
    """The ``k`` best of those found before and of those in a later block of samples, or all if they are fewer.

    Args:
        old: What was found before.
        new: What was found in the block.
        start: First sample of the block.
        k: How many.
    """
    # What was found before comes first, so that of equal distances the earlier sample stays.
    distances = torch.cat([old.distances, new.distances], dim=1)
    best = nearest(distances, min(k, distances.shape[1]))
    return Neighbours(best.distances, torch.cat([old.indices, new.indices + start], dim=1).gather(1, best.indices))


def search(distance: Distance, Q: Float[Tensor, "q d"], X: Float[Tensor, "n d"], k: int, memory: float) -> Neighbours:
    """The ``k`` samples nearest to each query.

    Args:
        distance: A part of :mod:`chainrule.estimators.distances`, or a function of two matrices.
        Q: Queries.
        X: Samples, at least ``k``.
        k: How many.
        memory: Bound on temporary memory, MiB.
    """
    if distance != Minkowski(2):
        return _by_distances(distance, Q, X, k, memory)
    found = _unfilled(Q, k)
    for rows in blocks(len(Q), Q.shape[1] * 8 + 50 * (k + MARGIN), memory / 4):
        _fill(found, rows, _euclidean(Q[rows], X, k, memory / 2))
    return found


def _euclidean(Q: Tensor, X: Tensor, k: int, memory: float) -> Neighbours:
    """Euclidean search by products as far as these prove their result, else by differences."""
    found, left = _unfilled(Q, k), torch.arange(len(Q), device=Q.device)
    for dtype in (torch.float32, torch.float64):
        if len(left) > FEW:
            best, proven = _by_products(Q[left], X, k, memory, dtype)
            _fill(found, left, best)
            left = left[~proven]
    if len(left):
        _fill(found, left, _by_distances(_differences, Q[left], X, k, memory))
    return found


def _by_products(
    Q: Tensor, X: Tensor, k: int, memory: float, dtype: torch.dtype
) -> tuple[Neighbours, Bool[Tensor, " q"]]:
    """The nearest samples by ``|x|^2 / 2 - q.x``, and for which queries they are proven to be."""
    kept, features = min(len(X), k + max(MARGIN, k // 2)), Q.shape[1]
    # Any centre does; this one is cheap, and in the midst of the samples.
    centre = X[:: max(1, len(X) // 4096)].mean(dim=0)
    keys, columns, reach = _proposed((Q - centre).to(dtype), X, centre, kept, memory)
    distances = torch.empty(len(Q), kept, dtype=Q.dtype, device=Q.device)
    for rows in blocks(len(Q), 3 * kept * features * Q.element_size(), memory):
        distances[rows] = (X[columns[rows]] - Q[rows, None]).norm(dim=2)

    columns, order = columns.sort(dim=1)
    distances, order = distances.gather(1, order).sort(dim=1, stable=True)
    best = Neighbours(distances[:, :k], columns.gather(1, order)[:, :k])

    roundoff = ROUNDOFF[torch.get_float32_matmul_precision()] if dtype == torch.float32 else 2.0**-53
    lengths = (Q - centre).to(dtype).norm(dim=1)
    error = (features + 16) * roundoff * (lengths + reach).square()
    others = 2 * keys.amax(dim=1) + lengths.square() - error
    farthest = best.distances[:, -1].to(dtype) * (1 + (features + 16) * torch.finfo(Q.dtype).eps)
    return best, (others > farthest.square()) | (kept == len(X))


def _proposed(
    Q: Float[Tensor, "q d"], X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], kept: int, memory: float
) -> tuple[Float[Tensor, "q c"], Int[Tensor, "q c"], Tensor]:
    """The ``kept`` least ``|x|^2 / 2 - q.x`` of each centred query, their samples, and the length of the longest."""
    keys = torch.full((len(Q), kept), math.inf, dtype=Q.dtype, device=Q.device)
    columns = torch.zeros(len(Q), kept, dtype=torch.int64, device=Q.device)
    reach = torch.zeros((), dtype=Q.dtype, device=Q.device)
    queries = torch.cat([Q, Q.new_ones(len(Q), 1)], dim=1)
    tile = TILE if Q.device.type == "cpu" else 16 * TILE
    width = _width(tile, len(X), 3 * Q.shape[1], Q.element_size(), memory)
    for start in range(0, len(X), width):
        samples = (X[start : start + width] - centre).to(Q.dtype)
        halves = samples.square().sum(dim=1) / 2
        reach = torch.maximum(reach, (2 * halves.amax()).sqrt())
        samples = torch.cat([-samples, halves[:, None]], dim=1)
        for first in range(0, len(Q), tile):
            rows = slice(first, first + tile)
            block = queries[rows] @ samples.T
            values, found = _smallest(block, min(kept, len(samples)))
            values, found = torch.cat([keys[rows], values], dim=1), torch.cat([columns[rows], found + start], dim=1)
            keys[rows], order = values.topk(kept, dim=1, largest=False, sorted=False)
            columns[rows] = found.gather(1, order)
    return keys, columns, reach


def _by_distances(distance: Distance, Q: Tensor, X: Tensor, k: int, memory: float) -> Neighbours:
    """The nearest samples by any distance."""
    found = _unfilled(Q, k)
    tile = min(len(Q), TILE)
    width = _width(tile, len(X), Q.shape[1], 2 * Q.element_size(), memory)
    for first in range(0, len(Q), tile):
        rows, best = slice(first, first + tile), _unfilled(Q[first : first + tile], 0)
        for start in range(0, len(X), width):
            new = nearest(distance(Q[rows], X[start : start + width]), min(k, width, len(X) - start))
            best = merged(best, new, start, k)
        _fill(found, rows, best)
    return found


def _differences(X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return torch.cdist(X, Y, compute_mode="donot_use_mm_for_euclid_dist")


def _smallest(keys: Float[Tensor, "b m"], k: int) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"]]:
    """As ``topk``, unordered, in about one pass: the ``k`` smallest lie in the ``k`` groups of smallest minimum."""
    group = int((keys.shape[1] / k) ** 0.5)
    if group < 4:
        values, columns = keys.topk(k, dim=1, largest=False, sorted=False)
        return values, columns
    count = keys.shape[1] // group
    least = keys[:, : group * count].unflatten(1, (group, count)).amin(dim=1)
    groups = least.topk(k, dim=1, largest=False, sorted=False).indices
    columns = (groups[:, None] + count * torch.arange(group, device=keys.device)[:, None]).flatten(1)
    rest = torch.arange(group * count, keys.shape[1], device=keys.device).expand(len(keys), -1)
    columns = torch.cat([columns, rest], dim=1)
    values, order = keys.gather(1, columns).topk(k, dim=1, largest=False, sorted=False)
    return values, columns.gather(1, order)


def _width(tile: int, samples: int, numbers: int, size: int, memory: float) -> int:
    """Samples in a block, of about equal blocks; each has so many numbers of its own, and three for each query."""
    most = max(1, min(int(memory * MIB) // (size * (3 * tile + numbers)), WIDEST))
    return math.ceil(samples / math.ceil(samples / most))


def _unfilled(Q: Tensor, k: int) -> Neighbours:
    return Neighbours(Q.new_empty(len(Q), k), torch.empty(len(Q), k, dtype=torch.int64, device=Q.device))


def _fill(found: Neighbours, rows: slice | Tensor, best: Neighbours) -> None:
    found.distances[rows], found.indices[rows] = best.distances, best.indices
