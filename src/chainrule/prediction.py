"""Predictions for a file or a folder, streaming: rows in, rows out, in constant memory."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from chainrule.data.spec import Classes, Image, Labels, Target
from chainrule.models import assembly
from chainrule.run import Run, decided

Row = dict[str, Any]


def rows_of(run: Run, source: str | Path, *, warn: Callable[[str], None]) -> Iterator[Row]:
    """One row for each sample of a table, an image or a folder of images.

    Args:
        run: The run that predicts.
        source: A table, an image, or a folder of images.
        warn: Is told, in a sentence, of columns that are not used.

    Yields:
        Where the sample is from (``row`` or ``file``), the prediction, and the probability of each class or label.

    Raises:
        InputError: When the source cannot be read or does not fit.
    """
    for place, names, raw in _parts(run, source, warn):
        outputs = assembly.run(run.model, raw).numpy()
        for name, row in zip(names, _answers(outputs, run.target), strict=True):
            yield {place: name, **row}


def as_csv(rows: Iterable[Row], file: TextIO) -> None:
    """Write rows as CSV with a header."""
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)


def as_json(rows: Iterable[Row], file: TextIO) -> None:
    """Write one JSON object a line."""
    for row in rows:
        file.write(json.dumps(row) + "\n")


def _parts(
    run: Run, source: str | Path, warn: Callable[[str], None]
) -> Iterator[tuple[str, Iterable[Any], torch.Tensor]]:
    if isinstance(run.inputs, Image):
        from chainrule.data.sources.folder import iterate_images

        for names, images in iterate_images(source, run.inputs):
            yield "file", names, images
        return
    from chainrule.data.sources.columns import encode, unused_columns
    from chainrule.data.sources.files import read_chunks

    done = 0
    for frame in read_chunks(source):
        if not done and (
            unused := [name for name in unused_columns(frame, run.inputs) if name not in run.target.names]
        ):
            warn(f"{len(unused)} columns are not used: {', '.join(unused[:10])}.")
        yield "row", range(done + 1, done + len(frame) + 1), encode(frame, run.inputs)
        done += len(frame)


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
