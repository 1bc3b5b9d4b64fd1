"""Watching a training loop: what happens in it is noted, and nothing is changed."""

from chainrule.doctor.watching.record import Step, Watched
from chainrule.doctor.watching.watcher import Watch, watch

__all__ = ["Step", "Watch", "Watched", "watch"]
