"""A folder of images: one sub-folder for each class, or ``train/``, ``valid/`` and ``test/`` with such sub-folders."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from chainrule.data.dataset import Data, Rows
from chainrule.data.decode import DEEP_WHITE, GREY, image_header, read_image
from chainrule.data.sources.folder_layout import ENDINGS, Files, class_names, find_images, find_splits
from chainrule.data.spec import Classes, Image
from chainrule.data.splits import split
from chainrule.errors import InputError
from chainrule.shapes import Int, Num, Tensor, UInt8

#: Images that need more bytes than these once decoded are read from disk in every epoch.
MEMORY_BUDGET = 2**30
#: Images of different sizes are resized to their median, but no side becomes longer than this.
LONGEST_SIDE = 224


@dataclass(frozen=True, eq=False)
class ImageFiles(Dataset[tuple[Tensor, Tensor]]):
    """A split whose images are read from disk when they are asked for.

    Attributes:
        paths: One file a sample.
        targets: Class of each sample, ``[n]``.
        origin: Path of each file within the folder of the data.
        image: What each file is converted to.
    """

    paths: Sequence[Path]
    targets: Int[Tensor, " n"]
    origin: Sequence[str]
    image: Image

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[UInt8[Tensor, "c h w"], Int[Tensor, ""]]:
        return _read(self.paths[index], self.image), self.targets[index]

    def fingerprints(self) -> NDArray[np.uint64]:
        """A hash of the bytes of each file, ``[n]``."""
        with ThreadPoolExecutor() as pool:
            return np.fromiter(pool.map(_fingerprint, self.paths), dtype=np.uint64, count=len(self.paths))


def from_folder(
    path: str | os.PathLike[str],
    *,
    kind: str | None = None,
    size: int | None = None,
    fractions: Sequence[float],
    seed: int,
    fold: tuple[int, int] | None = None,
) -> Data:
    """Read a folder of images whose classes are the names of its sub-folders.

    Splits that are given as ``train/``, ``valid/`` and ``test/`` are kept; a validation split that is not given is cut
    from the training split. Images are greyscale if all files are, else they have three channels. Where they are not of
    one size, they are resized to the median height and width, scaled down to ``LONGEST_SIDE`` if need be.

    Args:
        path: The folder.
        kind: Kind of the target; only classes can be read from a folder.
        size: Height and width to resize to.
        fractions: Shares of train, valid and test.
        seed: Seed of the split, which is stratified by class.
        fold: Which fold validates, and of how many.

    Raises:
        InputError: When the folder is laid out in another way, a class is alone, has one image only or is not in all
            splits, or a file is broken.
    """
    root = Path(path)
    if kind not in (None, "classes"):
        raise InputError(
            f"The target of a folder of images is classes, named by its sub-folders; received kind={kind!r}."
        )
    given, notes = find_splits(root)
    names = class_names(root, given)
    files = [file for part in given.values() for file in part.paths]
    with ThreadPoolExecutor() as pool:
        headers = list(pool.map(image_header, files))
    image, conversions = _common(headers, size)
    in_memory = len(files) * image.channels * image.height * image.width <= MEMORY_BUDGET
    if not in_memory:
        conversions.append("The images do not fit in memory and are read from disk in every epoch.")
    parts = _divide(given, fractions, seed, fold)
    train, valid, test = (_load(parts[name], names, root, image, in_memory) for name in ("train", "valid", "test"))
    return Data(
        name=root.resolve().name,
        train=train,
        valid=valid,
        test=test,
        inputs=image,
        target=Classes(names),
        notes=(*notes, *conversions),
    )


def iterate_images(
    path: str | os.PathLike[str], inputs: Image, batch: int = 256
) -> Iterator[tuple[list[str], Num[Tensor, "b c h w"]]]:
    """Read the images of a file or a folder batch by batch, converted to what a model takes.

    Args:
        path: An image, or a folder of images, searched with its sub-folders in alphabetic order.
        inputs: What a model takes as raw input; size and channels are converted to it.
        batch: Images read at once.

    Returns:
        An iterator over names (paths within the folder; for a file its name) and raw inputs: uint8, or float32 from 0
        to ``inputs.white`` where that is not 255.

    Raises:
        InputError: When there are no images, or, while iterating, when a file is broken.
    """
    root = Path(path)
    if not root.is_dir():
        return _batches([root], root.parent, inputs, batch)
    paths, _ = find_images(root)
    if not paths:
        raise InputError(f"There are no images in {root}; files that end in {ENDINGS} are read.")
    return _batches(paths, root, inputs, batch)


def _batches(
    paths: Sequence[Path], root: Path, image: Image, batch: int
) -> Iterator[tuple[list[str], Num[Tensor, "b c h w"]]]:
    for start in range(0, len(paths), batch):
        chunk = paths[start : start + batch]
        pixels = _read_all(chunk, image)
        yield _origin(chunk, root), pixels if image.white == 255 else pixels.float() * (image.white / 255)


def _read(path: Path, image: Image) -> UInt8[Tensor, "c h w"]:
    return read_image(path, image.channels, (image.height, image.width))


def _read_all(paths: Sequence[Path], image: Image) -> UInt8[Tensor, "n c h w"]:
    pixels = torch.empty(len(paths), *image.shape, dtype=torch.uint8)

    def fill(index: int) -> None:
        pixels[index] = _read(paths[index], image)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(fill, range(len(paths))):
            pass  # asking for each result raises the first error and drops what has not begun
    return pixels


def _load(files: Files, names: tuple[str, ...], root: Path, image: Image, in_memory: bool) -> Rows | ImageFiles:
    targets = torch.from_numpy(np.searchsorted(names, files.labels))
    origin = _origin(files.paths, root)
    if in_memory:
        return Rows(_read_all(files.paths, image), targets, origin)
    return ImageFiles(files.paths, targets, origin, image)


def _origin(paths: Sequence[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def _fingerprint(path: Path) -> int:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8)).digest()
    return int.from_bytes(digest, "little")


def _divide(
    given: dict[str, Files], fractions: Sequence[float], seed: int, fold: tuple[int, int] | None
) -> dict[str, Files]:
    """The three splits: the given ones, and what is missing cut from them, stratified by class."""
    if "valid" in given:
        if fold is not None:
            raise InputError("The folder has a validation split of its own, so there are no folds; leave out the fold.")
        return given
    wanted, whole = (
        (("train", "valid", "test"), given["all"]) if "all" in given else (("train", "valid"), given["train"])
    )
    shares = np.array(fractions[: len(wanted)]) / sum(fractions[: len(wanted)])
    _, strata = np.unique(whole.labels, return_inverse=True)
    parts = split(len(strata), fractions=list(shares), seed=seed, fold=fold, strata=strata)
    return {**given, **{name: whole.pick(chosen) for name, chosen in zip(wanted, parts, strict=True)}}


def _common(headers: Sequence[tuple[str, int, int]], size: int | None) -> tuple[Image, list[str]]:
    """One mode and size for all images, and notes on what that changes."""
    modes = Counter(mode for mode, _, _ in headers)
    sizes = sorted({(height, width) for _, height, width in headers}, key=lambda size: (size[0] * size[1], size))
    channels = 1 if modes.keys() <= GREY else 3
    if size is not None:
        if size < 1:
            raise InputError(f"size must be 1 pixel or more; received {size}.")
        height = width = size
    elif len(sizes) == 1:
        height, width = sizes[0]
    else:
        middle = [median(sides) for sides in zip(*(header[1:] for header in headers), strict=True)]
        shrink = min(1, LONGEST_SIDE / max(middle))
        height, width = (max(1, round(side * shrink)) for side in middle)
    notes = []
    if sizes != [(height, width)]:
        few, many = (f"{first}x{second}" for first, second in (sizes[0], sizes[-1]))
        what = f"{len(sizes)} sizes, from {few} to {many}," if len(sizes) > 1 else few
        notes.append(f"Images of {what} were resized to {height}x{width} (height x width).")
    mode = "L" if channels == 1 else "RGB"
    if changed := {name: count for name, count in sorted(modes.items()) if name != mode}:
        what = ", ".join(f"{count} of {name}" for name, count in changed.items())
        notes.append(f"Modes were converted to {mode}: {what}.")
    if deep := [name for name in sorted(modes) if name in DEEP_WHITE]:
        what = ", ".join(f"{DEEP_WHITE[name]} ({name})" for name in deep)
        notes.append(f"Pixels of more than 8 bits were scaled so that white, {what}, became 255.")
    return Image(channels, height, width), notes
