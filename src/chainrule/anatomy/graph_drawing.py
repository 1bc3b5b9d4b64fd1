"""A trace as a picture: an SVG that brings its own colours for light and for dark pages."""

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from chainrule.anatomy.graph_layout import Layout, Place, lay_out
from chainrule.anatomy.trace_faces import partial, short
from chainrule.errors import InputError

if TYPE_CHECKING:
    from chainrule.anatomy.trace import Node, Trace

LARGEST = 150  # nodes
LETTER, SMALL = 7.9, 7.3  # width of a letter of 13 and of 12 units, of the widest of the fonts below
LINE, MARGIN, PADDING = 17.0, 16.0, 10.0
LONGEST, DIGITS = 32, 4  # letters of a line, significant digits of a number

STYLE = """
.g{font:13px "DejaVu Sans Mono",Menlo,Consolas,"Liberation Mono",monospace}
.p{fill:#fff}.t{fill:#1f2328}.m{fill:#5b636d}.d{fill:#a8480a}.l{font-size:12px;fill:#1d63a8}
.e{fill:none;stroke:#8c959f;stroke-width:1.2}.a{fill:#8c959f}
.n{fill:#f6f8fa;stroke:#8c959f}.i{fill:#e8f1fb;stroke:#2a78c8}.r{fill:#f6f8fa;stroke:#a8480a;stroke-width:2}
@media (prefers-color-scheme:dark){
.p{fill:#14181d}.t{fill:#e6e9ed}.m{fill:#9aa4b0}.d{fill:#f5a45c}.l{fill:#7db8f0}
.e{stroke:#6b7683}.a{fill:#6b7683}
.n{fill:#1d232a;stroke:#6b7683}.i{fill:#182a3d;stroke:#5aa2ea}.r{fill:#1d232a;stroke:#f5a45c}
}"""


def draw(trace: "Trace") -> str:
    """The graph from left to right: expressions and values in boxes, partial derivatives on the edges.

    Args:
        trace: What is drawn; inputs have the derivative of the result by them in their boxes.

    Raises:
        InputError: When it has more than 150 nodes.
    """
    if len(trace.nodes) > LARGEST:
        raise InputError(f"A graph of {len(trace.nodes)} nodes is no picture; at most {LARGEST} are drawn.")
    lines = {node.name: _lines(node) for node in trace.nodes}
    boxes = {
        name: (max(len(text) for _, text in found) * LETTER + 2 * PADDING, len(found) * LINE + PADDING)
        for name, found in lines.items()
    }
    labels = {(edge.parent, edge.child): partial(edge, DIGITS) for edge in trace.edges}
    layout = lay_out(boxes, {pair: (len(text) * SMALL + 8, LINE) for pair, text in labels.items()})
    parts = [_edge(layout.edges[pair], text) for pair, text in labels.items()]
    for node in trace.nodes:
        look = "i" if node.is_input else "r" if node.name == trace.result else "n"
        parts.append(_box(layout.nodes[node.name], node, lines[node.name], look))
    return _document(trace.title, layout, parts)


def _lines(node: "Node") -> list[tuple[str, str]]:
    """The lines of a box, each with its look."""
    lines = [("t", _cut(f"{node.name} = {node.expression}")), ("m", _cut(short(node.value, DIGITS)))]
    if node.is_input and node.adjoint is not None:
        lines.append(("d", _cut(f"∂/∂{node.expression} = {short(node.adjoint, DIGITS)}")))
    return lines


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _box(place: Place, node: "Node", lines: list[tuple[str, str]], look: str) -> str:
    top, middle = place.y - place.height / 2, place.x + place.width / 2
    texts = "".join(
        f'<text class="{kind}" x="{_n(middle)}" y="{_n(top + PADDING / 2 + (row + 0.75) * LINE)}" '
        f'text-anchor="middle">{escape(text)}</text>'
        for row, (kind, text) in enumerate(lines)
    )
    box = f'x="{_n(place.x)}" y="{_n(top)}" width="{_n(place.width)}" height="{_n(place.height)}" rx="6"'
    full = f"<title>{escape(f'{node.name} = {node.expression}: {short(node.value)}')}</title>"
    return f'<g>{full}<rect class="{look}" {box}/>{texts}</g>'


def _edge(way: tuple[Place, ...], text: str) -> str:
    """A line over the places of an edge, open where its label stands, with a point at the child."""
    path = []
    for one, other in pairwise(way):
        # Straight to the end of the column, so that it meets nothing that is wider there.
        path.append(f"M{_n(one.x + one.width)} {_n(one.y)}H{_n(one.end)}")
        path.append(_curve((one.end, one.y), (other.x - (5 if other is way[-1] else 0), other.y)))
    end = (way[-1].x, way[-1].y)
    label = way[-2]
    x, y = _n(label.x + label.width / 2), _n(label.y + 4.5)
    tip = f"M{_n(end[0])} {_n(end[1])}l-7 -4v8z"
    return (
        f'<path class="e" d="{"".join(path)}"/><path class="a" d="{tip}"/>'
        f'<text class="l" x="{x}" y="{y}" text-anchor="middle">{escape(text)}</text>'
    )


def _curve(one: tuple[float, float], other: tuple[float, float]) -> str:
    middle = _n((one[0] + other[0]) / 2)
    return f"C{middle} {_n(one[1])} {middle} {_n(other[1])} {_n(other[0])} {_n(other[1])}"


def _document(title: str, layout: Layout, parts: list[str]) -> str:
    width, height = _n(layout.width + 2 * MARGIN), _n(layout.height + 2 * MARGIN)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    body = [f'<g transform="translate({_n(MARGIN)} {_n(MARGIN)})">', *parts, "</g>"]
    named = f"<title>{escape(f'Computation graph of {title}')}</title>"
    paper = '<rect class="p" width="100%" height="100%"/>'
    return "\n".join([f'{head} class="g" role="img">', named, f"<style>{STYLE}</style>", paper, *body, "</svg>"]) + "\n"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
