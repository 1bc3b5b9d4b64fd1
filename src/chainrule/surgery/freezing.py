"""Fix the first part of a model."""

from itertools import chain, takewhile
from types import MethodType
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from chainrule.nn.frozen import FrozenBatchNorm
from chainrule.surgery.heads import head_of
from chainrule.surgery.tree import find, put

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def freeze(model: nn.Module, *, until: str | None = None) -> nn.Module:
    """Fix all that is registered before a layer: weights get no gradient, running statistics do not move.

    Batch normalization becomes :class:`chainrule.nn.FrozenBatchNorm`; other normalization with running statistics
    (instance normalization, subclasses) stays in evaluation mode. Auxiliary classifiers before the layer are fixed
    with the rest; all below them is, too, so that their loss moves nothing.

    Args:
        model: Any model.
        until: Dotted name of the first layer that is trained; default the head (:func:`head_of`).

    Raises:
        InputError: When there is no such layer; the sentence names the nearest.
    """
    first = find(model, head_of(model) if until is None else until)
    before = list(takewhile(lambda module: module is not first, model.modules()))
    norms: list[Any] = [
        module for module in before if isinstance(module, _NormBase) and module.running_mean is not None
    ]
    new: dict[nn.Module, nn.Module] = {norm: FrozenBatchNorm.of(norm) for norm in norms if type(norm) in BATCH_NORMS}
    for parameter in chain.from_iterable(module.parameters(recurse=False) for module in before):
        parameter.requires_grad_(False)
    for norm in norms:
        if norm not in new:
            norm.training = False
            object.__setattr__(norm, "train", MethodType(_train_below, norm))
    return put(model, new)


def _train_below(module: nn.Module, mode: bool = True) -> nn.Module:
    """``train`` of a layer that stays in evaluation mode itself."""
    for child in module.children():
        child.train(mode)
    return module
