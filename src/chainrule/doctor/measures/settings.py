"""What the settings of an optimizer say by themselves: its rate, and what is outside of what works."""

import math
from typing import Any

from chainrule.doctor.program import Program

#: Outside of these a setting of an optimizer is suspected, and what is tried in its place.
SANE: dict[str, tuple[float, float, float]] = {
    "momentum": (0.0, 0.97, 0.9),
    "dampening": (0.0, 0.5, 0.0),
    "eps": (0.0, 1e-3, 1e-8),
    "alpha": (0.5, 0.9999, 0.99),
    "lr_decay": (0.0, 1e-2, 0.0),
    "weight_decay": (0.0, 0.02, 0.0),
    "maximize": (0.0, 0.0, 0.0),
}
#: The same for the two of ``betas``; the first is zero on purpose in some adversarial training.
BETAS, SOUND_BETAS = ((0.0, 0.97), (0.8, 0.99999)), (0.9, 0.999)
#: With decoupled weight decay, the share of a weight that a step may take.
SHRINK = 1e-3
#: Optimizers whose weight decay does not pass through the gradient.
DECOUPLED = ("AdamW", "NAdamW", "RAdamW", "SGDW", "Lion", "Muon")


def rate_of(program: Program) -> float:
    """The rate of the optimizer's first group at its height; NaN where there is none."""
    group = program.optimizer.param_groups[0] if program.optimizer else {}
    rate = float(group.get("lr", math.nan))
    return max(rate, float(group.get("max_lr", 0.0)), float(group["initial_lr"])) if "initial_lr" in group else rate


def suspected(program: Program) -> dict[str, Any]:
    """Settings of the optimizer outside of what works, by name, each with a value that does."""
    found: dict[str, Any] = {}
    for group in program.optimizer.param_groups if program.optimizer else ():
        for name, (low, high, sound) in SANE.items():
            value = float(group.get(name) or 0.0)
            if name == "weight_decay" and (
                type(program.optimizer).__name__ in DECOUPLED or group.get("decoupled_weight_decay")
            ):
                value, high = value * float(group["lr"]), SHRINK
            if group.get(name) is not None and not low <= value <= high:
                found[name] = sound
        betas = group.get("betas")
        if isinstance(betas, list | tuple) and len(betas) == 2:
            inside = [low <= float(beta) <= high for beta, (low, high) in zip(betas, BETAS, strict=True)]
            if not all(inside):
                found["betas"] = SOUND_BETAS
    return found
