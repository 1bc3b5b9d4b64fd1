"""Figures of what several models did while they learned, and of how sure they may be: curves and calibration.

Up to four models share one picture, each with a colour and dashes of its own. More lines than that cannot be told apart
in one picture: each model gets a panel with its name, all with the same axes, where the others stand faintly behind it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter
from numpy.typing import NDArray

from chainrule.report.drawing import BLUE, MUTED, Drawing, Key, canvas, finish, log_axis, page_style
from chainrule.report.study_layout import LOOKS, NAME, better, panels, titled, window_of
from chainrule.report.wording import clipped, number

Array = NDArray[Any]


@page_style()
def learning_curves_drawing(
    names: Sequence[str],
    curves: Mapping[str, Sequence[Sequence[float | None]]],
    marks: Mapping[str, Sequence[float]],
    *,
    metric: str,
    rising: bool,
) -> Drawing:
    """What each model reached after each epoch: the mean over the seeds, and a band from the least to the greatest.

    Args:
        names: All models, in the order in which they are drawn.
        curves: For each network a list for each seed: the value after epoch 1, 2, ..., or None where it is not known;
            at least one epoch. The lists may differ in length, and the mean goes as far as the shortest.
        marks: For each estimator, which learns all at once, the value of each seed.
        metric: What is drawn, as a reader writes it, such as ``"validation accuracy"``.
        rising: Whether more is better.
    """
    tables = {
        name: _table(curves[name]) if name in curves else np.asarray(marks[name], dtype=float)[:, None]
        for name in names
    }
    epochs = max((tables[name].shape[1] for name in curves), default=1)
    means = {name: _mean(table, epochs) for name, table in tables.items()}
    window, logarithmic = _window([mean for _, mean in means.values()], rising)
    few, shown = len(names) <= len(LOOKS), dict[str, str]()
    if few:
        figure = canvas(300)
        axes = [figure.add_subplot()]
        key = []
        for name, look in zip(names, LOOKS, strict=False):
            _curve(axes[0], tables[name], epochs, look.ink, look.dashes)
            key.append(Key(look.mark, look.colour, clipped(name, NAME) + _outside(means[name][1], window, ", ")))
        axes[0].set_title(metric, color=MUTED)
        axes[0].set_xlabel("epoch")
    else:
        figure, axes, shown = panels(names, 96)
        for ax, name in zip(axes, names, strict=True):
            _behind(ax, [means[other] for other in names if other != name])
            _curve(ax, tables[name], epochs, BLUE, "-")
            ax.text(0.97, 0.07, _outside(means[name][1], window), transform=ax.transAxes, ha="right", fontsize=10.5)
        figure.supxlabel("epoch", fontsize=11, color=MUTED)
        key = [Key("line", "blue", metric), Key("faint", "muted", "the other models")]
    if logarithmic:
        log_axis(axes[0], "y")
    else:
        axes[0].yaxis.set_major_locator(MaxNLocator(5 if few else 3))
    axes[0].set_ylim(*window)
    axes[0].set_xlim(left=0)
    axes[0].xaxis.set_major_locator(MaxNLocator(8 if few else 4, integer=True))
    caption = "Means over the seeds, as far as all of them trained; the band goes from the worst seed to the best."
    if marks:
        caption += " A level line is a model that learns all at once."
    drawing = finish(figure, "learning-curves", "Learning curves", f"{caption} {better(rising)}", tuple(key))
    return titled(drawing, shown)


@page_style()
def calibration_drawing(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> Drawing:
    """How often each model is right when it states a confidence, pooled over the seeds.

    Args:
        curves: For each model the ``calibration`` of its ``Evaluated`` event for each seed: ``confidence``,
            ``accuracy`` and ``count`` of each bin; all with the same bins. They are drawn in this order.
    """
    pools = {name: pooled(seeds) for name, seeds in curves.items()}
    names = list(pools)
    errors = {name: number(pool["error"]) for name, pool in pools.items()}
    shown: dict[str, str] = {}
    if len(names) <= len(LOOKS):
        figure = canvas(330)
        axes = [figure.add_subplot()]
        key = []
        for name, look in zip(names, LOOKS, strict=False):
            axes[0].plot(*_stated(pools[name]), look.dashes, color=look.ink, marker="o", markersize=4)
            key.append(Key(look.mark, look.colour, f"{clipped(name, NAME)}, error {errors[name]}"))
        axes[0].set_xlabel("confidence")
        axes[0].set_title("share that is right", color=MUTED)
    else:
        figure, axes, shown = panels(names, 118)
        for ax, name in zip(axes, names, strict=True):
            _behind(ax, [_stated(pools[other]) for other in names if other != name])
            ax.plot(*_stated(pools[name]), color=BLUE, marker="o", markersize=3)
            ax.text(0.97, 0.07, f"error {errors[name]}", transform=ax.transAxes, ha="right", color=MUTED, fontsize=10.5)
        figure.supxlabel("confidence", fontsize=11, color=MUTED)
        key = [Key("line", "blue", "share that is right"), Key("faint", "muted", "the other models")]
    for ax in axes:
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle="--", zorder=1)
    axes[0].set(xlim=(-0.01, 1.01), ylim=(-0.03, 1.03))
    for axis in (axes[0].xaxis, axes[0].yaxis):
        axis.set_major_locator(MultipleLocator(0.25 if len(axes) == 1 else 0.5))
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    caption = (
        "When a model is 80 % sure, it should be right 8 times in 10; below the diagonal it is too sure of itself. The "
        "samples of all seeds are counted together; points for less than one sample in a hundred are left out."
    )
    drawing = finish(figure, "calibration", "Calibration", caption, (*key, Key("dashed", "muted", "perfect")))
    return titled(drawing, shown)


def pooled(curves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The calibration of several seeds as if their samples had been measured at once.

    Args:
        curves: The ``calibration`` of each seed, all with the same bins.

    Returns:
        ``confidence`` and ``accuracy`` (None in a bin without samples), ``count`` and ``error``, as for one seed.
    """
    counts = np.array([curve["count"] for curve in curves], dtype=float)
    total = counts.sum(axis=0)
    sums = {
        part: (counts * np.nan_to_num(np.array([curve[part] for curve in curves], dtype=float))).sum(axis=0)
        for part in ("confidence", "accuracy")
    }
    gap = np.abs(sums["accuracy"] - sums["confidence"]).sum()
    means = {
        part: [float(value / n) if n else None for value, n in zip(values, total, strict=True)]
        for part, values in sums.items()
    }
    return {**means, "count": total.astype(int).tolist(), "error": float(gap / total.sum())}


