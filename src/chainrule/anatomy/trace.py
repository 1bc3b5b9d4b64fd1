"""The computation graph with its numbers: values forward, partial derivatives on the edges, the chain rule over paths.

``trace("y - relu(w*x + b)", y=5, w=2, x=1, b=1)`` records each operation with its value and its partial derivative by
each operand. The derivative of the result by an input is the sum over all paths between them of the product of the
partials on the way; reverse accumulation gives that sum without walking the paths, and autograd gives it once more.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from chainrule.anatomy import expression, trace_faces
from chainrule.anatomy.faces import save
from chainrule.anatomy.kinks import kink
from chainrule.anatomy.paths import ENTRIES, ROWS, Edge, Route, adjoints, partials, routes
from chainrule.anatomy.recording import Recorder, Step
from chainrule.anatomy.values import normalized, value_of
from chainrule.errors import InputError, listing
from chainrule.seeding import preserved


@dataclass(frozen=True, eq=False)
class Node:
    """A value of the graph.

    Args:
        name: ``w1``, ``w2``, ...; inputs first, in the order of their first use.
        expression: The operation on other nodes, ``w1 * w2``; of an input its name.
        value: What it is here.
        adjoint: Derivative of the result by it; None for whole numbers and truth values.
        is_input: Whether it is an input.
    """

    name: str
    expression: str
    value: Tensor
    adjoint: Tensor | None
    is_input: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return tuple(self.value.shape)

    @property
    def dtype(self) -> torch.dtype:
        """The type of its numbers."""
        return self.value.dtype


@dataclass(frozen=True, eq=False)
class Trace:
    """The graph of one computation.

    Args:
        title: The formula, or the name of the function.
        nodes: All values, inputs first; what comes later was computed later.
        edges: Operand to operation, with the partial derivative.
        paths: Paths from each input to the result, at most :data:`chainrule.anatomy.paths.LISTED` of each.
        counts: How many paths there are, by input.
        gradient: Derivative of the result by each input, by reverse accumulation; of a result of several numbers, the
            derivative of their sum.
        autograd: The same from one call of ``torch.autograd.grad`` on the whole.
        result: Name of the node that is the result.
        notes: What a reader should know: points without a derivative, what was left out.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    paths: tuple[Route, ...]
    counts: dict[str, int]
    gradient: dict[str, Tensor]
    autograd: dict[str, Tensor]
    result: str
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if name == node.name)

    @property
    def value(self) -> Tensor:
        """The result."""
        return self[self.result].value

    def text(self) -> str:
        """Tables for a terminal."""
        return trace_faces.text(self)

    def markdown(self) -> str:
        """The same in Markdown."""
        return trace_faces.markdown(self)

    def to_json(self) -> str:
        """The same as JSON; what is not finite, or has more than 1,000 entries, is null."""
        return json.dumps(trace_faces.values(self), ensure_ascii=False, indent=2) + "\n"

    def svg(self) -> str:
        """The graph as a picture.

        Raises:
            InputError: When it has too many nodes to be drawn.
        """
        from chainrule.anatomy.graph_drawing import draw

        return draw(self)

    def save(self, path: str | Path) -> Path:
        """Write the picture to a new file that ends in ``.svg``."""
        return save(path, {".svg": self.svg})


def trace(program: str | Callable[..., Tensor], /, **values: Any) -> Trace:
    """Record a computation: its values, the partial derivative of each operation, the paths, the derivative.

    Args:
        program: A formula, ``"y - relu(w*x + b)"``; or a function of torch, which is called with the values by name; or
            a module, whose parameters become inputs beside the values.
        values: Numbers and nested lists of them (in float64, for a module in the type of its parameters), or tensors.

    Raises:
        InputError: When the formula cannot be read, a value is missing, left over or no number, the shapes of a formula
            do not fit, or a function does what a graph cannot show: change a value in place, give no number.
    """
    called, inputs, title = _prepared(program, normalized(values))
    letter = next(letter for letter in "wvzn" + "".join(map(chr, range(97, 123))) if not _taken(letter, inputs))
    with preserved(), torch.enable_grad(), Recorder(inputs, letter) as recorder:
        out = called(**recorder.values)
    result = _result(recorder, out)
    steps = [*recorder.inputs, *recorder.operations]
    with preserved(), torch.enable_grad():
        whole = _whole(called, inputs)
    pulled = adjoints(steps, result)
    edges = partials(steps)
    counts, paths = routes(recorder.inputs, steps, result, edges)
    nodes = tuple(
        Node(step.name, step.expression, step.value.detach(), pulled.get(step), not step.operation) for step in steps
    )
    gradient = {step.expression: pulled[step] for step in recorder.inputs if step in pulled}
    return Trace(
        title=title,
        nodes=nodes,
        edges=tuple(edges.values()),
        paths=tuple(paths),
        counts=counts,
        gradient=gradient,
        autograd={name: whole[name] for name in gradient},
        result=result.name,
        notes=tuple(_notes(recorder, result, edges, gradient, whole)),
    )


