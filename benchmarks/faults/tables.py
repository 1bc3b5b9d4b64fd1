"""Faults of programs on tables: dense networks on measured and on drawn rows."""

from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.faults.case import Case, Parts, Script, adam, filled, mlp, parted, planted, sgd
from sklearn import datasets
from torch import Tensor, nn


def iris(*, first: int = 0, holes: bool = False, **more: Any) -> Parts:
    """Iris; labels from ``first``; with ``holes`` one value in fifty is missing."""
    x, y = datasets.load_iris(return_X_y=True)
    (x, y), valid = parted(x, y + first, **more)
    if holes:
        x[::12, 2] = float("nan")
    return (x, y), valid


def wine(*, shared: bool = False, **more: Any) -> Parts:
    """Wine; with ``shared`` rows are drawn with replacement before they are split."""
    x, y = datasets.load_wine(return_X_y=True)
    if shared:
        drawn = torch.randint(len(x), (500,), generator=torch.Generator().manual_seed(1)).numpy()
        x, y = x[drawn], y[drawn]
    return parted(x, y, **more)


def cancer(*, classes: bool = False) -> Parts:
    """Breast cancer, a column of 0 and 1 or two classes."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return parted(x, y if classes else y[:, None].astype("float32"))


def diabetes(*, raw: bool = False, flat: bool = False, few: int = 0, leak: bool = False) -> Parts:
    """Diabetes with standardised targets.

    Args:
        raw: Targets as they come.
        flat: Targets ``[n]``, not ``[n, 1]``.
        few: Rows to train on; 0 for all.
        leak: Whether the first column tells the outcome.
    """
    x, y = datasets.load_diabetes(return_X_y=True)
    x[:, 0] = y * 0.3 + 12 if leak else x[:, 0]
    y = y if raw else (y - y.mean()) / y.std()
    (x, y), valid = parted(x, y if flat else y[:, None])
    return (x[: few or len(x)], y[: few or len(y)]), valid


def moons(*, apart: bool = False) -> Parts:
    """Two moons; with ``apart`` inputs are mixed without their labels."""
    x, y = datasets.make_moons(600, noise=0.15, random_state=0)
    (x, y), valid = parted(x, y)
    if apart:
        x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(3))]
    return (x, y), valid


def circles() -> Parts:
    """Two circles, targets of 0 and 1."""
    x, y = datasets.make_circles(600, noise=0.08, factor=0.5, random_state=0)
    return parted(x, y[:, None].astype("float32"))


def drawn(*, noise: float = 0.0) -> Parts:
    """Drawn clusters of four classes in twenty columns; ``noise`` is the share of training labels that are drawn."""
    x, y = datasets.make_classification(
        1600, 20, n_informative=8, n_redundant=2, n_classes=4, n_clusters_per_class=2, class_sep=2.0, random_state=1
    )
    (x, y), valid = parted(x, y)
    draw = torch.Generator().manual_seed(4)
    wrong = torch.rand(len(y), generator=draw) < noise
    return (x, torch.where(wrong, torch.randint(4, (len(y),), generator=draw), y)), valid


def friedman() -> Parts:
    """Friedman's curve, standardised targets."""
    x, y = datasets.make_friedman1(800, n_features=8, noise=0.5, random_state=0)
    return parted(x, ((y - y.mean()) / y.std())[:, None])


def xor() -> Parts:
    """Exclusive or of two signs, with noise."""
    draw = torch.Generator().manual_seed(0)
    bits = torch.randint(2, (400, 2), generator=draw)
    x = bits * 2.0 - 1 + 0.2 * torch.randn(400, 2, generator=draw)
    return parted(x, (bits.sum(1) % 2)[:, None].float(), standardised=False)


class Skipped(nn.Module):
    """A network whose hidden layer is made and forgotten in ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden, self.out = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.first(x))


class Listed(nn.Module):
    """A network with its layers in a plain list."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.layers = [nn.Linear(a, b) for a, b in pairwise(sizes[:-1])]
        self.out = nn.Linear(sizes[-2], sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)


def body_frozen(*sizes: int) -> nn.Module:
    """Dense layers of which only the last one learns."""
    model = mlp(*sizes)
    for parameter in model[:-1].parameters():  # type: ignore[index]
        parameter.requires_grad_(False)
    return model


CE, MSE, BCE, LOGITS = nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCELoss(), nn.BCEWithLogitsLoss()

