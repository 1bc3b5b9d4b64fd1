"""The page: whole, safe, the same for the same events, and sensible for whatever there is of a run."""

import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest

from chainrule.data.spec import Classes, Column, Image, Labels, Real, Vector
from chainrule.doctor.finding import Finding
from chainrule.report import render, verdict, write
from chainrule.report.history import History
from chainrule.report.wording import beside, clipped, counted, duration, memory, number, percent, power, rate
from chainrule.training import events as kinds
from chainrule.training.events import Built, Epoch, Evaluated, Finished, Loaded, RateTest, Step
from tests.synthetic_run import FINDINGS, run, stopped

PICTURES = Image(1, 8, 8, white=1.0)
ROWS = Vector((Column("age"), Column("town", "category", ("Ulm", "Bern"))))
RUNS = {
    "classes": run(Classes(("cat", "dog", "bird")), PICTURES),
    "two classes": run(Classes(("no", "yes")), ROWS),
    "many classes": run(Classes(tuple(f"class {i}" for i in range(200))), ROWS, samples=300),
    "labels": run(Labels(("rain", "wind")), ROWS),
    "real": run(Real(("price",)), ROWS),
    "reals": run(Real(("price", "area")), PICTURES),
    "three samples": run(Classes(("cat", "dog", "bird")), PICTURES, samples=3),
}
TRAINING = {"loss", "metrics", "range-test", "pace"}
FIGURES = {
    "classes": TRAINING | {"confusion", "roc", "calibration"},
    "two classes": TRAINING | {"confusion", "roc", "calibration"},
    "many classes": TRAINING | {"confusion", "roc", "calibration"},
    "labels": TRAINING | {"roc", "calibration"},
    "real": TRAINING | {"scatter-0", "residuals-0"},
    "reals": TRAINING | {f"{name}-{i}" for name in ("scatter", "residuals") for i in (0, 1)},
}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """What a page holds; fails on tags that do not close in the order in which they open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(" ".join(data.split()))

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]

    @property
    def figures(self) -> set[str]:
        return {name.removeprefix("figure-") for name in self.values("id") if name.startswith("figure-")}


@cache
def html(name: str) -> str:
    return render(RUNS[name], FINDINGS)


@cache
def page_of(name: str) -> Page:
    return Page(html(name))


@pytest.mark.parametrize("name", FIGURES)
def test_figures(name) -> None:
    page = page_of(name)
    assert page.figures == FIGURES[name]
    plots = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(plots) == len(FIGURES[name])
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


@pytest.mark.parametrize("name", RUNS)
def test_ids_are_unique_and_every_reference_has_its_target(name) -> None:
    ids = page_of(name).values("id")
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for value in page_of(name).values("href") if value.startswith("#")}
    wanted |= {match for value in page_of(name).values("clip-path") for match in re.findall(r"url\(#(.*)\)", value)}
    assert wanted
    assert wanted <= set(ids)


@pytest.mark.parametrize("name", RUNS)
def test_nothing_comes_from_elsewhere(name) -> None:
    page = page_of(name)
    assert not {"script", "iframe", "object", "embed", "form"} & {tag for tag, _ in page.tags}
    sources = page.values("src") + page.values("href")
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert "@import" not in html(name)
    policy = next(
        attributes["content"] for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes
    )
    assert policy.startswith("default-src 'none'")


def test_colours_follow_the_page() -> None:
    styles = "".join(style for tag, attributes in page_of("classes").tags for style in [attributes.get("style", "")])
    assert "var(--blue)" in styles
    assert "var(--ink)" in styles
    assert not re.search(r"#[0-9a-f]{6}", styles)


def test_numbers_stand_on_the_page() -> None:
    evaluated = RUNS["classes"][-1]
    assert isinstance(evaluated, Evaluated)
    texts = page_of("classes").texts
    for row in evaluated.per_class:
        start = texts.index(row["name"], texts.index("Class by class"))
        scores = [number(row[key]) for key in ("precision", "recall", "f1", "auc", "support")]
        assert texts[start + 1 : start + 6] == scores
    assert [text for text in texts if text in {str(n) for line in evaluated.confusion for n in line}]
    assert page_of("classes").values("src") == [sample["picture"] for sample in evaluated.worst]
    assert "chainrule fit 'made up.csv' --seed 3" in " ".join(texts)
    assert "1 sample of the test split stands in the train split as well." in texts
    assert "2 rows without a target were left out." in texts
    assert texts.index("It learned by heart.") < texts.index("The test split is small.")


def test_the_worst_rows_of_a_table() -> None:
    evaluated = RUNS["real"][-1]
    assert isinstance(evaluated, Evaluated)
    worst, texts = evaluated.worst[0], page_of("real").texts
    start = texts.index(worst["origin"])
    answer = [number(worst[key][0]) for key in ("true", "predicted", "residual")]
    assert texts[start : start + 6] == [worst["origin"], *answer, worst["values"]["age"], worst["values"]["town"]]


def test_labels_have_their_two_by_two_tables() -> None:
    evaluated = RUNS["labels"][-1]
    assert isinstance(evaluated, Evaluated)
    texts = page_of("labels").texts
    start = texts.index("rain", texts.index("Each label’s yes and no"))
    (tn, fp), (fn, tp) = evaluated.confusion[0]
    assert texts[start : start + 9] == [
        "rain",
        "said no",
        "said yes",
        "is no",
        str(tn),
        str(fp),
        "is yes",
        str(fn),
        str(tp),
    ]


def test_many_classes_list_their_mistakes() -> None:
    evaluated = RUNS["many classes"][-1]
    assert isinstance(evaluated, Evaluated)
    most = max(n for i, row in enumerate(evaluated.confusion) for j, n in enumerate(row) if i != j)
    texts = page_of("many classes").texts
    start = texts.index("Most frequent mistakes")
    true, predicted, count = texts[start + 4 : start + 7]
    row, column = (int(name.removeprefix("class ")) for name in (true, predicted))
    assert evaluated.confusion[row][column] == most
    assert count.startswith(f"{most} (")
    assert len(html("many classes")) < 500_000


HOSTILE = (
    "<script>alert(1)</script>",
    '$x^2$ & "y"',
    "日本語",
    'id="a" url(#b)',
    "_under",
    "bell\x07 \udcff {{ 7 * 7 }}",
)


@pytest.mark.parametrize("target", [Classes(HOSTILE), Real(HOSTILE[:2])], ids=["classes", "real"])
def test_what_comes_from_the_data_stays_text(target, tmp_path: Path) -> None:
    findings = [Finding(check="<u>x</u>", status="WARN", sentence=HOSTILE[0], remedy=HOSTILE[0])]
    path = write(run(target, ROWS, name="<img src=x onerror=alert(1)>"), findings, tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "u", "img"} & {tag for tag, _ in page.tags}
    assert {HOSTILE[0], "<img src=x onerror=alert(1)>", "<u>x</u>"} <= set(page.texts)
    assert any("$x^2$" in words for words in page.texts)
    assert len(page.values("id")) == len(set(page.values("id")))
    if target.kind == "classes":
        figure = re.search(r'<figure class="drawing" id="figure-confusion">.*?</figure>', text, re.DOTALL)
        assert figure
        assert {"<script>alert…", '$x^2$ & "y"', "日本語", "_under"} <= set(Page(figure[0]).texts)


PARTS = {
    "nothing": (Loaded, 0, "Nothing has been recorded yet", set()),
    "loaded": (Loaded, 1, "The data was read, but no model was built", set()),
    "built": (Built, 1, "The model was built, but not trained", set()),
    "range test": (RateTest, 1, "The model was built, but not trained", {"range-test"}),
    "steps": (Step, 3, "Training ended at step 3 of 5 in epoch 1, before any epoch was done", TRAINING - {"metrics"}),
    "epochs": (Epoch, 2, "Training stopped after epoch 2 of 6; the test split was not looked at", TRAINING),
    "finished": (Finished, 1, "Training is done (all epochs done), but the model was not evaluated", TRAINING),
}


@pytest.mark.parametrize(
    ("name", "part"),
    [*(("classes", part) for part in PARTS), ("labels", "loaded"), ("real", "loaded"), ("real", "epochs")],
)
def test_part_of_a_run(name, part) -> None:
    kind, count, start, figures = PARTS[part]
    events = stopped(RUNS[name], kind, count) if count else []
    page = Page(render(events, []))
    assert page.figures == figures
    assert any(text.startswith(start) for text in page.texts)
    assert "No check has been made." in page.texts


def test_a_run_without_range_test_and_without_steps() -> None:
    events = [event for event in RUNS["classes"] if not isinstance(event, RateTest | Step)]
    assert Page(render(events, [])).figures == FIGURES["classes"] - {"range-test", "pace"}


def test_numbers_that_are_not_known() -> None:
    """JSON has no NaN: after a run is read back, None stands in its place."""
    values = [json.loads(json.dumps(kinds.to_json(event))) for event in RUNS["classes"]]
    for event in values:
        if event["event"] == "Epoch":
            event["valid"] = dict.fromkeys(event["valid"]) if event["epoch"] < 4 else event["valid"]
        if event["event"] == "Step":
            event["norm"] = None
        if event["event"] == "Evaluated":
            event["metrics"] = dict.fromkeys(event["metrics"])
    events = [kinds.from_json(event) for event in values]
    assert Page(render(events, [])).figures == FIGURES["classes"]
    assert "no metric of the test split is a finite number" in verdict(events, [])


def test_same_events_same_bytes(tmp_path: Path) -> None:
    again = [kinds.from_json(json.loads(json.dumps(kinds.to_json(event)))) for event in RUNS["classes"]]
    # A user's own matplotlib settings are of no importance, either.
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        path = write(again, FINDINGS, tmp_path / "report.html")
    assert path.read_bytes() == html("classes").encode()
    assert list(tmp_path.iterdir()) == [path]
    assert len(path.read_bytes()) < 300_000


def test_verdict() -> None:
    assert verdict(RUNS["classes"], FINDINGS) == (
        "Test accuracy 0.800 on 60 samples, against 0.250 for always guessing the most frequent class; 1 failure and 1 "
        "warning: It learned by heart. Next: Write --weight-decay 0.1."
    )
    assert verdict(RUNS["labels"], FINDINGS[2:]) == (
        "Test F1 (macro) 0.800 on 60 samples, against 0.250 for always giving each label its more frequent answer."
    )
    assert verdict(RUNS["real"], []) == (
        "Test R² 0.800 on 60 samples, against 0.250 for always guessing the mean of the training split."
    )
    warnings = [Finding(check=str(i), status="WARN", sentence=f"Warning {i}.") for i in (1, 2)]
    assert verdict(RUNS["real"], warnings).endswith("; 2 warnings: Warning 1.")


@pytest.mark.parametrize(
    ("samples", "accuracy", "constant", "words"),
    [
        (400, 0.9, 0.5, "on 400 samples, against 0.500 for always guessing the most frequent class"),
        (400, 0.54, 0.5, "not clearly better than the 0.500 of always guessing"),
        (400, 0.56, 0.5, "against 0.500 for"),
        (400, 0.5, 0.5, "no better than the 0.500 of"),
        (400, 0.3, 0.5, "no better than the 0.500 of"),
        (3, 1.0, 0.5, "on only 3 samples, not clearly better than the 0.500 of"),
    ],
)
def test_verdict_is_honest(samples, accuracy, constant, words) -> None:
    loaded = RUNS["classes"][0]
    assert isinstance(loaded, Loaded)
    loaded = kinds.from_json({**kinds.to_json(loaded), "sizes": {"train": 9, "valid": 9, "test": samples}})
    evaluated = Evaluated(split="test", metrics={"accuracy": accuracy}, baseline={"accuracy": constant})
    assert words in verdict([loaded, evaluated], [])


def test_less_of_an_error_is_better() -> None:
    loaded = RUNS["real"][0]
    worse = Evaluated(split="test", metrics={"rmse": 3.0}, baseline={"rmse": 2.0})
    assert "no better than the 2.000 of" in verdict([loaded, worse], [])
    better = Evaluated(split="test", metrics={"rmse": 1.0}, baseline={"rmse": 2.0})
    assert "against 2.000 for" in verdict([loaded, better], [])


def test_history_of_a_resumed_run() -> None:
    events = RUNS["classes"]
    places = [i for i, event in enumerate(events) if isinstance(event, Epoch)]
    history = History.of(events[: places[1] + 3] + events[places[0] + 1 :])
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3, 4, 5, 6]
    assert [(step.epoch, step.step) for step in history.steps] == [(e, s) for e in range(1, 7) for s in range(1, 6)]
    assert history.best is not None
    assert history.best.epoch == 4


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(None), "–"),
        (number(float("nan")), "–"),
        (number(12345), "12,345"),
        (number(0.98123), "0.981"),
        (number(0.99999), "0.99999"),
        (number(0.9996), "0.9996"),
        (number(1.0), "1.000"),
        (number(-3.14159), "−3.142"),
        (number(59.776), "59.78"),
        (number(168.34), "168.3"),
        (number(12345.6), "12,346"),
        (number(0.000123), "1.23·10⁻⁴"),
        (beside(-0.00009, 0.28), "0.000"),
        (beside(0.00009, 0.0001), "9·10⁻⁵"),
        (percent(0.5), "50 %"),
        (percent(1.0), "100 %"),
        (percent(0.9999), "99.9 %"),
        (percent(0.0001), "< 0.1 %"),
        (percent(0.0), "0 %"),
        (percent(None), "–"),
        (rate(0.00235), "0.00235"),
        (rate(0.0), "0"),
        (rate(1e-5), "10⁻⁵"),
        (power(2.5e-7), "2.5·10⁻⁷"),
        (duration(0.84), "0.8 s"),
        (duration(59.7), "1 min 0 s"),
        (duration(192), "3 min 12 s"),
        (duration(7500), "2 h 5 min"),
        (memory(412.3), "412 MiB"),
        (memory(1843), "1.8 GiB"),
        (counted(1, "process", "processes"), "1 process"),
        (counted(1437, "sample"), "1,437 samples"),
        (clipped("a very long name", 8), "a very…"),
        (clipped("a\x00b", 8), "a·b"),
    ],
)
def test_wording(written, expected) -> None:
    assert written == expected
