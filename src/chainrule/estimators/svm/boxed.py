"""Small quadratic problems in a box, with one sum held: many of them at once.

    minimise 1/2 x' Q x - c' x   subject to   lower <= x <= upper,   sum x unchanged

by projected gradients with the step lengths of Barzilai and Borwein 1988 (for support vector machines: Y.-H. Dai and
R. Fletcher, "New algorithms for singly linearly constrained quadratic programs subject to lower and upper bounds",
2006). A step is one product with ``Q``; the objective never rises above its greatest value of the last few steps, also
for a ``Q`` that is not positive semi-definite. Where these take long, interior points take over.
"""

import torch

from chainrule.estimators.svm.interior import interior_point
from chainrule.shapes import Bool, Float, Tensor

#: Steps before interior points take over, and steps where these fail.
FIRST, LAST = 60, 200
#: Steps of Newton's method in between.
NEWTON = 3
#: Attempts of Newton's method at the end.
FINISHING = 8
#: Violation after that, as a share of the greatest slope.
EXACT = 1e-9
#: Objective values that a step is compared with.
MEMORY = 5


def violation(
    x: Float[Tensor, "b q"], up: Float[Tensor, "b q"], down: Float[Tensor, "b q"], lower: Tensor, upper: Tensor
) -> tuple[Float[Tensor, "b 1"], Float[Tensor, "b 1"]]:
    """The least slope among variables that may rise, and the greatest among those that may fall.

    The second less the first is how far the most violating pair is from optimal (libsvm's criterion).

    Args:
        x: Variables.
        up: Slope of the objective for a rise of each.
        down: Slope for a fall; another one where the objective has a kink.
        lower: Lower bounds.
        upper: Upper bounds.
    """
    least = torch.where(x < upper, up, torch.inf).amin(dim=1, keepdim=True)
    return least, torch.where(x > lower, down, -torch.inf).amax(dim=1, keepdim=True)


def projected(
    z: Float[Tensor, "b q"], lower: Tensor, upper: Tensor, total: Float[Tensor, "b 1"], shift: Float[Tensor, "b 1"]
) -> tuple[Float[Tensor, "b q"], Float[Tensor, "b 1"]]:
    """The nearest point in the box with this sum: ``clamp(z + shift)``, the shift found by Newton's method.

    Args:
        z: Where from.
        lower: Lower bounds.
        upper: Upper bounds.
        total: The sum that the result has; the box has to hold such points.
        shift: A guess.
    """
    enough = 1e-13 * z.shape[1] * (upper - lower).amax(dim=1, keepdim=True)
    for _ in range(8):
        moved = z + shift
        x = torch.clamp(moved, lower, upper)
        excess = x.sum(dim=1, keepdim=True) - total
        if bool((excess.abs() <= enough).all()):
            return x, shift
        shift = shift - excess / (x == moved).sum(dim=1, keepdim=True)
    # Newton's method may cycle on a function made of pieces; an interval around the shift makes it safe.
    below, above = (lower - z).amin(dim=1, keepdim=True), (upper - z).amax(dim=1, keepdim=True)
    shift = (below + above) / 2
    for _ in range(100):
        moved = z + shift
        x = torch.clamp(moved, lower, upper)
        excess = x.sum(dim=1, keepdim=True) - total
        if bool((excess.abs() <= enough).all()):
            break
        below, above = torch.where(excess < 0, shift, below), torch.where(excess > 0, shift, above)
        step = shift - excess / (x == moved).sum(dim=1, keepdim=True)
        shift = torch.where((step > below) & (step < above), step, (below + above) / 2)
    return x, shift


def product(Q: Float[Tensor, "b q q"], p: Float[Tensor, "b q"]) -> Float[Tensor, "b q"]:
    """``Q p`` of symmetric matrices, which may be held in less precision."""
    return torch.bmm(p.to(Q.dtype)[:, None], Q)[:, 0].to(p.dtype)


