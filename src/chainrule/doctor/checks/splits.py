"""Checks of the parts against one another: what was learned from is not what is judged by."""

from dataclasses import dataclass

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.samples import fingerprints, samples
from chainrule.doctor.probe import Probe, Sample
from chainrule.registry import register

#: Share of the validation samples that stand in the training part as well from which on its figures mean nothing.
MUCH = 0.1
#: Share of the training samples that have a twin from which on it is worth a word.
TWINS = 0.2
#: Share of shared samples that have the same target in both parts, where they are the same samples.
AGREE = 0.95


@dataclass(frozen=True)
class Shared:
    """Equal inputs within the training part, and in both parts.

    Attributes:
        twins: Share of the training samples whose inputs occur several times there.
        conflicts: Share of the training samples whose inputs occur there with another target as well.
        valid: Number of validation samples; 0 where there are none.
        shared: How many of these have their inputs in the training part.
        agree: Share of these that have a target that stands with these inputs there.
    """

    twins: float
    conflicts: float
    valid: int
    shared: int
    agree: float


def shared(probe: Probe) -> Shared:
    """Equal inputs of the training and validation batches."""
    known: dict[bytes, list[bytes]] = {}
    for content, target in _contents(probe.sample):
        known.setdefault(content, []).append(target)
    total = len(probe.sample.targets)
    twins = sum(len(targets) for targets in known.values() if len(targets) > 1)
    conflicts = sum(len(targets) for targets in known.values() if len(set(targets)) > 1)
    rows = _contents(probe.valid) if probe.valid is not None else []
    both = [(content, target) for content, target in rows if content in known]
    agree = sum(target in known[content] for content, target in both)
    return Shared(twins / total, conflicts / total, len(rows), len(both), agree / len(both) if both else 1.0)


@register("check", "shared-samples", family="data", inputs=("probe",))
def shared_samples(probe: Probe) -> Finding | None:
    """No sample stands in two parts, and few twice in one."""
    known = probe.program.data.duplicates if probe.program.data else {}
    found = probe.measure(shared)
    natural = probe.measure(samples).natural
    evidence = {"training twins": found.twins, "conflicts": found.conflicts, "shared": found.shared, **known}
    share = found.shared / found.valid if found.valid else 0.0
    sentences = []
    if found.shared:
        sentences.append(f"{found.shared} of {found.valid} validation samples are training samples as well")
    if known and probe.program.data:
        sizes = {name: len(split) for name, split in probe.program.data.splits.items()}
        sentences = []
        for pair, count in known.items():
            earlier, later = pair.split("/")
            sentences.append(f"{count} of {sizes[later]} {later} samples are in {earlier} as well")
        share = max(share, *(count / sizes[pair.split("/")[1]] for pair, count in known.items()))
    if sentences and not natural:
        sure = share > MUCH and found.agree >= AGREE
        return Finding(
            check="shared-samples",
            status="FAIL" if sure else "WARN",
            sentence=f"{' and '.join(sentences)}, {share:.1%} of the smaller part.",
            evidence=evidence,
            cause="The validation batches are cut from the training data, or samples were repeated before the cut."
            if sure
            else "Some samples occur several times in the data.",
            remedy="--group COLUMN keeps equal ones together."
            if probe.program.plan
            else "Remove duplicates before the data is divided, and divide it once, by indices.",
        )
    if found.twins > TWINS and not natural:
        said = f", {found.conflicts:.1%} with another target" if found.conflicts else ""
        return Finding(
            check="shared-samples",
            status="WARN",
            sentence=f"{found.twins:.1%} of the training samples occur there more than once{said}.",
            evidence=evidence,
            cause="Samples are drawn with replacement or were repeated; they count as often as they occur.",
            remedy="Remove the duplicates, unless the sampler means to repeat.",
        )
    few = "; so few different ones are possible that equal ones are no surprise" if natural and found.shared else ""
    parts = f"{found.shared} of {found.valid} validation samples are in the training part" if found.valid else ""
    parts = parts or f"{found.twins:.1%} of the training samples occur more than once"
    return Finding(check="shared-samples", status="PASS", sentence=f"{parts}{few}.", evidence=evidence)


def _contents(sample: Sample) -> list[tuple[bytes, bytes]]:
    return list(zip(fingerprints(sample.inputs), fingerprints(sample.targets), strict=True))
