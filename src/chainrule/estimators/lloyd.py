"""k-means as functions: the start by k-means++ (Arthur & Vassilvitskii 2007) and the iteration of Lloyd 1982.

The objective is the within-cluster sum of squares ``sum_i sum_{x in S_i} |x - mu_i|^2``. An iteration assigns each
sample to its nearest centre and moves each centre to the mean of its samples.

Differs from Arthur & Vassilvitskii in their own remark: of several candidates for a centre the best is taken.
"""

import math
from dataclasses import dataclass

import torch

from chainrule.estimators.assignment import Assignment, tile
from chainrule.estimators.memory import blocks
from chainrule.estimators.row_draws import RowDraws
from chainrule.estimators.shards import gathered, total
from chainrule.shapes import Float, Int, Tensor


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
    state, settled, step = Assignment(X, weight, centres, memory), False, 0
    old = centres
    for step in range(1, max_iter + 1):
        if step > 1:
            settled = _moved(state, old, centres) == 0
            if settled:
                break
        counts = total(weight.new_zeros(len(centres)).index_add_(0, state.labels, weight))
        moments = total(state.sums)
        if not bool((counts > 0).all()):
            moments, counts = _relocated(X, weight, centres, state.labels, moments, counts, memory)
        full = (counts > 0)[:, None]
        old, centres = centres, torch.where(full, moments / torch.where(full, counts[:, None], 1), centres)
        if float((centres - old).square().sum()) <= tolerance:
            break
    if not settled:
        settled = step < max_iter
        _moved(state, old, centres)
    error = float(inertia(X, weight, centres, state.labels, memory))
    return Partition(centres, state.labels, error, step, settled)


def _moved(state: Assignment, old: Float[Tensor, "k d"], centres: Float[Tensor, "k d"]) -> int:
    """How many samples changed their cluster, on all processes."""
    return int(total(torch.tensor(state.move(old, centres), device=centres.device)))


def _squares(X: Float[Tensor, "n d"], norms: Float[Tensor, " n"], C: Float[Tensor, "t d"]) -> Float[Tensor, "t n"]:
    return torch.addmm(norms, C, X.T, alpha=-2).add_(C.square().sum(dim=1, keepdim=True)).clamp_min_(0)


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
