"""Does the program run at all."""

import math
import re
from typing import Any

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.running import Running, running
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Parts of what is raised, with the cause and the remedy in plain words; the first that is found says it.
CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"mat1 and mat2 shapes cannot be multiplied|size mismatch, m1",
        "A linear layer expects another number of features than the layer before it gives.",
        "Set in_features of the linear layer to the last size of its inputs, or write nn.LazyLinear(...).",
    ),
    (
        r"expected input\S* to have \d+ channels|to have \d+ channels, but got",
        "A convolution expects another number of channels; channels come second, [batch, channels, height, width].",
        "Set in_channels to the second size of the inputs, or move the channels with inputs.permute(0, 3, 1, 2).",
    ),
    (
        r"[Ee]xpected more than 1 value per channel",
        "Batch normalisation cannot train on a batch of one sample.",
        "Write DataLoader(..., drop_last=True), or another --batch, so that no batch has one sample.",
    ),
    (
        r"Target -?\d+ is out of bounds|index -?\d+ is out of bounds|out of bounds for dimension|class values must be",
        "A class index is not from 0 to the number of outputs less 1.",
        "Give the last layer one output for each class, and number the classes from 0.",
    ),
    (
        r"between 0 and 1",
        "Binary cross-entropy takes probabilities and targets from 0 to 1, and got other numbers.",
        "Write nn.BCEWithLogitsLoss() in place of nn.BCELoss(), and scale the targets to 0 and 1.",
    ),
    (
        r"0D or 1D target tensor expected, multi-target not supported|1D target tensor expected, multi-target",
        "The loss takes class indices [b], and the targets have two axes.",
        "Write targets.squeeze(1) for a column of class indices, or targets.argmax(1) for one-hot rows.",
    ),
    (
        r"Expected floating point type for target with class probabilities",
        "The targets have the shape of the outputs, so they should be probabilities, but they are whole numbers.",
        "Write targets.argmax(1) for one-hot rows of whole numbers.",
    ),
    (
        r"[Tt]arget size|must be the same as input size|input and target",
        "Outputs and targets have different shapes.",
        "Give both the same shape: outputs.squeeze(1), or targets.unsqueeze(1).",
    ),
    (
        r"expected scalar type|must have the same dtype|Found dtype|should be the same|expected m1 and m2 to have",
        "Two tensors have different types of numbers.",
        "Write inputs.float(); targets.float() for regression and binary targets, targets.long() for class indices.",
    ),
    (
        r"not implemented for|dtype Long|result type Float can't be cast|only .* floating point",
        "An operation does not take this type of numbers.",
        "Write inputs.float(); targets.float() for regression and binary targets, targets.long() for class indices.",
    ),
    (
        r"does not require grad",
        "The loss does not depend on any parameter through steps that have a gradient: outputs are detached, rounded, "
        "made by argmax or under torch.no_grad(), or every parameter is frozen.",
        "Take detach(), .data, .item(), argmax, numpy() and no_grad() out of the way from the outputs to the loss.",
    ),
    (
        r"modified by an inplace operation",
        "A tensor that the backward pass needs was changed in place.",
        "Write x = x + y in place of x += y, and nn.ReLU() without inplace=True.",
    ),
    (
        r"backward through the graph a second time",
        "A hidden state or a loss of an earlier step is still in the graph.",
        "Write state = state.detach() before each batch.",
    ),
    (
        r"[Ii]ndex out of range in self|index out of range",
        "An index is not smaller than the number of rows of an embedding.",
        "Write nn.Embedding(largest index + 1, ...).",
    ),
    (
        r"shape '.*' is invalid for input of size|view size is not compatible|cannot reshape",
        "A view or reshape does not go with the number of values, often because it names a fixed batch size.",
        "Write x.flatten(1), or x.view(len(x), -1).",
    ),
    (
        r"must match the size of tensor|shapes? .* (are|is) not (broadcastable|aligned)",
        "Two tensors that are put together have different shapes.",
        "Print both shapes before that line.",
    ),
    (
        r"Expected all tensors to be on the same device",
        "Model, inputs and targets are not on the same device.",
        "Write inputs, targets = inputs.to(device), targets.to(device), and model.to(device).",
    ),
    (
        r"not a tensor",
        "The loss is a plain number, through .item() or numpy, and has no gradient.",
        "Return the tensor itself, without .item().",
    ),
)
OTHER = ("The program does not go with its data.", "Run model(inputs) and loss(outputs, targets) on one batch by hand.")


@register("check", "runs", family="before training", inputs=("probe",))
def runs(probe: Probe) -> Finding:
    """Forward, loss and backward of a batch run, and a forward in evaluation mode."""
    ran = probe.measure(running)
    evidence: dict[str, Any] = {
        "inputs": list(ran.inputs_shape),
        "targets": list(ran.targets_shape),
        "outputs": list(ran.outputs_shape),
    }
    if not ran.error:
        return _of_loss(ran, evidence)
    shapes = _shapes(ran)
    cause, remedy = explained(ran.exception)
    evidence |= {"stage": ran.stage, "batch": ran.batch, "exception": ran.exception[:500]}
    if ran.own:
        sentence = f"The program's own loop runs, but loss(model(inputs), targets) does not: {ran.error} {shapes}"
        return Finding(check="runs", status="SKIP", sentence=sentence, evidence=evidence, cause=cause)
    return Finding(
        check="runs",
        status="FAIL",
        sentence=f"{ran.error} {shapes}",
        where=f"batch {ran.batch}, {ran.stage}",
        evidence=evidence,
        cause=cause,
        remedy=remedy,
    )


def explained(exception: str) -> tuple[str, str]:
    """Cause and remedy of what was raised.

    Args:
        exception: Type and message.
    """
    return next(((cause, remedy) for part, cause, remedy in CAUSES if re.search(part, exception)), OTHER)


def _of_loss(ran: Running, evidence: dict[str, Any]) -> Finding:
    if not math.isfinite(ran.loss):
        return Finding(
            check="runs",
            status="FAIL",
            sentence=f"The loss of the first batch is {ran.loss} before any step.",
            evidence={**evidence, "loss": str(ran.loss)},
            cause="Inputs or targets are not finite, or the loss takes the logarithm or a quotient of zero.",
            remedy="Look for nan in the data, and use the loss of torch that takes logits.",
        )
    sentence = f"The program runs: {_shapes(ran)[:-1].lower()}, loss {ran.loss:.4g} on the first batch."
    return Finding(check="runs", status="PASS", sentence=sentence, evidence={**evidence, "loss": ran.loss})


def _shapes(ran: Running) -> str:
    given = f", outputs {list(ran.outputs_shape)}" if ran.outputs_shape else ""
    return f"Inputs {list(ran.inputs_shape)}, targets {list(ran.targets_shape)}{given}."
