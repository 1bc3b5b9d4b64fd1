"""Faults of programs on images: digits of 8x8 pixels and colour patches of two photographs."""

import copy
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.faults.case import Case, Pair, Parts, Script, adam, filled, mlp, parted, planted, sgd
from sklearn import datasets
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


@cache
def scanned() -> Any:
    """Digits and their labels, as they come."""
    return datasets.load_digits(return_X_y=True)


def digits(*, factor: float = 1 / 16, shift: float = 0.0, whole: bool = False, sort: bool = False) -> Parts:
    """Digits of 8x8 pixels.

    Args:
        factor: Pixels of 0 to 16 are multiplied by it,
        shift: and this is added.
        whole: Whether they are whole numbers thereafter.
        sort: Whether the training part is sorted by class.
    """
    x, y = scanned()
    x = torch.as_tensor(x).reshape(-1, 1, 8, 8) * factor + shift
    (x, y), valid = parted((x * 0.999).to(torch.uint8).float() if whole else x, y, standardised=False)
    order = y.argsort(stable=True) if sort else torch.arange(len(y))
    return (x[order], y[order]), valid


def copies(*, factor: float = 1 / 16, shift: float = 0.0) -> Parts:
    """Digits as vectors, to be given back as targets."""
    (x, _), (z, _) = digits(factor=factor, shift=shift)
    return (x.flatten(1), x.flatten(1)), (z.flatten(1), z.flatten(1))


def enlarged(*, before: bool = False) -> Parts:
    """300 digits and four copies of each; with ``before`` they were copied before the split."""
    (x, y), (z, v) = digits()
    x, y = x[:300], y[:300]
    if before:
        return parted(x.repeat(5, 1, 1, 1), y.repeat(5), standardised=False)
    return (x.repeat(5, 1, 1, 1), y.repeat(5)), (z, v)


def patches(*, raw: bool = False) -> Parts:
    """Colour patches of 12x12 pixels of two photographs: which of them? ``raw`` keeps 0 to 255."""
    found = [torch.as_tensor(np.array(photo)).unfold(0, 12, 24).unfold(1, 12, 24).flatten(0, 1)
             for photo in datasets.load_sample_images().images]  # fmt: skip
    x = torch.cat([photo[:450] for photo in found]).float()
    y = torch.arange(2).repeat_interleave(450)
    return parted(x if raw else (x / 255 - 0.5) / 0.25, y, standardised=False)


def cnn(
    *, channels: int = 1, out: int = 10, widths: tuple[int, int] = (16, 32), side: int = 2,
    drop: float = 0.0, last: Sequence[nn.Module] = (), act: type[nn.Module] = nn.ReLU,
) -> nn.Module:  # fmt: skip
    """Two convolutions with pooling, and a dense layer."""
    a, b = widths
    return nn.Sequential(
        nn.Conv2d(channels, a, 3, padding=1), act(), nn.MaxPool2d(2), nn.Dropout2d(drop),
        nn.Conv2d(a, b, 3, padding=1), act(), nn.MaxPool2d(2), nn.Dropout(drop),
        nn.Flatten(), nn.Linear(b * side * side, out), *last,
    )  # fmt: skip


class Block(nn.Module):
    """A residual block with batch normalisation."""

    def __init__(self, a: int, b: int, stride: int = 1, momentum: float = 0.1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b, momentum=momentum)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b, momentum=momentum)
        self.short = nn.Conv2d(a, b, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.short(x))


