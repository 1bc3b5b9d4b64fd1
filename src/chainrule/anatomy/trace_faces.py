"""A trace as text, Markdown and plain values."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from chainrule.anatomy.faces import as_markdown, as_text, plain

if TYPE_CHECKING:
    from chainrule.anatomy.paths import Edge, Route
    from chainrule.anatomy.trace import Trace

FEW = 4  # numbers of a vector that are written out
WRITTEN = 1000  # numbers of a tensor in JSON

NODES = ("node", "expression", "value", "derivative of the result")
EDGES = ("edge", "partial derivative")
PATHS = ("path", "product of the partials")
SUMS = ("input", "paths", "sum over the paths", "autograd")


def number(value: float, digits: int = 6) -> str:
    """Up to so many significant digits."""
    text = f"{value:.{digits}g}"
    return "0" if text == "-0" else text


def short(value: Tensor | None, digits: int = 6) -> str:
    """A number, a short vector, or the shape and norm of a larger tensor."""
    if value is None:
        return "–"
    if value.ndim == 0:
        return number(value.item(), digits)
    if value.ndim == 1 and value.numel() <= FEW:
        return f"[{', '.join(number(item, digits) for item in value.tolist())}]"
    return f"{'×'.join(map(str, value.shape))}, norm {number(float(value.double().norm()), digits)}"


def partial(edge: "Edge", digits: int = 6) -> str:
    """The partial derivative of an edge."""
    if edge.partial is None:
        return f"{'×'.join(map(str, edge.shape))}"
    return short(edge.partial, digits)


def text(trace: "Trace") -> str:
    """Tables for a terminal."""
    tables = [as_text(head, rows, left=left) for head, rows, left in _tables(trace)]
    return "\n\n".join([trace.title, *tables, *_last(trace)])


def markdown(trace: "Trace") -> str:
    """Tables in Markdown."""
    tables = []
    for head, rows, left in _tables(trace):
        # Names and expressions are code; a product of partials is not.
        coded = left if head is NODES else 1
        tables.append(as_markdown(head, [[*map(_code, row[:coded]), *row[coded:]] for row in rows], left=left))
    return "\n\n".join([_code(trace.title), *tables, *_last(trace)])


def values(trace: "Trace") -> dict[str, Any]:
    """Plain values; numbers of tensors up to a thousand."""
    return plain(
        {
            "title": trace.title,
            "result": trace.result,
            "nodes": [
                {
                    "name": node.name,
                    "expression": node.expression,
                    "input": node.is_input,
                    "shape": list(node.shape),
                    "dtype": str(node.dtype).removeprefix("torch."),
                    "value": _numbers(node.value),
                    "adjoint": _numbers(node.adjoint),
                }
                for node in trace.nodes
            ],
            "edges": [
                {
                    "parent": edge.parent,
                    "child": edge.child,
                    "shape": list(edge.shape),
                    "partial": _numbers(edge.partial),
                    "norm": edge.norm,
                }
                for edge in trace.edges
            ],
            "paths": [
                {"input": path.input, "nodes": list(path.nodes), "product": _numbers(path.product)}
                for path in trace.paths
            ],
            "counts": trace.counts,
            "gradient": {name: _numbers(value) for name, value in trace.gradient.items()},
            "autograd": {name: _numbers(value) for name, value in trace.autograd.items()},
            "notes": list(trace.notes),
        }
    )


def _tables(trace: "Trace") -> list[tuple[tuple[str, ...], list[list[str]], int]]:
    nodes = [[node.name, node.expression, short(node.value), short(node.adjoint)] for node in trace.nodes]
    edges = [[f"{edge.parent} → {edge.child}", partial(edge)] for edge in trace.edges]
    paths = [[" → ".join(path.nodes), _product(path)] for path in trace.paths]
    sums = [
        [name, f"{trace.counts[name]:,}", short(value), short(trace.autograd[name])]
        for name, value in trace.gradient.items()
    ]
    return [(NODES, nodes, 2), (EDGES, edges, 1), (PATHS, paths, 2), (SUMS, sums, 1)]


def _last(trace: "Trace") -> list[str]:
    hidden = sum(trace.counts.values()) - len(trace.paths)
    more = [f"{hidden:,} more paths are not listed; the sums have them all."] if hidden else []
    return [*more, *trace.notes]


def _product(path: "Route") -> str:
    """The product with its factors, where they are a few numbers."""
    factors = [edge.partial for edge in path.edges]
    if not factors or len(factors) > 30 or any(factor is None or factor.ndim for factor in factors):
        return short(path.product)
    # From the result back to the input, as the chain rule is written.
    said = [number(factor.item()) for factor in reversed(factors) if factor is not None]
    return f"{' · '.join(f'({item})' if item.startswith('-') else item for item in said)} = {short(path.product)}"


def _numbers(value: Tensor | None) -> Any:
    return None if value is None or value.numel() > WRITTEN else value.tolist()


def _code(text: str) -> str:
    return f"`{text}`"
