"""The check that a program can learn a few samples by heart, the second step of the course's procedure."""

import math

from chainrule.doctor.checks.rate import either
from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.gains import affine, ruler, tried
from chainrule.doctor.measures.trials import LEARN, TRY, Trial, few, known, memorised
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Shares of the way from a constant's score to a perfect one. A network with more numbers than samples gets above the
#: second with any sound loss; below the first something other than its size is in the way.
FAR, NEAR = 0.5, 0.9
#: A trial that ran out of time after this much gain might have gone on.
LITTLE = 0.2
#: Without a score: a loss that falls by less than this share has not been learned by heart.
FELL = 0.2


@register("check", "memorises", family="before training", inputs=("probe",))
def memorises(probe: Probe) -> Finding | None:
    """A fresh copy learns a few samples by heart, with an optimizer that is known to work."""
    if tried(probe) is None:
        return None
    trial, (_, targets) = probe.measure(memorised), probe.measure(few)
    if not trial.ran or not trial.epochs:
        return None
    rule = probe.measure(ruler)
    first, last = trial.start.train_loss, trial.end.train_loss
    fell = (first - last) / abs(first) if first else 0.0
    scored = rule.scored and not math.isnan(trial.end.train_score)
    gain = rule.by_score(trial.end.train_score) if scored else fell
    evidence = {"samples": len(targets), "steps": trial.steps, "loss before": first, "loss after": last}
    said = f"of {len(targets)} samples the loss goes from {first:.3g} to {last:.3g} in {trial.steps} steps"
    if scored:
        evidence["score"] = round(trial.end.train_score, 4)
        said += f", the score to {trial.end.train_score:.3f}"
    if known(trial) or (gain >= NEAR if scored else fell >= FELL):
        sentence = f"The program can learn by heart: {said}."
        return Finding(check="memorises", status="PASS", sentence=sentence, evidence=evidence)
    if why := _excuse(probe, trial, len(targets)):
        return Finding(check="memorises", status="SKIP", sentence=f"{why}: {said}.", evidence=evidence)
    short = trial.error.startswith("out of time") and trial.steps < LEARN / 2 and gain > LITTLE
    return Finding(
        check="memorises",
        status="FAIL" if scored and gain < FAR and not short else "WARN",
        sentence=f"The program cannot learn even a few samples by heart: {said}.",
        evidence=evidence,
        cause="The loss falls and the score does not follow: the loss or the last layer does not fit the targets."
        if fell >= FELL and gain < FAR
        else "The model has too few units for these samples, or its last layer cannot say what they are."
        if fell >= FELL
        else "No gradient reaches the weights, or the outputs do not depend on the inputs.",
        remedy=either(
            probe,
            "Try --model mlp: if it learns by heart, the fault is in the model, else in loss or targets.",
            "Put nn.Sequential(nn.Flatten(), nn.LazyLinear(128), nn.ReLU(), nn.LazyLinear(n)) in the model's place: "
            "if it learns by heart, the fault is in the model, else in loss or targets.",
        ),
    )


def _excuse(probe: Probe, trial: Trial, samples: int) -> str:
    """Why a program that is as it should be may fail here; empty where there is no reason."""
    numbers = sum(weight.numel() for weight in trial.program.model.parameters() if weight.requires_grad)
    if numbers <= samples:
        return f"The model has only {numbers} numbers to learn {samples} samples with"
    if probe.measure(affine):
        return "The model is linear, and few samples need not lie on a plane"
    if trial.error.startswith("out of time") and trial.steps < TRY:
        return "The model is too slow for this"
    return ""
