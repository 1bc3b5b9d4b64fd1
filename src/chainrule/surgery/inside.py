"""What a layer inside a model gives."""

from typing import Any

from torch import nn

from chainrule.errors import InputError
from chainrule.surgery.heads import head_of
from chainrule.surgery.tree import find


def features(model: nn.Module, layer: str | None = None) -> "Features":
    """The model up to a layer, as a module that shares its weights.

    Args:
        model: Any model; it is not changed.
        layer: Dotted name of the layer whose output is wanted; default what goes into the head, ``[b, d]``.

    Raises:
        InputError: When there is no such layer; at the call, when the forward never reaches it.
    """
    return Features(model, layer)


class Features(nn.Module):
    """What a layer gives; the forward pass ends there. The first call counts if there are several.

    Args:
        model: The model; training mode, device and weights are shared with it.
        layer: Dotted name of a layer whose output is wanted; None for the input of the head.

    Raises:
        InputError: When there is no such layer; at the call, when the forward never reaches it.
    """

    def __init__(self, model: nn.Module, layer: str | None = None) -> None:
        super().__init__()
        self.model, self.layer = model, head_of(model) if layer is None else layer
        self.before = layer is None
        self.training = model.training
        find(model, self.layer)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        place = self.model.get_submodule(self.layer)
        if self.before:
            handle = place.register_forward_pre_hook(_stop_before, with_kwargs=True)
        else:
            handle = place.register_forward_hook(_stop_after)
        try:
            self.model(*inputs, **named)
        except _ReachedError as reached:
            if reached.place is place:
                return reached.value
            raise
        finally:
            handle.remove()
        raise InputError(
            f"The forward of {type(self.model).__name__} does not call {self.layer!r} "
            f"in {'training' if self.model.training else 'evaluation'} mode; take a layer that it calls."
        )


class _ReachedError(Exception):
    """Ends a forward pass."""

    def __init__(self, place: nn.Module, value: Any) -> None:
        super().__init__()
        self.place, self.value = place, value


def _stop_before(place: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    raise _ReachedError(place, [*inputs, *named.values()][0])


def _stop_after(place: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    raise _ReachedError(place, output)
