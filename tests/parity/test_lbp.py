"""Local binary patterns beside scikit-image's, and beside values worked out by hand."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from chainrule.errors import InputError
from chainrule.estimators import lbp
from chainrule.estimators.lbp import (
    chi_square,
    contrast,
    histograms,
    is_uniform,
    least_rotation,
    local_binary_patterns,
    log_likelihood,
    ones,
    patterns,
    turned,
    uniform,
    uniform_rotation,
)
from chainrule.estimators.textures import LocalBinaryPatterns

METHODS = ("default", "ror", "uniform", "nri_uniform", "var")
CIRCLES = [(8, 1), (16, 2), (24, 3), (12, 1.5), (10, 2.5), (5, 0.5)]


def peer(image: np.ndarray, P: int, R: float, method: str) -> np.ndarray:
    """scikit-image's codes; it gives NaN for a flat neighbourhood's variance, which is 0."""
    feature = pytest.importorskip("skimage.feature")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.nan_to_num(feature.local_binary_pattern(image, P, R, method))


def pictures() -> dict[str, np.ndarray]:
    data = pytest.importorskip("skimage.data")
    return {name: getattr(data, name)() for name in ("camera", "coins", "text", "brick")}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("P", "R"), CIRCLES)
def test_codes_of_pictures(P: int, R: float, method: str) -> None:
    for name, image in pictures().items():
        part = image[100:260, 60:190]
        ours, theirs = local_binary_patterns(torch.from_numpy(part)[None], P, R, method)[0], peer(part, P, R, method)
        if method == "var":
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=name)
        else:
            assert np.array_equal(ours, theirs), name


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32, torch.float64])
def test_codes_of_any_numbers(dtype: torch.dtype) -> None:
    images = torch.randint(0, 4, (3, 20, 33)).to(dtype)
    for P, R in CIRCLES:
        codes = patterns(images, P, R)
        for image, code in zip(images, codes, strict=True):
            assert np.array_equal(code, peer(image.numpy(), P, R, "default"))


@pytest.mark.parametrize("tile", [60, 300, 2000, 10**6])
def test_codes_do_not_depend_on_blocks(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 6, (5, 17, 23))
    expected = [local_binary_patterns(images, 12, 1.5, method) for method in METHODS]
    monkeypatch.setattr(lbp, "TILE", tile)
    for method, codes in zip(METHODS, expected, strict=True):
        torch.testing.assert_close(local_binary_patterns(images, 12, 1.5, method), codes, rtol=1e-12, atol=1e-12)


def test_pattern_by_hand() -> None:
    """Four neighbours on the grid: right, up, left, down."""
    image = torch.tensor([[[9, 5, 9], [4, 5, 6], [9, 2, 9]]])
    assert patterns(image, 4, 1)[0, 1, 1] == 0b0011
    assert contrast(image, 4, 1)[0, 1, 1] == pytest.approx(np.var([6, 5, 4, 2]))
    # Outside lies 0: of the left upper pixel only the right (5) and the lower (4) neighbour are there.
    assert patterns(image, 4, 1)[0, 0, 0] == 0
    assert patterns(image - 9, 4, 1)[0, 0, 0] == 0b0110


@pytest.mark.parametrize("value", [0, 1, 37, 255])
@pytest.mark.parametrize(("P", "R"), CIRCLES)
def test_equal_grey_values_count_as_brighter(value: int, P: int, R: float) -> None:
    reach = math.ceil(R)
    codes = patterns(torch.full((1, 40, 40), value), P, R)[0, reach:-reach, reach:-reach]
    assert bool((codes == 2**P - 1).all())


@pytest.mark.parametrize(("P", "rotations", "uniforms"), [(8, 36, 58), (16, 4116, 242), (24, 699_252, 554)])
def test_how_many_codes_there_are(P: int, rotations: int, uniforms: int) -> None:
    least = flat = 0
    for codes in torch.arange(2**P, dtype=torch.int32).split(2**19):
        least += int((least_rotation(codes, P) == codes).sum())
        flat += int(is_uniform(codes, P).sum())
    assert (least, flat) == (rotations, uniforms)


@pytest.mark.parametrize(("P", "turning", "fixed"), [(8, 10, 59), (16, 18, 243)])
def test_how_many_bins_there_are(P: int, turning: int, fixed: int) -> None:
    codes = torch.arange(2**P)
    assert torch.equal(torch.unique(uniform_rotation(codes, P)), torch.arange(turning))
    assert torch.equal(torch.unique(uniform(codes, P)), torch.arange(fixed))
    assert (lbp.NUMBERINGS["uniform"].count(P), lbp.NUMBERINGS["nri_uniform"].count(P)) == (turning, fixed)
    assert torch.equal(least_rotation(turned(codes, P), P), least_rotation(codes, P))
    assert torch.equal(uniform_rotation(turned(codes, P), P), uniform_rotation(codes, P))
    assert ones(codes).tolist() == [code.bit_count() for code in codes.tolist()]


@pytest.mark.parametrize("method", ["ror", "uniform"])
def test_a_quarter_turn_changes_no_code(method: str) -> None:
    image = torch.randint(0, 50, (1, 21, 21))
    turned_image = image.rot90(dims=(1, 2))
    for P, R in ((8, 1.0), (16, 2.0)):
        inner = slice(3, -3)
        here = local_binary_patterns(image, P, R, method).rot90(dims=(1, 2))[0, inner, inner]
        assert torch.equal(local_binary_patterns(turned_image, P, R, method)[0, inner, inner], here)


def test_histograms_of_regions() -> None:
    codes = torch.tensor([[[0, 0, 1], [2, 0, 1]], [[1, 1, 1], [1, 1, 2]]])
    assert histograms(codes, 3).tolist() == [[3 / 6, 2 / 6, 1 / 6], [0, 5 / 6, 1 / 6]]
    assert histograms(codes, 3, (2, 1))[0].tolist() == [2 / 3, 1 / 3, 0, 1 / 3, 1 / 3, 1 / 3]
    assert histograms(codes, 3, (1, 2))[0].tolist() == [3 / 4, 0, 1 / 4, 0, 1, 0]


def test_distances_of_histograms() -> None:
    X, Y = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]), torch.tensor([[0.25, 0.75, 0.0]])
    assert chi_square(X, Y)[:, 0].tolist() == pytest.approx([0.0625 / 0.75 + 0.0625 / 1.25, 0.5625 / 1.25 + 0.75])
    assert log_likelihood(X, Y)[:, 0].tolist() == pytest.approx([2 * 0.5 * math.log(4 / 3), 2 * math.log(4)], rel=1e-5)
    assert log_likelihood(X, X).diagonal().abs().max() < 1e-6


def test_images_and_rows_are_the_same() -> None:
    digits = datasets.load_digits()
    options: dict[str, Any] = {"regions": 2, "method": "nri_uniform"}
    images = LocalBinaryPatterns(**options).fit(digits.images)
    rows = LocalBinaryPatterns(**options, height=8).fit(digits.data)
    found = images.transform(digits.images)
    assert found.shape == (1797, 4 * 59)
    assert np.array_equal(found, rows.transform(digits.data))
    np.testing.assert_allclose(found.reshape(1797, 4, 59).sum(axis=2), 1)
    assert images.n_features_in_ == 64
    assert len(images.get_feature_names_out()) == 4 * 59
    assert torch.equal(images.transform(torch.from_numpy(digits.images)), torch.from_numpy(found))


@pytest.mark.parametrize(("method", "bins"), [("default", 256), ("ror", 36), ("uniform", 10), ("var", 7)])
def test_features_of_each_method(method: str, bins: int) -> None:
    images = datasets.load_digits().images[:200]
    model = LocalBinaryPatterns(method=method, bins=7).fit(images)
    found = model.transform(images)
    assert found.shape == (200, bins)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    if method == "ror":
        codes = local_binary_patterns(torch.from_numpy(images), 8, 1, "ror")
        counts = torch.stack([(codes == number).double().mean(dim=(1, 2)) for number in model.numbers_.tolist()], dim=1)
        np.testing.assert_allclose(found, counts)
    if method == "var":
        assert np.ptp(found.mean(axis=0)[2:]) < 0.05  # bins of about equal shares, but for the many flat places


def test_digits_in_a_pipeline() -> None:
    X, y = datasets.load_digits(return_X_y=True)
    features = LocalBinaryPatterns(method="nri_uniform", regions=(2, 2), height=8)
    pipeline = make_pipeline(features, LogisticRegression(max_iter=1000, C=30))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.85


@pytest.mark.parametrize(
    ("options", "X", "sentence"),
    [
        ({"height": 3}, torch.rand(4, 10), "no image of height 3"),
        ({"height": 0}, torch.rand(4, 10), "no image of height 0"),
        ({"regions": (2, 1)}, torch.rand(4, 10), "no 2 x 1 regions"),
        ({"method": "riu"}, torch.rand(4, 10), "no method of local binary patterns"),
        ({"method": "default", "P": 24}, torch.rand(4, 10), "at most 65536 bins"),
        ({"method": "ror", "P": 24}, torch.rand(4, 10), "too many"),
        ({"method": "var", "bins": 0}, torch.rand(4, 10), "bins from 1 up"),
        ({"P": 0}, torch.rand(4, 10), "points"),
    ],
)
def test_refusals(options: dict[str, Any], X: torch.Tensor, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        LocalBinaryPatterns(**options).fit(X).transform(X)


def test_refuses_images_of_another_size() -> None:
    model = LocalBinaryPatterns().fit(torch.rand(3, 6, 8))
    with pytest.raises(InputError, match=r"\[8, 6\]"):
        model.transform(torch.rand(3, 8, 6))
