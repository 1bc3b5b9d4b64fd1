"""ResNet for small images (He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition, section 4.2).

``conv 16@3x3``, three stages of ``n`` blocks with 16, 32 and 64 channels (the second and third halve the map), average
pooling, linear layer: ``6 n + 2`` weighted layers. A block is ``relu(x + bn(conv(relu(bn(conv(x))))))``; in a plain net
it lacks the ``x +``. Where the size changes, shortcut A subsamples the input and pads the new channels with zeros
(269,722 parameters for n = 3, ten classes), shortcut B projects it (272,474).
Differs from the paper: nothing.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import nn

from chainrule.errors import UnknownNameError
from chainrule.models.vision.arithmetic import image_arguments
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


class ShortcutA(nn.Module):
    """Every second pixel, and zeros for the channels that are new: a shortcut without parameters.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        stride: Step of the subsampling.
    """

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.new, self.stride = out_channels - channels, stride

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))


class ShortcutB(nn.Module):
    """A 1x1 convolution and batch normalization.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        stride: Stride of the convolution.
    """

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, kernel_size=1, stride=stride, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return self.bn(self.conv(x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        stride: Stride of the first convolution.
        shortcut: Makes the shortcut where the size changes; elsewhere it is the identity.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        stride: int,
        *,
        shortcut: Callable[[int, int, int], nn.Module] = ShortcutA,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        same = stride == 1 and channels == out_channels
        self.shortcut = nn.Identity() if same else shortcut(channels, out_channels, stride)
        self.act2 = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.act2(y + self.shortcut(x))


def plain_block(channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """The same two convolutions without a shortcut."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False),
            bn1=nn.BatchNorm2d(out_channels),
            act1=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
            bn2=nn.BatchNorm2d(out_channels),
            act2=nn.ReLU(inplace=True),
        )
    )


#: The block of each kind of shortcut.
SHORTCUTS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "A": partial(BasicBlock, shortcut=ShortcutA),
    "B": partial(BasicBlock, shortcut=ShortcutB),
    "none": plain_block,
}


class ResNetCifar(nn.Module):
    """ResNet in its CIFAR form, ``6 blocks + 2`` layers deep.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        blocks: Blocks in each of the three stages, ``n``.
        width: Channels of the first stage.
        shortcut: ``"A"`` pads with zeros, ``"B"`` projects, ``"none"`` makes a plain net.

    Raises:
        UnknownNameError: When there is no such shortcut.
    """

    def __init__(
        self, channels: int = 3, classes: int = 10, *, blocks: int = 3, width: int = 16, shortcut: str = "A"
    ) -> None:
        super().__init__()
        if shortcut not in SHORTCUTS:
            raise UnknownNameError("shortcut", shortcut, SHORTCUTS)
        block = SHORTCUTS[shortcut]

        def stage(before: int, after: int, stride: int) -> nn.Sequential:
            return nn.Sequential(block(before, after, stride), *(block(after, after, 1) for _ in range(blocks - 1)))

        self.conv1 = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.layer1 = stage(width, width, 1)
        self.layer2 = stage(width, 2 * width, 2)
        self.layer3 = stage(2 * width, 4 * width, 2)
        self.fc = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean(dim=(2, 3)))


TINY: dict[str, Any] = {"channels": 1, "classes": 3, "width": 4, "blocks": 1}

# name: (what it is, options, parameters, tiny options)
VARIANTS: dict[str, tuple[str, dict[str, Any], int, dict[str, Any]]] = {
    "resnet20": ("ResNet-20 for small images: three blocks a stage.", {"blocks": 3}, 269_722, {"blocks": 2}),
    "resnet32": ("ResNet-32 for small images: five blocks a stage.", {"blocks": 5}, 464_154, {}),
    "resnet44": ("ResNet-44 for small images: seven blocks a stage.", {"blocks": 7}, 658_586, {}),
    "resnet56": ("ResNet-56 for small images: nine blocks a stage.", {"blocks": 9}, 853_018, {}),
    # The row whose tiny network has the other shortcut, which is no row of its own.
    "resnet110": ("ResNet-110 for small images: 18 blocks a stage.", {"blocks": 18}, 1_727_962, {"shortcut": "B"}),
    "resnet1202": ("ResNet-1202 for small images: 200 blocks a stage.", {"blocks": 200}, 19_421_274, {}),
    "plain20": ("ResNet-20 without its shortcuts.", {"blocks": 3, "shortcut": "none"}, 269_722, {}),
    "plain56": ("ResNet-56 without its shortcuts.", {"blocks": 9, "shortcut": "none"}, 853_018, {}),
}

for _name, (_about, _preset, _parameters, _tiny) in VARIANTS.items():
    register(
        "model",
        _name,
        family="vision",
        about=_about,
        paper="He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition",
        year=2016,
        inputs=("image",),
        targets=("classes", "labels", "real"),
        arguments=image_arguments,
        preset=_preset,
        shape=(3, 32, 32),
        parameters=_parameters,
        smallest=16,
        tiny={**TINY, **_tiny},
        sample=(2, 1, 8, 8),
    )(ResNetCifar)
