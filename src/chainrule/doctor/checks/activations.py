"""Do the last activation of the model and the loss go together."""

import math

import torch
from torch import Tensor

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.criterion import Criterion, criterion
from chainrule.doctor.measures.endings import Ending
from chainrule.doctor.measures.outputs import Outputs, outputs
from chainrule.doctor.measures.running import running
from chainrule.doctor.measures.scores import in_units, kind
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: How far rows may be from what a softmax gives.
ROUNDING = 1e-3
#: Share of the targets beyond the outputs' range from which the model surely cannot fit them.
BEYOND = 0.05


@register("check", "missing-activation", family="before training", inputs=("probe",))
def missing_activation(probe: Probe) -> Finding | None:
    """Outputs are what the loss takes: probabilities, their logarithms, or positive numbers."""
    found, loss = probe.measure(outputs), probe.measure(criterion)
    if found is None or not loss.exact:
        return None
    given = found.evaluated
    if not bool(given.isfinite().all()):
        return None
    axis = loss.axis if 0 < loss.axis < given.ndim else given.ndim - 1
    evidence = {"loss": loss.name, "least": float(given.min()), "largest": float(given.max())}
    said = f"the outputs lie between {float(given.min()):.3g} and {float(given.max()):.3g}"
    fault = _unfit(given, axis, loss, found.last, said)
    if fault is not None:
        return Finding(
            check="missing-activation",
            status="FAIL",
            sentence=f"{fault[0]}.",
            evidence=evidence,
            cause="The activation that the loss counts on is missing at the end of the model.",
            remedy=fault[1],
        )
    if loss.takes in ("log-probabilities", "probabilities", "positive"):
        sentence = f"The outputs are what the loss ({loss.name}) takes: {said}."
        return Finding(check="missing-activation", status="PASS", sentence=sentence, evidence=evidence)
    return None


@register("check", "last-activation", family="before training", inputs=("probe",))
def last_activation(probe: Probe) -> Finding | None:
    """No activation at the end keeps the outputs from where the loss or the targets want them."""
    found, loss = probe.measure(outputs), probe.measure(criterion)
    if found is None or probe.measure(running).error:
        return None
    dropped = _dropped(found)
    if dropped is not None:
        return dropped
    # What the loss applies itself counts as the end of the model: the mean squared error of a softmax, say.
    ending = _first(found, loss)
    if ending is None:
        return None
    evidence = {"activation": ending.name, "loss": loss.name}
    if loss.takes == "logits" and loss.exact and " of " not in loss.name:
        return _before_logits(ending, loss, evidence)
    if found.endings[1:] and ending.name in ("softmax", "logsoftmax", "sigmoid"):
        inner = found.endings[1]
        if inner.name in ("relu", "tanh"):
            return _before_logits(inner, loss, evidence, outer=ending.name)
    if kind(probe) != "real":
        return None
    targets = in_units(
        probe,
        torch.cat(
            [targets.flatten(1) if targets.ndim > 1 else targets.unsqueeze(1) for _, targets in probe.sample.batches]
        ),
    ).float()
    return _beyond(ending, targets, evidence)


def _unfit(given: Tensor, axis: int, loss: Criterion, last: str, said: str) -> tuple[str, str] | None:
    """Why the outputs are not what the loss takes, and the remedy."""
    if loss.takes == "log-probabilities":
        return _no_logarithms(given, axis, loss, said)
    if loss.name == "nll of softmax":
        return (
            "The loss is the NLL of probabilities, which wants their logarithms",
            "nll_loss takes log_softmax(outputs), or nn.CrossEntropyLoss() the raw outputs.",
        )
    if loss.takes == "probabilities" and (float(given.min()) < -ROUNDING or float(given.max()) > 1 + ROUNDING):
        return (
            f"The loss ({loss.name}) takes probabilities, and {said}",
            "Write nn.BCEWithLogitsLoss() in place of nn.BCELoss(), or torch.sigmoid at the end of the model."
            if "bce" in loss.name
            else "Write nn.CrossEntropyLoss(), which takes raw outputs, or softmax(dim=1) at the end of the model.",
        )
    if loss.takes == "positive" and float(given.min()) <= 0 and last in ("none", "tanh", "leakyrelu"):
        return (
            f"The loss ({loss.name}) takes positive outputs, and {said}",
            "Write nn.PoissonNLLLoss(log_input=True), or F.softplus at the end of the model.",
        )
    return None


