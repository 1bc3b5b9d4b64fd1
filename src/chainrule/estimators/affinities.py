"""The objective of t-SNE and its gradient (van der Maaten & Hinton 2008); :mod:`chainrule.estimators.tsne` descends it.

Sample ``i`` sees ``j`` with probability ``p_j|i ~ exp(-beta_i |x_i - x_j|^2)``, ``beta_i`` such that the perplexity
``2^H(p_.|i)``, a smooth count of neighbours, is the wanted one; ``p_ij = (p_j|i + p_i|j) / 2n``. In the picture
``q_ij ~ 1 / (1 + |y_i - y_j|^2)``, and gradient descent makes ``KL(P || Q) = sum p_ij log(p_ij / q_ij)`` small:

    dKL/dy_i = 4 sum_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|^2)

With ``w_ij = 1 / (1 + |y_i - y_j|^2)`` and ``Z = sum w_ij`` that is a pull ``sum p_ij w_ij (y_i - y_j)`` less a push
``sum w_ij^2 (y_i - y_j) / Z``. Both come out of one pass over half of the pairs, in blocks that stay in the cache.
"""

import math
from typing import NamedTuple

import torch

from chainrule.estimators.distances import euclidean
from chainrule.estimators.memory import MIB, blocks
from chainrule.shapes import Float, Tensor

#: How far a row's entropy may be from the wanted, nats; the perplexity is then right to a tenth of 1e-5 of itself.
ENTROPY = 1e-6

#: How far the logarithm of a precision is looked for; equal samples make some entropies impossible to reach.
WIDEST = 60

#: Bytes of a block of pairs on the CPU.
BLOCK = 2**22


class Affinities(NamedTuple):
    """How the samples see each other.

    Attributes:
        joint: ``p_ij``, symmetric; they add up to 1.
        precisions: ``beta_i``.
    """

    joint: Float[Tensor, "n n"]
    precisions: Float[Tensor, " n"]


def affinities(X: Float[Tensor, "n d"], perplexity: float, *, memory: float = 256) -> Affinities:
    """Joint probabilities of all pairs.

    Args:
        X: Samples.
        perplexity: Wanted number of neighbours, below ``n``.
        memory: Bound on temporary memory beside the result, MiB.
    """
    count = len(X)
    joint, precisions = X.new_empty(count, count), X.new_empty(count)
    bound = min(memory, 8 * BLOCK / MIB) if X.device.type == "cpu" else memory
    for rows in blocks(count, 8 * count * X.element_size(), bound):
        squares = euclidean(X[rows], X).square_()
        own = torch.arange(rows.start, rows.stop, device=X.device)[:, None]
        squares.scatter_(1, own, math.inf)
        joint[rows], precisions[rows] = conditional(squares, math.log(perplexity))
    # In place, a row of tiles at a time.
    for rows in blocks(count, 4 * count * X.element_size(), bound):
        tail = slice(rows.start, None)
        both = joint[rows, tail] + joint[tail, rows].T
        joint[rows, tail], joint[tail, rows] = both, both.T
    return Affinities(joint.div_(joint.sum()), precisions)


def conditional(squares: Float[Tensor, "b n"], entropy: float) -> tuple[Float[Tensor, "b n"], Float[Tensor, " b"]]:
    """Each row's ``p_j|i`` of the wanted entropy, and its precision ``beta_i``.

    Newton steps on ``log beta`` solve all rows at once, ``dH / d log beta = -beta^2 Var(d^2)``; one that leaves the
    bracket is replaced by a bisection.

    Args:
        squares: Squared distances; infinity for pairs that do not count, such as a sample and itself.
        entropy: The wanted entropy, nats.
    """
    # The nearest neighbour at zero changes nothing, and the exponentials cannot all vanish; a mean of one makes the
    # search the same in all units.
    shifted = squares - squares.amin(dim=1, keepdim=True)
    counted = shifted.isfinite()
    shifted.masked_fill_(~counted, 0)
    mean = shifted.sum(dim=1, keepdim=True) / counted.sum(dim=1, keepdim=True)
    mean = mean.where(mean > 0, 1)
    shifted /= mean
    log_beta = torch.zeros_like(mean[:, 0])
    low, high = torch.full_like(log_beta, -math.inf), torch.full_like(log_beta, math.inf)
    found = torch.empty_like(shifted)
    active = torch.arange(len(squares), device=squares.device)
    enough = max(ENTROPY, 16 * torch.finfo(squares.dtype).eps)
    while len(active):
        now, d = log_beta[active], shifted[active]
        beta = now.exp()
        p = (-beta[:, None] * d).exp_().mul_(counted[active])
        total = p.sum(dim=1)
        p /= total[:, None]
        pd = p * d
        middle = pd.sum(dim=1)
        # Var(d) from differences, so that no digits are lost.
        variance = (d - middle[:, None]).square_().mul_(p).sum(dim=1)
        gap, slope = total.log() + beta * middle - entropy, -beta.square() * variance
        found[active] = p
        low[active], high[active] = now.where(gap > 0, low[active]), now.where(gap <= 0, high[active])
        bottom, top = low[active], high[active]
        half = torch.where(top.isinf(), now + 2, torch.where(bottom.isinf(), now - 2, (bottom + top) / 2))
        step = now - gap / slope.where(slope < 0, -1)
        inside = (step > bottom) & (step < top) & ((step - now).abs() < WIDEST / 4)
        after = step.where(inside & (slope < 0), half)
        going = (gap.abs() > enough) & (after != now) & (after.abs() < WIDEST)
        log_beta[active] = after.where(going, now)
        active = active[going]
    return found, log_beta.exp() / mean[:, 0]


