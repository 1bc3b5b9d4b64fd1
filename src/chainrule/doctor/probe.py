"""``Probe``: measurements of a live program, each taken once and without a trace.

A measurement is a function of a probe. It works on :meth:`Probe.copied` programs and on :attr:`Probe.sample`, which was
read from the program's batches once; the generators of random numbers are put back after each of them.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from chainrule import seeding
from chainrule.doctor.program import Pair, Program
from chainrule.errors import InputError

Measured = TypeVar("Measured")

#: Most samples and most MiB that are kept of the training and of the validation batches.
SAMPLES, MEMORY = 2048, 256
#: Parts of a loader, a sampler or a data set that may hold a generator of random numbers.
PARTS = ("generator", "sampler", "batch_sampler", "dataset", "datasets", "transform", "rng", "random_state")


@dataclass(frozen=True, eq=False)
class Sample:
    """What was read of some batches.

    Attributes:
        batches: Inputs and targets of each.
        whole: Whether these are all batches of a pass.
    """

    batches: list[Pair]
    whole: bool

    @cached_property
    def inputs(self) -> Tensor:
        """All inputs, ``[n, ...]``."""
        return torch.cat([inputs for inputs, _ in self.batches])

    @cached_property
    def targets(self) -> Tensor:
        """All targets, ``[n, ...]``."""
        return torch.cat([targets for _, targets in self.batches])


class Probe:
    """Measurements of one program.

    Args:
        program: What is examined; it is left as it is.
        seconds: About how long a single measurement may train.
    """

    def __init__(self, program: Program, *, seconds: float = 10.0) -> None:
        self.program, self.seconds = program, seconds
        self._taken: dict[Callable[[Probe], Any], Any] = {}

    def measure(self, measurement: Callable[["Probe"], Measured]) -> Measured:
        """What a measurement gives; it is taken when it is first asked for.

        Args:
            measurement: A function of this probe.
        """
        if measurement not in self._taken:
            with untouched(self.program):
                self._taken[measurement] = measurement(self)
        taken: Measured = self._taken[measurement]
        return taken

    def copied(self) -> Program:
        """A copy of the program that may be trained, on the batches of :attr:`sample`."""
        return replace(self.program.copied(), batches=self.sample.batches)

    @cached_property
    def sample(self) -> Sample:
        """The first training batches, or all where they are few."""
        return self.read(self.program.batches)

    @cached_property
    def valid(self) -> Sample | None:
        """The first validation batches, or all where they are few; None where there are none."""
        return None if self.program.valid is None else self.read(self.program.valid)

    def read(self, batches: Iterable[Any]) -> Sample:
        """Go through batches once more, up to :data:`SAMPLES` samples and :data:`MEMORY` MiB.

        Raises:
            InputError: When a batch is no pair of tensors, or there is none.
        """
        if isinstance(batches, Iterator):
            raise InputError(
                "Batches have to be something that can be gone through again, as a DataLoader or a list; received an "
                "iterator. Write list(...) around it, or leave out iter()."
            )
        kept: list[Pair] = []
        with untouched(self.program):
            stream = iter(batches)
            samples = size = 0
            for batch in stream:
                kept.append(_pair(batch))
                samples += len(kept[-1][0])
                size += sum(part.nbytes for part in kept[-1])
                if samples >= SAMPLES or size >= MEMORY * 2**20:
                    break
            whole = not list(islice(stream, 1))
        if not kept:
            raise InputError("There is no batch to examine; write batches that give pairs of inputs and targets.")
        return Sample(kept, whole)


@contextmanager
def untouched(program: Program) -> Iterator[None]:
    """Leave every generator of random numbers as it was: the global ones, and those of loaders and their parts."""
    own = {id(found): found for source in (program.batches, program.valid) for found in generators(source)}
    before = [(generator, _state(generator)) for generator in own.values()]
    try:
        with seeding.preserved():
            seeding.seed_all(0)
            yield
    finally:
        for generator, state in before:
            _restore(generator, state)


def generators(source: Any, depth: int = 4) -> list[Any]:
    """The generators of random numbers that a loader, its sampler or its data set hold."""
    if isinstance(source, torch.Generator | np.random.Generator | np.random.RandomState | random.Random):
        return [source]
    if source is None or isinstance(source, Tensor | np.ndarray | str | int | float) or depth == 0:
        return []
    if isinstance(source, list | tuple):
        return [found for part in source[:100] for found in generators(part, depth - 1)]
    own = getattr(source, "__dict__", {})
    parts = [value for name, value in own.items() if name.strip("_") in PARTS or not isinstance(value, list | tuple)]
    return [found for part in parts for found in generators(part, depth - 1)]


def _state(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state().clone()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _pair(batch: Any) -> Pair:
    if isinstance(batch, list | tuple) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch):
        return batch[0], batch[1]
    came = (
        f"a {type(batch).__name__} of {len(batch)} parts" if isinstance(batch, list | tuple) else type(batch).__name__
    )
    raise InputError(f"A batch has to be a pair of tensors, inputs and targets; received {came}.")
