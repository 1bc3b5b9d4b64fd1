"""The target: classes, labels or real numbers, inferred from its values, and what cannot be a target."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chainrule.data.sources.values import check_readable, counted, is_missing, parse, row_numbers, texts
from chainrule.data.spec import Classes, Labels, Real, Target
from chainrule.errors import InputError, UnknownNameError, listing

#: Whole numbers with more distinct values than this are taken as numbers, not as classes.
MOST_CLASSES = 20


def read_target(
    frame: pd.DataFrame, *, kind: str | None = None, missing: Iterable[str] = ()
) -> tuple[Target, Tensor, tuple[str, ...]]:
    """Read one or several columns as the target.

    Args:
        frame: The columns of the target.
        kind: ``"classes"``, ``"labels"`` or ``"real"``; None infers it: text and booleans are classes, and so are few
            distinct whole numbers; several columns of zeros and ones are labels; other numbers are real.
        missing: Texts that mean *missing* beside the usual ones.

    Returns:
        The spec, the targets as ``chainrule.data.spec`` says, and notes.

    Raises:
        InputError: For missing or infinite values, dates, a single class, and values that do not fit the kind.
    """
    missing = tuple(missing)
    check_readable(frame)
    _check_present(frame, missing)
    notes: tuple[str, ...] = ()
    if kind is None:
        kind, notes = _infer(frame, missing)
    readers = {"classes": _classes, "labels": _labels, "real": _real}
    if kind not in readers:
        raise UnknownNameError("kind of target", kind, readers)
    spec, targets = readers[kind](frame, missing)
    return spec, targets, notes


def check_members(target: Target, targets: Tensor, what: str = "row") -> None:
    """Refuse a class with a single member: it cannot be both learned and tested.

    Raises:
        InputError: It names the class and says what to do.
    """
    if not isinstance(target, Classes):
        return
    counts = torch.bincount(targets, minlength=len(target.names))
    single = torch.nonzero(counts == 1).flatten().tolist()
    if single:
        place = int(torch.nonzero(targets == single[0])[0]) + 1
        more = f" (and {len(single) - 1} more classes likewise)" if len(single) > 1 else ""
        last = (
            "remove it, or write --kind real if the target is a number"
            if _all_numbers(target.names)
            else "or remove it"
        )
        raise InputError(
            f"Class {target.names[single[0]]!r} has one member only, {what} {place}{more}, so it cannot be both "
            f"learned and tested; add members, merge it with another class, {last}."
        )


def _check_present(frame: pd.DataFrame, missing: tuple[str, ...]) -> None:
    for name in frame.columns:
        numbers = parse(frame[name], "number", missing)
        # Among texts, "inf" is a text as well.
        bad = is_missing(frame[name], missing) | (np.isinf(numbers.values) & (not numbers.wrong.any()))
        if bad.any():
            raise InputError(
                f"The target {name!r} is missing or not finite in {np.count_nonzero(bad)} of "
                f"{counted(len(frame), 'row')}: {row_numbers(bad, frame.index)}; fill it in there, or remove what "
                "cannot be filled in."
            )


def _infer(frame: pd.DataFrame, missing: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    if len(frame.columns) > 1:
        binary = all(not parse(frame[name], "boolean", missing).wrong.any() for name in frame.columns)
        return ("labels" if binary else "real"), ()
    column = frame.iloc[:, 0]
    numbers = parse(column, "number", missing)
    if pd.api.types.is_bool_dtype(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype):
        return "classes", ()
    if numbers.wrong.any():
        if not parse(column, "date", missing).wrong.any():
            raise InputError(
                f"The target {column.name!r} holds dates; write --kind classes to take each date for a class, or "
                "choose a column of numbers."
            )
        return "classes", ()
    if (numbers.values != np.floor(numbers.values)).any():
        return "real", ()
    distinct = len(np.unique(numbers.values))
    few = distinct <= MOST_CLASSES and 2 * distinct <= len(column)
    taken, other = ("classes", "real") if few else ("real", "classes")
    words = "as classes" if few else "as a real number"
    note = f"The target {column.name!r} holds {distinct} different whole numbers and is taken {words}; --kind {other}"
    return taken, (f"{note} changes that.",)


def _classes(frame: pd.DataFrame, missing: tuple[str, ...]) -> tuple[Target, Tensor]:
    if len(frame.columns) > 1:
        raise InputError(
            f"Classes stand in one column, but {listing(frame.columns)} came; write one target, or --kind labels."
        )
    column = frame.iloc[:, 0]
    numbers = parse(column, "number", missing)
    if numbers.wrong.any() or pd.api.types.is_bool_dtype(column.dtype):
        codes, values = pd.factorize(texts(column, missing), sort=True)
        names = tuple(str(value) for value in values)
    else:
        distinct, codes = np.unique(numbers.values, return_inverse=True)
        names = tuple(repr(value).removesuffix(".0") for value in distinct.tolist())
    if len(names) < 2:
        raise InputError(
            f"The target {column.name!r} has one class only, {names[0]!r} in all {len(column)} rows, so there is "
            "nothing to tell apart; bring rows of another class, or choose another target."
        )
    return Classes(names), torch.from_numpy(codes.astype(np.int64))


def _labels(frame: pd.DataFrame, missing: tuple[str, ...]) -> tuple[Target, Tensor]:
    values = [_fitting(frame[name], "boolean", "0 or 1", missing) for name in frame.columns]
    return Labels(tuple(frame.columns)), torch.from_numpy(np.stack(values, axis=1)).float()


def _real(frame: pd.DataFrame, missing: tuple[str, ...]) -> tuple[Target, Tensor]:
    values = np.stack([_fitting(frame[name], "number", "numbers", missing) for name in frame.columns], axis=1)
    constant = [name for name, spread in zip(frame.columns, np.ptp(values, axis=0), strict=True) if spread == 0]
    if constant:
        raise InputError(
            f"The target {constant[0]!r} has the same value in all {len(frame)} rows, so there is nothing to learn; "
            "choose another target."
        )
    return Real(tuple(frame.columns)), torch.from_numpy(values).float()


def _fitting(column: pd.Series, kind: str, wanted: str, missing: tuple[str, ...]) -> np.ndarray:
    values, wrong = parse(column, "boolean" if kind == "boolean" else "number", missing)
    if wrong.any():
        raise InputError(
            f"The target {column.name!r} has to hold {wanted}, but {np.count_nonzero(wrong)} of {len(column)} values "
            f"do not: {str(column[wrong].iloc[0])!r} is the first, in {row_numbers(wrong, column.index)}; correct "
            "them, or write --kind classes if each text is a class."
        )
    return values


def _all_numbers(names: tuple[str, ...]) -> bool:
    try:
        return all(np.isfinite(float(name)) for name in names)
    except ValueError:
        return False
