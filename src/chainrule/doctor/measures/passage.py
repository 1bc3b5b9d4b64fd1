"""Whether training gets through: the program's own training beside that of a twin whose weights are well scaled.

The twin differs in nothing else than this: its weights are drawn orthogonal and scaled so that each layer's outputs
have unit deviation (Mishkin, Matas 2016, All you need is a good init), with biases of zero, and hidden sigmoids are
ReLUs.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.anatomy.passes import tensor_of
from chainrule.doctor.measures.criterion import criterion
from chainrule.doctor.measures.layers import some, units
from chainrule.doctor.measures.running import mean_loss, placed
from chainrule.doctor.measures.trials import learn, training
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program

#: Share of a probe's seconds for the twin's training.
TWIN = 0.5
#: Steps after which a program that learns nothing is said to stand still, and how many it is given if time allows.
LEAST, STEPS = 100, 300
#: Layers that are drawn anew.
DRAWN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
#: A share of the loss that counts as learned; less than this share of the twin's is next to nothing.
LEARNED, LEFT = 0.1, 0.25


@dataclass(frozen=True)
class Passage:
    """What of the loss outputs that depend on the inputs take away, against their mean for all samples.

    Attributes:
        start: Share before training, as the program is; NaN where it has no meaning.
        own: After the program's own training.
        twin: After the same training of the twin.
        steps: Steps of the own training.
    """

    start: float
    own: float
    twin: float
    steps: int

    @property
    def through(self) -> bool:
        """Whether the program learns, or nothing is known."""
        return math.isnan(self.own) or self.own >= LEARNED or self.own >= 0.5 * self.twin > 0

    @property
    def stuck(self) -> bool:
        """Whether the twin learns and the program does not."""
        return self.twin >= LEARNED and self.own < LEFT * self.twin and self.steps >= LEAST


def start(probe: Probe) -> float:
    """The share of the loss that the outputs take away before training: high in a model that has learned already.

    Args:
        probe: Of the program.
    """
    return _share(probe, probe.copied())


def passage(probe: Probe) -> Passage:
    """The program's own training, and its twin's.

    Args:
        probe: Of the program.
    """
    own = probe.measure(training)
    begun = probe.measure(start)
    batches = probe.sample.batches
    if own.ran and own.finite and own.steps < STEPS:  # a slow start is no standstill
        passes = [batches] * math.ceil(STEPS / len(batches))
        own = learn(probe, probe.copied(), passes, seconds=TWIN * probe.seconds, looks=1)
    share = _share(probe, own.program) if own.ran else math.nan
    if own.ran and not own.finite:
        share = 0.0
    if math.isnan(share) or math.isnan(begun) or not own.steps:
        return Passage(begun, math.nan, math.nan, own.steps)
    if share >= LEARNED:
        return Passage(begun, share, math.nan, own.steps)
    program = probe.copied()
    try:
        _open(probe, program.model)
        _scale(program.model, placed(program.model, probe.sample.inputs[: some(probe.sample.inputs)]))
    except Exception:  # a stranger's model may refuse it
        return Passage(begun, share, math.nan, own.steps)
    passes = [batches] * math.ceil(own.steps / len(batches))
    twin = learn(probe, program, passes, seconds=TWIN * probe.seconds, looks=1)
    return Passage(begun, share, _share(probe, twin.program) if twin.ran and twin.finite else 0.0, own.steps)


def _share(probe: Probe, program: Program) -> float:
    model = program.model.eval()
    outputs, wanted, count = [], [], 0
    try:
        with torch.no_grad():
            for inputs, targets in probe.sample.batches:
                outputs.append(model(placed(model, inputs)))
                wanted.append(placed(model, targets))
                count += len(inputs)
                if count >= 4 * some(probe.sample.inputs):
                    break
            together, targets = torch.cat(outputs), torch.cat(wanted)
            if not bool(together.isfinite().all()):
                return 0.0
            loss = float(mean_loss(program, together, targets))
            constants = [together.mean(0, keepdim=True).expand_as(together).contiguous()]
            if probe.measure(criterion).takes in ("logits", "real"):
                constants.append(torch.zeros_like(together))  # the mean of large outputs is a bad constant
            constant = min(float(mean_loss(program, given, targets)) for given in constants)
    except Exception:  # outputs may be no tensor, and a loss may want more than one batch of them
        return math.nan
    return 1 - loss / constant if constant > 0 and math.isfinite(constant) and loss >= 0 else math.nan


def _open(probe: Probe, model: nn.Module) -> None:
    """Put a ReLU in place of each hidden sigmoid."""
    hidden = {layer.layer for layer in probe.measure(units)}
    for name, module in list(model.named_modules()):
        for own, child in module.named_children():
            if isinstance(child, nn.Sigmoid | nn.Hardsigmoid) and (f"{name}.{own}" if name else own) in hidden:
                setattr(module, own, nn.ReLU())


def _scale(model: nn.Module, inputs: Tensor) -> None:
    """Draw the weights anew, each layer scaled while the samples pass it."""
    done: set[nn.Module] = set()

    def leave(module: nn.Module, given: Any, output: Any) -> Any:
        tensor = tensor_of(output)
        if module in done or tensor is None:
            return None
        done.add(module)
        assert isinstance(module, DRAWN)
        nn.init.orthogonal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
        deviation = float(module.forward(*given).std())
        if math.isfinite(deviation) and deviation > 0:
            module.weight.div_(deviation)
        return module.forward(*given)

    hooks = [module.register_forward_hook(leave) for module in model.modules() if isinstance(module, DRAWN)]
    model.train()
    with torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
