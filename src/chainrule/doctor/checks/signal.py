"""Checks of what the inputs say of the targets: too much, nothing, or the contrary.

Suspects of wrong labels are found as in Brodley & Friedl, Identifying mislabeled training data, 1999: by what models
say of samples that they have not seen.
"""

import math

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.alone import Alone, alone
from chainrule.doctor.measures.relation import relation, suspects
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Accuracy or rank correlation of a single column that asks for a reason; and that is as good as the target itself.
TELLING, PERFECT = 0.98, 0.99
#: Spread within a class over the distance of classes: of nothing but a target with noise; of such a one where the other
#: columns know less; of a column that asks for a reason then. Clouds of points are hardly 20 spreads apart.
TIGHT, CLOSE, CLEAR = 0.02, 0.05, 0.15
#: Correlation with a real target, and by how much less of its variance the others explain, of a target with noise.
SAME, LESS = 0.9985, 0.1
#: By how much the others have to be worse for a column to stand out, and in standard deviations of the difference.
STANDS_OUT, SURE = 0.05, 3.0
#: Standard deviations beyond shuffled targets below which nothing was seen.
NOTHING = 3.0
#: Fewest suspects, and their share of all samples and of all mistakes. Where classes overlap, most mistakes are at the
#: border, where neighbours do not agree.
SUSPECTS, SHARE, MISTAKES = 4, 0.025, 0.3
#: Accuracy below which models are certain of nothing.
CERTAIN = 0.7
#: Suspects that are named.
NAMED = 5


@register("check", "giveaway", family="data", inputs=("probe",))
def giveaway(probe: Probe) -> Finding | None:
    """No single column knows the target."""
    found = probe.measure(alone)
    if not found.column or math.isnan(found.score):
        return None
    evidence = {
        "score": found.score,
        "without it": found.others,
        "copy": found.copy,
        "spread over gap": found.gap,
        "counter": found.numbered,
    }
    figure = f"{found.column} alone predicts the target with {found.score:.3f}"
    others = "" if math.isnan(found.others) else f", all others together with {found.others:.3f}"
    why = _reason(found)
    if why:
        return Finding(
            check="giveaway",
            status="FAIL",
            sentence=f"{figure}{others}: it {why}.",
            where=found.column,
            evidence=evidence,
            cause="The target, or what was made from it or after it, got into the inputs.",
            remedy=f"Drop {found.column} from the inputs.",
        )
    if found.score >= TELLING and _stands_out(found):
        return Finding(
            check="giveaway",
            status="WARN",
            sentence=f"{figure}{others}.",
            where=found.column,
            evidence=evidence,
            cause="It may be known only after the target is, or be made from it.",
            remedy=f"Find out where {found.column} comes from; train without it if it is not known beforehand.",
        )
    sentence = f"No single column knows the target: {figure}{others}."
    return Finding(check="giveaway", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "unrelated-targets", family="data", inputs=("probe",))
def unrelated_targets(probe: Probe) -> Finding | None:
    """The inputs say something of the targets."""
    found = probe.measure(relation)
    if not found.model:
        sentence = f"{found.samples} samples are too few, or of targets that simple models cannot learn."
        return Finding(check="unrelated-targets", status="SKIP", sentence=sentence)
    best = max(found.scores, key=lambda name: found.scores[name])
    evidence = {"signal": found.signal, "model": found.model, "chance": found.chance, **found.scores}
    said = (
        f"simple models agree with the targets of samples they have not seen by {found.signal:.1f} standard deviations "
        f"more than with shuffled ones ({best}: {found.scores[best]:.3f}, the best constant: {found.chance:.3f})"
    )
    if found.signal >= NOTHING:
        return Finding(
            check="unrelated-targets", status="PASS", sentence=f"The inputs say something: {said}.", evidence=evidence
        )
    return Finding(
        check="unrelated-targets",
        status="WARN",
        sentence=f"The inputs seem to say nothing of the targets: {said}.",
        evidence=evidence,
        cause="Inputs and targets were shuffled or read apart from each other, or the inputs do not hold the answer.",
        remedy="Look at ten samples with their targets; shuffle inputs and targets by the same indices.",
    )


@register("check", "label-noise", family="data", inputs=("probe",))
def label_noise(probe: Probe) -> Finding | None:
    """Few samples contradict all that is like them."""
    found = probe.measure(suspects)
    if math.isnan(found.score) or found.score < CERTAIN:
        return None
    number = len(found.places)
    share = number / found.samples
    first = [
        {"sample": place, "class": said, "rather": other}
        for place, (said, other) in zip(found.places[:NAMED], found.said, strict=False)
    ]
    evidence = {"suspects": number, "share": share, "mistakes": found.wrong, "first": first}
    said = f"{number} of {found.samples} samples ({share:.1%}) have another class than all that are like them"
    if number < SUSPECTS or share < SHARE or number < MISTAKES * found.wrong:
        return Finding(check="label-noise", status="PASS", sentence=f"{said.capitalize()}.", evidence=evidence)
    listed = ", ".join(f"{row['sample']} ({row['class']:g}, rather {row['rather']:g})" for row in first)
    return Finding(
        check="label-noise",
        status="WARN",
        sentence=f"{said}: samples {listed}{' and others' if number > NAMED else ''}.",
        evidence=evidence,
        cause="Some labels are wrong.",
        remedy="Look at these samples; --label-smoothing 0.1 lowers the harm."
        if probe.program.plan
        else "Look at these samples; label_smoothing=0.1 in the loss lowers the harm.",
    )


def _reason(found: Alone) -> str:
    """Why a column can only be the target in disguise, or nothing."""
    if found.copy:
        return "is the target itself under another name"
    if found.numbered:
        return "is a counter, and the samples were numbered by their target"
    # Where nothing else is left, there is nothing to compare with.
    if found.score >= PERFECT and found.gap <= (CLOSE if found.others < found.score else TIGHT):
        return "is the target with a little noise"
    if math.isinf(found.gap) and found.score >= SAME and found.others < found.score**2 - LESS:
        return "is the target with a little noise"
    return ""


def _stands_out(found: Alone) -> bool:
    """Whether the other columns together say clearly less, or none tells the classes apart by such gaps."""
    if found.gap <= CLEAR:
        return found.others < found.score
    margin = max(STANDS_OUT, SURE * found.spread if math.isfinite(found.gap) else 0.0)
    return found.others < found.score - margin
