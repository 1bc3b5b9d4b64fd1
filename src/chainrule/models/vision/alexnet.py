"""AlexNet and three networks that came out of it.

Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional neural networks::

    conv 96@11x11 s4 - norm - pool - conv 256@5x5 - norm - pool
    - conv 384@3x3 - conv 384@3x3 - conv 256@3x3 - pool - fc 4096 - fc 4096 - fc k

with ReLU after each layer but the last, overlapping 3x3 max pooling of stride 2, and dropout on both hidden fully
connected layers. ``norm`` divides ``x`` by ``(k + alpha S)^beta``, ``S`` the sum of squares over five neighbouring
channels; torch divides its ``alpha`` by the number of channels, so the paper's 1e-4 is written 5e-4 here. The paper
splits the second, fourth and fifth convolution between two GPUs, which is a convolution in two groups. An image of 227
pixels (the paper says 224, which its strides do not give) has maps of 55, 27, 13, 13 and 13 pixels, and 6 at the end.

=====================  ==========  =================================================================================
row                    parameters
=====================  ==========  =================================================================================
`alexnet`              60,965,224  the paper's
`alexnet-single`       62,378,344  one group
`caffenet`             60,965,224  Jia et al. 2014: pooling before normalization, ``k = 1``, Caffe's ``alpha``
`alexnet-torchvision`  61,100,840  Krizhevsky 2014: widths 64-192-384-256-256, no groups, no normalization
=====================  ==========  =================================================================================

Differs from the paper: He's initialization with biases of 0, where the paper has deviation 0.01 and biases of 0 and 1;
images of other sizes are taken, too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from chainrule.errors import UnknownNameError
from chainrule.models.vision.arithmetic import image_arguments, output_shape, pair, sized_arguments
from chainrule.nn import init
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def response_norm() -> nn.LocalResponseNorm:
    """Normalization across five neighbouring channels, with the numbers of AlexNet's paper."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def norm_pool() -> list[nn.Module]:
    """Normalization, then pooling, as in AlexNet's paper."""
    return [response_norm(), nn.MaxPool2d(3, stride=2)]


def pool_norm() -> list[nn.Module]:
    """Pooling, then normalization, with the numbers of Caffe's reference network."""
    return [nn.MaxPool2d(3, stride=2), nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)]


def pool_only() -> list[nn.Module]:
    """Pooling without normalization."""
    return [nn.MaxPool2d(3, stride=2)]


#: What follows the first two convolutions, by name.
REDUCTIONS: dict[str, Callable[[], list[nn.Module]]] = {
    "norm-pool": norm_pool,
    "pool-norm": pool_norm,
    "pool": pool_only,
}


def hidden_layers(inputs: int, hidden: int, classes: int, dropout: float) -> nn.Sequential:
    """Two hidden fully connected layers with ReLU and dropout, and the output: what the networks of these years end in.

    Args:
        inputs: Numbers in the flattened map.
        hidden: Units of each hidden layer.
        classes: Outputs.
        dropout: Share of hidden units dropped while training.
    """
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )


class AlexNet(nn.Module):
    """AlexNet of 2012.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        size: Height and width of the image in pixels, or one number for both; at least 67.
        widths: Channels of the five convolutions.
        groups: Groups of the second, fourth and fifth convolution; 1 joins the two towers of the paper.
        reduction: What follows the first two convolutions: ``"norm-pool"``, ``"pool-norm"`` or ``"pool"``.
        hidden: Units of both hidden fully connected layers.
        dropout: Share of hidden units dropped while training.

    Raises:
        InputError: When a map vanishes on the way, or there is no such reduction.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        size: int | tuple[int, int] = 227,
        *,
        widths: Sequence[int] = (96, 256, 384, 384, 256),
        groups: int = 2,
        reduction: str = "norm-pool",
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise UnknownNameError("reduction", reduction, REDUCTIONS)
        reduce = REDUCTIONS[reduction]
        w1, w2, w3, w4, w5 = widths
        self.features = nn.Sequential(
            nn.Conv2d(channels, w1, kernel_size=11, stride=4),
            nn.ReLU(inplace=True),
            *reduce(),
            nn.Conv2d(w1, w2, kernel_size=5, padding=2, groups=groups),
            nn.ReLU(inplace=True),
            *reduce(),
            nn.Conv2d(w2, w3, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w3, w4, kernel_size=3, padding=1, groups=groups),
            nn.ReLU(inplace=True),
            nn.Conv2d(w4, w5, kernel_size=3, padding=1, groups=groups),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        maps, height, width = output_shape(self.features, (channels, *pair(size)), what="AlexNet")
        self.classifier = hidden_layers(maps * height * width, hidden, classes, dropout)
        init.apply(self, "kaiming")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.classifier(torch.flatten(self.features(x), 1))


class AlexNetOneTower(nn.Module):
    """AlexNet of 2014, narrower and without groups and normalization; the one of torchvision.

    The last map is averaged or repeated to 6x6, so that images of any size are taken.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        widths: Channels of the five convolutions.
        hidden: Units of both hidden fully connected layers.
        dropout: Share dropped while training, of the last maps and of the first hidden layer.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 1000,
        *,
        widths: Sequence[int] = (64, 192, 384, 256, 256),
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = widths
        self.features = nn.Sequential(
            nn.Conv2d(channels, w1, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(w1, w2, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(w2, w3, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w3, w4, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(w4, w5, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(w5 * 6 * 6, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )
        init.apply(self, "kaiming")

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


ALEXNET = "Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep convolutional neural networks"
CAFFE = "Jia, Shelhamer, Donahue et al. 2014, Caffe: Convolutional architecture for fast feature embedding"
TINY: dict[str, Any] = {"channels": 1, "classes": 3, "widths": (8, 8, 8, 8, 8), "hidden": 16, "dropout": 0.0}

# name: (what it is, paper, year, options, parameters)
VARIANTS: dict[str, tuple[str, str, int, dict[str, Any], int]] = {
    "alexnet": ("AlexNet: the paper's, in two groups.", ALEXNET, 2012, {}, 60_965_224),
    "alexnet-single": ("AlexNet in one group, as on one GPU.", ALEXNET, 2012, {"groups": 1}, 62_378_344),
    "caffenet": (
        "CaffeNet: AlexNet with pooling before normalization.",
        CAFFE,
        2014,
        {"reduction": "pool-norm"},
        60_965_224,
    ),
}

for _name, (_about, _paper, _year, _preset, _parameters) in VARIANTS.items():
    register(
        "model",
        _name,
        family="vision",
        about=_about,
        paper=_paper,
        year=_year,
        inputs=("image",),
        targets=("classes", "labels", "real"),
        arguments=sized_arguments,
        preset=_preset,
        shape=(3, 227, 227),
        parameters=_parameters,
        smallest=67,
        tiny={**TINY, "size": 67},
        sample=(2, 1, 67, 67),
    )(AlexNet)

register(
    "model",
    "alexnet-torchvision",
    family="vision",
    paper="Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks",
    year=2014,
    inputs=("image",),
    targets=("classes", "labels", "real"),
    arguments=image_arguments,
    shape=(3, 224, 224),
    parameters=61_100_840,
    smallest=63,
    tiny=TINY,
    sample=(2, 1, 63, 63),
    peer="torchvision.models.alexnet",
    public="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
)(AlexNetOneTower)
