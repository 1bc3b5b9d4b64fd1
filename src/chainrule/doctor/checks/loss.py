"""Does the loss go with the targets, and does it start where that of an untrained model does."""

import math

import torch
from torch import Tensor

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.criterion import Criterion, criterion
from chainrule.doctor.measures.outputs import outputs
from chainrule.doctor.measures.reference import Reference, reference
from chainrule.doctor.measures.running import running
from chainrule.doctor.measures.scores import binary, kind, one_of_several
from chainrule.doctor.measures.shapes import numbers
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Losses of distances, which are meant for real targets.
DISTANCES = ("mse", "rmse", "l1", "huber")
#: Most different whole numbers that look like class indices, and samples for each that are needed to say so.
CLASSES, EACH = 20, 5
#: How much more often the commonest of them may occur where they are surely classes: counts and grades are uneven.
EVEN = 2.0
#: First loss as a multiple of that of an untrained model. Random outputs of unit size cost about half as much again;
#: three times that are outputs too large, ten times wrongly scaled ones.
HIGH, VERY_HIGH = 3.0, 10.0
#: First loss as a part of the best constant's below which something is known before anything was learned.
LOW = 0.5
#: Fewest samples from which the first loss is known well enough.
FEWEST = 8

Fault = tuple[str, str, str, str]


@register("check", "wrong-loss", family="before training", inputs=("probe",))
def wrong_loss(probe: Probe) -> Finding | None:
    """The loss is one for this kind of target."""
    loss = probe.measure(criterion)
    if probe.measure(running).stage == "forward" or not loss.exact:
        return None
    columns = [targets.detach().cpu() for _, targets in probe.sample.batches]
    if any(part.shape[1:] != columns[0].shape[1:] or part.is_complex() for part in columns):
        return None
    targets = torch.cat(columns)
    if not targets.numel():
        return None
    fault = _negated(loss) or _distances(probe, loss, targets) or _of_classes(probe, loss, targets)
    fault = fault or _of_labels(loss, targets) or _of_signs(probe, loss, targets)
    evidence = {"loss": loss.name, "targets": kind(probe), "least": _least(targets), "largest": _largest(targets)}
    if fault is None:
        sentence = f"The loss, {loss.name}, goes with targets of the kind {kind(probe)}."
        return Finding(check="wrong-loss", status="PASS", sentence=sentence, evidence=evidence)
    status, sentence, cause, remedy = fault
    return Finding(
        check="wrong-loss",
        status="FAIL" if status == "FAIL" else "WARN",
        sentence=sentence,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
    )


@register("check", "initial-loss-live", family="before training", inputs=("probe",))
def initial_loss_live(probe: Probe) -> Finding | None:
    """The loss before training is that of a model that knows nothing."""
    found, loss = probe.measure(reference), probe.measure(criterion)
    if found is None or loss.sign < 0:
        return None
    samples = sum(len(targets) for _, targets in probe.sample.batches)
    values = (found.trained, found.evaluated, found.untrained, found.constant)
    if samples < FEWEST or not all(math.isfinite(value) for value in values):
        return None
    first = min(found.trained, found.evaluated)
    evidence = {"loss": first, "untrained": found.untrained, "constant": found.constant, "outputs": found.size}
    said = f"the loss before training is {first:.4g}, that of outputs of zero {found.untrained:.4g} and that of the "
    said += f"best constant {found.constant:.4g}"
    # What a loss moves by tells how large a difference is; some are about zero, or below it.
    unit = max(abs(found.untrained), abs(found.untrained - found.constant))
    if unit < 1e-12:
        return None
    if first > found.untrained + (HIGH - 1) * unit:
        remedy = "--prepare standardize" if probe.program.plan else "inputs = (inputs - mean) / std"
        return _high(first, found, unit, said, evidence, remedy)
    known = loss.exact and found.constant > 0
    if known and max(found.trained, found.evaluated) < LOW * found.constant:
        return Finding(
            check="initial-loss-live",
            status="WARN",
            sentence=f"The start is too good: {said}.",
            evidence=evidence,
            cause="The weights are trained already, or the inputs give the target away.",
            remedy="Look for a column or a file name that gives the target away; if the weights are trained, all is "
            "well.",
        )
    far = loss.name in ("mse", "rmse", "l1", "huber") and kind(probe) == "real"
    if far and found.constant > 0 and first > VERY_HIGH * found.constant:
        return Finding(
            check="initial-loss-live",
            status="WARN",
            sentence=f"The outputs start far from the targets: {said}.",
            evidence=evidence,
            cause="The targets lie far from zero for their spread, so that training first has to find their mean.",
            remedy="Standardise the targets: (targets - mean) / std, with both from the training split.",
        )
    sentence = f"The start is right: {said}."
    return Finding(check="initial-loss-live", status="PASS", sentence=sentence, evidence=evidence)


