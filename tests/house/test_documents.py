"""The documents say what the code does: pages are current, names exist, examples run."""

import csv
import importlib
import importlib.util
import io
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule import registry
from tests.house.source import ROOT

DOCS = ROOT / "docs"
PAGES = [page for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))) if page.exists()]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


def script(name: str) -> ModuleType:
    """A script of ``docs/`` as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return script("generate")


def concepts() -> list[dict[str, str]]:
    with (DOCS / "concepts.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def resolve(name: str) -> Any:
    """What a dotted name stands for."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", ["docs/catalogue.md", "docs/concepts.md", "src/chainrule/catalogue.json"])
def test_generated_pages_are_current(generate: ModuleType, page: str) -> None:
    assert (ROOT / page).read_text(encoding="utf-8") == generate.pages()[page], "write `make docs`"


@pytest.mark.parametrize("name", ["draw_anatomy", "draw_traces"])
def test_pictures_are_current(name: str) -> None:
    for picture, text in script(name).pictures().items():
        assert (DOCS / "pictures" / picture).read_text(encoding="utf-8") == text, "write `make docs`"


@pytest.mark.parametrize("name", ["clusters.png", "ellipses.png", "patterns.png", "regions.png"])
def test_pictures_of_structure_are_drawn(name: str) -> None:
    # Other processors round otherwise, so grey values are compared and not bytes; embeddings take too long here.
    file = io.BytesIO(script("draw_structure").drawn(name))
    with Image.open(file) as drawn, Image.open(DOCS / "pictures" / name) as kept:
        assert drawn.size == kept.size, "write `make docs`"
        difference = np.abs(np.subtract(*(np.asarray(image.convert("L"), dtype=float) for image in (drawn, kept))))
        assert difference.mean() < 2, "write `make docs`"


@pytest.mark.parametrize("kind", registry.ROOMS)
def test_every_row_is_in_the_catalogue(kind: str) -> None:
    text = (DOCS / "catalogue.md").read_text(encoding="utf-8")
    missing = [name for name in registry.entries(kind) if f"| `{name}`" not in text and f"| `{name}(" not in text]
    assert missing == []


@pytest.mark.parametrize("name", [name for name in chainrule.__all__ if not name.startswith("_")])
def test_public_names_are_documented(name: str) -> None:
    assert any(f"`cr.{name}" in page.read_text(encoding="utf-8") for page in PAGES)


def test_concepts_are_entered_once() -> None:
    names = [row["id"] for row in concepts()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("row", concepts(), ids=lambda row: row["id"])
def test_concepts_resolve(row: dict[str, str]) -> None:
    assert row["how"]
    resolve(row["where"])  # raises where there is no such name


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if PYTHON.search(page.read_text(encoding="utf-8"))], ids=relative
)
def test_code_in_pages_runs(page: Path, tmp_path: Path) -> None:
    """All Python blocks of a page, one after the other, as a reader would type them."""
    blocks = PYTHON.findall(page.read_text(encoding="utf-8"))
    run_python("-c", "\n".join(blocks), cwd=tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=relative)
def test_examples_run(example: Path, tmp_path: Path) -> None:
    assert run_python(str(example), cwd=tmp_path)


def run_python(*arguments: str, cwd: Path) -> str:
    """Run a fresh interpreter, warnings as errors as in the tests; what it printed."""
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout
