"""Learning from rows that lie on several processes: what they share is a sum.

Under ``torchrun`` each process holds some of the rows. Within :func:`sharded` a ``fit`` adds up its sums over all of
them, so every process ends with the estimator that one process with all rows would have::

    with sharded():
        model = LinearRegression().fit(my_rows, my_targets)
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch.distributed as dist
from torch import Tensor

from chainrule.errors import InputError

_SHARDED: ContextVar[bool] = ContextVar("sharded", default=False)


@contextlib.contextmanager
def sharded() -> Iterator[None]:
    """Let each ``fit`` within learn from the rows of all processes together.

    Every process has to call the same estimators in the same order, each with rows of its own.

    Raises:
        InputError: When no process group of ``torch.distributed`` has been started.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise InputError(
            "sharded() needs the processes of torch.distributed; start them with torchrun, and write "
            "torch.distributed.init_process_group() first."
        )
    token = _SHARDED.set(True)
    try:
        yield
    finally:
        _SHARDED.reset(token)


def active() -> bool:
    """Whether rows lie on several processes now."""
    return _SHARDED.get()


def total(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes; outside :func:`sharded` the tensor itself."""
    if not active():
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value


def greatest(value: Tensor) -> Tensor:
    """The greatest value of each number over all processes; outside :func:`sharded` the tensor itself."""
    if not active():
        return value
    value = value.clone()
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return value


def gathered(value: Any) -> list[Any]:
    """What each process has, in the order of their ranks; outside :func:`sharded` a list of the value alone."""
    if not active():
        return [value]
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, value)
    return parts
