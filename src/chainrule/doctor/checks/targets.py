"""Checks of the targets: within what the loss takes, and enough of each class."""

from typing import Any

from chainrule.data.spec import Classes
from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.criterion import criterion
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.measures.targets import Counted, Range, counted, target_range
from chainrule.doctor.probe import Probe
from chainrule.errors import listing
from chainrule.registry import register

#: Losses that take targets from 0 to 1, and those that take -1 and 1.
UNIT = ("bce", "bce-logits", "bce of")
SIGNS = ("hinge", "soft margin", "hinge embedding")
#: Samples, and samples a class on average, below which nothing is said of classes.
FEWEST = 10
#: Samples of the largest class for one of the smallest from which on accuracy hides the latter.
UNBALANCED = 10.0
#: Validation samples, and their share, of classes that training lacks: fewer are what a rare class does by chance.
FEW, UNSEEN = 5, 0.1
#: Share of ones, or of zeros, of a label under which it is rare.
RARE = 0.02


@register("check", "target-range", family="data", inputs=("probe",))
def range_of_targets(probe: Probe) -> Finding | None:
    """The targets are what the loss takes."""
    found, loss = probe.measure(target_range), probe.measure(criterion)
    evidence: dict[str, Any] = {
        "least": found.least,
        "largest": found.largest,
        "outputs": found.outputs,
        "loss": loss.name,
        "shape": list(probe.sample.targets.shape[1:]),
    }
    wrong = _refused(found) if found.refused else _misread(probe, found, loss.name)
    if wrong is None:
        if found.refused or found.least != found.least:
            return None
        sentence = f"The targets, from {found.least:g} to {found.largest:g}, are what the loss takes."
        return Finding(check="target-range", status="PASS", sentence=sentence, evidence=evidence)
    said, cause, remedy = wrong
    return Finding(check="target-range", status="FAIL", sentence=said, evidence=evidence, cause=cause, remedy=remedy)


@register("check", "classes", family="data", inputs=("probe",))
def classes(probe: Probe) -> Finding | None:
    """Every class is there in the training part, and often enough."""
    found = probe.measure(counted)
    if found.labels:
        return _of_labels(found)
    if sum(found.train.values()) < FEWEST or kind(probe) == "real":
        return None
    counts = found.train
    rare, common = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
    ratio = counts[common] / counts[rare]
    evidence: dict[str, Any] = {"classes": len(counts), "rarest": rare, "commonest": common, "ratio": ratio}
    if len(counts) == 1 and found.whole:
        return Finding(
            check="classes",
            status="FAIL",
            sentence=f"All {counts[common]} training samples are of one class, {_name(probe, common)}.",
            evidence=evidence,
            cause="The others were lost on the way, or the data was cut by class.",
            remedy="Shuffle before the data is divided, or divide it by train_test_split(..., stratify=targets).",
        )
    unseen = sorted(set(found.valid) - set(counts))
    if unseen:
        number = sum(found.valid[c] for c in unseen)
        names = listing([_name(probe, c) for c in unseen])
        return Finding(
            check="classes",
            status="FAIL" if found.whole and number >= max(FEW, UNSEEN * sum(found.valid.values())) else "WARN",
            sentence=f"{number} of {sum(found.valid.values())} validation samples are of classes that the training "
            f"part {'does not have' if found.whole else 'did not show so far'}: {names}.",
            evidence={**evidence, "unseen": unseen},
            cause="The data was cut without shuffling, or without regard to the classes.",
            remedy="Shuffle before the data is divided, or divide it by train_test_split(..., stratify=targets).",
        )
    holes = sorted(set(range(max(counts))) - set(counts) - set(found.valid)) if min(counts) >= 0 else []
    # With few samples a class, some classes are missing by chance.
    if holes and found.whole and sum(counts.values()) >= FEWEST * (max(counts) + 1):
        return Finding(
            check="classes",
            status="WARN",
            sentence=f"No sample is of class {listing(holes)}, although classes go up to {max(counts)}.",
            evidence={**evidence, "missing": holes},
            cause="The classes are numbered with gaps, or those samples were lost.",
            remedy="Number the classes from 0 without gaps, as by torch.unique(targets, return_inverse=True)[1].",
        )
    return _of_balance(probe, found, ratio, rare, common, evidence)


