"""Arrays: ``(X, y)`` pairs of arrays, tensors or frames, and ``.npz`` files."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from chainrule.data.dataset import Data
from chainrule.data.sources.columns import encode
from chainrule.data.sources.memory import in_memory, strata
from chainrule.data.sources.target import check_members, read_target
from chainrule.data.spec import Inputs, Target, Vector, maps_of
from chainrule.data.splits import split
from chainrule.errors import InputError, listing

#: Full white of images and volumes whose numbers are not 8-bit: the least of these that no value exceeds.
_WHITES = (1.0, 16.0, 255.0, 65_535.0)
_PARTS = ("train", "valid", "test")


def from_arrays(
    x: Any,
    y: Any,
    *,
    name: str = "arrays",
    kind: str | None = None,
    fractions: Sequence[float],
    seed: int,
    fold: tuple[int, int] | None = None,
) -> Data:
    """Divide samples ``x`` and targets ``y`` into splits.

    Args:
        x: ``[n, d]`` numbers; images ``[n, h, w]``, ``[n, c, h, w]`` or ``[n, h, w, c]``; or volumes
            ``[n, c, d, h, w]`` or ``[n, d, h, w, c]``. Four axes are always images: volumes have an axis of channels.
        y: ``[n]`` or ``[n, k]``. Whole numbers and texts are classes, ``[n, k]`` zeros and ones labels, other numbers
            real.
        name: Name of the data.
        kind: ``"classes"``, ``"labels"`` or ``"real"``; None infers it.
        fractions: Shares of the training, validation and test split.
        seed: Seed of the split.
        fold: Which fold validates, and of how many.
    """
    x, y = as_array(x), as_array(y)
    _check_lengths(x, y)
    target, targets, notes = read_targets(y, kind)
    check_members(target, targets, what="sample")
    parts = split(len(x), fractions=fractions, seed=seed, fold=fold, strata=strata(target, targets))
    inputs, raw, more = _read_inputs(x)
    return in_memory(raw, targets, parts, name=name, specs=(inputs, target), word="sample", notes=notes + more)


def from_npz(
    path: Path, *, kind: str | None = None, fractions: Sequence[float], seed: int, fold: tuple[int, int] | None = None
) -> Data:
    """Load an ``.npz`` file with the arrays ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ``y_test``.

    Splits that are given are kept. Without ``x_valid`` and ``y_valid`` the validation split is cut from the training
    split, in the proportion of their fractions.

    Raises:
        InputError: When the file is damaged, lacks an array, or holds Python objects.
    """
    arrays = open_npz(path)
    if {"x", "y"} <= arrays.keys():
        return from_arrays(
            arrays["x"], arrays["y"], name=path.name, kind=kind, fractions=fractions, seed=seed, fold=fold
        )
    given = [part for part in _PARTS if f"x_{part}" in arrays and f"y_{part}" in arrays]
    if not {"train", "test"} <= set(given):
        raise InputError(
            f"{str(path)!r} holds the arrays {listing(sorted(arrays))}, but 'x' and 'y' are wanted, or 'x_train', "
            "'y_train', 'x_test' and 'y_test' (and 'x_valid', 'y_valid'); save them by these names."
        )
    for part in given:
        _check_lengths(arrays[f"x_{part}"], arrays[f"y_{part}"])
    x, y = (_joined([arrays[f"{letter}_{part}"] for part in given], letter) for letter in "xy")
    target, targets, notes = read_targets(y, kind)
    ends = np.cumsum([len(arrays[f"y_{part}"]) for part in given])
    parts = list(np.split(np.arange(len(y)), ends[:-1]))
    if "valid" in given and fold is not None:
        raise InputError(f"{path.name} has a validation split of its own, so there are no folds; leave out the fold.")
    if "valid" not in given:
        share = np.asarray(fractions[:2]) / sum(fractions[:2])
        classes = strata(target, targets[: len(parts[0])])
        parts[:1] = split(len(parts[0]), fractions=share.tolist(), seed=seed, fold=fold, strata=classes)
        notes += (f"The validation split is cut from the training split of {path.name}.",)
    inputs, raw, more = _read_inputs(x)
    return in_memory(raw, targets, parts, name=path.name, specs=(inputs, target), word="sample", notes=notes + more)


def as_array(values: Any) -> np.ndarray:
    """An array, tensor, frame, series or nested list as a NumPy array of numbers, booleans or texts.

    Raises:
        InputError: When it is nothing of that, or has rows of different lengths.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return np.asarray(values.float() if values.dtype in (torch.bfloat16, torch.float16) else values)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"The values cannot be read as an array: {error}; make all rows equally long.") from error
    if array.dtype.kind not in "biufOUST" or array.ndim == 0:
        raise InputError(
            f"Arrays of numbers, booleans or texts are wanted, but a {type(values).__name__} of type {array.dtype} "
            "came; convert it, for instance by x.toarray() if it is sparse."
        )
    return array


