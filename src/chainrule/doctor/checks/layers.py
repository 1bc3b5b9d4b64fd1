"""Checks of what passes the layers: dead and saturated units, signal and gradient through depth, dropout, norms."""

import math

from chainrule.anatomy.statistics import FACTOR
from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.gradients import gradients
from chainrule.doctor.measures.layers import Units, depth, units
from chainrule.doctor.measures.parts import parts
from chainrule.doctor.measures.passage import passage
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.measures.structure import structure
from chainrule.doctor.measures.weights import weights
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Share of dead units from which a layer is said to have lost its width, and of how many units at least: of fewer,
#: half are dead by chance.
DEAD, UNITS = 0.5, 8
#: Share from which on it is told although the program learns.
MOST = 0.7
#: Share of saturated outputs from which a layer passes little, and next to nothing.
FLAT, ENDED = 0.5, 0.9
#: Layers below which depth is no question.
DEEP = 3
#: Gradient of the earliest steps of time beside the greatest, from which on they do not learn.
EARLY = 1e-4
#: Dropout: usual are 0.1 to 0.5.
HIGH, EXTREME = 0.7, 0.9
#: Width below which dropout in front of a single real output adds more noise than it regularises.
NARROW = 64
#: Numbers that a mean and a deviation should be taken over.
FEWEST = 4


@register("check", "dead-units", family="before training", inputs=("probe",))
def dead_units(probe: Probe) -> Finding | None:
    """Units with a ReLU are on for some samples."""
    seen = [layer for layer in probe.measure(units) if layer.off is not None]
    if not seen:
        return None
    shares = {layer.layer: layer.off for layer in seen}
    evidence = {"dead": shares}
    worst = max(seen, key=lambda layer: (layer.off == 1.0 and layer.alone, layer.units >= UNITS, layer.off))
    share = worst.off or 0.0
    gone = share == 1.0 and worst.alone
    many = share > DEAD and worst.units >= UNITS
    if gone or (many and (share > MOST or not probe.measure(passage).through)):
        states = probe.measure(gradients)
        blocked = (gone and not states.named("learns")) or (gone and bool(states.named("zero")))
        return Finding(
            check="dead-units",
            status="FAIL" if blocked else "WARN",
            sentence=f"{share:.0%} of the {worst.units} units of {worst.layer} ({worst.kind}) are zero for all samples"
            + ("; nothing passes." if gone else "."),
            where=worst.layer,
            evidence=evidence,
            cause="Large negative biases or weights, inputs that are far from zero mean and unit scale, or a rate that "
            "was too high.",
            remedy="Train with --init kaiming and --prepare standardize."
            if probe.program.plan
            else "Draw the weights anew (nn.init.kaiming_normal_, biases of zero), standardise the inputs, or use "
            "nn.LeakyReLU().",
        )
    sentence = f"At most {share:.0%} of the units of a layer are dead, in {worst.layer}."
    return Finding(check="dead-units", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "saturated-units", family="before training", inputs=("probe",))
def saturated_units(probe: Probe) -> Finding | None:
    """Bounded activations in hidden layers are not at their ends."""
    seen = [layer for layer in probe.measure(units) if layer.saturated is not None]
    if not seen:
        return None
    evidence = {"saturated": {layer.layer: layer.saturated for layer in seen}}
    worst = max(seen, key=_ended)
    share = _ended(worst)
    if share <= FLAT:
        sentence = f"At most {share:.0%} of a layer's outputs are saturated, in {worst.layer} ({worst.kind})."
        return Finding(check="saturated-units", status="PASS", sentence=sentence, evidence=evidence)
    through = probe.measure(passage)
    return Finding(
        check="saturated-units",
        status="FAIL" if share > ENDED and worst.alone and through.stuck else "WARN",
        sentence=f"{share:.0%} of the outputs of {worst.layer} ({worst.kind}) are at an end of the activation, where "
        "next to no gradient passes.",
        where=worst.layer,
        evidence={**evidence, "learned": through.own, "well scaled": through.twin},
        cause="Inputs or weights are far too large for an activation with ends.",
        remedy="Train with --prepare standardize and --init xavier-normal."
        if probe.program.plan
        else "Standardise the inputs and draw the weights by nn.init.xavier_normal_, or use nn.ReLU().",
    )


