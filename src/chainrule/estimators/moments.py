"""Sums over rows: means, Gram matrices and triangular factors of a table whose rows may lie on several processes.

The table is ``[X | Y]``, samples ``[n, d]`` beside targets ``[n, t]``. It is centred before anything is squared, block
by block, so no second table is ever held. The triangular factor is found as by Demmel et al. 2012 (tall and skinny QR):
each block is stacked under the factor of those before it, and the factors of the processes are stacked in the end.
"""

from collections.abc import Iterator

import torch

from chainrule.estimators.memory import MIB, blocks
from chainrule.estimators.shards import gathered, total
from chainrule.shapes import Float, Tensor

#: A block of rows that stays near the processor, MiB.
BLOCK = 2

#: A block of rows whose triangular factor is found at once, MiB.
STACK = 16

#: Columns of a Gram matrix that are added at once.
PANEL = 64


def rows(X: Float[Tensor, "n d"]) -> int:
    """How many rows there are, over all processes."""
    return int(total(torch.tensor(len(X), device=X.device)))


def mass(X: Float[Tensor, "n d"], weight: Float[Tensor, " n"] | None) -> Float[Tensor, ""]:
    """The sum of the weights over all rows; their number where they have none."""
    return total(X.new_tensor(len(X)) if weight is None else weight.sum())


def average(A: Float[Tensor, "n m"], weight: Float[Tensor, " n"] | None) -> Float[Tensor, " m"]:
    """The weighted mean of the rows."""
    return total(A.sum(0) if weight is None else weight @ A) / mass(A, weight)


def mean(A: Float[Tensor, "n m"], weight: Float[Tensor, " n"] | None) -> Float[Tensor, " m"]:
    """The weighted mean of the rows, corrected once by the mean of what is left after it is subtracted."""
    centre = average(A, weight)
    left, start = torch.zeros_like(centre), 0
    for rest in centred(A, A[:, :0], None, centre):
        left += rest.sum(0) if weight is None else weight[start : start + len(rest)] @ rest
        start += len(rest)
    return centre + total(left) / mass(A, weight)


def centred(
    X: Float[Tensor, "n d"],
    Y: Float[Tensor, "n t"],
    weight: Float[Tensor, " n"] | None,
    centre: Float[Tensor, " m"],
    *,
    memory: float = BLOCK,
    least: int = 1,
) -> Iterator[Float[Tensor, "b m"]]:
    """Blocks of ``[X | Y] - centre``, each row times the square root of its weight.

    A block is good until the next one comes, for they share their memory.

    Args:
        X: Samples.
        Y: Targets.
        weight: Weight of each sample.
        centre: What is subtracted.
        memory: Memory of a block, MiB.
        least: Rows that a block has at least, where that takes more.
    """
    d, size = X.shape[1], len(centre) * X.element_size()
    room = X.new_empty(0, len(centre))
    for part in blocks(len(X), size, max(memory, least * size / MIB)):
        x = X[part]
        room = room if len(room) else x.new_empty(len(x), len(centre))
        block = room[: len(x)]
        torch.sub(x, centre[:d], out=block[:, :d])
        if d < len(centre):
            torch.sub(Y[part], centre[d:], out=block[:, d:])
        yield block if weight is None else block.mul_(weight[part, None].sqrt())


def gram(
    X: Float[Tensor, "n d"], Y: Float[Tensor, "n t"], weight: Float[Tensor, " n"] | None, centre: Float[Tensor, " m"]
) -> Float[Tensor, "m m"]:
    """The Gram matrix of ``[X | Y] - centre``, weighted, over all rows."""
    sums = X.new_zeros(len(centre), len(centre))
    for block in centred(X, Y, weight, centre, least=len(centre)):
        _add_square(sums, block)
    return total(_mirrored(sums))


def scatter(
    X: Float[Tensor, "n d"], Y: Float[Tensor, "n t"], weight: Float[Tensor, " n"] | None
) -> tuple[Float[Tensor, "m m"], Float[Tensor, " m"]]:
    """The Gram matrix of ``[X | Y]`` less its mean, weighted, over all rows; and the mean.

    One pass after that for the mean; what the mean lacks is found on the way, and both are corrected for it.
    """
    count, centre = mass(X, weight), torch.cat((average(X, weight), average(Y, weight)))
    sums, left, start = X.new_zeros(len(centre), len(centre)), torch.zeros_like(centre), 0
    for block in centred(X, Y, weight, centre, least=len(centre)):
        _add_square(sums, block)
        root = None if weight is None else weight[start : start + len(block)].sqrt()
        left += block.sum(0) if root is None else root @ block
        start += len(block)
    sums, left = total(_mirrored(sums)), total(left)
    return sums - torch.outer(left, left) / count, centre + left / count


def factor(
    X: Float[Tensor, "n d"], Y: Float[Tensor, "n t"], weight: Float[Tensor, " n"] | None, centre: Float[Tensor, " m"]
) -> Float[Tensor, "r m"]:
    """A small matrix with the same Gram matrix as ``[X | Y] - centre``, weighted: at most ``d + t`` rows.

    It is upper triangular where there are at least as many rows; else it is the centred table itself.
    """
    found = X.new_zeros(0, len(centre))
    for block in centred(X, Y, weight, centre, memory=STACK, least=2 * len(centre)):
        found = _reduced(torch.cat((found, block)))
    return _reduced(torch.cat([part.to(X.device) for part in gathered(found)]))


def _add_square(sums: Float[Tensor, "m m"], block: Float[Tensor, "b m"]) -> None:
    """Add ``block^T block`` on and above the diagonal: of wide blocks nearly half of the work."""
    for start in range(0, len(sums), PANEL):
        end = start + PANEL
        sums[start:end, start:].addmm_(block[:, start:end].T, block[:, start:])


def _mirrored(sums: Float[Tensor, "m m"]) -> Float[Tensor, "m m"]:
    return sums.triu() + sums.triu(1).T


def _reduced(stack: Float[Tensor, "n m"]) -> Float[Tensor, "r m"]:
    return torch.linalg.qr(stack, mode="r")[1] if len(stack) > stack.shape[1] else stack
