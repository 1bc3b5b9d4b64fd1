"""Kernel columns of one problem, computed when they are first asked for and kept within a bound of memory."""

from collections.abc import Callable

import torch

from chainrule.shapes import Float, Int, Tensor

#: Bytes of a part of the columns that is computed at a time; it fits into a processor's cache.
PART = 2**22

#: Gives the kernel of samples, by index, with all samples of the problem: ``[q] -> [q, n]``.
Rows = Callable[[Tensor], Tensor]


class Columns:
    """A table of kernel columns; those that were not asked for longest make room.

    Args:
        rows: Computes columns; the kernel is symmetric, so these are rows.
        table: Where they are kept, ``[capacity, n]``.
    """

    def __init__(self, rows: Rows, table: Float[Tensor, "capacity n"]) -> None:
        capacity, size = table.shape
        self.rows, self.table = rows, table
        self._place = torch.full((size,), -1, device=table.device)
        self._owner = torch.full((capacity,), -1, device=table.device)
        self._asked = torch.zeros(capacity, dtype=torch.long, device=table.device)
        self._clock = 0
        self.computed = 0

    def fetch(self, samples: Int[Tensor, " q"]) -> Int[Tensor, " q"]:
        """Places in the table of the columns of these samples, all different and no more than the table holds."""
        self._clock += 1
        places = self._place[samples]
        present = places >= 0
        self._asked[places[present]] = self._clock
        missing = samples[~present]
        if not len(missing):
            return places
        room = self._asked.topk(len(missing), largest=False).indices.sort().values
        gone = self._owner[room]
        self._place[gone[gone >= 0]] = -1
        self._owner[room], self._place[missing] = missing, room
        self._asked[room] = self._clock
        part = max(1, PART // (self.table.shape[1] * self.table.element_size()))
        for some, where in zip(missing.split(part), room.split(part), strict=True):
            self.table.index_copy_(0, where, self.rows(some))
        self.computed += len(missing)
        return self._place[samples]


class Stack:
    """The columns of several problems, side by side in one piece of memory.

    Args:
        rows: What computes the columns of each problem.
        size: Samples of the largest problem.
        capacity: Columns that are kept of each.
        memory: Where they are kept: as many numbers as that takes, or more.
    """

    def __init__(self, rows: list[Rows], size: int, capacity: int, memory: Float[Tensor, " m"]) -> None:
        self.table = memory[: len(rows) * capacity * size].view(len(rows), capacity, size)
        self.problems = [Columns(one, table) for one, table in zip(rows, self.table, strict=True)]
        self._flat = self.table.view(-1, size)

    def fetch(self, which: Int[Tensor, " b"], samples: Int[Tensor, "b q"]) -> Int[Tensor, "b q"]:
        """Places of the columns of these samples of these problems."""
        capacity = self.table.shape[1]
        pairs = zip(which.tolist(), samples, strict=True)
        return torch.stack([self.problems[one].fetch(some) + one * capacity for one, some in pairs])

    def square(self, places: Int[Tensor, "b q"], samples: Int[Tensor, "b q"]) -> Float[Tensor, "b q q"]:
        """The kernel of the samples among themselves."""
        return torch.take(self._flat, places[:, :, None] * self.table.shape[2] + samples[:, None])

    def weighted(self, places: Int[Tensor, "b q"], weights: Float[Tensor, "b q"]) -> Float[Tensor, "b n"]:
        """The weighted sum of columns: 128 at a time in their own precision, these in that of the weights."""
        batch, count = places.shape
        bags = -(-count // 128)
        pad = bags * 128 - count
        # Filled up with a column that is there: memory that nothing was written to may hold NaN.
        rows = torch.cat([places, places[:, :1].expand(-1, pad)], dim=1).view(batch * bags, 128)
        factors = torch.nn.functional.pad(weights, (0, pad)).view(batch * bags, 128).to(self._flat.dtype)
        sums = torch.nn.functional.embedding_bag(rows, self._flat, per_sample_weights=factors, mode="sum")
        return sums.view(batch, bags, -1).sum(dim=1, dtype=weights.dtype)
