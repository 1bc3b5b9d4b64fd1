"""Checks of scale: what reaches the first layer, and what the loss asks for, should be near mean 0 and spread 1.

LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, chapter 4.3. Numbers far away are no fault as long as the program
learns; where they are suspicious, the program's own training is compared with one that differs in their scale alone.
"""

import math

import numpy as np

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.criterion import criterion
from chainrule.doctor.measures.samples import samples
from chainrule.doctor.measures.scale import Arrival, Comparison, arrival, inputs_standardised, targets_standardised
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Root mean square at the first layer from which on a trial is worth its time: 0..1, -1..1 and 0..16 are within.
LARGE, SMALL = 8.0, 0.02
#: The same for the spreads of the columns among one another, and for a mean in spreads of its column.
UNEQUAL, SHIFTED = 50.0, 20.0
#: What no usual rate and initialisation is made for: raw 0..255 have a root mean square of about 100.
VERY_LARGE, VERY_UNEQUAL, VERY_SHIFTED = 50.0, 1e3, 1e3
#: Gain of accuracy or R2 by standardising that is no accident of a short trial.
HELPS = 0.1
#: Mean or spread of real targets from which on a trial is worth its time, and from which on they are very far.
FAR, SMALL_TARGET, VERY_FAR = 10.0, 0.02, 100.0
#: Losses that grow with the units of the targets.
PLAIN = ("mse", "l1", "smooth-l1", "huber")


@register("check", "input-scale", family="data", inputs=("probe",))
def input_scale(probe: Probe) -> Finding | None:
    """What reaches the first layer with weights is near unit scale."""
    found = probe.measure(arrival)
    if found.indices:
        sentence = f"The first layer, {found.layer}, takes indices, which have no scale."
        return Finding(check="input-scale", status="SKIP", sentence=sentence, where=found.layer)
    if not found.means:
        return None
    evidence = {
        "root mean square": found.size,
        "least": found.least,
        "largest": found.largest,
        "ratio of spreads": found.ratio,
        "mean in spreads": found.offset,
    }
    said = _said(found)
    if found.normalised:
        sentence = f"The first layer with weights, {found.layer} ({found.kind}), normalises; it gets {said}."
        return Finding(check="input-scale", status="PASS", sentence=sentence, where=found.layer, evidence=evidence)
    suspicious = not SMALL <= found.size <= LARGE
    very = found.size > VERY_LARGE
    if probe.measure(samples).columns:
        moving = [s for s in found.spreads if s > 0]
        suspicious |= found.ratio > UNEQUAL or (found.offset > SHIFTED and max(map(abs, found.means)) > 1)
        # A column that is small beside others does no harm as long as the others are not large.
        very |= found.ratio > VERY_UNEQUAL and max(moving, default=0) > LARGE
        very |= found.offset > VERY_SHIFTED and max(map(abs, found.means)) > LARGE
    if not suspicious:
        sentence = f"The inputs reach {found.layer} near unit scale: {said}."
        return Finding(check="input-scale", status="PASS", sentence=sentence, where=found.layer, evidence=evidence)
    trial = probe.measure(inputs_standardised)
    return _judged(probe, found, very, trial, f"The first layer with weights, {found.layer}, gets {said}", evidence)


