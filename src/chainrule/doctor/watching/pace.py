"""The rate of a watched loop from step to step, and whether the optimizer keeps its state."""

import math

from torch import Tensor
from torch.optim import Optimizer

#: A rate below this share of the largest one so far has vanished: three drops by ten are the most that recipes make.
VANISHED = 0.9e-3


class Pace:
    """Running numbers of the rate and of the state.

    Attributes:
        base: Rate of the first step.
        last: Rate of the last step.
        peak: The largest rate until now.
        vanished: Steps at less than :data:`VANISHED` of it.
        stateful: Whether an optimizer had a state after the last step.
    """

    def __init__(self) -> None:
        self.base = self.last = self.peak = math.nan
        self.vanished = 0
        self.stateful = False

    def lost(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer that is about to step has no state although there was one after the last step."""
        return self.stateful and not remembers(optimizer)

    def stepped(self, optimizer: Optimizer) -> None:
        """An optimizer has made a step."""
        self.last = max((float(group["lr"]) for group in optimizer.param_groups if "lr" in group), default=math.nan)
        self.base = self.last if math.isnan(self.base) else self.base
        self.peak = self.last if math.isnan(self.peak) else max(self.peak, self.last)
        self.vanished += self.last < VANISHED * self.peak
        self.stateful = remembers(optimizer)


def remembers(optimizer: Optimizer) -> bool:
    """Whether an optimizer has a state of any of its parameters."""
    return any(isinstance(value, Tensor) for state in optimizer.state.values() for value in state.values())
