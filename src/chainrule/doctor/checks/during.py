"""``during``: a judgement of what was watched, as a check of a probe and of a watch alike; and whether a loop runs."""

import functools
from collections.abc import Callable, Iterable
from statistics import median

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.loop import watched
from chainrule.doctor.probe import Probe
from chainrule.doctor.watching.record import Step, Watched
from chainrule.registry import register

Judge = Callable[[Watched], Finding | None]
Check = Callable[[Probe | Watched], Finding | None]

#: Optimizers that divide by the size of the gradient, by parts of their names: a factor of the loss cancels.
SCALE_FREE = ("ada", "prop", "lion", "lamb", "lars", "muon", "lbfgs", "sign", "shampoo", "sophia")
#: A loss multiplied by more than this is multiplied for the sake of half precision, and divided again before the step.
SCALED = 64


def during(name: str) -> Callable[[Judge], Check]:
    """Register a judgement: of a probe it judges what is watched in the program's own loop, else what it is given.

    Args:
        name: Name of the check.
    """

    def enter(judge: Judge) -> Check:
        @register("check", name, family="during training", inputs=("probe", "watched"))
        @functools.wraps(judge)
        def check(evidence: Probe | Watched) -> Finding | None:
            seen = evidence if isinstance(evidence, Watched) else evidence.measure(watched)
            return judge(seen) if seen is not None and seen.telling else None

        return check

    return enter


def share(flags: Iterable[bool]) -> float:
    """How many of some flags are up, as a share; 0 of none."""
    listed = list(flags)
    return sum(listed) / max(len(listed), 1)


def scale_free(seen: Watched) -> bool:
    """Whether a factor of the loss cancels in the optimizer's step."""
    return any(part in seen.optimizer.lower() for part in SCALE_FREE)


def effective(steps: Iterable[Step]) -> float:
    """What the gradient of a batch's mean loss is multiplied by at most steps, from the loss to the step.

    Gradients that are made smaller before the step (unscaled, divided by hand, clipped) count as they are at the step.
    """
    return median(
        step.factor * (min(1.0, step.used / step.arrived) if step.arrived > 0 and step.used > 0 else 1.0)
        for step in steps
    )


@register("check", "loop-runs", family="during training", inputs=("probe",))
def loop_runs(probe: Probe) -> Finding | None:
    """The program's own loop goes through its batches, with the model that it is given."""
    seen = probe.measure(watched)
    if seen is None:
        return None
    evidence = {"passes": seen.passes, "steps": seen.count, "backwards": seen.backwards, "error": seen.error}
    if seen.strayed:
        return Finding(
            check="loop-runs",
            status="SKIP",
            sentence="The loop cannot be judged: it trains another model than the one it is called with.",
            evidence=evidence,
            cause="It uses names of the script; what it is called with is a copy.",
            remedy="Let train(model, loss, optimizer, batches) use its four arguments only.",
        )
    if seen.error:
        return Finding(
            check="loop-runs",
            status="WARN",
            sentence=f"The loop stops in pass {seen.passes}, after {seen.count} steps: {seen.error.rstrip('.')}.",
            evidence=evidence,
            cause="The loop asks for something that is not there when it is called with a copy, or fails by itself.",
            remedy="Call train(model, loss, optimizer, batches) twice in the script, and mend what it stops at.",
        )
    said = f"The loop makes {seen.count} steps in {seen.passes} passes, from {seen.backwards} backward passes."
    return Finding(check="loop-runs", status="PASS", sentence=said, evidence=evidence)