def forces(
    joint: Float[Tensor, "n n"], places: Float[Tensor, "n m"], rows: int
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"], Tensor]:
    """Pull ``sum_j p_ij w_ij (y_i - y_j)``, push ``sum_j w_ij^2 (y_i - y_j)``, and ``Z = sum w_ij``.

    Args:
        joint: ``p_ij``, symmetric.
        places: The picture.
        rows: How many rows of pairs make a block.
    """
    count, axes = places.shape
    # One column for each sample: a product with few rows is faster than one with few columns.
    centred = (places - places.mean(dim=0)).T.contiguous()
    size = centred.square().sum(dim=0, keepdim=True)
    operand = torch.cat([centred, torch.ones_like(size)])
    # 1 + |y_i - y_j|^2 as one product, of (-2 y_i, |y_i|^2 + 1, 1) and (y_j, 1, |y_j|^2).
    left, right = torch.cat([-2 * centred, size + 1, operand[axes:]]).T.contiguous(), torch.cat([operand, size])
    pulls, pushes = torch.zeros_like(operand), torch.zeros_like(operand)
    room = [places.new_empty(rows * count) for _ in range(2)]
    normaliser = places.new_zeros(())
    for start in range(0, count, rows):
        stop = min(start + rows, count)
        w, pull = (part[: (stop - start) * stop].view(stop - start, stop) for part in room)
        torch.mm(left[start:stop], right[:, :stop], out=w)
        w.reciprocal_()
        w[:, start:].fill_diagonal_(0)
        # Pairs within the block are there twice, those with earlier samples once.
        normaliser += 2 * w.sum() - w[:, start:].sum()
        torch.mul(w, joint[start:stop, :stop], out=pull)
        for total, part in ((pulls, pull), (pushes, w.mul_(w))):
            total[:, start:stop] += operand[:, :stop] @ part.T
            total[:, :start] += operand[:, start:stop] @ part[:, :start]
    one, other = (total[axes:] * centred - total[:axes] for total in (pulls, pushes))
    return one.T.contiguous(), other.T.contiguous(), normaliser


def gradient(joint: Float[Tensor, "n n"], places: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """The gradient of the divergence by the places."""
    pull, push, normaliser = forces(joint, places, block_rows(places))
    return 4 * (pull - push / normaliser)


def divergence(joint: Float[Tensor, "n n"], places: Float[Tensor, "n m"]) -> Tensor:
    """``KL(P || Q)``; it does not feel where the places are shifted to."""
    cross, total = places.new_zeros(()), places.new_zeros(())
    rows = block_rows(places)
    for start in range(0, len(places), rows):
        part = slice(start, start + rows)
        logs = torch.log1p(torch.cdist(places[part], places, compute_mode="donot_use_mm_for_euclid_dist").square_())
        cross = cross + torch.xlogy(joint[part], joint[part]).sum() + (joint[part] * logs).sum()
        total = total + (-logs).exp().sum()
    return cross + (total - len(places)).log() * joint.sum()


def block_rows(places: Float[Tensor, "n m"]) -> int:
    """Rows of pairs in a block."""
    size = BLOCK if places.device.type == "cpu" else 256 * MIB
    return max(1, min(len(places), size // (len(places) * places.element_size())))
