"""What a model gives: its outputs in both modes, what they went through last, and how they depend on other samples."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chainrule.doctor.measures.endings import Ending, endings
from chainrule.doctor.measures.running import placed, running
from chainrule.doctor.probe import Probe

#: Samples whose outputs are looked at: enough for ranges and shares, little work.
SAMPLES = 256


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of a program before training.

    Attributes:
        inputs: The inputs of the samples that are looked at, ``[n, ...]``.
        targets: Their targets.
        evaluated: Outputs in evaluation mode.
        trained: Outputs in training mode.
        endings: Activations after the last layer, the last one first.
    """

    inputs: Tensor
    targets: Tensor
    evaluated: Tensor
    trained: Tensor
    endings: tuple[Ending, ...]

    @property
    def last(self) -> str:
        """Name of the last activation; ``"none"`` where the last layer's outputs are given as they are."""
        return self.endings[0].name if self.endings else "none"


def outputs(probe: Probe) -> Outputs | None:
    """Outputs of the first samples; None where the model does not run, or gives something other than a tensor."""
    ran = probe.measure(running)
    if ran.stage == "forward" or not ran.outputs_shape or 0 in ran.outputs_shape:
        return None
    inputs, targets = probe.sample.batches[0]
    model = probe.copied().model
    inputs, targets = placed(model, inputs[:SAMPLES]), targets[:SAMPLES]
    for parameter in model.parameters():
        if not nn.parameter.is_lazy(parameter) and parameter.is_floating_point():
            parameter.requires_grad_()
    try:
        with torch.enable_grad():
            given = model.train()(inputs)
            trained = given.detach().cpu().float()
            evaluated = model.eval()(inputs)
    except Exception:  # fewer samples than the program's own batches may be too few for a stranger's model
        return None
    if not isinstance(evaluated, Tensor):
        return None
    return Outputs(inputs, targets, evaluated.detach().cpu().float(), trained, endings(evaluated))
