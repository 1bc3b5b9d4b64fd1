"""Region growing: by hand, beside connected components, and its laws."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor

from chainrule.errors import InputError
from chainrule.estimators.regions import flooded, grow

CROSS, SQUARE = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]), np.ones((3, 3))


def component(allowed: np.ndarray, seed: tuple[int, int], connectivity: int) -> np.ndarray:
    """The connected component of allowed pixels around a seed."""
    labels, _ = scipy.ndimage.label(allowed, structure=SQUARE if connectivity == 8 else CROSS)
    return labels == labels[seed]


def seeds(*places: tuple[int, int]) -> Tensor:
    return torch.tensor(places)


def test_by_hand() -> None:
    image = torch.tensor([[1, 1, 9, 2], [9, 9, 1, 9], [1, 9, 9, 1]])
    four = grow(image, seeds((0, 0)), 1, connectivity=4)
    assert four.labels.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    eight = grow(image, seeds((0, 0)), 1)
    assert eight.labels.tolist() == [[1, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert grow(image, seeds((0, 0)), 0).labels.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("threshold", [0, 1, 2])
def test_fixed_criterion_is_a_connected_component(connectivity: int, threshold: int) -> None:
    draw = torch.Generator().manual_seed(threshold)
    images = torch.randint(0, 6, (4, 40, 31), generator=draw)
    places = torch.stack(
        [torch.randint(0, 40, (4, 3), generator=draw), torch.randint(0, 31, (4, 3), generator=draw)], 2
    )
    found = grow(images, places, threshold, connectivity=connectivity)
    assert found.masks.shape == (4, 3, 40, 31)
    for image, starts, masks in zip(images.numpy(), places.tolist(), found.masks.numpy(), strict=True):
        for (row, column), mask in zip(starts, masks, strict=True):
            allowed = np.abs(image - image[row, column]) <= threshold
            assert np.array_equal(mask, component(allowed, (row, column), connectivity))


def test_fixed_criterion_is_scikit_images_flood() -> None:
    segmentation, data = pytest.importorskip("skimage.segmentation"), pytest.importorskip("skimage.data")
    image = data.coins()
    for place in ((10, 10), (100, 60), (300, 200)):
        for connectivity, steps in ((4, 1), (8, 2)):
            mask = grow(torch.from_numpy(image), seeds(place), 20, connectivity=connectivity).masks[0].numpy()
            assert np.array_equal(mask, segmentation.flood(image.astype(int), place, tolerance=20, connectivity=steps))


def test_a_spiral_is_followed_to_its_end() -> None:
    size = 41
    wall = np.ones((size, size), dtype=bool)
    row, column, step = 0, 0, (0, 1)
    path = [(0, 0)]
    wall[0, 0] = False
    for length in [size - 1, *(n for k in range(size - 1, 0, -2) for n in (k, k))]:
        for _ in range(length):
            row, column = row + step[0], column + step[1]
            wall[row, column] = False
            path.append((row, column))
        step = (step[1], -step[0])
        if length <= 2:
            break
    allowed = torch.from_numpy(~wall)[None, None]
    start = torch.zeros_like(allowed)
    start[0, 0, 0, 0] = True
    assert torch.equal(flooded(start, allowed, 4), allowed)
    assert len(path) > 20 * size


@pytest.mark.parametrize("connectivity", [4, 8])
def test_mean_criterion_is_connected_and_near_its_mean(connectivity: int) -> None:
    smooth = scipy.ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(50, 60)), 3)
    image = torch.from_numpy(smooth / smooth.std())
    found = grow(image, seeds((20, 20), (5, 50)), 0.7, connectivity=connectivity, criterion="mean")
    for (row, column), mask in zip(((20, 20), (5, 50)), found.masks.numpy(), strict=True):
        assert mask[row, column]
        assert 1 < mask.sum() < mask.size
        assert np.array_equal(mask, component(mask, (row, column), connectivity))
        # Nothing beside it is still near its mean.
        near = np.abs(image.numpy() - image.numpy()[mask].mean()) <= 0.7
        ring = scipy.ndimage.binary_dilation(mask, SQUARE if connectivity == 8 else CROSS) & ~mask
        assert not (near & ring).any()
    again = grow(image, seeds((20, 20), (5, 50)), 0.7, connectivity=connectivity, criterion="mean")
    assert torch.equal(again.labels, found.labels)


def test_mean_criterion_climbs_a_slope_that_the_fixed_one_does_not() -> None:
    image = torch.arange(10.0)[None]
    assert int(grow(image, seeds((0, 0)), 2).masks.sum()) == 3
    # The mean of 0..k is k / 2: 1 joins at distance 1, 2 at 1.5, 3 at 2; 4 is 2.5 from 1.5.
    assert int(grow(image, seeds((0, 0)), 2, criterion="mean").masks.sum()) == 4


@pytest.mark.parametrize("criterion", ["fixed", "mean"])
def test_turns_with_the_image(criterion: str) -> None:
    image = torch.randint(0, 9, (30, 20), generator=torch.Generator().manual_seed(3))
    here = grow(image, seeds((7, 4)), 3, criterion=criterion).labels
    turned = grow(image.rot90(), seeds((20 - 1 - 4, 7)), 3, criterion=criterion).labels
    assert torch.equal(turned, here.rot90())


def test_regions_that_meet() -> None:
    """A pixel goes to the seed nearer in value, and to the first of two equally near."""
    image = torch.tensor([[0, 1, 2, 3, 4]])
    found = grow(image, seeds((0, 0), (0, 4)), 3)
    assert found.masks.int().tolist() == [[[1, 1, 1, 1, 0]], [[0, 1, 1, 1, 1]]]
    assert found.labels.tolist() == [[1, 1, 1, 2, 2]]


def test_images_together_and_alone() -> None:
    images = torch.randint(0, 5, (3, 12, 9))
    together = grow(images, seeds((2, 2), (8, 3)), 1, criterion="mean")
    for image, labels in zip(images, together.labels, strict=True):
        assert torch.equal(grow(image, seeds((2, 2), (8, 3)), 1, criterion="mean").labels, labels)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"connectivity": 6}, "4 or 8 neighbours"),
        ({"criterion": "median"}, "criterion"),
        ({"threshold": -1}, "threshold from 0"),
        ({"threshold": float("nan")}, "threshold from 0"),
        ({"seeds": seeds((5, 0))}, "outside of the image of 5 x 4"),
        ({"image": torch.full((5, 4), torch.nan)}, "NaN"),
        ({"image": torch.zeros(2, 0, 4)}, "takes an image"),
    ],
)
def test_refusals(options: dict[str, object], sentence: str) -> None:
    given = {"image": torch.zeros(5, 4), "seeds": seeds((0, 0)), "threshold": 1, **options}
    with pytest.raises(InputError, match=sentence):
        grow(given.pop("image"), given.pop("seeds"), given.pop("threshold"), **given)  # type: ignore[arg-type]
