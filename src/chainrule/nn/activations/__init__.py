"""Activations: those that torch lacks, and all of them by name.

The pure functions stand beside the modules, in the files of this package.
"""

from collections.abc import Callable

from torch import nn

from chainrule import registry
from chainrule.errors import InputError, UnknownNameError
from chainrule.nn.activations.aplu import APLU
from chainrule.nn.activations.combined import Average, Symmetric
from chainrule.nn.activations.hats import FlexibleMeLU, GaLU, MeLU
from chainrule.nn.activations.maxout import Maxout
from chainrule.nn.activations.smooth import PDELU, SRS, LearnableMish, LearnableSwish, SoftLearnable
from chainrule.nn.activations.srelu import SReLU

__all__ = [
    "APLU",
    "PDELU",
    "SRS",
    "TORCH",
    "Average",
    "FlexibleMeLU",
    "GaLU",
    "LearnableMish",
    "LearnableSwish",
    "Maxout",
    "MeLU",
    "SReLU",
    "SoftLearnable",
    "Symmetric",
    "activation",
]

# Attention stands among torch's activations, but is none.
TORCH: dict[str, type[nn.Module]] = {
    name.lower(): getattr(nn, name) for name in nn.modules.activation.__all__ if name != "MultiheadAttention"
} | {"identity": nn.Identity}


def activation(call: str, *, channels: int = 1) -> nn.Module:
    """An activation by its name in any case, with options: ``"silu"``, ``"LeakyReLU(negative_slope=0.1)"``, ``"melu"``.

    torch's come first; dashes and underscores in a name do not matter.

    Args:
        call: The name, or the name with options.
        channels: Size of axis 1 of the inputs, for those with learned numbers a channel; 1 lets all channels share
            them. The others do not use it.

    Raises:
        UnknownNameError: When there is no such activation; the sentence names the nearest.
        InputError: When it does not know an option, or refuses its value.
    """
    asked = registry.parse(call)
    if not isinstance(channels, int) or channels < 1:
        raise InputError(f"{asked.name} wants channels as a whole number from 1 up; received {channels!r}.")
    ours = {_plain(name): entry.build for name, entry in registry.entries("activation").items()}
    name = _plain(asked.name)
    if name in TORCH:
        build: Callable[..., nn.Module] = TORCH[name]
        fixed = {"num_parameters": channels} if build is nn.PReLU else {}
    elif name in ours:
        build, fixed = ours[name], {"channels": channels}
    else:
        raise UnknownNameError("activation", asked.name, [*TORCH, *registry.entries("activation")])
    built: nn.Module = registry.call(build, asked.options, asked.name, **fixed)
    return built


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
