"""Record every elementary torch operation of a program: its operands, its value, and how to pull a derivative back.

A :class:`Recorder` sees each call of torch on the level on which the program makes it (``F.linear`` is one operation).
What a recorded operation returns is cut from its operands and becomes a leaf of its own, so that autograd knows each
operation alone, never a chain of them: the chain rule is left to whoever reads the record.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from chainrule.errors import InputError

INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "true_divide": "/", "pow": "**", "matmul": "@",
    "gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!=",
}  # fmt: skip
REVERSED = {"__rsub__": "-", "__rdiv__": "/", "__rpow__": "**", "__rmatmul__": "@"}
SHORT = {
    "maximum": "max", "minimum": "min", "amax": "max", "amin": "min", "linalg_vector_norm": "norm",
    "linalg_norm": "norm", "absolute": "abs", "__floordiv__": "floor_divide",
}  # fmt: skip
#: Calls through which a program learns a number; what it does with it is hidden.
READING = {"__bool__", "__float__", "__int__", "__index__", "item", "tolist", "numpy", "__array__", "equal", "allclose"}
DERIVING = {"backward", "grad"}
LONGEST = 40


@dataclass(eq=False)
class Step:
    """A recorded value: an input, or what an operation gave.

    Args:
        name: ``w1``, ``w2``, ...; inputs have the first numbers, in the order of their first use.
        expression: The operation with the names of its operands, or the name of the input.
        operation: Name of the operation; empty for an input.
        value: The value, a leaf of autograd where it has a derivative.
        output: The same value, as a function of the parents' values.
        parents: Operands that have a derivative, each once.
        operands: All that the operation was called with.
    """

    name: str
    expression: str
    operation: str
    value: Tensor
    output: Tensor | None = None
    parents: tuple["Step", ...] = ()
    operands: tuple[Any, ...] = ()

    def pull_back(self, cotangent: Tensor) -> list[Tensor | None]:
        """The cotangent times the partial derivative by each parent; None for one without influence."""
        if self.output is None or not self.parents:
            return []
        leaves = [parent.value for parent in self.parents]
        return list(torch.autograd.grad(self.output, leaves, cotangent, retain_graph=True, allow_unused=True))


class Recorder(TorchFunctionMode):
    """Records what torch computes while it is entered.

    Args:
        inputs: The values by name; those of floating point get a derivative.
        letter: What the names of the steps begin with.
    """

    def __init__(self, inputs: dict[str, Tensor], letter: str = "w") -> None:
        super().__init__()
        self.letter = letter
        self.values = {name: value.detach().clone() for name, value in inputs.items()}
        self.inputs: list[Step] = []
        self.operations: list[Step] = []
        self.notes: list[str] = []
        self._known: dict[int, Step] = {}
        self._labels: dict[int, str] = {}
        self._alive: list[Tensor] = []  # an id stays that of one tensor
        self._new: dict[int, str] = {}
        for name, value in self.values.items():
            value.requires_grad_(value.is_floating_point())
            self._new[id(value)] = name

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for value in self.values.values():
            self._find(value)  # what was never used comes last

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operation = _name(function)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        steps = [step for tensor in tensors if (step := self._find(tensor)) is not None]
        seen = bool(steps) or any(id(tensor) in self._labels for tensor in tensors)
        self._refuse(operation, kwargs, steps, seen)
        versions = [step.value._version for step in steps]
        out = function(*args, **kwargs)
        if versions != [step.value._version for step in steps]:
            raise InputError(_in_place(operation, steps))
        if not seen:
            return out
        results = {id(leaf): leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)}
        fresh = {key: leaf for key, leaf in results.items() if key not in {id(tensor) for tensor in tensors}}
        if operation in READING:
            self._note(f"The program reads {self._said(args[0])} as a plain value: nothing flows back through it.")
        if not fresh:
            return out
        expression = self._expression(function, operation, args, kwargs)
        made = {
            key: self._record(leaf, operation, _part(expression, place, len(fresh)), steps, args)
            for place, (key, leaf) in enumerate(fresh.items())
        }
        return tree_map(lambda leaf: made.get(id(leaf), leaf) if isinstance(leaf, Tensor) else leaf, out)

    def step_of(self, result: Tensor) -> Step | None:
        """The step that gave a value, or None for a constant."""
        return self._find(result)

    def _record(self, out: Tensor, operation: str, expression: str, steps: Iterable[Step], args: Any) -> Tensor:
        """Make a result a step, or a constant where no derivative flows; what the program goes on with."""
        if out.is_complex():
            raise InputError(f"{expression} is complex: only real numbers can be traced.")
        parents = tuple(dict.fromkeys(step for step in steps if step.value.requires_grad))
        if parents and out.requires_grad:
            value = out.detach().requires_grad_()
            operands = tuple(arg.detach() if isinstance(arg, Tensor) else arg for arg in args)
            self._add(Step(self._next(), expression, operation, value, out, parents, operands))
            return value
        if parents and out.is_floating_point() and torch.is_grad_enabled():
            self._note(f"{expression} passes no derivative on: its result is a constant here.")
        out = out.detach()
        self._labels[id(out)] = expression
        self._alive.append(out)
        return out

    def _find(self, tensor: Tensor) -> Step | None:
        """The step of a tensor; an input is numbered when it is first asked for."""
        key = id(tensor)
        if key in self._new:
            name = self._new.pop(key)
            self.inputs.append(Step(f"{self.letter}{len(self.inputs) + 1}", name, "", tensor))
            self._known[key] = self.inputs[-1]
        if key not in self._known and tensor.requires_grad and tensor.grad_fn is not None:
            self._adopt(tensor)
        return self._known.get(key)

    def _adopt(self, tensor: Tensor) -> None:
        """Take in what torch computed without telling, as an ``autograd.Function`` does: one step for all of it."""
        sources = [self._find(source) for source in self._sources(tensor)]
        parents = tuple(dict.fromkeys(source for source in sources if source is not None))
        if not parents:
            return
        operation = str(tensor.grad_fn.name()).removesuffix("Backward") if tensor.grad_fn else ""
        expression = f"{operation}({', '.join(parent.name for parent in parents)})"
        self._add(Step(self._next(), expression, operation, tensor, tensor, parents))

    def _sources(self, tensor: Tensor) -> list[Tensor]:
        """The recorded values, and the inputs, next above a value in autograd's own graph."""
        made = {step.value.grad_fn: step.value for step in self.operations if step.value.grad_fn is not None}
        found, waiting, visited = [], [tensor.grad_fn], set()
        while waiting:
            node = waiting.pop()
            if node is None or node in visited:
                continue
            visited.add(node)
            source = getattr(node, "variable", made.get(node))
            if source is None:
                waiting += [parent for parent, _ in reversed(node.next_functions)]
            else:
                found.append(source)
        return found

    def _next(self) -> str:
        return f"{self.letter}{len(self.values) + len(self.operations) + 1}"

    def _add(self, step: Step) -> None:
        self.operations.append(step)
        self._known[id(step.value)] = step

    def _refuse(self, operation: str, kwargs: dict[str, Any], steps: list[Step], seen: bool) -> None:
        named = operation.endswith("_") and (not operation.startswith("__"))
        slots = operation.startswith("__i") and operation not in READING and operation != "__invert__"
        if steps and (named or slots or operation == "__setitem__" or kwargs.get("inplace") or "out" in kwargs):
            raise InputError(_in_place(operation, steps))
        if seen and operation in DERIVING:
            raise InputError(f"The program calls {operation} itself; trace wants a program that only computes a value.")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _expression(self, function: Any, operation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The operation in the names of its operands."""
        said = [self._said(arg) for arg in args]
        if operation == "__get__":
            return f"{said[0]}.{function.__self__.__name__}"
        if operation == "__getitem__":
            return f"{said[0]}[{said[1]}]"
        if len(args) == 2 and not kwargs and operation in INFIX:
            return f"{_grouped(said[0])} {INFIX[operation]} {_grouped(said[1])}"
        if len(args) == 2 and operation in REVERSED:
            return f"{_grouped(said[1])} {REVERSED[operation]} {_grouped(said[0])}"
        if operation == "neg":
            return f"-{_grouped(said[0])}"
        usual = _defaults(function)
        options = [
            f"{name}={self._said(value)}"
            for name, value in kwargs.items()
            if isinstance(value, Tensor) or name not in usual or usual[name] != value
        ]
        return f"{SHORT.get(operation, operation)}({', '.join((*said, *options))})"

    def _said(self, value: Any) -> str:
        if isinstance(value, Tensor):
            if id(value) in self._known:
                return self._known[id(value)].name
            if id(value) in self._labels:
                return self._labels[id(value)]
            return f"{value.item():.6g}" if value.ndim == 0 else f"constant[{'×'.join(map(str, value.shape))}]"
        if isinstance(value, float):
            return f"{value:.6g}"
        if isinstance(value, tuple | list):
            return f"({', '.join(map(self._said, value[:8]))}{', ...' if len(value) > 8 else ''})"
        text = "..." if value is Ellipsis else str(value)
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _in_place(operation: str, steps: list[Step]) -> str:
    return (
        f"{operation} changes a value in place ({', '.join(step.expression for step in steps[:2])}), and a graph "
        "wants each value once; write the operation that gives a new tensor, as x = x + 1 for x += 1."
    )


def _part(expression: str, place: int, parts: int) -> str:
    return f"{expression}[{place}]" if parts > 1 else expression


def _grouped(text: str) -> str:
    return f"({text})" if " " in text or text.startswith("-") else text


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    except (TypeError, ValueError):
        return {}
