"""Checks of the training, as the record shows it."""

from collections.abc import Sequence

from chainrule.doctor.finding import Finding
from chainrule.doctor.record import find, find_all
from chainrule.registry import register
from chainrule.training.events import Built, Epoch, Evaluated, Event, Finished, Fitted, InitialLoss, Loaded, RateTest


@register("check", "initial-loss", family="before training", inputs=("record",))
def initial_loss(events: Sequence[Event]) -> Finding | None:
    """A fresh model knows nothing, and its loss says so."""
    initial = find(events, InitialLoss)
    if initial is None:
        return None
    evidence = {"loss": initial.loss, "expected": initial.untrained}
    said = (
        f"loss {initial.loss:.3f} before training, about {initial.untrained:.3f} expected of a model that knows nothing"
    )
    built = find(events, Built)
    if built is not None and built.start:
        sentence = f"The network starts from weights that have learned, with a loss of {initial.loss:.3f}."
        return Finding(check="initial-loss", status="SKIP", sentence=sentence, evidence=evidence)
    # Random outputs of unit size raise a cross-entropy of few classes by about half; far more means outputs far too
    # large.
    if 0.5 * initial.untrained <= initial.loss <= 2 * initial.untrained + 0.5:
        return Finding(check="initial-loss", status="PASS", sentence=f"The start is right: {said}.", evidence=evidence)
    low = initial.loss < initial.untrained
    return Finding(
        check="initial-loss",
        status="WARN",
        sentence=f"The start is off: {said}.",
        evidence=evidence,
        cause="The weights are trained already, or the target leaks into the inputs."
        if low
        else "The first outputs are far too large: the weights or the inputs are badly scaled.",
        remedy="Look for a column that gives the target away."
        if low
        else "Look at the scale of the inputs and weights.",
    )


@register("check", "rate-test", family="before training", inputs=("record",))
def rate_test(events: Sequence[Event]) -> Finding | None:
    """The range test found a rate, and found the same one each time."""
    test = find(events, RateTest)
    if test is None:
        return None
    evidence = {"rate": test.rate, "spread": test.spread, "suggestions": test.suggestions}
    if not test.suggestions:
        return Finding(
            check="rate-test",
            status="WARN",
            sentence=f"The range test saw no rate at which the loss falls out of its noise; {test.rate:g} was taken.",
            evidence=evidence,
            cause="The batches are too noisy or too few, or the model learns very slowly.",
            remedy="Try a larger --batch, or set --rate yourself.",
        )
    said = f"{test.rate:.2g}, from {len(test.suggestions)} sweeps that differ by a factor of {test.spread:.2f}"
    if test.spread <= 3 and len(test.suggestions) > 1:
        return Finding(check="rate-test", status="PASS", sentence=f"The rate is {said}.", evidence=evidence)
    return Finding(
        check="rate-test",
        status="WARN",
        sentence=f"The rate is uncertain: {said}.",
        evidence=evidence,
        cause="The first batches differ much from one another.",
        remedy=f"Try --rate {test.rate / 3:.1g} and --rate {test.rate * 3:.1g} beside it.",
    )


