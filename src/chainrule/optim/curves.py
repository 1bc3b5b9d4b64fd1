"""The schedules of the course: each makes a function from the time to a factor on the learning rate.

In ``fit`` the time ``t`` is counted in epochs and moves with every batch: half an epoch is 0.5. Elsewhere it is counted
in whatever the options are counted in; with torch's own ``LambdaLR`` these are steps::

    LambdaLR(optimizer, triangular(half=2000, low=1 / 6))
    LambdaLR(optimizer, cosine(over=steps, warmup=0.05))

The factor 1 is the rate that was asked for, the highest. What an option leaves open (``over``, ``every``, ``at``,
``k``), ``fit`` fills from the length of the run. Each function is the closed form of its source; it has no state. An
option out of its range is an ``InputError``.
"""

import math
from collections.abc import Callable, Sequence

from torch.optim import Optimizer, lr_scheduler

from chainrule.errors import InputError
from chainrule.registry import register

Factor = Callable[[float], float]

SGDR = "Loshchilov, Hutter 2017, SGDR: stochastic gradient descent with warm restarts"
CYCLICAL = "Smith 2017, Cyclical learning rates for training neural networks"
RESNET = "He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition"
COURSE = "Stanford CS231n 2017, Convolutional neural networks for visual recognition, notes on annealing the rate"


@register("schedule", "constant", family="over the run")
def constant(*, over: float, warmup: float = 0.0) -> Factor:
    """Stay at 1, after a linear warm-up over the share ``warmup`` of the run."""
    return _warmed(lambda share: 1.0, over, warmup)


@register(
    "schedule", "linear", family="over the run", paper="Goodfellow, Bengio, Courville 2016, Deep learning", year=2016
)
def linear(*, over: float, warmup: float = 0.05, floor: float = 0.0) -> Factor:
    """Fall on a line to ``floor``: ``(1 - a) + a floor``, ``a = min(t / over, 1)``; constant afterwards."""
    _share("floor", floor)
    return _warmed(lambda share: (1 - share) + share * floor, over, warmup)


@register("schedule", "cosine", family="over the run", paper=SGDR, year=2017)
def cosine(*, over: float, warmup: float = 0.05, floor: float = 0.0) -> Factor:
    """Fall on half a cosine to ``floor``: ``floor + (1 - floor) (1 + cos(pi t / over)) / 2``."""
    _share("floor", floor)
    return _warmed(lambda share: floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2, over, warmup)


@register("schedule", "noam", family="over the run", paper="Vaswani et al. 2017, Attention is all you need", year=2017)
def noam(*, over: float, warmup: float = 0.04) -> Factor:
    """Rise on a line, fall as the inverse root: ``min(t / w, sqrt(w / t))``, ``w = warmup over``.

    The paper writes ``d^-0.5 min(n^-0.5, n w^-1.5)`` with n counted from 1 and w of 4000 in 100 000 steps; here the
    highest rate, ``(d w)^-0.5``, is the factor 1.

    Raises:
        InputError: When an option is out of its range.
    """
    _positive("over", over)
    if not 0 < warmup <= 1:
        raise InputError(f"warmup is a share of the run, greater than 0 and at most 1; received {warmup!r}.")
    width = warmup * over
    return lambda t: t / width if t < width else math.sqrt(width / t)


@register("schedule", "step", family="decay", paper=COURSE, year=2017)
def step(*, every: float, factor: float = 0.1) -> Factor:
    """Multiply by ``factor`` each time that ``every`` has passed: ``factor^floor(t / every)``."""
    _positive("every", every)
    _falling(factor)
    return lambda t: factor ** _whole(t / every)


@register("schedule", "multistep", family="decay", paper=RESNET, year=2016)
def multistep(*, at: Sequence[float], factor: float = 0.1) -> Factor:
    """Multiply by ``factor`` at each of the times ``at``; the paper drops after 1/2 and 3/4 of a run."""
    for time in at:
        _positive("each time in at", time)
    _falling(factor)
    return lambda t: factor ** sum(_whole(t / time) >= 1 for time in at)


@register("schedule", "exponential", family="decay", paper=COURSE, year=2017)
def exponential(*, k: float) -> Factor:
    """Decay exponentially: ``exp(-k t)``."""
    _not_negative("k", k)
    return lambda t: math.exp(-k * t)


@register(
    "schedule",
    "inverse_time",
    family="decay",
    paper="Robbins, Monro 1951, A stochastic approximation method",
    year=1951,
)
def inverse_time(*, k: float) -> Factor:
    """Decay as one over the time: ``1 / (1 + k t)``."""
    _not_negative("k", k)
    return lambda t: 1 / (1 + k * t)


@register("schedule", "inverse_sqrt", family="decay", paper=COURSE, year=2017)
def inverse_sqrt(*, k: float) -> Factor:
    """Decay as one over the root of the time: ``1 / sqrt(1 + k t)``; with k = 1 ``1 / sqrt(n)``, n counted from 1."""
    _not_negative("k", k)
    return lambda t: 1 / math.sqrt(1 + k * t)


