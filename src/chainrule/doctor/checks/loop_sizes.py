"""Checks of the sizes in a training loop: of the rate, the loss, the gradients and the weights between the steps."""

from itertools import pairwise
from statistics import median

from chainrule.doctor.checks.during import SCALED, during, effective, scale_free, share
from chainrule.doctor.finding import Finding
from chainrule.doctor.watching.record import Watched

#: Steps from which on the course of a rate can be told.
MANY = 10
#: Share of the steps at a vanished rate. A cosine to zero spends 2 % of its steps there; half of them is no schedule.
TAIL, MOST = 0.2, 0.5
#: A rate this many times the first one is no warm-up any more: those begin at a thousandth of the rate at the lowest.
RAISED = 1e4
#: Full swings of the rate, by a factor of ten, within so many steps: a period in epochs that is counted in batches.
SWING, PERIOD, SWINGS = 10, 50, 3
#: A gradient that is clipped to less than this share of itself has lost its size; 0.02 occurs in recurrent networks.
CLIPPED = 0.01
#: A relative update below this leaves weights as they are; a sound one is about 1e-3, the resolution is about 1e-7.
STILL = 1e-6
#: A loss this many times its mean over the batch, or this share of it, is on another scale than rates are made for.
HUGE, TINY = 8, 0.05


@during("rate-moves")
def rate_moves(seen: Watched) -> Finding | None:
    """The rate changes slowly, and the optimizer keeps its state."""
    if len(seen.steps) < 3:
        return None
    if (found := _forgets(seen)) is not None:
        return found
    evidence = {"first": seen.base, "largest": seen.peak, "last": seen.last, "steps": seen.count}
    gone, rates = seen.vanished / seen.count, [step.rate for step in seen.steps]
    swings = _swings(rates)
    remedy = "Call scheduler.step() once an epoch, after the loop over the batches; or count its settings in batches."
    cause = "The schedule is stepped after each batch although its settings are counted in epochs, or twice."
    if gone > TAIL and seen.count >= MANY:
        sentence = f"{gone:.0%} of {seen.count} steps are made at less than a thousandth of the rate {seen.peak:.2g}."
        status = "FAIL" if gone > MOST else "WARN"
    elif seen.last > RAISED * seen.base > 0 and seen.last == seen.peak:
        sentence = f"The rate has risen from {seen.base:.2g} to {seen.last:.2g} in {seen.count} steps, and rises still."
        status = "FAIL" if seen.last > 1 else "WARN"
    elif swings >= SWINGS and len(rates) <= swings * PERIOD:
        sentence = f"The rate goes up and down by more than a factor of {SWING} {swings} times in {len(rates)} steps."
        status = "WARN"
    else:
        sentence = f"The rate goes from {seen.base:.2g} to {seen.last:.2g} in {seen.count} steps."
        return Finding(check="rate-moves", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="rate-moves",
        status="FAIL" if status == "FAIL" else "WARN",
        sentence=sentence,
        evidence=evidence,
        cause=cause,
        remedy=remedy,
    )


def _forgets(seen: Watched) -> Finding | None:
    """The finding where the state of the optimizer is lost at steps after the first."""
    met = {seen.steps[0].optimizer}
    lost = 0
    for step in seen.steps[1:]:
        # One with a number of its own begins with no state, even if it fills it in when it is made.
        # With new weights as well it is a new training, as in a cross-validation.
        lost += step.state and (step.lost or step.optimizer not in met) and not step.overwritten
        met.add(step.optimizer)
    if lost < 2:
        return None
    found = lost / (len(seen.steps) - 1)
    return Finding(
        check="rate-moves",
        status="FAIL" if found > MOST else "WARN",
        sentence=f"The optimizer begins anew at {lost} of {len(seen.steps) - 1} steps: momentum and the moments of the "
        "gradient are lost each time.",
        evidence={"steps": len(seen.steps), "lost": lost},
        cause="The optimizer is made inside the loop, or its state is cleared there.",
        remedy="Make the optimizer once, before the loop.",
    )


def _swings(rates: list[float]) -> int:
    """How often a rate falls by :data:`SWING` and rises by it again."""
    swings, high, low, falling = 0, 0.0, float("inf"), False
    for rate in rates:
        if falling and rate > SWING * low:
            swings, high, falling = swings + 1, rate, False
        elif not falling and rate < high / SWING:
            low, falling = rate, True
        high, low = max(high, rate), min(low, rate) if falling else rate
    return swings


