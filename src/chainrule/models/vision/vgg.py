"""VGG (Simonyan and Zisserman 2015, Very deep convolutional networks for large-scale image recognition).

Five stages of 3x3 convolutions with 64, 128, 256, 512 and 512 channels, each ending in 2x2 max pooling, then two hidden
fully connected layers of 4096 units and the output; ReLU throughout. Two 3x3 convolutions see as much as one of 5x5,
three as much as one of 7x7, with fewer weights and more nonlinearity. The rows are the paper's A, B, D and E, by the
number of weighted layers; ``-bn`` has batch normalization between convolution and ReLU.
Differs from the paper: He's initialization instead of starting from a shallower network that is already trained; the
last map is averaged or repeated to 7x7, so that images of any size are taken; the paper has no batch normalization.
"""

from collections.abc import Sequence

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.alexnet import hidden_layers
from chainrule.models.vision.arithmetic import image_arguments
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


class VGG(nn.Module):
    """VGG of any depth.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        convolutions: Convolutions in each stage.
        widths: Channels of each stage.
        batch_norm: Whether each convolution is followed by batch normalization.
        hidden: Units of both hidden fully connected layers.
        dropout: Share of hidden units dropped while training.

    Raises:
        InputError: When there are not as many ``widths`` as ``convolutions``.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        *,
        convolutions: Sequence[int] = (2, 2, 3, 3, 3),
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        batch_norm: bool = False,
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(convolutions) != len(widths):
            raise InputError(
                f"VGG wants as many convolutions as widths, one number a stage; received convolutions={convolutions!r} "
                f"and widths={widths!r}."
            )
        layers: list[nn.Module] = []
        before = channels
        for count, width in zip(convolutions, widths, strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(before, width, kernel_size=3, padding=1))
                layers += [nn.BatchNorm2d(width)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                before = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = hidden_layers(before * 7 * 7, hidden, classes, dropout)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


# layers: (the paper's letter, convolutions of each stage)
DEPTHS = {
    11: ("A", (1, 1, 2, 2, 2)),
    13: ("B", (2, 2, 2, 2, 2)),
    16: ("D", (2, 2, 3, 3, 3)),
    19: ("E", (2, 2, 4, 4, 4)),
}

# name: (layers, batch normalization, parameters, end of the public file's name)
VARIANTS = {
    "vgg11": (11, False, 132_863_336, "vgg11-8a719046"),
    "vgg13": (13, False, 133_047_848, "vgg13-19584684"),
    "vgg16": (16, False, 138_357_544, "vgg16-397923af"),
    "vgg19": (19, False, 143_667_240, "vgg19-dcbb9e9d"),
    "vgg11-bn": (11, True, 132_868_840, "vgg11_bn-6002323d"),
    "vgg13-bn": (13, True, 133_053_736, "vgg13_bn-abd245e5"),
    "vgg16-bn": (16, True, 138_365_992, "vgg16_bn-6c64b313"),
    "vgg19-bn": (19, True, 143_678_248, "vgg19_bn-c79401a0"),
}

for _name, (_depth, _batch_norm, _parameters, _file) in VARIANTS.items():
    _letter, _convolutions = DEPTHS[_depth]
    register(
        "model",
        _name,
        family="vision",
        about=f"VGG-{_depth}, the paper's {_letter}{' with batch normalization' if _batch_norm else ''}.",
        paper="Simonyan, Zisserman 2015, Very deep convolutional networks for large-scale image recognition",
        year=2015,
        inputs=("image",),
        targets=("classes", "labels", "real"),
        arguments=image_arguments,
        preset={"convolutions": _convolutions, "batch_norm": _batch_norm},
        shape=(3, 224, 224),
        parameters=_parameters,
        smallest=32,
        tiny={
            "channels": 1,
            "classes": 3,
            "convolutions": (1, 2),
            "widths": (8, 8),
            "hidden": 32,
            "dropout": 0.0,
        },
        sample=(2, 1, 16, 16),
        peer=f"torchvision.models.{_name.replace('-', '_')}",
        public=f"https://download.pytorch.org/models/{_file}.pth",
    )(VGG)
