"""How a folder of images is laid out: which files are samples, of which class and of which split.

Hidden files and folders do not count. Whatever else is left out is said in notes.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainrule.data.decode import EXTENSIONS
from chainrule.errors import InputError, listing

#: Names of the folders of given splits, and the splits that they mean.
SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
WANTED = "wanted is one sub-folder of images for each class, or train/, valid/ and test/ with such sub-folders"
ENDINGS = ", ".join(f".{extension}" for extension in sorted(EXTENSIONS))


@dataclass(frozen=True)
class Files:
    """Image files and the name of the class of each."""

    paths: list[Path]
    labels: list[str]

    def pick(self, chosen: NDArray[np.int64]) -> "Files":
        """The files at these positions."""
        return Files([self.paths[i] for i in chosen], [self.labels[i] for i in chosen])


def find_splits(root: Path) -> tuple[dict[str, Files], list[str]]:
    """The files of each given split, or of the one split ``"all"``, and notes on what was left out.

    Raises:
        InputError: When there are no images in class folders, or the folders of given splits are not train, test and
            perhaps valid.
    """
    children = _children(root)
    folders = {child.name: child for child in children if child.is_dir()}
    named = [name for name in folders if name.lower() in SPLITS]
    # A class may be called "train", too: then it holds images, and has other classes beside it.
    nested = any(grandchild.is_dir() for name in named for grandchild in _children(folders[name]))
    if not named or not (nested or len(named) == len(folders)):
        files, notes = _find_classes(root)
        return {"all": files}, notes
    splits = {SPLITS[name.lower()]: folders[name] for name in named}
    if len(splits) < len(named) or not {"train", "test"} <= splits.keys():
        raise InputError(
            f"{root} has the folders {listing(named)}, but splits are given as train/ and test/, with or without "
            "valid/; bring exactly these, or put the folders of the classes directly into it."
        )
    notes = _left_out(root, len(children) - len(folders), sorted(folders.keys() - set(named)))
    found: dict[str, Files] = {}
    for split in ("train", "valid", "test"):
        if split in splits:
            found[split], more = _find_classes(splits[split])
            notes += more
    return found, notes


def find_images(folder: Path) -> tuple[list[Path], int]:
    """The images below a folder in alphabetic order, and how many other files there are."""
    images, others = [], 0
    for child in _children(folder):
        if child.is_dir():
            if child.is_symlink() and folder.resolve().is_relative_to(child.resolve()):
                continue  # a link that leads back up would be followed for ever
            more, further = find_images(child)
            images += more
            others += further
        elif child.suffix[1:].lower() in EXTENSIONS:
            images.append(child)
        else:
            others += 1
    return images, others


def class_names(root: Path, splits: dict[str, Files]) -> tuple[str, ...]:
    """Names of the classes, sorted.

    Raises:
        InputError: When there is one class only, a class is not in all splits, or has one image that is yet to be
            divided over splits.
    """
    counts = {split: Counter(files.labels) for split, files in splits.items()}
    first, *others = counts
    for other in others:
        if differing := sorted(counts[first].keys() ^ counts[other].keys()):
            here, there = (first, other) if differing[0] in counts[first] else (other, first)
            raise InputError(
                f"Class {differing[0]!r} has images in {here}/ but not in {there}/ of {root}; every split needs the "
                "same classes."
            )
    if len(counts[first]) < 2:
        raise InputError(f"{root} has one class only, {next(iter(counts[first]))!r}, but two are needed; {WANTED}.")
    lonely = sorted(name for name, count in counts[first].items() if count == 1)
    if lonely and "valid" not in splits:
        raise InputError(
            f"There is one image only of class {listing(lonely)} in {root}, but it has to be divided over splits; "
            "add images, or remove the class."
        )
    return tuple(sorted(counts[first]))


def _find_classes(folder: Path) -> tuple[Files, list[str]]:
    """All images below the sub-folders of a folder, and notes on what was left out."""
    found, empty, ignored = Files([], []), [], 0
    for child in _children(folder):
        if not child.is_dir():
            ignored += 1
            continue
        images, others = find_images(child)
        ignored += others
        found.paths.extend(images)
        found.labels.extend([child.name] * len(images))
        if not images:
            empty.append(child.name)
    if not found.paths:
        raise InputError(f"There are no images in sub-folders of {folder}; {WANTED}, in files that end in {ENDINGS}.")
    return found, _left_out(folder, ignored, empty)


def _left_out(folder: Path, files: int, folders: list[str]) -> list[str]:
    notes = []
    if files:
        what = "1 file was" if files == 1 else f"{files} files were"
        notes.append(f"{what} ignored in {folder}: no image by its ending, or not in the folder of a class.")
    if folders:
        notes.append(f"Folders without images of a class were ignored in {folder}: {listing(folders)}.")
    return notes


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder} cannot be opened as a folder: {error.strerror}; check the path.") from error
