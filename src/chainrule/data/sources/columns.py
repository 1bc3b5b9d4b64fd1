"""The columns of a table: what kind each one is, and the one way from its cells to the raw tensor.

``infer`` looks at the table once and writes down a ``Vector``; ``encode`` turns rows into ``float64 [n, columns]``
with it. Training rows and the rows of a later prediction go through the same ``encode``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from chainrule.data.sources.values import (
    check_readable,
    counted,
    has_uncertain_dates,
    kind_of,
    parse,
    row_numbers,
    texts,
)
from chainrule.data.spec import Column, Vector
from chainrule.errors import InputError, listing, nearest

#: A category keeps its most frequent values; rarer ones count as unseen.
MOST_CATEGORIES = 100
_COUNTER = re.compile(r"(?i)(unnamed.*|index|row|#|.*id)")
_EMPTY = "the training rows hold no value"
_CONSTANT = "each training row has the same value"
_WANTED = {
    "number": "a number",
    "boolean": "true or false (or yes or no, or 1 or 0)",
    "date": "a date such as 2024-12-31",
}

Frame = pd.DataFrame | Sequence[Mapping[str, Any]] | np.ndarray | Tensor


def infer(
    frame: pd.DataFrame,
    train: NDArray[np.int64],
    *,
    categorical: Iterable[str] = (),
    missing: Iterable[str] = (),
) -> tuple[Vector, tuple[str, ...]]:
    """Find the kind of each column, and leave out those that cannot help.

    The kind is read from all rows. The categories, and whether a column is empty or constant, are read from the
    training rows only.

    Args:
        frame: The columns of the inputs.
        train: Positions of the training rows.
        categorical: Columns that are categories whatever their cells look like.
        missing: Texts that mean *missing* beside the usual ones.

    Returns:
        The spec of the inputs, and notes about what was left out and why.

    Raises:
        InputError: For a column that mixes text with numbers, and when no column is left.
    """
    check_readable(frame)
    forced, missing = set(categorical), tuple(missing)
    columns: list[Column] = []
    left_out: dict[str, list[str]] = {}
    notes: list[str] = []
    for name in frame.columns:
        column = _column(frame[name], train, forced=name in forced, missing=missing)
        if isinstance(column, str):
            left_out.setdefault(column, []).append(name)
            continue
        columns.append(column)
        if len(column.categories) == MOST_CATEGORIES < texts(frame[name], missing).iloc[train].nunique():
            notes.append(f"Of column {name!r} the {MOST_CATEGORIES} most frequent values are kept; others are unseen.")
    for reason, names in left_out.items():
        notes.append(f"Left out {listing(names)}: {reason}.")
    if not columns:
        why = " ".join(notes) or "The table has the target only."
        raise InputError(f"No column is left to learn from. {why} Bring a column that tells something of the target.")
    return Vector(tuple(columns), missing), tuple(notes)


def encode(frame: Frame, inputs: Vector) -> Tensor:
    """Turn rows of a table into the raw tensor that the spec describes.

    Args:
        frame: A DataFrame, of which columns that the spec does not name are not used; a list of dictionaries; a 2-d
            array with the columns in the order of the spec; or a tensor that is encoded already.
        inputs: Spec of the inputs.

    Returns:
        Float64 ``[n, columns]``: NaN where missing; for a category its index, ``Column.UNSEEN`` for an unseen one.

    Raises:
        InputError: For a missing column, a cell that does not fit its column, and infinite values; the sentence says
            which row.
    """
    if isinstance(frame, Tensor):
        _check_width(tuple(frame.shape), inputs)
        return _finite(frame.detach().cpu().double(), inputs, pd.RangeIndex(len(frame)))
    frame = as_frame(frame, inputs)
    absent = [name for name in inputs.names if name not in frame.columns]
    if absent:
        near = nearest(absent[0], [name for name in frame.columns if name not in inputs.names])
        hint = f"is {near!r} the same?" if near else f"there are {listing(frame.columns)}."
        raise InputError(
            f"The model was trained with {counted(len(absent), 'column')} that the rows lack, {listing(absent)}; {hint}"
        )
    raw = np.empty((len(frame), len(inputs.columns)), dtype=np.float64)
    for position, column in enumerate(inputs.columns):
        raw[:, position] = _encoded(frame[column.name], column, inputs.missing)
    return _finite(torch.from_numpy(raw), inputs, frame.index)


def unused_columns(frame: pd.DataFrame, inputs: Vector) -> list[str]:
    """The columns of a table that ``encode`` does not use."""
    return [str(name) for name in frame.columns if str(name) not in inputs.names]


def as_frame(frame: pd.DataFrame | Sequence[Mapping[str, Any]] | np.ndarray, inputs: Vector) -> pd.DataFrame:
    """Rows in any of the forms that ``encode`` takes as a DataFrame with text headers, each of them once."""
    if isinstance(frame, np.ndarray):
        _check_width(frame.shape, inputs)
        frame = pd.DataFrame(frame, columns=list(inputs.names))
    elif not isinstance(frame, pd.DataFrame):
        frame = pd.DataFrame(list(frame))
    return named(frame)


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table with text headers.

    Raises:
        InputError: When two columns have the same header.
    """
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"The header names {listing(twice)} more than once; give each column a name of its own.")
    return frame.set_axis(names, axis=1)


