"""The numbers of ``Evaluated`` against slow, independent counts."""

import base64
import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from scipy import stats

from chainrule.data.dataset import Rows
from chainrule.data.spec import Classes, Column, Image, Labels, Real, Vector
from chainrule.errors import InputError, NotFiniteError
from chainrule.training.evaluation import calibration, describe_sample, evaluated
from chainrule.training.events import Evaluated, to_json
from tests.synthetic_run import judged, outputs

FIVE = Classes(("a", "b", "c", "d", "e"))
THREE = Labels(("rain", "wind", "snow"))


def judge(target, truth, predicted, losses=None) -> Evaluated:
    losses = torch.arange(len(predicted)).float() if losses is None else losses
    return evaluated(
        "test",
        target=target,
        metrics={"loss": 1.0},
        baseline={"loss": 2.0},
        truth=truth,
        predicted=predicted,
        losses=losses,
        samples=lambda index: {"origin": f"row {index}"},
    )


def holds_only_plain_values(event: Evaluated) -> bool:
    return json.loads(json.dumps(to_json(event), allow_nan=False)) == to_json(event)


def test_confusion_and_scores_of_classes() -> None:
    truth, predicted, losses = outputs(FIVE, 200)
    event = judge(FIVE, truth, predicted, losses)
    pairs = list(zip(truth.tolist(), predicted.argmax(1).tolist(), strict=True))
    assert event.confusion == [[pairs.count((row, column)) for column in range(5)] for row in range(5)]
    for i, row in enumerate(event.per_class):
        hits = pairs.count((i, i))
        given, said = sum(true == i for true, _ in pairs), sum(chosen == i for _, chosen in pairs)
        assert row["name"] == FIVE.names[i]
        assert row["support"] == given
        assert row["precision"] == pytest.approx(hits / said, rel=1e-5)
        assert row["recall"] == pytest.approx(hits / given, rel=1e-5)
        assert row["f1"] == pytest.approx(2 * hits / (given + said), rel=1e-5)
    assert holds_only_plain_values(event)


def area_by_pairs(given: torch.Tensor, said: torch.Tensor) -> float:
    """The area under the ROC curve as Mann and Whitney count it: pairs in the right order, ties half."""
    test = stats.mannwhitneyu(said[given].numpy(), said[~given].numpy())
    return float(test.statistic / (given.sum() * (~given).sum()))


@pytest.mark.parametrize("target", [FIVE, THREE], ids=["classes", "labels"])
def test_area_is_the_share_of_pairs_in_order(target) -> None:
    truth, predicted, losses = outputs(target, 900)
    event = judge(target, truth, predicted, losses)
    given = truth[:, None] == torch.arange(5) if target is FIVE else truth > 0.5
    areas = {name: area_by_pairs(given[:, i], predicted[:, i].double()) for i, name in enumerate(target.names)}
    assert {row["name"]: row["auc"] for row in event.per_class} == pytest.approx(areas, rel=1e-5)
    assert {curve["name"]: curve["auc"] for curve in event.roc} == pytest.approx(areas, rel=1e-5)
    assert [curve["auc"] for curve in event.roc] == sorted(curve["auc"] for curve in event.roc)


def test_roc_is_thinned_after_its_area_is_known() -> None:
    g = torch.Generator().manual_seed(1)
    truth = torch.randint(2, (20_000,), generator=g)
    positive = (torch.randn(20_000, generator=g) + truth).sigmoid()
    curve = judge(Classes(("no", "yes")), truth, torch.stack([1 - positive, positive], 1)).roc[0]
    assert len(curve["fpr"]) == len(curve["tpr"]) == 200
    assert (curve["fpr"][0], curve["tpr"][0], curve["fpr"][-1], curve["tpr"][-1]) == (0, 0, 1, 1)
    assert curve["fpr"] == sorted(curve["fpr"])
    # Two normal distributions one deviation apart: the area is the chance that a difference of both is positive.
    assert curve["auc"] == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=0.01)
    assert curve["auc"] == pytest.approx(area_by_pairs(truth == 1, positive.double()), rel=1e-5)


def test_two_classes_have_one_curve() -> None:
    truth, predicted, losses = outputs(Classes(("no", "yes")), 50)
    event = judge(Classes(("no", "yes")), truth, predicted, losses)
    assert [curve["name"] for curve in event.roc] == ["yes"]
    assert event.per_class[0]["auc"] == event.per_class[1]["auc"]


