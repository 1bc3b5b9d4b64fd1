"""Image files and folders of them: what is read, and what is said about what cannot be read."""

import os
import struct
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from sklearn.datasets import load_digits, load_sample_images

from chainrule.data import decode
from chainrule.data.dataset import Rows
from chainrule.data.decode import image_header, read_image
from chainrule.data.sources import folder
from chainrule.data.sources.folder import ImageFiles, from_folder, iterate_images
from chainrule.data.spec import Classes, Image
from chainrule.errors import InputError

SHARES = (0.6, 0.2, 0.2)


def photo(height: int = 40, width: int = 60) -> Pillow.Image:
    return Pillow.fromarray(load_sample_images().images[1][100 : 100 + height, 200 : 200 + width])


def digit_folder(root: Path, samples: int = 60, classes: int = 3) -> Path:
    """The first digits of some classes as greyscale PNG, in a sub-folder for each class."""
    digits = load_digits(n_class=classes)
    for number, (picture, label) in enumerate(zip(digits.images[:samples], digits.target, strict=False)):
        (root / f"digit-{label}").mkdir(parents=True, exist_ok=True)
        Pillow.fromarray((picture * 15).astype(np.uint8)).save(root / f"digit-{label}" / f"{number:03}.png")
    return root


def fill(root: Path, *, count: int = 4, classes: tuple[str, ...] = ("cat", "dog"), picture=None) -> Path:
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (picture or photo()).save(root / name / f"{number}.png")
    return root


