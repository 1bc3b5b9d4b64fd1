"""ResNet for small images (He, Zhang, Ren and Sun 2016, Deep residual learning for image recognition, section 4.2).

``conv 16@3x3``, three stages of ``n`` blocks with 16, 32 and 64 channels (the second and third halve the map), average
pooling, linear layer: ``6 n + 2`` weighted layers. A block is ``relu(x + bn(conv(relu(bn(conv(x))))))``. Where the size
changes, shortcut A subsamples the input and pads the new channels with zeros: 269,722 parameters for n = 3, ten
classes. Differs from the paper: nothing.
"""

import torch.nn.functional as F
from torch import nn

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


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Args:
        channels: Channels that come in.
        out_channels: Channels that go out.
        stride: Stride of the first convolution.
    """

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        same = stride == 1 and channels == out_channels
        self.shortcut = nn.Identity() if same else ShortcutA(channels, out_channels, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class ResNetCifar(nn.Module):
    """ResNet in its CIFAR form, ``6 blocks + 2`` layers deep.

    Args:
        blocks: Blocks in each of the three stages, ``n``.
        channels: Channels of the image.
        classes: Outputs, ``k``.
        width: Channels of the first stage.
    """

    def __init__(self, blocks: int = 3, channels: int = 3, classes: int = 10, *, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(blocks, width, width, stride=1)
        self.layer2 = self._stage(blocks, width, 2 * width, stride=2)
        self.layer3 = self._stage(blocks, 2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    @staticmethod
    def _stage(blocks: int, channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
        first = BasicBlock(channels, out_channels, stride)
        return nn.Sequential(first, *(BasicBlock(out_channels, out_channels, 1) for _ in range(blocks - 1)))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean(dim=(2, 3)))


@register(
    "model",
    "resnet20",
    family="vision",
    paper="He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition",
    year=2016,
    inputs=("image",),
    targets=("classes", "labels", "real"),
    arguments=lambda inputs, target: {"channels": inputs.channels, "classes": len(target.names)},
    smallest=16,
    tiny={"channels": 1, "classes": 3, "width": 4},
    sample=(2, 1, 8, 8),
)
def resnet20(channels: int = 3, classes: int = 10, *, width: int = 16) -> ResNetCifar:
    """ResNet-20 for small images: three blocks a stage."""
    return ResNetCifar(blocks=3, channels=channels, classes=classes, width=width)
