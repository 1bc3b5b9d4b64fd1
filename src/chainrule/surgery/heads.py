"""The head of a model: which layer it is, and another in its place."""

from typing import Any

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.parameter import is_lazy

from chainrule.errors import InputError
from chainrule.nn import activations
from chainrule.surgery.tree import find, put


def head_of(model: nn.Module) -> str:
    """Dotted name of the head: a linear layer, and the last layer with a matrix in the order of registration.

    Activations and auxiliary classifiers (what stands under a name that begins with ``aux``) do not count.

    Raises:
        InputError: When the last layer with a matrix is not linear.
    """
    matrices = [name for name, module in model.named_modules() if _has_matrix(module) and not _auxiliary(name)]
    last = model.get_submodule(matrices[-1]) if matrices else None
    # Attention reads the weights of its last projection, but never calls it.
    if not isinstance(last, nn.Linear) or isinstance(last, NonDynamicallyQuantizableLinear):
        seen = f"; its last layer with a matrix is {matrices[-1]!r}, a {type(last).__name__}" if matrices else ""
        raise InputError(f"{type(model).__name__} has no linear layer at its end to take for its head: name one{seen}.")
    return matrices[-1]


def replace_head(model: nn.Module, classes: int, *, head: str | None = None) -> nn.Module:
    """Give the model a fresh last layer with other outputs.

    Auxiliary classifiers get one, too: their last layer of the head's kind, if it has as many outputs as the head has.

    Args:
        model: Any model.
        classes: Outputs of the new head.
        head: Dotted name of the old head, a ``Linear`` or ``Conv2d``; default :func:`head_of`.

    Raises:
        InputError: When there is no such layer, or it is of another kind.
    """
    if not isinstance(classes, int) or classes < 1:
        raise InputError(f"replace_head wants classes as a whole number from 1 up; received {classes!r}.")
    name = head_of(model) if head is None else head
    old = find(model, name)
    new = {old: _fresh(old, name, classes)}
    last: dict[str, tuple[str, Any]] = {}
    for path, module in model.named_modules():
        if not _auxiliary(name) and _auxiliary(path) and isinstance(module, type(old)):
            last[_auxiliary(path)] = (path, module)
    for path, module in last.values():
        if len(module.weight) == len(old.weight):
            new[module] = _fresh(module, path, classes)
    return put(model, new)


def _has_matrix(module: nn.Module) -> bool:
    """Whether it holds a matrix or a kernel itself; the numbers of a learned activation are none."""
    if type(module).__module__.startswith(activations.__name__):
        return False
    tensors = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return any(is_lazy(tensor) or tensor.ndim > 1 for tensor in tensors)


def _auxiliary(name: str) -> str:
    """The part of a name up to a component that begins with ``aux``, or nothing."""
    parts = name.split(".")
    ends = [end for end, part in enumerate(parts, start=1) if part.lower().startswith("aux")]
    return ".".join(parts[: ends[0]]) if ends else ""


def _fresh(old: nn.Module, name: str, classes: int) -> nn.Module:
    """A layer like the old one, but for its outputs and weights."""
    if not isinstance(old, nn.Linear | nn.Conv2d) or isinstance(old.weight, nn.UninitializedParameter):
        raise InputError(
            f"The head must be a Linear or Conv2d with weights; {name!r} is a {type(old).__name__}: "
            "write head= the dotted name of one."
        )
    options: Any = {"bias": old.bias is not None, "device": old.weight.device, "dtype": old.weight.dtype}
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, classes, **options).train(old.training)
    options |= {name: getattr(old, name) for name in ("kernel_size", "stride", "padding", "dilation", "groups")}
    return nn.Conv2d(old.in_channels, classes, padding_mode=old.padding_mode, **options).train(old.training)
