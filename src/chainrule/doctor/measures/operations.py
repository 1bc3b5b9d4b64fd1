"""Operations that data passes, and which feed which: a graph that checks ask for ways and cuts."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation that data passes.

    Attributes:
        kind: Its name in autograd, in small letters, such as ``"relu"`` or ``"addmm"``.
        layer: Dotted name of the innermost module whose output it is, or that owns its weights; empty where none does.
        weight: Name of the matrix or kernel that it multiplies the data by; empty where it does not.
        before: Places of the operations whose results it takes.
        shape: Shape of its result.
        linear: Whether its result is linear (with an offset) in what it takes of the data.
        grouped: Whether it is a convolution in groups, or a transposed one.
        node: Autograd's node, which has saved what it needs.
    """

    kind: str
    layer: str
    weight: str
    before: tuple[int, ...]
    shape: tuple[int, ...]
    linear: bool
    grouped: bool
    node: Any


@dataclass(frozen=True, eq=False)
class Structure:
    """The operations of one forward pass, in order of execution.

    Attributes:
        operations: All that data passes on its way to the outputs.
        ends: Places of those whose results are the outputs.
        weights: The parameters by name.
        recurrent: Names of the parameters of recurrent layers and of attention, which have activations of their own.
        error: Why there is nothing; empty where there is.
    """

    operations: tuple[Operation, ...] = ()
    ends: frozenset[int] = frozenset()
    weights: dict[str, Tensor] = field(default_factory=dict)
    recurrent: frozenset[str] = frozenset()
    error: str = ""

    @cached_property
    def after(self) -> tuple[tuple[int, ...], ...]:
        """For each operation the places of those that take its result."""
        taken: list[list[int]] = [[] for _ in self.operations]
        for place, operation in enumerate(self.operations):
            for source in operation.before:
                taken[source].append(place)
        return tuple(map(tuple, taken))

    @cached_property
    def weighted(self) -> tuple[int, ...]:
        """Places of the operations that multiply by weights."""
        return tuple(place for place, operation in enumerate(self.operations) if operation.weight)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Names of the matrices and kernels, in order of their first use."""
        return tuple(dict.fromkeys(self.operations[place].weight for place in self.weighted))

    def behind(self, start: int, without: int = -1) -> set[int]:
        """Places of all operations that a result comes to.

        Args:
            start: Place of the operation that gives it.
            without: Place of an operation that is thought away.
        """
        return self._reached([start], self.after, without)

    def ahead(self, start: int) -> set[int]:
        """Places of all operations that have an influence on an operation."""
        return self._reached([start], tuple(operation.before for operation in self.operations), -1)

    def hidden(self, place: int) -> bool:
        """Whether a layer with weights comes after it."""
        return any(self.operations[other].weight for other in self.behind(place))

    def alone(self, place: int) -> bool:
        """Whether everything on the way from the inputs to the outputs passes this operation."""
        sources = [index for index, operation in enumerate(self.operations) if not operation.before and index != place]
        return not self._reached(sources, self.after, place) & self.ends and not self.ends & set(sources)

    def chained(self, place: int) -> Iterator[int]:
        """Places of what follows an operation, as long as there is but one way on."""
        while place not in self.ends and len(self.after[place]) == 1:
            place = self.after[place][0]
            if len(self.operations[place].before) != 1:
                return
            yield place

    def _reached(self, starts: Iterable[int], ways: tuple[tuple[int, ...], ...], without: int) -> set[int]:
        seen: set[int] = set()
        waiting = deque(starts)
        while waiting:
            for place in ways[waiting.popleft()]:
                if place not in seen and place != without:
                    seen.add(place)
                    waiting.append(place)
        return seen
