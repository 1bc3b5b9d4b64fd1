"""``watch``: see what happens in a training loop without changing it.

Gradients and weights are read where a backward pass begins and ends and where a step begins and ends, so that it does
not matter how the loop zeroes, clips or scales. What takes time (norms, copies of the weights) is done for the first
:data:`MOST` steps; what is cheap is counted for all of them.
"""

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks_with_kwargs, register_module_forward_hook
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from chainrule import registry
from chainrule.doctor.causes import ranked
from chainrule.doctor.finding import Finding
from chainrule.doctor.watching.graph import factor
from chainrule.doctor.watching.inputs import first, rows
from chainrule.doctor.watching.listening import listening, under_way
from chainrule.doctor.watching.modes import Modes
from chainrule.doctor.watching.pace import Pace
from chainrule.doctor.watching.record import Step, Watched
from chainrule.doctor.watching.weights import Weights, total
from chainrule.doctor.watching.window import Window

#: Steps that are recorded in detail.
MOST = 300
#: Share of a batch's samples that have to be validation samples for it to be a validation batch.
MOSTLY = 0.9
#: Most forward passes before a step that identify its batch; an unrolled network makes very many.
TOGETHER = 100
#: A parameter that something else than the optimizer changes by this share of its norm was overwritten: clipping of
#: weights, norms that are kept and small noise change less.
OVERWRITTEN = 0.1
#: The least norm of weights that a change is compared with; weights may start at zero.
LEAST = 1e-12


