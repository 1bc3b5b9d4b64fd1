"""ResNet (He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition).

``conv 64@7x7/2 - max pool 3x3/2``, four stages of blocks with 64, 128, 256 and 512 channels (each but the first halves
the map), average pooling, linear layer. A block is ``y = relu(F(x) + P x)``, where ``F`` is ``conv 3x3 - conv 3x3``
(basic) or ``conv 1x1 - conv 3x3 - conv 1x1`` to four times the channels (bottleneck), each convolution followed by
batch normalization, and ``P`` is the identity, or a 1x1 convolution where the size changes. 25,557,032 parameters for
50 layers and a thousand classes. The plain networks of section 3.3 are the same stacks with ``y = relu(F(x))``.
Differs from the paper: a bottleneck steps by two in its 3x3 convolution instead of the first 1x1 one ("v1.5"), and
18 and 34 layers have projections, too (the paper's option B).
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import image_arguments
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def projection(channels: int, out_channels: int, stride: int, *, kernel_size: int = 1) -> nn.Module:
    """A shortcut: the identity, or a convolution with batch normalization where the size changes."""
    if stride == 1 and channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def stage(
    block: Callable[[int, int, int], nn.Module], channels: int, width: int, stride: int, *, blocks: int, expansion: int
) -> nn.Sequential:
    """A stage: the first block changes the channels and steps by ``stride``, the others keep the size."""
    first = block(channels, width, stride)
    return nn.Sequential(first, *(block(width * expansion, width, 1) for _ in range(blocks - 1)))


class Block(Protocol):
    """What :class:`ResNet` takes as ``block``: a class that makes a block from ``(channels, width, stride)``.

    Attributes:
        expansion: Channels that leave the block, as a multiple of ``width``.
    """

    @property
    def expansion(self) -> int:
        """Channels that leave the block, as a multiple of ``width``."""

    def __call__(self, channels: int, width: int, stride: int) -> nn.Module:
        """Make a block."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Args:
        channels: Channels that come in.
        width: Channels of the convolutions, and those that go out.
        stride: Stride of the first convolution.
    """

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = projection(channels, width, stride)
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.downsample(x)
        return self.relu2(y)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions, beside a shortcut.

    Args:
        channels: Channels that come in.
        width: Channels of the 3x3 convolution; four times as many go out.
        stride: Stride of the 3x3 convolution.
    """

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width, width * self.expansion, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = projection(channels, width * self.expansion, stride)
        self.relu3 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += self.downsample(x)
        return self.relu3(y)


class PlainBlock(nn.Module):
    """Two 3x3 convolutions without a shortcut, for comparison.

    Args:
        channels: Channels that come in.
        width: Channels of the convolutions, and those that go out.
        stride: Stride of the first convolution.
    """

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        x = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(x)))


class ResNet(nn.Module):
    """ResNet for large images, of any block.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        blocks: Blocks in each of the four stages.
        block: Class of the blocks: ``BasicBlock``, ``Bottleneck``, ``PlainBlock`` or one of your own.
        width: Width of the first stage's blocks; it doubles from stage to stage.

    Raises:
        InputError: When ``blocks`` is not four numbers of at least one.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        *,
        blocks: tuple[int, ...] = (3, 4, 6, 3),
        block: Block = Bottleneck,
        width: int = 64,
    ) -> None:
        super().__init__()
        if len(blocks) != 4 or min(blocks) < 1:
            raise InputError(
                f"ResNet has four stages of at least one block, received blocks={blocks}; "
                "write for instance blocks=(3, 4, 6, 3)."
            )
        wider = block.expansion
        self.conv1 = nn.Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = stage(block, width, width, 1, blocks=blocks[0], expansion=wider)
        self.layer2 = stage(block, width * wider, width * 2, 2, blocks=blocks[1], expansion=wider)
        self.layer3 = stage(block, width * 2 * wider, width * 4, 2, blocks=blocks[2], expansion=wider)
        self.layer4 = stage(block, width * 4 * wider, width * 8, 2, blocks=blocks[3], expansion=wider)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width * 8 * wider, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # b 64 h/4 w/4
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # b c h/32 w/32
        return self.fc(torch.flatten(self.avgpool(x), 1))


RESNETS: dict[str, tuple[Block, tuple[int, ...], int, str]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2), 11_689_512, "f37072fd"),
    "resnet34": (BasicBlock, (3, 4, 6, 3), 21_797_672, "b627a593"),
    "resnet50": (Bottleneck, (3, 4, 6, 3), 25_557_032, "0676ba61"),
    "resnet101": (Bottleneck, (3, 4, 23, 3), 44_549_160, "63fe2227"),
    "resnet152": (Bottleneck, (3, 8, 36, 3), 60_192_808, "394f9c45"),
}
PLAIN = {"plain18": ((2, 2, 2, 2), 11_515_688), "plain34": ((3, 4, 6, 3), 21_623_848)}
PAPER = "He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition"
TINY = {"channels": 1, "classes": 3, "blocks": (2, 1, 1, 1), "width": 4}

for _name, (_block, _blocks, _parameters, _hash) in RESNETS.items():
    register(
        "model",
        _name,
        family="vision",
        about=f"ResNet of {_name.removeprefix('resnet')} layers for large images: stages of {_blocks} blocks.",
        paper=PAPER,
        year=2016,
        inputs=("image",),
        targets=("classes", "labels", "real"),
        arguments=image_arguments,
        preset={"block": _block, "blocks": _blocks},
        shape=(3, 224, 224),
        parameters=_parameters,
        smallest=32,
        tiny=TINY,
        sample=(2, 1, 32, 32),
        peer=f"torchvision.models.{_name}",
        public=f"https://download.pytorch.org/models/{_name}-{_hash}.pth",
    )(ResNet)

for _name, (_blocks, _parameters) in PLAIN.items():
    register(
        "model",
        _name,
        family="vision",
        about=f"The stack of ResNet-{_name.removeprefix('plain')} without its shortcuts, for comparison.",
        paper=PAPER,
        year=2016,
        inputs=("image",),
        targets=("classes", "labels", "real"),
        arguments=image_arguments,
        preset={"block": PlainBlock, "blocks": _blocks},
        shape=(3, 224, 224),
        parameters=_parameters,
        smallest=32,
        tiny=TINY,
        sample=(2, 1, 32, 32),
    )(ResNet)