def read_targets(y: np.ndarray, kind: str | None) -> tuple[Target, Tensor, tuple[str, ...]]:
    """Read ``[n]`` or ``[n, k]`` targets; integers that number classes from 0 on are classes however many they are.

    Raises:
        InputError: For targets of more axes, and as in :func:`chainrule.data.sources.target.read_target`.
    """
    if y.ndim > 2:
        raise InputError(f"The targets have to be [n] or [n, k], but {list(y.shape)} came.")
    y = y.reshape(len(y), -1)
    names = ["target"] if y.shape[1] == 1 else [f"y{position}" for position in range(y.shape[1])]
    if kind is None and y.dtype.kind in "iu" and y.shape[1] == 1:
        distinct = np.unique(y)
        if 2 <= len(distinct) <= len(y) / 2 and np.array_equal(distinct, np.arange(len(distinct))):
            kind = "classes"
    return read_target(pd.DataFrame(y, columns=names), kind=kind)


def _read_inputs(x: np.ndarray) -> tuple[Inputs, Tensor, tuple[str, ...]]:
    if x.ndim == 2:
        inputs = Vector.numbers(x.shape[1])
        return inputs, encode(x, inputs), ()
    if x.ndim not in (3, 4, 5) or x.dtype.kind not in "biuf":
        raise InputError(
            "The samples have to be numbers [n, d], images [n, h, w] or [n, c, h, w], or volumes [n, c, d, h, w], but "
            f"{list(x.shape)} of type {x.dtype} came; write x[:, None] for a single column."
        )
    what = "volumes" if x.ndim == 5 else "images"
    notes: tuple[str, ...] = ()
    maps = x[:, None] if x.ndim == 3 else x
    if maps.shape[-1] in (1, 3) and maps.shape[1] not in (1, 3):
        maps = np.moveaxis(maps, -1, 1)
        notes = (f"The samples {list(x.shape)} are read as {what} whose last axis is the channels.",)
    elif x.ndim == 4 and x.shape[1] > 4:
        notes = (
            f"The samples {list(x.shape)} are read as images of {x.shape[1]} channels; for volumes of one channel "
            "write x[:, None].",
        )
    finite = np.isfinite(maps).reshape(len(x), -1).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise InputError(
            f"{len(bad)} of {len(x)} {what} hold NaN or infinity: sample {listing((bad + 1).tolist())}; correct or "
            "remove them."
        )
    most = float(maps.max())
    eight_bit = maps.dtype.kind in "biu" and maps.min() >= 0 and most <= 255
    # Images of 8 bits may be dark; volumes of 8 bits are often grids of zeros and ones.
    whites = (255.0,) if maps.dtype == np.uint8 and what == "images" else _WHITES
    white = next((white for white in whites if most <= white), most)
    raw = torch.from_numpy(np.ascontiguousarray(maps, dtype=np.uint8 if eight_bit else np.float32))
    return maps_of(maps.shape[1:], white=white), raw, notes


def _check_lengths(x: np.ndarray, y: np.ndarray) -> None:
    if len(x) != len(y) or len(x) == 0:
        raise InputError(f"As many targets as samples are wanted, but {len(x)} samples and {len(y)} targets came.")


def _joined(arrays: list[NDArray[Any]], letter: str) -> np.ndarray:
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise InputError(
            f"The splits of {letter!r} hold samples of different shapes, {listing(sorted(shapes))}; make them equal."
        )
    return np.concatenate(arrays)


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by their names in small letters.

    Raises:
        InputError: When the file is damaged, or holds Python objects.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key.lower(): file[key] for key in file.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, TypeError) as error:
        objects = "Object arrays" in str(error)
        why = "it holds Python objects" if objects else "it is damaged, or no .npz file"
        raise InputError(
            f"{str(path)!r} cannot be read: {why}; save plain arrays by numpy.savez(path, x=x, y=y)."
        ) from error
