"""Checks of the optimizer's settings, of its direction, of its steps, and of the batches that it sees."""

import itertools
import math

from chainrule.doctor.checks.rate import CLEAR, LEARNS, either, far, telling
from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.gains import backward, ruler, tried
from chainrule.doctor.measures.rates import TINY, batched, full, rates, settled
from chainrule.doctor.measures.settings import suspected
from chainrule.doctor.measures.trials import Trial, known, memorised
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: A setting that is off and costs this share of what can be learned is worth a warning.
COSTS = 0.05
#: A loss that ends so much above or below its start, as a share of it, has risen or fallen.
MOVED = 0.1
#: By so much batches differ from one another.
SMALL = 0.03
#: A program that gains less than this has not learned.
NOTHING = 0.1
#: Norm of the change over norm of the weights, about 1e-3 for weights that learn (Karpathy & Johnson, CS231n, 2016):
#: outside of these at the first and at the last steps the layer hardly moves, or is thrown about.
SLOW, WILD = 1e-6, 1e-1
#: The first steps of small layers with small weights are large in healthy programs, too.
WILD_FIRST = 1.0


@register("check", "optimizer-settings", family="during training", inputs=("probe",))
def optimizer_settings(probe: Probe) -> Finding | None:
    """No setting of the optimizer but its rate keeps the program from learning."""
    own = tried(probe)
    if own is None or probe.program.optimizer is None or not telling(own):
        return None
    rule, mine = probe.measure(ruler), probe.measure(ruler).gain(probe.measure(full))
    tried_with = probe.measure(settled)
    gains = {name: rule.gain(found) for name, found in tried_with.items() if name != "maximize"}
    kind = type(probe.program.optimizer).__name__
    if gains:
        name = max(gains, key=lambda setting: gains[setting])
        was, sound = probe.program.optimizer.param_groups[0].get(name), suspected(probe.program)[name]
        evidence = {"setting": name, "value": was, "gain": round(mine, 3), f"gain with {sound}": round(gains[name], 3)}
        said = (
            f"with {name}={was} the program gains {mine:.0%} of what there is to learn, with {sound} {gains[name]:.0%}"
        )
        if (gains[name] - mine < max(COSTS, rule.least) or gains[name] < LEARNS) and not _swapped(name, was):
            sentence = f"An unusual setting of {kind} does no harm here: {said}."
            return Finding(check="optimizer-settings", status="PASS", sentence=sentence, evidence=evidence)
        return Finding(
            check="optimizer-settings",
            status="FAIL" if far(mine, gains[name]) else "WARN",
            sentence=f"A setting of {kind} is in the way of learning: {said}, all else equal.",
            where=name,
            evidence=evidence,
            cause=_why(name),
            remedy=_mend(probe, name, sound),
        )
    if tried_with:
        return None
    short = probe.measure(rates)
    adam = max((rule.gain(found) for found in short.sound.values()), default=0.0)
    best = max([mine, *(rule.gain(found) for found in short.own.values())])
    evidence = {"gain": round(mine, 3), "gain at the best rate": round(best, 3), "gain with adam": round(adam, 3)}
    if not far(best, adam) or adam - best < rule.least:
        sentence = f"The settings of {kind} are sound: at its best rate it gains {best:.0%}, a plain Adam {adam:.0%}."
        return Finding(check="optimizer-settings", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="optimizer-settings",
        status="WARN",
        sentence=f"{kind} gains {best:.0%} of what there is to learn at its best rate, a plain Adam {adam:.0%} "
        f"within {short.steps} steps.",
        evidence=evidence,
        cause="Its settings do not suit the program, or the gradients differ much in size.",
        remedy=either(
            probe, "Try --optimizer adamw --rate 1e-3.", "Try torch.optim.Adam(model.parameters(), lr=1e-3)."
        ),
    )


