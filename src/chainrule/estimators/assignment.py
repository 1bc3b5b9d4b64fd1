"""Which centre is nearest to each sample, kept up to date while the centres move; the inner loop of k-means.

Three things save work, and none changes a label:

- A sample is looked at only when the centres have moved far enough that another may have become nearer than its own
  (Hamerly 2010): by the triangle inequality its lead, the distance to the second nearest centre less that to the
  nearest, falls by no more than its own centre's movement and the greatest of the others.
- A product in float32, with a bound on its rounding (Higham 2002, sec. 3.1), finds those that may have a nearer centre;
  only they are compared in the precision of the samples.
- Only samples that change their cluster touch the sums.
"""

import torch

from chainrule.estimators.memory import blocks
from chainrule.estimators.neighbor_search import ROUNDOFF
from chainrule.shapes import Float, Int, Tensor

#: Temporary memory of one block on a CPU, MiB: the fastest of 1 to 64, on two cores.
CACHE = 8

#: Centres from which on a product is fastest with one row for each sample.
WIDE = 32

#: Share of the samples from which on all are looked at, which spares their gathering.
MOST = 0.6


def tile(X: Tensor, memory: float) -> float:
    """Temporary memory for a block of rows, MiB."""
    return min(memory, CACHE) if X.device.type == "cpu" else memory


def assigned(X: Float[Tensor, "n d"], centres: Float[Tensor, "k d"], memory: float) -> Int[Tensor, " n"]:
    """The nearest centre of each sample, ``argmin_i |mu_i|^2 / 2 - x.mu_i``; of equally near ones the first.

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


class Assignment:
    """The nearest centre of each sample of this process, and the sums of the clusters.

    Args:
        X: Samples, centred.
        weight: Their weights.
        centres: The first centres.
        memory: Bound on temporary memory, MiB.

    Attributes:
        labels: The nearest centre of each sample.
        sums: The weighted sum of each cluster's samples.
    """

    def __init__(
        self, X: Float[Tensor, "n d"], weight: Float[Tensor, " n"], centres: Float[Tensor, "k d"], memory: float
    ) -> None:
        self.X, self.weight, self.memory = X, weight, memory
        self.single = X.float()
        self.lengths = self.single.norm(dim=1)
        self.labels = assigned(self.single, centres.float(), memory)
        self.sums = self._summed(len(centres))
        self.lead = torch.zeros_like(self.lengths)
        self.stale = 0
        self._visit(centres)

    def move(self, old: Float[Tensor, "k d"], centres: Float[Tensor, "k d"]) -> int:
        """Follow the centres; gives how many samples changed their cluster.

        Args:
            old: The centres before.
            centres: The centres now.
        """
        moves = (centres - old).norm(dim=1).float() * 1.0001
        others = moves.expand(len(moves), -1).masked_fill(
            torch.eye(len(moves), dtype=torch.bool, device=moves.device), 0.0
        )
        self.lead -= (moves + others.amax(dim=1))[self.labels]
        changed = self._visit(centres)
        # Rounding adds up; so the sums are taken anew from time to time.
        self.stale += changed
        if self.stale > 2 * len(self.X):
            self.sums, self.stale = self._summed(len(centres)), 0
        return changed

    def _visit(self, centres: Float[Tensor, "k d"]) -> int:
        """Look at all samples whose lead is used up."""
        half, negative = centres.square().sum(dim=1) / 2, -centres.T
        bias, factor, wide = half.float(), negative.float(), len(centres) >= WIDE
        reach = float(centres.norm(dim=1).max())
        rounding = 2 * (self.X.shape[1] + 16) * ROUNDOFF[torch.get_float32_matmul_precision()] * reach
        active = (self.lead <= 0).nonzero()[:, 0]
        whole = len(active) > MOST * len(self.X)
        changed, count = 0, len(self.X) if whole else len(active)
        row = 4 * len(centres) + 8 * self.X.shape[1]
        for part in blocks(count, row, tile(self.X, self.memory)):
            index = part if whole else active[part]
            rows, own, lengths = self.single[index], self.labels[index][:, None], self.lengths[index]
            # A product with few columns is faster the other way round.
            scores = torch.addmm(bias, rows, factor) if wide else torch.addmm(bias[:, None], factor.T, rows.T).T
            margin = (lengths + reach) * rounding
            mine = scores.gather(1, own)[:, 0]
            other = scores.scatter_(1, own, torch.inf).amin(dim=1)
            doubt = (other < mine + margin).nonzero()[:, 0]
            # Squared distances are |x|^2 and twice the score; twice its rounding is the margin.
            square = lengths.square()
            near = torch.add(square, mine, alpha=2).add_(margin).clamp_min_(0).sqrt_()
            self.lead[index] = torch.add(square, other, alpha=2).sub_(margin).clamp_min_(0).sqrt_().sub_(near) * 0.9999
            if len(doubt):
                doubt = doubt + part.start if whole else active[part][doubt]
                changed += self._decide(doubt, half, negative)
        return changed

    def _decide(self, rows: Int[Tensor, " m"], half: Float[Tensor, " k"], negative: Float[Tensor, "d k"]) -> int:
        """Move these samples to their nearest centres, in full precision; gives how many moved."""
        samples, old = self.X[rows], self.labels[rows]
        scores = torch.addmm(half, samples, negative)
        best = scores.min(dim=1)
        moved = best.values < scores.gather(1, old[:, None])[:, 0]
        rows, new, old = rows[moved], best.indices[moved], old[moved]
        samples = samples[moved] * self.weight[rows, None]
        self.sums.index_add_(0, new, samples).index_add_(0, old, samples, alpha=-1)
        self.labels[rows] = new
        self.lead[rows] = 0.0
        return len(rows)

    def _summed(self, k: int) -> Float[Tensor, "k d"]:
        sums = self.X.new_zeros(k, self.X.shape[1])
        for part in blocks(len(self.X), self.X.shape[1] * self.X.element_size(), tile(self.X, 16)):
            rows = self.X[part] * self.weight[part, None]
            sums += torch.zeros_like(sums).index_add_(0, self.labels[part], rows)
        return sums
