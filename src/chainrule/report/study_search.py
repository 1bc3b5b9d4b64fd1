"""Figures of a search for hyperparameters: each one by itself, and the best score so far against the time spent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from chainrule.report.drawing import BLUE, GREEN, INK, MUTED, ORANGE, Drawing, Key, canvas, finish, log_axis, page_style
from chainrule.report.study_layout import better, named, strays, window_of
from chainrule.report.wording import clipped, counted, number, rate

# How the trials of one step of a search are told from those of another, by the order in which the steps come.
STEPS = (
    ("o", BLUE, "blue", "dot"),
    ("s", ORANGE, "orange", "square"),
    ("o", GREEN, "green", "dot"),
    ("s", INK, "ink", "square"),
    ("o", INK, "ink", "ring"),
    ("o", ORANGE, "orange", "ring"),
    ("o", GREEN, "green", "ring"),
)


@page_style()
def isolation_drawing(
    name: str,
    values: Sequence[float],
    scores: Sequence[float | None],
    *,
    bounds: tuple[float, float],
    best: int,
    metric: str,
    rising: bool,
    log: bool,
) -> Drawing:
    """The score of each trial against its value of one hyperparameter, whatever the others were.

    Args:
        name: The hyperparameter; the drawing is called ``"isolation-"`` and this.
        values: Its value in each trial.
        scores: What each trial reached; None, or not finite, for one that failed.
        bounds: Least and greatest value that were searched.
        best: The best trial, a place in ``values``.
        metric: What the scores are, as a reader writes it.
        rising: Whether more is better.
        log: Whether the axis is logarithmic; a value of zero then stands to the left of all others.
    """
    y = _scores(scores)
    positive = [value for value in (*values, *bounds) if value > 0]
    log = log and len(positive) > 0
    # Zero has no place on a logarithmic axis: it gets one left of all others.
    zero = min(positive) / 10 if log and 0 in (*values, *bounds) else None
    x, edges = (np.array([zero if v == 0 and zero else v for v in row], dtype=float) for row in (values, bounds))
    low, high = window = window_of(y.tolist(), rising=rising, share=0.5)
    figure = canvas(250)
    ax = figure.add_subplot()
    inside = (y >= low) & (y <= high)
    others = inside & (np.arange(len(x)) != best)
    ax.plot(x[others], y[others], "o", color=BLUE, alpha=0.6, markersize=6, markeredgewidth=0)
    ax.plot(x[best], y[best], "o", color=ORANGE, markersize=9, markeredgewidth=0)
    for edge in edges:
        ax.axvline(edge, color=MUTED, linewidth=1.2, linestyle=":")
    key = [
        Key("dot", "blue", "a trial"),
        Key("dot", "orange", f"the best, {rate(float(values[best]))}"),
        Key("dotted", "muted", f"searched from {rate(bounds[0])} to {rate(bounds[1])}"),
        *strays(ax, x.tolist(), y.tolist(), window),
    ]
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    if log:
        log_axis(ax, "x")
        ax.set_xlim(min(x.min(), edges.min()) / 1.5, max(x.max(), edges.max()) * 1.5)
    if zero:
        _zero_tick(ax, zero)
    ax.set_xlabel(clipped(name, 40))
    ax.set_title(metric, color=MUTED)
    return finish(
        figure,
        f"isolation-{named(name)}",
        f"Score by {clipped(name, 40)}",
        "A point is a trial; the other hyperparameters differ from point to point. A best trial on an edge of what was "
        f"searched asks for a wider search. {better(rising)}",
        tuple(key),
    )


@page_style()
def search_drawing(
    seconds: Sequence[float], scores: Sequence[float | None], steps: Sequence[str], *, metric: str, rising: bool
) -> Drawing:
    """The best score so far against the time spent, and every trial when it ended.

    Args:
        seconds: When each trial ended, counted from the start of the search.
        scores: What each trial reached; None, or not finite, for one that failed.
        steps: Step of the recipe that each trial belongs to, as a reader writes it, such as ``"coarse grid"``.
        metric: What the scores are, as a reader writes it.
        rising: Whether more is better.
    """
    order = np.argsort(seconds, kind="stable")
    minutes = max(seconds, default=0.0) >= 180
    time = np.array(seconds, dtype=float)[order] / (60 if minutes else 1)
    y = _scores(scores)[order]
    labels = [steps[i] for i in order]
    low, high = window = window_of(y.tolist(), rising=rising, share=0.5)
    figure = canvas(280)
    ax = figure.add_subplot()
    key = []
    if (known := np.isfinite(y)).any():
        so_far = (np.maximum if rising else np.minimum).accumulate(y[known])
        ax.step([*time[known], time[-1]], [*so_far, so_far[-1]], where="post", color=INK, linewidth=1.6)
        key.append(Key("line", "ink", f"best so far, {number(float(so_far[-1]))} in the end"))
    for step, (mark, ink, colour, look) in zip(dict.fromkeys(labels), STEPS, strict=False):
        of_step = np.array([label == step for label in labels])
        inside = of_step & (y >= low) & (y <= high)
        face, width = ("none", 1.6) if look == "ring" else (ink, 0.0)
        ax.plot(time[inside], y[inside], mark, color=face, markersize=6, markeredgecolor=ink, markeredgewidth=width)
        key.append(Key(look, colour, f"{clipped(step, 40)}, {counted(int(of_step.sum()), 'trial')}"))
    key += strays(ax, time.tolist(), y.tolist(), window)
    ax.set_ylim(low, high)
    ax.set_xlim(left=0)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel("minutes since the start" if minutes else "seconds since the start")
    ax.set_title(metric, color=MUTED)
    return finish(
        figure,
        "search",
        "The search",
        "A point is a trial when it ended. Where the line stays level for long, more time no longer helps. "
        f"{better(rising)}",
        tuple(key),
    )


def _scores(scores: Sequence[float | None]) -> NDArray[Any]:
    """As an array; a trial without a score is NaN."""
    return np.array([np.nan if score is None else score for score in scores], dtype=float)


def _zero_tick(ax: Axes, zero: float) -> None:
    """Ticks of a logarithmic axis, and one for what stands for zero."""
    ticks = [tick for tick in ax.xaxis.get_major_locator().tick_values(*ax.get_xlim()) if tick > 2 * zero]
    written = ax.xaxis.get_major_formatter()
    ax.xaxis.set_major_locator(FixedLocator([zero, *ticks]))
    ax.xaxis.set_major_formatter(lambda value, _: "0" if value == zero else written(value))
