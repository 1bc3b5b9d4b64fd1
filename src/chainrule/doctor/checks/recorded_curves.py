"""Checks of the curves of a run: loss, scores and gradient norms from step to step and from epoch to epoch.

The verdicts on training and validation curves are those of the course (Karpathy & Johnson, CS231n, Stanford 2016).
"""

import math
import statistics
from collections.abc import Sequence

from chainrule.doctor.finding import Finding
from chainrule.doctor.record import find, find_all
from chainrule.registry import register
from chainrule.training.events import Epoch, Evaluated, Event, Loaded, Step

#: Fewest epochs, and steps, from which a curve can be read.
EPOCHS, STEPS = 5, 20
#: A loss that ends this share of its start above the start has diverged; that of single steps at the second one.
BEYOND, FAR_BEYOND = 0.5, 10.0
#: Swings of later epochs and a rise at the start, as shares of the first loss.
SWING, RISE = 0.1, 0.5
#: By a third of the epochs a loss has fallen by more than this share, and at the end by more than that.
SLOW, LITTLE = 0.02, 0.1
#: A loss that fell by so much while the score gained less than that share of the way to a perfect one.
FELL, GAINED = 0.3, 0.05
#: A constant that is right more often leaves no room for the score.
CROWDED = 0.8
#: A loss that moves by less than this share of the first one has come to rest; a score below that gain is low.
REST, LOW = 0.02, 0.5
#: A gap between training and validation is large at so much accuracy, or so much R2, and so many standard errors.
GAP, GAP_REAL, ERRORS = 0.1, 0.2, 3.0
#: Validation that jumps by this share of all that it fell is noisy.
NOISY = 0.2
#: Gradient norms: growth over the run, a spike over the median, and a size that moves nothing.
GROWN, SPIKE, GONE = 100.0, 1000.0, 1e-7


@register("check", "diverged", family="during training", inputs=("record",))
def diverged(events: Sequence[Event]) -> Finding | None:
    """The loss stays finite, and does not end far above where it began."""
    steps, epochs = find_all(events, Step), find_all(events, Epoch)
    if not steps and not epochs:
        return None
    lost = next((step for step in steps if not _finite(step.loss)), None)
    gone = next((epoch for epoch in epochs if not _finite(epoch.train.get("loss"))), None)
    curve = _losses(epochs)
    if len(curve) < 2:
        # A run that broke off in its first epochs; single batches differ, so that it takes more.
        curve, beyond = [step.loss for step in steps if _finite(step.loss)], FAR_BEYOND
    else:
        beyond = BEYOND
    evidence = {"first": curve[0], "last": curve[-1]} if curve else {}
    high = len(curve) > 1 and curve[-1] > curve[0] + beyond * abs(curve[0])
    if lost is None and gone is None and not high:
        said = f"it goes from {curve[0]:.3g} to {curve[-1]:.3g}" if curve else f"{len(steps)} steps"
        return Finding(check="diverged", status="PASS", sentence=f"The loss stays finite: {said}.", evidence=evidence)
    where = f"epoch {lost.epoch}, step {lost.step}" if lost else f"epoch {gone.epoch}" if gone else ""
    said = f"it is not finite from {where} on" if where else f"it rose from {curve[0]:.3g} to {curve[-1]:.3g}"
    return Finding(
        check="diverged",
        status="FAIL",
        sentence=f"The training loss diverged: {said}.",
        where=where,
        evidence=evidence,
        cause="The rate is too high, or something is divided by zero or taken the logarithm of.",
        remedy="Try --clip 1, and --rate auto or a tenth of the rate.",
    )


