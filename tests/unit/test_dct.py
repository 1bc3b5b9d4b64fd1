"""The discrete cosine transform against SciPy, and Parseval's law."""

import numpy as np
import pytest
import torch
from scipy import fft
from sklearn import datasets

from chainrule.errors import InputError
from chainrule.estimators.dct import DCTReduction, zigzag


@pytest.mark.parametrize("d", [1, 2, 7, 16])
def test_vectors_equal_scipy(d: int) -> None:
    X = np.random.default_rng(d).normal(size=(5, d))
    np.testing.assert_allclose(DCTReduction().fit(X).transform(X), fft.dct(X, norm="ortho"), atol=1e-13)
    few = DCTReduction(n_components=(d + 1) // 2).fit(X)
    np.testing.assert_allclose(few.transform(X), fft.dct(X, norm="ortho")[:, : (d + 1) // 2], atol=1e-13)


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 7), (8, 8)])
def test_images_equal_scipy(size: tuple[int, int]) -> None:
    X = np.random.default_rng(0).normal(size=(5, size[0] * size[1]))
    wanted = fft.dctn(X.reshape(5, *size), axes=(1, 2), norm="ortho")
    for count in (1, 4, None):
        model = DCTReduction(n_components=count, size=size).fit(X)
        u, v = model.frequencies_.numpy().T
        np.testing.assert_allclose(model.transform(X), wanted[:, u, v], atol=1e-13)


@pytest.mark.parametrize("size", [None, (3, 4)])
def test_energy_is_kept_and_the_way_back_is_exact(size: tuple[int, int] | None) -> None:
    X = np.random.default_rng(1).normal(size=(6, 12))
    model = DCTReduction(size=size).fit(X)
    np.testing.assert_allclose((model.transform(X) ** 2).sum(axis=1), (X**2).sum(axis=1))
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), X, atol=1e-13)
    # With fewer coefficients the error is the energy of those that are left out.
    few = DCTReduction(n_components=5, size=size).fit(X)
    error = ((few.inverse_transform(few.transform(X)) - X) ** 2).sum(axis=1)
    np.testing.assert_allclose(error, (X**2).sum(axis=1) - (few.transform(X) ** 2).sum(axis=1), atol=1e-12)


def test_zigzag_is_that_of_jpeg() -> None:
    wanted = [[0, 0], [0, 1], [1, 0], [2, 0], [1, 1], [0, 2], [0, 3], [1, 2], [2, 1], [3, 0], [4, 0]]
    assert zigzag(8, 8, 11).tolist() == wanted
    assert sorted(zigzag(2, 3, 6).tolist()) == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert zigzag(1, 4, 3).tolist() == [[0, 0], [0, 1], [0, 2]]


def test_four_fifths_of_the_digits_lie_in_the_low_frequencies() -> None:
    X = datasets.load_digits().data
    kept = DCTReduction(n_components=16, size=(8, 8)).fit(X).transform(X)
    assert (kept**2).sum() / (X**2).sum() > 0.8


def test_single_precision_stays() -> None:
    X = torch.randn(3, 9)
    model = DCTReduction(n_components=4).fit(X)
    assert model.transform(X).dtype == torch.float32
    assert model.inverse_transform(model.transform(X)).dtype == torch.float32


def test_wrong_options_are_sentences() -> None:
    X = np.ones((3, 12))
    with pytest.raises(InputError, match="makes 20 numbers, but a sample has n_features=12"):
        DCTReduction(size=(4, 5)).fit(X)
    with pytest.raises(InputError, match="whole number from 1 to 12"):
        DCTReduction(n_components=13).fit(X)
    with pytest.raises(InputError, match="takes \\[n, 12\\] back"):
        DCTReduction().fit(X).inverse_transform(np.ones((3, 5)))
