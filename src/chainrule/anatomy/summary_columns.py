"""The layer table as text: its columns, and which of them stay in a narrow terminal."""

from collections.abc import Callable, Sequence

from chainrule.anatomy.summary_rows import Row

#: Columns by their head, from left to right; the first three are words.
COLUMNS: dict[str, Callable[[Row], str]] = {
    "layer": lambda row: row.name,
    "type": lambda row: row.type,
    "window": lambda row: window(row),
    "output": lambda row: sized(row.size),
    "weights": lambda row: counted(row.weights),
    "biases": lambda row: counted(row.biases),
    "parameters": lambda row: counted(row.parameters) or ("shared" if row.shared else ""),
    "multiplies": lambda row: counted(row.multiplications),
    "sees": lambda row: seen(row),
    "jump": lambda row: "" if row.field is None or row.field.whole else alike(row.field.stride),
    "centre": lambda row: "" if row.field is None else alike(row.field.centre),
    "memory": lambda row: memory(row.bytes) if row.bytes else "",
}
WORDS = ("layer", "type", "window")
SHORTENED = "long types"
#: What a table that does not fit goes without, one after the other; weights and biases become one column.
SPARED = ("centre", "memory", "biases", "jump", SHORTENED, "window", "type", "sees")
GAP = 2


def table(rows: Sequence[Row], width: int | None) -> tuple[list[str], list[list[str]], int]:
    """Heads and cells, and how many columns are words.

    Args:
        rows: The rows.
        width: Most letters in a line; None for any number.
    """
    heads = [head for head in COLUMNS if head != "parameters"]
    cells = {head: [cell(row) for row in rows] for head, cell in COLUMNS.items()}
    for spared in SPARED:
        if width is None or _width(heads, cells) <= width:
            break
        if spared == SHORTENED:
            cells["type"] = [clip(name, 12) for name in cells["type"]]
            continue
        heads.remove(spared)
        if spared == "biases":
            heads[heads.index("weights")] = "parameters"
    if width is not None and (over := _width(heads, cells) - width) > 0:
        least = max(8, max(map(len, cells["layer"])) - over)
        # The end of a dotted name tells more than its beginning.
        cells["layer"] = [clip(name[::-1], least)[::-1] for name in cells["layer"]]
    lines = [list(line) for line in zip(*(cells[head] for head in heads), strict=True)]
    return heads, lines, sum(head in WORDS for head in heads)


def _width(heads: Sequence[str], cells: dict[str, list[str]]) -> int:
    return sum(max(map(len, [head, *cells[head]])) + GAP for head in heads) - GAP


def clip(text: str, most: int) -> str:
    """A text of at most so many letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def sized(shape: Sequence[int]) -> str:
    """``3x224x224``."""
    return "x".join(map(str, shape))


def counted(number: int) -> str:
    """``1,234``; nothing for nothing."""
    return f"{number:,}" if number else ""


def alike(numbers: Sequence[float | None]) -> str:
    """One number for all axes where they agree: ``4``, ``4x2``."""
    texts = ["" if number is None else f"{number:g}" for number in numbers]
    return texts[0] if len(set(texts)) == 1 else "x".join(text or "-" for text in texts)


def window(row: Row) -> str:
    """``11 /4 +2``: kernel, stride and padding, then dilation and groups where they are not 1."""
    if row.kernel is None or row.stride is None or row.padding is None:
        return ""
    padding = row.padding if isinstance(row.padding, str) else alike(row.padding)
    parts = [alike(row.kernel), f"/{alike(row.stride)}" if set(row.stride) != {1} else ""]
    parts.append(f"+{padding}" if padding != "0" else "")
    parts.append(f"d{alike(row.dilation)}" if row.dilation and set(row.dilation) != {1} else "")
    parts.append(f"g{row.groups}" if row.groups and row.groups > 1 else "")
    return " ".join(filter(None, parts))


def seen(row: Row) -> str:
    """Size of the receptive field."""
    if row.field is None:
        return ""
    return "whole" if row.field.whole else alike(row.field.size)


def memory(count: int) -> str:
    """Bytes with a unit of a thousand, three digits."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"