IRIS = Script(name="iris", data=iris, net=partial(mlp, 4, 16, 3), loss=CE, optimizer=adam(0.01), batch=16, epochs=30)
WINE = Script(name="wine", data=wine, net=partial(mlp, 13, 32, 3), loss=CE, optimizer=sgd(0.02), batch=16)
CANCER = Script(name="cancer", data=cancer, net=partial(mlp, 30, 16, 1), loss=LOGITS, optimizer=adam(0.003))
CANCER_TWO = Script(
    name="cancer-two",
    data=partial(cancer, classes=True),
    net=partial(mlp, 30, 24, 2, act=nn.Tanh),
    loss=F.cross_entropy,
    optimizer=sgd(0.02),
    epochs=15,
)
CANCER_P = Script(
    name="cancer-probability",
    data=cancer,
    net=lambda: mlp(30, 16, 1, last=[nn.Sigmoid()]),
    loss=BCE,
    optimizer=lambda model: torch.optim.RMSprop(model.parameters(), lr=0.002),
)
DIABETES = Script(name="diabetes", data=diabetes, net=partial(mlp, 10, 16, 1), loss=MSE, optimizer=sgd(0.01), epochs=20)
MOONS = Script(name="moons", data=moons, net=partial(mlp, 2, 32, 32, 2), loss=CE, optimizer=adam(0.01))
CIRCLES = Script(
    name="circles", data=circles, net=partial(mlp, 2, 16, 16, 1, act=nn.Tanh), loss=LOGITS, optimizer=sgd(0.1)
)
DRAWN = Script(
    name="drawn", data=drawn, net=partial(mlp, 20, 64, 64, 4), loss=CE, optimizer=sgd(0.03), batch=64, epochs=20
)
FRIEDMAN = Script(name="friedman", data=friedman, net=partial(mlp, 8, 48, 48, 1), loss=MSE, optimizer=adam(0.003))
XOR = Script(name="xor", data=xor, net=partial(mlp, 2, 8, 1, act=nn.Tanh), loss=LOGITS, optimizer=adam(0.02), epochs=30)

WRONG_ENDS: list[Case] = [
    planted(IRIS, "softmax-over-batch", "log-softmax over the batch before NLL", "softmax-dimension",
            net=lambda: mlp(4, 16, 3, last=[nn.LogSoftmax(dim=0)]), loss=nn.NLLLoss()),
    planted(WINE, "relu-logits", "ReLU on the logits", "last-activation",
            net=lambda: mlp(13, 32, 3, last=[nn.ReLU()])),
    planted(WINE, "mse-of-class-numbers", "squared error of class numbers", "wrong-loss",
            loss=lambda outputs, y: F.mse_loss(outputs, y.float()[:, None].expand_as(outputs))),
    planted(CANCER, "sigmoid-twice", "sigmoid before a loss of logits", "sigmoid-twice",
            net=lambda: mlp(30, 16, 1, last=[nn.Sigmoid()])),
    planted(CANCER_P, "no-sigmoid", "logits where the loss takes probabilities", "missing-activation runs",
            net=partial(mlp, 30, 16, 1)),
    planted(CANCER_P, "softmax-of-one", "softmax over one unit", "softmax-one-unit",
            net=lambda: mlp(30, 16, 1, last=[nn.Softmax(dim=1)])),
    planted(CANCER_TWO, "negated", "the loss is negated", "maximizes wrong-loss",
            loss=lambda outputs, y: -F.cross_entropy(outputs, y)),
    planted(DIABETES, "relu-output", "ReLU on the output of a regression", "last-activation",
            net=lambda: mlp(10, 16, 1, last=[nn.ReLU()])),
    planted(DIABETES, "flat-targets", "targets [n] against outputs [n, 1]", "output-shape",
            data=partial(diabetes, flat=True)),
    planted(FRIEDMAN, "cross-entropy", "cross-entropy for a regression", "wrong-loss softmax-one-unit", loss=CE),
    planted(FRIEDMAN, "sigmoid-output", "sigmoid on the output of a regression of standardised targets",
            "last-activation", net=lambda: mlp(8, 48, 48, 1, last=[nn.Sigmoid()])),
]  # fmt: skip

DATA: list[Case] = [
    planted(IRIS, "labels-from-one", "labels 1 to 3 for outputs 0 to 2", "target-range runs",
            data=partial(iris, first=1)),
    planted(IRIS, "holes", "missing values", "finite", data=partial(iris, holes=True)),
    planted(IRIS, "split-by-class", "rows sorted by class are split without being mixed", "classes",
            data=partial(iris, mixed=False, share=1 / 3)),
    planted(WINE, "raw", "columns from 0.1 to 1680, not standardised", "input-scale",
            data=partial(wine, standardised=False)),
    planted(WINE, "shared-rows", "rows repeated before the split", "shared-samples", data=partial(wine, shared=True)),
    planted(DIABETES, "leak", "the outcome among the inputs", "giveaway", data=partial(diabetes, leak=True)),
    planted(DIABETES, "raw-targets", "targets of 25 to 346 as they are", "target-scale",
            data=partial(diabetes, raw=True)),
    planted(MOONS, "labels-apart", "inputs mixed without their labels", "unrelated-targets",
            data=partial(moons, apart=True)),
    planted(DRAWN, "noisy-labels", "half of the training labels are drawn", "label-noise",
            data=partial(drawn, noise=0.5)),
]  # fmt: skip

