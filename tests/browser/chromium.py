"""A headless Chromium: what a page becomes in it, what it complains of, how it looks."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

PROGRAM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="there is no chromium, chromium-browser or google-chrome")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--enable-logging=stderr",
)
DARK = "--blink-settings=preferredColorScheme=0"


def start(page: Path, *options: str, dark: bool = False) -> tuple[str, list[str]]:
    """Open a page; gives what Chromium writes to its output, and the messages of the page's console."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [PROGRAM, *QUIET, f"--user-data-dir={profile}", *options, *([DARK] if dark else []), page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def dump_dom(page: Path) -> tuple[str, list[str]]:
    """The document after it was loaded, and the messages of its console."""
    return start(page, "--dump-dom")


def screenshot(page: Path, picture: Path, *, width: int, height: int, dark: bool = False) -> None:
    """A picture of the window."""
    start(page, f"--window-size={width},{height}", f"--screenshot={picture}", dark=dark)


def measure(
    pages: Mapping[str, str], widths: Sequence[int], script: str, folder: Path, *, dark: bool = False
) -> dict[tuple[str, int], Any]:
    """Run a script over pages in frames of given widths.

    Args:
        pages: The pages' texts by name.
        widths: Widths in pixels; each page is shown at each.
        script: Body of a function of a frame's ``document``; what it returns must be plain.
        folder: Where the page that holds the frames is written.
        dark: Whether the reader prefers dark pages.

    Returns:
        What the script returned, by page and width.
    """
    frames = "".join(
        f'<iframe name="{html.escape(name)}" width="{width}" height="800" srcdoc="{html.escape(text)}"></iframe>'
        for name, text in pages.items()
        for width in widths
    )
    run = """
      addEventListener("load", () => {
        const inspect = document => { %s };
        const found = [...document.querySelectorAll("iframe")].map(
          frame => [frame.name, frame.width, inspect(frame.contentDocument)]);
        document.querySelector("pre").textContent = JSON.stringify(found);
      });"""
    harness = folder / "harness.html"
    head = "<!doctype html><meta charset=utf-8><style>iframe { border: 0 }</style>"
    harness.write_text(f"{head}<pre></pre>{frames}<script>{run % script}</script>", encoding="utf-8")
    output, messages = start(harness, "--dump-dom", dark=dark)
    assert messages == []
    result = re.search("<pre>(.*?)</pre>", output, re.DOTALL)
    assert result, output[:500]
    return {(name, int(width)): value for name, width, value in json.loads(html.unescape(result[1]))}
