"""Figures of studies: in the right order, with the right numbers, and sensible for whatever there is."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from chainrule.report import study_curves, study_drawings, study_layout, study_search
from chainrule.report.drawing import Drawing, page_style
from chainrule.training.evaluation import calibration
from tests.synthetic_study import LONG, combined, compared, learned, study

WHAT = {"metric": "test accuracy", "rising": True}


def texts(drawing: Drawing) -> list[str]:
    """What is written in a drawing, in its order."""
    return [text.text or "" for text in ElementTree.fromstring(drawing.svg).iter("text")]


def places(drawing: Drawing) -> dict[str, tuple[float, float]]:
    """Where each text of a drawing stands, in units from the upper left corner."""
    found = {}
    for text in ElementTree.fromstring(drawing.svg).iter("text"):
        x, y = text.get("x"), text.get("y")
        if x is None or y is None:
            x, y = re.findall(r"[-\d.]+", text.get("transform", ""))[:2]
        found[text.text or ""] = (float(x), float(y))
    return found


def titles(drawing: Drawing) -> list[str]:
    """Names in full that stand behind names that were cut."""
    return [title.text or "" for title in ElementTree.fromstring(drawing.svg).iter("title")]


def test_same_data_same_drawing() -> None:
    data = study(2, 2)
    first = [*compared(data), *learned(data), *combined(data)]
    # A user's own matplotlib settings are of no importance.
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9}):
        assert [*compared(data), *learned(data), *combined(data)] == first
    assert len({drawing.name for drawing in first}) == len(first)


def test_scores_are_in_order_with_their_spread() -> None:
    drawing = study_drawings.scores_drawing(["low", "high", "one"], [[0.1, 0.3], [0.8, 0.9], [0.5]], **WHAT)
    where = places(drawing)
    assert where["high"][1] < where["one"][1] < where["low"][1]
    assert {"0.850 ± 0.071", "0.200 ± 0.141", "0.500"} <= set(where)
    falling = places(study_drawings.scores_drawing(["low", "high"], [[0.1], [0.9]], metric="loss", rising=False))
    assert falling["low"][1] < falling["high"][1]


def test_a_score_far_behind_does_not_press_the_others_flat() -> None:
    scores = [[0.95 - 0.01 * i] for i in range(8)]
    names = [f"model {i}" for i in range(9)]
    drawing = study_drawings.scores_drawing(names, [*scores, [-50.0]], **WHAT)
    assert "◂ ▸ further out" in [key.text for key in drawing.key]
    assert "−50.00" in texts(drawing)
    ticks = [float(text.replace("−", "-")) for text in texts(drawing) if re.fullmatch(r"0\.\d\d", text)]
    assert len(ticks) > 3
    assert "◂ ▸ further out" not in [key.text for key in study_drawings.scores_drawing(names[:8], scores, **WHAT).key]


def test_ranks_and_what_joins_them() -> None:
    ranks, cliques = [3.0, 1.2, 1.8], [[1, 2], [2, 0]]
    drawing = study_drawings.critical_difference_drawing(["a", "b", "c"], ranks, 1.35, cliques, seeds=5)
    where = places(drawing)
    assert where["b"][1] < where["c"][1] < where["a"][1]
    assert {"1.20", "1.80", "3.00", "critical difference 1.35"} <= set(where)
    assert "overlap" in drawing.caption
    assert "paired test" in drawing.caption
    assert [key.text for key in drawing.key] == ["mean rank over 5 splits", "joins models whose ranks do not differ"]
    alone = study_drawings.critical_difference_drawing(["a", "b", "c"], ranks, 0.1, [], seeds=1)
    assert [key.text for key in alone.key] == ["mean rank over 1 split"]


def test_lanes_keep_apart() -> None:
    assert list(study_layout.lanes([[0, 1, 2], [4, 3], [1, 2, 3], [5, 6]])) == [
        (0, 0, 2),
        (1, 1, 3),
        (0, 3, 4),
        (0, 5, 6),
    ]


def test_cost_names_few_and_numbers_many() -> None:
    few = study_drawings.cost_drawing(["fast", "good"], [0.8, 0.9], [0.5, 100.0], **WHAT)
    assert {"fast", "good"} <= set(texts(few))
    data = study(12, 5)
    many = study_drawings.cost_drawing(data.names, data.scores.mean(1).tolist(), data.seconds, **WHAT)
    best = data.names[int(data.scores.mean(1).argmax())]
    assert many.key[0].text == f"1  {best}"
    assert {str(place) for place in range(1, 13)} <= set(texts(many))


@pytest.mark.parametrize("count", [1, 5, 12])
def test_labels_keep_apart(count) -> None:
    """Even where all points stand in one place."""
    random = np.random.default_rng(count)
    for spread in (0.0, 0.02, 1.0):
        x, y = 0.5 + spread * random.uniform(-0.5, 0.5, (2, count))
        with page_style():
            figure = Figure(figsize=(5, 4), dpi=72, layout="constrained")
            ax = figure.add_subplot(xlim=(-0.1, 1.1), ylim=(-0.1, 1.1))
            study_layout.place_labels(ax, [str(i + 1) for i in range(count)], x.tolist(), y.tolist())
            figure.draw_without_rendering()
            boxes = [Text.get_window_extent(text) for text in ax.texts]  # without the line to the point
        assert len(boxes) == count
        width, height = study_layout.LETTER, 11
        middles = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes]
        for i, (left, low) in enumerate(middles):
            assert all(abs(left - a) > width or abs(low - b) > height for a, b in middles[:i])


def test_labels_keep_off_a_line() -> None:
    with page_style():
        figure = Figure(figsize=(5, 4), dpi=72, layout="constrained")
        ax = figure.add_subplot(xlim=(0, 1), ylim=(0, 1))
        study_layout.place_labels(ax, ["a name of some length"], [0.1], [0.9], [(0.1, 0.9), (1.0, 0.9)])
        figure.draw_without_rendering()
        box, line = Text.get_window_extent(ax.texts[0]), ax.transData.transform((0.1, 0.9))[1]
    assert abs((box.y0 + box.y1) / 2 - line) > 6


def test_learning_curves_go_as_far_as_all_seeds() -> None:
    mean = study_curves._table([[0.1, 0.2, 0.3], [0.3, 0.4]])
    assert mean.tolist() == [[0.1, 0.2], [0.3, 0.4]]
    data = study(3, 2)
    drawing = learned(data)[0]
    assert [key.text for key in drawing.key] == [study_layout.clipped(name, 40) for name in data.names]
    assert len({(key.look, key.colour) for key in drawing.key}) == 3
    assert "level line" in drawing.caption


def test_eight_curves_have_eight_panels() -> None:
    data = study(8, 1)
    for drawing in learned(data):
        shown = {*texts(drawing), *titles(drawing)}
        assert {study_layout.clipped(name, len(name)) for name in data.names} <= shown


def test_a_curve_that_ends_outside_says_so() -> None:
    names = [f"network {i}" for i in range(6)]
    curves = {name: [[0.5, 0.8, 0.9 + 0.01 * i]] for i, name in enumerate(names)} | {"network 0": [[0.5, 0.1, -9.0]]}
    drawing = study_curves.learning_curves_drawing(names, curves, {}, metric="R²", rising=True)
    assert [text for text in texts(drawing) if "below" in text] == ["ends at −9.000, below the picture"]
    curves["network 1"] = [[0.5, 0.6, None]]
    drawing = study_curves.learning_curves_drawing(
        names[:2], {name: curves[name] for name in names[:2]}, {}, metric="R²", rising=True
    )
    assert drawing.key[1].text == "network 1, ends without a score"


def test_losses_that_fall_far_have_a_logarithmic_axis() -> None:
    curves = {"network": [[100.0, 10.0, 1.0, 0.1]]}
    drawing = study_curves.learning_curves_drawing(["network"], curves, {}, metric="loss", rising=False)
    assert {"0.1", "1", "10", "100"} <= set(texts(drawing))


def test_pooled_calibration_is_that_of_all_samples() -> None:
    random = np.random.default_rng(0)
    stated = random.beta(4, 1, (3, 500))
    right = random.uniform(size=stated.shape) < stated
    found = study_curves.pooled([calibration(*pair) for pair in zip(stated, right, strict=True)])
    wanted = calibration(stated.ravel(), right.ravel())
    assert found["count"] == wanted["count"]
    assert found["error"] == pytest.approx(wanted["error"], abs=1e-5)
    for part in ("confidence", "accuracy"):
        assert [value is None for value in found[part]] == [value is None for value in wanted[part]]
        known = [value for value in found[part] if value is not None]
        assert known == pytest.approx([value for value in wanted[part] if value is not None], abs=1e-5)


@pytest.mark.parametrize("size", [2, 6, 7])
def test_matrix_shows_its_numbers(size) -> None:
    matrix = np.random.default_rng(size).uniform(-1, 1, (size, size))
    matrix = (matrix + matrix.T) / 2
    drawing = study_drawings.matrix_drawing(
        LONG[:size], matrix.tolist(), title="Yule's Q", caption="Read it.", low=-1.0, high=1.0
    )
    wanted = {f"{matrix[i, j]:.2f}".replace("-", "−").replace("−0.00", "0.00") for i in range(size) for j in range(i)}
    assert wanted <= set(texts(drawing))
    assert drawing.name == "yule-s-q"
    assert [key.text for key in drawing.key if key.look == "square"] == ["above 0", "below 0"]
    assert sum(key.look == "none" for key in drawing.key) == (size if size > 6 else 0)


def test_search_counts_what_it_cannot_show() -> None:
    drawing = study_search.search_drawing(
        [1.0, 2.0, 3.0, 4.0], [0.5, None, float("nan"), 0.6], ["grid", "grid", "longer", "longer"], **WHAT
    )
    found = [key.text for key in drawing.key]
    assert found == [
        "best so far, 0.600 in the end",
        "grid, 2 trials",
        "longer, 2 trials",
        "× 2 trials without a score",
    ]
    nothing = study_search.search_drawing([1.0, 2.0], [None, None], ["grid", "grid"], **WHAT)
    assert [key.text for key in nothing.key] == ["grid, 2 trials", "× 2 trials without a score"]


def test_search_is_told_in_minutes_when_it_was_long() -> None:
    def label(seconds: list[float]) -> str:
        drawing = study_search.search_drawing(seconds, [0.1, 0.2], ["grid", "grid"], **WHAT)
        return next(text for text in texts(drawing) if text.endswith("since the start"))

    assert label([10.0, 179.0]).startswith("seconds")
    assert label([10.0, 180.0]).startswith("minutes")


def test_a_value_of_zero_has_a_place_on_a_logarithmic_axis() -> None:
    drawing = study_search.isolation_drawing(
        "weight decay", [0.0, 1e-4, 1e-2], [0.8, 0.9, None], bounds=(0.0, 1e-2), best=1, log=True, **WHAT
    )
    where = places(drawing)
    assert where["0"][0] < where["10⁻⁴"][0] < where["10⁻²"][0]
    assert "the best, 0.0001" in [key.text for key in drawing.key]
    assert "searched from 0 to 0.01" in [key.text for key in drawing.key]
    assert drawing.name == "isolation-weight-decay"


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0], [1.0, 2.0, 300.0]], ids=str)
def test_isolation_of_any_values(values, log) -> None:
    scores = [0.5 + 0.1 * i for i in range(len(values))]
    drawing = study_search.isolation_drawing(
        "depth", values, scores, bounds=(min(values), max(values)), best=0, log=log, **WHAT
    )
    assert drawing.svg.count("<path") > 3


def test_weights() -> None:
    drawing = study_drawings.weights_drawing(["a", "b", "c"], [0.25, 0.85, -0.1])
    where = places(drawing)
    assert where["b"][1] < where["a"][1] < where["c"][1]
    assert {"0.850", "0.250", "−0.100"} <= set(where)


def test_names_are_cut_so_that_they_stay_apart() -> None:
    names = ["mlp(width=128, dropout=0.1)", "mlp(width=128, dropout=0.2)", "knn", "a name that is far too long"]
    short = study_layout.shortened(names, 14)
    assert short == ["mlp(wid…t=0.1)", "mlp(wid…t=0.2)", "knn", "a name that i…"]
    drawing = study_drawings.scores_drawing(LONG, [[0.5]] * len(LONG), **WHAT)
    assert [name for name in LONG if len(name) > 40] == sorted(titles(drawing), key=LONG.index)


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"),
    [
        (0.975, 0.0042, "0.975 ± 0.004"),
        (0.975, None, "0.975"),
        (0.975, 0.0001, "0.975 ± < 0.001"),
        (59.77, 1.234, "59.77 ± 1.23"),
        (0.0001, 0.00002, "10⁻⁴ ± 2·10⁻⁵"),
    ],
)
def test_plus_minus(mean, deviation, expected) -> None:
    assert study_layout.plus_minus(mean, deviation) == expected


def test_window_leaves_out_what_is_far_worse_and_never_the_best() -> None:
    close = [0.9 + 0.01 * i for i in range(10)]
    low, high = study_layout.window_of([*close, -5.0], rising=True)
    assert -5 < low < 0.9
    assert study_layout.window_of([*close, 5.0], rising=True)[1] > 5
    assert study_layout.window_of([*close, 5.0], rising=False)[1] < 5
    low, high = study_layout.window_of([0.3, float("nan")], rising=True)
    assert low < 0.3 < high
    assert study_layout.window_of([], rising=True) == (0.0, 1.0)


def test_what_comes_from_outside_stays_text() -> None:
    assert "<script" not in "".join(drawing.svg for drawing in compared(study(12, 1)))