@during("clipped-away")
def clipped_away(seen: Watched) -> Finding | None:
    """Clipping leaves the gradients their size at most steps."""
    steps = [step for step in seen.steps if step.backwards and step.arrived > 0 and step.used > 0 and not step.closure]
    if not steps:
        return None
    # A loss that was scaled for half precision has its gradients divided before the step.
    kept = median(step.used / step.arrived * (step.factor if step.factor > SCALED else 1) for step in steps)
    arrived, used = median(step.arrived for step in steps), median(step.used for step in steps)
    # Weight decay moves the weights as well, so that of plain descent the gradient's own part is worked out.
    free = scale_free(seen)
    update = median(step.update if free else step.rate * step.used / max(step.norm, 1e-12) for step in steps)
    evidence = {"arrived": arrived, "used": used, "kept": kept, "update": update}
    said = f"gradients arrive with a norm of {arrived:.2g} and are used with {used:.2g}"
    # A step that is divided by the size of the gradient is as long as ever, unless the gradient is lost in rounding.
    if kept >= CLIPPED or (free and update > STILL):
        if kept > 1 - 1e-3:
            return None
        sentence = f"Clipping leaves the steps their size: {said}."
        return Finding(check="clipped-away", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="clipped-away",
        status="FAIL" if update < STILL else "WARN",
        sentence=f"Clipping takes {1 - kept:.1%} of the gradients: {said}; they change the weights by {update:.1g} "
        "of their norm.",
        evidence=evidence,
        cause="The norm that gradients are clipped to is far below theirs.",
        remedy=f"Clip to about the norm that arrives: clip_grad_norm_(model.parameters(), {arrived:.1g}), --clip.",
    )


@during("accumulated-loss")
def accumulated_loss(seen: Watched) -> Finding | None:
    """Several backward passes for one step divide their losses by their number."""
    steps = [step for step in seen.steps if step.backwards and not step.closure]
    if not steps:
        return None
    passes, draws = round(median(step.backwards for step in steps)), round(median(step.draws for step in steps))
    # Two passes for one step may be two losses of the same batch, as in a GAN; more, or as many batches, are not.
    if passes < 2 or (draws and draws < passes) or (not draws and passes < 3):
        return None
    times = effective(steps) * passes
    evidence = {"passes": passes, "times": times, "steps": len(steps)}
    said = f"{passes} backward passes for each step add up to {times:.2g} times the mean loss"
    if times < 1.9 or scale_free(seen):
        why = "" if times < 1.9 else f", which cancels in {seen.optimizer}"
        return Finding(check="accumulated-loss", status="PASS", sentence=f"{said}{why}.", evidence=evidence)
    return Finding(
        check="accumulated-loss",
        status="WARN",
        sentence=f"{said}: the rate is in effect {times:.2g} times as large.",
        evidence=evidence,
        cause="The losses of the accumulated batches are not divided by their number.",
        remedy=f"Write (loss / {passes}).backward().",
    )


@during("loss-scale")
def loss_scale(seen: Watched) -> Finding | None:
    """The loss that goes backward is about the mean over the samples."""
    steps = [step for step in seen.steps if step.backwards]
    if not steps:
        return None
    times = effective(steps)
    raw = median(step.factor for step in steps)
    passes = max(1, round(median(step.backwards for step in steps)))
    tiny = raw * passes < TINY
    evidence = {"times": times, "factor": raw, "batch": steps[-1].size}
    said = f"the loss that goes backward is {raw if tiny else times:.2g} times the mean over the samples"
    if (times < HUGE and not tiny) or scale_free(seen):
        sentence = f"The scale of the loss does no harm with {seen.optimizer or 'this optimizer'}: {said}."
        return Finding(check="loss-scale", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="loss-scale",
        status="WARN",
        sentence=f"The rate is in effect {raw if tiny else times:.2g} times as large: {said}.",
        evidence=evidence,
        cause="The loss is multiplied by a factor." if tiny else "The loss is a sum over the batch, or multiplied.",
        remedy='Let the mean go backward, without a factor: reduction="mean".',
    )


@during("weights-overwritten")
def weights_overwritten(seen: Watched) -> Finding | None:
    """Between the steps only the optimizer changes the weights."""
    # With a new optimizer a new training begins, as in a cross-validation; its weights begin anew as well.
    pairs = [(one, other) for one, other in pairwise(seen.steps) if one.optimizer == other.optimizer and not other.lost]
    if not pairs:
        return None
    found = [step for _, step in pairs if step.returned or (step.overwritten and step.outside > 0.1)]
    evidence = {"steps": len(pairs), "overwritten": len(found), "share": share(step in found for _, step in pairs)}
    if not found:
        sentence = f"Nothing but the optimizer sets the weights anew between {len(pairs) + 1} steps."
        return Finding(check="weights-overwritten", status="PASS", sentence=sentence, evidence=evidence)
    back = share(step.returned for step in found) > 0.5
    change = max(step.outside for step in found)
    return Finding(
        check="weights-overwritten",
        status="FAIL" if len(found) > 1 else "WARN",
        sentence=f"Between the steps the weights are set {'back to earlier values' if back else 'anew'} {len(found)} "
        f"times in {len(pairs) + 1} steps, a change by {change:.1%} of their norm.",
        where=next((step.overwritten[0] for step in found if step.overwritten), ""),
        evidence=evidence,
        cause="An initialisation or load_state_dict() stands inside the loop, and undoes what was learned.",
        remedy="Initialise or load the weights once, before the loop.",
    )