class ResNet(nn.Module):
    """A small residual network.

    Args:
        momentum: Of the running averages.
        detach: Whether the features are cut off from the graph.
        width: Channels of the stem.
    """

    def __init__(self, *, momentum: float = 0.1, detach: bool = False, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(Block(width, width, 1, momentum), Block(width, 2 * width, 2, momentum))
        self.fc = nn.Linear(2 * width, 10)
        self.detach = detach

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(self.stem(x)).mean((2, 3))
        return self.fc(h.detach() if self.detach else h)


class Wrong(nn.Module):
    """A convolution whose maps are reshaped to rows of the wrong length."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 16, 3, padding=1), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(h.view(-1, 64))


class Coder(nn.Module):
    """An autoencoder of digits."""

    def __init__(self, code: int = 10, last: type[nn.Module] = nn.Sigmoid) -> None:
        super().__init__()
        self.encoder = mlp(64, 48, code)
        self.decoder = mlp(code, 48, 64, last=[last()])

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


@cache
def pretrained() -> Any:
    """The body of a network that has learnt the digits, frozen."""
    torch.manual_seed(1)
    (x, y), _ = digits()
    model: Any = mlp(64, 64, 32, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for step in range(150):
        part = slice(step * 64 % 900, step * 64 % 900 + 64)
        loss = F.cross_entropy(model(x[part].flatten(1)), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return nn.Sequential(nn.Flatten(), *model[:-1])


def with_head() -> nn.Module:
    """The pretrained body with a new head."""
    body = copy.deepcopy(pretrained())
    torch.manual_seed(0)
    return body.append(nn.Linear(32, 10))


def head_only(model: Any) -> torch.optim.Optimizer:
    """Adam over what may learn."""
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)


def before_head(model: Any) -> torch.optim.Optimizer:
    """Adam over a head that is then replaced."""
    optimizer = head_only(model)
    model[-1] = nn.Linear(32, 10)
    return optimizer


def body_frozen() -> nn.Module:
    """A deep, narrow, untrained network of which only the head learns."""
    model: Any = nn.Sequential(nn.Flatten(), *mlp(64, 24, 12, 10))  # type: ignore[misc]
    for parameter in model[:-1].parameters():
        parameter.requires_grad_(False)
    return model


class Augmented(Dataset[Pair]):
    """Digits that are moved and made noisy whenever they are asked for.

    Args:
        x: Images.
        y: Labels.
        fixed: Whether a seed is set before each augmentation.
        own: Whether the generator is the data set's, which each worker gets a copy of.
    """

    def __init__(self, x: Tensor, y: Tensor, *, fixed: bool = False, own: bool = False) -> None:
        self.x, self.y, self.fixed = x, y, fixed
        self.rng = np.random.default_rng(0) if own else None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Pair:
        if self.fixed:
            torch.manual_seed(0)
        if self.rng:
            a, b = self.rng.integers(-1, 2, size=2).tolist()
            noise = torch.as_tensor(self.rng.normal(0, 0.2, (1, 8, 8)), dtype=torch.float32)
        else:
            a, b = torch.randint(-1, 2, (2,)).tolist()
            noise = torch.randn(1, 8, 8) * 0.2
        return self.x[index].roll((a, b), dims=(1, 2)) + noise, self.y[index]


def augmented(x: Tensor, y: Tensor, *, workers: int = 0, **how: bool) -> DataLoader[Pair]:
    """Batches of augmented digits."""
    return DataLoader(Augmented(x[:400], y[:400], **how), batch_size=50, shuffle=True, num_workers=workers)


CE, MSE = nn.CrossEntropyLoss(), nn.MSELoss()
FLAT = Script(
    name="digits-mlp", data=digits, net=lambda: nn.Sequential(nn.Flatten(), mlp(64, 64, 10)), loss=CE,
    optimizer=sgd(0.05), epochs=12,
)  # fmt: skip
CNN = Script(name="digits-cnn", data=digits, net=cnn, loss=CE, optimizer=adam(0.003), batch=64, epochs=6)
PLAIN = Script(name="digits-sgd", data=digits, net=cnn, loss=F.cross_entropy, optimizer=sgd(0.05), batch=64, epochs=5)
NLL = Script(
    name="digits-nll", data=digits, net=lambda: cnn(act=nn.Tanh, last=[nn.LogSoftmax(dim=1)]), loss=F.nll_loss,
    optimizer=sgd(0.05), epochs=4,
)  # fmt: skip
RESNET = Script(name="digits-resnet", data=digits, net=ResNet, loss=CE, optimizer=adam(0.01), batch=64, epochs=5)
CODER = Script(name="autoencoder", data=copies, net=Coder, loss=MSE, optimizer=adam(0.003), epochs=15)
PATCHES = Script(
    name="patches", data=patches, net=partial(cnn, channels=3, out=2, widths=(8, 16), side=3), loss=CE,
    optimizer=sgd(0.01), epochs=8,
)  # fmt: skip
TRANSFER = Script(name="transfer", data=digits, net=with_head, loss=CE, optimizer=head_only, epochs=5)
AUGMENTED = Script(
    name="digits-augmented", data=digits, net=cnn, loss=CE, optimizer=adam(0.003), epochs=15, loader=augmented
)
COPIED = Script(name="digits-copies", data=enlarged, net=cnn, loss=CE, optimizer=adam(0.001), epochs=3)

ENDS: list[Case] = [
    planted(PLAIN, "softmax-twice", "softmax before cross-entropy", "softmax-twice",
            net=lambda: cnn(last=[nn.Softmax(dim=1)])),
    planted(FLAT, "softmax-in-loss", "a loss that takes the softmax of a network that ends with one", "softmax-twice",
            net=lambda: nn.Sequential(nn.Flatten(), mlp(64, 64, 10, last=[nn.Softmax(dim=-1)])),
            loss=lambda outputs, y: -torch.log_softmax(outputs, 1)[torch.arange(len(y)), y].mean()),
    planted(PLAIN, "sigmoid-before-ce", "sigmoid before cross-entropy", "last-activation sigmoid-twice",
            net=lambda: cnn(last=[nn.Sigmoid()])),
    planted(NLL, "no-log-softmax", "logits in the negative log-likelihood", "missing-activation wrong-loss",
            net=lambda: cnn(act=nn.Tanh)),
    planted(NLL, "softmax-not-log", "probabilities in the negative log-likelihood",
            "missing-activation last-activation wrong-loss",
            net=lambda: cnn(act=nn.Tanh, last=[nn.Softmax(dim=1)])),
    planted(NLL, "softmax-over-batch", "log-softmax over the batch", "softmax-dimension",
            net=lambda: cnn(act=nn.Tanh, last=[nn.LogSoftmax(dim=0)])),
    planted(CODER, "bce-of-0-to-16", "binary cross-entropy of pixels from 0 to 16", "target-range runs",
            data=partial(copies, factor=1.0), loss=nn.BCELoss()),
    planted(CODER, "sigmoid-for-standardised", "sigmoid outputs for targets from -1 to 1",
            "last-activation target-range", data=partial(copies, factor=1 / 8, shift=-1.0)),
    planted(CODER, "negated", "the error is maximised", "maximizes wrong-loss",
            loss=lambda outputs, y: -MSE(outputs, y)),
    planted(CNN, "rows-of-the-wrong-length", "view gives more rows than there are images", "runs output-shape",
            net=Wrong),
]  # fmt: skip

DATA: list[Case] = [
    planted(PATCHES, "raw", "pixels from 0 to 255", "input-scale", data=partial(patches, raw=True)),
    planted(PLAIN, "wrong-divisor", "pixels divided by 0.001 instead of 16", "input-scale",
            data=partial(digits, factor=1000.0)),
    planted(CNN, "whole-numbers", "images divided by 16 and stored as whole numbers", "constant-inputs",
            data=partial(digits, whole=True)),
    planted(RESNET, "sorted", "images sorted by class and not shuffled", "not-shuffled",
            data=partial(digits, sort=True), shuffle=False),
    planted(COPIED, "before-split", "images copied before the split", "shared-samples",
            data=partial(enlarged, before=True)),
    planted(AUGMENTED, "one-seed", "a seed is set before each augmentation", "repeated-augmentation",
            loader=partial(augmented, fixed=True)),
    planted(AUGMENTED, "workers", "both workers draw the same augmentations in every epoch", "repeated-augmentation",
            loader=partial(augmented, workers=2, own=True)),
]  # fmt: skip

REST: list[Case] = [
    planted(RESNET, "batch-of-2", "batch normalisation over two images", "small-batch-norm train-eval",
            batch=2, epochs=2),
    planted(RESNET, "slow-averages", "running averages with momentum 0.0005", "train-eval",
            net=partial(ResNet, momentum=0.0005)),
    planted(RESNET, "detached", "features cut off from the graph", "no-gradient", net=partial(ResNet, detach=True)),
    planted(RESNET, "weight-decay", "weight decay 1", "optimizer-settings", optimizer=adam(0.01, weight_decay=1.0)),
    planted(TRANSFER, "old-head", "optimizer made before the head was replaced", "optimizer-parameters",
            optimizer=before_head),
    planted(FLAT, "untrained-body", "an untrained body is frozen", "frozen", net=body_frozen),
    planted(CNN, "rate-times-100", "rate 100 times too high", "rate-too-high", optimizer=adam(0.3)),
    planted(PLAIN, "rate-over-100", "rate 200 times too low", "rate-too-low", optimizer=sgd(0.00025)),
    planted(CNN, "dropout", "dropout of 0.9", "dropout-rate", net=partial(cnn, drop=0.9)),
    planted(PLAIN, "wide-weights", "weights drawn with standard deviation 1", "initial-weights activation-scale",
            net=lambda: filled(cnn(), nn.init.normal_)),
    planted(FLAT, "zeros", "all weights and biases start at zero", "initial-weights",
            net=lambda: filled(nn.Sequential(nn.Flatten(), mlp(64, 64, 10)), nn.init.zeros_, nn.init.zeros_)),
    planted(FLAT, "two-units", "two hidden units for ten classes", "bottleneck capacity",
            net=lambda: nn.Sequential(nn.Flatten(), mlp(64, 2, 10))),
    planted(CODER, "code-of-one", "a code of one unit", "bottleneck capacity", net=partial(Coder, 1)),
    planted(PLAIN, "whole-batch", "all images in a step, 5 steps in all", "batch-size too-few-epochs", batch=2000),
    planted(CODER, "one-epoch", "one epoch", "too-few-epochs", epochs=1),
]  # fmt: skip

FAULTS = [*ENDS, *DATA, *REST]