def _column(column: pd.Series, train: NDArray[np.int64], *, forced: bool, missing: tuple[str, ...]) -> Column | str:
    """The column as learned from the training rows, or the reason to leave it out."""
    name = str(column.name)
    if forced or isinstance(column.dtype, pd.CategoricalDtype):
        return _category(name, texts(column, missing).iloc[train], forced=True)
    kind, values = kind_of(column, missing)
    if kind == "category":
        if has_uncertain_dates(column, missing):
            return "dates whose day and month cannot be told apart; write them as 2024-12-31 to use them"
        return _category(name, texts(column, missing).iloc[train], forced=False)
    present = values[train][~np.isnan(values[train])]
    if len(present) == 0:
        return _EMPTY
    if len(present) == len(train) and present.min() == present.max():
        return _CONSTANT
    if kind == "number" and _COUNTER.fullmatch(name) and values[0] in (0, 1) and (np.diff(values) == 1).all():
        return "it only counts the rows"
    return Column(name, kind)


def _category(name: str, cells: pd.Series, *, forced: bool) -> Column | str:
    counts = cells.value_counts()
    present = int(counts.sum())
    if present == 0:
        return _EMPTY
    if len(counts) == 1 and present == len(cells):
        return _CONSTANT
    if not forced and len(counts) > 10 and len(counts) > 0.9 * present:
        return "a text that differs in nearly each row (write --categorical to keep it)"
    frequent = sorted(zip((-counts).tolist(), counts.index.tolist(), strict=True))[:MOST_CATEGORIES]
    return Column(name, "category", tuple(sorted(text for _, text in frequent)))


def _encoded(cells: pd.Series, column: Column, missing: tuple[str, ...]) -> NDArray[np.float64]:
    if column.kind == "category":
        text = texts(cells, missing)
        codes = pd.Index(column.categories, dtype="string").get_indexer(pd.Index(text)).astype(np.float64)
        return np.where(text.isna().to_numpy(dtype=bool), np.nan, codes)
    values, wrong = parse(cells, column.kind, missing)
    if wrong.any():
        first = cells[wrong].iloc[0]
        raise InputError(
            f"Column {column.name!r} wants {_WANTED[column.kind]}, but holds {str(first)!r} or the like in "
            f"{row_numbers(wrong, cells.index)}; correct it, or leave the cell empty where the value is "
            "missing."
        )
    return values


def _check_width(shape: tuple[int, ...], inputs: Vector) -> None:
    if len(shape) != 2 or shape[1] != len(inputs.columns):
        raise InputError(
            f"The rows have to come as [n, {len(inputs.columns)}], one column for each of {listing(inputs.names)}, "
            f"but an array of shape {list(shape)} came."
        )


def _finite(raw: Tensor, inputs: Vector, index: pd.Index) -> Tensor:
    infinite = torch.isinf(raw)
    if infinite.any():
        names = [inputs.names[position] for position in torch.nonzero(infinite.any(0)).flatten().tolist()]
        raise InputError(
            f"The inputs hold {counted(int(infinite.sum()), 'infinite value')}, in "
            f"{row_numbers(infinite.any(1).numpy(), index)}, column {listing(names)}; write a finite number, or leave "
            "the cell empty."
        )
    return raw
