"""Do outputs go with targets, and depend on their own sample and nothing else."""

import math

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader, RandomSampler, default_collate

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.criterion import Criterion, criterion
from chainrule.doctor.measures.dependence import dependence
from chainrule.doctor.measures.mixing import mixing
from chainrule.doctor.measures.running import Running, running
from chainrule.doctor.measures.shapes import broadcasts
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Change of outputs, as a part of their size, above which another sample has a say in them; rounding stays below.
LEAKS = 1e-3
#: Change below which outputs do not depend on the inputs.
CONSTANT = 1e-6
#: Targets for each class from which none that there is would be missed.
ENOUGH = 10
#: Loss with zeros for inputs, as a part of the loss with the true ones, from which the inputs matter.
MATTERS = 1.05


@register("check", "output-shape", family="before training", inputs=("probe",))
def output_shape(probe: Probe) -> Finding | None:
    """Outputs have a row for each sample, and a place for each target or each class."""
    ran, loss = probe.measure(running), probe.measure(criterion)
    if ran.outputs_type != "Tensor" or not ran.inputs_shape[0]:
        return None
    fault = _of_batch(ran) or _of_pairs(probe, ran) or _of_classes(probe, ran, loss)
    evidence = {"outputs": list(ran.outputs_shape), "targets": list(ran.targets_shape), "loss": loss.name}
    if fault is None:
        sentence = f"Outputs {list(ran.outputs_shape)} go with targets {list(ran.targets_shape)}."
        return Finding(check="output-shape", status="PASS", sentence=sentence, evidence=evidence)
    status, sentence, cause, remedy = fault
    return Finding(
        check="output-shape",
        status="FAIL" if status == "FAIL" else "WARN",
        sentence=sentence,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
    )


@register("check", "batch-leak", family="before training", inputs=("probe",))
def batch_leak(probe: Probe) -> Finding | None:
    """In evaluation mode a sample's output does not change with the other samples of its batch."""
    found = probe.measure(mixing)
    if found is not None and found.kept and found.chance > LEAKS:
        return _of_state(probe, found.chance)
    if found is None or found.chance > LEAKS:
        return None
    evidence = {
        "others": found.others,
        "order": found.order,
        "fewer": None if found.fewer != found.fewer else found.fewer,
    }
    worst = max(value for value in (found.others, found.order, found.fewer) if value == value)
    if worst <= LEAKS:
        return _of_half(found.refuses, evidence)
    batched = any(
        isinstance(part, _BatchNorm) and not part.track_running_stats for part in probe.program.model.modules()
    )
    stacked = isinstance(probe.program.batches, DataLoader) and probe.program.batches.collate_fn is default_collate
    first = found.second and not stacked
    cause = (
        "A batch normalisation has no running statistics, so evaluation mode uses those of the batch."
        if batched
        else "A layer works along the first axis: a softmax or a mean with dim=0, a recurrent or attention layer "
        "without batch_first=True, or a view or reshape that mixes the axes."
    )
    if batched:
        remedy = "Leave out track_running_stats=False."
    elif first:
        remedy = "Make sure that batches have time first, or write batch_first=True."
    else:
        remedy = "Write batch_first=True, dim=1, or x.flatten(1), where the axes are mixed."
    return Finding(
        check="batch-leak",
        status="WARN" if batched or first else "FAIL",
        sentence=f"In evaluation mode the output of a sample changes by up to {worst:.1%} of the outputs' size with "
        "the other samples of its batch.",
        evidence=evidence,
        cause=cause,
        remedy=remedy,
    )


@register("check", "input-independent", family="before training", inputs=("probe",))
def input_independent(probe: Probe) -> Finding | None:
    """Once something is learned, outputs follow their inputs: zeros in their place are worse."""
    found = probe.measure(dependence)
    if found is None:
        return None
    evidence = {"change": found.change, "loss": found.loss, "zeros": found.zeros, "start": found.start}
    if found.change <= CONSTANT:
        return Finding(
            check="input-independent",
            status="FAIL",
            sentence="The outputs are the same whatever the inputs, before and after a short training.",
            evidence=evidence,
            cause="The inputs do not reach the outputs: all units of a layer are dead, a layer's result is not used, "
            "or the last activation is constant.",
            remedy="Print the spread over the samples, x.std(0), after each layer, to see where it becomes 0.",
        )
    if not found.learned:
        return None
    if found.zeros <= MATTERS * found.loss:
        return Finding(
            check="input-independent",
            status="WARN",
            sentence=f"After a short training on few samples the loss is {found.loss:.4g}, and with zeros for the "
            f"inputs {found.zeros:.4g}: the inputs hardly matter.",
            evidence=evidence,
            cause="What the model has learned is a constant; what the inputs say is lost on the way, or drowned.",
            remedy="Standardise the inputs, and look whether each layer's result is used.",
        )
    sentence = (
        f"Inputs matter: after a short training the loss is {found.loss:.4g}, with zeros for inputs {found.zeros:.4g}."
    )
    return Finding(check="input-independent", status="PASS", sentence=sentence, evidence=evidence)


