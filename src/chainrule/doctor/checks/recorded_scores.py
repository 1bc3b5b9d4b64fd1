"""Checks of the scores of a run: whether they follow the loss, and what training and validation say of each other."""

import math
import statistics
from collections.abc import Sequence

from chainrule.doctor.checks.recorded_curves import (
    CROWDED,
    EPOCHS,
    ERRORS,
    FELL,
    GAINED,
    GAP,
    GAP_REAL,
    LOW,
    NOISY,
    constant,
    score_of,
)
from chainrule.doctor.finding import Finding
from chainrule.doctor.record import find, find_all
from chainrule.registry import register
from chainrule.training.events import Epoch, Event, Finished, Loaded


@register("check", "loss-without-score", family="during training", inputs=("record",))
def loss_without_score(events: Sequence[Event]) -> Finding | None:
    """A training loss that falls brings a better training score."""
    epochs = find_all(events, Epoch)
    name = score_of(epochs[-1]) if len(epochs) >= EPOCHS else ""
    guess = constant(events, name) if name else math.nan
    if not guess <= CROWDED:
        return None
    first, last = epochs[0].train, epochs[-1].train
    fell = (first["loss"] - last["loss"]) / max(abs(first["loss"]), 1e-12)
    rose, gain = ((last[name] - below) / (1 - guess) for below in (first[name], guess))
    evidence = {"loss fell by": round(fell, 4), f"{name} before": first[name], f"{name} after": last[name]}
    said = f"the training loss fell by {fell:.0%}, the {name} went from {first[name]:.3f} to {last[name]:.3f}"
    if not (fell >= FELL and rose < GAINED and gain < LOW):
        return Finding(
            check="loss-without-score", status="PASS", sentence=f"Loss and score agree: {said}.", evidence=evidence
        )
    return Finding(
        check="loss-without-score",
        status="WARN",
        sentence=f"Loss and score do not agree: {said}.",
        evidence=evidence,
        cause="The loss measures something other than the error.",
        remedy="Leave out --loss, so that the one that fits the target is taken.",
    )


@register("check", "chance", family="during training", inputs=("record",))
def chance(events: Sequence[Event]) -> Finding | None:
    """The training score leaves that of a constant behind."""
    epochs = find_all(events, Epoch)
    name = score_of(epochs[-1]) if len(epochs) >= EPOCHS else ""
    guess = constant(events, name) if name else math.nan
    if not guess < 1:
        return None
    best = max(epoch.train[name] for epoch in epochs)
    evidence = {"metric": name, "best": best, "constant": guess}
    said = f"training {name} {best:.3f} at best, a constant has {guess:.3f}"
    if (best - guess) / (1 - guess) >= GAINED:
        return Finding(check="chance", status="PASS", sentence=f"The model learns: {said}.", evidence=evidence)
    return Finding(
        check="chance",
        status="FAIL" if guess <= CROWDED else "WARN",
        sentence=f"Not even its own samples have taught the model anything: {said}.",
        evidence=evidence,
        cause="The rate is far off, no gradient arrives, or the inputs say nothing of the target.",
        remedy="Try --rate auto --model mlp; look whether the inputs can say it.",
    )


@register("check", "fit-verdict", family="after training", inputs=("record",))
def fit_verdict(events: Sequence[Event]) -> Finding | None:
    """Training and validation score end close together, and not low: the verdict on the curves."""
    epochs, finished, loaded = find_all(events, Epoch), find(events, Finished), find(events, Loaded)
    name = score_of(epochs[-1]) if len(epochs) >= EPOCHS else ""
    if finished is None or loaded is None or not name:
        return None
    kept = next((epoch for epoch in epochs if epoch.epoch == finished.epoch), epochs[-1])
    train, valid, guess = kept.train[name], kept.valid[name], constant(events, name)
    n = max(loaded.sizes["valid"], 1)
    share = min(max(valid, 0.0), 1.0)
    # Of an accuracy; an R2 is about as uncertain as the residuals' variance.
    error = math.sqrt((2 * (1 - share) ** 2 if name == "r2" else share * (1 - share)) / n)
    gap, gain = train - valid, (train - guess) / (1 - guess) if guess < 1 else math.nan
    evidence: dict[str, object] = {
        "metric": name,
        "train": train,
        "valid": valid,
        "gap": gap,
        "error of valid": error,
        "epoch": kept.epoch,
    }
    said = f"{name} {train:.3f} in training, {valid:.3f} on {n} validation samples, in epoch {kept.epoch}"
    wide = gap >= max(GAP_REAL if name == "r2" else GAP, ERRORS * error)
    low = gain < LOW and not wide
    evidence["says"] = "variance" if wide else "bias" if low else "good"
    if not wide and not low:
        return Finding(check="fit-verdict", status="PASS", sentence=f"A good fit: {said}.", evidence=evidence)
    return Finding(
        check="fit-verdict",
        status="WARN",
        sentence=f"{'A large gap' if wide else 'No gap, but low'}: {said}.",
        evidence=evidence,
        cause="Variance: the model learns its samples by heart."
        if wide
        else "Bias: the model does not fit its samples.",
        remedy="Try --weight-decay 0.1, or stronger --augment; more data helps most."
        if wide
        else "Try a larger --model, then more --epochs; if neither helps, the inputs say no more.",
    )


@register("check", "noisy-validation", family="after training", inputs=("record",))
def noisy_validation(events: Sequence[Event]) -> Finding | None:
    """The validation loss goes its way without large jumps, so that the best epoch is no accident."""
    epochs, loaded = find_all(events, Epoch), find(events, Loaded)
    curve = [epoch.valid["loss"] for epoch in epochs if epoch.valid.get("loss") is not None]
    if len(curve) < 2 * EPOCHS or loaded is None:
        return None
    # Each value against the mean of its neighbours: a smooth curve, however steep, leaves next to nothing. The first
    # epochs bend too much for that.
    own = curve[len(curve) // 4 :]
    left = [now - (before + after) / 2 for before, now, after in zip(own, own[1:], own[2:], strict=False)]
    noise, way = statistics.pstdev(left) * math.sqrt(2 / 3), max(curve[0] - min(curve), 0.0)
    evidence = {"noise": noise, "fell by": way, "samples": loaded.sizes["valid"]}
    said = f"it jumps by {noise:.2g} from epoch to epoch, and fell by {way:.2g} in all"
    if noise <= NOISY * way or noise <= NOISY * 0.1 * abs(curve[0]):
        return Finding(
            check="noisy-validation",
            status="PASS",
            sentence=f"The validation loss is smooth: {said}.",
            evidence=evidence,
        )
    return Finding(
        check="noisy-validation",
        status="WARN",
        sentence=f"The validation loss is noisy: {said}, on {loaded.sizes['valid']} samples.",
        evidence=evidence,
        cause="There are too few validation samples, or the rate is too high.",
        remedy="Try --fractions 0.5,0.3,0.2, or a lower --rate.",
    )
