"""Checks of the architecture: layers that add nothing, that narrow the way, that are missing."""

import math

from torch import nn

from chainrule.anatomy.statistics import activations
from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.chains import chains
from chainrule.doctor.measures.looking import looking
from chainrule.doctor.measures.parts import parts
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.measures.structure import structure
from chainrule.doctor.probe import Probe
from chainrule.errors import choices
from chainrule.registry import register

#: Share of the inputs that nothing depends on from which on it is told, and from which on it is surely wrong.
UNREAD, HALF = 0.1, 0.5
#: Width of a hidden layer that is a bottleneck, and of those around it; classes from which on a width is compared.
NARROW, WIDE, CLASSES = 2, 16, 8
#: Side of an image from which on its pixels want a convolution.
PIXELS = 64


@register("check", "linear-only", family="before training", inputs=("probe",))
def linear_only(probe: Probe) -> Finding | None:
    """There is a non-linear function between layers with weights."""
    seen = probe.measure(chains)
    if seen.layers < 2:
        if not seen.layers:
            return None
        return Finding(check="linear-only", status="SKIP", sentence="Only one layer has weights.")
    evidence = {"layers": seen.layers, "pairs": [[pair.first, pair.second] for pair in seen.pairs[:20]]}
    useless = [pair for pair in seen.pairs if not pair.narrowed]
    fault = "an activation is missing"
    if seen.linear and (useless or not seen.pairs):
        return Finding(
            check="linear-only",
            status="FAIL",
            sentence=f"The whole network is one linear function: nothing is between its {seen.layers} layers.",
            where=useless[0].second if useless else "",
            evidence=evidence,
            cause=f"The product of matrices is a matrix: {fault} behind each of them.",
            remedy="Train with --model mlp."
            if probe.program.plan
            else f"Put nn.ReLU() between {useless[0].first} and {useless[0].second}, and so on."
            if useless
            else "Put nn.ReLU() behind each layer but the last.",
        )
    if useless:
        first = useless[0]
        return Finding(
            check="linear-only",
            status="WARN",
            sentence=f"{first.first} goes into {first.second} without an activation"
            + (f", and so in {len(useless) - 1} more places." if len(useless) > 1 else "."),
            where=first.second,
            evidence=evidence,
            cause=f"Two linear layers in a row are one: {fault}.",
            remedy=f"Put nn.ReLU() between {first.first} and {first.second}, or leave one of them out.",
        )
    sentence = f"The {seen.layers} layers with weights have something non-linear between them."
    return Finding(check="linear-only", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "redundant-layers", family="before training", inputs=("probe",))
def redundant_layers(probe: Probe) -> Finding | None:
    """No layer does again what the one before it did."""
    seen = probe.measure(chains)
    doubled = [(first, second, f"{name} twice in a row") for first, second, name in seen.doubled]
    kinds = activations()
    for first, one, second, other in probe.measure(parts).straight:
        if issubclass(one, DROPOUTS) and issubclass(other, DROPOUTS):
            doubled.append((first, second, "dropout directly behind dropout"))
        elif issubclass(one, NORMS) and one is other:
            doubled.append((first, second, f"{one.__name__} directly behind {other.__name__}"))
        elif one is not other and one in kinds and other in kinds and seen.hidden.get(second, False):
            doubled.append((first, second, f"{one.__name__} and {other.__name__} without weights between them"))
    evidence = {"doubled": [list(entry) for entry in doubled[:20]], "softmax": list(seen.softmax[:20])}
    if doubled:
        first, second, what = doubled[0]
        return Finding(
            check="redundant-layers",
            status="WARN",
            sentence=f"{first} and {second}: {what}.",
            where=second,
            evidence=evidence,
            cause="A layer was written twice, or is in the block and in the forward.",
            remedy=f"Leave {second or 'the second'} out.",
        )
    if seen.softmax:
        return Finding(
            check="redundant-layers",
            status="WARN",
            sentence=f"{choices(list(seen.softmax), 3)} is a softmax in a hidden layer: its units have to sum to one.",
            where=seen.softmax[0],
            evidence=evidence,
            cause="A softmax makes probabilities; as an activation it lets one unit live on the others' cost.",
            remedy=f"Put nn.ReLU() in place of {seen.softmax[0]}.",
        )
    return Finding(check="redundant-layers", status="PASS", sentence="No layer is doubled.", evidence=evidence)


DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)


@register("check", "bottleneck", family="before training", inputs=("probe",))
def bottleneck(probe: Probe) -> Finding | None:
    """No hidden layer is far narrower than what follows it needs."""
    seen = probe.measure(chains)
    if not seen.widths:
        return None
    evidence = {"widths": dict(list(seen.widths.items())[:50]), "inputs": seen.inputs, "outputs": seen.outputs}
    narrow = min(seen.widths, key=lambda name: seen.widths[name])
    width = seen.widths[narrow]
    classes = seen.outputs if probe.measure(kind) == "classes" else 0
    # An autoencoder is narrow on purpose.
    coder = seen.outputs * 2 >= seen.inputs and probe.measure(kind) == "real"
    between = width <= NARROW and seen.widest >= WIDE
    few = classes >= CLASSES and width * 4 <= classes
    if coder or not (between or few):
        sentence = f"The narrowest hidden layer, {narrow}, has {width} units."
        return Finding(check="bottleneck", status="PASS", sentence=sentence, evidence=evidence)
    said = f"for {classes} classes" if few else f"between layers of up to {seen.widest}"
    return Finding(
        check="bottleneck",
        status="WARN",
        sentence=f"Everything passes the {width} unit{'s' if width > 1 else ''} of {narrow}, {said}.",
        where=narrow,
        evidence=evidence,
        cause="What a layer of that width leaves out no later layer gets back.",
        remedy="Train with a wider network, as in --model 'mlp(width=128)'."
        if probe.program.plan
        else f"Give {narrow} at least {max(WIDE, 2 * classes)} units.",
    )


@register("check", "missing-layers", family="before training", inputs=("probe",))
def missing_layers(probe: Probe) -> Finding | None:
    """The network looks at all of its inputs, and at images as images."""
    seen = probe.measure(looking)
    inputs = probe.sample.inputs
    if not math.isnan(seen.share) and seen.share > UNREAD:
        axis = _axis(inputs.dim(), seen.axis)
        said = f": {len(seen.entries)} of {seen.length} {axis}" if seen.entries else ""
        return Finding(
            check="missing-layers",
            status="FAIL" if seen.share > HALF else "WARN",
            sentence=f"No output depends on {seen.share:.0%} of the inputs{said}.",
            where=f"{axis} {choices([str(entry) for entry in seen.entries], 8)}" if seen.entries else "",
            evidence={"share": seen.share, "axis": seen.axis, "entries": list(seen.entries[:50])},
            cause="The network takes a part of its inputs, or of a recurrent layer's outputs, such as the first step.",
            remedy="Give the head the last step, outputs[:, -1], or the mean over all."
            if inputs.dim() == 3 or not inputs.is_floating_point()
            else "Look for an index or a slice in forward that takes less than all.",
        )
    evidence = {"share": None if math.isnan(seen.share) else seen.share}
    whole = probe.measure(structure)
    if inputs.dim() == 4 and inputs[0, 0].numel() >= PIXELS and len(whole.layers) == 1:
        kernel = whole.weights[whole.layers[0]].dim() > 2
        if not kernel:
            return Finding(
                check="missing-layers",
                status="WARN",
                sentence=f"Images of {inputs.shape[2]} × {inputs.shape[3]} go straight into a single linear layer, "
                f"{whole.layers[0].rpartition('.')[0] or whole.layers[0]}.",
                where=whole.layers[0],
                evidence=evidence,
                cause="A linear function of pixels sees no edges and no shapes.",
                remedy="Train with --model cnn."
                if probe.program.plan
                else "Put nn.Conv2d, nn.ReLU() and nn.MaxPool2d(2) in front of it, at least twice.",
            )
    if math.isnan(seen.share):
        return None
    sentence = "The outputs depend on all of the inputs."
    if seen.share:
        sentence = f"The outputs depend on {1 - seen.share:.0%} of the inputs."
    return Finding(check="missing-layers", status="PASS", sentence=sentence, evidence=evidence)


def _axis(dims: int, axis: int) -> str:
    if dims == 2:
        return "columns"
    if dims == 3:
        return ("steps of time", "features")[axis - 1] if axis else "positions"
    return ("channels", "rows", "columns")[axis - 1] if dims == 4 and axis else "positions"