def test_calibration_by_hand() -> None:
    confidence = np.array([0.05, 0.06, 0.5, 0.95, 1.0])
    right = np.array([False, True, True, True, False])
    result = calibration(confidence, right)
    # Bins are 1/15 wide: the first two share bin 0, 0.5 is in bin 7, the last two share bin 14.
    assert [i for i, count in enumerate(result["count"]) if count] == [0, 7, 14]
    assert [result["accuracy"][i] for i in (0, 7, 14)] == pytest.approx([0.5, 1.0, 0.5])
    assert [result["confidence"][i] for i in (0, 7, 14)] == pytest.approx([0.055, 0.5, 0.975])
    assert result["accuracy"][1] is result["confidence"][1] is None
    assert result["error"] == pytest.approx((2 * 0.445 + 1 * 0.5 + 2 * 0.475) / 5)


def test_calibration_of_classes_looks_at_the_chosen_class() -> None:
    truth, predicted, losses = outputs(FIVE, 300)
    result = judge(FIVE, truth, predicted, losses).calibration
    confidence, chosen = predicted.double().max(1)
    error = sum(
        abs(float(((chosen == truth).double() - confidence)[inside].sum()))
        for b in range(15)
        if (inside := (confidence * 15).long().clamp_max(14) == b).any()
    )
    assert sum(result["count"]) == 300
    assert result["error"] == pytest.approx(error / 300, rel=1e-5)


def test_labels() -> None:
    truth, predicted, losses = outputs(THREE, 100)
    event = judge(THREE, truth, predicted, losses)
    for i, table in enumerate(event.confusion):
        given, said = truth[:, i] > 0.5, predicted[:, i] >= 0.5
        cells = [[(~given & ~said), (~given & said)], [(given & ~said), (given & said)]]
        assert table == [[int(cell.sum()) for cell in row] for row in cells]
        assert event.per_class[i]["support"] == int(given.sum())
    worst = event.worst[0]
    index = int(losses.argmax())
    assert worst["origin"] == f"row {index}"
    assert worst["true"] == [name for name, value in zip(THREE.names, truth[index], strict=True) if value]
    assert sum(event.calibration["count"]) == 300
    assert holds_only_plain_values(event)


