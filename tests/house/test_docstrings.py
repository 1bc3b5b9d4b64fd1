"""Everything public says what it is, in one form; the examples in docstrings run."""

import ast
import doctest
import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest

from chainrule import errors
from tests.house.source import Function, Source, definitions, modules

ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
PUBLIC = [module for module in modules() if module.public]


def documented(module: Source) -> Iterator[tuple[str, str | None]]:
    """Name and docstring of all that is public in a module; a method may inherit the text of what it overrides."""
    loaded = module.load()
    yield module.name, inspect.getdoc(loaded)
    for name, value in vars(loaded).items():
        defined_here = getattr(value, "__module__", None) == module.name
        if name.startswith("_") or not defined_here or not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        yield f"{module}.{name}", inspect.getdoc(value)
        # A protocol only names what others implement and document.
        if inspect.isclass(value) and not getattr(value, "_is_protocol", False):
            yield from methods(f"{module}.{name}", value)


def methods(place: str, owner: type) -> Iterator[tuple[str, str | None]]:
    """Name and docstring of the public methods and properties that a class defines."""
    for name, value in vars(owner).items():
        if not name.startswith("_") and isinstance(value, property | classmethod | staticmethod | FunctionType):
            yield f"{place}.{name}", inspect.getdoc(getattr(owner, name))


def fault(text: str | None) -> str | None:
    """What is wrong with the first line of a docstring; one that goes on in a second line does not end there."""
    line = (text or "").split("\n")[0]
    if not line:
        return "has no docstring"
    return None if line.endswith(".") else f"does not end with a period: {line!r}"


@pytest.mark.parametrize("module", PUBLIC, ids=str)
def test_docstrings(module: Source) -> None:
    faults = {name: found for name, text in documented(module) if (found := fault(text))}
    assert faults == {}


def raised_names(function: Function) -> set[str]:
    """Names of the exceptions that a function itself raises, without the functions inside it."""
    inner = {id(node) for _, outer in definitions(function) for node in ast.walk(outer)}
    raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and id(node) not in inner]
    calls = [exception.func if isinstance(exception, ast.Call) else exception for exception in raised]
    return {call.id for call in calls if isinstance(call, ast.Name)}


def undocumented_errors(tree: ast.Module) -> list[str]:
    """Public functions with parameters that raise an error of ours and do not say so."""
    found, nodes = [], dict(definitions(tree))
    for name, node in nodes.items():
        *outer, last = name.split(".")
        building = last in ("__init__", "__post_init__")
        public = building or not any(part.startswith("_") for part in name.split("."))
        if not isinstance(node, Function) or not public or not (raised := raised_names(node) & ERRORS):
            continue
        if any(isinstance(nodes[".".join(outer[: n + 1])], Function) for n in range(len(outer))):
            continue  # a function inside a function is not public
        parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if not building and [parameter.arg for parameter in parameters] in ([], ["self"], ["cls"]):
            continue
        place = nodes[".".join(outer)] if building else node
        text = (ast.get_docstring(place) or "") + (ast.get_docstring(node) or "")
        if not any(word in text for word in ("Raises:", *raised)):
            found.append(name)
    return found


@pytest.mark.parametrize("module", PUBLIC, ids=str)
def test_errors_are_documented(module: Source) -> None:
    assert undocumented_errors(module.tree) == []


def test_undocumented_errors() -> None:
    code = '''
def bad(x):
    """Text."""
    raise InputError("no")

def good(x):
    """Text.

    Raises:
        InputError: Always.
    """
    raise InputError("no")

def check(x):
    """Raise an ``InputError``."""
    raise InputError("no")

def _private(x):
    raise InputError("no")

def outer(x):
    def inner(y):
        raise InputError("no")

class Thing:
    """Text."""

    def __init__(self, x):
        raise InputError("no")

    @property
    def value(self):
        raise InputError("no")
'''
    assert undocumented_errors(ast.parse(code)) == ["bad", "Thing.__init__"]


@pytest.mark.parametrize("text", [None, "", "No period", "Goes on\nin a second line."])
def test_fault(text: str | None) -> None:
    assert fault(text)
    assert fault("One sentence.\n\nMore") is None


@pytest.mark.parametrize("module", [module for module in modules() if ">>> " in module.text], ids=str)
def test_examples_in_docstrings(module: Source) -> None:
    loaded: Any = module.load()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in doctest.DocTestFinder(exclude_empty=True).find(loaded, module.name):
        runner.run(example)
    assert runner.tries > 0
    assert runner.failures == 0
