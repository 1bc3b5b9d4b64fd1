"""From what stands in a table's cells to numbers, booleans, dates and texts.

Each reader takes a whole column, be it text from a file or a typed column of a DataFrame, and returns its values
together with the cells that do not fit. Inference and prediction use the same readers, so that both understand a cell
in the same way.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from chainrule.data.spec import ColumnKind
from chainrule.errors import InputError, listing

#: Texts that mean *missing*, as pandas reads them.
MISSING = frozenset(
    {"", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a", "nan", "null", "-NaN", "-nan"}
    | {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN"}
)
_BOOLEANS = {"true": 1.0, "yes": 1.0, "1": 1.0, "false": 0.0, "no": 0.0, "0": 0.0}
# Every format is certain about day and month by itself; a date such as 03/04/2024 is not, and is never guessed.
_ISO = re.compile(r"(1[5-9]|2[01])\d\d[-/]\d\d\b.*")
_DAYS = ("%Y/%m/%d", "%d.%m.%Y", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
_FORMATS = tuple(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S"))
_UNCERTAIN_DATE = re.compile(r"\d{1,2}[/-]\d{1,2}[/-]\d{4}\b.*")
_COMMA_NUMBER = re.compile(r"[+-]?\d[\d.]*(,\d+)+(\.\d+)?")


class Parsed(NamedTuple):
    """A column read as one kind.

    Attributes:
        values: Float64 ``[n]``, NaN where missing or wrong.
        wrong: Bool ``[n]``: cells that are not missing and not of the kind.
    """

    values: NDArray[np.float64]
    wrong: NDArray[np.bool_]


def parse(column: pd.Series, kind: ColumnKind, missing: Iterable[str] = ()) -> Parsed:
    """Read a column as numbers, booleans (0, 1) or dates (days since 1970, UTC)."""
    return {"number": _numbers, "boolean": _booleans, "date": _dates}[kind](column, missing)


def texts(column: pd.Series, missing: Iterable[str] = ()) -> pd.Series:
    """The cells as stripped text, ``NA`` where missing; whole numbers lose a trailing ``.0``."""
    dtype: Any = pd.StringDtype("pyarrow")
    return pd.Series(dtype.__from_arrow__(_arrow_texts(column, missing)), index=column.index, name=column.name)


def is_missing(column: pd.Series, missing: Iterable[str] = ()) -> NDArray[np.bool_]:
    """Which cells are missing."""
    known = column if pd.api.types.is_numeric_dtype(column.dtype) else texts(column, missing)
    return known.isna().to_numpy(dtype=bool)


def kind_of(column: pd.Series, missing: Iterable[str] = ()) -> tuple[ColumnKind, NDArray[np.float64]]:
    """The kind of a column: the first of number, date and boolean that fits every cell, else category.

    Returns:
        The kind, and the column read as that kind (all NaN for a category).

    Raises:
        InputError: For a column that mixes text with numbers or dates, and for numbers written with a comma.
    """
    kinds: tuple[ColumnKind, ...] = ("number", "date", "boolean")
    for kind in kinds[2:] if pd.api.types.is_bool_dtype(column.dtype) else kinds:
        parsed = parse(column, kind, missing)
        good, bad = np.count_nonzero(~np.isnan(parsed.values)), np.count_nonzero(parsed.wrong)
        if not bad:
            return kind, parsed.values
        # Any number beside text is refused, for it is easily an error; a date or a "no" is so only among its likes.
        if (kind == "number" and good) or (kind == "date" and good > bad):
            raise InputError(_mixed(column, kind, parsed))
    present = texts(column, missing).dropna()
    if present.str.fullmatch(_COMMA_NUMBER.pattern).all():
        raise InputError(_comma(column.name, present.iloc[0]))
    return "category", parsed.values


def has_uncertain_dates(column: pd.Series, missing: Iterable[str] = ()) -> bool:
    """Whether all cells are dates such as ``03/04/2024``, which may be in March or in April."""
    present = texts(column, missing).dropna()
    return len(present) > 0 and bool(present.str.fullmatch(_UNCERTAIN_DATE.pattern).all())


def check_readable(frame: pd.DataFrame) -> None:
    """Refuse columns whose cells are lists, arrays, dictionaries or complex numbers.

    Raises:
        InputError: It names the column and what it holds.
    """
    for name in frame.columns:
        column = frame[name]
        first = column.dropna().head(1).tolist() if column.dtype == object else []
        if column.dtype.kind == "c" or (first and isinstance(first[0], list | tuple | dict | set | np.ndarray)):
            what = type(first[0]).__name__ if first else "complex number"
            raise InputError(
                f"Column {name!r} holds values of type {what}, but a table holds numbers, booleans, texts and dates; "
                "spread its parts over columns of their own, or leave it out."
            )


def row_numbers(mask: NDArray[np.bool_], index: pd.Index) -> str:
    """``row 3`` or ``rows 3, 5 and 9``, counted from 1; a chunk's range index says where in the file it starts."""
    positions = np.flatnonzero(mask)
    if isinstance(index, pd.RangeIndex):
        positions = index.to_numpy()[positions]
    return f"row{'s' if len(positions) > 1 else ''} {listing(position + 1 for position in positions.tolist())}"


