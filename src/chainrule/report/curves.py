"""Figures of the training: the losses, the metrics, the range test, the pace."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from chainrule.report.drawing import BLUE, INK, MUTED, ORANGE, Drawing, Key, canvas, finish, log_axis
from chainrule.report.glossary import term
from chainrule.report.history import History
from chainrule.report.wording import counted, number, rate
from chainrule.training.events import RateTest, Step

POINTS = 240  # of a line with one point a step; more cannot be told apart
PANELS = 4  # metrics that are drawn


def training_drawings(history: History) -> list[Drawing]:
    """All that can be drawn of the training so far."""
    drawings = []
    if history.epochs or history.steps:
        drawings.append(loss_curves(history))
    if history.epochs and metrics_of(history):
        drawings.append(metric_curves(history))
    if history.rate_test:
        drawings.append(range_test(history.rate_test))
    if history.steps:
        drawings.append(pace(history.steps))
    return drawings


def loss_curves(history: History) -> Drawing:
    """Loss of the steps, the epochs and the validation split, beside the losses of models that know nothing."""
    figure = canvas(260)
    ax = figure.add_subplot()
    key = []
    if history.steps:
        ax.plot(*_thinned(history.steps, "loss"), color=BLUE, alpha=0.35, linewidth=1)
        key.append(Key("faint", "blue", "train, single steps"))
    if history.epochs:
        _train_and_valid(ax, history, "loss")
        key += [Key("line", "blue", "train"), Key("line", "orange", "validation")]
    low, high = _limits(ax)
    if low > 0 and high > 20 * low:
        log_axis(ax, "y")
    if history.initial:
        for name, value, look in (
            ("untrained model", history.initial.untrained, "dotted"),
            ("best constant prediction", history.initial.constant, "dashed"),
        ):
            if value is not None:
                ax.axhline(value, color=MUTED, linewidth=1.2, linestyle={"dotted": ":", "dashed": "--"}[look])
                key.append(Key(look, "muted", f"{name}, {number(value)}"))
    key += _mark_best(ax, history, "loss")
    _epochs_below(ax, history)
    return finish(
        figure,
        "loss",
        "Loss",
        "The training loss of an epoch is the mean over its own batches and stands in the middle of the epoch; the "
        "validation loss is measured at its end. Validation rising while training still falls is overfitting.",
        tuple(key),
    )


def metric_curves(history: History) -> Drawing:
    """Each metric on the training and the validation split, one panel a metric."""
    metrics = metrics_of(history)[:PANELS]
    figure = canvas(max(260, 100 * len(metrics)))
    panels = figure.subplots(len(metrics), sharex=True, squeeze=False)[:, 0]
    for ax, metric in zip(panels, metrics, strict=True):
        _train_and_valid(ax, history, metric)
        _mark_best(ax, history, metric)
        ax.set_title(term(metric, history.kind).title)
        ax.yaxis.set_major_locator(MaxNLocator(4))
    _epochs_below(panels[-1], history)
    rising = [term(metric, history.kind).rising for metric in metrics]
    direction = "Higher is better." if all(rising) else "Lower is better." if not any(rising) else ""
    return finish(
        figure,
        "metrics",
        "Metrics",
        f"Measured like the loss, on the training batches and on the validation split. {direction} A wide gap between "
        "the two lines is what the model knows by heart.",
        (Key("line", "blue", "train"), Key("line", "orange", "validation")),
    )


def range_test(test: RateTest) -> Drawing:
    """The loss at each rate of the sweep, and the rate chosen from it."""
    figure = canvas(260)
    ax = figure.add_subplot()
    for losses in test.losses:
        ax.plot(test.rates[: len(losses)], losses, color=BLUE, alpha=0.25, linewidth=1)
    for smoothed in test.smoothed:
        ax.plot(test.rates[: len(smoothed)], smoothed, color=BLUE)
    log_axis(ax, "x")
    spread = max(test.spread, 1.0)
    ax.axvspan(test.rate / spread, test.rate * spread, color=ORANGE, alpha=0.16, linewidth=0)
    ax.axvline(test.rate, color=ORANGE, linewidth=1.6)
    smooth = _numbers([value for repeat in test.smoothed for value in repeat])
    smooth = smooth[np.isfinite(smooth)]
    if len(smooth):
        # Where the sweep diverges, the loss leaves the picture: the way down is what counts.
        start = float(np.nanmedian(_numbers([repeat[0] for repeat in test.smoothed if repeat])))
        fall = max(start - smooth.min(), 0.05 * abs(start), 1e-9)
        ax.set_ylim(smooth.min() - 0.15 * fall, start + 0.6 * fall)
    ax.set_title("loss", color=MUTED)
    ax.set_xlabel("learning rate")
    repeats = len(test.suggestions)
    return finish(
        figure,
        "range-test",
        "Learning-rate range test",
        "The rate grows step by step while the loss is watched: it should be as large as the loss still falls "
        f"steeply, well before it turns up. The chosen rate is the mean of {counted(repeats, 'repeat')}; the band is "
        f"their spread, a factor of {number(spread)}.",
        (
            Key("faint", "blue", "each step"),
            Key("line", "blue", "smoothed, one line a repeat"),
            Key("line", "orange", f"chosen: {rate(test.rate)}"),
        ),
    )


def pace(steps: Sequence[Step]) -> Drawing:
    """Learning rate and norm of the gradient, step by step."""
    figure = canvas(260)
    above, below = figure.subplots(2, sharex=True)
    above.plot(*_thinned(steps, "rate"), color=INK, linewidth=1.6)
    above.set_title("learning rate")
    above.set_ylim(bottom=0)
    above.yaxis.set_major_formatter(lambda value, _: rate(value))
    below.plot(*_thinned(steps, "norm"), color=INK, linewidth=1.2)
    below.set_title("norm of the gradient")
    if _limits(below)[0] > 0:
        log_axis(below, "y")
    below.set_xlabel("epoch")
    return finish(
        figure,
        "pace",
        "Pace",
        "How large the steps were allowed to be, and how steep the loss was before any clipping. A norm that grows, or "
        "jumps, asks for a smaller rate or for clipping.",
    )


def metrics_of(history: History) -> list[str]:
    """Names of the metrics that the epochs carry, without the loss."""
    return [name for name in history.epochs[-1].valid if name != "loss"] if history.epochs else []


def _train_and_valid(ax: Axes, history: History, metric: str) -> None:
    ends = np.array([epoch.epoch for epoch in history.epochs])
    marker = "o" if len(ends) < 3 else None
    train = _numbers([epoch.train.get(metric) for epoch in history.epochs])
    valid = _numbers([epoch.valid.get(metric) for epoch in history.epochs])
    ax.plot(ends - 0.5, train, color=BLUE, marker=marker, markersize=5)
    ax.plot(ends, valid, color=ORANGE, marker=marker, markersize=5)


def _mark_best(ax: Axes, history: History, metric: str) -> list[Key]:
    best = history.best
    if best is None or best.valid.get(metric) is None:
        return []
    ax.plot(best.epoch, best.valid[metric], "o", markersize=8, color="none", markeredgecolor=INK, markeredgewidth=1.6)
    return [Key("ring", "ink", f"{'kept' if history.finished else 'best so far'}: epoch {best.epoch}")]


def _epochs_below(ax: Axes, history: History) -> None:
    ax.set_xlim(left=0)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=bool(history.epochs)))


def _thinned(steps: Sequence[Step], field: str) -> tuple[np.ndarray, np.ndarray]:
    """Time in epochs and the field's value, averaged over neighbours where there are more steps than points."""
    time = np.array([step.epoch - 1 + step.step / step.steps for step in steps])
    values = _numbers([getattr(step, field) for step in steps])
    parts = min(len(steps), POINTS)
    bounds = np.linspace(0, len(steps), parts, endpoint=False).astype(int)
    count = np.diff([*bounds, len(steps)])
    return np.add.reduceat(time, bounds) / count, np.add.reduceat(values, bounds) / count


def _limits(ax: Axes) -> tuple[float, float]:
    """Least and greatest value of the lines of an axis."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.get_lines()])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    """As an array; what is not known is NaN and leaves a gap in the line."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)
