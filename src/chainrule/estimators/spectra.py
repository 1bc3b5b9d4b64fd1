"""Spectra of symmetric matrices: principal directions, their signs, and the leading ones alone.

For a few eigenvectors of a large matrix ``A`` only products ``A Q`` are needed. A random block ``Q`` and its images
``A Q, A^2 Q, ...`` span a space, the block Krylov space, in which the greatest eigenvalues show up first (C. Lanczos
1950; with a random start C. Musco and C. Musco, "Randomized block Krylov methods for stronger and faster approximate
singular value decomposition", 2015). Here the space grows until the residual ``|A v - lambda v|`` says that enough
has been done, so the answer is exact to a tolerance or is said not to be.
"""

from collections.abc import Callable
from typing import Any

import torch

from chainrule.estimators.row_draws import generator
from chainrule.nn.whitening import signed
from chainrule.shapes import Float, Tensor

#: Columns of the random block beyond those that are wanted.
EXTRA = 4
#: The space may have this part of all directions, and must have room for so many blocks.
PART, BLOCKS = 4, 10


def worthwhile(count: int, size: int) -> bool:
    """Whether :func:`leading` is likely to be faster than finding all eigenvectors."""
    return PART * BLOCKS * (count + EXTRA) <= size


def leading(
    times: Callable[[Tensor], Tensor], count: int, like: Float[Tensor, "n d"], size: int, random_state: Any
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k s"], bool]:
    """The greatest eigenvalues of a symmetric matrix, falling, from its products with blocks.

    Args:
        times: The matrix ``[s, s]`` times a block ``[s, b]``.
        count: How many are wanted.
        like: Gives device and precision.
        size: Rows of the matrix; :func:`worthwhile` says how many there should be.
        random_state: Seed, or generator, of the block that is begun with.

    Returns:
        The eigenvalues ``[k]``, directions as rows ``[k, s]`` with signs, and whether all residuals are below
        ``eps^0.7`` of the greatest eigenvalue.
    """
    draw = generator(random_state)
    block = torch.randn(size, min(count + EXTRA, size), generator=draw, dtype=torch.float64).to(like)
    block = torch.linalg.qr(block)[0]
    basis, image = block, times(block)
    least = torch.finfo(like.dtype).eps ** 0.7
    width, most = block.shape[1], max(size // PART, 2 * block.shape[1])
    look = BLOCKS * width // 2
    while True:
        full = basis.shape[1] + width > min(most, size)
        if full or basis.shape[1] >= look:
            look = basis.shape[1] * 3 // 2
            inner = basis.mT @ image
            values, turn = torch.linalg.eigh((inner + inner.mT) / 2)
            values, turn = values[-count:], turn[:, -count:]
            vectors = basis @ turn
            residual = (image @ turn - vectors * values).norm(dim=0).max()
            done = bool(residual <= least * values[-1].abs())
            if done or full:
                return values.flip(0), signed(vectors.mT.flip(0)), done
        fresh = image[:, -width:]
        for _ in range(2):  # once leaves rounding in the directions that are there already
            fresh = torch.linalg.qr(fresh - basis @ (basis.mT @ fresh))[0]
        basis, image = torch.cat((basis, fresh), dim=1), torch.cat((image, times(fresh)), dim=1)


def doubly_centred(
    matrix: Float[Tensor, "m n"], columns: Float[Tensor, " n"], mean: Float[Tensor, ""]
) -> Float[Tensor, "m n"]:
    """``matrix - row means - column means + mean``, in the place of the matrix.

    Args:
        matrix: Similarities of ``m`` samples to the ``n`` that were learned from.
        columns: Means of the columns among those that were learned from.
        mean: Mean of these.
    """
    return matrix.sub_(matrix.mean(dim=1, keepdim=True)).sub_(columns).add_(mean)