@register("check", "oscillation", family="during training", inputs=("record",))
def oscillation(events: Sequence[Event]) -> Finding | None:
    """The training loss does not swing up and down from epoch to epoch."""
    curve = _losses(find_all(events, Epoch))
    if len(curve) <= EPOCHS:
        return None
    late = curve[len(curve) // 2 :]
    half = len(late) // 2
    swing, fall = statistics.pstdev(late), statistics.fmean(late[:half]) - statistics.fmean(late[half:])
    evidence = {"swing": swing, "first": curve[0]}
    said = f"the later epochs differ by {swing:.2g}, the first loss is {curve[0]:.3g}"
    if swing <= SWING * abs(curve[0]) or fall > swing:
        return Finding(
            check="oscillation", status="PASS", sentence=f"The loss does not swing: {said}.", evidence=evidence
        )
    return Finding(
        check="oscillation",
        status="WARN",
        sentence=f"The training loss swings and does not fall: {said}.",
        evidence=evidence,
        cause="The rate is too high, or the batches are too small to agree with one another.",
        remedy="Try a third of the --rate, or a larger --batch.",
    )


@register("check", "rate-recorded", family="during training", inputs=("record",))
def rate_recorded(events: Sequence[Event]) -> Finding | None:
    """The loss neither rises at the start nor hardly falls over the first epochs."""
    epochs, steps = find_all(events, Epoch), [step.loss for step in find_all(events, Step) if _finite(step.loss)]
    curve = _losses(epochs)
    if len(curve) < EPOCHS or len(steps) < STEPS:
        return None
    first = statistics.fmean(steps[:3])
    early = [statistics.fmean(steps[i : i + 5]) for i in range(max(len(steps) // 5, 1))]
    peak, third = max(early), curve[len(curve) // 3]
    evidence = {"first": first, "peak": peak, "after a third": third, "last": curve[-1]}
    rate = epochs[len(epochs) // 3].rate
    if peak > first + RISE * abs(first) and curve[-1] < peak:
        return Finding(
            check="rate-recorded",
            status="WARN",
            sentence=f"The loss rose from {first:.3g} to {peak:.3g} at the start and came down to {curve[-1]:.3g}.",
            evidence=evidence,
            cause="The first steps were too large for the weights as they were.",
            remedy=f"Try --rate {rate / 3:.1g}, or --clip 1.",
        )
    if first - third < SLOW * abs(first) and first - curve[-1] < LITTLE * abs(first):
        return Finding(
            check="rate-recorded",
            status="WARN",
            sentence=f"The loss hardly moves: {first:.3g} at the start, {third:.3g} after a third of the epochs, "
            f"{curve[-1]:.3g} at the end.",
            evidence=evidence,
            cause="The rate is too low, no gradient arrives, or the inputs say nothing of the target.",
            remedy=f"Try --rate {10 * rate:.1g}.",
        )
    sentence = f"The loss falls from the start: {first:.3g}, {third:.3g} after a third, {curve[-1]:.3g} at the end."
    return Finding(check="rate-recorded", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "gradient-norm", family="during training", inputs=("record",))
def gradient_norm(events: Sequence[Event]) -> Finding | None:
    """The norm of the gradient neither grows without bound, nor jumps, nor is next to zero."""
    norms = [step.norm for step in find_all(events, Step) if _finite(step.norm)]
    if len(norms) < STEPS:
        return None
    tenth = max(len(norms) // 10, 2)
    first, last = statistics.median(norms[:tenth]), statistics.median(norms[-tenth:])
    middle, top = statistics.median(norms), max(norms)
    evidence = {"first": first, "last": last, "median": middle, "largest": top}
    said = f"{first:.2g} at first, {last:.2g} at the end, {top:.2g} at most"
    # A gradient that comes to nothing at the end has arrived, and so one that jumps is judged by the first ones, too.
    gone = first < GONE
    if not gone and last <= GROWN * first and top <= SPIKE * max(middle, first):
        return Finding(
            check="gradient-norm",
            status="PASS",
            sentence=f"The gradient keeps its size: norm {said}.",
            evidence=evidence,
        )
    return Finding(
        check="gradient-norm",
        status="WARN",
        sentence=f"The gradient {'is next to nothing' if gone else 'explodes'}: norm {said}.",
        evidence=evidence,
        cause="It vanishes on its way through the layers, or does not arrive."
        if gone
        else "It grows on its way through the layers or through time, or the rate is too high.",
        remedy="Try another --init, or a --model with normalisation and ReLU." if gone else "Try --clip 1.",
    )


@register("check", "plateau-recorded", family="during training", inputs=("record",))
def plateau_recorded(events: Sequence[Event]) -> Finding | None:
    """The training loss does not come to rest while the score is low."""
    epochs = find_all(events, Epoch)
    curve, gain = _losses(epochs), _gain(events)
    if len(curve) < 2 * EPOCHS or math.isnan(gain):
        return None
    quarter, last = curve[len(curve) // 4], curve[-1]
    evidence = {"after a quarter": quarter, "last": last, "gain": round(gain, 3)}
    said = (
        f"{quarter:.3g} after a quarter of the epochs, {last:.3g} at the end, {gain:.0%} of the way to a perfect score"
    )
    if abs(quarter - last) > REST * abs(curve[0]) or not GAINED <= gain < LOW:
        return Finding(check="plateau-recorded", status="PASS", sentence=f"No plateau: {said}.", evidence=evidence)
    return Finding(
        check="plateau-recorded",
        status="WARN",
        sentence=f"The training loss has come to rest early: {said}.",
        evidence=evidence,
        cause="The rate is too high to go lower, or the model has too little freedom.",
        remedy="Try --rate auto, then a larger --model.",
    )


def score_of(epoch: Epoch) -> str:
    """The metric of an epoch that has a perfect value of 1: accuracy or R2; empty where there is none."""
    return next((name for name in ("accuracy", "r2") if _finite(epoch.train.get(name))), "")


def constant(events: Sequence[Event], name: str) -> float:
    """What the best constant reaches of a metric: as evaluated, else by the classes' shares; NaN where unknown."""
    result, loaded = find(events, Evaluated), find(events, Loaded)
    if result is not None and _finite(result.baseline.get(name)):
        return result.baseline[name]
    if name == "r2":
        return 0.0
    if loaded is None or loaded.target.get("kind") != "classes":
        return math.nan
    counts = loaded.balance["train"].values()
    return max(counts) / max(sum(counts), 1)


def _gain(events: Sequence[Event]) -> float:
    """Share of the way from a constant to a perfect training score at the end; NaN where unknown."""
    epochs = find_all(events, Epoch)
    name = score_of(epochs[-1]) if epochs else ""
    guess = constant(events, name) if name else math.nan
    return (epochs[-1].train[name] - guess) / (1 - guess) if guess < 1 else math.nan


def _losses(epochs: Sequence[Epoch]) -> list[float]:
    return [epoch.train["loss"] for epoch in epochs if _finite(epoch.train.get("loss"))]


def _finite(value: float | None) -> bool:
    # What is not finite comes back from a record as None.
    return value is not None and math.isfinite(value)
