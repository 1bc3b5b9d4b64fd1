"""``load``: from whatever holds the data to ``Data``."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from chainrule.config import Config
from chainrule.data.dataset import Data
from chainrule.data.splits import duplicates
from chainrule.errors import InputError, UnknownNameError, listing

FRACTIONS = Config().shares
_TABLE_OPTIONS = ("kind", "group", "ordered", "categorical", "missing")


def load(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    kind: str | None = None,
    group: str | None = None,
    ordered: str | None = None,
    categorical: Sequence[str] = (),
    missing: Sequence[str] = (),
    size: int | tuple[int, int] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    fold: tuple[int, int] | None = None,
) -> Data:
    """Load data and divide it into a training, a validation and a test split.

    Args:
        source: A built-in name (``digits``, ``iris``, ``wine``, ``breast-cancer``, ``diabetes``, ``linnerud``); the
            path of a CSV, TSV, Parquet or NPZ file, or of a folder of images; a DataFrame; a pair ``(X, y)`` of arrays,
            tensors or frames; a torch dataset that gives ``(x, y)``; or ``Data``, which is returned as it is.
        target: Column of a table to be predicted, or several.
        kind: ``"classes"``, ``"labels"`` or ``"real"``; None infers it from the target's values.
        group: Column of a table; rows with the same value stay in one split.
        ordered: Column of a table, numbers or dates; the latest rows are the test split.
        categorical: Columns that are categories whatever their cells look like.
        missing: Texts that mean *missing* in a table, beside the usual ones.
        size: Height and width to which images of a folder are resized.
        fractions: Shares of the training, validation and test split.
        seed: Seed of the split.
        fold: Cross-validation: ``(2, 5)`` divides all rows but those of the test split into five parts, and validates
            on the second.

    Returns:
        The three splits and what their inputs and their target are; duplicates between splits are counted.

    Raises:
        InputError: When the source or an option cannot be used; the sentence says why and what to write.
    """
    given: dict[str, Any] = {
        "target": target,
        "kind": kind,
        "group": group,
        "ordered": ordered,
        "categorical": [categorical] if isinstance(categorical, str) else list(categorical),
        "missing": [missing] if isinstance(missing, str) else list(missing),
        "size": size,
    }
    options = {name: value for name, value in given.items() if value not in (None, [], ())}
    if isinstance(source, Data):
        if tuple(fractions) != FRACTIONS:
            options["fractions"] = fractions
        if fold is not None:
            options["fold"] = fold
        _allow(options, (), "Data")
        return source
    cut: dict[str, Any] = {"fractions": tuple(fractions), "seed": seed, "fold": fold}
    if isinstance(source, str | os.PathLike):
        data = _from_path(os.fspath(source), options, cut)
    elif isinstance(source, tuple | list) and len(source) == 2:
        data = _from_pair(source[0], source[1], options, cut)
    elif isinstance(source, Dataset):
        from chainrule.data.sources.streamed import from_dataset

        data = from_dataset(source, **_allow(options, ("kind",), "a torch dataset"), **cut)
    else:
        data = _from_frame(source, options, cut)
    return replace(data, duplicates=duplicates(data))


def _from_path(source: str, options: dict[str, Any], cut: dict[str, Any]) -> Data:
    from chainrule.data.sources.builtin import NAMES, from_builtin

    if source in NAMES:
        _allow(options, (), f"the built-in {source!r}")
        return from_builtin(source, **cut)
    path = Path(source)
    if not source.strip():
        raise InputError("The source is empty; write a built-in name, a file, or a folder of images.")
    if not path.exists() and not path.suffix and len(path.parts) == 1 and not source.endswith(os.sep):
        raise UnknownNameError("built-in data set, file or folder", source, NAMES)

    from chainrule.data.sources.files import SUFFIXES, existing, read_table

    path = existing(path)
    if path.is_dir():
        from chainrule.data.sources.folder import from_folder

        options = _allow(options, ("kind", "size"), "a folder of images")
        return from_folder(path, kind=options.get("kind"), size=options.get("size"), **cut)
    if path.suffix.lower() == ".npz":
        from chainrule.data.sources.arrays import from_npz

        return from_npz(path, **_allow(options, ("kind",), "an .npz file"), **cut)
    if path.suffix.lower() in SUFFIXES:
        from chainrule.data.sources.table import from_frame

        options = _allow(options, ("target", *_TABLE_OPTIONS), "a table")
        return from_frame(read_table(path), name=path.name, target=options.pop("target", None), **options, **cut)
    raise InputError(
        f"{source!r} is of no kind that can be loaded; bring a folder of images, or a file that ends in "
        f"{', '.join((*SUFFIXES, '.npz'))}."
    )


def _from_pair(x: Any, y: Any, options: dict[str, Any], cut: dict[str, Any]) -> Data:
    """A pair with a frame, or with cells that are not all numbers, is a table; any other pair is arrays."""
    import pandas as pd

    from chainrule.data.sources.arrays import as_array, from_arrays
    from chainrule.data.sources.table import from_frame

    frame = x if isinstance(x, pd.DataFrame) else None
    if frame is None:
        x = as_array(x)
        if x.ndim != 2 or x.dtype.kind not in "OUST":
            return from_arrays(x, y, **_allow(options, ("kind",), "a pair of arrays"), **cut)
        frame = pd.DataFrame(x, columns=[f"x{position}" for position in range(x.shape[1])])
    options = _allow(options, _TABLE_OPTIONS, "a pair of a table and its targets")
    targets = (y if isinstance(y, pd.DataFrame) else pd.DataFrame(y)).reset_index(drop=True)
    if len(targets) != len(frame):
        raise InputError(f"As many targets as rows are wanted, but {len(frame)} rows and {len(targets)} targets came.")
    if not isinstance(y, pd.DataFrame):
        name = getattr(y, "name", None)
        only = len(targets.columns) == 1
        targets.columns = pd.Index([str(name or "target") if only else f"y{column}" for column in targets.columns])
    table = pd.concat([frame.reset_index(drop=True), targets], axis=1)
    return from_frame(table, target=[str(column) for column in targets.columns], **options, **cut)


def _from_frame(source: Any, options: dict[str, Any], cut: dict[str, Any]) -> Data:
    import pandas as pd

    from chainrule.data.sources.table import from_frame

    if not isinstance(source, pd.DataFrame):
        raise InputError(
            f"Data of type {type(source).__name__} cannot be loaded; bring a built-in name, a path, a DataFrame, a "
            "pair (X, y), or a torch dataset."
        )
    options = _allow(options, ("target", *_TABLE_OPTIONS), "a DataFrame")
    return from_frame(source, target=options.pop("target", None), **options, **cut)


def _allow(options: dict[str, Any], allowed: Sequence[str], what: str) -> dict[str, Any]:
    """The options, if all of them mean something for this kind of source."""
    strange = [option for option in options if option not in allowed]
    if strange:
        understood = f"it understands {listing(allowed)}" if allowed else "it needs no option of this kind"
        raise InputError(f"The option {listing(strange)} has no meaning for {what}; leave it out ({understood}).")
    return dict(options)
