"""Checks of the order in a training loop: gradients zeroed, a backward pass, a step, each at its time."""

from typing import Any

from chainrule.doctor.checks.during import during, share
from chainrule.doctor.finding import Finding
from chainrule.doctor.watching.record import Watched

#: Share of the steps from which on a fault is the rule of the loop and no exception in it.
RULE = 0.5
#: The order that is right; every remedy here leads to it.
ORDER = "optimizer.zero_grad(); loss.backward(); optimizer.step()"


@during("gradients-not-zeroed")
def gradients_not_zeroed(seen: Watched) -> Finding | None:
    """Between two steps the gradients are zeroed."""
    steps = [step for step in seen.steps[1:] if step.backwards]
    if not steps:
        return None
    found = share(bool(step.carried) for step in steps)
    names = sorted({name for step in steps for name in step.carried})
    evidence = {"steps": len(steps), "share": found, "parameters": names[:10]}
    if not found:
        sentence = f"Gradients are zeroed before each of {len(steps)} steps."
        return Finding(check="gradients-not-zeroed", status="PASS", sentence=sentence, evidence=evidence)
    whose = "Gradients" if len(names) > 1 else f"The gradient of {names[0]}"
    return Finding(
        check="gradients-not-zeroed",
        status="FAIL" if found > RULE else "WARN",
        sentence=f"{whose} of the step before stay at {found:.0%} of {len(steps)} steps: "
        "each step adds to what earlier batches left.",
        where=names[0] if len(names) == 1 else "",
        evidence=evidence,
        cause="zero_grad() is not called between the steps, or not for these parameters.",
        remedy=f"Call optimizer.zero_grad() before each backward pass: {ORDER}.",
    )


@during("zeroed-before-step")
def zeroed_before_step(seen: Watched) -> Finding | None:
    """What a backward pass gives is still there at the step."""
    steps = [step for step in seen.steps if step.backwards and not step.closure and step.arrived > 0]
    if not steps:
        return None
    found = share(step.used == 0 and not step.late for step in steps)
    evidence = {"steps": len(steps), "share": found, "arrived": steps[0].arrived, "used": steps[0].used}
    if not found:
        sentence = f"The gradients of the backward pass reach the step in each of {len(steps)} steps."
        return Finding(check="zeroed-before-step", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="zeroed-before-step",
        status="FAIL" if found > RULE else "WARN",
        sentence=f"Gradients are zeroed after the backward pass and before the step at {found:.0%} of {len(steps)} "
        "steps: the weights cannot follow them.",
        evidence=evidence,
        cause="zero_grad() stands between loss.backward() and optimizer.step().",
        remedy=f"Move optimizer.zero_grad() before the backward pass: {ORDER}.",
    )


@during("no-step")
def no_step(seen: Watched) -> Finding | None:
    """Backward passes are followed by steps of the optimizer that holds the model's weights."""
    if not seen.backwards:
        return None
    evidence: dict[str, Any] = {
        "backwards": seen.backwards,
        "steps": seen.count,
        "foreign": seen.foreign,
        "held": seen.held,
    }
    if seen.count == 0:
        return _never(seen, evidence)
    if (early := _early(seen, evidence)) is not None:
        return early
    numbers = {step.optimizer for step in seen.steps}
    # A new optimizer at each step is told by the check of the rate.
    if seen.optimizer and 0 not in numbers and len(numbers) == 1:
        return Finding(
            check="no-step",
            status="WARN",
            sentence=f"The optimizer ({seen.optimizer}) makes no step; all {seen.count} are another one's that moves "
            "the same weights.",
            evidence=evidence,
            cause="The loop has made an optimizer of its own, with settings of its own.",
            remedy="Step the optimizer that is meant, and make no second one.",
        )
    sentence = f"{seen.count} steps follow {seen.backwards} backward passes."
    return Finding(check="no-step", status="PASS", sentence=sentence, evidence=evidence)


def _never(seen: Watched, evidence: dict[str, Any]) -> Finding:
    """The finding where no optimizer of the weights made a step."""
    if seen.moved:
        sentence = "The weights are moved without an optimizer."
        return Finding(check="no-step", status="SKIP", sentence=sentence, evidence=evidence)
    if seen.foreign:
        return Finding(
            check="no-step",
            status="FAIL",
            sentence=f"No weight moves in {seen.backwards} backward passes: the {seen.foreign} steps are those of an "
            "optimizer that holds no weight of this model.",
            evidence=evidence,
            cause="The optimizer was made for another model, or before this one was built anew.",
            remedy="Make the optimizer after the model, of model.parameters().",
        )
    return Finding(
        check="no-step",
        # A pass that was cut short may have ended before the step of a large accumulated batch.
        status="WARN" if seen.cut else "FAIL",
        sentence=f"{seen.backwards} backward passes and no step: the weights never move.",
        evidence=evidence,
        cause="optimizer.step() is missing, or is never reached.",
        remedy="Call optimizer.step() after loss.backward().",
    )