def counted(count: int, word: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def _numbers(column: pd.Series, missing: Iterable[str]) -> Parsed:
    if pd.api.types.is_numeric_dtype(column.dtype):
        return Parsed(column.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool))
    try:
        read = compute.cast(_arrow_texts(column, missing), pa.float64())
        return Parsed(read.to_numpy(zero_copy_only=False), np.zeros(len(column), dtype=bool))
    except pa.ArrowInvalid:
        text = texts(column, missing)
        some: Any = pd.to_numeric(text, errors="coerce")
        values: NDArray[np.float64] = some.to_numpy(dtype=np.float64, na_value=np.nan)
        return Parsed(values, _wrong(text, values))


def _booleans(column: pd.Series, missing: Iterable[str]) -> Parsed:
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        fits = (numbers == 0) | (numbers == 1) | np.isnan(numbers)
        return Parsed(np.where(fits, numbers, np.nan), ~fits)
    text = texts(column, missing)
    read: Any = text.str.lower().map(_BOOLEANS)
    values: NDArray[np.float64] = read.to_numpy(dtype=np.float64, na_value=np.nan)
    return Parsed(values, _wrong(text, values))


def _dates(column: pd.Series, missing: Iterable[str]) -> Parsed:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return Parsed(_days(pd.to_datetime(column, utc=True)), np.zeros(len(column), dtype=bool))
    if pd.api.types.is_numeric_dtype(column.dtype):
        return Parsed(np.full(len(column), np.nan), column.notna().to_numpy(dtype=bool))
    text = texts(column, missing)
    values = np.full(len(text), np.nan)
    sample = text.dropna().head(100)
    # Most text columns are no dates, and this sees it at once: a date has five digits or more.
    if len(sample) and (sample.str.count(r"\d") >= 5).mean() > 0.5:
        iso = text.where(text.str.fullmatch(_ISO.pattern).fillna(False).astype(bool))
        values = _days(pd.to_datetime(iso, format="ISO8601", errors="coerce", utc=True))
        for layout in _FORMATS:
            rest = np.isnan(values) & text.notna().to_numpy(dtype=bool)
            if not rest.any():
                break
            values[rest] = _days(pd.to_datetime(text[rest], format=layout, errors="coerce", utc=True))
    return Parsed(values, _wrong(text, values))


def _arrow_texts(column: pd.Series, missing: Iterable[str]) -> Any:
    """What :func:`texts` returns, in Arrow: there a step costs microseconds, and tables have thousands of columns."""
    values = column.cat.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    text = pa.array(column if isinstance(column.dtype, pd.StringDtype) else column.astype("string"))
    text = compute.utf8_trim_whitespace(text)
    if pd.api.types.is_float_dtype(values):
        text = compute.replace_substring_regex(text, r"\.0$", "")
    absent = compute.is_in(text, value_set=pa.array(sorted(MISSING.union(missing)), text.type))
    return compute.if_else(absent, pa.scalar(None, text.type), text)


def _days(moments: pd.Series) -> NDArray[np.float64]:
    stamps = moments.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64) / 86_400e6)


def _wrong(text: pd.Series, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return text.notna().to_numpy(dtype=bool) & np.isnan(values)


def _mixed(column: pd.Series, kind: ColumnKind, parsed: Parsed) -> str:
    first = str(column[parsed.wrong].iloc[0])
    if kind == "number" and _COMMA_NUMBER.fullmatch(first.strip()):
        return _comma(column.name, first)
    good, bad = np.count_nonzero(~np.isnan(parsed.values)), np.count_nonzero(parsed.wrong)
    row = row_numbers(_first(parsed.wrong), column.index)
    return (
        f"Column {column.name!r} mixes {counted(int(good), kind)} with {counted(int(bad), 'other text')}, the first of "
        f"them {first!r} in {row}; "
        f"write --categorical {column.name!r} to take each value for a category, or --missing {first!r} "
        "if that text means that the value is missing."
    )


def _comma(name: object, example: str) -> str:
    return (
        f"Column {name!r} holds numbers with a comma, such as {example!r}; write them with a decimal point and "
        "without separators of thousands, as in 1234.5."
    )


def _first(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    first = np.zeros_like(mask)
    first[np.argmax(mask)] = True
    return first
