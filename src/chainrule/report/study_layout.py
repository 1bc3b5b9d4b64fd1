"""What the figures of a study share: rows with long names, panels, labels that keep apart, windows that leave out.

A model's name may be longer than a phone is wide, so it stands above its row and not beside it; what is cut off a name
is shown when the reader points at it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from chainrule.report.drawing import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    RULE,
    Drawing,
    Key,
    canvas,
)
from chainrule.report.wording import clipped, counted, number

ROW = 36  # units of a row: its name, and below it what is drawn of it
NAME = 40  # letters of a name that a row has room for
TRACK = 0.72  # of a row's height: where what is drawn of it stands
LETTER = 6.4  # units that a digit of a label takes, at most


class Look(NamedTuple):
    """How one of a few lines is told from the others: by its colour, and by its dashes for who sees no colours."""

    ink: str
    colour: str
    dashes: str
    mark: str


#: Of lines that share one picture; more than these get a panel each, where the others stand behind it.
LOOKS = (
    Look(BLUE, "blue", "-", "line"),
    Look(ORANGE, "orange", "-", "line"),
    Look(GREEN, "green", "--", "dashed"),
    Look(INK, "ink", ":", "dotted"),
)


def rows(names: Sequence[str], texts: Sequence[str], *, above: int = 0) -> tuple[Figure, Axes, dict[str, str]]:
    """A figure with a row for each name: the name, a text at its right, and room for what is drawn below them.

    Args:
        names: One a row, from the top; row ``i`` is drawn at ``i + TRACK``.
        texts: What stands at the right of each name.
        above: Rows that are left empty on top.

    Returns:
        The figure, its axes, and the names in full by what is shown of them.
    """
    figure = canvas(ROW * (len(names) + above) + 44)
    ax = figure.add_subplot()
    ax.grid(False)
    ax.set_yticks([])
    ax.set_ylim(len(names), -above)
    labels = shortened(names, NAME)
    for row, (label, text) in enumerate(zip(labels, texts, strict=True)):
        ax.text(0, row + 0.33, label, transform=ax.get_yaxis_transform(), va="center")
        ax.text(1, row + 0.33, text, transform=ax.get_yaxis_transform(), va="center", ha="right", color=MUTED)
        ax.axhline(row + TRACK, color=RULE, linewidth=1, zorder=0)
    return figure, ax, dict(zip(labels, names, strict=True))


def panels(names: Sequence[str], height: int) -> tuple[Figure, list[Axes], dict[str, str]]:
    """A figure with a panel for each name, two in a line, all with the same axes.

    Returns:
        The figure, its panels, and the names in full by what is shown of them.
    """
    lines = -(-len(names) // 2)
    figure = canvas(height * lines + 30)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(wspace=0.06)
    grid = figure.subplots(lines, 2, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    labels = shortened(names, 27)
    for ax, label in zip(grid, labels, strict=False):
        ax.set_title(label, fontsize=10.5, pad=5)
    for ax in grid[len(names) :]:
        ax.remove()
        grid[len(names) - 2].tick_params(labelbottom=True)
    return figure, grid[: len(names)], dict(zip(labels, names, strict=True))


def shortened(names: Sequence[str], most: int) -> list[str]:
    """Names of at most that many letters; where two would look alike, they are cut in the middle instead of the end."""
    ends = [clipped(name, most) for name in names]
    count = Counter(ends)
    return [
        end if count[end] == 1 or len(name) <= most else _middle(name, most)
        for name, end in zip(names, ends, strict=True)
    ]


def titled(drawing: Drawing, names: Mapping[str, str]) -> Drawing:
    """The drawing with the full name behind every name that was cut.

    Args:
        drawing: What was drawn.
        names: Names in full, by what is shown of them.
    """
    root = ElementTree.fromstring(drawing.svg)
    for text in root.iter("text"):
        full = names.get(text.text or "", "")
        if full and full != text.text:
            ElementTree.SubElement(text, "title").text = clipped(full, len(full))
    return replace(drawing, svg=Markup(ElementTree.tostring(root, encoding="unicode")))


def numbered(names: Sequence[str]) -> list[Key]:
    """Entries of a key that say which number stands for which model, from 1 up."""
    return [Key("none", "ink", f"{place}  {clipped(name, NAME)}") for place, name in enumerate(names, start=1)]


def named(text: str) -> str:
    """A text as the name of a drawing: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "drawing"


def plus_minus(mean: float, deviation: float | None) -> str:
    """``0.975 ± 0.004``: a mean and its standard deviation with as many decimals; the mean alone without one."""
    text = number(mean)
    if deviation is None:
        return text
    decimals = len(text.partition(".")[2])
    if "·" in text or not decimals:
        return f"{text} ± {number(deviation)}"
    least = 10.0**-decimals
    return f"{text} ± {deviation:.{decimals}f}" if deviation >= least / 2 else f"{text} ± < {least:.{decimals}f}"


