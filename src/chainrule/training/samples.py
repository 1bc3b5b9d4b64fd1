"""One sample as a reader can recognise it: a picture, or the values of a row."""

import base64
import io
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from chainrule.data.dataset import Split
from chainrule.data.spec import Column, Image, Inputs, Volume
from chainrule.shapes import Tensor

SMALLEST, LARGEST = 96, 192  # longer side of a shown picture, in pixels


def describe_sample(split: Split, index: int, inputs: Inputs) -> dict[str, Any]:
    """One sample as a reader can recognise it.

    Args:
        split: The split that holds it.
        index: Its position in the split.
        inputs: What the inputs are.

    Returns:
        ``{"origin": ..., "picture": data URI of a PNG}`` for an image, enlarged or reduced to a longer side of 96 to
        192 pixels; the same for a volume, of the slice in the middle of its depth, which the origin then says;
        ``{"origin": ..., "values": {column: text}}`` for a row of a table.
    """
    raw = split[index][0]
    origin = str(split.origin[index])
    if isinstance(inputs, Image):
        return {"origin": origin, "picture": _picture(raw, inputs.white)}
    if isinstance(inputs, Volume):
        return {"origin": f"{origin}, middle slice", "picture": _picture(raw[:, inputs.depth // 2], inputs.white)}
    values = zip(inputs.columns, raw.tolist(), strict=True)
    return {"origin": origin, "values": {column.name: _written(column, value) for column, value in values}}


def _picture(raw: Tensor, white: float) -> str:
    """The image as a data URI: grey for one channel, colour for three, else the mean of the channels."""
    from PIL import Image as Pillow

    pixels = np.nan_to_num(raw.detach().double().cpu().numpy() / white)
    pixels = (pixels.clip(0, 1) * 255).round().astype(np.uint8)
    image = Pillow.fromarray(pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels.mean(0).astype(np.uint8))
    longer = max(image.size)
    if longer > LARGEST:
        image.thumbnail((LARGEST, LARGEST))
    elif longer < SMALLEST:
        factor = math.ceil(SMALLEST / longer)  # a whole number, so that all pixels stay squares of one size
        image = image.resize((image.width * factor, image.height * factor), Pillow.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _written(column: Column, value: float) -> str:
    """A raw value of a table as its reader wrote it."""
    if math.isnan(value):
        return "missing"
    if column.kind == "boolean":
        return "yes" if value else "no"
    if column.kind == "category":
        return "unseen" if value == Column.UNSEEN else column.categories[int(value)]
    if column.kind == "date" and math.isfinite(value):
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=value)
        return moment.strftime("%Y-%m-%d" if value == int(value) else "%Y-%m-%d %H:%M:%S")
    return f"{value:.6g}"