@register("schedule", "triangular", family="cyclic", paper=CYCLICAL, year=2017)
def triangular(*, half: float = 2.0, low: float = 1 / 6) -> Factor:
    """Go from ``low`` up to 1 in ``half`` a cycle and down again; the paper takes 2 to 10 epochs for half."""
    return _cyclic(half, low, lambda cycle, t: 1.0)


@register("schedule", "triangular2", family="cyclic", paper=CYCLICAL, year=2017)
def triangular2(*, half: float = 2.0, low: float = 1 / 6) -> Factor:
    """Go up and down as ``triangular``, with half the height in each further cycle."""
    return _cyclic(half, low, lambda cycle, t: 0.5 ** (cycle - 1))


@register("schedule", "exp_range", family="cyclic", paper=CYCLICAL, year=2017)
def exp_range(*, half: float = 2.0, low: float = 1 / 6, gamma: float = 0.97) -> Factor:
    """Go up and down as ``triangular``, with the height times ``gamma^t``.

    Raises:
        InputError: When an option is out of its range.
    """
    if not 0 < gamma <= 1:
        raise InputError(f"gamma must be greater than 0 and at most 1; received {gamma!r}.")
    return _cyclic(half, low, lambda cycle, t: gamma**t)


@register("schedule", "sgdr", family="cyclic", paper=SGDR, year=2017)
def sgdr(*, period: float = 10.0, growth: float = 2.0, floor: float = 0.0, decay: float = 1.0) -> Factor:
    """Restart a cosine after ``period``, each time ``growth`` times as long and from ``decay`` times as high.

    With a period of 10 and a growth of 2 it restarts at 10, 30, 70 and 150, and ends best just before one of these.

    Raises:
        InputError: When an option is out of its range.
    """
    _positive("period", period)
    _share("floor", floor)
    if not 1 <= growth < math.inf:
        raise InputError(f"growth must be at least 1; received {growth!r}.")
    if not floor <= decay <= 1 or not decay:
        raise InputError(f"decay must be greater than 0, at least the floor and at most 1; received {decay!r}.")

    def factor(t: float) -> float:
        restarts, length = 0, period
        while (share := t / length) > 1 - TINY:
            skipped = _whole(share) if growth == 1 else 1
            restarts, t, length = restarts + skipped, max(t - skipped * length, 0.0), length * growth
        high = max(decay**restarts, floor)
        return floor + (high - floor) * (1 + math.cos(math.pi * share)) / 2

    return factor


@register("schedule", "plateau", family="measured", paper=RESNET, year=2016)
def plateau(
    optimizer: Optimizer, *, factor: float = 0.1, patience: int = 10, threshold: float = 1e-4, floor: float = 0.0
) -> lr_scheduler.ReduceLROnPlateau:
    """Multiply by ``factor`` when the monitored metric has not got better for ``patience`` epochs; torch's own.

    Args:
        optimizer: Whose rate it moves.
        factor: On the rate.
        patience: Epochs without an improvement that are still allowed.
        threshold: The share by which the metric must fall to count as better.
        floor: Lowest rate, as a share of the one at the start.

    Raises:
        InputError: When an option is out of its range.
    """
    if not 0 < factor < 1:
        raise InputError(f"factor must be greater than 0 and less than 1; received {factor!r}.")
    _not_negative("patience", patience)
    _not_negative("threshold", threshold)
    _share("floor", floor)
    lowest = [floor * group["lr"] for group in optimizer.param_groups]
    return lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience, threshold=threshold, min_lr=lowest
    )


#: Times come from divisions: 3 batches of 10 are 0.3 epochs, and 0.3 / 0.1 is 2.9999999999999996.
TINY = 1e-9


def _whole(ratio: float) -> int:
    return math.floor(ratio + TINY)


def _warmed(after: Factor, over: float, warmup: float) -> Factor:
    _positive("over", over)
    if not 0 <= warmup < 1:
        raise InputError(f"warmup is a share of the run, from 0 up to, but not, 1; received {warmup!r}.")

    def factor(t: float) -> float:
        share = min(t / over, 1.0)
        return share / warmup if share < warmup else after((share - warmup) / (1 - warmup))

    return factor


def _cyclic(half: float, low: float, height: Callable[[int, float], float]) -> Factor:
    """``cycle = floor(1 + t / (2 half))``, ``x = |t / half - 2 cycle + 1|``, ``low + (1 - low) max(0, 1 - x)``."""
    _positive("half", half)
    _share("low", low)

    def factor(t: float) -> float:
        cycle = 1 + _whole(t / (2 * half))
        x = abs(t / half - 2 * cycle + 1)
        return low + (1 - low) * max(0.0, 1 - x) * height(cycle, t)

    return factor


def _positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{name} must be greater than 0; received {value!r}.")


def _not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise InputError(f"{name} must not be negative; received {value!r}.")


def _falling(factor: float) -> None:
    if not 0 < factor <= 1:
        raise InputError(f"factor must be greater than 0 and at most 1; received {factor!r}.")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name} is a share of the highest rate, from 0 to 1; received {value!r}.")
