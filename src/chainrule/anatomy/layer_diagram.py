"""A model's layers as a picture: a block for each map, as high as the map and as wide as its channels."""

import math
from collections.abc import Sequence

from chainrule.anatomy.pictures import Picture, clipped, some
from chainrule.anatomy.summary_columns import sized, window
from chainrule.anatomy.summary_rows import Row

ACROSS, MOST = 12, 120  # blocks in a line; blocks that are shown at most
CELL, HIGH, LINE = 80.0, 120.0, 15.0  # width of a block's place, height of the highest, height of a line of text
MARGIN, HEAD = 16.0, 40.0


def diagram(title: str, shape: Sequence[int], rows: Sequence[Row]) -> str:
    """The layers that multiply or have a window, from left to right, line by line, as SVG.

    Height and width of a block are logarithms of the map's side and of its channels; a vector is a thin block as high
    as the logarithm of its numbers.

    Args:
        title: Stands on top.
        shape: Shape of the input, without the batch; the first block.
        rows: The rows of the layer table.
    """
    telling = [row for row in rows if row.multiplications or row.kernel is not None]
    shown = [telling[index] for index in some(len(telling), MOST - 1)]
    blocks = [("input", "", tuple(shape), "")]
    blocks += [(row.type, window(row), row.size, _count(row.parameters)) for row in shown]
    lines = math.ceil(len(blocks) / ACROSS)
    strip = HIGH + 5 * LINE
    across = min(len(blocks), ACROSS)
    picture = Picture(2 * MARGIN + across * CELL, HEAD + lines * strip, f"Layers of {title}")
    left_out = f", {len(shown)} of {len(telling)} layers" if len(shown) < len(telling) else ""
    picture.text(MARGIN, 22, f"{title}{left_out}", "ink strong")
    for number, (kind, seen, size, parameters) in enumerate(blocks):
        middle = MARGIN + (number % ACROSS + 0.5) * CELL
        top = HEAD + number // ACROSS * strip
        picture.text(middle, top + LINE, clipped(kind, CELL), anchor="middle")
        picture.text(middle, top + 2 * LINE, clipped(seen, CELL), "muted", anchor="middle")
        width, height = _extent(size)
        look = "orange" if kind == "input" else "blue"
        picture.bar(middle - width / 2, top + 2 * LINE + 6 + (HIGH - height) / 2, width, height, look)
        picture.text(middle, top + 3 * LINE + 6 + HIGH, clipped(sized(size), CELL), anchor="middle")
        picture.text(middle, top + 4 * LINE + 6 + HIGH, parameters, "muted", anchor="middle")
    return picture.svg()


def _extent(size: Sequence[int]) -> tuple[float, float]:
    """Width and height of the block of a map ``(c, h, w)`` or of a vector."""
    wide, high = (size[0], max(size[1:])) if len(size) > 1 else (1, size[0] if size else 1)
    return min(4 + 5 * math.log2(1 + wide), CELL - 12), min(6 + 9.5 * math.log2(1 + high), HIGH)


def _count(parameters: int) -> str:
    """``35 k``, ``38 M``; nothing for none."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if parameters >= size:
            return f"{parameters / size:.3g} {unit}"
    return str(parameters) if parameters else ""
