"""Checks of what the program's own training comes to: on its samples, on others, and beside simple models."""

import math
from dataclasses import dataclass

from chainrule.doctor.checks.rate import CLEAR, LEARNS, either
from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.baseline import Baseline, baseline
from chainrule.doctor.measures.gains import Ruler, affine, ruler, tried
from chainrule.doctor.measures.rates import full, rates
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.measures.trials import Trial, known, memorised
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: A gap between training and validation, or to a simple model, that is worth a word: so much of the score, and so many
#: standard errors of it.
GAP, ERRORS = 0.1, 3.0
#: The same for R2, whose gaps are wider.
GAP_REAL = 0.2
#: Fewer validation samples than these say nothing.
VALID = 20
#: Short of a stated level, or behind a simple model, by so much: too much bias.
BIAS = 0.05
#: A training score within this share of a perfect one is near it.
PERFECT = 0.9
#: Of all samples, or of a few: a model that is only too small gains as much as this.
PARTLY, LITTLE = 0.3, 0.15


@dataclass(frozen=True)
class _Ends:
    """Scores after the training, and what they are compared with."""

    own: Trial
    rule: Ruler
    train: float
    valid: float
    samples: int
    simple: Baseline
    error: float

    @property
    def passed(self) -> str:
        """The passes that it took."""
        return f"after {self.own.steps} steps"


@register("check", "capacity", family="during training", inputs=("probe",))
def capacity(probe: Probe) -> Finding | None:
    """The model has enough freedom to learn what a simple model finds in other samples."""
    ends = _ends(probe)
    if ends is None:
        return None
    short = probe.measure(rates)
    others = [*short.own.values(), *short.sound.values(), probe.measure(full)]
    best = max((ends.rule.gain(found) for found in others), default=0.0)
    heart = probe.measure(memorised)
    simple = ends.rule.by_score(ends.simple.score)
    evidence = {"train": ends.train, "best gain": round(best, 3), ends.simple.name: ends.simple.score}
    said = f"its training score is {ends.train:.3f} {ends.passed}, {ends.simple.name} has {ends.simple.score:.3f}"
    learns = heart.end.train_score if heart.epochs else math.nan
    # What learns a few samples well enough may still be too small for all of them; it has learned something then.
    small = probe.measure(full) if known(heart) else None
    partly = ends.rule.gain(small) >= PARTLY if small else ends.rule.by_score(learns) >= LITTLE or probe.measure(affine)
    if best >= PERFECT or not simple - best >= CLEAR or not partly:
        return Finding(check="capacity", status="PASS", sentence=f"Enough freedom: {said}.", evidence=evidence)
    alone = "" if known(heart) else ", and it does not even learn a few samples by heart"
    return Finding(
        check="capacity",
        status="WARN",
        sentence=f"The model has too little freedom, at any rate and with any optimizer: {said}{alone}.",
        evidence=evidence,
        cause="Too few units or layers for these inputs, or the wrong kind of layers.",
        remedy=either(probe, "Try a wider --model, as in 'mlp(width=256)'.", "Make the layers wider, or add one."),
    )


@register("check", "overfitting-live", family="during training", inputs=("probe",))
def overfitting_live(probe: Probe) -> Finding | None:
    """Training and validation score do not part."""
    ends = _ends(probe)
    if ends is None or math.isnan(ends.valid) or not probe.sample.whole:
        return None
    gap = ends.train - ends.valid
    evidence = {"train": ends.train, "valid": ends.valid, "samples": ends.samples}
    said = f"score {ends.train:.3f} in training and {ends.valid:.3f} on {ends.samples} others {ends.passed}"
    if ends.samples < VALID:
        return Finding(check="overfitting-live", status="SKIP", sentence=f"Too few validation samples: {said}.")
    if gap < _gap(probe) or gap < ERRORS * ends.error or ends.rule.by_score(ends.train) < LEARNS:
        return Finding(check="overfitting-live", status="PASS", sentence=f"No large gap: {said}.", evidence=evidence)
    return Finding(
        check="overfitting-live",
        status="WARN",
        sentence=f"The program learns its samples by heart: {said}.",
        evidence=evidence,
        cause="The model has more freedom than so few samples can fill, or the two splits differ.",
        remedy=either(
            probe, "Try --weight-decay 0.1, or a smaller --model.", "Add nn.Dropout or weight_decay, or fewer units."
        ),
    )