@register("check", "maximizes", family="during training", inputs=("probe",))
def maximizes(probe: Probe) -> Finding | None:
    """The steps go down the loss, and what goes down is an error."""
    own = tried(probe)
    if own is None:
        return None
    rule, mine = probe.measure(ruler), probe.measure(ruler).gain(probe.measure(full))
    turned = probe.measure(settled).get("maximize")
    first, last = rule.start, probe.measure(full).loss
    evidence = {"loss before": first, "loss after": last, "gain": round(mine, 3)}
    said = f"the loss goes from {first:.3g} to {last:.3g}, and the program gains {max(mine, 0):.0%}"
    cause, remedy = "", ""
    if turned is not None and rule.gain(turned) - mine >= LEARNS:
        cause, remedy = "The optimizer climbs the loss: maximize is set.", "Leave out maximize=True."
    elif mine < NOTHING and _rises(probe) and known(probe.measure(memorised)):
        cause, remedy = "The program's own loop climbs the loss.", "Look for a minus sign before loss or gradient."
    elif mine < NOTHING and last < first - MOVED * abs(first) and _teaches_backward(probe):
        cause, remedy = "The loss is an error with the wrong sign.", "Take the minus sign out of the loss."
    if not cause:
        sentence = f"The steps go down the loss, and the loss is an error: {said}."
        return Finding(check="maximizes", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="maximizes",
        status="FAIL",
        sentence=f"Training goes the wrong way: {said}; the other way it learns.",
        evidence=evidence,
        cause=cause,
        remedy=remedy,
    )


@register("check", "batch-size", family="during training", inputs=("probe",))
def batch_size(probe: Probe) -> Finding | None:
    """The same samples in batches of another size do not teach the program far more."""
    own = tried(probe)
    if own is None:
        return None
    size, steps = max(len(inputs) for inputs, _ in probe.sample.batches), len(probe.sample.batches)
    rule, mine = probe.measure(ruler), probe.measure(ruler).gain(probe.measure(full))
    found = probe.measure(batched)
    gains = {other: rule.gain(reached) for other, reached in found.items()}
    evidence = {
        "batch": size,
        "gain": round(mine, 3),
        "gain of others": {str(o): round(g, 3) for o, g in gains.items()},
    }
    if not gains or max(gains.values()) - mine < max(CLEAR, rule.least) or max(gains.values()) < LEARNS:
        more = f"; {', '.join(f'{other} would gain {gain:.0%}' for other, gain in gains.items())}" if gains else ""
        sentence = f"Batches of {size} are sound: the program gains {mine:.0%} of what there is to learn{more}."
        return Finding(check="batch-size", status="PASS", sentence=sentence, evidence=evidence)
    other = max(gains, key=lambda tried: gains[tried])
    return Finding(
        check="batch-size",
        status="FAIL" if far(mine, gains[other]) else "WARN",
        sentence=f"Batches of {size} are too {'small' if size <= TINY else 'large'}: the program gains {mine:.0%} of "
        f"what there is to learn, and {gains[other]:.0%} in batches of {other}, all else equal.",
        evidence=evidence,
        cause="The gradient of one or two samples is mostly noise."
        if size <= TINY
        else f"An epoch has only {steps} step{'s' if steps > 1 else ''}.",
        remedy=either(probe, f"Try --batch {max(other, 16)}.", f"Set batch_size={max(other, 16)}."),
    )


