"""Which finding explains which: one cause first, its consequences under it.

A training program is a chain: it runs, over data, through outputs and a loss, from weights, along gradients, by an
optimizer in a loop, to curves. What is wrong at one link shows at all that come after it, seldom at those before.
"""

from collections.abc import Sequence
from dataclasses import replace

from chainrule.doctor.finding import Finding

STATUS = ("FAIL", "WARN", "PASS", "SKIP")

#: The links, and the checks of each: of two causes the earlier is named first.
LINKS: dict[str, tuple[str, ...]] = {
    "program": ("runs", "loop-runs"),
    "numbers": ("finite", "constant-inputs", "target-range"),
    "loop": (
        *("no-backward", "no-step", "detached-loss", "zeroed-before-step", "gradients-not-zeroed", "evaluation-mode"),
        *("repeated-batch", "weights-overwritten", "validation-trained", "rate-moves", "clipped-away"),
        *("accumulated-loss", "loss-scale", "same-order", "training-mode-in-validation"),
    ),
    "outputs": (
        *("output-shape", "softmax-dimension", "softmax-one-unit", "softmax-twice", "sigmoid-twice"),
        *("missing-activation", "wrong-loss", "last-activation", "batch-leak", "train-eval"),
    ),
    "parameters": ("frozen", "optimizer-parameters", "no-gradient"),
    "samples": ("input-scale", "target-scale", "not-shuffled", "repeated-augmentation", "giveaway"),
    "weights": ("initial-weights",),
    "layers": (
        *("linear-only", "missing-layers", "small-batch-norm", "dropout-rate", "bottleneck", "redundant-layers"),
        *("saturated-units", "dead-units", "activation-scale", "gradient-scale", "initial-loss-live"),
        "input-independent",
    ),
    "optimizer": ("maximizes", "optimizer-settings", "rate-too-high", "rate-too-low", "batch-size"),
    "targets": ("unrelated-targets", "label-noise"),
    "learning": ("too-few-epochs", "memorises", "diverging", "dying-relu", "update-ratio", "capacity"),
    "splits": ("shared-samples", "classes", "duplicate-columns"),
    "record": (
        *("duplicates", "class-balance", "test-size", "initial-loss", "rate-test", "diverged", "rate-recorded"),
        *("gradient-norm", "chance", "loss-without-score", "oscillation", "plateau-recorded", "noisy-validation"),
        *("still-falling", "overfitting", "fit-verdict", "better-than-constant"),
    ),
    "curves": (
        *("wrong-metric", "stuck-at-chance", "plateau", "oscillating", "overfitting-live", "worse-than-simple"),
        "bias-variance",
    ),
    "amount": ("more-data",),
}

ORDER = tuple(check for checks in LINKS.values() for check in checks)

_AFTER_LAYERS = (*LINKS["optimizer"], *LINKS["learning"], *LINKS["curves"])
_FLOW = ("no-gradient", *LINKS["weights"], *LINKS["layers"])
_FRUIT = (*LINKS["learning"], *LINKS["curves"])

