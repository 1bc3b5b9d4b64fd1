"""Checks of how batches come about: shuffled, and augmented anew each time."""

import math

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.loading import augmentation, order
from chainrule.doctor.measures.samples import form
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Share of one class in a batch, on average, that makes it a batch of that class; and that of the commonest class.
PURE, COMMON = 0.9, 0.7
#: Share of the targets' variance between batches, beyond chance, that is no accident; and that means sorted.
GROUPED, SORTED = 0.1, 0.6
#: Standard deviations beyond random orders that are no accident.
SURE = 6.0
#: Batches and samples of a batch from which on their composition can be judged.
BATCHES, SIZE = 3, 4


@register("check", "not-shuffled", family="data", inputs=("probe",))
def not_shuffled(probe: Probe) -> Finding | None:
    """Training batches are drawn at random, anew in each pass."""
    found = probe.measure(order)
    if found.batches < 2:
        sentence = "All samples are in one batch, so their order does not matter."
        return Finding(check="not-shuffled", status="SKIP", sentence=sentence)
    evidence = {
        "same order": found.same,
        "between batches": found.between,
        "expected": found.expected,
        "purity": found.purity,
    }
    judged = found.batches >= BATCHES and found.size >= SIZE and not math.isnan(found.between)
    excess = found.between - found.expected
    grouped = judged and excess > GROUPED * (1 - found.expected) and found.excess > SURE
    remedy = "Write shuffle=True in the training DataLoader, or shuffle the samples before they are cut into batches."
    if grouped:
        pure = found.purity >= PURE and found.overall <= COMMON
        # Windows of one time series in order may be meant so, as for a state that is carried from batch to batch.
        series = kind(probe) == "real" and (found.same or form(probe) == "sequences")
        if pure:
            said = f"a batch holds {found.purity:.0%} of one class on average, all samples {found.overall:.0%}"
        else:
            said = f"{found.between:.0%} of the targets' variance is between batches, {found.expected:.0%} by chance"
        strong = excess > SORTED * (1 - found.expected)
        return Finding(
            check="not-shuffled",
            status="FAIL" if pure or (strong and not series) else "WARN",
            sentence=f"The training samples are sorted or grouped: {said}"
            f"{', in the same order each pass' if found.same else ''}.",
            evidence=evidence,
            cause="Each batch pulls the model towards its own targets, and the next one back.",
            remedy=remedy,
        )
    if found.same:
        return Finding(
            check="not-shuffled",
            status="WARN",
            sentence=f"Two passes gave the same {found.batches} batches in the same order.",
            evidence=evidence,
            cause="The loader does not shuffle, so each step sees the same mixture in each pass.",
            remedy=remedy,
        )
    sentence = "The training samples come in another order each pass"
    sentence += ", and batches are mixed as by chance." if judged else "."
    return Finding(check="not-shuffled", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "repeated-augmentation", family="data", inputs=("probe",))
def repeated_augmentation(probe: Probe) -> Finding | None:
    """Random augmentation gives something new in each pass, and in each worker process."""
    found = probe.measure(augmentation)
    if found.random is None:
        return None
    if not found.random:
        sentence = "The data set gives the same values each time it is asked, so there is nothing to repeat."
        return Finding(check="repeated-augmentation", status="SKIP", sentence=sentence)
    evidence = {"draws": found.draws, "again": found.again, "shared": found.shared, "workers": found.workers}
    if not found.again and not found.shared:
        sentence = f"{found.draws} draws of one sample differ from pass to pass"
        sentence += f" and between {found.workers} workers." if found.workers > 1 else "."
        return Finding(check="repeated-augmentation", status="PASS", sentence=sentence, evidence=evidence)
    said = " and ".join(
        text
        for text, so in (
            ("a second pass repeats the draws of the first", found.again),
            ("two workers make the same draws", found.shared),
        )
        if so
    )
    return Finding(
        check="repeated-augmentation",
        status="FAIL",
        sentence=f"The random augmentation repeats itself: {said} ({found.draws} draws of one sample).",
        evidence=evidence,
        cause="Each worker gets a copy of the data set's own generator, or worker_init_fn sets one seed for all.",
        remedy="Draw from torch's global generator, which each worker gets with another seed, or seed the data set's "
        "own in worker_init_fn by torch.initial_seed().",
    )
