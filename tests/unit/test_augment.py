"""Augmentations: each against a slow reference that treats one sample, one pixel after the other."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits

from chainrule import registry
from chainrule.data.augment import Augment
from chainrule.data.augment.colour import Brightness, Contrast
from chainrule.data.augment.geometry import Crop, HFlip, Rotate, Shift, VFlip
from chainrule.data.augment.mixing import Cutout, Mixup
from chainrule.errors import InputError, UnknownNameError

WHITE = 16.0
NAMES = ["brightness", "contrast", "crop", "cutout", "hflip", "mixup", "rotate", "shift", "vflip"]


def digits(samples: int = 6) -> torch.Tensor:
    return torch.from_numpy(load_digits().images[:samples]).float()[:, None]


def pictures(height: int, width: int) -> torch.Tensor:
    return torch.rand(6, 3, height, width) * WHITE


def pixel(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """Bilinear value of ``[c, h, w]`` at a place in pixels (centre of the first pixel is 0, 0); black outside."""
    total = np.zeros(image.shape[0])
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * image[:, row, column]
    return total


def slow_hflip(image, u, p=0.5):
    return image[:, :, ::-1] if u[0] < p else image


def slow_vflip(image, u, p=0.5):
    return image[:, ::-1] if u[0] < p else image


def slow_crop(image, u, pad=None):
    _, height, width = image.shape
    down, right = (math.ceil(side / 8) if pad is None else pad for side in (height, width))
    padded = np.pad(image, ((0, 0), (down, down), (right, right)))
    top, left = math.floor(u[0] * (2 * down + 1)), math.floor(u[1] * (2 * right + 1))
    return padded[:, top : top + height, left : left + width]


def slow_shift(image, u, most=0.1):
    _, height, width = image.shape
    right, down = (2 * u[0] - 1) * most * width, (2 * u[1] - 1) * most * height
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            out[:, y, x] = pixel(image, y - down, x - right)
    return out


def slow_rotate(image, u, degrees=15.0):
    _, height, width = image.shape
    angle = math.radians((2 * u[0] - 1) * degrees)
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            # Mathematicians' axes: y upwards, angles counterclockwise; the pixel comes from the place turned back.
            right, up = x - (width - 1) / 2, (height - 1) / 2 - y
            from_right = math.cos(angle) * right + math.sin(angle) * up
            from_up = -math.sin(angle) * right + math.cos(angle) * up
            out[:, y, x] = pixel(image, (height - 1) / 2 - from_up, (width - 1) / 2 + from_right)
    return out


def slow_brightness(image, u, most=0.2):
    return np.clip(image * (1 - most + 2 * most * u[0]), 0, WHITE)


def slow_contrast(image, u, most=0.2):
    return np.clip(image.mean() + (1 - most + 2 * most * u[0]) * (image - image.mean()), 0, WHITE)


def slow_cutout(image, u, side=0.25):
    _, height, width = image.shape
    out = image.copy()
    high, wide = round(side * height), round(side * width)
    top, left = math.floor(u[0] * height) - high // 2, math.floor(u[1] * width) - wide // 2
    for y in range(max(top, 0), min(top + high, height)):
        for x in range(max(left, 0), min(left + wide, width)):
            out[:, y, x] = 0
    return out


CASES = [
    (HFlip, slow_hflip, [{}, {"p": 0.2}]),
    (VFlip, slow_vflip, [{}, {"p": 0.8}]),
    (Crop, slow_crop, [{}, {"pad": 1}, {"pad": 4}]),
    (Shift, slow_shift, [{}, {"most": 0.5}]),
    (Rotate, slow_rotate, [{}, {"degrees": 90}, {"degrees": 180}]),
    (Brightness, slow_brightness, [{}, {"most": 1}]),
    (Contrast, slow_contrast, [{}, {"most": 1}]),
    (Cutout, slow_cutout, [{}, {"side": 0.6}]),
]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("size", [(8, 8), (7, 12)])
@pytest.mark.parametrize(
    ("kind", "slow", "options"), [(kind, slow, options) for kind, slow, several in CASES for options in several]
)
def test_equals_the_slow_reference(kind, slow, options, size, seed):
    torch.manual_seed(seed)
    images, targets = pictures(*size), torch.arange(6)
    part = kind(**options)
    u = torch.rand(6, part.draws)
    before = images.clone()
    got, kept = part(images, targets, u, WHITE)
    wanted = [slow(image, draws, **options) for image, draws in zip(images.double().numpy(), u.numpy(), strict=True)]
    np.testing.assert_allclose(got.numpy(), np.stack(wanted), atol=1e-4)
    assert torch.equal(images, before)
    assert torch.equal(kept, targets)
    assert got.dtype == torch.float32
    assert got.min() >= 0
    assert got.max() <= WHITE


@pytest.mark.parametrize(
    "part",
    [
        HFlip(p=0),
        VFlip(p=0),
        Crop(pad=0),
        Shift(most=0),
        Rotate(degrees=0),
        Brightness(most=0),
        Contrast(most=0),
        Cutout(side=0),
    ],
    ids=lambda part: type(part).__name__,
)
def test_nothing_to_do_changes_no_bit(part):
    images = torch.rand(5, 3, 31, 45) * 255
    got, _ = part(images, torch.zeros(5), torch.rand(5, part.draws), 255.0)
    assert torch.equal(got, images)


@pytest.mark.parametrize("part", [Shift(), Rotate(), Brightness(), Contrast()], ids=lambda part: type(part).__name__)
def test_the_middle_draw_changes_no_bit(part):
    images = torch.rand(5, 3, 31, 45) * 255
    got, _ = part(images, torch.zeros(5), torch.full((5, part.draws), 0.5), 255.0)
    assert torch.equal(got, images)


def test_flips_always_at_one():
    images, u = digits(), torch.rand(6, 1)
    assert torch.equal(HFlip(p=1)(images, torch.zeros(6), u, WHITE)[0], images.flip(3))
    assert torch.equal(VFlip(p=1)(images, torch.zeros(6), u, WHITE)[0], images.flip(2))


@pytest.mark.parametrize(("u", "turns"), [(1.0, 1), (0.0, -1)])
def test_rotation_by_90_degrees_is_a_turn(u, turns):
    images = digits()
    got, _ = Rotate(degrees=90)(images, torch.zeros(6), torch.full((6, 1), u), WHITE)
    torch.testing.assert_close(got, torch.rot90(images, turns, (2, 3)), atol=1e-4, rtol=0)


def test_rotation_by_180_degrees_of_an_oblong():
    images = pictures(6, 11)
    got, _ = Rotate(degrees=180)(images, torch.zeros(6), torch.ones(6, 1), WHITE)
    torch.testing.assert_close(got, images.flip(2, 3), atol=1e-4, rtol=0)


def test_shift_by_whole_pixels():
    images = pictures(8, 8)
    right, up = torch.tensor([[0.75, 0.5]]).expand(6, 2), torch.tensor([[0.5, 0.25]]).expand(6, 2)
    got, _ = Shift(most=0.5)(images, torch.zeros(6), right, WHITE)
    torch.testing.assert_close(got[..., 2:], images[..., :-2], atol=1e-4, rtol=0)
    assert got[..., :2].abs().max() < 1e-4
    got, _ = Shift(most=0.5)(images, torch.zeros(6), up, WHITE)
    torch.testing.assert_close(got[:, :, :-2], images[:, :, 2:], atol=1e-4, rtol=0)


def test_crop_reaches_every_offset_equally():
    image = torch.zeros(9000, 1, 5, 5)
    image[:, 0, 2, 2] = 1
    got, _ = Crop(pad=1)(image, torch.zeros(9000), torch.rand(9000, 2), 1.0)
    counts = got.sum(dim=(0, 1))[1:4, 1:4].flatten()
    assert counts.sum() == 9000
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_mixup_equals_the_slow_reference():
    images, targets, u = pictures(4, 5), torch.eye(6), torch.rand(6, 2)
    got, mixed = Mixup(alpha=0.4)(images, targets, u, WHITE)
    partner = sorted(range(6), key=lambda i: u[i, 1].item())
    for i, j in enumerate(partner):
        share = stats.beta(0.4, 0.4).ppf(u[i, 0].item())
        torch.testing.assert_close(got[i], share * images[i] + (1 - share) * images[j])
        torch.testing.assert_close(mixed[i], share * targets[i] + (1 - share) * targets[j])
    assert got.min() >= 0
    assert got.max() <= WHITE


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_of_mixup_are_beta_distributed(alpha):
    augment = Augment(registry.parse_list(f"mixup(alpha={alpha})"), WHITE)
    u = augment.draw(2000, seed=0, epoch=1, step=0)
    # Sample i has target i, so the share can be read from where the mixed target lies between i and its partner.
    targets = torch.arange(2000, dtype=torch.float64)[:, None]
    _, mixed = augment(torch.zeros(2000, 1, 1, 1), targets, u)
    partner = u[:, 1].argsort(stable=True)
    moved = partner != torch.arange(2000)
    share = ((mixed[:, 0] - partner) / (targets[:, 0] - partner))[moved]
    assert moved.sum() > 1990
    assert stats.kstest(share.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_mixup_refuses_hard_targets():
    with pytest.raises(InputError, match=r"mixup needs targets that can be mixed.*torch\.int64"):
        Mixup()(digits(), torch.arange(6), torch.rand(6, 2), WHITE)


def test_all_are_registered_and_built_from_their_tiny_options():
    rows = registry.entries("augmentation")
    assert sorted(rows) == NAMES
    for row in rows.values():
        part = row.build(**row.tiny)
        got, _ = part(digits(), torch.zeros(6), torch.rand(6, part.draws), WHITE)
        assert got.shape == (6, 1, 8, 8)


def test_a_composition_is_its_parts_one_after_the_other():
    augment = Augment(registry.parse_list("crop(pad=1), hflip, rotate(degrees=10)"), WHITE)
    assert augment.draws == 4
    assert not augment.soft
    images, targets = digits(), torch.arange(6)
    u = augment.draw(6, seed=3, epoch=2, step=1)
    wanted = images
    for part, columns in ((Crop(pad=1), u[:, :2]), (HFlip(), u[:, 2:3]), (Rotate(degrees=10), u[:, 3:])):
        wanted, _ = part(wanted, targets, columns, WHITE)
    got, kept = augment(images, targets, u)
    assert torch.equal(got, wanted)
    assert torch.equal(kept, targets)
    # Raw images may be whole numbers, too.
    assert torch.equal(augment(images.to(torch.uint8), targets, u)[0], wanted)


def test_soft_tells_that_targets_are_mixed():
    assert Augment(registry.parse_list("hflip, mixup"), WHITE).soft


def test_no_augmentation_changes_nothing():
    augment = Augment([], WHITE)
    images = digits()
    got, _ = augment(images, torch.arange(6), augment.draw(6, seed=0, epoch=0, step=0))
    assert torch.equal(got, images)


def test_draws_depend_on_seed_epoch_and_step_alone():
    augment = Augment(registry.parse_list("crop, hflip"), WHITE)
    first = augment.draw(64, seed=0, epoch=1, step=2)
    torch.rand(100)
    state = torch.get_rng_state()
    assert torch.equal(augment.draw(64, seed=0, epoch=1, step=2), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.shape == (64, 3)
    assert ((first >= 0) & (first < 1)).all()
    assert stats.kstest(first.flatten().numpy(), "uniform").pvalue > 0.01
    for other in (
        {"seed": 1, "epoch": 1, "step": 2},
        {"seed": 0, "epoch": 2, "step": 1},
        {"seed": 0, "epoch": 1, "step": 3},
    ):
        assert np.abs(np.corrcoef(first.flatten(), augment.draw(64, **other).flatten())[0, 1]) < 0.25


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hflip(p=1.5)", "p of hflip must be a number from 0 to 1; received 1.5"),
        ("vflip(p=-0.1)", "p of vflip"),
        ("crop(pad=-1)", "pad of crop must be a whole number of pixels, 0 or more; received -1"),
        ("crop(pad=1.5)", "pad of crop"),
        ("shift(most=2)", "most of shift"),
        ("rotate(degrees=270)", "degrees of rotate must be a number from 0 to 180; received 270"),
        ("brightness(most=-1)", "most of brightness"),
        ("contrast(most=1.1)", "most of contrast"),
        ("cutout(side=2)", "side of cutout"),
        ("mixup(alpha=0)", "alpha of mixup must be a number greater than 0; received 0"),
        ("mixup(alpha=1e999)", "alpha of mixup"),
        ("hflip(p='often')", "hflip cannot be built"),
    ],
)
def test_options_out_of_range_are_refused(text, sentence):
    with pytest.raises(InputError, match=sentence):
        Augment(registry.parse_list(text), WHITE)


@pytest.mark.parametrize(("text", "near"), [("hflp", "hflip"), ("crop(padd=1)", "pad")])
def test_unknown_names_and_options_name_the_nearest(text, near):
    with pytest.raises(UnknownNameError, match=f"did you mean '{near}'"):
        Augment(registry.parse_list(text), WHITE)