def _table(seeds: Sequence[Sequence[float | None]]) -> Array:
    """``[seeds, epochs]``, as far as the shortest goes."""
    shortest = min(len(values) for values in seeds)
    return np.array([list(values)[:shortest] for values in seeds], dtype=float)


def _mean(table: Array, epochs: int) -> tuple[Array, Array]:
    """Epochs and mean values; a single value is a level line from the start to the last epoch."""
    mean = table.mean(axis=0)
    if len(mean) == 1:
        return np.array([0, epochs]), np.repeat(mean, 2)
    return np.arange(1, len(mean) + 1), mean


def _curve(ax: Axes, table: Array, epochs: int, ink: str, dashes: str) -> None:
    time, mean = _mean(table, epochs)
    low, high = (np.broadcast_to(edge, mean.shape) for edge in (table.min(axis=0), table.max(axis=0)))
    if len(table) > 1:
        ax.fill_between(time, low, high, color=ink, alpha=0.16, linewidth=0)
    ax.plot(time, mean, dashes, color=ink)


def _behind(ax: Axes, lines: Sequence[tuple[Array, Array]]) -> None:
    """Lines of other models, faintly; they are one path with gaps, which draws much faster than many."""
    gap = np.array([np.nan])
    x, y = (np.concatenate([part for line in lines for part in (line[axis], gap)]) for axis in (0, 1))
    ax.plot(x, y, color=MUTED, alpha=0.35, linewidth=0.8)


def _window(means: Sequence[Array], rising: bool) -> tuple[tuple[float, float], bool]:
    """From where to where the values go, and whether they fall so far that the axis is logarithmic."""
    least, most = window_of([float(mean[-1]) for mean in means], rising=rising)
    # A model that ended far behind the others must not press their curves flat.
    seen = np.concatenate([mean for mean in means if least <= mean[-1] <= most] or [np.zeros(0)])
    seen = seen[np.isfinite(seen)]
    if not rising and len(seen) and seen.min() > 0 and seen.max() > 20 * seen.min():
        return (float(seen.min()) / 1.3, float(seen.max()) * 1.3), True
    return window_of(seen.tolist(), rising=rising, share=0.1), False


def _outside(mean: Array, window: tuple[float, float], start: str = "") -> str:
    """What is to be said of a curve that ends outside of the picture."""
    last = float(mean[-1])
    if not math.isfinite(last):
        return f"{start}ends without a score"
    if window[0] <= last <= window[1]:
        return ""
    return f"{start}ends at {number(last)}, {'below' if last < window[0] else 'above'} the picture"


def _stated(pool: dict[str, Any]) -> tuple[Array, Array]:
    """Confidence and share that is right, of the bins that hold at least one sample in a hundred."""
    counts = np.array(pool["count"])
    filled = counts >= max(1.0, 0.01 * counts.sum())
    return np.array(pool["confidence"], dtype=float)[filled], np.array(pool["accuracy"], dtype=float)[filled]