@register("check", "update-ratio", family="during training", inputs=("probe",))
def update_ratio(probe: Probe) -> Finding | None:
    """Each layer changes by about a thousandth of its weights a step: not a millionth, not a tenth."""
    own = tried(probe)
    if own is None or not own.moved:
        return None
    evidence = {name or "model": [float(f"{ratio:.3g}") for ratio in pair] for name, pair in own.moved.items()}
    held = _held(own)
    slow = [name for name, pair in own.moved.items() if max(pair) < SLOW and name not in held and not _kept(own, name)]
    wild = [name for name, (first, last) in own.moved.items() if min(first, last) > WILD or first > WILD_FIRST]
    if not held and not slow and not wild:
        typical = sorted(first for first, _ in own.moved.values())[len(own.moved) // 2]
        sentence = f"The layers move at a sound pace: {typical:.1g} of their weights a step at first, in the middle."
        return Finding(check="update-ratio", status="PASS", sentence=sentence, evidence=evidence)
    names = held or wild or slow
    first, last = own.moved[names[0]]
    what = "do not move, although they have gradients" if held else "are thrown about" if wild else "hardly move"
    return Finding(
        check="update-ratio",
        status="WARN",
        sentence=f"{len(names)} of {len(own.moved)} layers {what}: a step changes {names[0] or 'the model'!r} by "
        f"{first:.1g} of its weights at first and {last:.1g} at the end, where 0.001 is usual.",
        where=names[0],
        evidence=evidence,
        cause="What they are trained with is not what the model computes with, or their rate is zero."
        if held
        else "The rate does not suit the size of their weights.",
        remedy="Give the optimizer the parameters that the model uses, with a rate above 0."
        if held
        else either(probe, "Try --rate auto.", "Try another lr, or initialise these layers on another scale."),
    )


def _why(name: str) -> str:
    return {
        "momentum": "Steps go on in an old direction long after the gradient has turned.",
        "betas": "The averages of the gradient and of its square are over too many steps, or over too few.",
        "weight_decay": "The decay pulls the weights to zero faster than the gradient moves them.",
        "eps": "The number that keeps the division finite is far larger than the gradient, and shrinks every step.",
        "dampening": "Most of the gradient is thrown away.",
        "lr_decay": "The rate is gone after a few steps.",
    }.get(name, "The setting is far outside of what works.")


def _swapped(name: str, value: object) -> bool:
    """Whether the two betas stand in each other's place."""
    return name == "betas" and isinstance(value, list | tuple) and float(value[0]) > float(value[1])


def _mend(probe: Probe, name: str, sound: object) -> str:
    if name == "weight_decay":
        return either(probe, "Try --weight-decay 1e-4.", "Set weight_decay=1e-4.")
    kind = type(probe.program.optimizer).__name__
    return either(probe, f"Try --optimizer '{kind.lower()}({name}={sound})'.", f"Set {name}={sound}.")


def _rises(probe: Probe) -> bool:
    """Whether the loss rises at every rate, the more the higher, as it does for steps uphill however small.

    Where the rate is only too high, small steps lower it.
    """
    own = probe.measure(rates).own
    losses = [own[factor].loss for factor in sorted(own) if factor <= 1]
    start = probe.measure(ruler).start
    rising = len(losses) > 2 and all(lower < higher for lower, higher in itertools.pairwise(losses))
    return rising and losses[0] > start - SMALL * abs(start) and losses[-1] > start + MOVED * abs(start)


def _teaches_backward(probe: Probe) -> bool:
    """Whether a program that learns nothing by going down its loss learns by going up."""
    rule = probe.measure(ruler)
    if not rule.scored or known(probe.measure(memorised)):
        return False
    return rule.by_score(probe.measure(backward).score) >= LEARNS


def _held(own: Trial) -> list[str]:
    """Layers that the optimizer has, that have a gradient, and that never move."""
    return [name for name, pair in own.moved.items() if max(pair) == 0 and name in own.pushed and not _kept(own, name)]


def _kept(own: Trial, name: str) -> bool:
    """Whether the layer is kept as it is on purpose: the optimizer does not have it, or not at a rate."""
    optimizer = own.program.optimizer
    groups = optimizer.param_groups if optimizer else []
    moved = {id(weight) for group in groups for weight in group["params"] if float(group.get("lr", math.nan)) != 0}
    return not any(id(weight) in moved for weight in own.program.model.get_submodule(name).parameters(recurse=False))
