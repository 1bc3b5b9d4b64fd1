"""Xception (Chollet 2017, Xception: Deep learning with depthwise separable convolutions).

36 convolutional layers, all but the first two separable, each followed by batch normalization: an entry flow that
halves the map four times (32, 64, 128, 256, 728 channels), a middle flow of eight blocks of three (728), an exit flow
(728, 1024, 1536, 2048), average pooling, dropout and a linear layer. A block is ``y = F(x) + P x``, where ``F`` repeats
``relu - separable conv - bn`` and ``P`` is the identity or a 1x1 convolution with stride 2. A separable convolution
filters each channel by itself, then mixes them by 1x1, without an activation between: ``9 c + c m`` parameters from
``c`` to ``m`` channels instead of ``9 c m``. 22,855,952 parameters for images of 299x299 and a thousand classes.
Differs from the paper: nothing; it does not name an initialization, here it is He's.
"""

from itertools import pairwise

import torch
from torch import nn

from chainrule.models.vision.arithmetic import image_arguments
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


class SeparableConv2d(nn.Module):
    """A convolution of each channel by itself, then a 1x1 convolution over all; without biases.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Kernel of the first; odd, and padded by half of it, so that the map keeps its size.
    """

    def __init__(self, channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=False
        )
        self.pointwise = nn.Conv2d(channels, out_channels, kernel_size=1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        return self.pointwise(self.depthwise(x))


def separables(*widths: int) -> list[nn.Module]:
    """ReLU, separable convolution and batch normalization, from each number of channels to the next."""
    layers: list[nn.Module] = []
    for channels, out_channels in pairwise(widths):
        layers += [nn.ReLU(inplace=True), SeparableConv2d(channels, out_channels), nn.BatchNorm2d(out_channels)]
    # The shortcut beside them reads the map that the first would overwrite.
    layers[0] = nn.ReLU()
    return layers


class Residual(nn.Module):
    """Layers beside the identity.

    Args:
        layers: Layers that keep the size.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        y = self.layers(x)
        y += x
        return y


class Halving(nn.Module):
    """Layers and a max pooling beside a 1x1 convolution with stride 2.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        layers: Layers from the ones to the others that keep the height and width.
    """

    def __init__(self, channels: int, out_channels: int, *layers: nn.Module) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels, out_channels, kernel_size=1, stride=2, bias=False), nn.BatchNorm2d(out_channels)
        )
        self.layers = nn.Sequential(*layers, nn.MaxPool2d(kernel_size=3, stride=2, padding=1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = self.layers(x)
        y += self.shortcut(x)
        return y


@register(
    "model",
    "xception",
    family="vision",
    paper="Chollet 2017, Xception: Deep learning with depthwise separable convolutions",
    year=2017,
    inputs=("image",),
    targets=("classes", "labels", "real"),
    arguments=image_arguments,
    shape=(3, 299, 299),
    parameters=22_855_952,
    smallest=32,
    tiny={"channels": 1, "classes": 3, "middle": 1, "width": 2, "dropout": 0.0},
    sample=(2, 1, 32, 32),
)
class Xception(nn.Module):
    """Xception: Inception taken to the extreme, a network of separable convolutions.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        middle: Blocks of the middle flow.
        width: Channels of the first convolution; all others are in the paper's proportion to it.
        dropout: Dropped share of what the linear layer gets.
    """

    def __init__(
        self, channels: int = 3, classes: int = 1000, *, middle: int = 8, width: int = 32, dropout: float = 0.5
    ) -> None:
        super().__init__()
        c64, c128, c256, c728, c1024, c1536, c2048 = (
            papers * width // 32 for papers in (64, 128, 256, 728, 1024, 1536, 2048)
        )
        self.conv1 = nn.Conv2d(channels, width, kernel_size=3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, c64, kernel_size=3, bias=False)
        self.bn2 = nn.BatchNorm2d(c64)
        self.relu2 = nn.ReLU(inplace=True)
        self.entry = nn.Sequential(
            Halving(c64, c128, *separables(c64, c128, c128)[1:]),  # what comes in has just been through a ReLU
            Halving(c128, c256, *separables(c128, c256, c256)),
            Halving(c256, c728, *separables(c256, c728, c728)),
        )
        self.middle = nn.Sequential(*(Residual(*separables(c728, c728, c728, c728)) for _ in range(middle)))
        self.exit = Halving(c728, c1024, *separables(c728, c728, c1024))
        self.conv3 = SeparableConv2d(c1024, c1536)
        self.bn3 = nn.BatchNorm2d(c1536)
        self.relu3 = nn.ReLU(inplace=True)
        self.conv4 = SeparableConv2d(c1536, c2048)
        self.bn4 = nn.BatchNorm2d(c2048)
        self.relu4 = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(c2048, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = self.relu1(self.bn1(self.conv1(x)))  # b 32 h/2 w/2
        x = self.relu2(self.bn2(self.conv2(x)))  # b 64 h/2 w/2
        x = self.exit(self.middle(self.entry(x)))  # b 1024 h/32 w/32
        x = self.relu3(self.bn3(self.conv3(x)))  # b 1536 h/32 w/32
        x = self.relu4(self.bn4(self.conv4(x)))  # b 2048 h/32 w/32
        return self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))
