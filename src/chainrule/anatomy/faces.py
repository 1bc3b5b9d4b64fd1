"""What the room's results have in common: tables as text, numbers in them, files."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chainrule import storage
from chainrule.errors import InputError, listing


def number(value: float | None) -> str:
    """Three significant digits; a dash for what there is not."""
    if value is None:
        return "–"
    text = f"{value:.3g}" if not 0 < abs(value) < 1e-3 else f"{float(f'{value:.2e}'):.2e}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def percent(share: float | None) -> str:
    """A share in percent, 0 and 100 only for what is exactly that."""
    if share is None or math.isnan(share):
        return "–"
    if 0 < share < 0.005 or 0.995 <= share < 1:
        return "< 0.5 %" if share < 0.5 else "> 99.5 %"
    return f"{100 * share:.0f} %"


def as_text(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns side by side, the first ``left`` flush left, the others flush right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_markdown(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """The same as a table in Markdown."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def plain(value: Any) -> Any:
    """Values as JSON knows them: what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(path: str | Path, faces: Mapping[str, Callable[[], str]]) -> Path:
    """Write one of a result's faces, chosen by the file's ending, and never over a file.

    Args:
        path: The file.
        faces: What makes the text for each ending, with its dot.

    Raises:
        InputError: When the ending is another one, the folder is missing, or the file exists.
    """
    path = Path(path)
    if path.suffix.lower() not in faces:
        raise InputError(f"{path.name} must end in one of {listing(faces)}, which says what is written.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} is missing; make it first.")
    if path.exists():
        raise InputError(f"{path} exists and is never overwritten; take another name.")
    storage.write_text(path, faces[path.suffix.lower()]())
    return path
