"""The report in a browser: no complaint, nothing cut off, on a phone and a screen, light and dark."""

import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from chainrule.data.spec import Classes, Column, Image, Labels, Real, Vector
from chainrule.report import render, write
from tests.browser.chromium import dump_dom, measure, needs_chromium, screenshot
from tests.synthetic_run import FINDINGS, run

pytestmark = needs_chromium

LONG = "a class with a rather long name, longer than any column_that_a_phone_has_room_for_" + "x" * 40
PICTURES = Image(1, 8, 8, white=1.0)
ROWS = Vector(tuple(Column(f"column number {i}") for i in range(20)))
RUNS = {
    "classes": run(Classes(("cat", "dog", LONG, "<script>alert(1)</script>")), PICTURES, name=LONG),
    "many": run(Classes(tuple(f"class {i}" for i in range(100))), ROWS, samples=300),
    "labels": run(Labels(("rain", "wind", LONG)), ROWS),
    "real": run(Real(("price", "area")), ROWS),
}
PHONE, SCREEN = 390, 1280

# Everything that a test below asks for, from one start of the browser.
LOOK = """
  const view = document.defaultView, page = document.documentElement;
  const box = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
  const plots = [...document.querySelectorAll("svg.plot")].map(plot => ({
    name: plot.closest("figure").id,
    box: box(plot),
    text: parseFloat(view.getComputedStyle(plot.querySelector("text")).fontSize)
      * plot.getBoundingClientRect().width / plot.viewBox.baseVal.width,
    texts: [...plot.querySelectorAll("text")].map(text => [text.textContent, ...box(text)]),
    colours: [...new Set([...plot.querySelectorAll("path, use")].flatMap(
      e => [view.getComputedStyle(e).stroke, view.getComputedStyle(e).fill]))],
  }));
  return {
    overflow: page.scrollWidth - page.clientWidth,
    plots: plots,
    pictures: [...document.images].map(image => [image.naturalWidth, image.getBoundingClientRect().width]),
    ground: view.getComputedStyle(page).backgroundColor,
    ink: view.getComputedStyle(document.body).color,
    heading: document.querySelector("h1").textContent,
  };
"""


@cache
def look(*, dark: bool) -> dict[tuple[str, int], Any]:
    with tempfile.TemporaryDirectory() as folder:
        pages = {name: render(events, FINDINGS) for name, events in RUNS.items()}
        return measure(pages, (PHONE, SCREEN), LOOK, Path(folder), dark=dark)


EACH = pytest.mark.parametrize(("name", "width"), [(name, width) for name in RUNS for width in (PHONE, SCREEN)])


@pytest.mark.parametrize("name", ["classes", "real"])
def test_opens_without_a_complaint(name, tmp_path: Path) -> None:
    dom, messages = dump_dom(write(RUNS[name], FINDINGS, tmp_path / "report.html"))
    assert messages == []
    assert dom.count("<svg") == len(re.findall('<figure class="drawing"', dom)) > 4
    assert "<script" not in dom


@EACH
def test_no_sideways_scrolling(name, width) -> None:
    assert look(dark=False)[name, width]["overflow"] <= 0


@EACH
def test_figures_have_a_size(name, width) -> None:
    plots = look(dark=False)[name, width]["plots"]
    assert len(plots) >= 6
    for plot in plots:
        left, top, right, bottom = plot["box"]
        assert right - left > 300, plot["name"]
        assert bottom - top > 150, plot["name"]
        assert left >= 0, plot["name"]
        assert right <= width, plot["name"]
        assert plot["text"] > 9.5, plot["name"]


@EACH
def test_no_text_is_cut_off(name, width) -> None:
    for plot in look(dark=False)[name, width]["plots"]:
        left, top, right, bottom = plot["box"]
        for text, *edges in plot["texts"]:
            inside = edges[0] > left - 3 and edges[1] > top - 3 and edges[2] < right + 3 and edges[3] < bottom + 3
            assert inside, f"{text!r} reaches out of {plot['name']}"


def test_pictures_are_shown() -> None:
    pictures = look(dark=False)["classes", PHONE]["pictures"]
    assert len(pictures) == 12
    assert all(natural == 96 and shown > 100 for natural, shown in pictures)


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)`` as the Web Content Accessibility Guidelines define it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_colours_follow_what_the_reader_prefers(dark) -> None:
    seen = look(dark=dark)["classes", SCREEN]
    assert (luminance(seen["ground"]) < 0.1) == dark
    assert contrast(seen["ground"], seen["ink"]) > 10
    # The two strongest lines of the loss figure can be told from the ground.
    colours = next(plot for plot in seen["plots"] if plot["name"] == "figure-loss")["colours"]
    assert sum(contrast(seen["ground"], colour) > 3 for colour in colours if colour.startswith("rgb(")) >= 3


def test_figures_of_light_and_dark_differ_in_colour_only() -> None:
    light, dark = look(dark=False)["classes", SCREEN]["plots"], look(dark=True)["classes", SCREEN]["plots"]
    assert [plot["box"] for plot in light] == [plot["box"] for plot in dark]
    assert all(one["colours"] != other["colours"] for one, other in zip(light, dark, strict=True))


def test_what_comes_from_the_data_is_shown_as_text() -> None:
    seen = look(dark=False)["classes", SCREEN]
    assert seen["heading"].startswith(LONG)
    texts = [text for plot in seen["plots"] for text, *_ in plot["texts"]]
    assert "<script>alert…" in texts


def test_a_screenshot_shows_something(tmp_path: Path) -> None:
    page = write(RUNS["classes"], FINDINGS, tmp_path / "report.html")
    screenshot(page, tmp_path / "report.png", width=SCREEN, height=900)
    pixels = np.asarray(Pillow.open(tmp_path / "report.png").convert("L"))
    assert pixels.shape == (900, SCREEN)
    # Paper with some ink on it, on both halves of the window.
    for half in np.split(pixels, 2):
        assert 0.005 < (half < 128).mean() < 0.3
