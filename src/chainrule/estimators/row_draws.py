"""Random draws of rows that depend on what the rows hold, not on their order or on the process that has them.

Rows are put in the order of a hash of their numbers, and drawn by the inverse of their cumulative weights in that
order. So the same seed draws the same rows from a shuffled table, from one whose rows lie on several processes, and
from one in which a row of weight 2 is written twice. The hash multiplies and adds as in
Carter & Wegman 1979; its last mixing is that of SplitMix64 (Steele, Lea & Flood 2014).
"""

from typing import Any

import torch
from sklearn.utils import check_random_state

from chainrule.estimators.memory import blocks
from chainrule.estimators.shards import active, gathered, total
from chainrule.shapes import Float, Int, Tensor

#: Temporary memory of one block of rows, MiB.
BLOCK = 16

#: Buckets of the hash, as a power of two; processes first agree on a bucket, then on a row of it.
BITS = 12


def generator(random_state: Any) -> torch.Generator:
    """A generator on the CPU, the same on all processes.

    Args:
        random_state: None, a seed, or numpy's generator; that of the first process counts.
    """
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    return torch.Generator().manual_seed(gathered(seed)[0])


def row_keys(X: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
    """A hash of each row: the upper half that of its numbers in single precision, the lower in double.

    Args:
        X: Samples; in single and in double precision they come in nearly the same order.
    """
    draw = torch.Generator().manual_seed(0)
    odd = (2 * torch.randint(-(2**61), 2**61, (X.shape[1],), generator=draw) + 1).to(X.device)
    keys = torch.empty(len(X), dtype=torch.int64, device=X.device)
    for part in blocks(len(X), 32 * X.shape[1], BLOCK):
        block = X[part] + 0.0  # of the two zeros only the positive one is left
        single = block.float().view(torch.int32).long()
        double = block.double().view(torch.int64)
        low = 2**32 - 1
        keys[part] = (_mixed(single.mul_(odd).sum(dim=1)) & ~low) | (
            _mixed((double ^ (double >> 32)).mul_(odd).sum(dim=1)) & low
        )
    return keys


class RowDraws:
    """Draws among some rows.

    Args:
        X: Samples of this process.
        keys: Their hashes, as :func:`row_keys` gives them; those of the samples as they came, should ``X`` be centred.
        draw: Source of chance, as :func:`generator` gives it.
    """

    def __init__(self, X: Float[Tensor, "n d"], keys: Int[Tensor, " n"], draw: torch.Generator) -> None:
        self.X = X
        self.draw = draw
        self.keys, self.order = keys.sort(stable=True)
        bounds = torch.arange(-(2 ** (BITS - 1)), 2 ** (BITS - 1) + 1, device=X.device)
        self.edges = torch.searchsorted(self.keys >> (64 - BITS), bounds)

    def __call__(self, weight: Float[Tensor, " n"], count: int) -> tuple[Float[Tensor, "c d"], Int[Tensor, " c"]]:
        """Rows with probabilities in proportion to a weight, with replacement.

        Args:
            weight: Not negative, and not all zero on all processes.
            count: How many.

        Returns:
            The rows, and where they stand in ``X``, -1 for a row of another process.
        """
        if not active():
            index = self.places(weight, count)
            return self.X[index], index
        chance = torch.rand(count, generator=self.draw, dtype=torch.float64).to(weight)
        sums = weight[self.order].cumsum(dim=0)
        sums = torch.cat((sums.new_zeros(1), sums))
        shared = total(sums[self.edges[1:]] - sums[self.edges[:-1]]).cumsum(dim=0)
        wanted = chance * shared[-1]
        bucket = _place(shared, wanted)
        rest = wanted - torch.where(bucket > 0, shared[bucket - 1], 0.0)
        found = [self._within(int(b), r, weight) for b, r in zip(bucket, rest, strict=True)]
        index = torch.tensor([place for _, place in found], device=self.X.device)
        return torch.stack([row for row, _ in found]), index

    def places(self, weight: Float[Tensor, " n"], count: int) -> Int[Tensor, " c"]:
        """As a call, but only where the rows stand in ``X``; they are all on this process."""
        chance = torch.rand(count, generator=self.draw, dtype=torch.float64).to(weight)
        sums = weight[self.order].cumsum(dim=0)
        return self.order[_place(sums, chance * sums[-1])]

    def _within(self, bucket: int, rest: Tensor, weight: Tensor) -> tuple[Tensor, int]:
        """The row of a bucket where the cumulative weight over all processes exceeds ``rest``."""
        part = slice(int(self.edges[bucket]), int(self.edges[bucket + 1]))
        mine = self.order[part]
        parts = gathered((self.keys[part].cpu(), weight[mine].cpu()))
        order = torch.cat([keys for keys, _ in parts]).argsort(stable=True)
        place = int(order[_place(torch.cat([part for _, part in parts])[order].cumsum(dim=0), rest.cpu())])
        before = [sum(len(keys) for keys, _ in parts[:rank]) for rank in range(len(parts) + 1)]
        owner = next(rank for rank in range(len(parts)) if before[rank] <= place < before[rank + 1])
        local = place - before[owner]
        is_mine = torch.distributed.get_rank() == owner
        row = gathered(self.X[mine[local]].cpu() if is_mine else None)[owner]
        return row.to(self.X.device), int(mine[local]) if is_mine else -1


def _place(sums: Tensor, wanted: Tensor) -> Tensor:
    """The first cumulative sum above what is wanted; where rounding leaves none, the first that reaches the last."""
    last = torch.searchsorted(sums, sums[-1])
    return torch.searchsorted(sums, wanted.contiguous(), right=True).minimum(last)


def _mixed(z: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Each bit of the result depends on all bits."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        z = (z ^ ((z >> shift) & (2 ** (64 - shift) - 1))) * factor
    return z ^ ((z >> 31) & (2**33 - 1))


def chances(keys: Int[Tensor, " n"], k: int, draw: torch.Generator) -> Float[Tensor, "n k"]:
    """Numbers between 0 and 1, ``k`` for each row, that depend on its hash.

    Args:
        keys: As :func:`row_keys` gives them.
        k: How many.
        draw: Source of chance.
    """
    salts = torch.randint(-(2**62), 2**62, (k,), generator=draw).to(keys.device)
    return torch.stack([(_mixed(keys ^ salt) >> 11).double() / 2**53 + 0.5 for salt in salts], dim=1)
