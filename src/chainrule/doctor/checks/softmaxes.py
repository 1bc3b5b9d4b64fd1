"""Is a softmax or a sigmoid at the end applied once, over more than one unit, and over the classes."""

import math
from itertools import pairwise

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.criterion import Criterion, criterion
from chainrule.doctor.measures.endings import Ending
from chainrule.doctor.measures.outputs import Outputs, outputs
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Losses that apply a softmax to what they get, and those that apply a sigmoid to each output.
SOFTMAX = ("cross-entropy", "focal")
SIGMOID = ("bce-logits", "soft margin")


@register("check", "softmax-twice", family="before training", inputs=("probe",))
def softmax_twice(probe: Probe) -> Finding | None:
    """A softmax stands in the model or in the loss, not in both."""
    found, loss = probe.measure(outputs), probe.measure(criterion)
    if found is None:
        return None
    inside = loss.name in ("cross-entropy of softmax", "bce-logits of softmax")
    names = [ending.name for ending in found.endings]
    # A softmax of log_softmax is the softmax itself.
    twice = bool(_pairs(names) & {("softmax", "softmax"), ("logsoftmax", "softmax")})
    first = next((name for name in names if name in ("softmax", "logsoftmax", "log")), "")
    applies = loss.takes == "logits" and ("classes" in loss.kinds or loss.name.endswith("softmax")) and _softens(loss)
    behind = applies and first == "softmax"
    evidence = {"loss": loss.name, "last activations": names}
    if inside or twice or behind:
        where = (
            "the loss applies it to what already went through one"
            if inside
            else "the model applies it twice"
            if twice
            else f"the model ends in one, and its loss ({loss.name}) applies another"
        )
        return Finding(
            check="softmax-twice",
            status="FAIL",
            sentence=f"The softmax is applied twice: {where}, so {_least(found, loss)}.",
            where="loss" if inside else "model",
            evidence=evidence,
            cause="nn.CrossEntropyLoss takes raw outputs; it applies log_softmax itself.",
            remedy="Leave out the softmax before the loss; apply it only where probabilities are shown.",
        )
    if not applies:
        return None
    harmless = " (log_softmax before it changes nothing)" if first in ("logsoftmax", "log") else ""
    sentence = f"The softmax is applied once, by the loss ({loss.name}){harmless}."
    return Finding(check="softmax-twice", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "sigmoid-twice", family="before training", inputs=("probe",))
def sigmoid_twice(probe: Probe) -> Finding | None:
    """A sigmoid stands in the model or in the loss, not in both, and not before a softmax."""
    found, loss = probe.measure(outputs), probe.measure(criterion)
    if found is None:
        return None
    inside = loss.name in ("bce-logits of sigmoid", "cross-entropy of sigmoid")
    names = [ending.name for ending in found.endings]
    twice = bool(_pairs(names) & {(outer, "sigmoid") for outer in ("sigmoid", "softmax", "logsoftmax")})
    squashes = loss.takes == "logits" and (_softens(loss) or _presses(loss))
    sigmoid = found.last in ("sigmoid", "hardsigmoid") or _unit(found)
    evidence = {"loss": loss.name, "last activations": names}
    if inside or (squashes and sigmoid) or twice:
        other = "softmax" if _softens(loss) or loss.name.startswith("cross-entropy") else "sigmoid"
        return Finding(
            check="sigmoid-twice",
            status="FAIL",
            sentence="The model applies a sigmoid to what already went through one, or a softmax to that."
            if twice
            else f"The outputs go through a sigmoid, and the loss ({loss.name}) takes raw outputs and applies a "
            f"{other} to them: no output can say less than 0 or more than 1.",
            where="loss" if inside else "model",
            evidence=evidence,
            cause="The loss has its own sigmoid or softmax.",
            remedy="Leave out the sigmoid at the end of the model, or write nn.BCELoss() where each output stands "
            "alone.",
        )
    if not _presses(loss):
        return None
    sentence = f"The sigmoid is applied once, by the loss ({loss.name})."
    return Finding(check="sigmoid-twice", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "softmax-one-unit", family="before training", inputs=("probe",))
