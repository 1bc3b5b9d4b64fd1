"""EnzyNet, for volumes (Amidi, Amidi, Vlachakis, Megalooikonomou, Paragios and Zacharaki 2018).

EnzyNet: enzyme classification using 3D convolutional neural networks on spatial representation.

``conv 32@9x9x9/2 - dropout - conv 64@5x5x5 - max pool 2 - dropout - fc 128 - dropout - fc k``, with a leaky ReLU of
slope 0.1 after each convolution. A protein's backbone is drawn into a grid of 32x32x32, which becomes maps of sides 12,
8 and 4. 804,614 parameters for one channel and six classes: 23,360 + 256,064 + 524,416 + 774.
Differs from the paper: nothing from its code, in which no activation follows the layer of 128; a figure may show one.
There the weights carry a penalty ``0.001 w^2``, a setting of training: ``regularize="elastic(l2=0.001)"``.
"""

from collections import OrderedDict

import torch
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import output_shape, sized_arguments
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "model",
    "enzynet",
    family="vision",
    paper="Amidi, Amidi, Vlachakis, Megalooikonomou, Paragios, Zacharaki 2018, EnzyNet: enzyme classification using 3D "
    "convolutional neural networks on spatial representation",
    year=2018,
    inputs=("volume",),
    targets=("classes", "labels", "real"),
    arguments=sized_arguments,
    shape=(1, 32, 32, 32),
    parameters=804_614,
    smallest=19,
    tiny={"channels": 1, "classes": 3, "size": 19, "widths": (4, 8), "hidden": 16, "dropout": (0.0, 0.0, 0.0)},
    sample=(2, 1, 19, 19, 19),
)
class EnzyNet(nn.Module):
    """EnzyNet, a small network of 3-D convolutions.

    Args:
        channels: Channels of the volume.
        classes: Outputs, ``k``.
        size: Depth, height and width of the volume, or one number for all three; each at least 19.
        widths: Channels of the two convolutions.
        hidden: Units between the two linear layers.
        dropout: Dropped shares after the first convolution, the pooling and the first linear layer.

    Raises:
        InputError: When there are not two widths or three shares of dropout, or a map vanishes.
    """

    def __init__(
        self,
        channels: int = 1,
        classes: int = 6,
        size: int | tuple[int, int, int] = 32,
        *,
        widths: tuple[int, int] = (32, 64),
        hidden: int = 128,
        dropout: tuple[float, float, float] = (0.2, 0.3, 0.4),
    ) -> None:
        super().__init__()
        if len(widths) != 2 or len(dropout) != 3:
            raise InputError(
                f"EnzyNet has two convolutions and three dropouts, received widths={widths} and dropout={dropout}; "
                "write for instance widths=(32, 64), dropout=(0.2, 0.3, 0.4)."
            )
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv3d(channels, widths[0], kernel_size=9, stride=2),
                act1=nn.LeakyReLU(0.1, inplace=True),
                drop1=nn.Dropout(dropout[0]),
                conv2=nn.Conv3d(widths[0], widths[1], kernel_size=5),
                act2=nn.LeakyReLU(0.1, inplace=True),
                pool=nn.MaxPool3d(2),
                drop2=nn.Dropout(dropout[1]),
            )
        )
        sides = (size,) * 3 if isinstance(size, int) else tuple(size)
        maps, depth, height, width = output_shape(self.features, (channels, *sides), what="EnzyNet")
        self.fc1 = nn.Linear(maps * depth * height * width, hidden)
        self.drop3 = nn.Dropout(dropout[2])
        self.fc2 = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                # The channels are those of the volume for both, so the second starts larger than He's would.
                deviation = (2 / channels) ** 0.5 * module.kernel_size[0] ** -1.5
                nn.init.normal_(module.weight, std=deviation)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, nn.Conv3d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b k"]:
        x = torch.flatten(self.features(x), 1)
        return self.fc2(self.drop3(self.fc1(x)))
