"""DenseNet (Huang, Liu, van der Maaten and Weinberger 2017, Densely connected convolutional networks).

In a dense block every layer gets all maps before it: ``x_l = H_l([x_0, x_1, ..., x_{l-1}])``, where ``H`` is ``norm -
relu - conv 4k@1x1 - norm - relu - conv k@3x3`` and ``k`` is the growth rate; layer ``l`` of a block that begins with
``k_0`` channels gets ``k_0 + (l - 1) k``. Between blocks a transition, ``norm - relu - conv 1x1 - average pool 2``,
halves channels and map. At the end ``norm - relu - global average pool - fc``; the stem has ``2 k`` channels.
For large images: ``conv 7x7/2 - norm - relu - max pool 3x3/2`` and four blocks; 7,978,856 parameters for 121 layers,
growth 32 and a thousand classes. For 32x32 (DenseNet-BC): ``conv 3x3`` and three blocks; 769,162 for 100 layers,
growth 12 and ten classes.
Differs from the paper: nothing.
"""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import image_arguments
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


class DenseLayer(nn.Module):
    """Makes ``growth`` channels of all that came before, and appends them.

    Args:
        channels: Channels that come in; ``channels + growth`` go out.
        growth: Channels that the layer adds, ``k``.
        bottleneck: Channels between its two convolutions, as a multiple of ``growth``.
        dropout: Dropped share of what it adds.
    """

    def __init__(self, channels: int, growth: int, *, bottleneck: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        between = bottleneck * growth
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, between, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(between)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(between, growth, kernel_size=3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        new = self.conv1(self.relu1(self.norm1(x)))
        new = self.conv2(self.relu2(self.norm2(new)))
        return torch.cat([x, self.dropout(new)], dim=1)


def dense_block(channels: int, layers: int, growth: int, *, bottleneck: int = 4, dropout: float = 0.0) -> nn.Sequential:
    """A dense block of so many layers; ``channels + layers * growth`` go out."""
    block = nn.Sequential()
    for number in range(layers):
        layer = DenseLayer(channels + number * growth, growth, bottleneck=bottleneck, dropout=dropout)
        block.add_module(f"denselayer{number + 1}", layer)
    return block


class Transition(nn.Module):
    """Fewer channels and half the map, between two dense blocks.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, out_channels, kernel_size=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return self.pool(self.conv(self.relu(self.norm(x))))


def large_stem(channels: int, width: int) -> dict[str, nn.Module]:
    """Layers before the first block, for large images: the map is quartered."""
    return {
        "conv0": nn.Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False),
        "norm0": nn.BatchNorm2d(width),
        "relu0": nn.ReLU(inplace=True),
        "pool0": nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    }


def small_stem(channels: int, width: int) -> dict[str, nn.Module]:
    """The layer before the first block, for small images: the map keeps its size."""
    return {"conv0": nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)}


class DenseNet(nn.Module):
    """DenseNet with bottlenecks and compression, for large and for small images.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        blocks: Layers in each dense block.
        growth: Channels that a layer adds; the stem has twice as many.
        stem: Makes the layers before the first block by name, ``large_stem`` or ``small_stem``.
        bottleneck: Channels between the two convolutions of a layer, as a multiple of ``growth``.
        compression: Share of the channels that a transition leaves, above 0 and at most 1.
        dropout: Dropped share of what a layer adds; the paper's 0.2 where no images are augmented.

    Raises:
        InputError: When there is no block, a block has no layer, or a compression leaves no channel or adds some.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        *,
        blocks: tuple[int, ...] = (6, 12, 24, 16),
        growth: int = 32,
        stem: Callable[[int, int], dict[str, nn.Module]] = large_stem,
        bottleneck: int = 4,
        compression: float = 0.5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not blocks or min(blocks) < 1:
            raise InputError(
                f"DenseNet has blocks of at least one layer, received blocks={blocks}; write for instance "
                "blocks=(6, 12, 24, 16)."
            )
        if not 0 < compression <= 1:
            raise InputError(
                f"DenseNet keeps a share of the channels above 0 and at most 1, received compression={compression}; "
                "write for instance compression=0.5."
            )
        width = 2 * growth
        self.features = nn.Sequential()
        for name, layer in stem(channels, width).items():
            self.features.add_module(name, layer)
        for number, layers in enumerate(blocks, start=1):
            block = dense_block(width, layers, growth, bottleneck=bottleneck, dropout=dropout)
            self.features.add_module(f"denseblock{number}", block)
            width += layers * growth
            if number < len(blocks):
                # Rounded down, as in the paper; one channel is left at least.
                fewer = max(1, int(width * compression))
                self.features.add_module(f"transition{number}", Transition(width, fewer))
                width = fewer
        self.features.add_module(f"norm{len(blocks) + 1}", nn.BatchNorm2d(width))
        self.features.add_module(f"relu{len(blocks) + 1}", nn.ReLU(inplace=True))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def rename(name: str) -> str:
    """The name of a weight in the public files, where a dense layer has ``norm.1``, as it is here: ``norm1``."""
    return re.sub(r"\b(norm|conv)\.(\d)\.", r"\1\2.", name)


# name: (layers of each block, growth, parameters, hash of the public file)
LARGE = {
    "densenet121": ((6, 12, 24, 16), 32, 7_978_856, "a639ec97"),
    "densenet161": ((6, 12, 36, 24), 48, 28_681_000, "8d451a50"),
    "densenet169": ((6, 12, 32, 32), 32, 14_149_480, "b2777c0a"),
    "densenet201": ((6, 12, 48, 32), 32, 20_013_928, "c1103571"),
}
# name: (layers of each of three blocks, growth, parameters)
SMALL = {
    "densenet-bc-100-12": (16, 12, 769_162),
    "densenet-bc-190-40": (31, 40, 25_624_430),
    "densenet-bc-250-24": (41, 24, 15_324_406),
}
ROW: dict[str, Any] = {
    "family": "vision",
    "paper": "Huang, Liu, van der Maaten, Weinberger 2017, Densely connected convolutional networks",
    "year": 2017,
    "inputs": ("image",),
    "targets": ("classes", "labels", "real"),
    "arguments": image_arguments,
}
TINY = {"channels": 1, "classes": 3, "blocks": (2, 1), "growth": 4}

for _name, (_blocks, _growth, _parameters, _hash) in LARGE.items():
    register(
        "model",
        _name,
        about=f"DenseNet of {_name.removeprefix('densenet')} layers for large images, growth {_growth}.",
        preset={"blocks": _blocks, "growth": _growth},
        shape=(3, 224, 224),
        parameters=_parameters,
        smallest=32,
        tiny=TINY,
        sample=(2, 1, 16, 16),
        peer=f"torchvision.models.{_name}",
        public=f"https://download.pytorch.org/models/{_name}-{_hash}.pth",
        rename=rename,
        **ROW,
    )(DenseNet)

for _name, (_layers, _growth, _parameters) in SMALL.items():
    register(
        "model",
        _name,
        about=f"DenseNet-BC of {6 * _layers + 4} layers for small images, growth {_growth}.",
        preset={"classes": 10, "blocks": (_layers,) * 3, "growth": _growth, "stem": small_stem},
        shape=(3, 32, 32),
        parameters=_parameters,
        smallest=16,
        tiny=TINY,
        sample=(2, 1, 8, 8),
        **ROW,
    )(DenseNet)