def softmax_one_unit(probe: Probe) -> Finding | None:
    """No softmax is taken over a single unit, which is 1 whatever the inputs."""
    found = probe.measure(outputs)
    if found is None:
        return None
    soft = [ending for ending in found.endings if ending.name in ("softmax", "logsoftmax")]
    single = [ending for ending in soft if ending.shape and ending.shape[ending.axis] == 1]
    if single:
        return Finding(
            check="softmax-one-unit",
            status="FAIL",
            sentence=f"The model ends in a softmax over one unit, of {list(single[0].shape)}: the output is always "
            f"{'1' if single[0].name == 'softmax' else '0'}, and no gradient comes through.",
            evidence={"shape": list(single[0].shape), "axis": single[0].axis},
            cause="A softmax makes its units sum to 1, so a single one is 1.",
            remedy="Write torch.sigmoid in place of the softmax, or two outputs; with nn.BCEWithLogitsLoss() neither.",
        )
    if not soft:
        return None
    sentence = f"The softmax at the end is over {soft[0].shape[soft[0].axis]} units."
    return Finding(check="softmax-one-unit", status="PASS", sentence=sentence)


@register("check", "softmax-dimension", family="before training", inputs=("probe",))
def softmax_dimension(probe: Probe) -> Finding | None:
    """A softmax at the end is taken over the classes, not over the batch or over time."""
    found = probe.measure(outputs)
    if found is None:
        return None
    soft = next((ending for ending in found.endings if ending.name in ("softmax", "logsoftmax")), None)
    if soft is None or len(soft.shape) < 2:
        return None
    wanted = _class_axis(soft, found, probe.measure(criterion))
    # With one axis beside the batch there is no other choice; with more, only where the classes are known to stand.
    batch = soft.axis == 0 and (soft.shape[0] == len(found.inputs) or len(soft.shape) > 2)
    wrong = batch or (wanted > 0 and soft.axis != wanted and not soft.turned)
    evidence = {"axis": soft.axis, "shape": list(soft.shape), "classes": wanted}
    if not wrong:
        sentence = f"The softmax at the end is over axis {soft.axis} of {list(soft.shape)}."
        return Finding(check="softmax-dimension", status="PASS", sentence=sentence, evidence=evidence)
    over = "the samples of the batch" if batch else "another axis than that of the classes"
    right = wanted if wanted > 0 else -1
    return Finding(
        check="softmax-dimension",
        status="FAIL",
        sentence=f"The softmax at the end is over axis {soft.axis} of {list(soft.shape)}, {over}: probabilities of one "
        "sample do not sum to 1.",
        evidence=evidence,
        cause="The axis is 0, or none was written (torch then takes 0 for three axes), or axes were exchanged before.",
        remedy=f"Write softmax(..., dim={right}).",
    )


def _softens(loss: Criterion) -> bool:
    return (loss.name in SOFTMAX and "classes" in loss.kinds) or (loss.name == "unknown" and loss.takes == "logits")


def _presses(loss: Criterion) -> bool:
    return loss.name in SIGMOID or (loss.name == "focal" and "labels" in loss.kinds)


def _least(found: Outputs, loss: Criterion) -> str:
    axis = loss.axis if 0 < loss.axis < found.evaluated.ndim else found.evaluated.ndim - 1
    classes = found.evaluated.shape[axis]
    least = math.log(math.e + classes - 1) - 1
    return f"a cross-entropy of {classes} classes cannot fall below {least:.2f} and its gradients are small"


def _class_axis(soft: Ending, found: Outputs, loss: Criterion) -> int:
    """The axis of classes in what the softmax was applied to, 0 where it is not known."""
    if len(soft.shape) == 2:
        return 1 if soft.shape[0] == len(found.inputs) and soft.shape == tuple(found.evaluated.shape) else 0
    if soft.shape == tuple(found.evaluated.shape) and loss.exact and "classes" in loss.kinds:
        return loss.axis
    return 0


def _pairs(names: list[str]) -> set[tuple[str, str]]:
    """Activations that follow one another, the later one first."""
    return set(pairwise(names))


def _unit(found: Outputs) -> bool:
    """Whether the outputs are cut to 0..1."""
    return found.last == "clamp" and (found.endings[0].low, found.endings[0].high) == (0.0, 1.0)
