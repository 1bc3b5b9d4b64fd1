"""The tree of a model's layers: find one, find all of certain types, put others in."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch import nn

from chainrule.errors import UnknownNameError


def find(model: nn.Module, name: str) -> Any:
    """The layer of that name.

    Raises:
        UnknownNameError: When there is none; the sentence names the nearest.
    """
    layers = dict(model.named_modules(remove_duplicate=False))
    if name not in layers:
        raise UnknownNameError("layer", name, filter(None, layers))
    return layers[name]


def places(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[tuple[str, nn.Module]]:
    """Each layer of these types once, with its name; not those inside a layer that is replaced itself."""
    inside = ""
    for name, part in module.named_modules():
        if inside and name.startswith(inside):
            continue
        if type(part) in kinds:
            yield name, part
            if not name:
                return
            inside = f"{name}."


def put(model: nn.Module, new: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Put new modules in the places of old ones, under all their names."""
    spots = [
        (parent, name, new[child])
        for parent in model.modules()
        for name, child in parent._modules.items()
        if child is not None and child in new
    ]
    for parent, name, module in spots:
        setattr(parent, name, module)
    return new.get(model, model)


def home(*models: nn.Module) -> tuple[torch.device | None, torch.dtype | None]:
    """Device and dtype of the first number with a point."""
    tensors = chain.from_iterable(chain(model.parameters(), model.buffers()) for model in models)
    return next(((t.device, t.dtype) for t in tensors if t.is_floating_point()), (None, None))
