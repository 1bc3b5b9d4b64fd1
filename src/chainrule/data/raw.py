"""Raw inputs from whatever a user has at hand, as the model was trained on them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from chainrule.data.spec import Image, Inputs, Vector, Volume
from chainrule.errors import InputError, listing
from chainrule.nn.resize import Resize


class Piece(NamedTuple):
    """Some samples of a file or a folder.

    Attributes:
        place: What ``names`` are: ``row`` and ``sample`` are numbers from 1, ``file`` a file's name.
        names: Where each sample is from.
        raw: Raw inputs, ``[n, ...]``.
        unused: Columns that the model does not take.
    """

    place: str
    names: Sequence[int] | Sequence[str]
    raw: Tensor
    unused: Sequence[str]


def as_raw(x: Any, inputs: Inputs) -> Tensor:
    """Raw inputs ``[n, ...]`` for a model.

    Args:
        x: A DataFrame, a list of dicts, an array or tensor, a path to a table, an image, a folder of images or an
            ``.npz`` file with the array ``x``.
        inputs: What the model takes.

    Raises:
        InputError: When ``x`` cannot be such inputs.
    """
    if isinstance(x, str | Path):
        return torch.cat([piece.raw for piece in pieces(x, inputs)])
    if isinstance(inputs, Image):
        return _images(x, inputs)
    if isinstance(inputs, Volume):
        return _volumes(x, inputs)
    from chainrule.data.sources.columns import encode

    return encode(x, inputs)


def pieces(path: str | Path, inputs: Inputs) -> Iterator[Piece]:
    """Read a file or a folder piece by piece, in constant memory.

    Args:
        path: A table, an image, a folder of images or an ``.npz`` file with the array ``x``.
        inputs: What the model takes.

    Raises:
        InputError: When it cannot be read, is of another kind, or has no samples.
    """
    from chainrule.data.sources.files import existing

    path = existing(path)
    if path.suffix.lower() == ".npz":
        return _arrays(path, inputs)
    if isinstance(inputs, Volume):
        raise InputError(
            f"This model takes volumes, but {str(path)!r} is no .npz file; save them by numpy.savez('new.npz', x=x)."
        )
    return _pictures(path, inputs) if isinstance(inputs, Image) else _rows(path, inputs)


def _arrays(path: Path, inputs: Inputs) -> Iterator[Piece]:
    from chainrule.data.sources.arrays import open_npz

    arrays = open_npz(path)
    if "x" not in arrays:
        raise InputError(
            f"{str(path)!r} holds the arrays {listing(sorted(arrays))}, but 'x' is wanted; save the samples by that "
            "name."
        )
    raw = as_raw(arrays["x"], inputs)
    yield Piece("sample", range(1, len(raw) + 1), raw, ())


def _rows(path: Path, inputs: Vector) -> Iterator[Piece]:
    from chainrule.data.sources.columns import encode, unused_columns
    from chainrule.data.sources.files import read_chunks

    if path.is_dir():
        raise InputError(f"This model takes the rows of a table, but {str(path)!r} is a folder; write a table's file.")
    done = 0
    for frame in read_chunks(path):
        raw = encode(frame, inputs)
        if frame.empty:
            raise InputError(f"{str(path)!r} has a header but no rows; write the rows below the header.")
        yield Piece("row", range(done + 1, done + len(frame) + 1), raw, unused_columns(frame, inputs))
        done += len(frame)


def _pictures(path: Path, inputs: Image) -> Iterator[Piece]:
    from chainrule.data.sources.files import SUFFIXES
    from chainrule.data.sources.folder import iterate_images

    if path.suffix.lower() in SUFFIXES:
        raise InputError(
            f"This model takes images, but {str(path)!r} is a table; write an image or a folder of images."
        )
    for names, images in iterate_images(path, inputs):
        yield Piece("file", names, images, ())


def _images(x: Any, inputs: Image) -> Tensor:
    images = x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
    if images.ndim == 3 and inputs.channels == 1:
        images = images[:, None]
    if images.ndim == 4 and images.shape[1] != inputs.channels and images.shape[3] == inputs.channels:
        images = images.permute(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] != inputs.channels:
        raise InputError(
            f"This model takes images [n, {inputs.channels}, height, width]; received {list(images.shape)}."
        )
    _check_floats(images, inputs)
    if tuple(images.shape[2:]) != (inputs.height, inputs.width):
        return Resize(inputs.height, inputs.width)(images)
    return images


def _volumes(x: Any, inputs: Volume) -> Tensor:
    volumes = x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
    if volumes.ndim == 4 and inputs.channels == 1:
        volumes = volumes[:, None]
    if volumes.ndim == 5 and volumes.shape[1] != inputs.channels and volumes.shape[4] == inputs.channels:
        volumes = volumes.permute(0, 4, 1, 2, 3)
    if volumes.ndim != 5 or tuple(volumes.shape[1:]) != inputs.shape:
        raise InputError(
            f"This model takes volumes [n, {', '.join(map(str, inputs.shape))}]; received {list(volumes.shape)}. "
            "Cut or pad them to that size."
        )
    _check_floats(volumes, inputs)
    return volumes


def _check_floats(maps: Tensor, inputs: Image | Volume) -> None:
    if not maps.is_floating_point():
        return
    if not torch.isfinite(maps).all():
        raise InputError(f"The {inputs.kind}s hold numbers that are not finite; remove them.")
    if inputs.white > 1 and 0 < float(maps.max()) <= 1:
        raise InputError(
            f"This model takes {inputs.kind}s from 0 to {inputs.white:g}; received floats up to "
            f"{float(maps.max()):.3g}. Multiply them by {inputs.white:g}."
        )