STRUCTURE: list[Case] = [
    planted(MOONS, "no-activation", "no activation between dense layers", "linear-only",
            net=partial(mlp, 2, 32, 32, 2, act=nn.Identity)),
    planted(MOONS, "layer-forgotten", "a layer and the activations are not in forward",
            "no-gradient linear-only missing-layers", net=Skipped),
    planted(XOR, "no-hidden-layer", "a linear model for exclusive or", "linear-only missing-layers capacity",
            net=partial(mlp, 2, 1)),
    planted(WINE, "ten-sigmoids", "ten hidden layers of sigmoids", "gradient-scale activation-scale",
            net=partial(mlp, 13, *[16] * 10, 3, act=nn.Sigmoid)),
    planted(DRAWN, "twenty-layers", "twenty hidden layers without normalisation",
            "redundant-layers gradient-scale activation-scale", net=partial(mlp, 20, *[24] * 20, 4)),
    planted(DRAWN, "one-unit", "one hidden unit", "bottleneck capacity", net=partial(mlp, 20, 1, 64, 4)),
    planted(DRAWN, "dropout", "dropout of 0.95", "dropout-rate", net=partial(mlp, 20, 64, 64, 4, dropout=0.95)),
    planted(DRAWN, "frozen", "all but the last layer frozen, untrained", "frozen",
            net=partial(body_frozen, 20, 16, 8, 4)),
    planted(DRAWN, "plain-list", "layers in a plain list", "optimizer-parameters missing-layers",
            net=partial(Listed, 20, 12, 8, 4)),
    planted(FRIEDMAN, "zeros", "all weights start at zero", "initial-weights",
            net=lambda: filled(mlp(8, 48, 48, 1), nn.init.zeros_)),
    planted(FRIEDMAN, "dead", "biases start at -6 and all units are dead", "dead-units initial-weights",
            net=lambda: filled(mlp(8, 48, 48, 1), lambda w: w, partial(nn.init.constant_, val=-6.0))),
    planted(DRAWN, "wide-weights", "weights drawn with standard deviation 3", "initial-weights activation-scale",
            net=lambda: filled(mlp(20, 64, 64, 4), partial(nn.init.normal_, std=3.0))),
    planted(CIRCLES, "same-weights", "all weights start at 0.5", "initial-weights",
            net=lambda: filled(mlp(2, 16, 16, 1, act=nn.Tanh), partial(nn.init.constant_, val=0.5), nn.init.zeros_)),
]  # fmt: skip

SETTINGS: list[Case] = [
    planted(MOONS, "adam-10", "Adam with rate 10", "rate-too-high", optimizer=adam(10.0)),
    planted(IRIS, "sgd-1e-6", "SGD with rate 1e-6", "rate-too-low", optimizer=sgd(1e-6, 0)),
    planted(CIRCLES, "rate-over-100", "rate 100 times too low", "rate-too-low", optimizer=sgd(0.001)),
    planted(DIABETES, "rate-times-100", "rate 100 times too high", "rate-too-high", optimizer=sgd(1.0)),
    planted(DRAWN, "weight-decay-10", "weight decay 10", "optimizer-settings",
            optimizer=sgd(0.03, weight_decay=10.0)),
    planted(DRAWN, "momentum-0.999", "momentum 0.999", "optimizer-settings", optimizer=sgd(0.03, 0.999)),
    planted(MOONS, "epsilon", "Adam with epsilon 10", "optimizer-settings", optimizer=adam(0.01, eps=10.0)),
    planted(CANCER, "maximize", "an optimizer that maximizes", "maximizes", optimizer=adam(0.003, maximize=True)),
    planted(DRAWN, "whole-batch", "all rows in a step, 20 steps in all", "batch-size too-few-epochs", batch=1200),
    planted(CIRCLES, "one-epoch", "one epoch", "too-few-epochs", epochs=1),
    planted(FRIEDMAN, "other-network", "the optimizer moves another network", "optimizer-parameters",
            optimizer=lambda model: adam(0.003)(mlp(8, 48, 48, 1))),
    planted(DIABETES, "overfitted", "far too many weights and epochs for 80 rows", "overfitting-live bias-variance",
            data=partial(diabetes, few=80), net=partial(mlp, 10, 256, 256, 1), optimizer=adam(0.003), epochs=80),
    planted(DIABETES, "sum", "the loss is summed over the batch", "rate-too-high loss-scale",
            loss=nn.MSELoss(reduction="sum")),
]  # fmt: skip

FAULTS = [*WRONG_ENDS, *DATA, *STRUCTURE, *SETTINGS]
