"""SENet (Hu, Shen and Sun 2018, Squeeze-and-excitation networks).

A ResNet whose residual branch is scaled channel by channel before the addition: ``y = relu(SE(F(x)) + P x)``, where
``SE`` squeezes ``c`` channels to ``c / 16``. SE-ResNet has the stem and the bottlenecks of ResNet: 28,088,024
parameters for 50 layers. SENet-154 (appendix of the paper) has three 3x3 convolutions for a stem, 3x3 convolutions of
64 groups and twice the channels, half as many channels in front of them, 3x3 projections where the map is halved, and
dropout of 0.2 at the end: 115,088,984 parameters.
Differs from the paper: nothing; unlike :mod:`chainrule.models.vision.resnet`, and like the paper's code, SE-ResNet
steps by two in the first 1x1 convolution, and the first pooling has no padding but a last window that is cut off.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import image_arguments
from chainrule.models.vision.resnet import projection, stage
from chainrule.nn import SqueezeExcitation
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

EXPANSION, REDUCTION = 4, 16


def excitation(channels: int) -> SqueezeExcitation:
    """The paper's squeeze and excitation, by a sixteenth of the channels."""
    return SqueezeExcitation(channels, max(channels // REDUCTION, 8))  # of fewer, all may stay silent behind their ReLU


class SEBottleneck(nn.Module):
    """The bottleneck of SE-ResNet.

    Args:
        channels: Channels that come in.
        width: Channels of the 3x3 convolution; four times as many go out.
        stride: Stride of the first convolution.
        groups: Groups of the 3x3 convolution.
    """

    def __init__(self, channels: int, width: int, stride: int, *, groups: int = 1) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(channels, width, kernel_size=1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width, out_channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se_module = excitation(out_channels)
        self.downsample = projection(channels, out_channels, stride)
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.se_module(self.bn3(self.conv3(y)))
        y += self.downsample(x)
        return self.relu3(y)


class WideSEBottleneck(nn.Module):
    """The bottleneck of SENet-154: its 3x3 convolution is as wide as the output, and grouped.

    Args:
        channels: Channels that come in.
        width: A fourth of the channels that go out.
        stride: Stride of the 3x3 convolution, and of the 3x3 projection beside it.
        groups: Groups of the 3x3 convolution.
    """

    def __init__(self, channels: int, width: int, stride: int, *, groups: int = 64) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(channels, out_channels // 2, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels // 2)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(
            out_channels // 2, out_channels, kernel_size=3, stride=stride, padding=1, groups=groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(out_channels, out_channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se_module = excitation(out_channels)
        self.downsample = projection(channels, out_channels, stride, kernel_size=1 if stride == 1 else 3)
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.se_module(self.bn3(self.conv3(y)))
        y += self.downsample(x)
        return self.relu3(y)


def stem(channels: int, *widths: int, kernel_size: int) -> nn.Sequential:
    """Convolutions with batch normalization and ReLU; the first steps by two."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for n, (before, after) in enumerate(zip((channels, *widths), widths, strict=False), start=1):
        layers[f"conv{n}"] = nn.Conv2d(
            before, after, kernel_size, stride=2 if n == 1 else 1, padding=kernel_size // 2, bias=False
        )
        layers[f"bn{n}"] = nn.BatchNorm2d(after)
        layers[f"relu{n}"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class SENet(nn.Module):
    """SE-ResNet and SENet-154.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        blocks: Blocks in each of the four stages.
        block: Class of the blocks, ``SEBottleneck`` or ``WideSEBottleneck``.
        groups: Groups of the 3x3 convolutions in the blocks.
        width: Width of the first stage's blocks; it doubles from stage to stage.
        stem_widths: Channels of the stem's convolutions.
        stem_kernel: Kernel of the stem's convolutions.
        dropout: Dropped share of what the linear layer gets.

    Raises:
        InputError: When ``blocks`` is not four numbers of at least one.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        *,
        blocks: tuple[int, ...] = (3, 4, 6, 3),
        block: Callable[..., nn.Module] = SEBottleneck,
        groups: int = 1,
        width: int = 64,
        stem_widths: tuple[int, ...] = (64,),
        stem_kernel: int = 7,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(blocks) != 4 or min(blocks) < 1:
            raise InputError(
                f"SENet has four stages of at least one block, received blocks={blocks}; "
                "write for instance blocks=(3, 4, 6, 3)."
            )
        make = partial(block, groups=groups)
        self.layer0 = stem(channels, *stem_widths, kernel_size=stem_kernel)
        self.pool0 = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        self.layer1 = stage(make, stem_widths[-1], width, 1, blocks=blocks[0], expansion=EXPANSION)
        self.layer2 = stage(make, width * 4, width * 2, 2, blocks=blocks[1], expansion=EXPANSION)
        self.layer3 = stage(make, width * 8, width * 4, 2, blocks=blocks[2], expansion=EXPANSION)
        self.layer4 = stage(make, width * 16, width * 8, 2, blocks=blocks[3], expansion=EXPANSION)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(width * 8 * EXPANSION, classes)
        for module in self.modules():
            # Those of squeeze and excitation have a bias and no batch normalization after them: they stay as made.
            if isinstance(module, nn.Conv2d) and module.bias is None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = self.pool0(self.layer0(x))  # b 64 h/4 w/4
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # b 2048 h/32 w/32
        return self.last_linear(self.dropout(torch.flatten(self.avgpool(x), 1)))


# name: (what it is, preset, small version, parameters)
WIDE = {"block": WideSEBottleneck, "groups": 64, "stem_widths": (64, 64, 128), "stem_kernel": 3, "dropout": 0.2}
WIDE_TINY = {"width": 2, "groups": 2, "stem_widths": (4, 4, 8), "dropout": 0.0}
VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any], int]] = {
    "seresnet50": ("ResNet-50", {"blocks": (3, 4, 6, 3)}, {"stem_widths": (4,)}, 28_088_024),
    "seresnet101": ("ResNet-101", {"blocks": (3, 4, 23, 3)}, {"stem_widths": (4,)}, 49_326_872),
    "seresnet152": ("ResNet-152", {"blocks": (3, 8, 36, 3)}, {"stem_widths": (4,)}, 66_821_848),
    "senet154": ("a grouped, wider ResNet-152", {"blocks": (3, 8, 36, 3), **WIDE}, WIDE_TINY, 115_088_984),
}

for _name, (_base, _preset, _tiny, _parameters) in VARIANTS.items():
    register(
        "model",
        _name,
        family="vision",
        about=f"Squeeze and excitation in every block of {_base}.",
        paper="Hu, Shen, Sun 2018, Squeeze-and-excitation networks",
        year=2018,
        inputs=("image",),
        targets=("classes", "labels", "real"),
        arguments=image_arguments,
        preset=_preset,
        shape=(3, 224, 224),
        parameters=_parameters,
        smallest=32,
        tiny={"channels": 1, "classes": 3, "blocks": (2, 1, 1, 1), "width": 4, **_tiny},
        sample=(2, 1, 32, 32),
        peer=f"timm.models.legacy_{_name}",
    )(SENet)
