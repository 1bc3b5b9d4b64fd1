"""GoogLeNet (Szegedy et al. 2015, Going deeper with convolutions).

``conv 64@7x7/2 - pool - LRN - conv 64@1x1 - conv 192@3x3 - LRN - pool``, nine Inception modules with two more poolings
between them, average pooling, dropout, linear layer: 22 weighted layers and 6,998,552 parameters. Two heads of the same
size as a small classifier, ``average pool - conv 128@1x1 - fc 1024 - fc k`` each, branch off in the middle while the
network is trained, and their losses count 0.3 each: 13,378,280 parameters with them.
Differs from the paper: He initialization with biases of zero; the paper gives no numbers for LRN, here they are Caffe's
(five channels, alpha 1e-4, beta 0.75, k 1). The heads pool by 5x5 windows in steps of 3, which makes
4x4 of the paper's 14x14; from images of another size, the pooled map is averaged or repeated to 4x4.
The row ``googlenet-torchvision`` is the network of torchvision's weights: batch normalization instead of biases and
LRN, 3x3 kernels instead of 5x5, a 2x2 window in the last pooling, heads that pool adaptively, less dropout; 13,004,888
parameters with both heads, 6,624,904 without. It takes images as they are normalized for all other networks, where
torchvision first turns them into those of its source (``transform_input``).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from chainrule.models.vision.arithmetic import image_arguments
from chainrule.models.vision.inception import ConvNormReLU, ConvReLU, Inception, Unit
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

Part = Callable[[], nn.Module]

# Table 1 of the paper: channels of 1x1, before 3x3, 3x3, before 5x5, 5x5, after pooling.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

local_response_norm: Part = partial(nn.LocalResponseNorm, 5, alpha=1e-4, beta=0.75, k=1.0)


def strided_pool() -> nn.Module:
    """Average pooling 5x5/3, which makes 4x4 of 14x14; what it makes of other maps is brought to 4x4."""
    return nn.Sequential(nn.AvgPool2d(5, stride=3, ceil_mode=True), nn.AdaptiveAvgPool2d(4))


adaptive_pool: Part = partial(nn.AdaptiveAvgPool2d, 4)


class Head(nn.Module):
    """A classifier for a map in the middle of the network.

    Args:
        channels: Channels of the map.
        between: Channels of its 1x1 convolution.
        hidden: Outputs of its first linear layer.
        classes: Outputs, ``k``.
        unit: Class of the convolution.
        pool: Makes the pooling to 4x4.
        dropout: Dropped share of what the last layer gets.
    """

    def __init__(
        self,
        channels: int,
        between: int,
        hidden: int,
        classes: int,
        *,
        unit: Unit = ConvReLU,
        pool: Part = strided_pool,
        dropout: float = 0.7,
    ) -> None:
        super().__init__()
        self.pool = pool()
        self.conv = unit(channels, between, 1)
        self.fc1 = nn.Linear(between * 4 * 4, hidden)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = self.conv(self.pool(x))  # b 128 4 4
        x = self.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(self.dropout(x))


class GoogLeNet(nn.Module):
    """GoogLeNet, that is Inception of the first version.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        heads: Whether there are auxiliary heads, which are used in training mode only.
        unit: Class of the convolutions, ``ConvReLU`` or ``ConvNormReLU``.
        kernel_size: Kernel of the 5x5 branches.
        norm: Makes the normalization before and after the second and third convolution.
        last_pool: Window of the last max pooling.
        head_pool: Makes the pooling of the heads.
        dropout: Dropped share of what the linear layer gets.
        head_dropout: Dropped share of what the heads' last layers get.
        width: Channels of the first convolution; all others are in the paper's proportion to it, but at least eight.

    Attributes:
        auxiliary_weight: What the loss of an auxiliary head counts beside that of the main one.
    """

    auxiliary_weight = 0.3

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        *,
        heads: bool = True,
        unit: Unit = ConvReLU,
        kernel_size: int = 5,
        norm: Part = local_response_norm,
        last_pool: int = 3,
        head_pool: Part = strided_pool,
        dropout: float = 0.4,
        head_dropout: float = 0.7,
        width: int = 64,
    ) -> None:
        super().__init__()

        def wide(papers: int) -> int:
            return max(papers * width // 64, 8)  # of fewer, all may stay silent behind their ReLU

        def module(before: int, name: str) -> Inception:
            return Inception(before, *map(wide, MODULES[name]), unit=unit, kernel_size=kernel_size)

        def head(before: int) -> Head:
            return Head(before, wide(128), wide(1024), classes, unit=unit, pool=head_pool, dropout=head_dropout)

        self.heads = heads
        self.conv1 = unit(channels, width, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = norm()
        self.conv2 = unit(width, width, 1)
        self.conv3 = unit(width, wide(192), 3)
        self.norm2 = norm()
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = module(wide(192), "3a")
        self.inception3b = module(self.inception3a.out_channels, "3b")
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = module(self.inception3b.out_channels, "4a")
        self.inception4b = module(self.inception4a.out_channels, "4b")
        self.inception4c = module(self.inception4b.out_channels, "4c")
        self.inception4d = module(self.inception4c.out_channels, "4d")
        self.inception4e = module(self.inception4d.out_channels, "4e")
        self.maxpool4 = nn.MaxPool2d(last_pool, stride=2, ceil_mode=True)
        self.inception5a = module(self.inception4e.out_channels, "5a")
        self.inception5b = module(self.inception5a.out_channels, "5b")
        if heads:
            self.aux1 = head(self.inception4a.out_channels)
            self.aux2 = head(self.inception4d.out_channels)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.inception5b.out_channels, classes)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "*heads b k"]:
        """Logits; in training mode with heads those of all heads stacked: main, after 4a, after 4d."""
        x = self.norm1(self.maxpool1(self.conv1(x)))  # b 64 h/4 w/4
        x = self.maxpool2(self.norm2(self.conv3(self.conv2(x))))  # b 192 h/8 w/8
        x = self.maxpool3(self.inception3b(self.inception3a(x)))  # b 480 h/16 w/16
        early = self.inception4a(x)  # b 512 h/16 w/16
        late = self.inception4d(self.inception4c(self.inception4b(early)))  # b 528 h/16 w/16
        x = self.maxpool4(self.inception4e(late))  # b 832 h/32 w/32
        x = self.inception5b(self.inception5a(x))  # b 1024 h/32 w/32
        logits = self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))
        if self.heads and self.training:
            return torch.stack([logits, self.aux1(early), self.aux2(late)])
        return logits


# name: (what it is, preset, parameters, least side, what else the row has)
TORCHVISION = {
    "unit": ConvNormReLU,
    "kernel_size": 3,
    "norm": nn.Identity,
    "last_pool": 2,
    "head_pool": adaptive_pool,
    "dropout": 0.2,
}
VARIANTS: dict[str, tuple[str, dict[str, Any], int, int, dict[str, Any]]] = {
    "googlenet": ("GoogLeNet of the paper, with both auxiliary heads.", {}, 13_378_280, 48, {}),
    "googlenet-torchvision": (
        "GoogLeNet as torchvision has it: batch normalization, and 3x3 instead of 5x5.",
        TORCHVISION,
        13_004_888,
        32,
        {
            "peer": "torchvision.models.googlenet",
            "public": "https://download.pytorch.org/models/googlenet-1378be20.pth",
        },
    ),
}

for _name, (_about, _preset, _parameters, _smallest, _more) in VARIANTS.items():
    register(
        "model",
        _name,
        family="vision",
        about=_about,
        paper="Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich 2015, "
        "Going deeper with convolutions",
        year=2015,
        inputs=("image",),
        targets=("classes", "labels", "real"),
        arguments=image_arguments,
        preset=_preset,
        shape=(3, 224, 224),
        parameters=_parameters,
        smallest=_smallest,
        tiny={"channels": 1, "classes": 3, "width": 4, "dropout": 0.0, "head_dropout": 0.0},
        sample=(2, 1, _smallest, _smallest),
        **_more,
    )(GoogLeNet)