def on_white(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha.astype(float) / 255
    return values * share + 255 * (1 - share)


# --- one file ---------------------------------------------------------------------------------------------------------


def grey(rgb: np.ndarray) -> np.ndarray:
    """Luma after ITU-R 601, which Pillow uses."""
    return rgb[..., :3].astype(float) @ [0.299, 0.587, 0.114]


def saved(tmp_path: Path, image: Pillow.Image, name: str, **options) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


def both(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The file read with 1 channel ``[h, w]`` and with 3 ``[h, w, 3]``."""
    one, three = read_image(path, 1), read_image(path, 3)
    assert one.dtype == three.dtype == torch.uint8
    assert three.is_contiguous()
    return one[0].numpy(), three.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "a.PNG"])
def test_colour_comes_back_as_it_was_saved(tmp_path, name):
    rgb = np.asarray(photo())
    path = saved(tmp_path, photo(), name)
    one, three = both(path)
    assert np.array_equal(three, rgb)
    np.testing.assert_allclose(one, grey(rgb), atol=0.51)
    assert image_header(path) == ("RGB", 40, 60)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.gif"])
def test_lossy_formats_come_near(tmp_path, name):
    _, three = both(saved(tmp_path, photo(), name))
    assert np.abs(three.astype(float) - np.asarray(photo())).mean() < 12


def test_greyscale(tmp_path):
    values = np.asarray(photo().convert("L"))
    one, three = both(saved(tmp_path, Pillow.fromarray(values), "a.png"))
    assert np.array_equal(one, values)
    assert np.array_equal(three, np.repeat(values[..., None], 3, axis=2))


def test_black_and_white(tmp_path):
    values = np.asarray(photo().convert("L")) > 128
    path = saved(tmp_path, Pillow.fromarray(values), "a.png")
    one, three = both(path)
    assert image_header(path)[0] == "1"
    assert np.array_equal(one, values * np.uint8(255))
    assert np.array_equal(three[..., 2], one)


def test_transparent_colour_lies_on_white(tmp_path):
    values = np.dstack([np.asarray(photo()), np.random.randint(0, 256, (40, 60), dtype=np.uint8)])  # noqa: NPY002
    one, three = both(saved(tmp_path, Pillow.fromarray(values), "a.png"))
    wanted = on_white(values[..., :3], values[..., 3:])
    np.testing.assert_allclose(three, wanted, atol=1.01)
    np.testing.assert_allclose(one, grey(wanted), atol=1.51)


def test_transparent_grey_lies_on_white(tmp_path):
    values = np.dstack([np.asarray(photo().convert("L")), np.random.randint(0, 256, (40, 60), dtype=np.uint8)])  # noqa: NPY002
    one, three = both(saved(tmp_path, Pillow.fromarray(values, "LA"), "a.png"))
    np.testing.assert_allclose(one, on_white(values[..., 0], values[..., 1]), atol=1.01)
    assert np.array_equal(three[..., 0], one)


def test_a_palette_is_expanded_and_its_transparent_entry_is_white(tmp_path):
    indices = np.random.randint(0, 4, (10, 12), dtype=np.uint8)  # noqa: NPY002
    palette = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [9, 9, 250]], dtype=np.uint8)
    image = Pillow.fromarray(indices)
    image.putpalette(palette.tobytes())
    assert image.mode == "P"
    one, three = both(saved(tmp_path, image, "a.png"))
    assert np.array_equal(three, palette[indices])
    np.testing.assert_allclose(one, grey(palette[indices]), atol=0.51)
    _, three = both(saved(tmp_path, image, "b.png", transparency=1))
    assert np.array_equal(three, np.where(indices[..., None] == 1, 255, palette[indices]))
    # Every entry with its own transparency.
    _, three = both(saved(tmp_path, image, "c.png", transparency=bytes([255, 128, 0, 255])))
    alpha = np.array([255, 128, 0, 255])[indices][..., None]
    np.testing.assert_allclose(three, on_white(palette[indices], alpha), atol=1.01)


def test_a_transparent_grey_value_is_white(tmp_path):
    values = np.array([[0, 7, 200]], dtype=np.uint8)
    one, _ = both(saved(tmp_path, Pillow.fromarray(values), "a.png", transparency=7))
    assert one.tolist() == [[0, 255, 200]]


def test_cmyk(tmp_path):
    values = np.random.randint(0, 256, (9, 7, 4), dtype=np.uint8)  # noqa: NPY002
    path = saved(tmp_path, Pillow.fromarray(values, "CMYK"), "a.tif")
    assert image_header(path)[0] == "CMYK"
    _, three = both(path)
    ink = values.astype(float) / 255
    np.testing.assert_allclose(three, 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:]), atol=1.01)


@pytest.mark.parametrize(("name", "mode"), [("a.png", "I;16"), ("a.tif", "I;16"), ("a.pgm", "I")])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, name, mode):
    values = np.random.randint(0, 65536, (11, 13), dtype=np.uint16)  # noqa: NPY002
    values[0, :2] = 0, 65535
    path = saved(tmp_path, Pillow.fromarray(values), name)
    assert image_header(path) == (mode, 11, 13)
    one, three = both(path)
    assert np.array_equal(one, np.round(values / 257))
    assert np.array_equal(three[..., 1], one)


def test_big_endian_sixteen_bits(tmp_path):
    values = np.array([[0, 257, 65535]], dtype=">u2")
    path = saved(tmp_path, Pillow.frombytes("I;16B", (3, 1), values.tobytes()), "a.tif")
    assert both(path)[0].tolist() == [[0, 1, 255]]


def test_whole_numbers_of_32_bits_and_floats(tmp_path):
    whole = np.array([[0, 257, 65535]], dtype=np.int32)
    assert both(saved(tmp_path, Pillow.fromarray(whole), "whole.tif"))[0].tolist() == [[0, 1, 255]]
    real = np.array([[0, 0.5, 1]], dtype=np.float32)
    assert both(saved(tmp_path, Pillow.fromarray(real), "real.tif"))[0].tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[-5, 70]], dtype=np.int32), "from -5 to 70, but in mode I black is 0 and white is 65535"),
        (np.array([[0, 65536]], dtype=np.int32), "from 0 to 65536"),
        (np.array([[0.0, 255.0]], dtype=np.float32), "from 0 to 255, but in mode F black is 0 and white is 1"),
        (np.array([[0.0, np.nan]], dtype=np.float32), "from nan to nan"),
    ],
)
def test_values_outside_the_range_of_their_mode_are_refused(tmp_path, values, said):
    path = saved(tmp_path, Pillow.fromarray(values), "odd.tif")
    with pytest.raises(InputError, match=f"odd.tif has pixels {said}"):
        read_image(path, 1)


def test_a_mode_that_is_not_read(tmp_path):
    path = saved(tmp_path, Pillow.new("LAB", (4, 4)), "lab.tif")
    for read in (image_header, lambda path: read_image(path, 3)):
        with pytest.raises(InputError, match=r"lab\.tif has mode LAB, which is not read; save it as RGB"):
            read(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_exif_orientation_is_applied(tmp_path, orientation, name):
    values = np.asarray(photo(6, 9))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Pillow.fromarray(values), name, exif=exif)
    # What a viewer does with each number, as the EXIF standard says where the first row and column of the file belong.
    wanted = {
        1: values,
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.swapaxes(0, 1),
        6: np.rot90(values, -1),
        7: values[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(values, 1),
    }[orientation]
    assert np.array_equal(both(path)[1], wanted)
    assert image_header(path)[1:] == wanted.shape[:2]


def test_resizing_is_pillows(tmp_path):
    path = saved(tmp_path, photo(), "a.png")
    wanted = photo().resize((15, 10), Pillow.Resampling.BILINEAR)
    assert np.array_equal(read_image(path, 3, (10, 15)).permute(1, 2, 0).numpy(), np.asarray(wanted))
    assert np.array_equal(read_image(path, 3, (40, 60)).permute(1, 2, 0).numpy(), np.asarray(photo()))


def test_only_the_first_frame_is_read(tmp_path):
    frames = [Pillow.new("L", (8, 8), value) for value in (10, 200)]
    path = saved(tmp_path, frames[0], "a.tif", save_all=True, append_images=frames[1:])
    assert both(path)[0].tolist() == [[10] * 8] * 8


def test_other_numbers_of_channels_are_refused(tmp_path):
    with pytest.raises(InputError, match="1 or 3 channels; received 4"):
        read_image(saved(tmp_path, photo(), "a.png"), 4)


def png_of_size(path: Path, side: int) -> Path:
    """A PNG that says to have that size, and has little behind its header."""
    pieces = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        pieces.append(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)))
    path.write_bytes(b"".join(pieces))
    return path


# --- broken files -----------------------------------------------------------------------------------------------------


def cut(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif", "a.webp", "a.gif"])
def test_a_truncated_file(tmp_path, name):
    path = saved(tmp_path, photo(), name)
    cut(path, 0.5)
    with pytest.raises(InputError, match=rf"{name} is damaged .*cannot be decoded.*replace it or remove it"):
        read_image(path, 3)


def test_flipped_bytes_give_a_sentence_or_an_image(tmp_path):
    """Pillow's decoders raise errors of many types; none of them may come through."""
    random = np.random.default_rng(0)
    for name in ("a.jpg", "a.png", "a.tif", "a.gif", "a.webp", "a.bmp", "a.ppm"):
        data = np.frombuffer(saved(tmp_path, photo(12, 12), name).read_bytes(), dtype=np.uint8)
        for _ in range(30):
            broken = data.copy()
            broken[random.integers(len(data), size=4)] = random.integers(256, size=4)
            (tmp_path / name).write_bytes(broken.tobytes())
            with warnings.catch_warnings(), suppress(InputError):
                warnings.simplefilter("ignore")
                assert read_image(tmp_path / name, 3, (5, 5)).shape == (3, 5, 5)


@pytest.mark.parametrize("read", [lambda path: read_image(path, 3), image_header], ids=["pixels", "header"])
class TestBothReaders:
    def test_text_named_png(self, tmp_path, read):
        (tmp_path / "a.png").write_text("no image\n" * 50)
        with pytest.raises(InputError, match=r"a\.png is no image in a format that is read \(PNG, JPEG"):
            read(tmp_path / "a.png")

    def test_a_format_that_is_not_read(self, tmp_path, read):
        photo().save(tmp_path / "a.png", format="EPS")
        with pytest.raises(InputError, match=r"a\.png is no image in a format that is read"):
            read(tmp_path / "a.png")

    def test_an_empty_file(self, tmp_path, read):
        (tmp_path / "a.png").touch()
        with pytest.raises(InputError, match=r"a\.png is empty \(0 bytes\)"):
            read(tmp_path / "a.png")

    def test_no_file_and_a_folder(self, tmp_path, read):
        with pytest.raises(InputError, match=r"a\.png cannot be opened: No such file"):
            read(tmp_path / "a.png")
        with pytest.raises(InputError, match="cannot be opened: Is a directory"):
            read(tmp_path)

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
    def test_a_file_that_may_not_be_read(self, tmp_path, read):
        saved(tmp_path, photo(), "a.png").chmod(0)
        with pytest.raises(InputError, match=r"a\.png cannot be opened: Permission denied"):
            read(tmp_path / "a.png")

    # Pillow itself warns at more than 89478485 pixels and raises at twice as many.
    @pytest.mark.parametrize("side", [9460, 13378])
    def test_a_decompression_bomb(self, tmp_path, read, side):
        path = png_of_size(tmp_path / "bomb.png", side)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            with pytest.raises(
                InputError, match=f"bomb.png has {side * side} pixels, but at most 89478485 are allowed"
            ):
                read(path)
        assert seen == []

    def test_the_limit_is_ours(self, tmp_path, read, monkeypatch):
        path = saved(tmp_path, photo(), "a.png")
        monkeypatch.setattr(decode, "MAX_PIXELS", 40 * 60)
        read(path)
        monkeypatch.setattr(decode, "MAX_PIXELS", 40 * 60 - 1)
        with pytest.raises(InputError, match="has 2400 pixels, but at most 2399 are allowed"):
            read(path)
        # Whoever set Pillow's own limit lower keeps it.
        monkeypatch.undo()
        monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 1000)
        with pytest.raises(InputError, match="larger than Pillow allows"):
            read(path)


def test_reading_in_threads_leaves_the_filters_of_warnings_alone(tmp_path):
    path, before = saved(tmp_path, photo(), "a.png"), list(warnings.filters)
    threads = [threading.Thread(target=lambda: [image_header(path) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


# --- a folder ---------------------------------------------------------------------------------------------------------


def test_a_folder_of_digits(tmp_path):
    data = from_folder(digit_folder(tmp_path / "digits"), fractions=SHARES, seed=0)
    assert data.name == "digits"
    assert data.inputs == Image(1, 8, 8, white=255.0)
    assert data.target == Classes(("digit-0", "digit-1", "digit-2"))
    assert data.notes == ()
    assert [len(part) for part in data.splits.values()] == [36, 12, 12]
    origins = [origin for part in data.splits.values() for origin in part.origin]
    assert len(set(origins)) == 60
    digits = load_digits(n_class=3)
    for part in data.splits.values():
        assert isinstance(part, Rows)
        assert part.inputs.dtype == torch.uint8
        for (picture, target), origin in zip(part, part.origin, strict=True):
            number = int(Path(origin).stem)
            assert origin == f"digit-{target}/{number:03}.png"
            assert target == digits.target[number]
            assert np.array_equal(picture[0].numpy(), digits.images[number] * 15)


def test_the_split_is_stratified_and_depends_on_the_seed(tmp_path):
    digit_folder(tmp_path)
    first, again, other = (from_folder(tmp_path, fractions=SHARES, seed=seed) for seed in (0, 0, 1))
    assert first.train.origin == again.train.origin != other.train.origin
    for part in first.splits.values():
        counts = torch.bincount(part.targets)
        assert counts.max() - counts.min() <= 2


def test_given_splits_are_kept(tmp_path):
    for part, samples in (("train", 30), ("val", 12), ("test", 9)):
        digit_folder(tmp_path / part, samples)
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 30, "valid": 12, "test": 9}
    assert all(origin.startswith("val/digit-") for origin in data.valid.origin)
    assert data.notes == ()


@pytest.mark.parametrize("name", ["valid", "val", "validation", "Valid"])
def test_names_of_the_validation_folder(tmp_path, name):
    for part in ("Train", name, "TEST"):
        fill(tmp_path / part, count=2)
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert {part: len(rows) for part, rows in data.splits.items()} == {"train": 4, "valid": 4, "test": 4}


def test_a_missing_validation_split_is_cut_from_the_training_split(tmp_path):
    digit_folder(tmp_path / "train", 40)
    digit_folder(tmp_path / "test", 9)
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert len(data.train) + len(data.valid) == 40
    assert abs(len(data.valid) - 10) <= 1
    assert len(data.test) == 9
    assert all(origin.startswith("train/") for part in (data.train, data.valid) for origin in part.origin)
    assert set(data.train.origin).isdisjoint(data.valid.origin)
    assert torch.bincount(data.valid.targets).min() >= 3


def test_classes_that_are_called_like_splits(tmp_path):
    fill(tmp_path, classes=("bus", "car", "train"))
    assert from_folder(tmp_path, fractions=SHARES, seed=0).target == Classes(("bus", "car", "train"))


def test_sub_folders_of_a_class_belong_to_it(tmp_path):
    fill(tmp_path)
    (tmp_path / "cat" / "more").mkdir()
    photo().save(tmp_path / "cat" / "more" / "x.JPeG")
    (tmp_path / "cat" / "loop").symlink_to(tmp_path, target_is_directory=True)
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert sum(map(len, data.splits.values())) == 9
    assert "cat/more/x.JPeG" in {origin for part in data.splits.values() for origin in part.origin}


def test_other_files_are_ignored_and_counted_and_hidden_ones_are_not_mentioned(tmp_path):
    fill(tmp_path)
    (tmp_path / "cat" / "labels.csv").write_text("a,b\n")
    (tmp_path / "README.md").write_text("about\n")
    photo().save(tmp_path / "loose.png")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "dog" / ".hidden.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert data.target == Classes(("cat", "dog"))
    assert data.notes == (
        f"3 files were ignored in {tmp_path}: no image by its ending, or not in the folder of a class.",
        f"Folders without images of a class were ignored in {tmp_path}: 'empty'.",
    )


def test_what_lies_beside_given_splits_is_mentioned(tmp_path):
    for part in ("train", "test"):
        fill(tmp_path / part)
    fill(tmp_path / "dev")
    (tmp_path / "about.txt").write_text("about\n")
    first, second = from_folder(tmp_path, fractions=SHARES, seed=0).notes
    assert first.startswith(f"1 file was ignored in {tmp_path}")
    assert second.endswith("ignored in " + str(tmp_path) + ": 'dev'.")


def test_sizes_and_modes_that_differ_become_one_and_are_noted(tmp_path):
    fill(tmp_path, count=3, picture=photo(30, 40))
    photo(20, 50).convert("L").save(tmp_path / "cat" / "grey.png")
    photo(60, 20).convert("RGBA").save(tmp_path / "dog" / "clear.png")
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert data.inputs == Image(3, 30, 40)
    assert data.train.inputs.shape[1:] == (3, 30, 40)
    assert data.notes == (
        "Images of 3 sizes, from 20x50 to 60x20, were resized to 30x40 (height x width).",
        "Modes were converted to RGB: 1 of L, 1 of RGBA.",
    )


def test_all_grey_modes_make_one_channel(tmp_path):
    fill(tmp_path, picture=photo().convert("L"))
    photo().convert("1").save(tmp_path / "cat" / "binary.png")
    Pillow.fromarray(np.full((40, 60), 65535, dtype=np.uint16)).save(tmp_path / "dog" / "deep.png")
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert data.inputs.channels == 1
    assert data.notes == (
        "Modes were converted to L: 1 of 1, 1 of I;16.",
        "Pixels of more than 8 bits were scaled so that white, 65535 (I;16), became 255.",
    )


def test_large_images_of_different_sizes_are_scaled_down(tmp_path):
    fill(tmp_path, picture=photo(300, 400))
    photo(200, 400).save(tmp_path / "cat" / "flat.png")
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert data.inputs == Image(3, 168, 224)


def test_large_images_of_one_size_keep_it(tmp_path):
    data = from_folder(fill(tmp_path, picture=photo(300, 250)), fractions=SHARES, seed=0)
    assert data.inputs == Image(3, 300, 250)


def test_size_overrides(tmp_path):
    data = from_folder(fill(tmp_path), fractions=SHARES, seed=0, size=16)
    assert data.inputs == Image(3, 16, 16)
    assert data.notes == ("Images of 40x60 were resized to 16x16 (height x width).",)
    wanted = np.asarray(photo().resize((16, 16), Pillow.Resampling.BILINEAR))
    assert np.array_equal(data.train.inputs[0].permute(1, 2, 0).numpy(), wanted)
    with pytest.raises(InputError, match="size must be 1 pixel or more; received 0"):
        from_folder(tmp_path, fractions=SHARES, seed=0, size=0)


def test_streaming_gives_the_same_pixels_as_memory(tmp_path, monkeypatch):
    digit_folder(tmp_path)
    photo().save(tmp_path / "digit-0" / "other.jpg")
    memory = from_folder(tmp_path, fractions=SHARES, seed=0)
    need = sum(len(part) for part in memory.splits.values()) * int(np.prod(memory.inputs.shape))
    monkeypatch.setattr(folder, "MEMORY_BUDGET", need)
    assert isinstance(from_folder(tmp_path, fractions=SHARES, seed=0).train, Rows)
    monkeypatch.setattr(folder, "MEMORY_BUDGET", need - 1)
    disk = from_folder(tmp_path, fractions=SHARES, seed=0)
    assert disk.inputs == memory.inputs
    assert disk.target == memory.target
    assert disk.notes == (*memory.notes, "The images do not fit in memory and are read from disk in every epoch.")
    for name, part in disk.splits.items():
        assert isinstance(part, ImageFiles)
        kept = memory.splits[name]
        assert list(part.origin) == list(kept.origin)
        assert torch.equal(part.targets, kept.targets)
        assert len(part) == len(kept)
        assert torch.equal(torch.stack([part[i][0] for i in range(len(part))]), kept.inputs)
        assert torch.equal(torch.stack([part[i][1] for i in range(len(part))]), kept.targets)


def test_streams_through_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MEMORY_BUDGET", 0)
    split = from_folder(digit_folder(tmp_path), fractions=SHARES, seed=0).train
    loader = torch.utils.data.DataLoader(split, batch_size=10, num_workers=1)
    pixels = torch.cat([inputs for inputs, _ in loader])
    assert torch.equal(pixels, torch.stack([inputs for inputs, _ in split]))


def test_fingerprints_tell_equal_files(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MEMORY_BUDGET", 0)
    for part in ("train", "valid", "test"):
        digit_folder(tmp_path / part, 30)
    path = tmp_path / "test" / "digit-0" / "000.png"
    path.write_bytes(path.read_bytes() + b"\0")
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    train, test = data.train.fingerprints(), data.test.fingerprints()
    assert train.dtype == np.uint64
    assert len(np.unique(train)) == 30
    assert np.flatnonzero(train != test).tolist() == [data.test.origin.index("test/digit-0/000.png")]


# --- folders that cannot be read --------------------------------------------------------------------------------------


def refusal(root: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        from_folder(root, fractions=SHARES, seed=0, **options)
    return str(caught.value)


def test_no_folder(tmp_path):
    assert "nowhere cannot be opened as a folder: No such file or directory" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    assert "file cannot be opened as a folder: Not a directory" in refusal(tmp_path / "file")


def test_no_images_at_all(tmp_path):
    assert f"There are no images in sub-folders of {tmp_path}; wanted is one sub-folder of images" in refusal(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").touch()
    assert "There are no images" in refusal(tmp_path)


def test_images_without_classes(tmp_path):
    photo().save(tmp_path / "a.png")
    assert "There are no images in sub-folders of" in refusal(tmp_path)


def test_splits_without_classes(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        photo().save(tmp_path / part / "a.png")
    assert f"There are no images in sub-folders of {tmp_path / 'train'}; wanted is" in refusal(tmp_path)


def test_one_class_only(tmp_path):
    assert "has one class only, 'cat', but two are needed" in refusal(fill(tmp_path, classes=("cat",)))


def test_a_class_with_one_image(tmp_path):
    fill(tmp_path)
    fill(tmp_path, classes=("emu",), count=1)
    assert "There is one image only of class 'emu'" in refusal(tmp_path)


@pytest.mark.parametrize("parts", [("train",), ("train", "valid"), ("test",), ("train", "val", "valid", "test")])
def test_splits_that_are_not_complete(tmp_path, parts):
    for part in parts:
        fill(tmp_path / part)
    assert "splits are given as train/ and test/, with or without valid/" in refusal(tmp_path)


@pytest.mark.parametrize(("odd", "here", "there"), [("test", "test", "train"), ("train", "train", "test")])
def test_a_class_that_is_not_in_all_splits(tmp_path, odd, here, there):
    for part in ("train", "test"):
        fill(tmp_path / part)
    fill(tmp_path / odd, classes=("emu",))
    assert f"Class 'emu' has images in {here}/ but not in {there}/" in refusal(tmp_path)


def test_another_kind_of_target(tmp_path):
    assert "received kind='real'" in refusal(fill(tmp_path), kind="real")
    assert from_folder(tmp_path, kind="classes", fractions=SHARES, seed=0).target.kind == "classes"


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_broken_image_is_named(tmp_path, monkeypatch, in_memory):
    fill(tmp_path)
    photo().save(tmp_path / "dog" / "cut.jpg")
    cut(tmp_path / "dog" / "cut.jpg", 0.7)
    if in_memory:
        assert f"{tmp_path / 'dog' / 'cut.jpg'} is damaged" in refusal(tmp_path)
        return
    monkeypatch.setattr(folder, "MEMORY_BUDGET", 0)
    data = from_folder(tmp_path, fractions=SHARES, seed=0)
    (part,) = (part for part in data.splits.values() if "dog/cut.jpg" in part.origin)
    with pytest.raises(InputError, match=r"cut\.jpg is damaged"):
        part[part.origin.index("dog/cut.jpg")]


def test_a_text_named_png_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "dog" / "text.png").write_text("no image\n")
    assert f"{tmp_path / 'dog' / 'text.png'} is no image" in refusal(tmp_path)


# --- prediction -------------------------------------------------------------------------------------------------------


def test_images_of_a_folder_come_in_batches(tmp_path):
    digit_folder(tmp_path, 25)
    (tmp_path / "notes.txt").touch()
    batches = list(iterate_images(tmp_path, Image(1, 8, 8), batch=10))
    assert [len(names) for names, _ in batches] == [10, 10, 5]
    names = [name for batch, _ in batches for name in batch]
    assert names == sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    digits = load_digits(n_class=3).images
    for name, picture in zip(names, torch.cat([pixels for _, pixels in batches]), strict=True):
        assert np.array_equal(picture[0].numpy(), digits[int(Path(name).stem)] * 15)


def test_a_single_file_of_another_size_and_mode(tmp_path):
    path = saved(tmp_path, photo(), "a.png")
    ((names, pixels),) = iterate_images(path, Image(1, 8, 8))
    assert names == ["a.png"]
    wanted = photo().convert("L").resize((8, 8), Pillow.Resampling.BILINEAR)
    assert np.array_equal(pixels[0, 0].numpy(), np.asarray(wanted))
    assert pixels.dtype == torch.uint8


def test_pixels_are_scaled_to_the_white_that_the_model_knows(tmp_path):
    path = saved(tmp_path, Pillow.fromarray(np.array([[0, 51, 255]], dtype=np.uint8)), "a.png")
    ((_, pixels),) = iterate_images(path, Image(1, 1, 3, white=16.0))
    torch.testing.assert_close(pixels, torch.tensor([[[[0, 3.2, 16.0]]]]))


def test_nothing_to_predict(tmp_path):
    with pytest.raises(InputError, match=r"There are no images in .*\.png"):
        iterate_images(tmp_path, Image(1, 8, 8))
    with pytest.raises(InputError, match=r"gone\.png cannot be opened"):
        next(iterate_images(tmp_path / "gone.png", Image(1, 8, 8)))


def test_a_broken_image_to_predict_is_named(tmp_path):
    digit_folder(tmp_path, 25)
    cut(tmp_path / "digit-0" / "000.png", 0.5)
    with pytest.raises(InputError, match=r"000\.png is damaged"):
        list(iterate_images(tmp_path, Image(1, 8, 8)))