def _ended(layer: Units) -> float:
    return layer.saturated or 0.0


@register("check", "activation-scale", family="before training", inputs=("probe",))
def activation_scale(probe: Probe) -> Finding | None:
    """What differs between samples keeps its size through the depth."""
    # A branch beside the signal may be small on purpose, as one that begins with zeros.
    through = {weight.name.rpartition(".")[0] for weight in probe.measure(weights) if weight.chain and not weight.last}
    seen = [(name, spread) for name, spread in probe.measure(depth).spread.items() if name in through]
    if len(seen) < DEEP - 1:
        return None
    (first, begin), (last, end) = seen[0], seen[-1]
    change = end / begin if begin else math.nan
    evidence = {"first": begin, "last": end, "layers": len(seen), "by layer": dict(seen[:50])}
    if not math.isfinite(change):
        return None
    said = f"{change:.2g} from {first} to {last}, {change ** (1 / max(len(seen) - 1, 1)):.2f} a layer over {len(seen)}"
    if 1 / FACTOR <= change <= FACTOR:
        sentence = f"The activations keep their scale: a factor of {said}."
        return Finding(check="activation-scale", status="PASS", sentence=sentence, evidence=evidence)
    what = "die out" if change < 1 else "blow up"
    return _course(
        probe,
        "activation-scale",
        f"The activations {what} through the depth: a factor of {said}",
        evidence,
        extreme=_extreme(change),
    )


