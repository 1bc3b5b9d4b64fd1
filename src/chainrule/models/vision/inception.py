"""The Inception module, with and without its bottlenecks (Szegedy et al. 2015, Going deeper with convolutions).

Four branches see the same map, and their maps are concatenated: ``1x1 | 1x1 - 3x3 | 1x1 - 5x5 | max pool 3x3 - 1x1``.
The naive module of figure 2(a), ``1x1 | 3x3 | 5x5 | max pool 3x3``, works on the full depth and always passes all its
channels on: from 28x28x256 with 128, 192 and 96 filters it makes 28x28x672 and needs 854M multiplications.
Differs from the paper: nothing; the unit with batch normalization is the one of later work.
"""

from collections.abc import Callable

import torch
from torch import nn

from chainrule.shapes import Float, Tensor

Unit = Callable[..., nn.Module]


class ConvReLU(nn.Module):
    """A convolution and ReLU.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Side of the kernel; odd, and padded by half of it, so that the map keeps its size.
        stride: Step of the convolution.
    """

    def __init__(self, channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return self.relu(self.conv(x))


class ConvNormReLU(nn.Module):
    """A convolution without bias, batch normalization and ReLU.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        kernel_size: Side of the kernel; odd, and padded by half of it, so that the map keeps its size.
        stride: Step of the convolution.
    """

    def __init__(self, channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return self.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """The Inception module: 1x1 convolutions reduce the channels before the large kernels and after the pooling.

    Args:
        channels: Channels that come in.
        one: Channels of the 1x1 branch.
        three_reduced: Channels before the 3x3 convolution.
        three: Channels of the 3x3 branch.
        five_reduced: Channels before the 5x5 convolution.
        five: Channels of the 5x5 branch.
        pooled: Channels of the pooling branch.
        unit: Class of the convolutions, ``ConvReLU`` or ``ConvNormReLU``.
        kernel_size: Kernel of the 5x5 branch.

    Attributes:
        out_channels: Channels that go out, ``one + three + five + pooled``.
    """

    def __init__(
        self,
        channels: int,
        one: int,
        three_reduced: int,
        three: int,
        five_reduced: int,
        five: int,
        pooled: int,
        *,
        unit: Unit = ConvReLU,
        kernel_size: int = 5,
    ) -> None:
        super().__init__()
        self.out_channels = one + three + five + pooled
        self.branch1 = unit(channels, one, 1)
        self.branch2 = nn.Sequential(unit(channels, three_reduced, 1), unit(three_reduced, three, 3))
        self.branch3 = nn.Sequential(unit(channels, five_reduced, 1), unit(five_reduced, five, kernel_size))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), unit(channels, pooled, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class InceptionNaive(nn.Module):
    """The naive Inception module: every kernel sees all channels, and the pooling passes all of them on.

    Args:
        channels: Channels that come in.
        one: Channels of the 1x1 branch.
        three: Channels of the 3x3 branch.
        five: Channels of the 5x5 branch.
        unit: Class of the convolutions, ``ConvReLU`` or ``ConvNormReLU``.

    Attributes:
        out_channels: Channels that go out, ``one + three + five + channels``.
    """

    def __init__(self, channels: int, one: int, three: int, five: int, *, unit: Unit = ConvReLU) -> None:
        super().__init__()
        self.out_channels = one + three + five + channels
        self.branch1 = unit(channels, one, 1)
        self.branch2 = unit(channels, three, 3)
        self.branch3 = unit(channels, five, 5)
        self.branch4 = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)