#: What a finding of a check explains, if these ask for something as well; beside what its link says.
EXPLAINS: dict[str, tuple[str, ...]] = {
    # Numbers and outputs that do not fit say why a program does not run.
    **dict.fromkeys(
        LINKS["program"], tuple(check for check in ORDER if check not in (*LINKS["numbers"], *LINKS["outputs"]))
    ),
    **dict.fromkeys(LINKS["numbers"], ("runs", *LINKS["outputs"], *LINKS["samples"], *_FLOW, *_AFTER_LAYERS)),
    **dict.fromkeys(LINKS["loop"], ("same-order", *_AFTER_LAYERS)),
    **dict.fromkeys(LINKS["outputs"], ("runs", "target-scale", "target-range", *_FLOW, *_AFTER_LAYERS)),
    "target-range": ("runs", *LINKS["outputs"], *_FLOW, *_AFTER_LAYERS),
    "softmax-dimension": ("batch-leak", "last-activation", "missing-activation", *_FLOW, *_AFTER_LAYERS),
    "softmax-one-unit": ("input-independent", "last-activation", "output-shape", *_FLOW, *_AFTER_LAYERS),
    "missing-activation": ("runs", "last-activation", "wrong-loss", *_FLOW, *_AFTER_LAYERS),
    "wrong-loss": (
        "runs",
        "last-activation",
        "missing-activation",
        "target-scale",
        "output-shape",
        *_FLOW,
        *_AFTER_LAYERS,
    ),
    **dict.fromkeys(LINKS["parameters"], (*LINKS["parameters"], *LINKS["layers"], *_AFTER_LAYERS)),
    **dict.fromkeys(("input-scale", "target-scale"), (*_FLOW, *_AFTER_LAYERS)),
    "not-shuffled": ("same-order", "classes", *_AFTER_LAYERS),
    "repeated-augmentation": ("shared-samples", *_FRUIT),
    "giveaway": ("unrelated-targets", *_FRUIT),
    "shared-samples": LINKS["curves"],
    "initial-weights": (*_FLOW, *_AFTER_LAYERS),
    **dict.fromkeys(LINKS["layers"], (*LINKS["layers"], "no-gradient", *_AFTER_LAYERS)),
    **dict.fromkeys(LINKS["optimizer"], (*LINKS["optimizer"], *_FRUIT)),
    "unrelated-targets": ("label-noise", "classes", *_FRUIT),
    "label-noise": LINKS["curves"],
    "classes": ("wrong-metric", "stuck-at-chance", "bias-variance"),
    **dict.fromkeys(LINKS["learning"], _FRUIT),
    **dict.fromkeys(LINKS["curves"], LINKS["curves"]),
    "diverged": ("chance", "oscillation", "noisy-validation", "better-than-constant", "fit-verdict"),
    "rate-recorded": ("chance", "plateau-recorded", "oscillation"),
    "chance": ("better-than-constant", "fit-verdict", "loss-without-score"),
    "overfitting": ("fit-verdict",),
    "still-falling": ("fit-verdict",),
}

#: Checks whose mere warning explains a failure of another; for the rest a warning explains warnings only.
STRONG = (
    *("input-scale", "target-scale", "not-shuffled", "unrelated-targets", "initial-weights", "activation-scale"),
    *("gradient-scale", "dropout-rate", "too-few-epochs"),
)


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Findings in groups, a cause before what it explains; groups by their worst finding, then by :data:`ORDER`.

    Args:
        findings: In any order.
    """
    asking = [finding for finding in findings if finding.asks]
    placed = [replace(finding, under=_cause(finding, asking)) for finding in findings]
    worst = {
        cause.check: min(STATUS.index(one.status) for one in placed if cause.check in (one.check, one.under))
        for cause in placed
    }

    def place(finding: Finding) -> tuple[int, int, str, bool, int]:
        group = finding.under or finding.check
        return (worst[group], _depth(group), group, bool(finding.under), _depth(finding.check))

    return sorted(placed, key=place)


def _cause(finding: Finding, asking: Sequence[Finding]) -> str:
    """The cause of a finding, or the cause of that, up to one that nothing explains; nothing where there is none."""
    passed = [finding]
    while causes := [one for one in asking if one not in passed and _explains(one, passed[-1])]:
        passed.append(min(causes, key=lambda one: _depth(one.check)))
    return passed[-1].check if len(passed) > 1 else ""


def _explains(cause: Finding, finding: Finding) -> bool:
    """Whether one finding is the cause of another; of two that could explain each other, the earlier in order is."""
    if not finding.asks or cause.check == finding.check or finding.check not in EXPLAINS.get(cause.check, ()):
        return False
    if cause.status == "WARN" and finding.status == "FAIL" and cause.check not in STRONG:
        return False
    mutual = cause.check in EXPLAINS.get(finding.check, ())
    return not mutual or _depth(cause.check) < _depth(finding.check)


def _depth(check: str) -> int:
    return ORDER.index(check) if check in ORDER else len(ORDER)