@pytest.mark.parametrize("column", [[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_one_label(column) -> None:
    truth = torch.tensor(column).float()[:, None]
    predicted = torch.tensor([[0.2], [0.9], [0.4], [0.7]])
    event = judge(Labels(("only",)), truth, predicted)
    assert len(event.confusion) == len(event.per_class) == 1
    hits = sum(column[i] for i in (1, 3))
    assert event.confusion[0][1][1] == hits
    assert event.per_class[0]["precision"] == hits / 2
    assert event.per_class[0]["recall"] == (hits / sum(column) if any(column) else None)
    assert len(event.roc) == (0 < sum(column) < 4)


def test_a_class_without_samples_has_no_recall_and_no_curve() -> None:
    truth = torch.tensor([0, 0, 1, 1, 2])
    predicted = torch.eye(5)[torch.tensor([0, 0, 1, 4, 2])]
    event = judge(FIVE, truth, predicted)
    assert [curve["name"] for curve in event.roc] == ["b", "a", "c"]
    absent, guessed = event.per_class[3], event.per_class[4]
    assert (absent["precision"], absent["recall"], absent["f1"], absent["auc"]) == (None, None, None, None)
    assert (guessed["precision"], guessed["recall"], guessed["auc"]) == (0, None, None)
    assert holds_only_plain_values(event)


@pytest.mark.parametrize("classes", [2, 3, 200])
def test_constant_predictions(classes) -> None:
    target = Classes(tuple(f"class {i}" for i in range(classes)))
    event = judge(target, torch.arange(30) % 3 % classes, torch.full((30, classes), 1 / classes))
    assert {row["auc"] for row in event.per_class if row["auc"] is not None} == {0.5}
    assert event.per_class[0]["recall"] == 1
    assert len(event.confusion) == classes
    assert holds_only_plain_values(event)


def test_many_classes_keep_the_curves_of_least_area() -> None:
    target = Classes(tuple(f"class {i}" for i in range(200)))
    event = judge(target, *outputs(target, 2000))
    areas = sorted(row["auc"] for row in event.per_class)
    assert [curve["auc"] for curve in event.roc] == areas[:12]
    assert np.shape(event.confusion) == (200, 200)
    assert np.sum(event.confusion) == 2000


def test_real_targets() -> None:
    target = Real(("price", "area"))
    truth, predicted, losses = outputs(target, 2500)
    event = judge(target, truth, predicted, losses)
    assert [curve["name"] for curve in event.scatter] == ["price", "area"]
    for i, curve in enumerate(event.scatter):
        assert len(curve["true"]) == len(curve["predicted"]) == 1000
        assert curve["true"][0] == pytest.approx(float(truth[0, i]), rel=1e-5)
        assert curve["predicted"][-1] == pytest.approx(float(predicted[-1, i]), rel=1e-5)
    for sample, index in zip(event.worst, losses.argsort(descending=True).tolist(), strict=False):
        assert sample["origin"] == f"row {index}"
        assert sample["residual"] == pytest.approx((truth - predicted)[index].tolist(), rel=1e-4)
    assert holds_only_plain_values(event)


def test_worst_samples_come_first_and_a_loss_that_is_no_number_before_them() -> None:
    losses = torch.tensor([0.1, float("nan"), 3.0, 2.0])
    event = judge(Classes(("a", "b")), torch.tensor([0, 1, 0, 1]), torch.rand(4, 2).softmax(1), losses)
    assert [sample["origin"] for sample in event.worst] == ["row 1", "row 2", "row 3", "row 0"]
    assert [sample["loss"] for sample in event.worst] == [None, 3.0, 2.0, pytest.approx(0.1)]
    assert len(judged(FIVE, Vector.numbers(2), 100).worst) == 12


@pytest.mark.parametrize("target", [FIVE, THREE, Real(("x",))], ids=str)
@pytest.mark.parametrize("samples", [1, 3])
def test_few_samples(target, samples) -> None:
    event = judge(target, *outputs(target, samples))
    assert len(event.worst) == samples
    assert holds_only_plain_values(event)


def test_empty_split() -> None:
    with pytest.raises(InputError, match="test split is empty"):
        judge(FIVE, torch.zeros(0, dtype=torch.long), torch.zeros(0, 5))


def test_output_that_is_not_finite_names_the_sample() -> None:
    predicted = torch.full((4, 5), 0.2)
    predicted[2, 1] = float("nan")
    with pytest.raises(NotFiniteError, match=r"1 of 4 test samples, first for row 2"):
        judge(FIVE, torch.zeros(4, dtype=torch.long), predicted)


COLUMNS = Vector(
    (
        Column("age"),
        Column("member", "boolean"),
        Column("town", "category", ("Ulm", "Bern")),
        Column("since", "date"),
    )
)


def test_rows_are_described_as_their_reader_wrote_them() -> None:
    rows = torch.tensor(
        [[37.5, 1, 1, 18262], [1234567, 0, -1, 0.5], [float("nan")] * 4],
        dtype=torch.float64,
    )
    split = Rows(rows, torch.zeros(3), ["row 1", "row 2", "row 3"])
    described = [describe_sample(split, i, COLUMNS) for i in range(3)]
    assert [sample["origin"] for sample in described] == ["row 1", "row 2", "row 3"]
    assert described[0]["values"] == {"age": "37.5", "member": "yes", "town": "Bern", "since": "2020-01-01"}
    assert described[1]["values"] == {
        "age": "1.23457e+06",
        "member": "no",
        "town": "unseen",
        "since": "1970-01-01 12:00:00",
    }
    assert set(described[2]["values"].values()) == {"missing"}


def picture(sample: torch.Tensor, white: float) -> np.ndarray:
    split = Rows(sample[None], torch.zeros(1), ["one.png"])
    uri = describe_sample(split, 0, Image(*sample.shape, white=white))["picture"]
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(body))))


def test_a_small_picture_is_enlarged_pixel_by_pixel() -> None:
    sample = torch.arange(64).reshape(1, 8, 8).float() / 4
    shown = picture(sample, 16.0)
    assert shown.shape == (96, 96)
    expected = np.kron((sample[0].numpy() / 16 * 255).round(), np.ones((12, 12)))
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((3, 28, 28), (112, 112, 3)),
        ((2, 10, 5), (100, 50)),
        ((3, 120, 150), (120, 150, 3)),
        ((3, 400, 800), (96, 192, 3)),
    ],
)
def test_pictures_of_other_sizes_and_channels(shape, size) -> None:
    assert picture(torch.rand(shape), 1.0).shape == size


def test_colours_of_a_picture() -> None:
    sample = torch.zeros(3, 4, 4, dtype=torch.uint8)
    sample[0], sample[2] = 255, 128
    assert (picture(sample, 255.0) == [255, 0, 128]).all()
