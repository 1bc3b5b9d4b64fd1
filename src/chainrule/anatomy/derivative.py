"""Gradients, Jacobians and Hessians of any function of tensors, in one of the two layouts of matrix calculus.

``torch.func`` differentiates; what is added is where each number stands. With scalar ``y``, vectors of ``m`` and ``n``
numbers, and matrices of ``m x n`` and ``p x q``, in numerator layout ``dy_i / dx_j`` stands at ``[i, j]``; denominator
layout is its transpose, so that a gradient has the shape of what it moves. See the table at :func:`derivative`.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import hessian, jacfwd, jacrev

from chainrule.errors import InputError

LAYOUTS = ("numerator", "denominator")
NOUNS = ("scalar", "vector", "matrix")


def derivative(
    function: Callable[..., Tensor], *arguments: Any, order: int = 1, wrt: int = 0, layout: str = "denominator"
) -> Tensor:
    """The derivative of a function of tensors by one of its arguments.

    ==============  =============  =============  ===============
    order 1                        numerator      denominator
    ==============  =============  =============  ===============
    scalar          by scalar      ``()``         ``()``
    scalar          by ``n``       ``1 x n``      ``n``
    scalar          by ``p x q``   ``q x p``      ``p x q``
    vector of m     by scalar      ``m x 1``      ``1 x m``
    vector of m     by ``n``       ``m x n``      ``n x m``
    ``m x n``       by scalar      ``m x n``      ``n x m``
    ==============  =============  =============  ===============

    Denominator layout gives the gradient of a scalar by an argument of any shape. Order 2 is the Hessian ``n x n`` of a
    scalar by a vector, in which the layouts agree, or the second derivative by a scalar, laid out like the first.

    Args:
        function: Takes the arguments, gives one tensor.
        *arguments: Where it is differentiated. Only the one that is differentiated by must be a tensor.
        order: 1 or 2.
        wrt: Number of the argument that is differentiated by, from 0.
        layout: ``"numerator"`` or ``"denominator"``.

    Raises:
        InputError: When the layout or the order is another one, when there is no such argument or it is not a floating
            point tensor, or when the result needs more axes than the layout defines.

    >>> A, x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 1.0])
    >>> derivative(lambda x: x @ A @ x, x)
    tensor([ 7., 13.])
    >>> derivative(lambda x: A @ x, x, layout="numerator").equal(A)
    True
    """
    if layout not in LAYOUTS:
        raise InputError(f"There is no layout {layout!r}; write layout='numerator' or layout='denominator'.")
    if order not in (1, 2):
        raise InputError(f"derivative wants order 1 or 2; received {order!r}. For more, nest torch.func.jacrev.")
    x = _argument(arguments, wrt)
    with torch.no_grad():
        y = function(*arguments)
    if not isinstance(y, Tensor) or not y.is_floating_point():
        kind = f"a tensor of {y.dtype}" if isinstance(y, Tensor) else f"{type(y).__name__}"
        raise InputError(f"The function must give one floating point tensor; it gave {kind}.")
    _check_axes(y, x, order, layout)
    # Backward mode passes once for each output, forward mode once for each input.
    first = jacfwd if x.numel() < y.numel() else jacrev
    with warnings.catch_warnings():
        # torch loads its rules of forward mode at their first use, by a way that it deprecates itself.
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=DeprecationWarning)
        found = (hessian if order == 2 else first)(function, argnums=wrt)(*arguments)
    return _laid_out(found, y.dim(), x.dim(), layout)


def _argument(arguments: tuple[Any, ...], wrt: int) -> Tensor:
    if not isinstance(wrt, int) or not 0 <= wrt < len(arguments):
        received = f"{len(arguments)} argument" + "s" * (len(arguments) != 1)
        raise InputError(f"wrt is the number of an argument, from 0; received {wrt!r} beside {received}.")
    x = arguments[wrt]
    if not isinstance(x, Tensor):
        raise InputError(f"Argument {wrt} is {type(x).__name__}; write torch.tensor(...) of floating point numbers.")
    if not x.is_floating_point():
        raise InputError(f"Argument {wrt} is of {x.dtype}, which has no derivative; write x.double() or x.float().")
    return x


def _check_axes(y: Tensor, x: Tensor, order: int, layout: str) -> None:
    """Refuse what would need more axes than two, or which two are to change places is not defined."""
    if not x.dim():
        defined = y.dim() <= 2 or layout == "numerator"
    elif order == 2:
        defined = not y.dim() and x.dim() == 1
    elif not y.dim():
        defined = x.dim() <= 2 or layout == "denominator"
    else:
        defined = y.dim() == x.dim() == 1
    if defined:
        return
    what = f"{_noun(y)} by {_noun(x)}"
    if order == 2 and y.dim():
        advice = "differentiate one output at a time, lambda x: f(x)[i]"
    elif order == 2:
        advice = f"differentiate by the vector, lambda v: f(v.reshape({tuple(x.shape)})) at x.flatten()"
    elif not y.dim() or not x.dim():
        advice = f"write layout='{LAYOUTS[layout == 'numerator']}'"
    else:
        advice = f"write it by vectors, lambda v: f(v.reshape({tuple(x.shape)})).flatten() at x.flatten()"
    raise InputError(f"The layout defines no derivative of order {order} of {what}; {advice}.")


def _noun(tensor: Tensor) -> str:
    return f"a {NOUNS[tensor.dim()] if tensor.dim() < 3 else 'tensor'} of shape {tuple(tensor.shape)}"


def _laid_out(found: Tensor, outputs: int, inputs: int, layout: str) -> Tensor:
    """``found`` has the axes of the output, then those of the argument, as ``torch.func`` gives them."""
    numerator = layout == "numerator"
    if not outputs and inputs:
        # A gradient in the argument's shape, or a Hessian, which is its own transpose.
        if not numerator or found.dim() > inputs:
            return found
        return found.unsqueeze(0) if inputs == 1 else found.mT
    if outputs == 1 and not inputs:
        return found.unsqueeze(1) if numerator else found.unsqueeze(0)
    return found.mT if found.dim() == 2 and not numerator else found
