"""Checks of the inputs by themselves: finite, not constant, not twice the same."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from chainrule.data.spec import Vector
from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.running import placed
from chainrule.doctor.measures.samples import Floats, Samples, samples
from chainrule.doctor.probe import Probe
from chainrule.errors import listing
from chainrule.registry import register

#: Places and columns that are named; the rest is counted.
NAMED = 5
#: Of fewer samples nothing can be said about columns.
FEWEST = 10
#: Rows on the rarer side of a two-valued column from which on two equal ones are no coincidence.
RARER = 5


@register("check", "finite", family="data", inputs=("probe",))
def finite(probe: Probe) -> Finding | None:
    """Every input and every target is a finite number."""
    data = probe.program.data
    encoded = data is not None and isinstance(data.inputs, Vector)
    found: dict[str, Tensor] = {}
    for part, sample in (("training", probe.sample), ("validation", probe.valid)):
        if sample is not None:
            inputs = sample.inputs
            # The encoder of a table takes NaN as missing.
            found[f"{part} inputs"] = inputs.isinf() if encoded else ~inputs.isfinite()
            found[f"{part} targets"] = ~sample.targets.isfinite()
    bad = {name: marks for name, marks in found.items() if bool(marks.any())}
    counts = {name: int(marks.sum()) for name, marks in bad.items()}
    if not bad:
        said = ", missing values of the table aside" if encoded and probe.sample.inputs.isnan().any() else ""
        return Finding(check="finite", status="PASS", sentence=f"All inputs and targets are finite{said}.")
    first = next(iter(bad))
    rows = torch.nonzero(bad[first].reshape(len(bad[first]), -1).any(1)).flatten()
    places = [int(row) for row in rows[:NAMED]]
    evidence = {"counts": counts, "first": first, "samples": places}
    listed = ", ".join(f"{count} of the numbers of the {name}" for name, count in counts.items())
    sentence = f"Not finite: {listed}, first in samples {', '.join(map(str, places))} of the {first}."
    if not any("targets" in name for name in bad) and _handled(probe):
        return Finding(
            check="finite",
            status="PASS",
            sentence=f"{sentence} The model gives finite outputs all the same.",
            where=first,
            evidence=evidence,
        )
    return Finding(
        check="finite",
        status="FAIL",
        sentence=sentence,
        where=first,
        evidence=evidence,
        cause="Values are missing or overflowed, and one of them makes every weight that it reaches NaN.",
        remedy="Replace them before training, as by inputs.nan_to_num(), or drop these samples.",
    )


@register("check", "constant-inputs", family="data", inputs=("probe",))
def constant_inputs(probe: Probe) -> Finding | None:
    """The inputs differ from sample to sample, and no column is the same for all."""
    found = probe.measure(samples)
    if len(found) < 2 or not np.isfinite(found.flat).any():
        return None
    same = _constant(found.flat)
    number, width = int(same.sum()), len(same)
    evidence: dict[str, Any] = {"constant": number, "columns": width, "samples": len(found)}
    if number == width:
        return Finding(
            check="constant-inputs",
            status="FAIL",
            sentence=f"All {len(found)} samples that were looked at have the same inputs.",
            evidence=evidence,
            cause="The inputs are overwritten, zeroed, or read from one place, before they reach the batches.",
            remedy="Look at what the data set gives for two indices; they have to differ.",
        )
    channels = [c for c in np.unique(found.channel) if same[found.channel == c].all()]
    matters = found.columns or (found.form in ("images", "sequences") and channels)
    if not number or not matters:
        word = "numbers of the border are" if number else "numbers are"
        sentence = f"The inputs vary: {number} of {width} {word} the same for all {len(found)} samples."
        return Finding(check="constant-inputs", status="PASS", sentence=sentence, evidence=evidence)
    names = [found.names[i] for i in np.flatnonzero(same)] if found.columns else [f"channel {c}" for c in channels]
    return Finding(
        check="constant-inputs",
        status="WARN",
        sentence=f"{len(names)} of the inputs' {'columns' if found.columns else 'channels'} are the same for all "
        f"{len(found)} samples: {listing(names)}.",
        where=names[0],
        evidence={**evidence, "names": names[:NAMED]},
        cause="They say nothing, and dividing by their spread of zero gives NaN.",
        remedy=f"Drop them: {listing(names)}.",
    )


@register("check", "duplicate-columns", family="data", inputs=("probe",))
def duplicate_columns(probe: Probe) -> Finding | None:
    """No column is another one over again."""
    found = probe.measure(samples)
    if found.form in ("images", "tokens") or found.pictured or len(found) < FEWEST:
        return None
    flat, names = _by_channel(found)
    usable = np.isfinite(flat).all(axis=0) & ~_constant(flat)
    numbers = [int(i) for i in np.flatnonzero(usable) if _telling(flat[:, i])]
    if len(numbers) < 2:
        return None
    columns = flat[:, numbers]
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    alike = columns.T @ columns / len(columns)
    pairs = [
        (names[numbers[i]], names[numbers[j]])
        for i, j in np.argwhere(np.triu(np.abs(alike) > 1 - 1e-9, 1))
        # The two columns of a yes and a no are a usual way to write one.
        if alike[i, j] > 0 or len(np.unique(columns[:, i])) > 2
    ]
    if not pairs:
        sentence = f"No two of {len(numbers)} columns are the same."
        return Finding(check="duplicate-columns", status="PASS", sentence=sentence)
    listed = [f"{first} and {second}" for first, second in pairs]
    return Finding(
        check="duplicate-columns",
        status="WARN",
        sentence=f"{len(pairs)} pairs of columns say the same, up to their units: {listing(listed)}.",
        where=pairs[0][1],
        evidence={"pairs": [list(pair) for pair in pairs[:NAMED]], "number": len(pairs)},
        cause="A column was joined twice, or stands there in two units; it counts double wherever distances do.",
        remedy=f"Drop one of each pair: {listing([second for _, second in pairs])}.",
    )


def _handled(probe: Probe) -> bool:
    """Whether the model gives finite outputs for inputs with NaN in them."""
    if probe.sample.inputs.isinf().any() or (probe.valid is not None and probe.valid.inputs.isinf().any()):
        return False

    def outputs_are_finite(probe: Probe) -> bool:
        model = probe.copied().model.eval()
        batches = [*probe.sample.batches, *(probe.valid.batches if probe.valid else [])]
        try:
            with torch.no_grad():
                return all(bool(model(placed(model, inputs)).isfinite().all()) for inputs, _ in batches)
        except Exception:  # the check of the forward pass says so
            return False

    return probe.measure(outputs_are_finite)


def _constant(flat: Floats) -> np.ndarray:
    known = np.isfinite(flat)
    least = np.where(known, flat, np.inf).min(axis=0)
    return np.asarray(least >= np.where(known, flat, -np.inf).max(axis=0))


def _by_channel(found: Samples) -> tuple[Floats, list[str]]:
    """Columns of a table, or the channels of sequences with all their steps one below the other."""
    if found.form == "sequences":
        flat = found.maps.double().movedim(1, 0).flatten(1).T.numpy()
        return flat, [f"channel {number}" for number in range(flat.shape[1])]
    return found.flat, list(found.names)


def _telling(column: Floats) -> bool:
    """Whether a column has enough in it to be equal to another one by no coincidence."""
    values, counts = np.unique(column, return_counts=True)
    return len(values) >= 5 or (len(column) - counts.max()) >= RARER
