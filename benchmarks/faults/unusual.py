"""Data, losses and networks of the honest programs that look unusual."""

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.faults import images, sequences, tables
from benchmarks.faults.case import Pair, Parts, filled, mlp, parted
from sklearn import datasets
from torch import Tensor, nn


def focal(outputs: Tensor, y: Tensor) -> Tensor:
    """Focal loss with exponent 2."""
    loss = F.cross_entropy(outputs, y, reduction="none")
    return ((1 - torch.exp(-loss)) ** 2 * loss).mean()


def heteroscedastic(outputs: Tensor, y: Tensor) -> Tensor:
    """Negative log-likelihood of a normal distribution whose mean and log-variance are the outputs."""
    mean, spread = outputs[:, :1], outputs[:, 1:]
    return (spread + (y - mean) ** 2 / spread.exp()).mean() / 2


def rare() -> Parts:
    """Two classes, one of 15 to the other's 1."""
    return parted(*datasets.make_classification(
        1600, 10, n_informative=6, weights=[0.94], class_sep=2.0, flip_y=0.0, random_state=0))  # fmt: skip


def labels() -> Parts:
    """Rows with several labels each."""
    x, y = datasets.make_multilabel_classification(900, 20, n_classes=5, random_state=0)
    return parted(x, y.astype("float32"))


def noisy(*, flips: float = 0.0) -> Parts:
    """A regression of which noise is most, or classes with some wrong labels."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(900, 8))
    y = 0.5 * x[:, 0] + 0.3 * np.abs(x[:, 1]) + draw.normal(size=900)
    if not flips:
        return parted(x, (y / y.std())[:, None])
    classes = (x[:, 0] + x[:, 1] * x[:, 2] > 0) ^ (draw.random(900) < flips)
    return parted(x, classes.astype("int64"))


def signs() -> Parts:
    """Breast cancer with targets -1 and 1."""
    (x, y), (z, v) = tables.cancer()
    return (x, y * 2 - 1), (z, v * 2 - 1)


def counts() -> Parts:
    """Counts whose logarithm is linear."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(900, 6))
    return parted(x, draw.poisson(np.exp(0.6 * x[:, 0] - 0.4 * x[:, 1] + 0.5)).astype("float32")[:, None])


def pairs() -> Parts:
    """Two digits, and whether they are of one class."""
    (x, y), (z, v) = images.digits()

    def joined(x: Tensor, y: Tensor) -> Pair:
        draw = torch.Generator().manual_seed(0)
        x, y = x.repeat(4, 1, 1, 1), y.repeat(4)
        other = torch.randperm(len(y), generator=draw)
        same = torch.stack([torch.nonzero(y == c)[0, 0] for c in range(10)])[y]
        other = torch.where(torch.rand(len(y), generator=draw) < 0.45, same, other)
        return torch.cat((x, x[other]), dim=1), (y == y[other]).float()[:, None]

    return joined(x, y), joined(z, v)


def spots() -> Parts:
    """Images with a bright square; each pixel is of it or not."""
    draw = torch.Generator().manual_seed(0)
    y = torch.zeros(300, 12, 12, dtype=torch.long)
    for image, (a, b) in zip(y, torch.randint(0, 7, (300, 2), generator=draw).tolist(), strict=True):
        image[a : a + 5, b : b + 5] = 1
    return parted(y[:, None] + 0.6 * torch.randn(300, 1, 12, 12, generator=draw), y, standardised=False)


def hot() -> Parts:
    """Wine with targets of 0 and 1 for each class."""
    (x, y), (z, v) = tables.wine()
    return (x, F.one_hot(y, 3).float()), (z, F.one_hot(v, 3).float())


def categories() -> Parts:
    """Three categories a row; the class comes from two of them."""
    x = torch.randint(12, (900, 3), generator=torch.Generator().manual_seed(0))
    return parted(x, ((x[:, 0] % 2 + x[:, 1] % 3) % 3), standardised=False)


def running() -> Parts:
    """Sequences of numbers, and their running sums."""
    (x, _), (z, _) = sequences.sums()
    return (x, x.cumsum(1) / 3), (z, z.cumsum(1) / 3)


def limited() -> Parts:
    """Values of a curve between -1 and 1."""
    x = torch.randn(800, 4, generator=torch.Generator().manual_seed(0))
    return parted(x, torch.sin(x[:, :1] + x[:, 1:2]), standardised=False)


def flat_cancer() -> Parts:
    """Breast cancer with targets ``[n]``."""
    (x, y), (z, v) = tables.cancer()
    return (x, y[:, 0]), (z, v[:, 0])


def double_diabetes() -> Parts:
    """Diabetes in float64."""
    (x, y), (z, v) = tables.diabetes()
    return (x.double(), y.double()), (z.double(), v.double())


class Tied(nn.Module):
    """An autoencoder whose decoder is the encoder's matrix, turned."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.inner, self.outer = (
            nn.Parameter(0.1 * torch.randn(12, 64)), nn.Parameter(torch.zeros(12)), nn.Parameter(torch.zeros(64)),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.weight, self.inner), self.weight.T, self.outer)


class Residual(nn.Module):
    """Dense residual blocks with layer normalisation, the last layer of each starting at zero.

    Args:
        width: Units.
        depth: Blocks.
        shared: Whether all blocks are one.
    """

    def __init__(self, inputs: int, outputs: int, *, width: int = 32, depth: int = 12, shared: bool = False) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(inputs, width), nn.Linear(width, outputs)
        made = [mlp(width, width, width) for _ in range(1 if shared else depth)]
        for block in made:
            nn.init.zeros_(block[-1].weight)  # type: ignore[index]
        self.blocks, self.depth = nn.ModuleList(made), depth
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        for step in range(self.depth):
            h = h + self.blocks[step % len(self.blocks)](self.norm(h))
        return self.head(h)


class Siamese(nn.Module):
    """One network for both images; the answer is read from their distance."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), mlp(64, 64, 16))
        self.fc = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((self.body(x[:, 0]) - self.body(x[:, 1])).abs())


class Scaled(nn.Module):
    """A network that scales its images itself."""

    def __init__(self, net: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.net, self.mean, self.std = net, mean, std

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x - self.mean) / self.std)


class Fourier(nn.Module):
    """Random features that stay as they are, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Buffer(torch.randn(2, 64) * 2)
        self.fc = nn.Linear(128, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = x @ self.mix
        return self.fc(torch.cat((h.sin(), h.cos()), dim=1))


class Steps(nn.Module):
    """A GRU that answers at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(1, 24, batch_first=True), nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x)[0])


def finetuned() -> nn.Module:
    """The pretrained body with a new head, all of which learns."""
    model = images.with_head()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model


def selu() -> nn.Module:
    """A self-normalising network."""
    model = nn.Sequential(
        nn.Linear(20, 48), nn.SELU(), nn.AlphaDropout(0.05), nn.Linear(48, 48), nn.SELU(), nn.Linear(48, 4)
    )
    return filled(model, partial(nn.init.kaiming_normal_, nonlinearity="linear"), nn.init.zeros_)


def head_at_zero() -> nn.Module:
    """A network whose head starts at zero."""
    model: Any = mlp(20, 64, 64, 4)
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    return model


def segmenter() -> nn.Module:
    """Convolutions that keep the size of the image."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 12, 3, padding=2, dilation=2),
        nn.ReLU(), nn.Conv2d(12, 2, 1),
    )  # fmt: skip


def grouped() -> nn.Module:
    """Group normalisation, for small batches."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
