"""Maximum mean discrepancy: how far apart two distributions are, from a sample of each.

Gretton et al. 2012, "A kernel two-sample test", eq. 3 and 5, with kernel ``k`` and samples ``x`` of ``n``, ``y`` of
``m``::

    biased      mean k(x, x') + mean k(y, y') - 2 mean k(x, y)            over all pairs; never negative
    unbiased    the same without the pairs of a point with itself         its expectation is the true MMD^2

The kernel is a mixture of Gaussians, ``k(x, y) = mean_i exp(-|x - y|^2 / (2 s_i^2))``, which is characteristic: the
true value is 0 only for equal distributions. Differs from the paper: nothing; mixtures are of Li et al. 2015.
"""

from collections.abc import Sequence

import torch

from chainrule.errors import InputError
from chainrule.losses.base import AbstractLoss, check, precise
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

#: Bandwidths of the default mixture, in median distances.
OCTAVES = (0.25, 0.5, 1.0, 2.0, 4.0)


def mmd_loss(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"],
    *,
    bandwidths: Sequence[float] | None = None,
    unbiased: bool = False,
) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy between two samples.

    It compares samples as wholes, so there is nothing to reduce.

    Args:
        x: One sample.
        y: The other.
        bandwidths: The Gaussians' ``s_i``; None takes 1/4, 1/2, 1, 2 and 4 times the median distance between points,
            which counts as a constant in the gradient.
        unbiased: Leave out the pairs of a point with itself.

    Raises:
        InputError: When the samples have different widths or too few points, or an option is out of its range.
    """
    check(bandwidths=bandwidths, unbiased=unbiased)
    least = 2 if unbiased else 1
    if x.shape[1] != y.shape[1] or min(len(x), len(y)) < least:
        raise InputError(
            f"MMD wants two samples [n, d] and [m, d] with at least {least} points each; received {list(x.shape)} and "
            f"{list(y.shape)}."
        )
    n, points = len(x), torch.cat([precise(x), precise(y)])
    # The exact mode: differences of squared norms would lose the digits of small distances.
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    kernel = _gaussians(distances, bandwidths)
    within_x, within_y, between = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    return _mean(within_x, unbiased) + _mean(within_y, unbiased) - 2 * between.mean()


def _gaussians(distances: Float[Tensor, "p p"], bandwidths: Sequence[float] | None) -> Float[Tensor, "p p"]:
    if bandwidths is None:
        itself = torch.eye(len(distances), dtype=torch.bool, device=distances.device)
        median = distances.detach().masked_fill(itself, torch.nan).nanmedian()
        scales = torch.where(median > 0, median, 1.0) * distances.new_tensor(OCTAVES)
    else:
        scales = distances.new_tensor(bandwidths)
    return (-(distances.unsqueeze(-1) / scales).square() / 2).exp().mean(-1)


def _mean(kernel: Float[Tensor, "n n"], unbiased: bool) -> Float[Tensor, ""]:
    """Mean over the pairs; the kernel of a point with itself is 1."""
    n = len(kernel)
    return (kernel.sum() - n) / (n * (n - 1)) if unbiased else kernel.mean()


@register(
    "loss",
    "mmd",
    family="distributions",
    paper="Gretton et al. 2012, A kernel two-sample test",
    year=2012,
    tiny={"bandwidths": (0.5, 2.0)},
    sample=(6, 3),
)
class MMDLoss(AbstractLoss):
    """Squared maximum mean discrepancy of two samples, by a mixture of Gaussian kernels. See :func:`mmd_loss`."""

    def __init__(self, *, bandwidths: Sequence[float] | None = None, unbiased: bool = False) -> None:
        super().__init__({"bandwidths": bandwidths, "unbiased": unbiased})

    def forward(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        return mmd_loss(x, y, **self.options)
