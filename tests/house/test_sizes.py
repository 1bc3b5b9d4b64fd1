"""Files, functions and constructors stay small enough to be read."""

import ast

import pytest

from tests.house.source import Function, definitions, modules

FILE, BODY, OPTIONS = 300, 60, 10

# Exceptions, each with its reason. One that is no longer needed fails, too.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}


def body_lines(function: Function) -> int:
    """Lines of a function's body without its docstring."""
    documented = ast.get_docstring(function, clean=False) is not None
    body = function.body[1:] if documented else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def options(constructor: Function) -> int:
    """Keyword-only parameters."""
    return len(constructor.args.kwonlyargs)


def test_files_are_short() -> None:
    lengths = {str(module): len(module.text.splitlines()) for module in modules()}
    assert {name: n for name, n in lengths.items() if n > FILE and name not in LONG_FILES} == {}
    assert {name: n for name in LONG_FILES if (n := lengths.get(name, 0)) <= FILE} == {}, "no longer exceptions"


def test_functions_are_short() -> None:
    lengths = {
        f"{module}.{name}": body_lines(node)
        for module in modules()
        for name, node in definitions(module.tree)
        if isinstance(node, Function)
    }
    assert {name: n for name, n in lengths.items() if n > BODY and name not in LONG_FUNCTIONS} == {}
    assert {name: n for name in LONG_FUNCTIONS if (n := lengths.get(name, 0)) <= BODY} == {}, "no longer exceptions"


def test_constructors_have_few_options_and_swallow_none() -> None:
    constructors = {
        f"{module}.{name}": node
        for module in modules()
        for name, node in definitions(module.tree)
        if isinstance(node, Function) and node.name == "__init__"
    }
    assert {name: n for name, node in constructors.items() if (n := options(node)) > OPTIONS} == {}
    assert [name for name, node in constructors.items() if node.args.kwarg] == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("def f():\n    '''Doc.'''\n    a = 1\n\n    return a", 3),
        ("def f():\n    '''Doc.\n\n    More.\n    '''", 0),
        ("def f():\n    return g(\n        1,\n    )", 3),
    ],
)
def test_body_lines(code: str, lines: int) -> None:
    function = ast.parse(code).body[0]
    assert isinstance(function, Function)
    assert body_lines(function) == lines
