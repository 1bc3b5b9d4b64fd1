"""Checks of the program's own training on its sample: what loss, score and units do meanwhile."""

import statistics

from chainrule.doctor.checks.rate import CLEAR, LEARNS, either, telling
from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.baseline import baseline
from chainrule.doctor.measures.gains import longer, ruler, tried
from chainrule.doctor.measures.rates import full, learned, rates, reached
from chainrule.doctor.measures.trials import known, memorised
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: A loss that ends so many times its start above the start is diverging.
BEYOND = 0.5
#: Shares of the first loss that the passes of the second half may swing by, and of a swing that they may still fall by.
SWING, TREND = 0.1, 1.0
#: Fewest passes, and steps, from which such things can be said.
PASSES, STEPS = 6, 50
#: A program that has gained less than this is at chance.
CHANCE = 0.05
#: After the first tenth a loss that changes by less than this share is flat; and so much lower another trial is lower.
FLAT, LOWER = 0.03, 0.3
#: Shares of dead units: grown by the first and beyond the second, they cost; beyond the third hardly anything is left.
GROWN, MANY, ALL = 0.25, 0.5, 0.95
#: A loss that fell by this share was learned, and by that for sure; above this constant a score has no room.
FELL, FELL_FAR, CROWDED = 0.3, 0.8, 0.8
#: Longer training that gains so much was needed, or was by far; without validation samples it takes more to say so.
MORE, FAR_MORE, UNSEEN = 0.05, 0.3, 2


@register("check", "diverging", family="during training", inputs=("probe",))
def diverging(probe: Probe) -> Finding | None:
    """The loss stays finite, and does not rise far above where it began."""
    own = tried(probe)
    if own is None:
        return None
    first, last = probe.measure(ruler).start, probe.measure(full).loss
    evidence = {"loss before": first, "loss after": last if own.finite else None, "steps": own.steps}
    if own.finite and last <= first + BEYOND * abs(first):
        sentence = f"The loss goes from {first:.3g} to {last:.3g} in {own.steps} steps and stays finite."
        return Finding(check="diverging", status="PASS", sentence=sentence, evidence=evidence)
    said = (
        f"it goes from {first:.3g} to {last:.3g} in {own.steps} steps"
        if own.finite
        else own.error.removeprefix("not finite: ")
    )
    return Finding(
        check="diverging",
        status="FAIL",
        sentence=f"The loss diverges: {said}.",
        where=f"step {own.steps + 1}" if not own.finite else "",
        evidence=evidence,
        cause="The steps are too large, or something is divided by zero or taken the logarithm of.",
        remedy=either(probe, "Try --clip 1, and --rate auto.", "Clip with torch.nn.utils.clip_grad_norm_, lower lr."),
    )


