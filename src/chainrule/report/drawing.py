"""From a matplotlib figure to an SVG that belongs to the page.

Figures are drawn in placeholder colours, which become the page's CSS variables, so that they follow light and dark.
Text stays text in the page's own font, ids get the figure's name in front, and nothing depends on the time or machine.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from chainrule.report.wording import power, rate

NAMES = ("ink", "muted", "rule", "paper", "blue", "orange", "green")
COLOURS = INK, MUTED, RULE, PAPER, BLUE, ORANGE, GREEN = tuple(f"#{3 * f'0{n}'}" for n in range(1, 8))
VARIABLES = dict(zip(COLOURS, NAMES, strict=True))

WIDTH = 390  # units of a figure's own coordinates; about the pixels that it gets on a phone

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "chainrule",
    "text.parse_math": False,  # a class may be called "$x$"
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelsize": 11,
    "axes.labelpad": 5,
    "axes.edgecolor": RULE,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.major.pad": 6,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.hspace": 0.06,
}


class Key(NamedTuple):
    """One entry of a figure's key: the look of its mark (a CSS class), the name of its colour, what it stands for."""

    look: str
    colour: str
    text: str


@dataclass(frozen=True)
class Drawing:
    """A figure of the page.

    Attributes:
        name: Unique on the page.
        title: What it shows.
        svg: The picture.
        caption: How to read it.
        key: What its colours and lines stand for.
    """

    name: str
    title: str
    svg: Markup
    caption: str
    key: tuple[Key, ...] = ()


@contextmanager
def page_style() -> Iterator[None]:
    """The page's look, whatever the user's own matplotlib settings are."""
    with style.context(STYLE, after_reset=True):
        yield


def canvas(height: int) -> Figure:
    """An empty figure of the common width."""
    return Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")


def finish(figure: Figure, name: str, title: str, caption: str, key: tuple[Key, ...] = ()) -> Drawing:
    """Turn a figure into a part of the page."""
    file = io.StringIO()
    with warnings.catch_warnings():
        # The browser's fonts draw the text; that matplotlib's own lacks a letter is of no importance.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, format="svg", metadata={"Date": None})
    return Drawing(name, title, Markup(_cleaned(file.getvalue(), name, title)), caption, key)


def log_axis(ax: Axes, which: str) -> None:
    """Make the x or y axis logarithmic, with few and plain labels."""
    getattr(ax, f"set_{which}scale")("log")
    axis = getattr(ax, f"{which}axis")
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=9))
    written = rate if low >= 1e-4 and high <= 1e4 else power
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value in (1, 10) else written(value)))
    axis.set_minor_locator(NullLocator())


def _cleaned(svg: str, name: str, title: str) -> str:
    """The SVG without what a page does not need. The tree is edited, not the text: a class may be called ``id="a"``."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', svg))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.tail = None
        if element.tag != "text":
            element.text = None
        kept = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(
            {key: _attribute(key, value, name) for key, value in kept.items() if _wanted(key, value, used)}
        )
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "plot", "role": "img", "aria-label": title}
    return ElementTree.tostring(root, encoding="unicode")


def _wanted(key: str, value: str, used: set[str]) -> bool:
    return not (key == "id" and value not in used) and not (key == "transform" and value.startswith("rotate(-0 "))


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "style":
        value = re.sub(r"font-family: [^;]*;? ?", "", value)
        return re.sub(r"#(0[1-7])\1\1", lambda match: f"var(--{VARIABLES[match[0]]})", value)
    if key in ("d", "x", "y", "transform", "width", "height"):
        return re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", value).replace("\n", "").strip()
    return value.replace("#", f"#{name}-", 1) if key in ("href", "clip-path") and "#" in value[:5] else value
