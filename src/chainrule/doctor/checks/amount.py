"""Check of the amount of data."""

import math

from chainrule.doctor.finding import Finding
from chainrule.doctor.measures.amount import amount
from chainrule.doctor.probe import Probe
from chainrule.registry import register

#: What a doubling has to bring to be worth its price: so much of the score, and so many of its standard deviations.
WORTH, CLEAR = 0.03, 2.0
#: A model that scores less than this has not found what more samples could show better.
LEARNS = 0.3


@register("check", "more-data", family="data", inputs=("probe",))
def more_data(probe: Probe) -> Finding | None:
    """The score of a simple model has settled: the last doubling of the samples brought little."""
    curve = probe.measure(amount)
    if not curve.scores or math.isnan(curve.spread):
        return None
    gain = curve.scores[-1] - curve.scores[-2]
    steps = ", ".join(f"{score:.3f} from {size}" for size, score in zip(curve.sizes, curve.scores, strict=True))
    evidence = {
        "model": curve.name,
        "samples": list(curve.sizes),
        "scores": [round(score, 4) for score in curve.scores],
    }
    if gain <= max(WORTH, CLEAR * curve.spread) or curve.scores[-1] < LEARNS:
        sentence = f"The last doubling of the samples brought {curve.name} {gain:+.3f}: {steps}."
        return Finding(check="more-data", status="PASS", sentence=sentence, evidence=evidence)
    return Finding(
        check="more-data",
        status="WARN",
        sentence=f"More data would help: the last doubling brought {curve.name} {gain:+.3f} ({steps}).",
        evidence=evidence,
        cause="There are too few samples for what is to be learned.",
        remedy="Collect more samples, or augment them (--augment for images).",
    )
