"""Whether a program runs: forward, loss and backward of a few batches, and a forward in evaluation mode."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Pair, Program


@dataclass(frozen=True)
class Running:
    """How far one pass of a program came.

    Attributes:
        error: What went wrong, a sentence; empty where the program runs.
        stage: ``"forward"``, ``"loss"``, ``"backward"`` or ``"evaluation"``, where it stopped; empty where it runs.
        exception: Type and message of what was raised; empty where nothing was.
        batch: Number of the batch that it stopped at, from 1; 0 where it runs.
        own: Whether the program's own loop runs one batch although ``loss(model(inputs), targets)`` does not.
        inputs_shape: Shape of the inputs of that batch, or of the first.
        targets_shape: Shape of its targets.
        outputs_shape: Shape of its outputs; empty where they are no tensor, or did not come.
        outputs_type: Name of the type of the outputs, such as ``"Tensor"``; empty where they did not come.
        loss: Mean loss of the first batch in training mode; NaN where there is none.
    """

    error: str = ""
    stage: str = ""
    exception: str = ""
    batch: int = 0
    own: bool = False
    inputs_shape: tuple[int, ...] = ()
    targets_shape: tuple[int, ...] = ()
    outputs_shape: tuple[int, ...] = ()
    outputs_type: str = ""
    loss: float = math.nan


def running(probe: Probe) -> Running:
    """Forward, loss and backward of the first batch, the last, and those with the least and the largest target."""
    batches = probe.sample.batches
    first = None
    # One copy for all: what a model keeps of one batch may be what stops it at the next.
    program = probe.copied()
    telling = _telling(batches)
    for training in (True, False):
        for number in telling if len(telling) > 1 else telling * 2:
            came = _passed(program, batches[number], number + 1, training=training)
            if came.error:
                return _with_own_loop(probe, came, batches[number])
            first = first or came
    assert first is not None
    return first


def placed(model: nn.Module, part: Tensor) -> Tensor:
    """Inputs or targets on the device of the model's first parameter."""
    where = next(model.parameters(), None)
    return part if where is None or where.device == part.device else part.to(where.device)


def mean_loss(program: Program, outputs: Any, targets: Tensor) -> Tensor:
    """The loss of a batch as one number: the mean where the program's loss gives several.

    Raises:
        TypeError: When the loss is no tensor.
    """
    loss = program.loss(outputs, targets)
    if not isinstance(loss, Tensor):
        raise TypeError(f"the loss is of type {type(loss).__name__}, not a tensor, and has no gradient")
    return loss.mean() if loss.ndim else loss


def _telling(batches: list[Pair]) -> list[int]:
    """Numbers of the batches that are most likely to stop a program, the first one first."""
    sizes = [targets.numel() for _, targets in batches]
    full = [number for number, size in enumerate(sizes) if size]
    if not full:
        return [0]
    real = {number: batches[number][1].real for number in full}
    least = min(full, key=lambda number: float(real[number].min()))
    largest = max(full, key=lambda number: float(real[number].max()))
    return list(dict.fromkeys([0, len(batches) - 1, least, largest]))


def _passed(program: Program, batch: Pair, number: int, *, training: bool) -> Running:
    """One batch through the program: forward, loss and backward, or a forward in evaluation mode."""
    model = program.model
    inputs, targets = (placed(model, part) for part in batch)
    shapes: dict[str, Any] = {"inputs_shape": tuple(inputs.shape), "targets_shape": tuple(targets.shape)}
    loss = torch.tensor(math.nan)
    stage = "forward" if training else "evaluation"
    try:
        model.train(training)
        with torch.set_grad_enabled(training):
            outputs = model(inputs)
            if training:
                shapes["outputs_type"] = type(outputs).__name__
                shapes["outputs_shape"] = tuple(outputs.shape) if isinstance(outputs, Tensor) else ()
                stage = "loss"
                loss = mean_loss(program, outputs, targets)
                stage = "backward"
                loss.backward()
    except Exception as error:  # a stranger's model and loss may raise anything
        exception = f"{type(error).__name__}: {error}"
        what = {
            "forward": "The forward pass",
            "loss": "The loss",
            "backward": "The backward pass",
            "evaluation": "The forward pass in evaluation mode",
        }[stage]
        said = f"{what} of batch {number} raises {exception.splitlines()[0][:300].rstrip('.')}."
        return Running(error=said, stage=stage, exception=exception, batch=number, **shapes)
    return Running(loss=float(loss.detach()), **shapes)


def _with_own_loop(probe: Probe, came: Running, batch: Pair) -> Running:
    """The same, and whether the program's own loop gets through that batch."""
    program = probe.copied()
    if program.train is None or program.optimizer is None:
        return came
    try:
        program.train(program.model, program.loss, program.optimizer, [batch])
    except Exception:  # the same holds for a stranger's loop
        return came
    return Running(**{**vars(came), "own": True})