def _early(seen: Watched, evidence: dict[str, Any]) -> Finding | None:
    """The finding where the step stands before the backward pass, after the forward pass."""
    first, *later = seen.steps or (None,)
    if first is None or first.backwards or not first.forwards or len(later) < 2:
        return None
    late = [step for step in later if step.late and step.backwards]
    if len(late) <= RULE * len(later):
        return None
    empty = share(step.used == 0 for step in late) > RULE
    return Finding(
        check="no-step",
        status="FAIL" if empty else "WARN",
        sentence=f"The step comes before the backward pass at {len(late)} of {len(later)} steps: "
        + ("the gradients are empty then." if empty else "it follows the gradients of the batch before."),
        evidence=evidence,
        cause="optimizer.step() stands above loss.backward().",
        remedy=f"Change the order: {ORDER}.",
    )


@during("no-backward")
def no_backward(seen: Watched) -> Finding | None:
    """The loss goes backward before a step."""
    if seen.blind or (seen.count == 0 and (seen.backwards or not seen.forwards or seen.moved)):
        return None
    evidence = {"forwards": seen.forwards, "backwards": seen.backwards, "steps": seen.count}
    if not seen.backwards:
        if any(step.used > 0 for step in seen.steps):
            sentence = f"The gradients of {seen.count} steps come from elsewhere than a backward pass."
            return Finding(check="no-backward", status="SKIP", sentence=sentence, evidence=evidence)
        return Finding(
            check="no-backward",
            status="FAIL",
            sentence=f"{seen.forwards} forward passes, {seen.count} steps and no backward pass: nothing is learned.",
            evidence=evidence,
            cause="loss.backward() is missing.",
            remedy=f"Call loss.backward() before the step: {ORDER}.",
        )
    again = share(not step.backwards and step.used > 0 for step in seen.steps)
    if again > RULE:
        return Finding(
            check="no-backward",
            status="WARN",
            sentence=f"{again:.0%} of {len(seen.steps)} steps have no backward pass before them: "
            "they follow the same gradient again.",
            evidence=evidence,
            cause="optimizer.step() is called several times for each backward pass.",
            remedy="Call optimizer.step() once after each loss.backward().",
        )
    sentence = f"{seen.backwards} backward passes for {seen.count} steps."
    return Finding(check="no-backward", status="PASS", sentence=sentence, evidence=evidence)


@during("detached-loss")
def detached_loss(seen: Watched) -> Finding | None:
    """The loss that goes backward reaches every parameter that is to be trained."""
    if not seen.blind and not seen.backwards:
        return None
    evidence = {"backwards": seen.backwards, "blind": seen.blind, "parameters": list(seen.unreached[:10])}
    if not seen.backwards:
        return Finding(
            check="detached-loss",
            status="FAIL",
            sentence=f"None of {seen.blind} backward passes reaches a parameter of the model.",
            evidence=evidence,
            cause="The loss is cut off from the model by detach(), item(), .data, argmax, NumPy or a new tensor.",
            remedy="Compute the loss from the model's outputs with torch's functions only, and call backward() on it.",
        )
    # What the usual loss does not reach either is a matter of the model, and not of the loop.
    lost = [name for name in seen.unreached if seen.expected is None or name in seen.expected]
    if not lost:
        sentence = f"Each parameter to be trained has a gradient after {seen.backwards} backward passes."
        return Finding(check="detached-loss", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="detached-loss",
        status="WARN" if seen.expected is None else "FAIL",
        sentence=f"{len(lost)} parameters get no gradient in any of {seen.backwards} backward passes, {lost[0]} first"
        + ("." if seen.expected is None else ", although the loss of the model's outputs reaches them."),
        where=lost[0],
        evidence=evidence,
        cause="A part of the loss's graph is cut off, or these parameters are not used.",
        remedy="Look for detach(), .data or no_grad between these parameters and the loss; if they are meant to stay, "
        "set requires_grad_(False).",
    )
