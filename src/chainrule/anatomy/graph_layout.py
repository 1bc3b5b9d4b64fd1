"""Where the nodes and the labels of a graph stand: layers from left to right, few crossings, nothing on anything.

The layered drawing of Sugiyama, Tagawa and Toda 1981 in four steps: the depth of a node is the longest way to it; an
edge through several layers gets a place in each; the order within the layers is sorted by the mean place of the
neighbours; the heights are the least squares fit to straight edges that keeps the order and the gaps. Between two
layers of nodes stands a layer of labels, so that a label has a place of its own as a node has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 24
GAP, SPACE, LABEL_SPACE = 24.0, 22.0, 5.0  # between columns; between nodes; between labels


@dataclass(eq=False)
class Place:
    """A box in a column: a node, a label, or where an edge passes.

    Args:
        width: Its width.
        height: Its height.
        space: What stays free around it.
        x: Left side.
        y: Middle.
        end: Right side of its column.
        before: Places in the column before it from which edges come.
        after: Places in the column after it to which edges go.
    """

    width: float = 0.0
    height: float = 0.0
    space: float = LABEL_SPACE
    x: float = 0.0
    y: float = 0.0
    end: float = 0.0
    before: list["Place"] = field(default_factory=list)
    after: list["Place"] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Layout:
    """Places of all nodes, and of each edge from its parent over its label to its child."""

    width: float
    height: float
    nodes: Mapping[str, Place]
    edges: Mapping[tuple[str, str], tuple[Place, ...]]


def lay_out(nodes: Mapping[str, tuple[float, float]], edges: Mapping[tuple[str, str], tuple[float, float]]) -> Layout:
    """Find the places.

    Args:
        nodes: Width and height of each node, parents before children.
        edges: Parent and child: width and height of the label.
    """
    depth = _depths(nodes, edges)
    columns: list[list[Place]] = [[] for _ in range(2 * max(depth.values()) + 1)]
    places = {}
    for name, (width, height) in nodes.items():
        places[name] = Place(width, height, SPACE)
        columns[2 * depth[name]].append(places[name])
    ways = {}
    for (parent, child), (width, height) in edges.items():
        way = [places[parent]]
        for at in range(2 * depth[parent] + 1, 2 * depth[child]):
            # The label stands beside the child, where the derivative belongs.
            label = at == 2 * depth[child] - 1
            way.append(Place(width, height) if label else Place())
            columns[at].append(way[-1])
        ways[parent, child] = (*way, places[child])
        for one, other in pairwise(ways[parent, child]):
            one.after.append(other)
            other.before.append(one)
    _order(columns)
    _raise(columns)
    x = 0.0
    for column in columns:
        width = max(place.width for place in column)
        for place in column:
            place.x, place.end = x, x + width
        x += width + GAP
    top = min(place.y - place.height / 2 for column in columns for place in column)
    bottom = max(place.y + place.height / 2 for column in columns for place in column)
    for column in columns:
        for place in column:
            place.y -= top
    return Layout(x - GAP, bottom - top, places, ways)


def _depths(
    nodes: Mapping[str, tuple[float, float]], edges: Mapping[tuple[str, str], tuple[float, float]]
) -> dict[str, int]:
    """The longest way from an input to each node; inputs stand right before their first use."""
    depth = dict.fromkeys(nodes, 0)
    order = {name: place for place, name in enumerate(nodes)}
    for parent, child in sorted(edges, key=lambda edge: order[edge[1]]):
        depth[child] = max(depth[child], depth[parent] + 1)
    with_parents = {child for _, child in edges}
    for name in nodes:
        children = [depth[child] for parent, child in edges if parent == name]
        if name not in with_parents and children:
            depth[name] = min(children) - 1
    return depth


def _order(columns: list[list[Place]]) -> None:
    """Sort each column by its neighbours, to and fro, and keep the order with the fewest crossings."""
    best, fewest = [list(column) for column in columns], _crossings(columns)
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for column in columns if forth else reversed(columns):
            for index, place in enumerate(column):
                place.y = float(index)
        for left, right in pairwise(columns) if forth else pairwise(reversed(columns)):
            index_of = {place: index for index, place in enumerate(left)}
            means = {}
            for place in right:
                near = [index_of[other] for other in (place.before if forth else place.after)]
                means[place] = sum(near) / len(near) if near else place.y
            right.sort(key=means.__getitem__)
        if (crossings := _crossings(columns)) < fewest:
            best, fewest = [list(column) for column in columns], crossings
    for column, order in zip(columns, best, strict=True):
        column[:] = order


def _crossings(columns: Sequence[Sequence[Place]]) -> int:
    """Pairs of edges between neighbouring columns that cross."""
    count = 0
    for left, right in pairwise(columns):
        index_of = {place: index for index, place in enumerate(right)}
        ends = [sorted(index_of[other] for other in place.after) for place in left]
        flat = [(row, end) for row, found in enumerate(ends) for end in found]
        count += sum(one[0] < other[0] and one[1] > other[1] for at, one in enumerate(flat) for other in flat[at + 1 :])
    return count


def _raise(columns: list[list[Place]]) -> None:
    """Give each place its height: near the mean of its neighbours, in order, with the gaps kept."""
    for column in columns:
        _settle(column, [0.0] * len(column))
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = []
            for place in column:
                near = [*place.before, *place.after]
                wanted.append(sum(other.y for other in near) / len(near) if near else place.y)
            _settle(column, wanted)


def _settle(column: list[Place], wanted: list[float]) -> None:
    """The heights nearest to those wanted that keep the gaps: pool neighbours that would be too close."""
    offsets, offset = [], 0.0
    for index, place in enumerate(column):
        if index:
            above = column[index - 1]
            offset += (above.height + place.height) / 2 + max(above.space, place.space)
        offsets.append(offset)
    pools: list[tuple[float, int]] = []  # mean, members
    for wish, offset in zip(wanted, offsets, strict=True):
        mean, members = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean = (mean * members + other * count) / (members + count)
            members += count
        pools.append((mean, members))
    heights = [mean for mean, members in pools for _ in range(members)]
    for place, height, offset in zip(column, heights, offsets, strict=True):
        place.y = height + offset
