"""Tables in files: CSV, TSV and Parquet, whole or in chunks.

Text is read as text, so that what a cell means is decided in one place (``chainrule.data.sources.values``), and so
that a chunk is read exactly as the whole file is.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from chainrule.data.sources.columns import named
from chainrule.errors import InputError, listing, nearest

_TEXT = (".csv", ".tsv", ".tab", ".txt")
_PARQUET = (".parquet", ".pq")
SUFFIXES = _TEXT + _PARQUET
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_OTHER_DELIMITER = re.compile(r"\s+|[:~^#&]")
# Rows longer than a block cannot be read; tables with thousands of columns stay far below this.
_BLOCK = 16 * 2**20
_SAMPLE = 64 * 2**10


def existing(path: str | Path) -> Path:
    """The path, which has to exist.

    Raises:
        InputError: When it does not; the sentence names the nearest file beside it.
    """
    path = Path(path)
    if path.exists():
        return path
    folder = path.parent
    near = nearest(path.name, [item.name for item in folder.iterdir()]) if folder.is_dir() else None
    hint = f"did you mean {str(folder / near)!r}?" if near else "check the path."
    raise InputError(f"There is no file or folder {str(path)!r}; {hint}")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a whole table.

    Raises:
        InputError: When there is no such file, or it is empty, damaged, ragged or not UTF-8.
    """
    frame = _frame(pa.Table.from_batches(_batches(path)))
    if frame.empty:
        raise InputError(f"{str(path)!r} has a header but no rows; write the rows below the header.")
    return frame


def read_chunks(path: str | Path, *, rows: int = 65_536) -> Iterator[pd.DataFrame]:
    """Read a table piece by piece, in constant memory.

    Args:
        path: A CSV, TSV or Parquet file.
        rows: The most rows of a piece.

    Yields:
        Pieces whose index counts the rows of the file from 0. A table without rows gives one empty piece.

    Raises:
        InputError: As in :func:`read_table`, when the reading comes to the place.
    """
    start = 0
    for batch in _batches(path):
        for first in range(0, max(batch.num_rows, 1), rows):
            frame = _frame(pa.Table.from_batches([batch.slice(first, rows)]))
            yield frame.set_axis(pd.RangeIndex(start, start + len(frame)), axis=0)
            start += len(frame)


def _batches(path: str | Path) -> Iterator[pa.RecordBatch]:
    """At least one batch, empty if need be, so that the columns are known."""
    path = existing(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{str(path)!r} is no table that can be read; save it as one of {', '.join(SUFFIXES)}.")
    return _parquet_batches(path) if path.suffix.lower() in _PARQUET else _text_batches(path)


def _frame(table: pa.Table) -> pd.DataFrame:
    return named(table.to_pandas(date_as_object=False).reset_index(drop=True))


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pa.parquet.ParquetFile(path) as file:
            yield from file.iter_batches()
            if file.metadata.num_rows == 0:
                yield pa.RecordBatch.from_pylist([], schema=file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{str(path)!r} cannot be read as Parquet, it is damaged or of another kind ({_brief(error)}); "
            "write the file again."
        ) from error


def _text_batches(path: Path) -> Iterator[pa.RecordBatch]:
    delimiter, header = _layout(path)
    names = [name.strip() or f"Unnamed: {position}" for position, name in enumerate(header)]
    try:
        with pa.csv.open_csv(
            path,
            read_options=pa.csv.ReadOptions(block_size=_BLOCK),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
        ) as reader:
            count = 0
            for batch in reader:
                count += batch.num_rows
                yield batch.rename_columns(names)
            if count == 0:
                yield pa.RecordBatch.from_pylist([], schema=reader.schema).rename_columns(names)
    except (pa.ArrowException, OSError) as error:
        raise InputError(_complaint(path, delimiter, error)) from error


def _layout(path: Path) -> tuple[str, list[str]]:
    """The delimiter and the header as it stands in the file."""
    with path.open("rb") as file:
        octets = file.read(_SAMPLE) + file.readline()
    if b"\0" in octets and not octets.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{str(path)!r} holds zero bytes, so it is no text; save the table as CSV or Parquet.")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(_encoding(path, octets, error)) from error
    if not text.strip():
        raise InputError(f"{str(path)!r} is empty; a table begins with a header that names its columns.")
    candidates = ["\t"] if path.suffix.lower() in (".tsv", ".tab") else list(_DELIMITERS)
    records = {delimiter: _records(text, delimiter) for delimiter in candidates}
    delimiter = max(candidates, key=lambda candidate: _fit(records[candidate]))
    header, *body = records[delimiter]
    words = _OTHER_DELIMITER.split(header[0].strip())
    if len(header) == 1 and len(words) > 1 and body and len(_OTHER_DELIMITER.split(body[0][0].strip())) == len(words):
        raise InputError(
            f"No character that separates the columns of {str(path)!r} was found: its header is the one column "
            f"{header[0]!r}; separate columns by one of {', '.join(_DELIMITERS.values())}."
        )
    return delimiter, header


def _records(text: str, delimiter: str) -> list[list[str]]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return [record for record, _ in zip(filter(None, reader), range(100), strict=False)]
    except csv.Error:
        return [[text]]


def _fit(records: list[list[str]]) -> tuple[float, int]:
    """How well a delimiter fits: it divides the header at all, then how many rows agree with it, then its width."""
    width = len(records[0])
    agreeing = sum(len(record) == width for record in records)
    return (agreeing / len(records) if width > 1 else 0.0, width)


def _complaint(path: Path, delimiter: str, error: Exception) -> str:
    """Find the place at which the fast reader stumbled, and say it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        width = len(next(filter(None, reader)))
        for record in filter(None, reader):
            if len(record) != width:
                return (
                    f"Line {reader.line_num} of {str(path)!r} has {len(record)} fields, but the header has {width} "
                    f"(separated by {_DELIMITERS[delimiter]}s): {listing(record)}; correct that line, and put a value "
                    'that holds the separator in "double quotes".'
                )
    except UnicodeDecodeError as place:
        return _encoding(path, place.object, place)
    except csv.Error:
        pass
    return f"{str(path)!r} cannot be read as a table ({_brief(error)}); save it as CSV again."


def _encoding(path: Path, octets: bytes, place: UnicodeDecodeError) -> str:
    guess = "UTF-16" if octets.startswith((b"\xff\xfe", b"\xfe\xff")) else "WINDOWS-1252"
    line = octets.count(b"\n", 0, place.start) + 1
    return (
        f"{str(path)!r} is not UTF-8: byte 0x{octets[place.start]:02x} at position {place.start} (line {line}); save "
        f"it as UTF-8, for instance by: iconv -f {guess} -t UTF-8 {path.name} > {path.stem}-utf8{path.suffix}"
    )


def _brief(error: Exception) -> str:
    return str(error).split("\n")[0][:200].rstrip(".")
