"""What is watched while a copy of a program learns: each loss, the size of the updates, units that are dead."""

import math
import time
from collections import deque
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from chainrule.doctor.measures.trial_scores import evaluating
from chainrule.doctor.program import Program

#: Steps at which the size of the update is measured: the first ones, and then each tenth.
FIRST, EACH = 3, 10
#: Last steps whose outputs are kept, and most numbers of one that is.
KEPT, LARGEST = 10, 2_000_000
#: Functions that cut off at zero; the modules call them.
CUTS = (functional.relu, functional.relu6, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


class EndedError(Exception):
    """A trial has to end; the text says why."""


class Observer:
    """A loss that notes its values, and ends a trial that is out of time or no longer finite.

    Args:
        program: The copy that learns.
        optimizer: What moves it.
        seconds: How long it may take, of the time that this thread works: what else the machine does counts nothing.
    """

    def __init__(self, program: Program, optimizer: torch.optim.Optimizer, seconds: float) -> None:
        self.program, self.optimizer = program, optimizer
        self._until, self._soonest = time.thread_time() + seconds, time.perf_counter() + seconds
        self.losses: list[float] = []
        self.tail: deque[tuple[Any, Any]] = deque(maxlen=KEPT)
        self.steps = 0
        self._layers = {
            name: [weight for weight in module.parameters(recurse=False) if weight.requires_grad]
            for name, module in program.model.named_modules()
        }
        self.pushed: set[str] = set()
        self._before: dict[str, list[Tensor]] = {}
        self._first: dict[str, list[float]] = {}
        self._last: dict[str, float] = {}
        self._hooks: list[Any] = []

    def __call__(self, *arguments: Any, **options: Any) -> Tensor:
        loss = self.program.loss(*arguments, **options)
        self.losses.append(float(loss.detach().float().mean()))
        if len(arguments) == 2 and isinstance(arguments[0], Tensor) and arguments[0].numel() <= LARGEST:
            self.tail.append((arguments[0].detach(), arguments[1]))
        self._go_on()
        return loss

    def __getattr__(self, name: str) -> Any:
        # A user's loop may ask the loss for what only the loss has.
        return getattr(self.program.loss, name)

    def __enter__(self) -> "Observer":
        self._hooks = [
            self.optimizer.register_step_pre_hook(self._ahead),
            self.optimizer.register_step_post_hook(self._behind),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def ratios(self) -> dict[str, tuple[float, float]]:
        """By layer, norm of the change over norm of the weights, at the first steps and at the last."""
        return {
            name: (sum(first) / len(first), self._last[name])
            for name, first in self._first.items()
            if name in self._last
        }

    def hurry(self) -> None:
        """End the trial if it is out of time.

        Raises:
            EndedError: When it is.
        """
        # The clock on the wall is the quicker one, and the cheaper one to read.
        if time.perf_counter() > self._soonest and time.thread_time() > self._until:
            raise EndedError(f"out of time after {self.steps} steps")

    def _go_on(self) -> None:
        if not math.isfinite(self.losses[-1]):
            raise EndedError(f"not finite: the loss is {self.losses[-1]} at step {self.steps + 1}")
        self.hurry()

    def _ahead(self, *_: Any) -> None:
        if self.steps < FIRST or self.steps % EACH == 0:
            self._before = {
                name: [weight.detach().clone() for weight in own] for name, own in self._layers.items() if own
            }
            self.pushed |= {
                name
                for name, own in self._layers.items()
                if any(weight.grad is not None and bool(weight.grad.any()) for weight in own)
            }

    def _behind(self, *_: Any) -> None:
        for name, before in self._before.items():
            size = norm(before)
            change = norm([now.detach() - was for now, was in zip(self._layers[name], before, strict=True)])
            # Weights that start at zero have no size to compare with.
            if size > 0 and math.isfinite(change):
                self._last[name] = change / size
                if self.steps < FIRST:
                    self._first.setdefault(name, []).append(change / size)
        self._before = {}
        self.steps += 1


def norm(tensors: list[Tensor]) -> float:
    """Norm of several tensors as if they were one."""
    return math.sqrt(sum(float(tensor.float().square().sum()) for tensor in tensors))


def dead_units(model: nn.Module, inputs: Tensor) -> float:
    """Share of the units with a ReLU that are zero for every sample; NaN where there are none.

    Args:
        model: Any network; a channel of an image counts as one unit.
        inputs: A batch.
    """
    cuts = _Cuts()
    with evaluating(model), cuts:
        model(inputs)
    alive = torch.cat(cuts.alive) if cuts.alive else torch.empty(0)
    return 1 - float(alive.float().mean()) if len(alive) else math.nan


class _Cuts(TorchFunctionMode):
    """Notes, for each call of a ReLU, which of its units are above zero somewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[Tensor] = []
        self._inside = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outermost = func in CUTS and not self._inside
        self._inside = self._inside or func in CUTS
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            self._inside = self._inside and not outermost
        if outermost and result.dim() > 1:
            positive = (result > 0).any(0)
            # Channels come first in an image; the positions of one share their unit.
            self.alive.append(positive.flatten(1).any(1).cpu() if positive.dim() > 1 else positive.cpu())
        return result
