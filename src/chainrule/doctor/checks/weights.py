"""Check of the weights that training starts from."""

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.passage import passage, start
from chainrule.doctor.measures.weights import Weight, weights
from chainrule.doctor.probe import Probe
from chainrule.errors import choices
from chainrule.registry import register

#: Share of the loss that is taken away before training from which on a network has learned already.
TRAINED = 0.3
#: How far a deviation may be outside of what initialisers give: initialisers by hand, such as N(0, 0.01), are 4 times
#: too small for some layer of nearly every network that learns well.
SOFT, HARD = 4.0, 10.0
#: Mean size of the biases of a hidden layer beyond which they decide alone.
BIAS = 3.0


@register("check", "initial-weights", family="before training", inputs=("probe",))
def initial_weights(probe: Probe) -> Finding | None:
    """The initial weights break the symmetry of the units, and have a size that signals keep theirs with."""
    seen = [weight for weight in probe.measure(weights) if weight.learns]
    if not seen:
        return None
    evidence = {"deviation": {w.name: w.deviation for w in seen[:50]}, "usual": {w.name: w.usual for w in seen[:50]}}
    if probe.measure(start) >= TRAINED:
        sentence = "The network has learned already, so its weights are no fresh draw."
        return Finding(check="initial-weights", status="SKIP", sentence=sentence, evidence=evidence)
    stuck = [weight for weight in seen if not weight.only and weight.alike and (weight.stays or _constant(weight))]
    if not stuck and len(seen) > 1 and all(weight.zero for weight in seen):
        stuck = seen  # biases may open them in the end, but nothing that was drawn is left
    if stuck:
        names = [weight.name for weight in stuck]
        flat = all(weight.deviation == 0 for weight in stuck)
        return Finding(
            check="initial-weights",
            status="FAIL",
            sentence=f"All units of {choices(names, 3)} have the same weights"
            + (", and still have after some steps." if any(weight.stays for weight in stuck) else "."),
            where=names[0],
            evidence={**evidence, "alike": names},
            cause=f"Weights that are {'constant' if flat else 'alike'} leave units alike: each gets the same gradient.",
            remedy="Train with --init kaiming."
            if probe.program.plan
            else f"Draw them at random: nn.init.kaiming_normal_(model.{names[0]}).",
        )
    far = max((weight for weight in seen if not weight.alike), key=_off, default=None)
    if far is not None and (_off(far) > HARD or (_off(far) > SOFT and not probe.measure(passage).through)):
        return _badly_scaled(probe, far, evidence)
    biased = [weight for weight in seen if weight.bias > BIAS and not weight.last]
    if biased:
        name = biased[0].name
        return Finding(
            check="initial-weights",
            status="WARN",
            sentence=f"The biases beside {name} are {biased[0].bias:.2g} on average before training.",
            where=name,
            evidence=evidence,
            cause="Biases of that size decide whether a unit is on, whatever the inputs are.",
            remedy=f"Begin with biases of zero: nn.init.zeros_(model.{name.removesuffix('weight')}bias).",
        )
    sentence = f"The weights of {len(seen)} layers differ between units, and have a usual size."
    return Finding(check="initial-weights", status="PASS", sentence=sentence, evidence=evidence)


def _constant(weight: Weight) -> bool:
    """Whether hidden units are alike, and not closed by zeros, as the last of a residual branch may be on purpose."""
    return not weight.zero and not weight.last and weight.shape[1] > 1


def _off(weight: Weight) -> float:
    """How many times the deviation is outside of what is usual, where its size matters; 1 is inside."""
    least, greatest = weight.usual
    if weight.normed or weight.deviation == 0:
        return 1.0
    small = least / weight.deviation if weight.chain and not weight.last else 1.0
    return max(weight.deviation / greatest, small, 1.0)


def _badly_scaled(probe: Probe, far: Weight, evidence: dict[str, object]) -> Finding:
    through = probe.measure(passage)
    large = far.deviation > far.usual[1]
    usual = far.usual[1] if large else far.usual[0]
    evidence = {**evidence, "learned": through.own, "well scaled": through.twin}
    said = f"The weights {far.name} are {_off(far):.0f} times too {'large' if large else 'small'}"
    sentence = f"{said}: a deviation of {far.deviation:.2g}, {usual:.2g} is usual for their number of inputs."
    return Finding(
        check="initial-weights",
        status="FAIL" if _off(far) > HARD and through.stuck else "WARN",
        sentence=sentence,
        where=far.name,
        evidence=evidence,
        cause=f"Signals {'grow' if large else 'shrink'} from layer to layer, and gradients with them.",
        remedy="Train with --init kaiming."
        if probe.program.plan
        else f"Scale them by their number of inputs: nn.init.kaiming_normal_(model.{far.name}).",
    )
