"""The page of a study in a browser: no complaint, nothing cut off or covered, readable on light pages and dark ones."""

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.report.sheet import render
from tests.browser.chromium import dump_dom, measure, needs_chromium
from tests.browser.test_report_in_chromium import contrast
from tests.synthetic_study import sheet

pytestmark = needs_chromium

PHONE, SCREEN = 390, 1200
SIZES = {"many": (12, 5), "eight": (8, 3), "two": (2, 1)}

# Everything that a test below asks for, from one start of the browser. A title is a tip, which is not drawn.
LOOK = """
  const view = document.defaultView, page = document.documentElement;
  const box = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  document.querySelectorAll("svg title").forEach(title => title.remove());
  const style = e => view.getComputedStyle(e);
  return {
    overflow: page.scrollWidth - page.clientWidth,
    ground: style(page).backgroundColor,
    plots: [...document.querySelectorAll("svg.plot")].map(plot => ({
      name: plot.closest("figure").id,
      box: box(plot),
      texts: [...plot.querySelectorAll("text")].map(text => [text.textContent, style(text).fill, ...box(text)]),
      cells: [...plot.querySelectorAll("path")].map(
        path => [style(path).fill, parseFloat(style(path).opacity), ...box(path)]),
    })),
    names: [...document.querySelectorAll(".table tbody th")].map(cell => [cell.scrollWidth, cell.clientWidth]),
  };
"""


@cache
def html(name: str) -> str:
    return render(sheet(*SIZES[name]))


@cache
def look(*, dark: bool) -> dict[tuple[str, int], Any]:
    with tempfile.TemporaryDirectory() as folder:
        return measure({name: html(name) for name in SIZES}, (PHONE, SCREEN), LOOK, Path(folder), dark=dark)


EACH = pytest.mark.parametrize(("name", "width"), [(name, width) for name in SIZES for width in (PHONE, SCREEN)])


def test_opens_without_a_complaint(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(html("many"), encoding="utf-8")
    dom, messages = dump_dom(page)
    assert messages == []
    assert dom.count("<svg") == 11
    assert "<script" not in dom


@EACH
def test_no_sideways_scrolling(name, width) -> None:
    assert look(dark=False)[name, width]["overflow"] <= 0


@EACH
def test_names_in_tables_are_not_cut(name, width) -> None:
    names = look(dark=False)[name, width]["names"]
    assert len(names) == SIZES[name][0]
    assert all(wanted <= given for wanted, given in names)


@EACH
def test_no_text_is_cut_off(name, width) -> None:
    for plot in look(dark=False)[name, width]["plots"]:
        left, top, right, bottom = plot["box"]
        for text, _, *edges in plot["texts"]:
            inside = edges[0] > left - 3 and edges[1] > top - 3 and edges[2] < right + 3 and edges[3] < bottom + 3
            assert inside, f"{text!r} reaches out of {plot['name']}"


@EACH
def test_no_text_covers_another(name, width) -> None:
    for plot in look(dark=False)[name, width]["plots"]:
        boxes = np.array([text[2:] for text in plot["texts"]])
        words = [text[0] for text in plot["texts"]]
        # Boxes are as high as a line; letters leave some of it free above and below.
        high = np.minimum(boxes[:, None, 3], boxes[None, :, 3]) - np.maximum(boxes[:, None, 1], boxes[None, :, 1])
        wide = np.minimum(boxes[:, None, 2], boxes[None, :, 2]) - np.maximum(boxes[:, None, 0], boxes[None, :, 0])
        one, other = np.nonzero(np.triu((high > 4) & (wide > 0.5), 1))
        assert [(words[i], words[j]) for i, j in zip(one, other, strict=True)] == [], plot["name"]


def channels(colour: str) -> np.ndarray:
    """Red, green and blue of a colour as the browser says it."""
    return np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", SIZES)
def test_numbers_in_cells_can_be_read(name, dark) -> None:
    seen = look(dark=dark)[name, SCREEN]
    models = SIZES[name][0]
    for plot in seen["plots"]:
        if plot["name"] not in ("figure-yule-s-q", "figure-disagreement"):
            continue
        read = 0
        for text, ink, left, top, right, bottom in plot["texts"]:
            x, y = (left + right) / 2, (top + bottom) / 2
            for fill, opacity, *edges in plot["cells"]:
                if "." in text and edges[0] < x < edges[2] and edges[1] < y < edges[3] and fill.startswith("rgb("):
                    shade = opacity * channels(fill) + (1 - opacity) * channels(seen["ground"])
                    assert contrast(f"rgb({', '.join(str(round(part)) for part in shade)})", ink) > 4.5, text
                    read += 1
        assert read >= models * (models - 1), plot["name"]