@register("check", "better-than-constant", family="after training", inputs=("record",))
def better_than_constant(events: Sequence[Event]) -> Finding | None:
    """The model beats the best constant prediction."""
    result = find(events, Evaluated)
    if result is None:
        return None
    name = next((metric for metric in ("accuracy", "r2") if metric in result.metrics), "loss")
    ours, constant = result.metrics[name], result.baseline[name]
    if ours is None or result.metrics["loss"] is None:
        return None  # not finite, of which another check speaks
    better = ours < constant if name == "loss" else ours > constant
    evidence = {"metric": name, "model": ours, "constant": constant}
    trained = find(events, Fitted) is None
    said = f"test {name} {ours:.3f}, the best constant prediction {constant:.3f}"
    if better and result.metrics["loss"] < result.baseline["loss"]:
        sentence = f"The model has learned something: {said}."
        return Finding(check="better-than-constant", status="PASS", sentence=sentence, evidence=evidence)
    if better:
        return Finding(
            check="better-than-constant",
            status="WARN",
            sentence=f"The decisions are better than a constant's ({said}), but the test loss is not "
            f"({result.metrics['loss']:.3f} against {result.baseline['loss']:.3f}): its mistakes are certain.",
            evidence=evidence,
            cause="The model is overconfident.",
            remedy="Try --label-smoothing 0.1, or fewer --epochs."
            if trained
            else "Regularise the estimator more, or take the decisions and not the probabilities.",
        )
    return Finding(
        check="better-than-constant",
        status="FAIL",
        sentence=f"The model is no better than a constant: {said}.",
        evidence=evidence,
        cause="The inputs say nothing of the target, the model does not fit them, or the data is too small.",
        remedy=f"Try --model {'linear and another --rate' if trained else 'mlp'}; look whether the inputs can say it.",
    )


@register("check", "overfitting", family="after training", inputs=("record",))
def overfitting(events: Sequence[Event]) -> Finding | None:
    """The validation loss does not turn up while the training loss goes on falling."""
    epochs, finished = _finite(find_all(events, Epoch)), find(events, Finished)
    if finished is None or len(epochs) < 5:
        return None
    best, last = min(epochs, key=lambda e: e.valid["loss"]), epochs[-1]
    rise = last.valid["loss"] / max(best.valid["loss"], 1e-12)
    evidence = {"best epoch": best.epoch, "best": best.valid["loss"], "last": last.valid["loss"], "epochs": last.epoch}
    if rise < 1.1 or last.train["loss"] > best.train["loss"]:
        sentence = f"No overfitting: valid loss {last.valid['loss']:.3f} at the end, {best.valid['loss']:.3f} at best."
        return Finding(check="overfitting", status="PASS", sentence=sentence, evidence=evidence)
    loaded = find(events, Loaded)
    images = loaded is not None and loaded.inputs["kind"] == "image"
    return Finding(
        check="overfitting",
        status="WARN",
        sentence=f"Overfitting: the valid loss rose from {best.valid['loss']:.3f} in epoch {best.epoch} to "
        f"{last.valid['loss']:.3f} in epoch {last.epoch}; the weights of epoch {finished.epoch} were kept.",
        evidence=evidence,
        cause="The model has more freedom than the data can fill.",
        remedy="Try stronger augmentation, as in --augment 'crop, rotate, cutout'."
        if images
        else "Try --weight-decay 0.1, or a smaller model.",
    )


@register("check", "still-falling", family="after training", inputs=("record",))
def still_falling(events: Sequence[Event]) -> Finding | None:
    """Training was long enough: the validation loss has settled."""
    epochs, finished = _finite(find_all(events, Epoch)), find(events, Finished)
    if finished is None or len(epochs) < 5:
        return None
    tail = max(2, len(epochs) // 5)
    earlier = min(epoch.valid["loss"] for epoch in epochs[:-tail])
    final = min(epoch.valid["loss"] for epoch in epochs[-tail:])
    gain = (earlier - final) / max(abs(earlier), 1e-12)
    evidence = {"gain": gain, "epochs": len(epochs)}
    if gain < 0.1 or finished.epoch <= len(epochs) - tail:
        sentence = (
            f"Training was long enough: the last {tail} epochs changed the best valid loss by {max(gain, 0):.1%}."
        )
        return Finding(check="still-falling", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="still-falling",
        status="WARN",
        sentence=f"Training ended while it still helped: the last {tail} epochs lowered the valid loss by {gain:.1%}.",
        evidence=evidence,
        cause="Too few epochs.",
        remedy=f"Try --epochs {2 * epochs[-1].epochs}.",
    )


def _finite(epochs: Sequence[Epoch]) -> list[Epoch]:
    """The epochs whose losses are finite; what is not comes back from a record as None."""
    return [epoch for epoch in epochs if epoch.train["loss"] is not None and epoch.valid["loss"] is not None]
