"""Predictions for a file or a folder, streaming: rows in, rows out, in constant memory."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from chainrule.config import configure
from chainrule.data.raw import pieces
from chainrule.data.spec import Classes, Labels, Target
from chainrule.errors import InputError, listing
from chainrule.models import assembly
from chainrule.run import Run, decided

Row = dict[str, Any]


def rows_of(run: Run, source: str | Path, *, warn: Callable[[str], None]) -> Iterator[Row]:
    """One row for each sample of a table, an image, a folder of images or an ``.npz`` file.

    Args:
        run: The run that predicts.
        source: A table, an image, a folder of images, or an ``.npz`` file with the array ``x``.
        warn: Is told, in a sentence, of columns that are not used.

    Yields:
        Where the sample is from (``row``, ``file`` or ``sample``), the prediction, and the probability of each class
        or label.

    Raises:
        InputError: When the source cannot be read or does not fit.
    """
    known = {*run.target.names, *_apart(run)}
    for number, piece in enumerate(pieces(source, run.inputs)):
        if number == 0 and (unused := [name for name in piece.unused if name not in known]):
            what = "column is" if len(unused) == 1 else "columns are"
            warn(f"{len(unused)} {what} not used by this model: {listing(unused, most=10)}.")
        outputs = assembly.run(run.model, piece.raw).numpy()
        for name, row in zip(piece.names, _answers(outputs, run.target), strict=True):
            yield {piece.place: name, **row}


def writer(path: str | None, *, json: bool) -> Callable[[Iterable[Row], TextIO], None]:
    """What writes rows in the form that a file's ending asks for; without a file CSV, or JSON lines.

    Raises:
        InputError: For an ending that says nothing, or says something else than ``json``.
    """
    if path is None:
        return as_json_lines if json else as_csv
    forms = {".csv": as_csv, ".json": as_json, ".jsonl": as_json_lines}
    ending = Path(path).suffix.lower()
    if ending not in forms:
        raise InputError(f"Predictions are written as CSV or JSON; {path!r} must end in {', '.join(forms)}.")
    if json and ending == ".csv":
        raise InputError(f"JSON was asked for, but {path!r} ends in .csv; write a name that ends in .json or .jsonl.")
    return forms[ending]


def as_csv(rows: Iterable[Row], file: TextIO) -> None:
    """Write rows as CSV with a header."""
    table = None
    for row in rows:
        if table is None:
            table = csv.DictWriter(file, list(row), lineterminator="\n")
            table.writeheader()
        table.writerow(row)


def as_json(rows: Iterable[Row], file: TextIO) -> None:
    """Write a JSON list of objects, one a line."""
    before = "[\n"
    for row in rows:
        file.write(before + json.dumps(row, ensure_ascii=False))
        before = ",\n"
    file.write("\n]\n")


def as_json_lines(rows: Iterable[Row], file: TextIO) -> None:
    """Write one JSON object a line."""
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _apart(run: Run) -> set[str]:
    """Columns of the training table that were no inputs: the target, the group and the order."""
    try:
        config = configure(run.config)
    except InputError:
        return set()  # a damaged config.json is no reason not to predict
    return {name.strip() for name in (config.target or "").split(",")} | {config.group or "", config.ordered or ""}


def _answers(outputs: np.ndarray, target: Target) -> Iterator[Row]:
    answers = decided(outputs, target).tolist()
    if isinstance(target, Classes):
        for answer, chances in zip(answers, outputs.tolist(), strict=True):
            yield {"predicted": answer, **_chances(target.names, chances)}
    elif isinstance(target, Labels):
        for answer, chances in zip(answers, outputs.tolist(), strict=True):
            yield {**dict(zip(target.names, answer, strict=True)), **_chances(target.names, chances)}
    else:
        for values in outputs.tolist():
            yield dict(zip(target.names, values, strict=True))


def _chances(names: tuple[str, ...], chances: list[float]) -> Row:
    return {f"p({name})": round(chance, 6) for name, chance in zip(names, chances, strict=True)}