@register("check", "target-scale", family="data", inputs=("probe",))
def target_scale(probe: Probe) -> Finding | None:
    """Real targets are near unit scale, where the loss does not bring them there."""
    loss = probe.measure(criterion)
    if kind(probe) != "real":
        return None
    if probe.program.plan is not None:
        sentence = "The task standardises its targets by itself."
        return Finding(check="target-scale", status="SKIP", sentence=sentence)
    targets = probe.sample.targets.double().reshape(len(probe.sample.targets), -1).numpy()
    if loss.name not in PLAIN or not np.isfinite(targets).all() or not len(targets):
        return None
    means, spreads = np.abs(targets.mean(axis=0)), targets.std(axis=0)
    mean, spread = float(means.max()), float(spreads.max())
    said = f"targets with a mean up to {mean:.3g} and a standard deviation up to {spread:.3g} ({loss.name} loss)"
    evidence = {"mean": mean, "spread": spread, "loss": loss.name}
    # Beside a larger one a small column, or one that is constant, counts for nothing.
    if mean <= FAR and SMALL_TARGET <= spread <= FAR:
        return Finding(check="target-scale", status="PASS", sentence=f"Near unit scale: {said}.", evidence=evidence)
    trial = probe.measure(targets_standardised)
    gain = math.nan if trial is None else trial.gain
    evidence |= _figures(trial)
    if trial is not None and not gain > HELPS and mean <= VERY_FAR and spread <= VERY_FAR:
        sentence = f"Not near unit scale, but training does not suffer: {said}{_compared(trial)}."
        return Finding(check="target-scale", status="PASS", sentence=sentence, evidence=evidence)
    very = mean > VERY_FAR or spread > VERY_FAR
    sure = trial is not None and gain > HELPS and (trial.planned or (very and gain > 3 * HELPS))
    return Finding(
        check="target-scale",
        status="FAIL" if sure else "WARN",
        sentence=f"Far from unit scale: {said}{_compared(trial)}.",
        evidence=evidence,
        cause="Outputs start near 0; the optimizer spends its steps on getting to the mean, and errors and gradients "
        "are as large as the units.",
        remedy="Train on (targets - mean) / std of the training targets, and undo it in what is predicted.",
    )


def _judged(
    probe: Probe, found: Arrival, very: bool, trial: Comparison | None, said: str, evidence: dict[str, float]
) -> Finding:
    """The finding about inputs off scale, with what the trial says."""
    gain = 0.0 if trial is None else trial.gain
    evidence = {**evidence, **_figures(trial)}
    helps = gain > HELPS
    if not helps and (not very or found.followed):
        sentence = f"{said}: not near unit scale, but training does not suffer{_compared(trial)}."
        return Finding(check="input-scale", status="PASS", sentence=sentence, where=found.layer, evidence=evidence)
    # A trial that is shorter than the plan may only show that one is slower.
    sure = helps and trial is not None and (very or trial.planned)
    option = "--prepare standardize" if probe.program.plan else ""
    large = found.largest > 100 and found.least >= 0 and found.largest <= 255
    return Finding(
        check="input-scale",
        status="FAIL" if sure else "WARN",
        sentence=f"{said}{_compared(trial)}.",
        where=found.layer,
        evidence=evidence,
        cause="The images are raw, 0 to 255." if large and found.ratio < 10 else "The inputs are not standardised.",
        remedy=option
        or (
            "Divide the images by 255, or subtract their mean and divide by their spread."
            if large and found.ratio < 10
            else "Subtract each column's mean over the training samples and divide by its standard deviation."
        ),
    )


def _said(found: Arrival) -> str:
    text = f"numbers from {found.least:.3g} to {found.largest:.3g} (root mean square {found.size:.3g})"
    moving = [spread for spread in found.spreads if spread > 0]
    if len(moving) > 1 and found.ratio > UNEQUAL:
        text += f", in columns with standard deviations from {min(moving):.2g} to {max(moving):.3g}"
    if found.offset > SHIFTED:
        text += f", with a mean up to {found.offset:.3g} standard deviations from 0"
    return text


def _figures(trial: Comparison | None) -> dict[str, float]:
    if trial is None:
        return {}
    return {"as it is": trial.plain, "standardised": trial.standardised, "steps": trial.steps}


def _compared(trial: Comparison | None) -> str:
    """What the trial says, to be added to a sentence."""
    if trial is None or (math.isnan(trial.plain) and math.isnan(trial.standardised)):
        return ""
    scores = [
        "a loss that is no number" if math.isnan(score) else f"{score:.2f}"
        for score in (trial.plain, trial.standardised)
    ]
    return f"; after {trial.steps} steps the score is {scores[0]} as it is and {scores[1]} when they are standardised"