def _of_balance(
    probe: Probe, found: Counted, ratio: float, rare: int, common: int, evidence: dict[str, Any]
) -> Finding:
    least, most = found.train[rare], found.train[common]
    said = (
        f"the rarest, {_name(probe, rare)}, has {least} training samples, the commonest, {_name(probe, common)}, {most}"
    )
    # Where there are few samples a class, some classes are rare by chance.
    if ratio < UNBALANCED or sum(found.train.values()) < FEWEST * len(found.train):
        sentence = f"{len(found.train)} classes: {said}."
        return Finding(check="classes", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="classes",
        status="WARN",
        sentence=f"The classes are unbalanced by a factor of {ratio:.0f}: {said}.",
        evidence=evidence,
        cause="Accuracy and loss are mostly those of the common classes.",
        remedy="--balance, and look at the F1 of each class."
        if probe.program.plan
        else "Give the loss weight=total / (classes * counts), and look at the recall of each class.",
    )


def _of_labels(found: Counted) -> Finding:
    rare = [number for number, share in enumerate(found.labels) if not RARE <= share <= 1 - RARE]
    evidence = {"labels": len(found.labels), "rare": rare[:10], "shares": [found.labels[i] for i in rare[:10]]}
    if not rare:
        sentence = f"Each of {len(found.labels)} labels is there often enough, and missing often enough."
        return Finding(check="classes", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="classes",
        status="WARN",
        sentence=f"{len(rare)} of {len(found.labels)} labels are there, or missing, in less than {RARE:.0%} of the "
        f"samples: {listing(rare)}.",
        evidence=evidence,
        cause="A model that always says the same is nearly always right about them.",
        remedy="--balance, or pos_weight=(1 - share) / share in nn.BCEWithLogitsLoss.",
    )


def _refused(found: Range) -> tuple[str, str, str] | None:
    """What is wrong with targets that the loss raises on; None where that is for another reason."""
    values = f"from {found.least:g} to {found.largest:g}"
    if found.repair == "indices":
        return _of_indices(found)
    if found.repair == "unit":
        return (
            f"The loss takes targets from 0 to 1; they are {values}.",
            "The targets have other values than binary ones.",
            _to_unit(found),
        )
    if found.repair == "argmax":
        return (
            "The loss takes a class index for each sample; the targets are rows, one number for each class.",
            "The targets are one-hot.",
            "Write targets.argmax(1).",
        )
    return None


def _of_indices(found: Range) -> tuple[str, str, str]:
    said = f"Class indices go from {found.least:g} to {found.largest:g}, but the model has {found.outputs} outputs, "
    said += f"for the classes 0 to {found.outputs - 1}."
    if found.least == 1 and found.largest == found.outputs:
        return said, "The classes are numbered from 1.", "Write targets - 1."
    if found.least < 0:
        return (
            said,
            "Some targets are negative.",
            "Number the classes from 0, as by torch.unique(targets, return_inverse=True)[1].",
        )
    return (
        said,
        "The last layer is too small for the classes.",
        f"Give the last layer {found.largest + 1:g} outputs.",
    )


def _misread(probe: Probe, found: Range, loss: str) -> tuple[str, str, str] | None:
    """What is wrong with targets that the loss computes with although they are not for it."""
    values = f"from {found.least:g} to {found.largest:g}"
    if loss.startswith(UNIT) and (found.least < 0 or found.largest > 1):
        return (
            f"Binary cross-entropy takes targets from 0 to 1; they are {values}, and the loss has no lower bound.",
            "The targets are signs, or class numbers.",
            _to_unit(found),
        )
    if loss in SIGNS and kind(probe) == "labels" and found.least == 0:
        return (
            f"The {loss} loss takes targets of -1 and 1; they are 0 and 1, and a sample with 0 teaches nothing or "
            "something else.",
            "The targets are binary and not signs.",
            "Write 2 * targets - 1.",
        )
    indices = probe.measure(criterion).kinds == ("classes",) and kind(probe) == "classes"
    # Cross-entropy itself refuses what is out of range; losses of one's own index from the end.
    outside = found.least < 0 or found.largest >= found.outputs
    if indices and outside and found.whole and found.outputs > 1 and probe.sample.targets.ndim == 1:
        return _of_indices(found)
    return None


def _to_unit(found: Range) -> str:
    if found.least == -1 and found.largest == 1:
        return "Write (targets + 1) / 2."
    return f"Write (targets - {found.least:g}) / {found.largest - found.least:g}."


def _name(probe: Probe, number: int) -> str:
    spec = probe.program.data.target if probe.program.data else None
    return repr(spec.names[number]) if isinstance(spec, Classes) and 0 <= number < len(spec.names) else str(number)