def _high(first: float, found: Reference, unit: float, said: str, evidence: dict[str, float], remedy: str) -> Finding:
    times = (first - found.untrained) / unit + 1
    return Finding(
        check="initial-loss-live",
        status="FAIL" if times > VERY_HIGH else "WARN",
        sentence=f"The start is too bad: {said}; outputs have the size {found.size:.3g}.",
        evidence=evidence,
        cause="The first outputs are far too large: the inputs or the initial weights are badly scaled.",
        remedy=f"Standardise the inputs, {remedy}; if they are, leave the initial weights as torch draws them.",
    )


def _least(targets: Tensor) -> float:
    return float(targets.min())


def _largest(targets: Tensor) -> float:
    return float(targets.max())


def _negated(loss: Criterion) -> Fault | None:
    if loss.sign > 0:
        return None
    return (
        "FAIL",
        f"The loss is the negative of {loss.name}: training drives the outputs away from the targets without bound.",
        "A sign is wrong.",
        "Leave out the minus before the loss.",
    )


def _distances(probe: Probe, loss: Criterion, targets: Tensor) -> Fault | None:
    """A distance where targets are classes or labels."""
    name, _, inner = loss.name.partition(" of ")
    if name not in DISTANCES:
        return None
    end = f" behind a {inner}" if inner else ""
    found = probe.measure(outputs)
    last = found.last if found is not None else "none"
    if (one_of_several(targets) and targets.unique().numel() == 2) or _outputs_for_each(probe, targets):
        return (
            # A loss that makes one-hot rows of the indices is only slow.
            "FAIL" if probe.measure(numbers) else "WARN",
            f"The loss is {name}{end}, and the targets are classes.",
            "A distance weighs all outputs alike and has small gradients where the model is surely wrong.",
            "Write nn.CrossEntropyLoss() with raw outputs, one for each class, and class indices.",
        )
    if binary(targets) and targets.unique().numel() == 2:
        return (
            "WARN",
            f"The loss is {name}{end}, and the targets are only {_least(targets):g} and {_largest(targets):g}"
            + (f"; the model ends in a {last}." if last != "none" else "."),
            "A distance is meant for real targets; behind a sigmoid it has small gradients where the model is wrong.",
            "Write nn.BCEWithLogitsLoss() with raw outputs and targets of 0 and 1.",
        )
    classes = _indices(targets)
    if classes:
        counts = targets.unique(return_counts=True)[1].double()
        even = not targets.is_floating_point() or float(counts.max() / counts.min()) <= EVEN
        return (
            "FAIL" if even else "WARN",
            f"The loss is {name}, and the targets are the whole numbers 0 to {classes - 1}"
            + (", all about as often: classes." if even else ", which look like classes."),
            "A distance between class indices says that class 1 lies between 0 and 2.",
            f"Write nn.CrossEntropyLoss() with {classes} outputs and targets.long().",
        )
    return None


def _outputs_for_each(probe: Probe, targets: Tensor) -> bool:
    """Whether there is an output for each class, and one class index for each sample."""
    shape, classes = probe.measure(running).outputs_shape, _indices(targets)
    return bool(classes) and len(shape) == 2 and shape[1] == classes > 1 and targets.numel() == len(targets)


