"""The type checker behind the import hook of ``conftest.py``: it checks the shapes, and only them.

mypy checks the plain annotations before anything runs. At run time they stay unchecked: the tests pass wrong values on
purpose to read the error that a user would see, and beartype draws from ``random`` when it looks into a container,
which would disturb the tests of reproducibility.
"""

import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin

from beartype import beartype
from jaxtyping import AbstractArray


def shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let beartype check those parameters and results whose annotation says a shape."""
    wanted = {name: hint for name, hint in function.__annotations__.items() if says_shape(hint)}
    if not wanted:
        return function
    function.__annotations__ = wanted
    return beartype(function)


def says_shape(hint: Any) -> bool:
    """Whether an annotation is a jaxtyping array, or a union or a tuple of fixed length that has one."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    fixed = get_origin(hint) in (Union, types.UnionType, tuple) and Ellipsis not in get_args(hint)
    return fixed and any(says_shape(part) for part in get_args(hint))