@register("check", "oscillating", family="during training", inputs=("probe",))
def oscillating(probe: Probe) -> Finding | None:
    """The loss does not swing up and down from pass to pass."""
    own = tried(probe)
    if own is None or not own.finite or not telling(own):
        return None
    means = [passed.loss for passed in own.epochs[1:]]
    if len(means) < PASSES:
        return None
    late, first = means[len(means) // 2 :], abs(probe.measure(ruler).start)
    swing, half = statistics.pstdev(late), len(late) // 2
    fall = statistics.fmean(late[:half]) - statistics.fmean(late[half:])
    evidence = {"swing": swing, "loss before": first, "losses": [float(f"{loss:.4g}") for loss in late]}
    if swing <= SWING * first or fall > TREND * swing:
        sentence = f"The loss does not swing: the later passes differ by {swing:.2g} (the first loss is {first:.3g})."
        return Finding(check="oscillating", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="oscillating",
        status="WARN",
        sentence=f"The loss swings from pass to pass by {swing:.2g} (the first loss is {first:.3g}) and does not fall.",
        evidence=evidence,
        cause="The rate is too high, or the batches are too small to agree with one another.",
        remedy=either(probe, "Try --rate auto, or a larger --batch.", "Lower lr, or raise batch_size."),
    )


@register("check", "stuck-at-chance", family="during training", inputs=("probe",))
def stuck_at_chance(probe: Probe) -> Finding | None:
    """After its training the program is better than a constant on the samples that it learned from."""
    own = tried(probe)
    if own is None or not own.finite or not telling(own) or own.steps < STEPS:
        return None
    rule = probe.measure(ruler)
    if not rule.scored:
        return None
    gain, score = rule.by_score(own.end.train_score), own.end.train_score
    simple = probe.measure(baseline)
    evidence = {"score": score, "constant": rule.chance, "steps": own.steps, simple.name: simple.score}
    said = f"score {score:.3f} on its own samples after {own.steps} steps, a constant has {rule.chance:.3f}"
    if gain >= CHANCE:
        return Finding(
            check="stuck-at-chance", status="PASS", sentence=f"The program learns: {said}.", evidence=evidence
        )
    short = probe.measure(rates)
    best = max((rule.gain(found) for found in [*short.own.values(), *short.sound.values()]), default=0.0)
    learnable = best >= LEARNS or rule.by_score(simple.score) >= LEARNS
    return Finding(
        check="stuck-at-chance",
        status="FAIL" if learnable else "WARN",
        sentence=f"The program has learned nothing: {said}.",
        evidence=evidence,
        cause=f"It is not the samples: {simple.name} reaches {simple.score:.3f}."
        if rule.by_score(simple.score) >= LEARNS
        else "It is not the samples: at another rate, or with Adam, it learns."
        if learnable
        else "The inputs may say nothing of the targets; simple models find nothing either.",
        remedy=either(
            probe, "Try --rate auto --model mlp.", "Try torch.optim.Adam(model.parameters(), lr=1e-3) first."
        ),
    )


@register("check", "plateau", family="during training", inputs=("probe",))
def plateau(probe: Probe) -> Finding | None:
    """The loss does not come to rest far above what the same model reaches otherwise."""
    own = tried(probe)
    if own is None or not own.finite or not telling(own) or own.steps < STEPS:
        return None
    tenth = max(len(own.losses) // 10, 5)
    early = statistics.fmean(own.losses[tenth : 2 * tenth])
    last, first = statistics.fmean(own.losses[-tenth:]), probe.measure(ruler).start
    floor = probe.measure(ruler).floor
    evidence = {"after a tenth": early, "at the end": last, "elsewhere": floor}
    if abs(early - last) > FLAT * abs(first) or last - floor < LOWER * abs(first):
        sentence = f"No plateau: the loss goes from {early:.3g} after a tenth of the steps to {last:.3g} at the end."
        return Finding(check="plateau", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="plateau",
        status="WARN",
        sentence=f"The loss rests at {last:.3g} from a tenth of the steps on; the same model reaches {floor:.3g} at "
        "another rate or with another optimizer.",
        evidence=evidence,
        cause="The steps are too large or too small for the valley that it is in.",
        remedy=either(probe, "Try --rate auto.", "Try torch.optim.Adam(model.parameters(), lr=1e-3)."),
    )


@register("check", "dying-relu", family="during training", inputs=("probe",))
def dying_relu(probe: Probe) -> Finding | None:
    """Training does not kill units: hardly any ReLU comes to be zero for every sample."""
    own = tried(probe)
    if own is None or not own.finite or own.dead[1] != own.dead[1]:
        return None
    before, after = own.dead
    evidence = {"dead before": round(before, 4), "dead after": round(after, 4), "steps": own.steps}
    said = f"{before:.0%} of the units with a ReLU are zero for every sample before training, {after:.0%} after"
    if after - before < GROWN or after < MANY:
        return Finding(check="dying-relu", status="PASS", sentence=f"Units stay alive: {said}.", evidence=evidence)
    return Finding(
        check="dying-relu",
        status="FAIL" if after >= ALL else "WARN",
        sentence=f"Units die: {said}.",
        evidence=evidence,
        cause="A step that was too large put their biases so far down that no sample reaches them.",
        remedy=either(probe, "Try a lower --rate.", "Lower lr, or replace nn.ReLU by nn.LeakyReLU."),
    )


@register("check", "wrong-metric", family="during training", inputs=("probe",))
def wrong_metric(probe: Probe) -> Finding | None:
    """A loss that falls brings a better score."""
    own = tried(probe)
    if own is None or not own.finite or not telling(own):
        return None
    rule, heart = probe.measure(ruler), probe.measure(memorised)
    start, end = own.start, own.end
    if not rule.scored or rule.chance > CROWDED or start.train_score != start.train_score:
        return None
    fell = (start.train_loss - end.train_loss) / abs(start.train_loss) if start.train_loss else 0.0
    gain, rose = rule.by_score(end.train_score), rule.by_score(end.train_score) - rule.by_score(start.train_score)
    evidence = {"loss fell by": round(fell, 4), "score before": start.train_score, "score after": end.train_score}
    said = f"the loss falls by {fell:.0%}, the score goes from {start.train_score:.3f} to {end.train_score:.3f}"
    # With the loss as it is, a sound optimizer gets a perfect score: then the loss is not what is wrong.
    if fell < FELL or gain >= CLEAR or rose >= CLEAR or known(heart):
        return Finding(
            check="wrong-metric", status="PASS", sentence=f"Loss and score agree: {said}.", evidence=evidence
        )
    return Finding(
        check="wrong-metric",
        status="FAIL" if fell >= FELL_FAR else "WARN",
        sentence=f"Loss and score do not agree: {said}.",
        evidence=evidence,
        cause="The loss measures something other than the error.",
        remedy=either(
            probe, "Leave out --loss.", "Use nn.CrossEntropyLoss for classes, nn.BCEWithLogitsLoss for labels."
        ),
    )


@register("check", "too-few-epochs", family="during training", inputs=("probe",))
def too_few_epochs(probe: Probe) -> Finding | None:
    """Three times the planned passes do not bring much more."""
    own = tried(probe)
    if own is None or not own.finite:
        return None
    on = probe.measure(longer)
    if probe.measure(learned) and probe.program.epochs is not None:
        sentence = f"{probe.program.epochs} passes are enough: score {own.end.train_score:.3f} on its own samples."
        return Finding(check="too-few-epochs", status="PASS", sentence=sentence)
    if on is None or not on.epochs or not on.finite or not on.ran:
        why = "no number of passes is given" if probe.program.epochs is None else "the training takes too long"
        return Finding(check="too-few-epochs", status="SKIP", sentence=f"No longer training was tried: {why}.")
    rule, epochs = probe.measure(ruler), probe.program.epochs or 0
    mine, more = rule.gain(probe.measure(full)), rule.gain(reached(on))
    unseen = own.end.valid_score != own.end.valid_score
    valid = rule.by_score(on.end.valid_score) - rule.by_score(own.end.valid_score)
    evidence = {"passes": epochs, "gain": round(mine, 3), "gain of three times as many": round(more, 3)}
    said = f"{epochs} passes gain {mine:.0%} of what there is to learn, three times as many {more:.0%}"
    needed = max(MORE * (UNSEEN if unseen else 1), rule.least)
    if more - mine < needed or more < LEARNS or (not unseen and valid < MORE):
        return Finding(check="too-few-epochs", status="PASS", sentence=f"{said}: enough.", evidence=evidence)
    return Finding(
        check="too-few-epochs",
        status="FAIL" if more - mine >= FAR_MORE else "WARN",
        sentence=f"Training is to end too early: {said}.",
        evidence=evidence,
        cause="The loss still falls when the passes are over.",
        remedy=either(probe, f"Try --epochs {3 * epochs}.", f"Train for {3 * epochs} epochs."),
    )
