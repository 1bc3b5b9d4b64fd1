"""The chain rule over a record: adjoints backwards, the partial derivative on each edge, the paths one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from chainrule.anatomy.recording import Step

LISTED = 20  # paths of each input that are written out
ROWS, ENTRIES = 256, 65_536  # of a Jacobian that is computed


@dataclass(frozen=True, eq=False)
class Edge:
    """An operand and what was made of it, with the partial derivative of that one operation.

    Args:
        parent: Name of the operand.
        child: Name of the operation's node.
        shape: Shape of the partial derivative: the child's, then the parent's; ``()`` between numbers.
        partial: The derivative; None where it has too many entries to be computed.
        norm: Its Euclidean norm; None with it.
    """

    parent: str
    child: str
    shape: tuple[int, ...]
    partial: Tensor | None
    norm: float | None


@dataclass(frozen=True, eq=False)
class Route:
    """One path from an input to the result, and its share of the derivative.

    Args:
        input: Name of the input.
        edges: The edges on the way.
        product: The product of their partial derivatives, in the shape of the input.
    """

    input: str
    edges: tuple[Edge, ...]
    product: Tensor

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes on the way."""
        return (*(edge.parent for edge in self.edges), *(edge.child for edge in self.edges[-1:]))


def adjoints(steps: list[Step], result: Step) -> dict[Step, Tensor]:
    """Derivative of the result by every node: reverse accumulation."""
    pulled = {step: torch.zeros_like(step.value) for step in steps if step.value.requires_grad}
    pulled[result] = torch.ones_like(result.value)
    reached = {result}
    for step in reversed(steps):
        if step in reached:
            for parent, part in zip(step.parents, step.pull_back(pulled[step]), strict=True):
                if part is not None:
                    pulled[parent] = pulled[parent] + part.detach()
                    reached.add(parent)
    return {step: value.detach() for step, value in pulled.items()}


def partials(steps: list[Step]) -> dict[tuple[Step, Step], Edge]:
    """Every operand of every operation, with the partial derivative."""
    edges = {}
    for step in steps:
        if step.output is None:
            continue
        used = step.pull_back(torch.ones_like(step.output))
        for place, (parent, part) in enumerate(zip(step.parents, used, strict=True)):
            if part is not None:
                shape = (*step.value.shape, *parent.value.shape)
                partial = _jacobian(step, place, part) if _small(step, parent) else None
                norm = None if partial is None else float(partial.double().norm())
                edges[parent, step] = Edge(parent.name, step.name, shape, partial, norm)
    return edges


def _small(step: Step, parent: Step) -> bool:
    rows = step.value.numel()
    return rows <= ROWS and rows * parent.value.numel() <= ENTRIES


def _jacobian(step: Step, place: int, whole: Tensor) -> Tensor:
    """The partial derivative by one parent, a row for each entry of the result."""
    if step.value.numel() == 1:
        return whole.detach().reshape((*step.value.shape, *whole.shape))
    rows = []
    for entry in range(step.value.numel()):
        unit = torch.zeros(step.value.numel(), dtype=step.value.dtype, device=step.value.device)
        unit[entry] = 1
        row = step.pull_back(unit.reshape(step.value.shape))[place]
        rows.append(torch.zeros_like(whole) if row is None else row.detach())
    return torch.stack(rows).reshape((*step.value.shape, *whole.shape))


def routes(
    inputs: list[Step], steps: list[Step], result: Step, edges: Mapping[tuple[Step, Step], Edge]
) -> tuple[dict[str, int], list[Route]]:
    """How many paths lead from each input to the result, and the first of them."""
    counts, routes = {}, []
    for start in inputs:
        if not start.value.requires_grad:
            continue
        ways = {start: 1}
        for step in steps:
            if step is not start:
                ways[step] = sum(ways[parent] for parent in step.parents if (parent, step) in edges)
        counts[start.expression] = ways[result]
        found = _walk(start, result, ways, edges)
        routes += [route for route, _ in zip(found, range(LISTED), strict=False)]
    return counts, routes


def _walk(
    start: Step, result: Step, ways: Mapping[Step, int], edges: Mapping[tuple[Step, Step], Edge]
) -> Iterator[Route]:
    """The paths from an input, found backwards, so that each step is a vector times a Jacobian."""
    waiting: list[tuple[Step, tuple[Edge, ...], Tensor]] = [(result, (), torch.ones_like(result.value))]
    while waiting:
        step, behind, cotangent = waiting.pop()
        if step is start:
            yield Route(start.expression, behind, cotangent.detach())
            continue
        parts = step.pull_back(cotangent)
        for parent, part in reversed(list(zip(step.parents, parts, strict=True))):
            if part is not None and (parent, step) in edges and ways.get(parent):
                waiting.append((parent, (edges[parent, step], *behind), part))
