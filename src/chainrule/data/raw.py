"""Raw inputs from whatever a user has at hand, as the model was trained on them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from chainrule.data.spec import Image, Inputs, Vector
from chainrule.errors import InputError
from chainrule.nn.resize import Resize


class Piece(NamedTuple):
    """Some samples of a file or a folder.

    Attributes:
        names: Where each sample is from: the number of its row, from 1, or its file.
        raw: Raw inputs, ``[n, ...]``.
        unused: Columns that the model does not take.
    """

    names: Sequence[int] | Sequence[str]
    raw: Tensor
    unused: Sequence[str]


def as_raw(x: Any, inputs: Inputs) -> Tensor:
    """Raw inputs ``[n, ...]`` for a model.

    Args:
        x: A DataFrame, a list of dicts, an array or tensor, a path to a table, an image or a folder of images.
        inputs: What the model takes.

    Raises:
        InputError: When ``x`` cannot be such inputs.
    """
    if isinstance(x, str | Path):
        return torch.cat([piece.raw for piece in pieces(x, inputs)])
    if isinstance(inputs, Image):
        return _images(x, inputs)
    from chainrule.data.sources.columns import encode

    return encode(x, inputs)


def pieces(path: str | Path, inputs: Inputs) -> Iterator[Piece]:
    """Read a file or a folder piece by piece, in constant memory.

    Args:
        path: A table, an image or a folder of images.
        inputs: What the model takes.

    Raises:
        InputError: When it cannot be read, is of another kind, or has no samples.
    """
    from chainrule.data.sources.files import existing

    path = existing(path)
    return _pictures(path, inputs) if isinstance(inputs, Image) else _rows(path, inputs)


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
        yield Piece(range(done + 1, done + len(frame) + 1), raw, unused_columns(frame, inputs))
        done += len(frame)


def _pictures(path: Path, inputs: Image) -> Iterator[Piece]:
    from chainrule.data.sources.files import SUFFIXES
    from chainrule.data.sources.folder import iterate_images

    if path.suffix.lower() in SUFFIXES:
        raise InputError(
            f"This model takes images, but {str(path)!r} is a table; write an image or a folder of images."
        )
    for names, images in iterate_images(path, inputs):
        yield Piece(names, images, ())


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
    if images.is_floating_point():
        if not torch.isfinite(images).all():
            raise InputError("The images hold numbers that are not finite; remove them.")
        if inputs.white > 1 and 0 < float(images.max()) <= 1:
            raise InputError(
                f"This model takes images from 0 to {inputs.white:g}; received floats up to {float(images.max()):.3g}. "
                f"Multiply them by {inputs.white:g}."
            )
    if tuple(images.shape[2:]) != (inputs.height, inputs.width):
        return Resize(inputs.height, inputs.width)(images)
    return images