def _no_logarithms(given: Tensor, axis: int, loss: Criterion, said: str) -> tuple[str, str] | None:
    """What is wrong with outputs that should be logarithms of probabilities, and the remedy."""
    sums = given.double().exp().sum(axis)
    if bool(((sums - 1).abs() < 10 * ROUNDING).all()):
        return None
    probabilities = bool((given >= 0).all()) and bool(((given.double().sum(axis) - 1).abs() < ROUNDING).all())
    what = "probabilities, not their logarithms" if probabilities else "raw numbers"
    if loss.name == "kl":
        remedy = "Write F.kl_div(F.log_softmax(outputs, dim=1), targets, reduction='batchmean')."
    elif probabilities:
        remedy = "Write log_softmax in place of softmax at the end of the model, or nn.CrossEntropyLoss() without it."
    else:
        remedy = "Write nn.CrossEntropyLoss() in place of nn.NLLLoss(), or log_softmax(dim=1) at the end of the model."
    return f"The loss ({loss.name}) takes logarithms of probabilities and gets {what}: {said}", remedy


def _dropped(found: Outputs) -> Finding | None:
    """A dropout after the last layer shows as zeros in training mode that evaluation mode does not have."""
    zeros, usual = (float((part == 0).float().mean()) for part in (found.trained, found.evaluated))
    if found.trained.numel() < 16 or zeros < 0.02 or usual > 0 or found.last == "relu":
        return None
    return Finding(
        check="last-activation",
        status="FAIL",
        sentence=f"{zeros:.0%} of the outputs are exactly 0 in training mode and none in evaluation mode: a dropout "
        "stands after the last layer.",
        evidence={"zeros": zeros},
        cause="Dropout on the outputs themselves makes the loss random whatever the model has learned.",
        remedy="Move the dropout before the last layer.",
    )


def _first(found: Outputs, loss: Criterion) -> Ending | None:
    """The activation that counts, of the model or of the loss."""
    inner = loss.name.partition(" of ")[2]
    bounds = {"softmax": (0.0, 1.0), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, math.inf)}
    if inner in bounds:
        return Ending(inner, *bounds[inner])
    return found.endings[0] if found.endings else None


def _before_logits(ending: Ending, loss: Criterion, evidence: dict[str, str], outer: str = "") -> Finding | None:
    # Those that keep only the smallest negative values away hardly matter, and log_softmax not at all.
    if ending.name not in ("relu", "tanh", "clamp", "softplus", "exp"):
        return None
    to = f"a {outer}" if outer else f"the loss ({loss.name})"
    lost = "below 0" if ending.high == math.inf else f"outside {ending.low:g}..{ending.high:g}"
    return Finding(
        check="last-activation",
        status="FAIL",
        sentence=f"The last layer has a {ending.name}, and {to} takes raw outputs: no output can lie {lost}.",
        evidence=evidence,
        cause="Hidden layers have such activations, the last one has none: a unit that is off gets no gradient, and a "
        "bounded one cannot become certain.",
        remedy=f"Leave out the {ending.name} after the last layer.",
    )


def _beyond(ending: Ending, targets: Tensor, evidence: dict[str, str]) -> Finding | None:
    """Whether targets lie where the last activation does not get."""
    if not math.isfinite(ending.low) and not math.isfinite(ending.high):
        return None
    spread = max(float(targets.std()), 1e-12)
    outside = (targets < ending.low - 0.01 * spread) | (targets > ending.high + 0.01 * spread)
    share = float(outside.float().mean())
    said = (
        f"the last layer has a {ending.name}, whose outputs lie in {ending.low:g}..{ending.high:g}, and the targets in "
    )
    said += f"{float(targets.min()):.3g}..{float(targets.max()):.3g}"
    if share == 0:
        sentence = f"The targets are within reach: {said}."
        return Finding(check="last-activation", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="last-activation",
        status="FAIL" if share > BEYOND else "WARN",
        sentence=f"{share:.0%} of the targets are out of reach: {said}.",
        evidence={**evidence, "out of reach": share},
        cause="Real targets want a last layer without an activation.",
        remedy=f"Leave out the {ending.name} after the last layer.",
    )
