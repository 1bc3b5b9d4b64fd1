"""EfficientNet (Tan and Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks).

``conv 32@3x3/2``, seven stages of MBConv blocks, ``conv 1280@1x1 - global average pool - dropout - fc``. An MBConv
block is ``x + P(S(D(E(x))))``: ``E`` expands the channels sixfold by 1x1 (not in the first stage), ``D`` is a depthwise
3x3 or 5x5 convolution, ``S`` squeeze and excitation with a quarter of the block's input channels in between, ``P``
projects by 1x1; all but ``S`` are followed by batch normalization, ``E`` and ``D`` then by SiLU. ``x +`` stands where
the size stays. B1 to B7 scale the width, the depth and the image of B0 together (:func:`compound_scaling`).
5,288,548 parameters for B0 and a thousand classes.
Differs from the paper: batch normalization of B0 to B4 has torch's epsilon and momentum instead of 0.001 and 0.01, as
their public weights want it.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import image_arguments
from chainrule.nn.regularizers import StochasticDepth
from chainrule.nn.squeeze import SqueezeExcitation
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

#: Makes a normalization layer from a number of channels.
Norm = Callable[[int], nn.Module]


class Scaling(NamedTuple):
    """Factors by which a network is scaled.

    Attributes:
        depth: Of the blocks in a stage.
        width: Of the channels.
        resolution: Of the image's sides.
    """

    depth: float
    width: float
    resolution: float


def compound_scaling(phi: float, *, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15) -> Scaling:
    """Depth, width and resolution scaled together: ``alpha^phi``, ``beta^phi`` and ``gamma^phi``.

    The cost of a convolution grows with depth, with the square of width and with the square of resolution, so that of
    the network grows by ``(alpha beta^2 gamma^2)^phi``. The paper searched the three near ``alpha beta^2 gamma^2 = 2``
    for B0, so that one more ``phi`` is about twice the cost; its B1 to B7 are rounded from there.

    Args:
        phi: How much larger the network is to be; 0 leaves it.
        alpha: Factor of depth for ``phi = 1``.
        beta: Factor of width.
        gamma: Factor of resolution.

    Raises:
        InputError: When a factor is less than 1: then something would shrink as the network grows.
    """
    if min(alpha, beta, gamma) < 1:
        raise InputError(
            f"Compound scaling wants factors of at least 1, received alpha={alpha}, beta={beta}, gamma={gamma}; "
            "write for instance alpha=1.2, beta=1.1, gamma=1.15."
        )
    return Scaling(alpha**phi, beta**phi, gamma**phi)


def scaled_channels(channels: int, width: float, *, multiple: int = 8) -> int:
    """Channels times ``width``, to the nearest multiple of eight that is no less than nine tenths of it."""
    wanted = channels * width
    nearest = max(multiple, int(wanted + multiple / 2) // multiple * multiple)
    return nearest if nearest >= 0.9 * wanted else nearest + multiple


def scaled_blocks(blocks: int, depth: float) -> int:
    """Blocks times ``depth``, rounded up."""
    return math.ceil(blocks * depth)


def conv_norm(
    channels: int, out_channels: int, *, norm: Norm, kernel_size: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution that pads to the same size, and normalization."""
    padding = kernel_size // 2
    conv = nn.Conv2d(channels, out_channels, kernel_size, stride=stride, padding=padding, groups=groups, bias=False)
    return nn.Sequential(conv, norm(out_channels))


