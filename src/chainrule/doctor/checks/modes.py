"""Do training and evaluation mode differ only where they should."""

from collections.abc import Sized

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.mixing import Mixing, mixing
from chainrule.doctor.measures.running import running
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Change of the outputs, as a part of their size, above which two passes differ by more than rounding.
DIFFERS = 1e-3
#: Momentum below which statistics are slow, and the share of their first values that is left at the end at most.
SLOW, LEFT = 0.01, 0.3
#: Samples of a batch from which its mean and variance say little of the data (Wu & He 2018, "Group normalization").
FEW = 3


@register("check", "train-eval", family="before training", inputs=("probe",))
def train_eval(probe: Probe) -> Finding | None:
    """Evaluation mode gives the same twice, and batch normalisation has batches and statistics that serve it."""
    if probe.measure(running).error:
        return None
    found = probe.measure(mixing)
    if found is not None and found.chance > DIFFERS:
        return None if found.kept else _random(found)
    normal = _of_normalisation(probe)
    if normal is not None:
        return normal
    if found is None:
        return None
    if found.modes == found.modes and found.modes > 0.1 and found.noise <= DIFFERS and not _layers(probe):
        return Finding(
            check="train-eval",
            status="WARN",
            sentence=f"Outputs in training mode differ from those in evaluation mode by up to {found.modes:.0%} of "
            "their size, without randomness and without a layer that has two modes.",
            evidence={"difference": found.modes},
            cause="The model itself asks for self.training, or changes something as it runs.",
            remedy="Look at what forward does with self.training.",
        )
    sentence = "Two passes in evaluation mode give the same outputs."
    return Finding(check="train-eval", status="PASS", sentence=sentence, evidence={"difference": found.chance})


def _random(found: Mixing) -> Finding:
    return Finding(
        check="train-eval",
        # What samples its code, as a variational autoencoder does, is random on purpose.
        status="FAIL" if found.drops else "WARN",
        sentence=f"Two passes over the same batch in evaluation mode differ by up to {found.chance:.0%} of the "
        "outputs' size.",
        evidence={"difference": found.chance},
        cause="A dropout works in evaluation mode as well; F.dropout(x) does not know the mode."
        if found.drops
        else "The model draws random numbers in evaluation mode as well.",
        remedy="Write F.dropout(x, training=self.training), or a module nn.Dropout."
        if found.drops
        else "If it is not meant so, draw only where self.training is true.",
    )


def _layers(probe: Probe) -> list[str]:
    """Names of the layers with statistics or randomness, which differ between the modes."""
    known = (_BatchNorm, nn.modules.dropout._DropoutNd, nn.RReLU, nn.MultiheadAttention, nn.RNNBase)
    return [
        name
        for name, module in probe.program.model.named_modules()
        if isinstance(module, known) or any("running" in buffer for buffer, _ in module.named_buffers(recurse=False))
    ]


def _of_normalisation(probe: Probe) -> Finding | None:
    """What is wrong with batch normalisation."""
    norms = {
        name or type(module).__name__: module
        for name, module in probe.program.model.named_modules()
        # What is frozen keeps its statistics on purpose.
        if isinstance(module, _BatchNorm) and (module.weight is None or module.weight.requires_grad)
    }
    if not norms:
        return None
    first = next(iter(norms))
    still = [name for name, module in norms.items() if module.momentum == 0 and module.track_running_stats]
    if still:
        return Finding(
            check="train-eval",
            status="FAIL",
            sentence=f"{len(still)} batch normalisations have a momentum of 0: the statistics that evaluation mode "
            "uses are never learned.",
            where=still[0],
            evidence={"layers": still[:10]},
            cause="In torch the momentum is the share of the new batch, 0.1 by default.",
            remedy=f"Write momentum=0.1 for {still[0]}.",
        )
    size = max(len(inputs) for inputs, _ in probe.sample.batches)
    if size <= FEW:
        return Finding(
            check="train-eval",
            status="FAIL" if size == 1 else "WARN",
            sentence=f"Batches have {size} samples, and {len(norms)} layers normalise over the batch.",
            where=first,
            evidence={"batch": size, "layers": len(norms)},
            cause="Mean and variance of so few samples say little of the data, so that the modes differ much.",
            remedy="Try --batch 32." if probe.program.plan else "Use a larger batch_size, or nn.GroupNorm.",
        )
    slow = _slow(probe, norms)
    if slow is not None:
        return slow
    latest = [name for name, module in norms.items() if module.momentum == 1 and module.track_running_stats]
    if latest:
        return Finding(
            check="train-eval",
            status="WARN",
            sentence=f"{len(latest)} batch normalisations have a momentum of 1: evaluation mode uses the statistics of "
            "the last batch alone.",
            where=latest[0],
            evidence={"layers": latest[:10]},
            cause="In torch the momentum is the share of the new batch, 0.1 by default.",
            remedy=f"Write momentum=0.1 for {latest[0]}.",
        )
    return None


def _slow(probe: Probe, norms: dict[str, _BatchNorm]) -> Finding | None:
    """Statistics that do not get from 0 and 1 to those of the data in the steps that are planned."""
    epochs, batches = probe.program.epochs, probe.program.batches
    if epochs is None or not isinstance(batches, Sized):
        return None
    steps = epochs * len(batches)
    slow = {
        name: (1 - module.momentum) ** steps
        for name, module in norms.items()
        if module.momentum and module.momentum < SLOW and int(module.num_batches_tracked or 0) == 0
    }
    left = max(slow.values(), default=0.0)
    if left <= LEFT:
        return None
    first = next(iter(slow))
    return Finding(
        check="train-eval",
        status="FAIL",
        sentence=f"After the {steps} steps that are planned, the statistics that evaluation mode uses are still "
        f"{left:.0%} of what they begin with, 0 and 1.",
        where=first,
        evidence={"momentum": norms[first].momentum, "steps": steps, "left": left},
        cause="In torch the momentum is the share of the new batch, 0.1 by default.",
        remedy=f"Write momentum=0.1 for {first}.",
    )