@register("check", "gradient-scale", family="before training", inputs=("probe",))
def gradient_scale(probe: Probe) -> Finding | None:
    """The gradient keeps its size on its way back through depth and time."""
    found = probe.measure(depth)
    seen = list(found.gradient.items())
    times = found.times
    if times and max(times) > 0:
        share = sum(times[: len(times) // 10]) / (len(times) // 10) / max(times)
        if 0 < share < EARLY:
            said = f"The gradient of the first tenth of {len(times)} steps of time is {share:.1g} of the largest one's"
            return _course(probe, "gradient-scale", said, {"early": share, "steps": len(times)}, time=True)
    if len(seen) < DEEP or not seen[-1][1]:
        return None
    (first, begin), (last, end) = seen[0], seen[-1]
    change = begin / end
    evidence = {"first": begin, "last": end, "layers": len(seen), "by layer": dict(seen[:50])}
    factor = change ** (1 / (len(seen) - 1)) if change > 0 else 0.0
    said = f"{change:.2g} from {last} back to {first}, {factor:.2f} a layer over {len(seen)}"
    if 1 / FACTOR <= change <= FACTOR:
        sentence = f"The gradient keeps its scale: a factor of {said}."
        return Finding(check="gradient-scale", status="PASS", sentence=sentence, evidence=evidence)
    if not change > 0:
        return None  # no-gradient tells of it
    what = "vanishes" if change < 1 else "explodes"
    return _course(
        probe,
        "gradient-scale",
        f"The gradient {what} through the depth: a factor of {said}",
        evidence,
        extreme=_extreme(change),
    )


def _extreme(change: float) -> bool:
    """Whether a change of scale costs steps even where training gets through."""
    return not FACTOR**-2 <= change <= FACTOR**2


def _course(
    probe: Probe, check: str, said: str, evidence: dict[str, object], *, time: bool = False, extreme: bool = False
) -> Finding:
    """What becomes of a program whose signal or gradient changes its size."""
    through = probe.measure(passage)
    evidence = {**evidence, "learned": through.own, "well scaled": through.twin, "steps": through.steps}
    if through.through and not extreme:
        known = "" if math.isnan(through.own) else f": its outputs take away {through.own:.0%} of the loss"
        sentence = f"{said}; training gets through all the same{known}."
        return Finding(check=check, status="PASS", sentence=sentence, evidence=evidence)
    bounded = any(layer.saturated is not None for layer in probe.measure(units))
    remedy = "Train with --init kaiming (xavier-normal for tanh)."
    if probe.program.plan is None:
        remedy = (
            "Use nn.LSTM or nn.GRU with a forget bias of 1, or shorten the sequences."
            if time
            else "Put nn.BatchNorm or nn.LayerNorm behind the layers, and nn.ReLU() in place of sigmoid or tanh."
            if bounded
            else "Draw the weights by nn.init.kaiming_normal_, with biases of zero."
        )
    compared = (
        f"; after {through.steps} steps its outputs take away {max(through.own, 0):.0%} of the loss"
        + (f", those of a well-scaled twin {through.twin:.0%}" if not math.isnan(through.twin) else "")
        if through.steps
        else ""
    )
    return Finding(
        check=check,
        status="FAIL" if through.stuck and not time else "WARN",
        sentence=f"{said}{compared}.",
        evidence=evidence,
        cause="A recurrent layer multiplies by the same Jacobian at each step of time."
        if time
        else "Weights that are badly scaled, or saturating activations, layer upon layer without normalisation.",
        remedy=remedy,
    )


@register("check", "dropout-rate", family="before training", inputs=("probe",))
def dropout_rate(probe: Probe) -> Finding | None:
    """Dropout leaves enough to learn from."""
    seen = probe.measure(parts).dropouts
    if not seen:
        return None
    worst = max(seen, key=lambda layer: layer.rate)
    evidence = {"rates": {layer.layer: layer.rate for layer in seen}}
    last = seen[-1]
    outputs = {place: probe.measure(structure).operations[place].shape for place in probe.measure(structure).ends}
    single = bool(outputs) and all(math.prod(shape[1:]) == 1 for shape in outputs.values())
    small = single and last.rate >= 0.5 and last.width < NARROW and probe.measure(kind) == "real"
    if worst.rate <= HIGH and not small:
        sentence = f"Dropout is at most {worst.rate:g}, in {worst.layer}."
        return Finding(check="dropout-rate", status="PASS", sentence=sentence, evidence=evidence)
    high = worst.rate > HIGH
    layer = worst if high else last
    return Finding(
        check="dropout-rate",
        status="FAIL" if worst.rate > EXTREME else "WARN",
        sentence=f"Dropout {layer.layer} takes away {layer.rate:.0%} of what it gets"
        + ("." if high else f", {layer.width} numbers right before a single real output."),
        where=layer.layer,
        evidence=evidence,
        cause="The rate is the share that is dropped, not the one that is kept."
        if high
        else "Each drop changes the predicted number, which no unit beside it makes up for.",
        remedy="Train with a lower rate, as in --model 'mlp(dropout=0.2)'."
        if probe.program.plan
        else f"Write nn.Dropout({0.3 if high else 0.0:g}).",
    )


@register("check", "small-batch-norm", family="before training", inputs=("probe",))
def small_batch_norm(probe: Probe) -> Finding | None:
    """A normalisation has enough numbers to take a mean of."""
    seen = probe.measure(parts).norms
    if not seen:
        return None
    constant = [layer for layer in seen if layer.constant]
    worst = constant[0] if constant else min(seen, key=lambda layer: layer.values)
    evidence = {"values": {layer.layer: layer.values for layer in seen[:50]}, "batch": worst.batch}
    alone = worst.over and worst.values == 1
    if not constant and not alone and (worst.values >= FEWEST or not worst.over):
        sentence = f"Each normalisation takes its mean over {worst.values} numbers or more."
        return Finding(check="small-batch-norm", status="PASS", sentence=sentence, evidence=evidence)
    said = f"{worst.layer} ({worst.kind}) takes its mean over {worst.values} number{'s' if worst.values > 1 else ''}"
    batch = f", with a batch of {worst.batch}" if worst.over else ""
    return Finding(
        check="small-batch-norm",
        status="FAIL" if constant or alone else "WARN",
        sentence=f"{said}{batch}" + (", so that all samples give the same." if constant else "."),
        where=worst.layer,
        evidence=evidence,
        cause="What is normalised over so few numbers loses what it says.",
        remedy="Train with --batch 16 or more."
        if probe.program.plan
        else "Write DataLoader(..., drop_last=True) with larger batches, or nn.GroupNorm in its place."
        if worst.over
        else f"Leave {worst.layer} out where there is nothing to take a mean over.",
    )
