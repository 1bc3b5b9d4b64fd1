"""Optimizers and schedules by name: torch's own classes first, ours where torch has none."""

from chainrule.optim.convergence import RobbinsMonro, robbins_monro
from chainrule.optim.diffgrad import DiffGrad, Friction
from chainrule.optim.newton import Newton
from chainrule.optim.optimizers import build_optimizer, scaled_rate
from chainrule.optim.schedules import Schedule, build_schedule

__all__ = [
    "DiffGrad",
    "Friction",
    "Newton",
    "RobbinsMonro",
    "Schedule",
    "build_optimizer",
    "build_schedule",
    "robbins_monro",
    "scaled_rate",
]
