"""What happens in a program's own training loop, watched on a copy."""

import copy
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from chainrule.doctor.measures.running import mean_loss, placed, running
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program
from chainrule.doctor.watching.inputs import rows
from chainrule.doctor.watching.record import Watched
from chainrule.doctor.watching.watcher import Watch

#: Passes of the loop that are watched: two tell whether the order changes, and what is left over from the first.
PASSES = 2


class TimeUpError(Exception):
    """The loop asks for batches although its time is over."""


class Handed:
    """The program's batches, handed to its loop one by one until the time is over.

    Args:
        program: Whose batches they are.
        own: The copy of it that the loop trains.
        watch: Who is told of each batch.
        most: Batches of a pass that are handed out at most.
        until: The end, as of ``time.perf_counter()``.
    """

    def __init__(self, program: Program, own: Program, watch: Watch, most: int, until: float) -> None:
        self.batches, self.watch, self.most, self.until = program.batches, watch, most, until
        self.rates = Rates(program.optimizer, own.optimizer)
        self.cut = False

    def __len__(self) -> int:
        return self.most

    def __iter__(self) -> Iterator[Any]:
        if time.perf_counter() > self.until:
            raise TimeUpError
        if not isinstance(self.batches, DataLoader):  # of that the watch hears itself
            self.watch.started(self.most)
        for number, batch in enumerate(self.batches):
            if number >= self.most or (number and time.perf_counter() > self.until):
                self.cut = True
                return
            self.rates.follow()
            self.watch.drawn()
            yield batch

    def __getattr__(self, name: str) -> Any:
        # A loop may ask for what only a loader has, such as its data set.
        return getattr(self.batches, name)


class Rates:
    """A schedule in the loop's script moves the script's own optimizer; the copy's rates follow it.

    Args:
        source: The program's optimizer, or None.
        target: Its copy.
    """

    def __init__(self, source: Optimizer | None, target: Optimizer | None) -> None:
        pairs = zip(source.param_groups, target.param_groups, strict=True) if source and target else ()
        self.pairs = [pair for pair in pairs if "lr" in pair[0]]
        self.last = [float(group["lr"]) for group, _ in self.pairs]

    def follow(self) -> None:
        """Take over the rates that have changed."""
        for place, (source, target) in enumerate(self.pairs):
            now = float(source["lr"])
            if now != self.last[place]:
                self.last[place] = target["lr"] = now


class Original:
    """A program as it was, to be put back if its loop trains it instead of what the loop is given.

    Args:
        program: The program.
    """

    def __init__(self, program: Program) -> None:
        model, self.optimizer = program.model, program.optimizer
        self.tensors = [*model.parameters(), *model.buffers()]
        self.copies = [tensor.detach().clone() for tensor in self.tensors]
        self.gradients = [None if tensor.grad is None else tensor.grad.clone() for tensor in self.tensors]
        self.modes = [(part, part.training) for part in model.modules()]
        self.state = copy.deepcopy(self.optimizer.state_dict()) if self.optimizer else None
        self.options = [dict(group) for group in self.optimizer.param_groups] if self.optimizer else []

    @torch.no_grad()
    def put_back(self) -> bool:
        """Undo what has changed; tells whether the loop trained it."""
        trained = not all(_same(tensor, copied) for tensor, copied in zip(self.tensors, self.copies, strict=True))
        for part, training in self.modes:
            part.training = training
        for group, options in zip(self.optimizer.param_groups if self.optimizer else [], self.options, strict=False):
            group.update(options)
        if trained:
            for tensor, copied, gradient in zip(self.tensors, self.copies, self.gradients, strict=True):
                tensor.copy_(copied)
                tensor.grad = gradient
            if self.optimizer is not None and self.state is not None:
                self.optimizer.load_state_dict(self.state)
        return trained


def watched(probe: Probe) -> Watched | None:
    """What happens in two passes of the program's own loop; None where it has none, or the program does not run."""
    program = probe.program
    if program.train is None:
        return None
    came = probe.measure(running)
    if came.error and not came.own:
        return None
    own, original = probe.copied(), Original(program)
    # A script may have left its model in evaluation mode; a loop that relies on the mode finds it as at its start.
    if not own.model.training:
        own.model.train()
    watch = Watch(own.model, own.optimizer, valid=_validation(probe))
    handed = Handed(program, own, watch, len(probe.sample.batches), time.perf_counter() + probe.seconds)
    error, passes = "", 0
    try:
        with watch, warnings.catch_warnings():
            # A schedule of the script warns that its own optimizer, which the copy's stands in for, makes no step.
            warnings.simplefilter("ignore")
            while passes < PASSES:
                passes += 1
                program.train(own.model, own.loss, own.optimizer, handed)  # type: ignore[arg-type]
    except TimeUpError:
        handed.cut = True
    except Exception as raised:  # a stranger's loop may raise anything
        error = f"{type(raised).__name__}: {raised}".splitlines()[0][:300]
    trained = original.put_back()
    return replace(
        watch.watched,
        expected=_expected(probe),
        passes=passes,
        cut=handed.cut,
        shuffles=not isinstance(program.batches, list | tuple),
        strayed=trained and not watch.watched.moved,
        error=error,
    )


def _validation(probe: Probe) -> frozenset[int]:
    """Numbers of the validation samples that are no training samples as well."""
    if probe.valid is None:
        return frozenset()
    found = {number for inputs, _ in probe.valid.batches for number in rows(inputs)}
    return frozenset(found.difference(*(rows(inputs) for inputs, _ in probe.sample.batches)))


def _expected(probe: Probe) -> frozenset[str] | None:
    """Names of the parameters that get a gradient from the loss of the model's outputs; None where that fails."""
    program = probe.copied()
    inputs, targets = (placed(program.model, part) for part in probe.sample.batches[0])
    program.model.train().zero_grad()
    try:
        mean_loss(program, program.model(inputs), targets).backward()
    except Exception:  # a loop of its own may do what the usual one cannot
        return None
    return frozenset(name for name, weight in program.model.named_parameters() if weight.grad is not None)


def _same(one: Tensor, other: Tensor) -> bool:
    return bool(((one == other) | (one != one)).all())
