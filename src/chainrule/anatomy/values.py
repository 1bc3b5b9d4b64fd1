"""Values for the names of a formula or the arguments of a function: numbers, nested lists, tensors."""

import ast
import reprlib
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chainrule.errors import InputError

LARGEST = 1_000_000  # numbers in a list


def value_of(name: str, value: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    """A value as a tensor: tensors as they are, numbers and nested lists of numbers in ``dtype``.

    Raises:
        InputError: When it is neither, or not finite.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufc":
        value = torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, Tensor):
        if value.is_complex():
            raise InputError(f"{name} is complex; only real numbers can be traced.")
        return value.detach()
    flat, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list | tuple):
            waiting += part
            flat += len(part)
        elif isinstance(part, bool) or not isinstance(part, int | float) or part - part != 0:
            raise InputError(f"{name} must be a finite number, a list or a tensor; received {reprlib.repr(value)}.")
        if flat > LARGEST:
            raise InputError(f"{name} has more than {LARGEST:,} numbers.")
    try:
        tensor = torch.tensor(value, dtype=dtype)
    except (ValueError, OverflowError, RuntimeError, TypeError):
        raise InputError(f"{name} must be a number or rows of equal length; received {reprlib.repr(value)}.") from None
    if not tensor.numel():
        raise InputError(f"{name} is an empty list; give it numbers.")
    return tensor


def literal(name: str, text: str) -> Any:
    """A value as it is written on the command line, ``2.5`` or ``[[1, 2], [3, 4]]``; only a literal can be.

    Raises:
        InputError: When it is none.
    """
    try:
        if not set(text) <= set("0123456789eE+-.,_[]() \t"):
            raise ValueError
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise InputError(f"{name} must be a number or a list as [1, 2]; received {reprlib.repr(text)}.") from None


def normalized(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names that Python's parser would give them (``ﬁ`` is ``fi``)."""
    return {unicodedata.normalize("NFKC", name): value for name, value in values.items()}
