"""The weights of linear and convolutional layers, all in one layout."""

from collections.abc import Iterator

from torch import nn

from chainrule.errors import InputError
from chainrule.shapes import Float, Tensor

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


def weighted_layers(model: nn.Module) -> Iterator[tuple[nn.Module, Float[Tensor, "k d ..."]]]:
    """Every linear and convolutional layer in a model, with its weight seen as ``[outputs, inputs, ...]``.

    What is written into that view is written into the layer; write inside ``torch.no_grad()``.

    Raises:
        InputError: When the model has none, or one whose size is not known yet.
    """
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, LAYERS)]
    if not layers:
        raise InputError(f"{type(model).__name__} has no linear or convolutional layer, so it has no weights to set.")
    for name, layer in layers:
        if isinstance(layer.weight, nn.UninitializedParameter):
            raise InputError(f"The size of layer {name!r} is not known yet; run one batch through the model before.")
        yield layer, layer.weight.transpose(0, 1) if isinstance(layer, TRANSPOSED) else layer.weight
