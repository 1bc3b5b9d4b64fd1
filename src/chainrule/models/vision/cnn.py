"""A plain convolutional network, as lectures draw it.

LeCun, Boser, Denker, Henderson, Howard, Hubbard and Jackel 1989, Backpropagation applied to handwritten zip code
recognition: shared weights and local fields first, full connections last. Here it is the form that has settled since:
stages of ``(conv 3x3 - norm - activation) x n - max pool``, then ``flatten - fc - norm - activation - dropout - fc``.
With the defaults, three stages of 32, 64 and 128 channels and 256 hidden units, it has 814,826 parameters at 32 pixels
and ten classes.
Differs from the paper: small kernels, max pooling, batch normalization, ReLU and dropout, none of which the paper has,
and He's initialization.
"""

from collections.abc import Sequence

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import output_shape, pair, sized_arguments
from chainrule.nn import activation as build_activation
from chainrule.nn import init
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "model",
    "cnn",
    family="vision",
    paper=(
        "LeCun, Boser, Denker, Henderson, Howard, Hubbard, Jackel 1989, "
        "Backpropagation applied to handwritten zip code recognition"
    ),
    year=1989,
    inputs=("image",),
    targets=("classes", "labels", "real"),
    arguments=sized_arguments,
    shape=(3, 32, 32),
    parameters=814_826,
    smallest=8,
    tiny={"channels": 1, "classes": 3, "size": 8, "widths": (8, 16), "convolutions": 1, "hidden": 16, "dropout": 0.1},
    sample=(2, 1, 8, 8),
)
class CNN(nn.Module):
    """Plain convolutional network: stages of 3x3 convolutions and pooling, then a hidden layer.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        size: Height and width of the image in pixels, or one number for both; each stage halves them.
        widths: Channels of each stage.
        convolutions: Convolutions in each stage.
        batch_norm: Whether batch normalization stands before each activation.
        activation: Any activation by name, of torch or ours; one for each layer.
        hidden: Units of the hidden fully connected layer.
        dropout: Share of hidden units dropped while training.

    Raises:
        InputError: When there are no stages or no convolutions, or the image is so small that a map vanishes.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 10,
        size: int | tuple[int, int] = 32,
        *,
        widths: Sequence[int] = (32, 64, 128),
        convolutions: int = 2,
        batch_norm: bool = True,
        activation: str = "relu",
        hidden: int = 256,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not widths or convolutions < 1:
            raise InputError(
                "cnn wants at least one stage and one convolution in each; received "
                f"widths={widths!r} and convolutions={convolutions!r}."
            )

        def after(layer: nn.Module, norm: type[nn.Module], width: int) -> list[nn.Module]:
            """A layer, and what follows it."""
            return [layer, *([norm(width)] if batch_norm else []), build_activation(activation, channels=width)]

        layers: list[nn.Module] = []
        before = channels
        for width in widths:
            for _ in range(convolutions):
                # Batch normalization subtracts the mean, and a bias with it.
                conv = nn.Conv2d(before, width, kernel_size=3, padding=1, bias=not batch_norm)
                layers += after(conv, nn.BatchNorm2d, width)
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        maps, height, width = output_shape(self.features, (channels, *pair(size)), what="cnn")
        self.classifier = nn.Sequential(
            *after(nn.Linear(maps * height * width, hidden, bias=not batch_norm), nn.BatchNorm1d, hidden),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )
        init.apply(self, "kaiming")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.classifier(torch.flatten(self.features(x), 1))