def newton_step(
    Q: Float[Tensor, "b q q"],
    x: Float[Tensor, "b q"],
    slope: Float[Tensor, "b q"],
    lower: Float[Tensor, "b q"],
    upper: Float[Tensor, "b q"],
) -> Float[Tensor, "b q"]:
    """A move that lowers the objective, or zero: Newton's on the free variables, kept in the box.

    Variables at a bound that the slope holds there stay.
    """
    least, greatest = violation(x, slope, slope, lower, upper)
    middle = (least + greatest) / 2
    held = ((x <= lower) & (slope >= middle)) | ((x >= upper) & (slope <= middle))
    # Only the free rows and columns, as many as the problem with most of them has.
    widest = max(1, int((~held).sum(dim=1).max()))
    chosen = held.to(torch.int8).argsort(dim=1, stable=True)[:, :widest]
    free = (~held).gather(1, chosen).to(x.dtype)
    rows = Q.gather(1, chosen[:, :, None].expand(-1, -1, x.shape[1]))
    matrix = rows.gather(2, chosen[:, None].expand(-1, widest, -1)).to(x.dtype) * free[:, :, None] * free[:, None]
    ridge = 1e-10 * matrix.diagonal(dim1=1, dim2=2).amax(dim=1, keepdim=True)
    matrix.diagonal(dim1=1, dim2=2).add_(1 - free + ridge)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    good = (failed == 0)[:, None]
    factor = torch.where(good[..., None], factor, torch.eye(widest, dtype=x.dtype, device=x.device))
    both = torch.cholesky_solve(torch.stack([-slope.gather(1, chosen) * free, free], dim=2), factor)
    newton, ones = both.unbind(dim=2)
    pull = newton.sum(dim=1, keepdim=True) / ones.sum(dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    direction = torch.zeros_like(x).scatter(1, chosen, torch.where(good, newton - pull * ones, 0.0))
    total, best = x.sum(dim=1, keepdim=True), torch.zeros_like(x)
    pending = good
    for halving in range(6):
        shift = torch.zeros_like(total)
        p = projected(x + direction * 0.5**halving, lower, upper, total, shift)[0] - x
        lowers = (slope * p).sum(dim=1, keepdim=True) + (p * product(Q, p)).sum(dim=1, keepdim=True) / 2 < 0
        best = torch.where(pending & lowers, p, best)
        pending = pending & ~lowers
        if not bool(pending.any()):
            break
    return best


def descend(
    Q: Float[Tensor, "b q q"],
    x: Float[Tensor, "b q"],
    slope: Float[Tensor, "b q"],
    lower: Float[Tensor, "b q"],
    upper: Float[Tensor, "b q"],
    goal: Float[Tensor, "b 1"],
    steps: int,
) -> tuple[Float[Tensor, "b q"], Float[Tensor, "b q"], Bool[Tensor, "b 1"]]:
    """Minimise each problem by projected gradients until its most violating pair is within its goal.

    Args:
        Q: Symmetric matrices.
        x: Where to start; inside the box.
        slope: ``Q x - c`` there.
        lower: Lower bounds.
        upper: Upper bounds; equal to the lower one for a variable that does not move.
        goal: Violation that is good enough.
        steps: Most steps.

    Returns:
        Where the problems stand, with the sums of ``x``; ``Q x - c`` there; and which are not finished.
    """
    total = x.sum(dim=1, keepdim=True)
    tiny = torch.finfo(x.dtype).tiny
    rate = 1 / Q.diagonal(dim1=1, dim2=2).abs().amax(dim=1, keepdim=True).to(x.dtype).clamp_min(1e-30)
    level = torch.zeros_like(total)
    value, past = torch.zeros_like(total), x.new_full((len(x), MEMORY), -torch.inf)
    past[:, 0] = 0
    active = torch.ones_like(total, dtype=torch.bool)
    for step in range(steps):
        if step % 2 == 0:
            least, greatest = violation(x, slope, slope, lower, upper)
            active = greatest - least > goal
            if not bool(active.any()):
                break
        y, shift = projected(x - rate * slope, lower, upper, total, rate * level)
        level = shift / rate
        p = (y - x) * active
        Qp = product(Q, p)
        inner = torch.bmm(torch.stack([slope, p, Qp], dim=1), torch.stack([p, Qp], dim=2))
        fall, square, curve, bend = inner[:, 0, :1], inner[:, 1, :1], inner[:, 1, 1:], inner[:, 2, 1:]
        past[:, step % MEMORY] = value[:, 0]
        full = value + fall + curve / 2 <= past.amax(dim=1, keepdim=True) + 1e-4 * fall
        length = torch.where(full | (curve <= 0), 1.0, (-fall / curve.clamp_min(tiny)).clamp(0, 1))
        x = torch.where((length == 1) & active, y, x + length * p)
        slope = slope + length * Qp
        value = value + length * fall + length**2 * curve / 2
        longer = square / curve.clamp_min(tiny) if step % 6 < 3 else curve / bend.clamp_min(tiny)
        rate = torch.where(curve > 0, longer, torch.where(square > 0, 10 * rate, rate)).clamp(1e-15, 1e15)
    return x, slope, active


def minimised(
    Q: Float[Tensor, "b q q"],
    x: Float[Tensor, "b q"],
    slope: Float[Tensor, "b q"],
    lower: Float[Tensor, "b q"],
    upper: Float[Tensor, "b q"],
    goal: Float[Tensor, "b 1"],
) -> Float[Tensor, "b q"]:
    """Minimise each problem until its most violating pair is within its goal, or nothing helps any more.

    Projected gradients are cheap, and find the variables at bounds; Newton's method is quick from there. Interior
    points take over where ``Q`` is badly conditioned, and gradients again where it is not positive semi-definite, which
    the other two cannot do. Arguments as for :func:`descend`.
    """
    x, slope, active = descend(Q, x, slope, lower, upper, goal, FIRST)
    for _ in range(NEWTON):
        which = active[:, 0].nonzero()[:, 0]
        if not len(which):
            return x
        p = newton_step(Q[which], x[which], slope[which], lower[which], upper[which])
        x = x.index_add(0, which, p).clamp(lower, upper)
        slope = slope.index_add(0, which, product(Q[which], p))
        least, greatest = violation(x, slope, slope, lower, upper)
        active = greatest - least > goal
    which = active[:, 0].nonzero()[:, 0]
    if not len(which):
        return x
    part, here, there = Q[which], x[which], slope[which]
    bounds = lower[which], upper[which]
    y, good = interior_point(part, here, there, *bounds, goal[which])
    total = here.sum(dim=1, keepdim=True)
    y, _ = projected(torch.where(good, y, here), *bounds, total, torch.zeros_like(total))
    p = torch.where(good, y - here, 0.0)
    change = product(part, p)
    better = (p * (there + change / 2)).sum(dim=1, keepdim=True) < 0
    here, there = torch.where(better, y, here), torch.where(better, there + change, there)
    if not bool(better.all()):
        here, _, _ = descend(part, here, there, *bounds, goal[which], LAST)
    return x.index_copy(0, which, here)


def finished(
    Q: Float[Tensor, "b q q"],
    x: Float[Tensor, "b q"],
    slope: Float[Tensor, "b q"],
    lower: Float[Tensor, "b q"],
    upper: Float[Tensor, "b q"],
) -> Float[Tensor, "b q"]:
    """From near the minimum to the minimum, by Newton's method and then by interior points, where that helps."""
    least, greatest = violation(x, slope, slope, lower, upper)
    y, total, begun = x, x.sum(dim=1, keepdim=True), slope
    for _ in range(FINISHING):
        p = newton_step(Q, y, slope, lower, upper)
        if not bool((p != 0).any()):
            break
        y, slope = torch.clamp(y + p, lower, upper), slope + product(Q, p)
    below, above = violation(y, slope, slope, lower, upper)
    better = above - below < greatest - least
    x, wrong = torch.where(better, y, x), torch.where(better, above - below, greatest - least)
    goal = EXACT * begun.abs().amax(dim=1, keepdim=True)
    if bool((wrong <= goal).all()):
        return x
    slope = torch.where(better, slope, begun)
    y, good = interior_point(Q, x, slope, lower, upper, goal)
    y, _ = projected(torch.where(good, y, x), lower, upper, total, torch.zeros_like(total))
    there = slope + product(Q, y - x)
    below, above = violation(y, there, there, lower, upper)
    return torch.where(above - below < wrong, y, x)


def interior(x: Float[Tensor, "b q"], lower: Tensor, upper: Tensor) -> Bool[Tensor, "b q"]:
    """Variables at no bound."""
    return (x > lower) & (x < upper)
