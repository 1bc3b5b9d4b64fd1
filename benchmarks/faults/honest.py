"""Honest programs that look unusual: nothing is wrong with them, and the doctor should not say so."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.faults import images, sequences, tables, unusual
from benchmarks.faults.case import Keywords, Pair, Script, adam, mlp, sgd
from benchmarks.faults.loops import Loss, Train
from torch import Tensor, nn


def two_rates(model: Any) -> torch.optim.Optimizer:
    """A low rate for the body and a higher one for the head."""
    return torch.optim.SGD(
        [{"params": model[:-1].parameters(), "lr": 0.002}, {"params": model[-1].parameters()}], lr=0.05, momentum=0.9
    )


def warmed(program: Keywords) -> Train:
    """A rate that rises over the first steps and falls along a cosine thereafter."""
    known: dict[int, Any] = {}
    total = program["epochs"] * len(program["batches"])

    def factor(step: int) -> float:
        return min((step + 1) / 40, 0.02 + 0.49 * (1 + float(np.cos(np.pi * min(step / total, 1)))))

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        rate = known.setdefault(id(optimizer), torch.optim.lr_scheduler.LambdaLR(optimizer, factor))
        model.train()
        for x, y in batches:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            rate.step()

    return train


def closed(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    """A pass for an optimizer that asks for the loss again."""
    model.train()
    for x, y in batches:

        def again(x: Tensor = x, y: Tensor = y) -> Tensor:
            optimizer.zero_grad()
            value = loss(model(x), y)
            value.backward()
            return value

        optimizer.step(again)


def smooth(rate: float, **more: Any) -> Callable[[nn.Module], torch.optim.Optimizer]:
    """Makes AdamW over all parameters."""
    return lambda model: torch.optim.AdamW(model.parameters(), lr=rate, **more)


def uneven(x: Tensor, y: Tensor) -> list[Pair]:
    """A plain list of batches of 8 to 40 samples, mixed once."""
    ends: list[tuple[int, int]] = []
    at = 0
    while at < len(x):
        ends.append((at, at + 8 + 7 * len(ends) % 33))
        at = ends[-1][1]
    return [(x[a:b], y[a:b]) for a, b in ends]


CE, MSE, LOGITS = nn.CrossEntropyLoss(), nn.MSELoss(), nn.BCEWithLogitsLoss()


def program(name: str, data: Any, net: Any, loss: Any, optimizer: Any, **more: Any) -> Script:
    """A script, written in a line."""
    return Script(name=name, data=data, net=net, loss=loss, optimizer=optimizer, **more)


DENSE = partial(mlp, 20, 64, 64, 4)
SCRIPTS = [
    program("fine-tuning", images.digits, unusual.finetuned, CE, two_rates, epochs=4),
    program("label-smoothing", tables.drawn, DENSE, nn.CrossEntropyLoss(label_smoothing=0.1), adam(0.003), epochs=12),
    program("focal", unusual.rare, partial(mlp, 10, 32, 2), unusual.focal, adam(0.005)),
    program("hinge", tables.drawn, DENSE, nn.MultiMarginLoss(), adam(0.003), epochs=12),
    program("soft-margin", unusual.signs, partial(mlp, 30, 16, 1), nn.SoftMarginLoss(), sgd(0.05)),
    program("warm-up", sequences.counted, partial(sequences.Attending, depth=2), CE, smooth(0.005), batch=64,
            epochs=10, loop=warmed),
    program("tied", images.copies, unusual.Tied, MSE, adam(0.003), epochs=12),
    program("multi-label", unusual.labels, partial(mlp, 20, 48, 5), LOGITS, adam(0.003), epochs=15),
    program("rare-class", unusual.rare, partial(mlp, 10, 32, 2), CE, adam(0.003)),
    program("rare-class-weighted", unusual.rare, partial(mlp, 10, 32, 2),
            nn.CrossEntropyLoss(torch.tensor([1.0, 15.0])), adam(0.003)),
    program("noisy-regression", unusual.noisy, partial(mlp, 8, 8, 1), MSE, sgd(0.005, weight_decay=0.02), epochs=12),
    program("some-wrong-labels", partial(unusual.noisy, flips=0.1), partial(mlp, 8, 16, 2), CE,
            smooth(0.003, weight_decay=0.05), epochs=15),
    program("deep-residual", tables.drawn, partial(unusual.Residual, 20, 4), CE, smooth(0.002), epochs=6, batch=64),
    program("shared-blocks", tables.moons, partial(unusual.Residual, 2, 2, depth=4, shared=True), CE, adam(0.005),
            epochs=20),
    program("siamese", unusual.pairs, unusual.Siamese, LOGITS, adam(0.003), epochs=5),
    program("forty-rows", partial(tables.diabetes, few=40), partial(mlp, 10, 4, 1), F.mse_loss,
            sgd(0.01, weight_decay=0.01), batch=8, epochs=20),
    program("tanh", tables.wine, partial(mlp, 13, 24, 24, 3, act=nn.Tanh), CE, sgd(0.02), epochs=20),
    program("sigmoid-hidden", tables.cancer, partial(mlp, 30, 16, 1, act=nn.Sigmoid), LOGITS, adam(0.01), epochs=20),
    program("selu", tables.drawn, unusual.selu, CE, sgd(0.01), epochs=15),
    program("categories", unusual.categories, lambda: nn.Sequential(nn.Embedding(12, 8), nn.Flatten(), mlp(24, 32, 3)),
            CE, adam(0.005), epochs=15),
    program("float64", unusual.double_diabetes, lambda: mlp(10, 16, 1).double(), MSE, sgd(0.01)),
    program("flat-outputs", unusual.flat_cancer, lambda: mlp(30, 16, 1, last=[nn.Flatten(0)]), LOGITS, adam(0.003)),
    program("mse-one-hot", unusual.hot, partial(mlp, 13, 32, 3), MSE, adam(0.005), epochs=25),
    program("huber", tables.friedman, partial(mlp, 8, 48, 1), nn.HuberLoss(), adam(0.005), epochs=25),
    program("l1", tables.friedman, partial(mlp, 8, 48, 1, act=nn.GELU), nn.L1Loss(), smooth(0.005), epochs=25),
    program("poisson", unusual.counts, partial(mlp, 6, 24, 1), nn.PoissonNLLLoss(), adam(0.003)),
    program("mean-and-variance", tables.friedman, partial(mlp, 8, 48, 2), unusual.heteroscedastic, adam(0.003)),
    program("small-batches", images.digits, unusual.grouped, CE, sgd(0.005), batch=4, epochs=3),
    program("pixels", unusual.spots, unusual.segmenter, CE, adam(0.005), epochs=6),
    program("logistic-regression", tables.cancer, partial(nn.Linear, 30, 1), LOGITS, sgd(0.05)),
    program("whole-batch", tables.iris, partial(mlp, 4, 16, 3), CE, adam(0.02), batch=200, epochs=100),
    program("dropout", tables.drawn, partial(mlp, 20, 128, 4, dropout=0.5), CE, adam(0.003)),
    program("fourier", tables.circles, unusual.Fourier, LOGITS, adam(0.01)),
    program("running-sums", unusual.running, unusual.Steps, MSE, adam(0.01), epochs=10),
    program("uneven-list", tables.drawn, DENSE, CE, adam(0.003), loader=uneven, epochs=12),
    program("tanh-output", unusual.limited, lambda: mlp(4, 32, 32, 1, last=[nn.Tanh()]), MSE, adam(0.005)),
    program("softplus-output", unusual.counts, lambda: mlp(6, 24, 1, last=[nn.Softplus()]), MSE, adam(0.005)),
    program("scaled-inside", partial(images.patches, raw=True),
            lambda: unusual.Scaled(images.cnn(channels=3, out=2, widths=(8, 16), side=3), 128, 64), CE, sgd(0.01),
            epochs=8),
    program("normalised-inside", partial(tables.wine, standardised=False),
            lambda: nn.Sequential(nn.BatchNorm1d(13), mlp(13, 32, 3)), CE, adam(0.01)),
    program("zero-head", tables.drawn, unusual.head_at_zero, CE, adam(0.003), epochs=12),
    program("lbfgs", tables.cancer, partial(nn.Linear, 30, 1), LOGITS,
            lambda model: torch.optim.LBFGS(model.parameters(), lr=0.2, max_iter=4), batch=500, epochs=6,
            loop=lambda keywords: closed),
]  # fmt: skip