def better(rising: bool) -> str:
    """Which direction is the better one, in a sentence."""
    return "Higher is better." if rising else "Lower is better."


def window_of(values: Sequence[float], *, rising: bool, share: float = 0.25) -> tuple[float, float]:
    """From where to where an axis goes: around all values but those that are far worse than the rest.

    Args:
        values: Scores; those that are not finite do not count.
        rising: Whether more is better.
        share: Share of the values that may be left out, from the worst on: those further from the rest than three
            times the distance of the rest from the best.
    """
    scores = np.asarray(values, dtype=float)
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return 0.0, 1.0
    sign = 1 if rising else -1
    bound = float(np.quantile(sign * scores, share))
    scores = scores[sign * scores >= bound - 3 * (float((sign * scores).max()) - bound)]
    low, high = float(scores.min()), float(scores.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def strays(ax: Axes, x: Sequence[float], y: Sequence[float], window: tuple[float, float]) -> tuple[Key, ...]:
    """Marks at the edge for the points that the window leaves out, and for those that have no score.

    Args:
        ax: Axes whose y axis goes from one end of the window to the other.
        x: Places of all points.
        y: Their scores, NaN for those that have none.
        window: What :func:`window_of` gave.

    Returns:
        What the marks stand for; nothing where there are none.
    """
    time, score = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    key: tuple[Key, ...] = ()
    if len(lost := time[~np.isfinite(score)]):
        ax.plot(lost, np.full(len(lost), window[0]), "x", color=MUTED, markersize=6, clip_on=False)
        key += (Key("none", "ink", f"× {counted(len(lost), 'trial')} without a score"),)
    for mark, sign, edge, far in (("v", "▾", window[0], score < window[0]), ("^", "▴", window[1], score > window[1])):
        if far.any():
            at = np.full(far.sum(), edge)
            ax.plot(time[far], at, mark, color=MUTED, markersize=7, markeredgewidth=0, clip_on=False)
            key += (Key("none", "ink", f"{sign} further out"),)
    return key


def lanes(spans: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, int]]:
    """Bars beside rows so that none covers another: the lane of each, counted from 0, its first and its last row."""
    free: list[int] = []  # by lane: the last row that is taken
    for first, last in sorted((min(span), max(span)) for span in spans):
        lane = next((lane for lane, taken in enumerate(free) if taken < first), len(free))
        free[lane : lane + 1] = [last]
        yield lane, first, last


def place_labels(
    ax: Axes, labels: Sequence[str], x: Sequence[float], y: Sequence[float], corners: Sequence[tuple[float, float]] = ()
) -> None:
    """Put short labels beside points, so that no label covers a point, another label, or a line of steps.

    Each label in turn takes the nearest free place; one that had to go far is tied to its point by a thin line.

    Args:
        ax: Axes whose limits are set.
        labels: One a point.
        x: Places of the points.
        y: Their heights.
        corners: Corners of a line whose parts are level or upright.
    """
    assert isinstance(ax.figure, Figure)
    ax.figure.draw_without_rendering()
    points = ax.transData.transform(np.column_stack([x, y]))
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in points]
    line = [ax.transData.transform(corner) for corner in corners]
    for (x0, y0), (x1, y1) in pairwise(line):
        taken.append((min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1))
    box = ax.get_window_extent()
    for label, (px, py), point in zip(labels, points, zip(x, y, strict=True), strict=True):
        width = LETTER * len(label)
        spots = [
            (px + (reach + width / 2 - LETTER / 2) * np.cos(angle), py + reach * np.sin(angle))
            for reach in (11, 16, 22, 29, 37, 46, 56)
            for angle in np.pi / 2 + np.linspace(0, 2 * np.pi, 16, endpoint=False)
        ]
        boxes = [(cx - width / 2 - 1, cy - 6, cx + width / 2 + 1, cy + 6) for cx, cy in spots]
        free = [
            place
            for place, (left, bottom, right, top) in enumerate(boxes)
            if left >= box.x0 and right <= box.x1 and bottom >= box.y0 and top <= box.y1
            if not any(left < t[2] and right > t[0] and bottom < t[3] and top > t[1] for t in taken)
        ]
        place = free[0] if free else 0
        cx, cy = spots[place]
        taken.append(boxes[place])
        tie = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 4}
        text = ax.annotate(
            label,
            point,
            (cx - px, cy - py),
            xycoords="data",
            textcoords="offset points",
            ha="center",
            va="center",
            arrowprops=tie if np.hypot(cx - px, cy - py) > 14 + width / 2 else None,
        )
        text.set_in_layout(False)


def _middle(name: str, most: int) -> str:
    """The name without its middle."""
    name = clipped(name, len(name))
    head = most // 2
    return f"{name[:head].rstrip()}…{name[len(name) - (most - head - 1) :].lstrip()}"
