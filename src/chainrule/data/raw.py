"""Raw inputs from whatever a user has at hand, as the model was trained on them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chainrule.data.spec import Image, Inputs
from chainrule.errors import InputError
from chainrule.nn.resize import Resize


def as_raw(x: Any, inputs: Inputs) -> Tensor:
    """Raw inputs ``[n, ...]`` for a model.

    Args:
        x: A DataFrame, a list of dicts, an array or tensor, a path to a table, an image or a folder of images.
        inputs: What the model takes.

    Raises:
        InputError: When ``x`` cannot be such inputs.
    """
    if isinstance(x, str | Path):
        return _from_path(x, inputs)
    if isinstance(inputs, Image):
        return _images(x, inputs)
    from chainrule.data.sources.columns import encode

    return encode(x, inputs)


def _from_path(path: str | Path, inputs: Inputs) -> Tensor:
    if isinstance(inputs, Image):
        from chainrule.data.sources.folder import iterate_images

        return torch.cat([images for _, images in iterate_images(path, inputs)])
    from chainrule.data.sources.columns import encode
    from chainrule.data.sources.files import read_table

    return encode(read_table(path), inputs)


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