@register("check", "worse-than-simple", family="during training", inputs=("probe",))
def worse_than_simple(probe: Probe) -> Finding | None:
    """After its training the program is no worse than a simple model on samples that neither has seen."""
    ends = _ends(probe)
    if ends is None or math.isnan(ends.simple.score):
        return None
    # Without validation samples the simple model's score is out of fold: what the network reaches on its own samples is
    # an upper bound.
    ours, where = (ends.train, "on its own samples") if math.isnan(ends.valid) else (ends.valid, "on other samples")
    error = math.hypot(ends.simple.spread, ends.error)
    evidence = {"score": ours, ends.simple.name: ends.simple.score, "samples": ends.samples}
    said = f"score {ours:.3f} {where} {ends.passed}, {ends.simple.name} {ends.simple.score:.3f}"
    behind = ends.rule.by_score(ends.simple.score) - ends.rule.by_score(ours)
    if behind < CLEAR or ends.simple.score - ours < ERRORS * error:
        return Finding(
            check="worse-than-simple", status="PASS", sentence=f"As good as a simple model: {said}.", evidence=evidence
        )
    return Finding(
        check="worse-than-simple",
        status="WARN",
        sentence=f"A simple model is clearly better: {said}.",
        evidence=evidence,
        cause="The network does not learn what the inputs say: look at the findings before this one first.",
        remedy=either(
            probe,
            f"Try the simple model first: --model '{_named(ends.simple.name)}'.",
            f"Take {ends.simple.name}, or mend the training until it is beaten.",
        ),
    )


@register("check", "bias-variance", family="during training", inputs=("probe",))
def bias_variance(probe: Probe) -> Finding | None:
    """Neither bias nor variance is large, against the level that can be hoped for."""
    ends = _ends(probe)
    if ends is None or math.isnan(ends.valid):
        return None
    level = probe.program.level
    if level is None:
        sentence = (
            f"Score {ends.train:.3f} in training, {ends.valid:.3f} on others, {ends.simple.name} "
            f"{ends.simple.score:.3f}; the level that can be hoped for is not given, so there is no verdict."
        )
        return Finding(check="bias-variance", status="SKIP", sentence=sentence)
    bias, variance = level - ends.train, ends.train - ends.valid
    evidence = {"level": level, "train": ends.train, "valid": ends.valid, "bias": bias, "variance": variance}
    said = f"bias {bias:.3f} (of {level:.3f} it reaches {ends.train:.3f} in training), variance {variance:.3f} "
    said += f"({ends.valid:.3f} on others)"
    wide = variance >= max(_gap(probe), ERRORS * ends.error)
    if bias < BIAS and not wide:
        return Finding(check="bias-variance", status="PASS", sentence=f"Neither is large: {said}.", evidence=evidence)
    more = bias >= BIAS and (bias >= variance or not wide)
    return Finding(
        check="bias-variance",
        status="WARN",
        sentence=f"The {'bias' if more else 'variance'} is what to work on: {said}.",
        evidence=evidence,
        cause="The model does not even fit its own samples." if more else "What it learned does not hold for others.",
        remedy=either(probe, "Try a larger --model, or more --epochs.", "Take a larger model, or train longer.")
        if more
        else either(probe, "Try --weight-decay 0.1, or --augment.", "Add regularisation, or samples."),
    )


def _ends(probe: Probe) -> _Ends | None:
    """Scores after the training; None where it cannot be judged, or has none."""
    own = tried(probe)
    if own is None or own.error:
        return None
    rule = probe.measure(ruler)
    if not rule.scored or math.isnan(own.end.train_score):
        return None
    samples = len(probe.valid.inputs) if probe.valid else 0
    simple = probe.measure(baseline)
    share = min(max(own.end.valid_score, 0.0), 1.0) if samples else 0.5
    # Of an accuracy; an R2 is about as uncertain as the residuals' variance.
    error = math.sqrt((share * (1 - share) if kind(probe) != "real" else 2 * (1 - share) ** 2) / max(samples, 1))
    return _Ends(own, rule, own.end.train_score, own.end.valid_score, samples, simple, max(error, 1 / max(samples, 1)))


def _gap(probe: Probe) -> float:
    return GAP_REAL if kind(probe) == "real" else GAP


def _named(simple: str) -> str:
    """The estimator of ``fit`` that is like a simple model."""
    return {
        "nearest neighbours": "knn",
        "logistic regression": "logistic",
        "ridge regression": "ridge",
    }.get(simple, "svm")