def _prepared(program: Any, values: dict[str, Any]) -> tuple[Callable[..., Tensor], dict[str, Tensor], str]:
    """What is called, the inputs by name, and a title."""
    if isinstance(program, str):
        formula = expression.parse(program)
        inputs = {name: value_of(name, value) for name, value in values.items()}
        inputs = {name: value if value.is_floating_point() else value.double() for name, value in inputs.items()}
        formula.check(inputs)
        return formula, inputs, formula.text
    if not callable(program):
        raise InputError(f"trace wants a formula as text, a function or a module; received {type(program).__name__}.")
    title = getattr(program, "__name__", type(program).__name__)
    if not isinstance(program, nn.Module):
        inputs = {name: value_of(name, value) for name, value in values.items()}
        if not inputs:
            raise InputError(f"{title} has no inputs to derive by; give it values, as in trace(function, x=2).")
        return program, inputs, "function" if title == "<lambda>" else title
    learned = dict(program.named_parameters())
    if twice := sorted(learned.keys() & values.keys()):
        raise InputError(
            f"{listing(twice)} is both a parameter of {title} and a value; trace a function that calls it."
        )
    kind = next((value.dtype for value in learned.values() if value.is_floating_point()), torch.float64)
    given = {name: value_of(name, value, kind) for name, value in values.items()}

    def call(**inputs: Tensor) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in program.named_buffers()}
        weights = {name: inputs[name] for name in learned}
        return functional_call(program, {**buffers, **weights}, (), {name: inputs[name] for name in given})

    return call, {**given, **learned}, title


def _taken(letter: str, names: Mapping[str, Any]) -> bool:
    """Whether an input is called as a node would be."""
    return any(name.startswith(letter) and name[1:].isdecimal() for name in names)


def _result(recorder: Recorder, out: Any) -> Step:
    if not isinstance(out, Tensor):
        raise InputError(f"The function must give one tensor; it gave {type(out).__name__}.")
    result = recorder.step_of(out)
    if result is None or not result.value.requires_grad:
        raise InputError("The result does not depend on the inputs in a way that has a derivative.")
    return result


def _whole(called: Callable[..., Tensor], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The derivative of the result by each input as autograd gives it for the whole."""
    leaves = {name: value.detach().clone().requires_grad_(value.is_floating_point()) for name, value in inputs.items()}
    out = called(**leaves)
    wanted = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    found = torch.autograd.grad(out, list(wanted.values()), torch.ones_like(out), materialize_grads=True)
    return dict(zip(wanted, found, strict=True))


def _notes(
    recorder: Recorder,
    result: Step,
    edges: Mapping[tuple[Step, Step], Edge],
    gradient: Mapping[str, Tensor],
    whole: Mapping[str, Tensor],
) -> Iterator[str]:
    yield from recorder.notes
    yield from filter(None, map(kink, recorder.operations))
    for step in recorder.operations:
        if not bool(step.value.isfinite().all()):
            yield f"{step.name} = {step.expression} is not finite."
    for step in recorder.inputs:
        if not step.value.requires_grad:
            kind = str(step.value.dtype).removeprefix("torch.")
            yield f"{step.expression} has no derivative: its numbers are {kind}."
    if result.value.numel() > 1:
        yield f"The result has {result.value.numel()} numbers; derivatives are those of their sum."
    if any(edge.partial is None for edge in edges.values()):
        yield f"Partial derivatives of more than {ROWS} rows or {ENTRIES:,} entries are not computed."
    for name, value in gradient.items():
        tolerance = 1e-10 if value.dtype == torch.float64 else 1e-4
        if not torch.allclose(value, whole[name], rtol=tolerance, atol=tolerance, equal_nan=True):
            yield f"Autograd gives another derivative by {name} for the whole: the function changes from call to call."
