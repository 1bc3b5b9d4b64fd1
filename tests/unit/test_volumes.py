"""Volumes as inputs: how they are read, learned from and predicted, and what is said about those that do not fit."""

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch.utils.data import Dataset

import chainrule
from chainrule import models
from chainrule.data import load
from chainrule.data.batches import Batches
from chainrule.data.raw import as_raw, pieces
from chainrule.data.spec import Classes, Image, Vector, Volume, from_json, to_json
from chainrule.errors import InputError, UnknownNameError
from chainrule.models import assembly
from chainrule.prediction import rows_of
from chainrule.run import Run
from chainrule.training.evaluation import describe_sample

SIDE = 19
NETWORK = "enzynet(widths=(4, 8), hidden=32, dropout=(0.0, 0.0, 0.0))"


def shapes(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Full balls and boxes of nearly the same volume in 19x19x19, anywhere."""
    rng = np.random.default_rng(seed)
    grid = np.indices((SIDE,) * 3)
    x, y = np.zeros((number, 1, *(SIDE,) * 3), np.uint8), np.array(["ball", "box"])[np.arange(number) % 2]
    for n in range(number):
        radius = rng.uniform(7, 8)
        away = np.abs(grid - rng.uniform(radius, SIDE - 1 - radius, 3)[:, None, None, None])
        inside = (away**2).sum(0) < radius**2 if y[n] == "ball" else away.max(0) < radius * 0.85
        x[n, 0] = inside
    return x, y


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    x, y = shapes(120)
    out = tmp_path_factory.mktemp("runs") / "shapes"
    return chainrule.fit((x, y), model=NETWORK, out=out, epochs=8, batch=12, rate=0.003)


def test_a_network_learns_balls_from_boxes(run: Run) -> None:
    assert run.test["accuracy"] >= 0.9
    assert run.inputs == Volume(1, SIDE, SIDE, SIDE, white=1.0)
    assert run.config["augment"] == "auto"


def test_a_run_predicts_volumes(run: Run, tmp_path: Path) -> None:
    x, y = shapes(40, seed=1)
    said = run.predict(x)
    assert (said == y).mean() >= 0.9
    for same in (x[:, 0], np.moveaxis(x, 1, -1), torch.from_numpy(x), x.astype(np.float64)):
        np.testing.assert_array_equal(run.predict(same), said)
    np.savez(tmp_path / "new.npz", X=x)
    np.testing.assert_array_equal(run.predict(tmp_path / "new.npz"), said)
    rows = list(rows_of(run, tmp_path / "new.npz", warn=pytest.fail))
    assert [row["sample"] for row in rows] == list(range(1, 41))
    assert [row["predicted"] for row in rows] == said.tolist()


def test_a_loaded_run_predicts_the_same(run: Run) -> None:
    x, _ = shapes(10, seed=2)
    np.testing.assert_array_equal(chainrule.load_run(run.directory).predict_proba(x), run.predict_proba(x))


def test_the_report_draws_the_middle_slice(run: Run) -> None:
    assert "middle slice" in (run.directory / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (np.zeros((2, 1, 8, 8, 8)), r"takes volumes \[n, 1, 19, 19, 19\]; received \[2, 1, 8, 8, 8\]. Cut or pad"),
        (np.zeros((2, 2, 19, 19, 19)), r"received \[2, 2, 19, 19, 19\]"),
        (np.zeros((19, 19, 19)), r"received \[19, 19, 19\]"),
        (np.full((1, 19, 19, 19), np.nan), "volumes hold numbers that are not finite"),
    ],
)
def test_volumes_of_another_shape(run: Run, x: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        run.predict(x)


def test_files_that_hold_no_volumes(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", volumes=np.zeros((2, 1, 19, 19, 19)))
    with pytest.raises(InputError, match="holds the arrays 'volumes', but 'x' is wanted"):
        run.predict(tmp_path / "new.npz")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"takes volumes, but .*table.csv' is no .npz file; save them by numpy.savez"):
        run.predict(tmp_path / "table.csv")


# --- reading ---


def test_five_axes_are_volumes() -> None:
    x, y = shapes(30)
    data = load((x, y))
    assert data.inputs == Volume(1, SIDE, SIDE, SIDE, white=1.0)
    assert str(data.inputs) == "volumes of 1x19x19x19"
    assert data.train.inputs.dtype == torch.uint8
    assert data.notes == ()
    last = load((np.moveaxis(x, 1, -1), y))
    assert torch.equal(last.train.inputs, data.train.inputs)
    assert last.notes == ("The samples [30, 19, 19, 19, 1] are read as volumes whose last axis is the channels.",)
    boxes = load((np.random.default_rng(0).random((30, 2, 5, 6, 7)), y))
    assert boxes.inputs == Volume(2, 5, 6, 7, white=1.0)
    assert boxes.train.inputs.dtype == torch.float32


def test_four_axes_stay_images() -> None:
    x, y = shapes(30)
    data = load((x[:, 0], y))
    assert data.inputs == Image(19, 19, 19)
    assert "are read as images of 19 channels; for volumes of one channel write x[:, None]." in data.notes[0]


def test_an_npz_file_of_volumes(tmp_path: Path) -> None:
    x, y = shapes(40)
    np.savez(tmp_path / "shapes.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    data = load(tmp_path / "shapes.npz")
    assert data.inputs == Volume(1, SIDE, SIDE, SIDE, white=1.0)
    assert len(data.test) == 10


class Cubes(Dataset[tuple[torch.Tensor, int]]):
    """Twenty random cubes of two classes."""

    targets = torch.arange(20) % 2

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 4, 4, 4), float(index)), int(self.targets[index])


def test_a_dataset_of_volumes() -> None:
    assert load(Cubes()).inputs == Volume(1, 4, 4, 4, white=1.0)


def test_volumes_that_cannot_be_learned_from() -> None:
    x, y = shapes(20)
    broken = x.astype(float)
    broken[3, 0, 1, 2, 3] = np.nan
    with pytest.raises(InputError, match="1 of 20 volumes hold NaN or infinity: sample 4"):
        load((broken, y))
    with pytest.raises(InputError, match=r"or volumes \[n, c, d, h, w\], but \[20, 1, 19, 19, 19, 1\]"):
        load((x[..., None], y))


def test_a_volume_travels_as_json() -> None:
    volume = Volume(2, 5, 6, 7, white=16.0)
    assert to_json(volume) == {"kind": "volume", "channels": 2, "depth": 5, "height": 6, "width": 7, "white": 16.0}
    assert from_json(to_json(volume)) == volume
    assert volume.shape == (2, 5, 6, 7)


# --- models ---


def test_the_model_of_volumes() -> None:
    assert models.default(Volume(1, 32, 32, 32)) == "enzynet"
    with pytest.raises(
        InputError, match=r"resnet20 takes images, but these inputs are volumes; write --model with .*enzynet"
    ):
        models.build("resnet20", inputs=Volume(1, 32, 32, 32), target=Classes(("a", "b")))
    with pytest.raises(InputError, match="enzynet takes volumes, but these inputs are tables"):
        models.build("enzynet", inputs=Vector.numbers(4), target=Classes(("a", "b")))


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"augment": "crop"}, InputError, "augment='crop' is for images, but the inputs are volumes of 1x19x19x19"),
        ({"prepare": "mean-image"}, UnknownNameError, "no preparation of volumes named 'mean-image'"),
    ],
)
def test_settings_that_are_for_images(tmp_path: Path, settings: dict, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        chainrule.fit(shapes(40), model=NETWORK, out=tmp_path / "run", **settings)


def test_volumes_too_small_for_the_network(tmp_path: Path) -> None:
    x, y = shapes(40)
    with pytest.raises(InputError, match=r"EnzyNet cannot take .*10x10x10.* at least 19 pixels a side"):
        chainrule.fit((x[..., 4:14, 4:14, 4:14], y), out=tmp_path / "run")


@pytest.mark.parametrize("name", ["standardize", "minmax", "zca"])
def test_volumes_are_prepared(name: str) -> None:
    x = np.random.default_rng(0).normal(5, 3, (40, 2, 3, 4, 5))
    data = load((x, np.arange(40) % 2), fractions=(0.8, 0.1, 0.1))
    batches = Batches(data.train, size=7, device=torch.device("cpu"))
    preparation = assembly.learn_preparation(data.inputs, batches, name=name, smallest=19)
    values = preparation(data.train.inputs)
    assert values.shape == data.train.inputs.shape
    assert assembly.prepared(data.inputs, preparation) == Volume(2, 3, 4, 5, white=1.0)
    if name == "standardize":
        torch.testing.assert_close(values.mean(dim=(0, 2, 3, 4)), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(values.std(dim=(0, 2, 3, 4), correction=0), torch.ones(2))
    if name == "minmax":
        assert (values.amin(dim=(0, 2, 3, 4)), values.amax(dim=(0, 2, 3, 4))) == (pytest.approx(0), pytest.approx(1))


# --- showing ---


def test_a_volume_is_shown_by_its_middle_slice() -> None:
    x, y = shapes(30)
    data = load((x, y))
    shown = describe_sample(data.train, 0, data.inputs)
    assert shown["origin"] == f"{data.train.origin[0]}, middle slice"
    encoded = shown["picture"].removeprefix("data:image/png;base64,")
    pixels = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(encoded))))
    times = len(pixels) // SIDE
    np.testing.assert_array_equal(pixels[::times, ::times], data.train.inputs[0, 0, SIDE // 2].numpy() * 255)


def test_pieces_say_what_they_count(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.arange(6.0).reshape(3, 2))
    (piece,) = pieces(tmp_path / "rows.npz", Vector.numbers(2))
    assert (piece.place, list(piece.names)) == ("sample", [1, 2, 3])
    np.savez(tmp_path / "images.npz", x=np.zeros((4, 8, 8), np.uint8))
    assert as_raw(tmp_path / "images.npz", Image(1, 8, 8)).shape == (4, 1, 8, 8)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["x0", "x1"], [1, 2]])
    assert next(pieces(tmp_path / "rows.csv", Vector.numbers(2))).place == "row"