def _indices(targets: Tensor) -> int:
    """The number of classes, where targets look like class indices: 0 to k - 1, each several times; else 0."""
    if targets.is_complex() or targets.numel() != len(targets):
        return 0
    values, counts = targets.unique(return_counts=True)
    k = len(values)
    whole = torch.equal(values.double(), torch.arange(k, dtype=torch.float64))
    return k if whole and 2 < k <= CLASSES and float(counts.double().mean()) >= EACH else 0


def _of_classes(probe: Probe, loss: Criterion, targets: Tensor) -> Fault | None:
    """A loss of classes where targets are real numbers, or several labels at once."""
    if not loss.name.startswith(("cross-entropy", "kl", "nll")) or not targets.is_floating_point():
        return None
    if one_of_several(targets) or targets.ndim < 2:
        return None
    if binary(targets) and _least(targets) == 0:
        return (
            "FAIL",
            f"The loss is {loss.name}, for classes that exclude one another, and rows of the targets hold "
            f"{float(targets.sum(1).mean()):.2g} ones on average.",
            "Several labels at once want a sigmoid each.",
            "Write nn.BCEWithLogitsLoss().",
        )
    sums = targets.sum(1)
    return (
        "FAIL" if _least(targets) < 0 or float(sums.std()) > 0.05 * float(sums.abs().mean()) else "WARN",
        f"The loss is {loss.name}, and the targets are real numbers from {_least(targets):.3g} to "
        f"{_largest(targets):.3g}, no classes and no probabilities that sum to 1.",
        "A cross-entropy compares distributions over classes.",
        "Write nn.MSELoss().",
    )


def _of_labels(loss: Criterion, targets: Tensor) -> Fault | None:
    """A binary cross-entropy where targets are one of several classes, or beyond 0..1."""
    if not loss.name.startswith(("bce", "soft margin")):
        return None
    signs = loss.name == "soft margin" or not targets.is_floating_point()
    if not signs and (_least(targets) < 0 or _largest(targets) > 1):
        return (
            "FAIL",
            f"The loss is {loss.name}, and the targets go from {_least(targets):.3g} to {_largest(targets):.3g}.",
            "A binary cross-entropy of targets beyond 0..1 falls without bound.",
            "Write nn.MSELoss() for real targets, nn.CrossEntropyLoss() for class indices, or 0 and 1 for two classes.",
        )
    if one_of_several(targets) and targets.shape[1] > 2 and targets.unique().numel() == 2:
        return (
            "WARN",
            f"The loss is {loss.name}, and each row of the targets has exactly one 1 among {targets.shape[1]}: classes "
            "that exclude one another.",
            "A binary cross-entropy judges each output alone, and most of its targets are 0.",
            "Write nn.CrossEntropyLoss() with raw outputs.",
        )
    return None


def _of_signs(probe: Probe, loss: Criterion, targets: Tensor) -> Fault | None:
    """A hinge loss on 0 and 1, a Poisson loss on negative counts, or the embedding's hinge on scores."""
    values = set(targets.unique()[:3].tolist())
    if loss.name in ("hinge", "soft margin") and 0 in values and values <= {0, 1}:
        return (
            "FAIL",
            f"The loss is {loss.name}, which takes targets of -1 and 1, and they are 0 and 1: samples of class "
            "0 give no gradient.",
            "The loss multiplies outputs by targets.",
            "Write 2 * targets - 1.",
        )
    if loss.name == "poisson" and _least(targets) < 0:
        return (
            "FAIL",
            f"The loss is that of Poisson counts, and targets go down to {_least(targets):.3g}.",
            "Counts are not negative.",
            "Write nn.MSELoss().",
        )
    found = probe.measure(outputs)
    if loss.name == "hinge embedding" and found is not None and float(found.evaluated.min()) < 0:
        return (
            "FAIL",
            "The loss is nn.HingeEmbeddingLoss, which takes distances, and gets outputs below 0: it falls without "
            "bound.",
            "It is no hinge loss for classes.",
            "Write nn.BCEWithLogitsLoss(), or (1 - targets * outputs).clamp(min=0).mean() with targets of -1 and 1.",
        )
    return None
