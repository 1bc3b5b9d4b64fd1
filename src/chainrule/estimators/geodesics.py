"""Shortest paths between all nodes of a sparse graph, on any device (Bellman 1958; Ford 1956).

``d(s, j) <- min_i d(s, i) + w_ij`` over the neighbours ``i`` of ``j``, for many sources ``s`` at once, until nothing
changes; there are at most as many sweeps as a shortest path has edges. The edges lie in levels: level ``l`` holds the
``l``-th edge of each node that has so many. Nodes with more edges come first, so that a level is a leading part of the
matrix, and its minimum one operation without conflicts.
"""

from typing import NamedTuple

import torch

from chainrule.estimators.memory import MIB, blocks
from chainrule.shapes import Float, Int, Tensor

#: Bytes of the distances from a block of sources on the CPU, so that they stay in the cache.
BLOCK = 2**20


class Edges(NamedTuple):
    """Edges of a graph without directions, each noted once or twice.

    Attributes:
        one: A node of each.
        other: Its other node.
        lengths: How long each is, not negative.
    """

    one: Int[Tensor, " e"]
    other: Int[Tensor, " e"]
    lengths: Float[Tensor, " e"]


def shortest_paths(edges: Edges, count: int, *, memory: float = 256) -> Float[Tensor, "n n"]:
    """Lengths of the shortest paths between all nodes; infinity where there is none.

    Args:
        edges: The graph.
        count: How many nodes it has.
        memory: Bound on temporary memory beside the result, MiB.
    """
    lengths = edges.lengths
    order, levels = _levels(edges, count)
    found = lengths.new_empty(count, count)
    bound = min(memory, 3 * BLOCK / MIB) if lengths.device.type == "cpu" else memory
    position = torch.empty_like(order)
    position[order] = torch.arange(count, device=order.device)
    for sources in blocks(count, 3 * count * lengths.element_size(), bound):
        # A row for each node, a column for each source: neighbours are then whole rows.
        nodes = position[sources]
        far = lengths.new_full((count, len(nodes)), torch.inf)
        far[nodes, torch.arange(len(nodes), device=nodes.device)] = 0
        room = torch.empty_like(far)
        while True:
            before = far.clone()
            for neighbours, steps in levels:
                ways = room[: len(neighbours)]
                torch.index_select(far, 0, neighbours, out=ways)
                head = far[: len(neighbours)]
                torch.minimum(head, ways.add_(steps), out=head)
            if torch.equal(before, far):
                break
        found[sources] = far[position].T
    return found


def _levels(edges: Edges, count: int) -> tuple[Int[Tensor, " n"], list[tuple[Tensor, Tensor]]]:
    """Nodes, those with most edges first, and for each level the neighbours of the leading nodes and their distances.

    Neighbours are named by their place in that order.
    """
    ends = torch.cat([edges.one, edges.other])
    starts = torch.cat([edges.other, edges.one])
    lengths = torch.cat([edges.lengths, edges.lengths])
    degree = torch.bincount(ends, minlength=count)
    order = degree.argsort(descending=True, stable=True)
    position = torch.empty_like(order)
    position[order] = torch.arange(count, device=order.device)
    ends, sorting = position[ends].sort(stable=True)
    starts, lengths = position[starts[sorting]], lengths[sorting]
    degree = degree[order]
    first = degree.cumsum(0) - degree
    rank = torch.arange(len(ends), device=ends.device) - first[ends]
    levels = []
    for level in range(int(degree[0])):
        chosen = rank == level
        levels.append((starts[chosen], lengths[chosen][:, None]))
    return order, levels


def components_of(lengths: Float[Tensor, "n n"], memory: float) -> Int[Tensor, " n"]:
    """For each node the first node that it is connected with.

    Args:
        lengths: As :func:`shortest_paths` gives them.
        memory: Bound on temporary memory, MiB.
    """
    parts = blocks(len(lengths), 8 * len(lengths), memory)
    return torch.cat([lengths[rows].isfinite().int().argmax(dim=1) for rows in parts])
