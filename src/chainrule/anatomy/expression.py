"""Formulas as text, ``"y - relu(w*x + b)"``: read by an allow-list, never run as Python.

Python's parser gives the tree. What is not on the list (numbers, names, ``+ - * / ** @``, parentheses, calls of
:data:`FUNCTIONS`) is refused with its place. Length and depth are limited before anything could become slow, and so is
the size of a result.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from chainrule.errors import InputError, choices, nearest

LONGEST, DEEPEST, MOST = 4000, 100, 500  # characters, operations inside one another, operations
LARGEST = 1_000_000  # numbers in a value
HIGHEST = 1000.0  # exponent that is written as a number

INFIX: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}
WORDS: dict[type[ast.AST], str] = {
    ast.Attribute: "an attribute",
    ast.Subscript: "a subscript",
    ast.Compare: "a comparison",
    ast.BoolOp: "and/or",
    ast.IfExp: "if/else",
    ast.Lambda: "a lambda",
    ast.NamedExpr: "an assignment",
    ast.List: "a list (give it as the value of a name)",
    ast.Tuple: "a tuple",
    ast.Set: "a set",
    ast.Dict: "a dictionary",
    ast.Starred: "a star",
    ast.JoinedStr: "an f-string",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.UnaryOp: "a unary operator other than -",
    ast.BinOp: "an operator other than + - * / ** @",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
}


def _largest(*values: Tensor) -> Tensor:
    return reduce(torch.maximum, values) if len(values) > 1 else torch.amax(values[0])


def _least(*values: Tensor) -> Tensor:
    return reduce(torch.minimum, values) if len(values) > 1 else torch.amin(values[0])


def _softmax(value: Tensor) -> Tensor:
    return torch.softmax(value, -1)


def _transpose(value: Tensor) -> Tensor:
    return value.mT if value.ndim > 1 else value


#: Name: the function, and the least and the largest number of its arguments.
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    **{
        name: (getattr(torch, name), 1, 1)
        for name in (
            *("abs", "exp", "expm1", "log", "log10", "log1p", "log2", "sqrt", "square"),
            *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
            *("relu", "sigmoid", "sum", "mean"),
        )
    },
    "max": (_largest, 1, 16),
    "min": (_least, 1, 16),
    "softplus": (torch.nn.functional.softplus, 1, 1),
    "softmax": (_softmax, 1, 1),
    "norm": (torch.linalg.vector_norm, 1, 1),
    "dot": (torch.dot, 2, 2),
    "transpose": (_transpose, 1, 1),
}


@dataclass(frozen=True)
class Result:
    """The result of an earlier step."""

    step: int


@dataclass(frozen=True)
class Operation:
    """One step of a formula: what is applied to what, and where it stands."""

    apply: Callable[..., Any]
    operands: tuple[float | str | Result, ...]
    text: str


@dataclass(frozen=True)
class Expression:
    """A formula that was read: a list of operations, each on numbers, names and earlier results.

    Args:
        text: The formula.
        names: Its names, in the order in which they are first needed.
        operations: The steps; empty when the formula is just a name.
    """

    text: str
    names: tuple[str, ...]
    operations: tuple[Operation, ...]

    def __call__(self, **values: Tensor) -> Tensor:
        """The value of the formula.

        Raises:
            InputError: When the shapes do not fit, or a result would be too large.
        """
        results: list[Tensor] = []
        for operation in self.operations:
            given = [
                results[operand.step] if isinstance(operand, Result) else values.get(operand, operand)  # type: ignore[arg-type]
                for operand in operation.operands
            ]
            results.append(_applied(operation, given))
        return results[-1] if results else values[self.names[0]]

    def check(self, values: Mapping[str, Tensor]) -> None:
        """See that each name has a value, and each value a name.

        Raises:
            InputError: When a name has no value, or a value is not used.
        """
        if missing := [name for name in self.names if name not in values]:
            raise InputError(f"{missing[0]!r} has no value; give it one, as {missing[0]}=2.")
        if unused := [name for name in values if name not in self.names]:
            raise InputError(f"{unused[0]!r} does not occur in {clipped(self.text)}; leave it away.")


def clipped(text: str) -> str:
    """A text as it is quoted in a sentence."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def parse(text: str) -> Expression:
    """Read a formula.

    Args:
        text: The formula in Python's notation.

    Raises:
        InputError: For what is no formula; the sentence says what is wrong, and where.
    """
    if len(text) > LONGEST:
        raise InputError(f"The formula has {len(text):,} characters; at most {LONGEST:,} can be read.")
    if not text.strip():
        raise InputError("The formula is empty; write one, as in 'y - relu(w*x + b)'.")
    if "#" in text:
        raise InputError(f"{clipped(text)} cannot be read at character {text.index('#') + 1}: '#' has no meaning here.")
    line = " ".join(text.split())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(line, mode="eval").body
    except SyntaxError as error:
        place = f"at character {error.offset}" if 0 < (error.offset or 0) <= len(line) else "at its end"
        raise InputError(f"{clipped(line)} cannot be read {place}: {str(error.msg).rstrip('.')}.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        what = "it has characters that are no text" if isinstance(error, ValueError) else "it is nested too deep"
        raise InputError(f"{clipped(line)} cannot be read: {what}.") from None
    return _Reader(line).read(tree)


class _Reader:
    """Turns a tree into operations; whatever it does not know is refused."""

    def __init__(self, text: str) -> None:
        self.text, self.bytes = text, text.encode()
        self.names: dict[str, None] = {}
        self.operations: list[Operation] = []

    def read(self, tree: ast.expr) -> Expression:
        result = self.visit(tree, 1)
        if isinstance(result, str):
            self.names[result] = None
        if not isinstance(result, str | Result):
            raise InputError(f"{clipped(self.text)} has no name in it, so there is nothing to derive by.")
        return Expression(self.text, tuple(self.names), tuple(self.operations))

    def visit(self, node: ast.expr, depth: int) -> float | str | Result:
        if depth > DEEPEST:
            raise self.error(node, f"is nested too deep: at most {DEEPEST} operations can be inside one another")
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return self.number(node, lambda: node.value)  # type: ignore[arg-type, return-value]
        if isinstance(node, ast.Constant):
            kind = {str: "a text", bytes: "a text", complex: "an imaginary number"}.get(type(node.value), "no number")
            raise self.error(node, f"is {kind}, which a formula cannot have")
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return self.apply(node, operator.neg, [self.visit(node.operand, depth + 1)])
        if isinstance(node, ast.BinOp) and type(node.op) in INFIX:
            operands = [self.visit(node.left, depth + 1), self.visit(node.right, depth + 1)]
            if isinstance(node.op, ast.Pow) and isinstance(operands[1], float) and abs(operands[1]) > HIGHEST:
                raise self.error(node, f"has an exponent beyond {HIGHEST:g}")
            return self.apply(node, INFIX[type(node.op)], operands)
        if isinstance(node, ast.Call):
            return self.call(node, depth)
        raise self.error(node, f"is {WORDS.get(type(node), 'something')}, which a formula cannot have")

    def name(self, node: ast.Name) -> str:
        if node.id.startswith("__"):
            raise self.error(node, "is no name for a value: it begins with two underscores")
        if node.id in FUNCTIONS:
            raise self.error(node, f"is a function and wants its argument, as in {node.id}(x)")
        return node.id

    def call(self, node: ast.Call, depth: int) -> float | str | Result:
        called = node.func
        if not isinstance(called, ast.Name):
            raise self.error(called, "is called, but only functions by name can be")
        if called.id not in FUNCTIONS:
            near = nearest(called.id, FUNCTIONS)
            hint = f"did you mean {near}?" if near else f"there are {choices(sorted(FUNCTIONS), most=40)}"
            raise self.error(called, f"is no function that is known; {hint}")
        function, least, most = FUNCTIONS[called.id]
        if node.keywords:
            raise self.error(node, "has an argument by name; give all by place")
        if not least <= len(node.args) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise self.error(node, f"has {len(node.args)} arguments, but {called.id} wants {wanted}")
        return self.apply(node, function, [self.visit(argument, depth + 1) for argument in node.args])

    def apply(
        self, node: ast.expr, function: Callable[..., Any], operands: list[float | str | Result]
    ) -> float | str | Result:
        numbers = [operand for operand in operands if isinstance(operand, float)]
        if len(numbers) == len(operands):
            return self.number(node, lambda: function(*(torch.tensor(n, dtype=torch.float64) for n in numbers)).item())
        if len(self.operations) == MOST:
            raise InputError(f"{clipped(self.text)} has more than {MOST} operations.")
        for operand in operands:
            if isinstance(operand, str):
                self.names.setdefault(operand)
        self.operations.append(Operation(function, tuple(operands), self.said(node)))
        return Result(len(self.operations) - 1)

    def number(self, node: ast.expr, compute: Callable[[], float]) -> float:
        """A number, or the value of an operation on numbers alone."""
        try:
            value = float(compute())
        except (OverflowError, RuntimeError, IndexError):
            value = float("nan")
        if value - value != 0:
            raise self.error(node, "is no finite number")
        return value

    def said(self, node: ast.expr) -> str:
        return self.bytes[node.col_offset : node.end_col_offset].decode()

    def error(self, node: ast.expr, problem: str) -> InputError:
        place = len(self.bytes[: node.col_offset].decode()) + 1
        return InputError(f"{clipped(self.said(node))} at character {place} {problem}{'.' * (problem[-1] != '?')}")


def _applied(operation: Operation, given: list[Any]) -> Tensor:
    """The result of one operation; numbers become tensors of the kind of the others."""
    like = next(value for value in given if isinstance(value, Tensor))
    values = [torch.full((), v, dtype=like.dtype, device=like.device) if isinstance(v, float) else v for v in given]
    if (size := _bound(operation.apply, [tuple(value.shape) for value in values])) > LARGEST:
        raise InputError(f"{clipped(operation.text)} would have {size:,} numbers; at most are {LARGEST:,}.")
    try:
        return operation.apply(*values)
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        shapes = " and ".join(f"{list(value.shape)}" for value in values)
        reason = str(error).split("\n")[0].rstrip(".")
        raise InputError(f"{clipped(operation.text)} does not go with shapes {shapes}: {reason}.") from error


def _bound(apply: Callable[..., Any], shapes: list[tuple[int, ...]]) -> int:
    """At most how many numbers a result has."""
    if apply is operator.matmul and all(shapes):
        inner = max(shapes[0][-1], 1)
        return math.prod(shapes[0]) // inner * (math.prod(shapes[1]) // inner)
    return math.prod(max(sizes) for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1))
