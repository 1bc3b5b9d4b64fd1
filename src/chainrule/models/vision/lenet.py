"""LeNet-5, as it was and in its modern form.

LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition.

``lenet5-original`` is the paper's: ``C1 6@5x5 - S2 - C3 16@5x5 - S4 - C5 120@5x5 - F6 84 - RBF k``. The subsampling S
adds four pixels, times a learned coefficient, plus a learned bias; a map of C3 sees only some of the six below it;
``1.7159 tanh(2x/3)`` follows all of these. The output of a class is ``-|x - w|^2 / 2`` for its fixed code ``w`` of 84
numbers -1 and +1, the 7x12 picture of a digit. 60,000 parameters: 156 + 12 + 1,516 + 32 + 48,120 + 10,164.
Differs from the paper: the codes are drawn anew, and random for another number of classes than ten; half the distance
is taken negative, so that it is the logit of a softmax and cross-entropy replaces the paper's criterion (without its
class of rubbish); C5 covers the whole of S4 at any image size.

``lenet5`` is what is called so today: ``conv 6@5x5 - pool - conv 16@5x5 - pool - fc 120 - fc 84 - fc k``; 61,706
parameters for one channel and ten classes.
Differs from the paper: every map of the second convolution sees all six maps below it, max pooling replaces the
trainable subsampling, ReLU the scaled tanh, and a linear layer with softmax the fixed RBF output.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import output_shape, pair, sized_arguments
from chainrule.nn import activation as build_activation
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

PAPER = "LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition"

#: The maps of S2 that each map of C3 sees: three neighbours, four, four with gaps, all.
C3_SOURCES: tuple[tuple[int, ...], ...] = (
    *(tuple(sorted((first + step) % 6 for step in range(3))) for first in range(6)),
    *(tuple(sorted((first + step) % 6 for step in range(4))) for first in range(6)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)

#: The codes of the ten digits, 7 pixels wide and 12 high.
DIGITS = """
..###.. ...#... .#####. ####### .....#. ####### ..####. ####### .#####. .#####.
.#...#. ..##... #.....# ......# ....##. #...... .#..... #.....# #.....# #.....#
#.....# .#.#... ......# .....#. ...#.#. #...... #...... ......# #.....# #.....#
#.....# ...#... ......# ....#.. ..#..#. #...... #...... .....#. #.....# #.....#
#.....# ...#... .....#. ...#... .#...#. ######. #...... .....#. .#...#. #.....#
#.....# ...#... ....#.. ..####. #....#. ......# #.####. ....#.. ..###.. #....##
#.....# ...#... ...#... ......# #....#. ......# ##....# ....#.. .#...#. .####.#
#.....# ...#... ..#.... ......# ####### ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# .....#. ......# #.....# ...#... #.....# ......#
#.....# ...#... #...... ......# .....#. ......# #.....# ..#.... #.....# ......#
.#...#. ...#... #...... #.....# .....#. #.....# #.....# ..#.... #.....# .....#.
..###.. .#####. ####### .#####. .....#. .#####. .#####. ..#.... .#####. .####..
"""


@register(
    "model",
    "lenet5",
    family="vision",
    paper=PAPER,
    year=1998,
    inputs=("image",),
    targets=("classes", "labels", "real"),
    arguments=sized_arguments,
    shape=(1, 28, 28),
    parameters=61_706,
    smallest=28,
    tiny={"channels": 1, "classes": 3, "size": 16},
    sample=(2, 1, 16, 16),
)
class LeNet5(nn.Module):
    """LeNet-5, modern form.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        size: Height and width of the image in pixels, or one number for both; at least 12. The paper's 32 is a 28
            padded by 2, and so is every size here.
        activation: Any activation by name, of torch or ours; one for each layer.

    Raises:
        InputError: When the image is so small that a map vanishes.
    """

    def __init__(
        self, channels: int = 1, classes: int = 10, size: int | tuple[int, int] = 28, *, activation: str = "relu"
    ) -> None:
        super().__init__()
        height, width = pair(size)
        if min(height, width) < 12:
            raise InputError(
                f"LeNet5 needs images of at least 12x12 pixels, received {height}x{width}: "
                "after conv2 nothing would be left to pool; enlarge them."
            )
        maps = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
        self.conv1 = nn.Conv2d(channels, 6, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.acts = nn.ModuleList(build_activation(activation, channels=c) for c in (6, 16, 120, 84))
        self.fc1 = nn.Linear(maps, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = self.pool(self.acts[0](self.conv1(x)))  # b 6 h/2 w/2
        x = self.pool(self.acts[1](self.conv2(x)))  # b 16 (h/2-4)/2 (w/2-4)/2
        x = self.acts[2](self.fc1(x.flatten(1)))
        x = self.acts[3](self.fc2(x))
        return self.fc3(x)


class ScaledTanh(nn.Module):
    """``1.7159 tanh(2x/3)``, which takes -1 and +1 to themselves, where it bends most."""

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The sum over squares of 2x2 pixels, times a learned coefficient, plus a learned bias; a pair for each channel.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sum = nn.AvgPool2d(2, divisor_override=1)
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        uniform_(self.weight, fan_in=4)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.sum(x) * self.weight[:, None, None] + self.bias[:, None, None]


class PartialConv2d(nn.Module):
    """A convolution whose maps see some of the maps below; what they do not see has no weights.

    Args:
        channels: Channels that come in.
        sources: For each map that goes out, the channels that it sees.
        kernel_size: Height and width of the kernel.
    """

    places: Tensor

    def __init__(self, channels: int, sources: Sequence[Sequence[int]], *, kernel_size: int) -> None:
        super().__init__()
        self.shape = (len(sources), channels, kernel_size, kernel_size)
        places = [out * channels + source for out, seen in enumerate(sources) for source in seen]
        self.weight = nn.Parameter(torch.empty(len(places), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(len(sources)))
        self.register_buffer("places", torch.tensor(places))
        kernels = self.weight.split([len(seen) for seen in sources])
        for kernel in kernels:
            uniform_(kernel, fan_in=kernel.numel())

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        outs, channels, height, width = self.shape
        nothing = self.weight.new_zeros(outs * channels, height, width)
        return F.conv2d(x, nothing.index_copy(0, self.places, self.weight).view(self.shape), self.bias)


class RBFOutput(nn.Module):
    """Minus half the squared distance to each of some fixed codes: ``y_k = -|x - w_k|^2 / 2``.

    Args:
        codes: The code ``w_k`` of each class.
    """

    codes: Tensor

    def __init__(self, codes: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.register_buffer("codes", torch.tensor(codes))

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        # |x - w|^2 = |x|^2 - 2 x w + |w|^2 needs no [b, k, d].
        lengths = x.square().sum(dim=1, keepdim=True) + self.codes.square().sum(dim=1)
        return F.linear(x, self.codes) - lengths / 2


def codes(classes: int) -> list[list[float]]:
    """A code of 84 numbers -1 and +1 for each class: the ten digits, or random ones.

    Random codes differ in about half of the 84 numbers, more than most pairs of digits do.
    """
    if classes == 10:
        rows = [line.split() for line in DIGITS.split("\n") if line]
        return [[1.0 if pixel == "#" else -1.0 for row in rows for pixel in row[digit]] for digit in range(10)]
    coin = torch.Generator(device="cpu").manual_seed(1998)
    sides = torch.randint(2, (classes, 84), generator=coin, device="cpu")
    return (2.0 * sides - 1.0).tolist()


def uniform_(weight: Tensor, *, fan_in: int) -> None:
    """Draw weights between ``-2.4 / fan_in`` and ``2.4 / fan_in``, as the paper does."""
    with torch.no_grad():
        weight.uniform_(-2.4 / fan_in, 2.4 / fan_in)


@register(
    "model",
    "lenet5-original",
    family="vision",
    paper=PAPER,
    year=1998,
    inputs=("image",),
    # Distances are never positive, so they are no use as real numbers or as logits of yes and no.
    targets=("classes",),
    arguments=sized_arguments,
    shape=(1, 32, 32),
    parameters=60_000,
    smallest=32,
    tiny={"channels": 1, "classes": 3, "size": 16},
    sample=(2, 1, 16, 16),
)
class LeNet5Original(nn.Module):
    """LeNet-5 of 1998, with trainable subsampling, partial connections and fixed codes for the classes.

    Args:
        channels: Channels of the image.
        classes: Classes, ``k``; ten of them have the pictures of the digits for codes.
        size: Height and width of the image in pixels, or one number for both; at least 16. The paper's 32 is a digit
            of 20 with a wide border.

    Raises:
        InputError: When the image is so small that a map vanishes.
    """

    def __init__(self, channels: int = 1, classes: int = 10, size: int | tuple[int, int] = 32) -> None:
        super().__init__()
        c1 = nn.Conv2d(channels, 6, kernel_size=5)
        self.features = nn.Sequential(
            OrderedDict(
                c1=c1,
                act1=ScaledTanh(),
                s2=Subsampling(6),
                act2=ScaledTanh(),
                c3=PartialConv2d(6, C3_SOURCES, kernel_size=5),
                act3=ScaledTanh(),
                s4=Subsampling(16),
                act4=ScaledTanh(),
            )
        )
        maps, height, width = output_shape(self.features, (channels, *pair(size)), what="LeNet5Original")
        self.c5 = nn.Conv2d(maps, 120, kernel_size=(height, width))
        self.act5 = ScaledTanh()
        self.f6 = nn.Linear(120, 84)
        self.act6 = ScaledTanh()
        self.output = RBFOutput(codes(classes))
        for layer in (c1, self.c5, self.f6):
            uniform_(layer.weight, fan_in=layer.weight[0].numel())
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = self.act5(self.c5(self.features(x)))  # b 120 1 1
        return self.output(self.act6(self.f6(torch.flatten(x, 1))))
