"""Checks of the learning rate: the same program learns at other rates, with all else equal."""

import math

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.gains import ruler, tried
from chainrule.doctor.measures.rates import full, neighbours, rates
from chainrule.doctor.measures.trials import Trial
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: Shares of the way from a constant to a perfect score. Another trial is far better when it gains so much more, and the
#: own one a smaller part of it; that is no matter of noise or of taste.
FAR, PART = 0.3, 0.6
#: It is clearly better by this, or by that where it was short and its score is of few samples.
CLEAR, CLEAR_SHORT = 0.1, 0.2
#: Another trial that learns less than this proves nothing.
LEARNS = 0.3
#: Rates at which Adam and its like are commonly sound: from there on a finding is no more than a warning.
LOW_ENOUGH, HIGH_ENOUGH = 1e-3, 1e-3
#: Fewer steps or passes than these end before any usual rate has got far.
STEPS, EPOCHS = 100, 3
#: A training that ran out of time can be judged from so many steps on, or from this share of those planned.
TELLING, SHARE = 200, 0.5


@register("check", "rate-too-high", family="during training", inputs=("probe",))
def rate_too_high(probe: Probe) -> Finding | None:
    """The program does not learn far more at a tenth of its rate, or less."""
    return _judged(probe, "rate-too-high", lower=True)


@register("check", "rate-too-low", family="during training", inputs=("probe",))
def rate_too_low(probe: Probe) -> Finding | None:
    """The program does not learn far more at ten times its rate, or more."""
    return _judged(probe, "rate-too-low", lower=False)


def either(probe: Probe, option: str, line: str) -> str:
    """What to do: an option of ``fit`` for a run of it, else a line of torch.

    Args:
        probe: Of the program.
        option: For a run of ``fit``.
        line: For any other program.
    """
    return option if probe.program.plan else line


def telling(own: Trial) -> bool:
    """Whether a training went far enough for its end to be compared: it ended, broke, or took many steps."""
    return not own.error or not own.finite or own.steps >= min(TELLING, SHARE * own.planned)


def far(gain: float, better: float) -> bool:
    """Whether one trial gained far more than another.

    Args:
        gain: Of the one.
        better: Of the other.
    """
    return better - gain >= FAR and gain < PART * better


def _judged(probe: Probe, check: str, *, lower: bool) -> Finding | None:
    own = tried(probe)
    if own is None:
        return None
    short = probe.measure(rates)
    if math.isnan(short.rate) or len(short.own) < 2 or not telling(own):
        why = (
            "the program has no optimizer with a rate" if math.isnan(short.rate) else "it learns too slowly to be tried"
        )
        return Finding(check=check, status="SKIP", sentence=f"No other rate was tried: {why}.")
    rule, mine = probe.measure(ruler), probe.measure(ruler).gain(probe.measure(full))
    long = {factor: rule.gain(reached) for factor, reached in probe.measure(neighbours).items()}
    gains = {factor: max(rule.gain(reached), long.get(factor, -1.0)) for factor, reached in short.own.items()} | long
    others = {factor: gain for factor, gain in gains.items() if (factor <= 0.1 if lower else factor >= 10)}
    evidence = {
        "rate": short.rate,
        "gain": round(mine, 3),
        "scale": "score" if rule.scored else "loss",
        "gains at other rates": {
            f"{short.rate * factor:.2g}": round(gain, 3) for factor, gain in sorted(gains.items())
        },
    }
    best = max(others.values(), default=0.0)
    near = [factor for factor, gain in others.items() if gain >= 0.9 * best]
    factor = min(near, key=lambda f: abs(math.log(f)), default=1.0)
    said = f"at a rate of {short.rate:.2g} the program gains {mine:.0%} of what there is to learn"
    enough = CLEAR if factor in long and long[factor] >= 0.9 * best else CLEAR_SHORT
    worse = factor in long and probe.measure(neighbours)[factor].valid < probe.measure(full).valid - 0.02
    if best < LEARNS or best - mine < max(enough, rule.least) or (worse and not far(mine, best)):
        sentence = (
            f"The rate is not too {'high' if lower else 'low'}: {said}, {best:.0%} at best at {_side(lower)} ones."
        )
        return Finding(check=check, status="PASS", sentence=sentence, evidence=evidence)
    sure = far(mine, best) and not _usual(probe, short.rate, lower) and (lower or _long(probe, own))
    return Finding(
        check=check,
        status="FAIL" if sure else "WARN",
        sentence=f"The rate is too {'high' if lower else 'low'}: {said}, and {best:.0%} at {short.rate * factor:.2g}"
        f"{'' if factor in long else f' within {short.steps} steps'}, all else equal.",
        evidence=evidence,
        cause="The steps jump over the valley that they should walk down into."
        if lower
        else "The steps are so small that training ends long before it has arrived.",
        remedy=either(probe, f"Try --rate {short.rate * factor:.1g}.", f"Set lr={short.rate * factor:.1g}."),
    )


def _side(lower: bool) -> str:
    return "lower" if lower else "higher"


def _usual(probe: Probe, rate: float, lower: bool) -> bool:
    """Whether the rate is one at which an optimizer of this kind is commonly sound."""
    name = type(probe.program.optimizer).__name__.lower()
    return "adam" in name and (rate <= HIGH_ENOUGH if lower else rate >= LOW_ENOUGH)


def _long(probe: Probe, own: Trial) -> bool:
    """Whether the training is long enough for a usual rate to get far."""
    return own.planned >= STEPS and (probe.program.epochs or EPOCHS + 1) > EPOCHS