def _of_state(probe: Probe, chance: float) -> Finding:
    """A state that goes on from batch to batch is meant so only where batches follow one another."""
    mixed = isinstance(probe.program.batches, DataLoader) and isinstance(probe.program.batches.sampler, RandomSampler)
    return Finding(
        check="batch-leak",
        status="FAIL" if mixed else "WARN",
        sentence=f"The same batch gives other outputs the second time, by up to {chance:.1%} of their size, and "
        "nothing is random: the model keeps a state of the batches before.",
        evidence={"difference": chance},
        cause="A hidden state or an average is stored in the model and used again for other samples.",
        remedy="Begin each batch with a state of zeros.",
    )


def _of_half(refuses: str, evidence: dict[str, float | None]) -> Finding:
    if refuses:
        return Finding(
            check="batch-leak",
            status="WARN",
            sentence=f"The model does not take half a batch: {refuses}.",
            evidence=evidence,
            cause="A view or reshape names a fixed batch size.",
            remedy="Write x.view(len(x), -1), or x.flatten(1).",
        )
    sentence = "In evaluation mode no output changes with the other samples of the batch."
    return Finding(check="batch-leak", status="PASS", sentence=sentence, evidence=evidence)


Fault = tuple[str, str, str, str]


def _of_batch(ran: Running) -> Fault | None:
    """Outputs of another number of rows than there are samples, which no position of a sequence explains."""
    samples, rows = ran.inputs_shape[0], (ran.outputs_shape or (0,))[0]
    # Outputs may be flattened, or have time first; what is left then is still a multiple of the samples.
    if (
        samples in ran.outputs_shape
        or (rows and rows % samples == 0)
        or (math.prod(ran.outputs_shape) % samples == 0 and rows and rows == (ran.targets_shape or (0,))[0])
    ):
        return None
    return (
        "FAIL",
        f"The outputs {list(ran.outputs_shape)} have no row for each of the {samples} samples.",
        "A view, a mean or a squeeze takes the axis of the samples away.",
        "Keep the first axis: write x.flatten(1), x.mean(dim=1), or x.squeeze(-1).",
    )


def _of_pairs(probe: Probe, ran: Running) -> Fault | None:
    """Every output is compared with every target, because [b, 1] and [b] are broadcast."""
    if ran.error or not probe.measure(broadcasts):
        return None
    b = ran.targets_shape[0]
    return (
        "FAIL",
        f"Outputs {list(ran.outputs_shape)} and targets {list(ran.targets_shape)} are broadcast to {[b, b]}: the loss "
        "compares every output with every target.",
        "One of them has an axis of length 1 more than the other.",
        "Write loss(outputs.squeeze(1), targets)."
        if len(ran.outputs_shape) > len(ran.targets_shape)
        else "Write loss(outputs, targets.squeeze(1)).",
    )


def _of_classes(probe: Probe, ran: Running, loss: Criterion) -> Fault | None:
    """Fewer or more outputs than classes."""
    batches = [targets for _, targets in probe.sample.batches]
    if "classes" not in loss.kinds or not loss.exact:
        return None
    if any(targets.is_floating_point() or targets.is_complex() for targets in batches):
        return _of_one(ran, loss)
    if ran.outputs_shape[0] not in (ran.inputs_shape[0], batches[0].numel()):
        return None  # several heads, say, come before the samples
    axis = loss.axis or 1
    outputs = ran.outputs_shape[axis] if axis < len(ran.outputs_shape) else 1
    largest = max(int(targets.max()) for targets in batches if targets.numel())
    least = min(int(_counted(targets).min()) for targets in batches if len(_counted(targets)))
    said = f"class indices from {least} to {largest} and {outputs} output{'' if outputs == 1 else 's'}"
    layer = f"Give the last layer {largest + 1} outputs"
    # A loss that puts a second logit of zero beside a single one is at home with it.
    if outputs == 1 and loss.name in ("cross-entropy", "nll") and "one" not in loss.name:
        return (
            "FAIL",
            f"There are {said}: the {loss.name} of one output is always 0.",
            "The softmax of a single output is 1.",
            f"{layer}, or write nn.BCEWithLogitsLoss() with targets.float().",
        )
    if outputs <= largest and outputs > 1:
        number = "Number the classes from 0: targets - 1" if least == 1 and outputs == largest else layer
        return ("FAIL", f"There are {said}.", "A class index has no output.", f"{number}.")
    if least == 1 and outputs == largest + 1:
        return (
            "WARN",
            f"There are {said}: class 0 never occurs.",
            "The classes are numbered from 1.",
            f"Write targets - 1, and {largest} outputs.",
        )
    # Few samples may lack a class or two.
    seen = sum(targets.numel() for targets in batches) >= ENOUGH * (largest + 1)
    if seen and probe.sample.whole and outputs > 1.2 * (largest + 1):
        return (
            "WARN",
            f"There are {said}: {outputs - largest - 1} outputs stand for no class.",
            "The last layer is that of another task.",
            f"{layer}.",
        )
    return None


def _of_one(ran: Running, loss: Criterion) -> Fault | None:
    """A single output where targets are real numbers."""
    if loss.name != "cross-entropy" or ran.outputs_shape[1:] != (1,):
        return None
    return (
        "FAIL",
        f"The outputs are {list(ran.outputs_shape)}: the cross-entropy of one output is always 0.",
        "The softmax of a single output is 1.",
        "Write nn.MSELoss() for real targets, nn.BCEWithLogitsLoss() for 0 and 1.",
    )


def _counted(targets: Tensor) -> Tensor:
    """Class indices that are none of those that losses leave out, such as -100."""
    return targets[targets >= 0]
