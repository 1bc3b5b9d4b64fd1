"""U-Net (Ronneberger, Fischer and Brox 2015, U-Net: convolutional networks for biomedical image segmentation).

Down: at each of five levels ``conv 3x3 - relu - conv 3x3 - relu``, with 64, 128, 256, 512 and 1024 channels, and max
pooling between them. Up: at each level ``up-convolution 2x2/2`` to half the channels, joined with the map of that level
on the way down, then the same two convolutions. At the end a 1x1 convolution gives a logit for each pixel and class.
Convolutions do not pad, so a border is lost: 572x572 gives 388x388, and a map from the way down is cropped to the one
that it joins. 31,030,658 parameters for one channel and two classes.
Differs from the paper: nothing; it names no rate for the dropout of the two lowest levels on the way down, here 0.5.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import image_arguments
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def double_conv(channels: int, width: int, *, padding: int = 0) -> nn.Sequential:
    """Two 3x3 convolutions, each with ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=3, padding=padding),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, kernel_size=3, padding=padding),
        nn.ReLU(inplace=True),
    )


def fitted(x: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c h2 w2"]:
    """A map of another size: its middle is cropped, or zeros are put around it."""
    down, right = size[0] - x.shape[2], size[1] - x.shape[3]
    # A negative padding crops.
    return F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))


class UpBlock(nn.Module):
    """One level on the way up.

    Args:
        channels: Channels that come from the level below.
        width: Channels of this level: of the map that is joined, and those that go out.
        padding: Padding of the convolutions. With 0 the joined map is cropped to the one from below; with 1 that one
            is padded where a side on the way down was odd, so that the block has the size of the joined map.
    """

    def __init__(self, channels: int, width: int, *, padding: int = 0) -> None:
        super().__init__()
        self.padding = padding
        self.up = nn.ConvTranspose2d(channels, width, kernel_size=2, stride=2)
        self.convs = double_conv(2 * width, width, padding=padding)

    def forward(self, x: Float[Tensor, "b c h w"], joined: Float[Tensor, "b c2 h2 w2"]) -> Float[Tensor, "b c2 h3 w3"]:
        x = self.up(x)
        if self.padding:
            x = fitted(x, (joined.shape[2], joined.shape[3]))
        else:
            joined = fitted(joined, (x.shape[2], x.shape[3]))
        return self.convs(torch.cat([joined, x], dim=1))


@register(
    "model",
    "unet",
    family="vision",
    paper="Ronneberger, Fischer, Brox 2015, U-Net: convolutional networks for biomedical image segmentation",
    year=2015,
    inputs=("image",),
    targets=("mask",),
    arguments=image_arguments,
    shape=(1, 572, 572),
    parameters=31_030_658,
    smallest=188,
    tiny={"channels": 1, "classes": 3, "widths": (8, 16, 16), "padding": 1, "dropout": 0.0},
    sample=(2, 1, 6, 7),
)
class UNet(nn.Module):
    """U-Net: a logit for each pixel and class.

    Args:
        channels: Channels of the image.
        classes: Logits of a pixel, ``k``.
        widths: Channels of each level, from the top down; at least two levels.
        padding: 0, as in the paper, loses a border; 1 gives a map of the image's size, for images of any size.
        dropout: Dropped share of the maps at the two lowest levels on the way down.

    Raises:
        InputError: When there are fewer than two levels, or the padding is neither 0 nor 1.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 2,
        *,
        widths: tuple[int, ...] = (64, 128, 256, 512, 1024),
        padding: int = 0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise InputError(
                f"UNet has at least two levels of at least one channel, received widths={widths}; write for instance "
                "widths=(64, 128, 256, 512, 1024)."
            )
        if padding not in (0, 1):
            raise InputError(
                f"UNet pads its 3x3 convolutions by 0 or 1, received padding={padding}; write one of them."
            )
        downward = itertools.pairwise((channels, *widths))
        levels = [double_conv(before, after, padding=padding) for before, after in downward]
        for level in levels[-2:]:
            level.append(nn.Dropout(dropout))
        self.down = nn.ModuleList(levels)
        self.pool = nn.MaxPool2d(2)
        upward = itertools.pairwise(reversed(widths))
        self.up = nn.ModuleList(UpBlock(below, width, padding=padding) for below, width in upward)
        self.out = nn.Conv2d(widths[0], classes, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                initialize(module)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h2 w2"]:
        maps = [self.down[0](x)]
        for level in self.down[1:]:
            maps.append(level(self.pool(maps[-1])))
        x = maps.pop()
        for block in self.up:
            x = block(x, maps.pop())
        return self.out(x)


def initialize(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Draw weights of deviation ``sqrt(2 / N)``, where ``N`` numbers come into one output of the layer."""
    # Each output of an up-convolution by two sees one pixel.
    seen = 1 if isinstance(layer, nn.ConvTranspose2d) else layer.weight[0, 0].numel()
    nn.init.normal_(layer.weight, std=(2 / (layer.in_channels * seen)) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