class Watch:
    """A watch over a training loop, open inside a ``with`` block.

    Args:
        model: The network that the loop trains.
        optimizer: What the loop is to step; None where it makes its own.
        valid: Numbers of the validation samples (:func:`chainrule.doctor.watching.inputs.rows`), where they are known.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer | None = None, *, valid: frozenset[int] = frozenset()
    ) -> None:
        self.model, self.optimizer, self.valid = model, optimizer, valid
        self.weights, self.modes, self.pace = Weights(model, optimizer), Modes(model), Pace()
        self.steps: list[Step] = []
        self.window = Window()
        self.error = ""
        self._numbers: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()
        self._met = 0
        self._reached = [False] * len(self.weights)
        self._counts: dict[str, Any] = dict.fromkeys(
            ("count", "foreign", "forwards", "backwards", "blind", "evaluating", "starts"), 0
        )
        self._fused = self._switched = False
        self._stepping: tuple[Optimizer, Step] | None = None
        self._marks: list[Any] = []
        self._kept: list[Tensor] = []
        self._start: list[float] = []
        self._moved = False
        self._seen: set[tuple[float, ...]] = set()
        self._stack = ExitStack()

    def __enter__(self) -> "Watch":
        self._start, self._kept = self.weights.sizes(), self.weights.copies()
        self._seen = {tuple(self._start)}
        with ExitStack() as stack:
            # Hooks on the model itself would be copied and saved with it, as loops do that keep their best model.
            hook = register_module_forward_hook(self._forward, with_kwargs=True)
            stack.callback(hook.remove)
            # What torch notes of keywords it does not take away with the hook.
            stack.callback(_global_forward_hooks_with_kwargs.pop, hook.id, None)
            stack.callback(register_optimizer_step_pre_hook(self._before_step).remove)
            stack.callback(register_optimizer_step_post_hook(self._after_step).remove)
            stack.enter_context(listening(self))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self.error = "" if kind is None else f"{kind.__name__}: {error}"
        self._moved = self.weights.sizes() != self._start or any(self.weights.changes(self._kept))
        # What is only of use while the loop runs; the copies are as large as the model.
        self._kept, self._stepping, self._marks = [], None, []

    @property
    def watched(self) -> Watched:
        """What has happened, for the checks."""
        asked = zip(self.weights.names, self.weights.tensors, self._reached, strict=True)
        return Watched(
            steps=tuple(self.steps),
            **self._counts,
            switched=self._switched,
            validating=self.modes.validating,
            noisy=self.modes.kinds,
            optimizer=type(self.optimizer).__name__ if self.optimizer else "",
            held=self.weights.held,
            unreached=tuple(name for name, weight, reached in asked if weight.requires_grad and not reached),
            frozen=any(not weight.requires_grad for weight in self.model.parameters()),
            moved=self._moved,
            peak=self.pace.peak,
            base=self.pace.base,
            last=self.pace.last,
            vanished=self.pace.vanished,
            fused=self._fused,
            error=self.error,
        )

    def findings(self) -> list[Finding]:
        """What the checks of a training loop say of it, the likely root cause first."""
        watched = self.watched
        checks = [entry.build for entry in registry.entries("check").values() if "watched" in entry.inputs]
        return ranked([finding for check in checks if (finding := check(watched)) is not None])

    def drawn(self) -> None:
        """The loop takes a batch; told by who hands them out."""
        self.window.draws += 1

    def started(self, length: int) -> None:
        """A loader of so many batches is gone through."""
        self._counts["starts"] += length > 1

    def before_backward(self, tensors: Any) -> None:
        """A backward pass begins; its gradients are compared with those that are there."""
        self._marks = self.weights.marks()
        if self._detailed:
            self.window.begun_with(self.weights.gradients())
            loss = first_of(tensors)
            if loss is not None:
                self.window.factor = factor(loss, self.window.size)

    def after_backward(self) -> None:
        """A backward pass has ended."""
        new = [before != after for before, after in zip(self._marks, self.weights.marks(), strict=True)]
        self._reached = [one or other for one, other in zip(self._reached, new, strict=True)]
        self._counts["backwards" if any(new) else "blind"] += 1
        if any(new):
            self.window.backwards += 1
            self.window.late = 0
            if self._detailed:
                self.window.arrived = total(self.weights.gradients())

    @property
    def _detailed(self) -> bool:
        return len(self.steps) < MOST

    def _forward(self, module: nn.Module, inputs: Any, options: Any, output: Any) -> None:
        # torch.compile reads hooks while it compiles; what it would find here is none of the network's.
        if torch.compiler.is_compiling() or module is not self.model:
            return
        learning = torch.is_grad_enabled()
        batch = first([inputs, options]) if self._detailed or not learning else None
        samples = rows(batch) if batch is not None else []
        number = hash(tuple(samples)) if samples else 0
        if not learning:
            self.modes.without_graph(number)
            return
        self.modes.with_graph(number)
        window = self.window
        window.forwards += 1
        window.late += 1
        window.lively += self.modes.lively
        window.size = len(samples)
        window.batches = [*window.batches[-TOGETHER:], number]
        window.validation += bool(samples) and len(self.valid.intersection(samples)) >= MOSTLY * len(set(samples))
        self._counts["forwards"] += 1

    def _before_step(self, optimizer: Optimizer, arguments: Any, options: Any) -> None:
        if self._stepping is not None and self._stepping[0] is not optimizer:
            return  # one that another one steps inside its own step
        self._stepping = None
        if not self.weights.moved_by(optimizer):
            self._counts["foreign"] += 1
            return
        self._fused |= under_way()
        closure = callable(arguments[1] if len(arguments) > 1 else options.get("closure"))
        step = self.window.step(self.weights.names, closure=closure)
        if self._detailed:
            step = self._measured(optimizer, step)
        self._stepping = optimizer, step

    def _measured(self, optimizer: Optimizer, step: Step) -> Step:
        """The same with the gradients, and with what has changed the weights since the last step."""
        used = total(self.weights.gradients())
        sizes = self.weights.sizes()
        outside = self.weights.changes(self._kept)
        if any(outside):
            self.weights.keep(self._kept)
        named = zip(self.weights.names, outside, sizes, strict=True)
        step = replace(
            step,
            arrived=self.window.arrived,
            used=used,
            outside=total(outside) / max(total(sizes), LEAST),
            overwritten=tuple(name for name, change, size in named if change > OVERWRITTEN * size),
            returned=any(outside) and tuple(sizes) in self._seen,
            lost=self.pace.lost(optimizer),
            norm=total(sizes),
        )
        self._seen.add(tuple(sizes))
        return step

    def _after_step(self, optimizer: Optimizer, arguments: Any, options: Any) -> None:
        if self._stepping is None or self._stepping[0] is not optimizer:
            return
        (_, step), self._stepping = self._stepping, None
        if step.closure:
            inside = self.window.step(self.weights.names, closure=True)
            kept = ("outside", "overwritten", "returned", "lost", "norm")
            step = replace(inside, **{name: getattr(step, name) for name in kept})
        self.pace.stepped(optimizer)
        evaluation = step.evaluation if step.forwards else not self.modes.lively
        evaluation = evaluation and bool(self.modes.kinds)
        self._switched = not evaluation if not self._counts["count"] else self._switched
        self._counts["count"] += 1
        self._counts["evaluating"] += evaluation
        self.modes.stepped()
        if self._detailed:
            self.steps.append(
                replace(
                    step,
                    optimizer=self._number(optimizer),
                    rate=self.pace.last,
                    state=self.pace.stateful,
                    evaluation=evaluation,
                    update=self._update(),
                )
            )
        self.window = Window()

    def _update(self) -> float:
        update = total(self.weights.changes(self._kept))
        self.weights.keep(self._kept)
        return update / max(total(self.weights.sizes()), LEAST)

    def _number(self, optimizer: Optimizer) -> int:
        own = self.optimizer
        if own is not None and (optimizer is own or optimizer.param_groups is own.param_groups):
            return 0
        if optimizer not in self._numbers:
            self._met += 1
            self._numbers[optimizer] = self._met
        return self._numbers[optimizer]


def watch(model: nn.Module, optimizer: Optimizer | None = None) -> Watch:
    """A watch over a training loop, to be opened around it.

    ``with watch(model, optimizer) as seen: ...`` stands around the loop, ``seen.findings()`` after it. The loop stays
    as it is, and so do its weights, to the last bit; afterwards nothing is left behind.

    Args:
        model: The network that the loop trains.
        optimizer: What the loop steps; None where it makes its own.
    """
    return Watch(model, optimizer)


def first_of(tensors: Any) -> Tensor | None:
    """The tensor that a backward pass starts from, or the first of several."""
    parts = [tensors] if isinstance(tensors, Tensor) else list(tensors) if isinstance(tensors, list | tuple) else []
    return next((part for part in parts if isinstance(part, Tensor)), None)
