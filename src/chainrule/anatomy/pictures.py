"""Pictures as SVG, written by hand: bars through depth, and histograms side by side.

An SVG brings its own colours for light and for dark pages, and its own background, so that it is legible on both,
wherever it is put. Text stays text, and the same numbers give the same bytes.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

LIGHT = {"paper": "#ffffff", "ink": "#1f2328", "muted": "#5b636d", "rule": "#d8dde3", "blue": "#2a78c8"}
DARK = {"paper": "#14181d", "ink": "#e6e9ed", "muted": "#9aa4b0", "rule": "#343b44", "blue": "#5aa2ea"}
LIGHT["orange"], DARK["orange"] = "#c05a0a", "#f0923f"

LETTER = 6.4  # units that a letter of 11 units takes at most, about; wider ones are outweighed by narrow ones


class Picture:
    """An SVG in the making.

    Args:
        width: Width in units, about pixels.
        height: Height.
        title: What a reader who cannot see it is told.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, look: str = "ink", *, anchor: str = "start") -> None:
        """A line of text; ``look`` is a colour, or several classes."""
        self._parts.append(f'<text x="{_n(x)}" y="{_n(y)}" class="{look}" text-anchor="{anchor}">{escape(text)}</text>')

    def bar(self, x: float, y: float, width: float, height: float, look: str = "blue") -> None:
        """A filled rectangle."""
        self._parts.append(f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" class="{look}"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, look: str = "rule") -> None:
        """A thin line."""
        self._parts.append(f'<path d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}" class="line {look}"/>')

    def dot(self, x: float, y: float, look: str = "orange") -> None:
        """A small disc."""
        self._parts.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="3.5" class="{look}"/>')

    def area(self, points: Sequence[tuple[float, float]], look: str = "blue") -> None:
        """A filled polygon."""
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self._parts.append(f'<path d="M{path}Z" class="{look}"/>')

    def svg(self) -> str:
        """The picture as a text that can be a file or a part of a page."""
        size = f'viewBox="0 0 {_n(self.width)} {_n(self.height)}" width="{_n(self.width)}" height="{_n(self.height)}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" class="anatomy" role="img" {size}>'
        paper = '<rect width="100%" height="100%" class="paper"/>'
        title = f"<title>{escape(self.title)}</title>"
        return "\n".join([head, title, f"<style>{_style()}</style>", paper, *self._parts, "</svg>"]) + "\n"


def _style() -> str:
    def variables(colours: Mapping[str, str]) -> str:
        return "".join(f"--{name}:{colour};" for name, colour in colours.items())

    looks = "".join(
        f".anatomy .{name}{{fill:var(--{name})}}.anatomy .line.{name}{{fill:none;stroke:var(--{name})}}"
        for name in LIGHT
    )
    return (
        f".anatomy{{{variables(LIGHT)}font:11px system-ui,-apple-system,'Segoe UI',sans-serif}}"
        f"@media(prefers-color-scheme:dark){{.anatomy{{{variables(DARK)}}}}}{looks}"
        ".anatomy .strong{font-weight:600}.anatomy circle{stroke:var(--paper);stroke-width:1.5}"
    )


def _n(value: float) -> str:
    """A coordinate, with no more digits than can be seen."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def clipped(text: str, width: float) -> str:
    """As much of the end of a name as goes into a width; the end says more about a layer than the beginning."""
    most = max(int(width / LETTER), 2)
    return text if len(text) <= most else "…" + text[1 - most :]


def power(exponent: int) -> str:
    """``10⁻⁵``; 1 and 10 as they are."""
    if exponent in (0, 1):
        return str(10**exponent)
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def some(count: int, most: int) -> list[int]:
    """At most that many numbers from 0 to ``count - 1``, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


class Bar(NamedTuple):
    """A line of :func:`log_bars`: its name, the number that is a bar, the number that is a dot; None for none."""

    name: str
    bar: float | None
    dot: float | None


def log_bars(title: str, bars: Sequence[Bar], key: tuple[str, str], note: str = "") -> str:
    """Bars one below the other, on one logarithmic scale.

    Args:
        title: Stands on top.
        bars: The lines, from the top down.
        key: What a bar and a dot stand for.
        note: Stands below.
    """
    values = [value for bar in bars for value in (bar.bar, bar.dot) if value is not None and 0 < value < math.inf]
    low = math.floor(math.log10(min(values))) if values else 0
    high = max(math.ceil(math.log10(max(values))) if values else 1, low + 1)
    left, right, top, step = 150.0, 600.0, 62.0, 16.0
    bottom = top + step * len(bars)
    picture = Picture(640, bottom + (46 if note else 28), title)
    picture.text(12, 20, title, "ink strong")
    picture.bar(12, 32, 14, 8)
    picture.text(32, 40, key[0], "muted")
    second = 52 + LETTER * len(key[0])
    picture.dot(second, 36)
    picture.text(second + 9, 40, key[1], "muted")

    def at(value: float) -> float:
        return left + (right - left) * (math.log10(value) - low) / (high - low)

    for exponent in range(low, high + 1, math.ceil((high - low) / 8)):
        picture.line(at(10.0**exponent), top - 4, at(10.0**exponent), bottom)
        picture.text(at(10.0**exponent), bottom + 16, power(exponent), "muted", anchor="middle")
    for index, bar in enumerate(bars):
        y = top + step * index
        picture.text(left - 8, y + 11, clipped(bar.name, left - 16), anchor="end")
        if bar.bar is not None and 0 < bar.bar < math.inf:
            picture.bar(left, y + 2.5, max(at(bar.bar) - left, 1), step - 5)
        elif bar.bar is not None:
            picture.text(left + 4, y + 11, f"{bar.bar:g}", "orange strong")
        if bar.dot is not None and 0 < bar.dot < math.inf:
            picture.dot(at(bar.dot), y + step / 2)
    if note:
        picture.text(12, bottom + 36, note, "muted")
    return picture.svg()


class Panel(NamedTuple):
    """A histogram of :func:`panels`.

    Attributes:
        low: Where the first bin begins.
        high: Where the last bin ends.
        counts: What is in the bins.
        view: The part that is worth seeing; what lies outside may be cut off.
        note: What is written below.
        warning: What is written below the note, in another colour.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    view: tuple[float, float]
    note: str
    warning: str = ""


def panels(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[Panel]], note: str = "") -> str:
    """Histograms, one column a layer and one row a name; a row has one horizontal scale.

    Args:
        title: Stands on top.
        columns: Names above the columns.
        rows: The panels of each row; a row's name stands above it.
        note: Stands below.
    """
    wide, gap, tall, top = max(64.0, 300 / max(len(columns), 1)), 10.0, 56.0, 60.0
    pitch = tall + 58
    width = max(24 + len(columns) * (wide + gap) - gap, 24 + LETTER * len(title), 24 + LETTER * len(note))
    picture = Picture(width, top + pitch * len(rows) + (14 if note else -6), title)
    picture.text(12, 20, title, "ink strong")
    for column, name in enumerate(columns):
        picture.text(12 + column * (wide + gap) + wide / 2, 42, clipped(name, wide), "muted", anchor="middle")
    for index, (name, row) in enumerate(rows.items()):
        y = top + pitch * index
        picture.text(12, y + 4, name, "ink strong")
        low, high = min(panel.view[0] for panel in row), max(panel.view[1] for panel in row)
        reach = f"from {low:.2g} to {high:.2g}".replace("-", "−")
        picture.text(width - 12, y + 4, reach, "muted", anchor="end")
        for column, panel in enumerate(row):
            x = 12 + column * (wide + gap)
            _histogram(picture, panel, (x, y + 10, wide, tall), (low, high))
            picture.text(x + wide / 2, y + tall + 24, panel.note, "muted", anchor="middle")
            picture.text(x + wide / 2, y + tall + 37, panel.warning, "orange", anchor="middle")
    if note:
        picture.text(12, top + pitch * len(rows) + 4, note, "muted")
    return picture.svg()


def _histogram(
    picture: Picture, panel: Panel, place: tuple[float, float, float, float], scale: tuple[float, float]
) -> None:
    x, y, wide, tall = place
    low, high = scale
    reach = (high - low) or 1.0
    picture.line(x, y + tall, x + wide, y + tall)
    if low <= 0 <= high:
        zero = x + wide * -low / reach
        picture.line(zero, y, zero, y + tall)
    if not any(panel.counts):
        return
    # One bin may hold all that is exactly 0; the others set the height, and it is cut off.
    most = sorted(panel.counts)[-2] * 1.2 or max(panel.counts)
    left, each = x + wide * (panel.low - low) / reach, wide * (panel.high - panel.low) / reach / len(panel.counts)
    if each * len(panel.counts) < 3:
        picture.bar(min(max(left, x), x + wide - 2), y + 0.1 * tall, 2, 0.9 * tall)
        return
    points: list[tuple[float, float]] = []
    for index, count in enumerate(panel.counts):
        ends = [min(max(left + each * end, x), x + wide) for end in (index, index + 1)]
        points += [(end, y + tall * (1 - min(count / most, 1))) for end in ends if ends[0] < ends[1]]
    if points:
        picture.area([(points[0][0], y + tall), *points, (points[-1][0], y + tall)])
