"""The page of a study: whole, safe, the same for the same sheet, and in the order in which it was given."""

import re
from functools import cache
from pathlib import Path

import pytest

from chainrule.doctor.finding import Finding
from chainrule.errors import InputError
from chainrule.report.sheet import Section, Sheet, Table, render, write
from chainrule.report.study_drawings import weights_drawing
from chainrule.report.tables import Fact
from tests.synthetic_study import sheet
from tests.unit.test_report import Page

SIZES = [(12, 5), (2, 1)]


@cache
def html(models: int, seeds: int) -> str:
    return render(sheet(models, seeds))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_page_is_whole(size) -> None:
    page = Page(html(*size))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for value in page.values("href") if value.startswith("#")}
    wanted |= {match for value in page.values("clip-path") for match in re.findall(r"url\(#(.*)\)", value)}
    assert {"scores", "learning", "ensemble", "search", "checks"} <= wanted <= set(ids)
    assert len(page.figures) == 11


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_comes_from_elsewhere(size) -> None:
    page = Page(html(*size))
    assert not {"script", "iframe", "object", "embed", "form"} & {tag for tag, _ in page.tags}
    assert all(source.startswith(("data:", "#")) for source in page.values("src") + page.values("href"))
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'")
    assert len(html(*size).encode()) < 500_000


def test_order_of_the_page() -> None:
    given, page = sheet(2, 1), " ".join(Page(html(2, 1)).texts)
    start = [given.title, given.verdict, given.facts[0].name, "Next:", given.next_command]
    titles = [section.title for section in given.sections]
    places = [page.index(text) for text in start]
    for title in titles:  # once among the contents, then as a heading
        places.append(page.index(title, places[-1]))
    for title in titles:
        places.append(page.index(title, places[-1] + 1))
    assert places == sorted(places)


def test_a_table_and_its_best_row() -> None:
    table = Table(["Model", "Score"], [["knn", "0.9"], ["<u>svm</u>", "0.95"]], "Read it.", best=1)
    text = render(
        Sheet(kind="comparison", title="t", verdict="v", sections=[Section(name="s", title="S", tables=[table])])
    )
    texts = Page(text).texts
    start = texts.index("Model")
    assert texts[start : start + 7] == ["Model", "Score", "knn", "0.9", "<u>svm</u>", "0.95", "Read it."]
    assert re.findall(r'<tr class="best"><th scope="row">(.*?)</th>', text) == ["&lt;u&gt;svm&lt;/u&gt;"]


def test_findings_that_ask_come_first() -> None:
    findings = [
        Finding(check="a", status="PASS", sentence="Fine."),
        Finding(check="b", status="FAIL", sentence="Broken.", remedy="Mend it."),
        Finding(check="c", status="SKIP", sentence="Not here."),
    ]
    texts = Page(
        render(Sheet(kind="k", title="t", verdict="v", sections=[Section(name="s", title="S", findings=findings)]))
    ).texts
    places = [texts.index(text) for text in ("Broken.", "Mend it.", "1 check passed", "Fine.", "1 check did not apply")]
    assert places == sorted(places)


def test_a_sheet_with_nothing_but_a_verdict() -> None:
    page = Page(render(Sheet(kind="tuning", title="digits", verdict="Nothing was trained.")))
    assert "Nothing was trained." in page.texts
    assert not {"nav", "dl", "pre", "section", "table"} & {tag for tag, _ in page.tags}


def test_same_sheet_same_bytes(tmp_path: Path) -> None:
    path = write(sheet(2, 1), tmp_path / "report.html")
    assert path.read_bytes() == html(2, 1).encode()
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_that_are_no_text_become_question_marks(tmp_path: Path) -> None:
    path = write(Sheet(kind="k", title="a\udcffb", verdict="v", facts=[Fact("a", "b")]), tmp_path / "report.html")
    assert "a?b" in path.read_text(encoding="utf-8")


def test_names_are_unique() -> None:
    drawing = weights_drawing(["a"], [1.0])
    with pytest.raises(InputError, match=r"sections .* 'one'"):
        Sheet(
            kind="k", title="t", verdict="v", sections=[Section(name="one", title="1"), Section(name="one", title="2")]
        )
    with pytest.raises(InputError, match=r"drawings .* 'weights'"):
        Sheet(kind="k", title="t", verdict="v", sections=[Section(name="s", title="S", drawings=[drawing, drawing])])
