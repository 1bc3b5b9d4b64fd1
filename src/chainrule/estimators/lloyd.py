"""k-means as functions: the start by k-means++ (Arthur & Vassilvitskii 2007) and the iteration of Lloyd 1982.

The objective is the within-cluster sum of squares ``sum_i sum_{x in S_i} |x - mu_i|^2``. An iteration assigns each
sample to its nearest centre, ``argmin_i |mu_i|^2 / 2 - x.mu_i``, and moves each centre to the mean of its samples.
Samples are taken in blocks that stay in the cache, and only those that change their cluster touch the sums. For samples
in float64 a product in float32 finds those that may have a nearer centre than their own, with a bound on its rounding
(Higham 2002, sec. 3.1); only they are compared in float64, so no label differs from that of a product in float64.

Differs from Arthur & Vassilvitskii in their own remark: of several candidates for a centre the best is taken.
"""

import math
from dataclasses import dataclass

import torch

from chainrule.estimators.memory import blocks
from chainrule.estimators.neighbor_search import ROUNDOFF
from chainrule.estimators.row_draws import RowDraws
from chainrule.estimators.shards import gathered, total
from chainrule.shapes import Float, Int, Tensor

#: Temporary memory of one block on a CPU, MiB.
CACHE = 2

#: Centres from which on a product is fastest with one row for each sample.
WIDE = 32


@dataclass(frozen=True)
class Partition:
    """What Lloyd's iteration found.

    Attributes:
        centres: Means of the clusters.
        labels: The nearest centre of each sample.
        inertia: Weighted sum of the squared distances to them.
        iterations: How many it took.
        settled: Whether nothing moved any more, or no more than the tolerance.
    """

    centres: Float[Tensor, "k d"]
    labels: Int[Tensor, " n"]
    inertia: float
    iterations: int
    settled: bool


def tile(X: Tensor, memory: float) -> float:
    """Temporary memory for a block of the table of samples by centres, MiB."""
    return min(memory, CACHE) if X.device.type == "cpu" else memory


def assigned(X: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], memory: float) -> Int[Tensor, " n"]:
    """The nearest centre of each sample; of equally near ones the first.

    Args:
        X: Samples, centred.
        centres: Centres, centred alike.
        memory: Bound on temporary memory, MiB.
    """
    half, negative = centres.square().sum(dim=1) / 2, -centres.T
    labels = torch.empty(len(X), dtype=torch.int64, device=X.device)
    for part in blocks(len(X), (len(centres) + X.shape[1]) * X.element_size(), tile(X, memory)):
        labels[part] = torch.addmm(half, X[part], negative).argmin(dim=1)
    return labels


def inertia(
    X: Float[Tensor, "n d"],
    weight: Float[Tensor, " n"],
    centres: Float[Tensor, "k d"],
    labels: Int[Tensor, " n"],
    memory: float,
) -> Float[Tensor, ""]:
    """The weighted sum of the squared distances of samples to their centres, over all processes."""
    found = X.new_zeros(())
    for part in blocks(len(X), 3 * X.shape[1] * X.element_size(), tile(X, memory)):
        found += weight[part] @ (X[part] - centres[labels[part]]).square_().sum(dim=1)
    return total(found)


def plus_plus(
    X: Float[Tensor, "n d"], weight: Float[Tensor, " n"], k: int, draws: RowDraws
) -> tuple[Float[Tensor, "k d"], Int[Tensor, " k"]]:
    """A start by k-means++: each further centre with probability in proportion to the squared distance to those before.

    Args:
        X: Samples, centred.
        weight: Their weights.
        k: How many.
        draws: Draws among ``X``.

    Returns:
        The centres, and where they stand in ``X``, -1 for those of other processes.
    """
    norms = X.square().sum(dim=1)
    row, index = draws(weight, 1)
    centres, chosen = [row[0]], [index[0]]
    closest = _squares(X, norms, row)[0]
    for _ in range(1, k):
        left = weight * closest
        if not bool(total(left.sum()) > 0):
            left = weight
        rows, index = draws(left, 2 + int(math.log(k)))
        nearer = torch.minimum(_squares(X, norms, rows), closest)
        best = total(nearer @ weight).argmin()
        closest = nearer[best]
        centres.append(rows[best])
        chosen.append(index[best])
    return torch.stack(centres), torch.stack(chosen)


def drawn(
    X: Float[Tensor, "n d"], weight: Float[Tensor, " n"], k: int, draws: RowDraws
) -> tuple[Float[Tensor, "k d"], Int[Tensor, " k"]]:
    """A start by ``k`` samples drawn without replacement; takes and returns what :func:`plus_plus` does."""
    assert len(X) == len(weight)
    weight, rows, chosen = weight.clone(), [], []
    for _ in range(k):
        row, index = draws(weight if bool(total(weight.sum()) > 0) else torch.ones_like(weight), 1)
        rows.append(row[0])
        chosen.append(index[0])
        weight[index[index >= 0]] = 0
    return torch.stack(rows), torch.stack(chosen)


def lloyd(
    X: Float[Tensor, "n d"],
    weight: Float[Tensor, " n"],
    centres: Float[Tensor, "k d"],
    *,
    max_iter: int,
    tolerance: float,
    memory: float,
) -> Partition:
    """Lloyd's iteration from a start.

    A cluster that runs empty gets the sample that is farthest from its centre.

    Args:
        X: Samples, centred.
        weight: Their weights.
        centres: The start.
        max_iter: Iterations at most.
        tolerance: It ends when the squared movements of the centres add up to no more.
        memory: Bound on temporary memory, MiB.
    """
    single = X.float()
    lengths = single.norm(dim=1)
    labels = assigned(X, centres, memory)
    sums, stale, settled, step = _sums(X, weight, labels, len(centres)), 0, False, 0

    def reassigned() -> int:
        changed = _reassigned(X, single, _margins(X, lengths, centres), weight, centres, labels, sums, memory)
        return int(total(torch.tensor(changed, device=X.device)))

    for step in range(1, max_iter + 1):
        if step > 1:
            moved = reassigned()
            settled = moved == 0
            if settled:
                break
            stale += moved
            if stale > 2 * len(X):
                sums, stale = _sums(X, weight, labels, len(centres)), 0
        counts = total(weight.new_zeros(len(centres)).index_add_(0, labels, weight))
        moments = total(sums)
        if not bool((counts > 0).all()):
            moments, counts = _relocated(X, weight, centres, labels, moments, counts, memory)
        full = (counts > 0)[:, None]
        old, centres = centres, torch.where(full, moments / torch.where(full, counts[:, None], 1), centres)
        if float((centres - old).square().sum()) <= tolerance:
            break
    if not settled:
        settled = step < max_iter
        reassigned()
    return Partition(centres, labels, float(inertia(X, weight, centres, labels, memory)), step, settled)


def _squares(X: Float[Tensor, "n d"], norms: Float[Tensor, " n"], C: Float[Tensor, "t d"]) -> Float[Tensor, "t n"]:
    return torch.addmm(norms, C, X.T, alpha=-2).add_(C.square().sum(dim=1, keepdim=True)).clamp_min_(0)


def _sums(
    X: Float[Tensor, "n d"], weight: Float[Tensor, " n"], labels: Int[Tensor, " n"], k: int
) -> Float[Tensor, "k d"]:
    """The weighted sum of each cluster's samples on this process."""
    sums = X.new_zeros(k, X.shape[1])
    for part in blocks(len(X), X.shape[1] * X.element_size(), tile(X, 16)):
        sums += torch.zeros_like(sums).index_add_(0, labels[part], X[part] * weight[part, None])
    return sums


def _margins(
    X: Float[Tensor, "n d"], lengths: Float[Tensor, " n"], centres: Float[Tensor, "k d"]
) -> Float[Tensor, " n"]:
    """By how much two scores of a row may come in the wrong order in single precision."""
    if X.dtype == torch.float32:
        return torch.zeros_like(lengths)
    unit = ROUNDOFF[torch.get_float32_matmul_precision()]
    reach = float(centres.norm(dim=1).max())
    return (lengths + reach) * (2 * (X.shape[1] + 16) * unit * reach)


def _reassigned(
    X: Float[Tensor, "n d"],
    single: Float[Tensor, "n d"],
    margins: Float[Tensor, " n"],
    weight: Float[Tensor, " n"],
    centres: Float[Tensor, "k d"],
    labels: Int[Tensor, " n"],
    sums: Float[Tensor, "k d"],
    memory: float,
) -> int:
    """Move samples to their nearest centres, in ``labels`` and ``sums``; gives how many moved.

    The least score of each row is found by vector instructions, its place is not: that is looked for only where
    another centre may be nearer than the present one.
    """
    half, negative = centres.square().sum(dim=1) / 2, -centres.T
    bias, factor, wide = half.float(), negative.float(), len(centres) >= WIDE
    changed = 0
    for part in blocks(len(X), 4 * len(centres) + 8 * X.shape[1], tile(X, memory)):
        rows = single[part]
        # A product with few columns is faster the other way round.
        scores = torch.addmm(bias, rows, factor) if wide else torch.addmm(bias[:, None], factor.T, rows.T).T
        own = labels[part, None]
        limit = scores.gather(1, own)[:, 0] + margins[part]
        doubt = (scores.scatter_(1, own, torch.inf).amin(dim=1) < limit).nonzero()[:, 0]
        if len(doubt):
            rows, old = X[part][doubt], own[doubt, 0]
            scores = torch.addmm(half, rows, negative)
            best = scores.min(dim=1)
            moved = best.values < scores.gather(1, old[:, None])[:, 0]
            new, old, rows = best.indices[moved], old[moved], rows[moved] * weight[part][doubt[moved], None]
            sums.index_add_(0, new, rows).index_add_(0, old, rows, alpha=-1)
            labels[part][doubt[moved]] = new
            changed += len(new)
    return changed


def _relocated(
    X: Float[Tensor, "n d"],
    weight: Float[Tensor, " n"],
    centres: Float[Tensor, "k d"],
    labels: Int[Tensor, " n"],
    sums: Float[Tensor, "k d"],
    counts: Float[Tensor, " k"],
    memory: float,
) -> tuple[Float[Tensor, "k d"], Float[Tensor, " k"]]:
    """Sums and weights of the clusters after each empty one took a sample that is farthest from its centre."""
    empty = (counts == 0).nonzero()[:, 0]
    far = torch.empty_like(weight)
    for part in blocks(len(X), 3 * X.shape[1] * X.element_size(), tile(X, memory)):
        far[part] = (X[part] - centres[labels[part]]).square_().sum(dim=1)
    far, rows = far.mul_(weight > 0).topk(min(len(empty), len(X)))
    parts = gathered((far, X[rows], weight[rows], labels[rows]))
    far, taken, mass, donor = (torch.cat([part[i].to(X.device) for part in parts]) for i in range(4))
    best = far.topk(min(len(empty), int((far > 0).sum()))).indices
    moment, mass, empty = taken[best] * mass[best, None], mass[best], empty[: len(best)]
    sums = sums.index_add(0, empty, moment).index_add_(0, donor[best], moment, alpha=-1)
    counts = counts.index_add(0, empty, mass).index_add_(0, donor[best], mass, alpha=-1)
    return sums, counts.clamp_min_(0)
