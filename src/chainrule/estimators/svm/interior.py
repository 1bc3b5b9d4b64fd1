"""Interior points: quadratic problems in a box with one sum held, however badly conditioned, in a few dozen steps.

S. Mehrotra, "On the implementation of a primal-dual interior point method", 1992. With multipliers ``z`` of the bounds,
``s`` the distances from them and ``rho`` the multiplier of the sum, each step is Newton's on

    Q x - c - rho - z_lower + z_upper = 0,    s z = mu,    sum x = total

while ``mu`` falls; it costs one Cholesky factor of ``Q`` plus a diagonal. What ends near a bound, seen from its
multiplier, is put there.
"""

import torch

from chainrule.shapes import Bool, Float, Tensor

#: Steps at most.
STEPS = 60


def _solved(factor: Tensor, right: Tensor, gap: Tensor, ones: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The step ``dx`` with the sum ``gap``, and that of the sum's multiplier."""
    plain = torch.cholesky_solve((right * mask)[..., None], factor)[..., 0]
    pull = (gap - plain.sum(dim=1, keepdim=True)) / ones.sum(dim=1, keepdim=True)
    return plain + pull * ones, pull


def _length(value: Tensor, step: Tensor) -> Float[Tensor, "b 1"]:
    """The longest step, up to 1, that keeps positive values positive."""
    limit = torch.where(step < 0, -value / step, torch.inf)
    return limit.amin(dim=1, keepdim=True)


def interior_point(
    Q: Float[Tensor, "b q q"],
    x: Float[Tensor, "b q"],
    slope: Float[Tensor, "b q"],
    lower: Float[Tensor, "b q"],
    upper: Float[Tensor, "b q"],
    goal: Float[Tensor, "b 1"],
) -> tuple[Float[Tensor, "b q"], Bool[Tensor, "b 1"]]:
    """Minimise ``1/2 x' Q x - c' x`` in the box with the sum of ``x``.

    Args:
        Q: Positive semi-definite matrices.
        x: A point in the box.
        slope: ``Q x - c`` there.
        lower: Lower bounds.
        upper: Upper bounds; equal to the lower one for a variable that does not move.
        goal: Violation that is good enough.

    Returns:
        The solutions, their sums nearly those of ``x``; and which problems were solved.
    """
    mask = (upper > lower).to(x.dtype)
    matrix = Q.to(x.dtype) * mask[:, :, None] * mask[:, None]
    diagonal = matrix.diagonal(dim1=1, dim2=2).clone()
    base = diagonal.sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True) + torch.finfo(x.dtype).tiny
    count = 2 * mask.sum(dim=1, keepdim=True)
    total, start = x.sum(dim=1, keepdim=True), x
    steep = slope.abs().mul(mask).amax(dim=1, keepdim=True).clamp_min(goal)
    inside = torch.minimum((upper - lower) / 2, steep / base)
    x = torch.where(mask > 0, torch.clamp(x, lower + inside, upper - inside), x)
    below, above = (steep * mask).clone(), (steep * mask).clone()
    level = torch.zeros_like(total)
    done, good = torch.zeros_like(total, dtype=torch.bool), torch.zeros_like(total, dtype=torch.bool)
    for _ in range(STEPS):
        low, high = torch.where(mask > 0, x - lower, 1.0), torch.where(mask > 0, upper - x, 1.0)
        moved = torch.bmm((x - start)[:, None], matrix)[:, 0]
        rest = (slope + moved - level - below + above) * mask
        gap = total - x.sum(dim=1, keepdim=True)
        mu = (low * below + high * above).sum(dim=1, keepdim=True) / count
        unclear = torch.maximum(torch.minimum(below, low * diagonal), torch.minimum(above, high * diagonal))
        wrong = torch.maximum(unclear, rest.abs()).amax(dim=1, keepdim=True)
        good = (wrong <= goal / 8) & (gap.abs() * base <= goal / 8)
        done = done | good
        if bool(done.all()):
            break
        system = matrix.clone()
        system.diagonal(dim1=1, dim2=2).add_(below / low + above / high + (1 - mask) + 1e-14 * base)
        factor, failed = torch.linalg.cholesky_ex(system)
        done = done | (failed != 0)[:, None]
        factor = torch.where((failed == 0)[:, None, None], factor, torch.ones_like(factor).tril())
        ones = torch.cholesky_solve(mask[..., None], factor)[..., 0]
        dx, _ = _solved(factor, -rest - below + above, gap, ones, mask)
        db, da = -below - below / low * dx, -above + above / high * dx
        ahead = _reach(low, high, below, above, dx, db, da, mask)
        after = ((low + ahead * dx) * (below + ahead * db) + (high - ahead * dx) * (above + ahead * da)) * mask
        centre = (after.sum(dim=1, keepdim=True) / count / mu) ** 3 * mu
        to_low, to_high = (centre - dx * db) / low - below, (centre + dx * da) / high - above
        dx, pull = _solved(factor, -rest + to_low - to_high, gap, ones, mask)
        db, da = to_low - below / low * dx, to_high + above / high * dx
        length = torch.where(done, 0.0, (0.995 * _reach(low, high, below, above, dx, db, da, mask)).clamp_max(1.0))
        x, level = x + length * dx * mask, level + length * pull
        below, above = below + length * db * mask, above + length * da * mask
    scale = torch.where(diagonal > 0, diagonal, base)
    x = torch.where((x - lower) * scale < below, lower, x)
    return torch.where((upper - x) * scale < above, upper, x), good


def _reach(
    low: Tensor, high: Tensor, below: Tensor, above: Tensor, dx: Tensor, db: Tensor, da: Tensor, mask: Tensor
) -> Float[Tensor, "b 1"]:
    """The longest step that keeps distances and multipliers positive, up to 1."""
    far = torch.stack([_length(low, dx * mask), _length(high, -dx * mask)]).amin(dim=0)
    dual = torch.stack([_length(below, db * mask), _length(above, da * mask)]).amin(dim=0)
    return torch.minimum(far, dual).clamp_max(1.0)
