"""The data room: ``load`` makes ``Data`` of whatever holds it, and the specs say what the inputs and the target are."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.data.dataset import Data, Rows
    from chainrule.data.loading import load
    from chainrule.data.spec import Classes, Column, Image, Labels, Real, Vector, Volume

__all__ = ["Classes", "Column", "Data", "Image", "Labels", "Real", "Rows", "Vector", "Volume", "load"]

_MODULES = {"load": "loading", "Data": "dataset", "Rows": "dataset"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that the room itself costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'spec')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
