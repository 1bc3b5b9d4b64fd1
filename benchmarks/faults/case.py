"""``Script``, a small training script with its knobs, and ``Case``, one program that the doctor is asked about."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

#: Keyword arguments of ``chainrule.doctor.Program``.
Keywords = dict[str, Any]
Pair = tuple[Tensor, Tensor]
#: Training and validation part.
Parts = tuple[Pair, Pair]


@dataclass(frozen=True, kw_only=True, eq=False)
class Script:
    """A training script as people write them: data, network, loss, optimizer, loader, number of epochs.

    Attributes:
        name: Its name as a healthy program.
        data: Makes the training and the validation part.
        net: Makes the network.
        loss: From outputs and targets to a number.
        optimizer: Makes the optimizer of the network.
        batch: Samples of a step.
        epochs: Passes over the training part.
        shuffle: Whether each pass has its own order.
        loader: Makes training batches out of the training part, in place of the usual loader.
        loop: Makes the script's own loop out of the program's keywords; None leaves it out.
    """

    name: str
    data: Callable[[], Parts]
    net: Callable[[], nn.Module]
    loss: Callable[[Any, Any], Tensor]
    optimizer: Callable[[nn.Module], Optimizer]
    batch: int = 32
    epochs: int = 20
    shuffle: bool = True
    loader: Callable[[Tensor, Tensor], Iterable[Any]] | None = None
    loop: Callable[[Keywords], Callable[..., Any]] | None = None

    def __call__(self) -> Keywords:
        """The keyword arguments of a ``Program``."""
        torch.manual_seed(0)
        train, valid = self.data()
        model = self.net()
        keywords = {
            "model": model,
            "loss": self.loss,
            "optimizer": self.optimizer(model),
            "batches": self.loader(*train)
            if self.loader
            else DataLoader(TensorDataset(*train), batch_size=self.batch, shuffle=self.shuffle),
            "valid": DataLoader(TensorDataset(*valid), batch_size=128),
            "epochs": self.epochs,
        }
        return {**keywords, "train": self.loop(keywords)} if self.loop else keywords


@dataclass(frozen=True, eq=False)
class Case:
    """One program, and what the doctor should say about it.

    Attributes:
        name: Its name, unique in the bench.
        fault: What is wrong, in a line; None where nothing is.
        expected: Checks of which each names the true cause.
        build: Makes the keyword arguments of a ``Program``.
        healthy: Whether nothing is wrong.
        twin: The same program without the fault.
    """

    name: str
    fault: str | None
    expected: frozenset[str]
    build: Callable[[], Keywords]
    healthy: bool = False
    twin: Script | None = None


def planted(script: Script, name: str, fault: str, expected: str, **change: Any) -> Case:
    """A script with a fault.

    Args:
        script: The healthy one.
        name: What is added to its name.
        fault: What is wrong, in a line.
        expected: Names of checks, with spaces between.
        **change: Attributes of the script that make the fault.
    """
    checks = frozenset(expected.split())
    return Case(f"{script.name}/{name}", fault, checks, replace(script, **change), twin=script)


def healthy(name: str, build: Callable[[], Keywords]) -> Case:
    """A program in which nothing is wrong."""
    return Case(name, None, frozenset(), build, healthy=True)


def twins(cases: Sequence[Case]) -> list[Case]:
    """The healthy programs of planted faults, each once."""
    return [healthy(script.name, script) for script in dict.fromkeys(case.twin for case in cases) if script]


def parted(x: Any, y: Any, *, standardised: bool = True, share: float = 0.25, mixed: bool = True) -> Parts:
    """A random training and validation part; columns standardised by the training part.

    Args:
        x: Inputs, ``[n, ...]``.
        y: Targets: whole numbers stay as they are, others become float32.
        standardised: Whether columns get mean 0 and standard deviation 1.
        share: Share of the validation part.
        mixed: Whether rows are drawn; else the last ones are for validation.
    """
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    y = y if not y.is_floating_point() else y.float()
    x = x.float() if x.dtype == torch.float64 else x
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) if mixed else torch.arange(len(x))
    kept = len(x) - round(len(x) * share)
    train, valid = order[:kept], order[kept:]
    if standardised:
        x = (x - x[train].mean(0)) / x[train].std(0)
    return (x[train], y[train]), (x[valid], y[valid])


def adam(rate: float, **more: Any) -> Callable[[nn.Module], Optimizer]:
    """Makes Adam over all parameters."""
    return lambda model: torch.optim.Adam(model.parameters(), lr=rate, **more)


def sgd(rate: float, momentum: float = 0.9, **more: Any) -> Callable[[nn.Module], Optimizer]:
    """Makes SGD over all parameters."""
    return lambda model: torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, **more)


def mlp(*sizes: int, act: type[nn.Module] = nn.ReLU, last: Sequence[nn.Module] = (), dropout: float = 0) -> nn.Module:
    """Dense layers with an activation between them.

    Args:
        *sizes: Units of each layer, the inputs first.
        act: Class of the activation.
        last: What follows the last dense layer.
        dropout: Rate of dropout after each activation.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), act(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers[: -2 if dropout else -1], *last)


def filled(model: nn.Module, weight: Callable[[Tensor], Any], bias: Callable[[Tensor], Any] | None = None) -> nn.Module:
    """The model with its weight matrices, and biases, filled in place."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                weight(parameter)
            elif bias is not None:
                bias(parameter)
    return model
