"""Optimizers and schedules by name: torch's own classes first, ours where torch has none."""

from chainrule.optim.optimizers import build_optimizer
from chainrule.optim.schedules import Schedule, build_schedule

__all__ = ["Schedule", "build_optimizer", "build_schedule"]
