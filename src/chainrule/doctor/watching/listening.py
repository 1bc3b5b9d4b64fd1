"""Hearing of backward passes and of loaders while at least one listener is there; afterwards torch is as it was."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader


class Listener(Protocol):
    """Who wants to hear."""

    def before_backward(self, tensors: Any) -> None:
        """A backward pass of ``tensors`` begins."""

    def after_backward(self) -> None:
        """A backward pass has ended, or was broken off."""

    def started(self, length: int) -> None:
        """A loader of so many batches is gone through; 0 where that is not known."""


#: Who listens now. Several watches may be open at once, as those of the two networks of a GAN are.
_LISTENERS: list[Listener] = []
#: How many backward passes are under way; checkpointed layers start one inside another.
_DEPTH = [0]


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener of every backward pass and of every loader that is started.

    Args:
        listener: Who is told, inside the ``with`` block.
    """
    if not _LISTENERS:
        _replace()
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)
        if not _LISTENERS:
            _put_back()


def under_way() -> bool:
    """Whether a backward pass is under way."""
    return _DEPTH[0] > 0


def _replace() -> None:
    # Tensor.backward looks this function up at each call, so one replacement hears both.
    torch.autograd.backward = _backward
    DataLoader.__iter__ = _iter  # type: ignore[method-assign]


def _put_back() -> None:
    # What somebody else has put there meanwhile is left to them.
    if torch.autograd.backward is _backward:
        torch.autograd.backward = _BACKWARD
    if DataLoader.__iter__ is _iter:
        DataLoader.__iter__ = _ITER  # type: ignore[method-assign]


_BACKWARD, _ITER = torch.autograd.backward, DataLoader.__iter__


@functools.wraps(_BACKWARD)
def _backward(tensors: Any, *arguments: Any, **options: Any) -> None:
    listeners = [] if under_way() else list(_LISTENERS)
    for listener in listeners:
        listener.before_backward(tensors)
    _DEPTH[0] += 1
    try:
        _BACKWARD(tensors, *arguments, **options)
    finally:
        _DEPTH[0] -= 1
        for listener in listeners:
            listener.after_backward()


@functools.wraps(_ITER)
def _iter(loader: Any) -> Any:
    length = 0
    with suppress(TypeError, NotImplementedError):
        length = len(loader)
    for listener in list(_LISTENERS):
        listener.started(length)
    return _ITER(loader)
