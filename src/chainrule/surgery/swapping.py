"""Replace every layer of a type by another, or by one drawn from a pool.

The pool is the stochastic selection of Nanni, Lumini, Ghidoni and Maguolo 2020, Stochastic selection of activation
layers for convolutional neural networks: a member of an ensemble is a network whose activations were drawn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from chainrule import registry
from chainrule.errors import InputError
from chainrule.nn.activations import TORCH, activation
from chainrule.seeding import preserved, seed_all
from chainrule.shapes import Shaped, Tensor
from chainrule.surgery.tree import home, places, put
from chainrule.surgery.widths import widths

# A name in call notation, a class, or a function that makes a module.
Replacement = str | Callable[..., nn.Module]


def swap(
    model: nn.Module,
    layers: Mapping[type[nn.Module], Replacement | Sequence[Replacement]],
    *,
    sample: Tensor | Sequence[int] | None = None,
    seed: int | None = None,
) -> nn.Module:
    """Replace every layer of certain types: ``swap(model, {nn.ReLU: MeLU}, sample=(3, 224, 224))``.

    A layer that is called at several widths, as the one ReLU of a block of torchvision's ResNet, gets a replacement
    for each (:class:`ByWidth`), if the replacement needs the width. Called several times at one width, it gets one.

    Args:
        model: Any model.
        layers: What takes the place of which type. The type must be exactly that: a subclass is another layer (torch's
            ReLU6 is a Hardtanh). The replacement is an activation by name (``"melu(k=8)"``), a class, or a function
            that makes a module; several of them in a list are a pool, from which each place draws at random. One that
            has an argument ``channels`` is told the size of axis 1 of what comes in; ``"melu(channels=1)"`` and
            ``lambda: MeLU(1)`` are not, and share one set of numbers.
        sample: A batch, or the shape of one sample, ``(c, h, w)``; needed where a replacement needs the channels. It
            goes through the model once in evaluation mode, and again in training mode if that missed a place.
        seed: Seed of the pool's draws and of random weights; None draws them from torch's generator, as torch does.

    Returns:
        The model, or what replaced it if it is itself such a layer.

    Raises:
        InputError: When there is nothing to swap, a replacement is none, or the channels cannot be found.
    """
    pools = {kind: _pool(kind, value) for kind, value in layers.items()}
    found = list(places(model, tuple(pools)))
    if not found:
        wanted = ", ".join(map(_said, pools))
        there = sorted({_said(type(module)) for module in model.modules() if not list(module.children())})
        raise InputError(
            f"{type(model).__name__} has no layer of type {wanted} to swap, only {', '.join(there)}; a function that "
            "its forward calls, such as F.relu, is no layer."
        )
    counted = {name: old for name, old in found if any(part.counts for part in pools[type(old)])}
    seen = widths(model, counted, sample) if counted else {}
    with _drawing(seed):
        # All draws come first, so that they do not depend on what the weights of the drawn ones need.
        drawn = {old: {width: _draw(pools[type(old)]) for width in seen.get(name, [1])} for name, old in found}
        built = {old: {width: part.make(width) for width, part in parts.items()} for old, parts in drawn.items()}
    new = {old: ByWidth(made) if len(made) > 1 else next(iter(made.values())) for old, made in built.items()}
    return put(model, {old: _like(old, model, made) for old, made in new.items()})


class ByWidth(nn.Module):
    """One layer for each width of the input, in the place of one that is called at several.

    Args:
        layers: The layer for each size of axis 1.
    """

    def __init__(self, layers: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({str(width): layer for width, layer in sorted(layers.items())})

    def forward(self, x: Shaped[Tensor, "b c *rest"]) -> Tensor:
        """Call the layer of that width.

        Raises:
            InputError: When there is none.
        """
        width = str(int(x.shape[1]))
        if width not in self.layers:
            raise InputError(f"This layer was made for {', '.join(self.layers)} channels; the input has {width}.")
        output: Tensor = self.layers[width](x)
        return output


@dataclass(frozen=True)
class _Part:
    """One replacement: how it is made, and whether it is told the channels."""

    name: str
    build: Callable[..., Any]
    counts: bool

    def make(self, channels: int) -> nn.Module:
        built = registry.call(self.build, {}, self.name, **({"channels": channels} if self.counts else {}))
        if not isinstance(built, nn.Module):
            raise InputError(f"{self.name} should make a module to put in; it made {built!r}.")
        return built


def _said(kind: type[nn.Module]) -> str:
    """``GELU`` of torch, ``timm.layers.activations.GELU`` of somebody else."""
    return kind.__name__ if getattr(nn, kind.__name__, None) is kind else f"{kind.__module__}.{kind.__qualname__}"


def _pool(kind: type[nn.Module], value: Replacement | Sequence[Replacement]) -> list[_Part]:
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise InputError(f"swap wants types of layers to replace, such as nn.ReLU; received {kind!r}.")
    pool = value if isinstance(value, list | tuple) else [value]
    if not pool:
        raise InputError(f"The pool for {kind.__name__} is empty; write at least one replacement.")
    return [_part(one) for one in pool]


def _part(value: Any) -> _Part:
    if isinstance(value, str):
        with preserved(), torch.device("meta"):
            activation(value)  # raises where there is no such activation
        asked = registry.parse(value)
        borrowed = TORCH.get(asked.name.lower().replace("-", "").replace("_", ""))
        counts = borrowed in (None, nn.PReLU) and not asked.options.keys() & {"channels", "num_parameters"}
        return _Part(value, partial(activation, value), counts)
    if isinstance(value, nn.Module) or not callable(value):
        raise InputError(
            f"swap wants replacements by name ('melu(k=8)'), as a class, or as a function that makes a module, so that "
            f"each place gets its own; received {value!r}."
        )
    fixed = value.keywords if isinstance(value, partial) else {}
    name = getattr(value, "__name__", type(value).__name__)
    return _Part(name, value, "channels" in registry.keywords(value) and "channels" not in fixed)


def _draw(pool: Sequence[_Part]) -> _Part:
    return pool[int(torch.randint(len(pool), (), device="cpu"))] if len(pool) > 1 else pool[0]


@contextmanager
def _drawing(seed: int | None) -> Iterator[None]:
    """Draw from a seed, and leave the global generators alone; with None draw from them."""
    if seed is None:
        yield
        return
    with preserved():
        seed_all(seed)
        yield


def _like(old: nn.Module, model: nn.Module, new: nn.Module) -> nn.Module:
    device, dtype = home(old, model)
    return new.to(device=device, dtype=dtype).train(old.training)
