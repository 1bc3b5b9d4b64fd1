"""ZFNet (Zeiler and Fergus 2014, Visualizing and understanding convolutional networks).

AlexNet with a finer start, because the visualised filters of the first layer missed the middle frequencies and those
of the second showed aliasing::

    conv 96@7x7 s2 - pool - norm - conv 256@5x5 s2 - pool - norm
    - conv 384@3x3 - conv 384@3x3 - conv 256@3x3 - pool - fc 4096 - fc 4096 - fc k

with ReLU after each layer but the last, 3x3 max pooling of stride 2 whose last window may stand over the border, and
dropout on both hidden fully connected layers. An image of 224 pixels has maps of 110, 55, 26, 13, 13, 13, 13 and 6;
62,357,608 parameters.
Differs from the paper: He's initialization instead of deviation 0.01; first-layer filters are not rescaled while
training (``chainrule.nn.max_norm_`` does that); the normalization has AlexNet's numbers, as the paper gives none.
"""

from collections.abc import Sequence

import torch
from torch import nn

from chainrule.models.vision.alexnet import hidden_layers, response_norm
from chainrule.models.vision.arithmetic import output_shape, pair, sized_arguments
from chainrule.nn import init
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def pool() -> nn.MaxPool2d:
    """Max pooling that also covers an incomplete last window: 110 pixels become 55, and 26 become 13."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


@register(
    "model",
    "zfnet",
    family="vision",
    paper="Zeiler, Fergus 2014, Visualizing and understanding convolutional networks",
    year=2014,
    inputs=("image",),
    targets=("classes", "labels", "real"),
    arguments=sized_arguments,
    shape=(3, 224, 224),
    parameters=62_357_608,
    smallest=47,
    tiny={"channels": 1, "classes": 3, "size": 47, "widths": (8, 8, 8, 8, 8), "hidden": 16, "dropout": 0.0},
    sample=(2, 1, 47, 47),
)
class ZFNet(nn.Module):
    """ZFNet.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        size: Height and width of the image in pixels, or one number for both; at least 47.
        widths: Channels of the five convolutions.
        hidden: Units of both hidden fully connected layers.
        dropout: Share of hidden units dropped while training.

    Raises:
        InputError: When the image is so small that a map vanishes.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        size: int | tuple[int, int] = 224,
        *,
        widths: Sequence[int] = (96, 256, 384, 384, 256),
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = widths
        self.features = nn.Sequential(
            nn.Conv2d(channels, w1, kernel_size=7, stride=2, padding=1),
            nn.ReLU(inplace=True),
            pool(),
            response_norm(),
            nn.Conv2d(w1, w2, kernel_size=5, stride=2),
            nn.ReLU(inplace=True),
            pool(),
            response_norm(),
            nn.Conv2d(w2, w3, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w3, w4, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w4, w5, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            pool(),
        )
        maps, height, width = output_shape(self.features, (channels, *pair(size)), what="ZFNet")
        self.classifier = hidden_layers(maps * height * width, hidden, classes, dropout)
        init.apply(self, "kaiming")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.classifier(torch.flatten(self.features(x), 1))