class MBConv(nn.Module):
    """Mobile inverted bottleneck with squeeze and excitation.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Height and width of the depthwise kernel.
        stride: Step of the depthwise convolution.
        expansion: Channels inside, as a multiple of ``channels``.
        skipped: Probability of a sample to skip the block while training, where it has a shortcut.
        norm: Makes the normalization layers.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        expansion: int = 6,
        skipped: float = 0.0,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        inside = channels * expansion
        self.block = nn.Sequential()
        if expansion != 1:
            self.block.append(conv_norm(channels, inside, norm=norm).append(nn.SiLU(inplace=True)))
        depthwise = conv_norm(inside, inside, norm=norm, kernel_size=kernel_size, stride=stride, groups=inside)
        self.block.append(depthwise.append(nn.SiLU(inplace=True)))
        self.block.append(SqueezeExcitation(inside, max(1, channels // 4), activation="silu(inplace=True)"))
        self.block.append(conv_norm(inside, out_channels, norm=norm))
        self.shortcut = stride == 1 and channels == out_channels
        self.stochastic_depth = StochasticDepth(p=skipped)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = self.block(x)
        if not self.shortcut:
            return y
        y = self.stochastic_depth(y)
        y += x
        return y


class Stage(NamedTuple):
    """Blocks of one size.

    Attributes:
        expansion: Channels inside a block, as a multiple of those that come in.
        kernel_size: Of the depthwise convolutions.
        stride: Of the first block.
        channels: Channels that go out.
        blocks: How many blocks.
    """

    expansion: int
    kernel_size: int
    stride: int
    channels: int
    blocks: int


#: The stages of B0.
STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)


class EfficientNet(nn.Module):
    """EfficientNet of any width and depth.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        width: Factor of the channels of B0.
        depth: Factor of the blocks of B0.
        dropout: Dropped share of what the linear layer gets.
        skipped: Probability to skip that the blocks approach from 0 on, from the first to the last.
        norm: Makes the normalization layers.
        stages: The stages before they are scaled.

    Raises:
        InputError: When width or depth is not greater than 0.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        *,
        width: float = 1.0,
        depth: float = 1.0,
        dropout: float = 0.2,
        skipped: float = 0.2,
        norm: Norm = nn.BatchNorm2d,
        stages: tuple[Stage, ...] = STAGES,
    ) -> None:
        super().__init__()
        if not (width > 0 and depth > 0):
            raise InputError(
                f"EfficientNet wants a width and a depth above 0, received width={width} and depth={depth}; write for "
                "instance width=1.0, depth=1.1."
            )
        before = scaled_channels(32, width)
        stem = conv_norm(channels, before, norm=norm, kernel_size=3, stride=2)
        self.features = nn.Sequential(stem.append(nn.SiLU(inplace=True)))
        total, done = sum(scaled_blocks(stage.blocks, depth) for stage in stages), 0
        for stage in stages:
            after, blocks = scaled_channels(stage.channels, width), nn.Sequential()
            for number in range(scaled_blocks(stage.blocks, depth)):
                block = MBConv(
                    before,
                    after,
                    kernel_size=stage.kernel_size,
                    stride=stage.stride if number == 0 else 1,
                    expansion=stage.expansion,
                    skipped=skipped * done / total,
                    norm=norm,
                )
                blocks.append(block)
                before, done = after, done + 1
            self.features.append(blocks)
        self.features.append(conv_norm(before, 4 * before, norm=norm).append(nn.SiLU(inplace=True)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout, inplace=True), nn.Linear(4 * before, classes))
        self.apply(initialize)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def initialize(layer: nn.Module) -> None:
    """Draw the weights of one layer: He's for convolutions, uniform up to ``1 / sqrt(k)`` for the linear one."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        bound = 1 / math.sqrt(layer.out_features)
        nn.init.uniform_(layer.weight, -bound, bound)
    if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)


#: Batch normalization with the authors' epsilon and momentum.
AUTHORS_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)

# name: (width, depth, side of the image, dropout, normalization, parameters, end of the public file's name)
VARIANTS: dict[str, tuple[float, float, int, float, Norm, int, str]] = {
    "b0": (1.0, 1.0, 224, 0.2, nn.BatchNorm2d, 5_288_548, "rwightman-7f5810bc"),
    "b1": (1.0, 1.1, 240, 0.2, nn.BatchNorm2d, 7_794_184, "rwightman-bac287d4"),
    "b2": (1.1, 1.2, 260, 0.3, nn.BatchNorm2d, 9_109_994, "rwightman-c35c1473"),
    "b3": (1.2, 1.4, 300, 0.3, nn.BatchNorm2d, 12_233_232, "rwightman-b3899882"),
    "b4": (1.4, 1.8, 380, 0.4, nn.BatchNorm2d, 19_341_616, "rwightman-23ab8bcd"),
    "b5": (1.6, 2.2, 456, 0.4, AUTHORS_NORM, 30_389_784, "lukemelas-1a07897c"),
    "b6": (1.8, 2.6, 528, 0.5, AUTHORS_NORM, 43_040_704, "lukemelas-24a108a5"),
    "b7": (2.0, 3.1, 600, 0.5, AUTHORS_NORM, 66_347_960, "lukemelas-c5b4e57e"),
}

# With the authors' momentum running averages settle after hundreds of steps.
TINY = {
    **{"channels": 1, "classes": 3, "width": 1.0, "depth": 1.0, "dropout": 0.0, "skipped": 0.0},
    "norm": nn.BatchNorm2d,
    "stages": (Stage(1, 3, 1, 8, 1), Stage(6, 5, 2, 8, 2)),
}

for _name, (_width, _depth, _side, _dropout, _norm, _parameters, _file) in VARIANTS.items():
    register(
        "model",
        f"efficientnet-{_name}",
        family="vision",
        about=f"EfficientNet-{_name.upper()}: width x {_width}, depth x {_depth}, images of {_side}x{_side}.",
        paper="Tan, Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks",
        year=2019,
        inputs=("image",),
        targets=("classes", "labels", "real"),
        arguments=image_arguments,
        preset={"width": _width, "depth": _depth, "dropout": _dropout, "norm": _norm},
        shape=(3, _side, _side),
        parameters=_parameters,
        smallest=32,
        tiny=TINY,
        sample=(2, 1, 16, 16),
        peer=f"torchvision.models.efficientnet_{_name}",
        public=f"https://download.pytorch.org/models/efficientnet_{_name}_{_file}.pth",
    )(EfficientNet)
