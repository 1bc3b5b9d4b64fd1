"""Tables: from a DataFrame and the name of its target to ``Data``."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chainrule.data.dataset import Data
from chainrule.data.sources.columns import encode, infer, named
from chainrule.data.sources.memory import in_memory, strata
from chainrule.data.sources.target import check_members, read_target
from chainrule.data.sources.values import has_uncertain_dates, parse, row_numbers, texts
from chainrule.data.splits import split
from chainrule.errors import InputError, listing, nearest

_LIKELY = ("target", "label", "class", "y")


def from_frame(
    frame: pd.DataFrame,
    *,
    name: str = "table",
    target: str | Sequence[str] | None,
    kind: str | None = None,
    group: str | None = None,
    ordered: str | None = None,
    categorical: Sequence[str] = (),
    missing: Sequence[str] = (),
    fractions: Sequence[float],
    seed: int = 0,
    fold: tuple[int, int] | None = None,
) -> Data:
    """Divide a table into splits, and find out what its columns and its target are.

    The columns of the target, of the group and of the order are no inputs.

    Args:
        frame: The table, a sample a row.
        name: Name of the data.
        target: Column of the target, or several.
        kind: ``"classes"``, ``"labels"`` or ``"real"``; None infers it.
        group: Column whose equal values stay on one side, such as a patient.
        ordered: Column of numbers or dates; the latest rows are the test split.
        categorical: Columns that are categories whatever their cells look like.
        missing: Texts that mean *missing* beside the usual ones.
        fractions: Shares of the training, validation and test split.
        seed: Seed of the split.
        fold: Which fold validates, and of how many.

    Raises:
        InputError: For anything in the table that cannot be used; the sentence says where and what to write.
    """
    frame = named(frame.reset_index(drop=True))
    if frame.empty:
        raise InputError(f"{name!r} has no rows; bring a table with rows.")
    targets = _targets(frame, target)
    for option, column in (("--group", group), ("--ordered", ordered)):
        if column is not None and _known(frame, column, option) in targets:
            raise InputError(f"Column {column!r} is the target and cannot be {option} as well; choose another column.")
    spec, values, notes = read_target(frame[targets], kind=kind, missing=missing)
    check_members(spec, values)
    parts = split(
        len(frame),
        fractions=fractions,
        seed=seed,
        fold=fold,
        strata=strata(spec, values),
        groups=None if group is None else _groups(frame[group], missing),
        order=None if ordered is None else _order(frame[ordered], missing),
    )
    apart = {*targets, group, ordered}
    used = frame[[column for column in frame.columns if column not in apart]]
    forced = [_known(used, column, "--categorical") for column in categorical]
    # Columns are what they are in all folds, so that models of different folds take the same rows.
    known = parts[0] if fold is None else np.concatenate(parts[:2])
    inputs, more = infer(used, known, categorical=forced, missing=missing)
    raw = encode(used, inputs)
    return in_memory(raw, values, parts, name=name, specs=(inputs, spec), notes=notes + more)


def _targets(frame: pd.DataFrame, target: str | Sequence[str] | None) -> list[str]:
    columns = frame.columns.tolist()
    if not target:
        likely = next((name for name in columns if name.lower() in _LIKELY), columns[-1])
        raise InputError(
            f"Which column is to be predicted? The table has {listing(columns, most=20)}; write --target {likely!r}, "
            "or another of them."
        )
    names = [target] if isinstance(target, str) else list(dict.fromkeys(target))
    return [_known(frame, name, "--target") for name in names]


def _known(frame: pd.DataFrame, name: str, option: str) -> str:
    if name in frame.columns:
        return name
    near = nearest(name, frame.columns)
    hint = f"did you mean {near!r}?" if near else f"the columns are {listing(frame.columns, most=20)}."
    raise InputError(f"There is no column named {name!r} for {option}; {hint}")


def _groups(column: pd.Series, missing: Sequence[str]) -> NDArray[np.int64]:
    codes, _ = pd.factorize(texts(column, missing))
    if (codes < 0).any():
        raise InputError(
            f"The group {column.name!r} is missing in {row_numbers(codes < 0, column.index)}; fill it in, or remove "
            "what cannot be filled in."
        )
    return codes.astype(np.int64)


def _order(column: pd.Series, missing: Sequence[str]) -> NDArray[np.float64]:
    numbers, dates = parse(column, "number", missing), parse(column, "date", missing)
    values = dates.values if np.isfinite(dates.values).sum() > np.isfinite(numbers.values).sum() else numbers.values
    bad = ~np.isfinite(values)
    if bad.any():
        uncertain = " (day and month cannot be told apart)" if has_uncertain_dates(column, missing) else ""
        raise InputError(
            f"The order {column.name!r} wants a number or a date in each row, but holds "
            f"{str(column[bad].iloc[0])!r}{uncertain} or the like in {row_numbers(bad, column.index)}; write dates as "
            "2024-12-31."
        )
    return values
