"""Resizing inside the model: against Pillow and a slow reference."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from chainrule.errors import InputError
from chainrule.nn.resize import Resize


def triangle(before: int, after: int) -> np.ndarray:
    """Weights ``[after, before]`` of bilinear interpolation, widened where it shrinks; slow, from the definition."""
    scale = before / after
    radius = max(scale, 1.0)
    weights = np.zeros((after, before))
    for i in range(after):
        centre = (i + 0.5) * scale
        for j in range(before):
            weights[i, j] = max(0.0, 1 - abs(j + 0.5 - centre) / radius)
        weights[i] /= weights[i].sum()
    return weights


@pytest.mark.parametrize("size", [(5, 7), (3, 12), (16, 4), (20, 30), (8, 1)])
def test_equals_the_slow_reference(size):
    images = torch.rand(2, 3, 8, 10, dtype=torch.float64)
    rows, columns = triangle(8, size[0]), triangle(10, size[1])
    wanted = np.einsum("ih,bchw,jw->bcij", rows, images.numpy(), columns)
    got = Resize(*size)(images)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("size", [(32, 48), (100, 100), (600, 900)])
def test_agrees_with_pillow_on_a_photograph(size):
    photo = load_sample_images().images[0]
    wanted = np.asarray(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    got = Resize(*size)(torch.from_numpy(photo.copy()).permute(2, 0, 1)[None])[0]
    # Pillow rounds to whole numbers after each of its two passes.
    np.testing.assert_allclose(got.numpy(), wanted, atol=1.01)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
def test_keeps_the_values_of_images_of_the_right_size(dtype):
    images = torch.randint(0, 256, (2, 1, 4, 5)).to(dtype)
    got = Resize(4, 5)(images)
    assert got.dtype == torch.float32
    assert torch.equal(got, images.float())


def test_takes_an_empty_batch():
    assert Resize(4, 4)(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 4, 4)


def test_is_built_again_from_its_options():
    resize = Resize(4, 6)
    images = torch.rand(2, 3, 9, 9)
    assert torch.equal(Resize(**resize.options())(images), resize(images))
    assert resize.describe() == ["images resized to 4x6"]


@pytest.mark.parametrize("options", [{"height": 0, "width": 4}, {"height": 4, "width": 2.5}])
def test_refuses_sides_that_are_none(options):
    with pytest.raises(InputError, match="1 pixel or more"):
        Resize(**options)
