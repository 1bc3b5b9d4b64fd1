"""What docs/concepts.tsv borrows from torch, SciPy and scikit-learn is the formula of the course.

Each case computes the same thing twice: as the page says, and from the definition, in float64.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal
import sklearn.metrics
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler

Pair = tuple[Any, Any]
X = torch.linspace(-3, 3, 13, dtype=torch.float64)
START = torch.tensor([3.0, -2.0], dtype=torch.float64)
CURVATURE = torch.tensor([1.0, 4.0], dtype=torch.float64)


def descend(make: Callable[[Any], torch.optim.Optimizer], steps: int = 7) -> Tensor:
    """Where an optimizer of torch stands after some steps on a quadratic bowl."""
    theta = nn.Parameter(START.clone())
    optimizer = make([theta])
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * CURVATURE * theta**2).sum().backward()
        optimizer.step()
    return theta.detach()


def walk(move: Callable[[Tensor, Tensor, list[Tensor], int], Tensor], steps: int = 7) -> Tensor:
    """The same from a formula ``move(theta, gradient, state, t)``; the state is two accumulators, zero at first."""
    theta, state = START.clone(), [torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)]
    for t in range(1, steps + 1):
        theta = move(theta, CURVATURE * theta, state, t)
    return theta


def momentum(theta: Tensor, gradient: Tensor, state: list[Tensor], t: int) -> Tensor:
    state[0] = 0.9 * state[0] - 0.1 * gradient
    return theta + state[0]


def nesterov() -> Tensor:
    """The look-ahead point after the last step."""
    theta, v = START.clone(), torch.zeros(2, dtype=torch.float64)
    for _ in range(7):
        v = 0.9 * v - 0.1 * CURVATURE * (theta + 0.9 * v)
        theta = theta + v
    return theta + 0.9 * v


def adagrad(theta: Tensor, gradient: Tensor, state: list[Tensor], t: int) -> Tensor:
    state[0] = state[0] + gradient**2
    return theta - 0.1 * gradient / (state[0].sqrt() + 1e-10)


def rmsprop(theta: Tensor, gradient: Tensor, state: list[Tensor], t: int) -> Tensor:
    state[0] = 0.9 * state[0] + 0.1 * gradient**2
    return theta - 0.1 * gradient / (state[0].sqrt() + 1e-8)


def adam(theta: Tensor, gradient: Tensor, state: list[Tensor], t: int) -> Tensor:
    state[0] = 0.9 * state[0] + 0.1 * gradient
    state[1] = 0.999 * state[1] + 0.001 * gradient**2
    return theta - 0.1 * (state[0] / (1 - 0.9**t)) / ((state[1] / (1 - 0.999**t)).sqrt() + 1e-8)


OPTIMIZERS: dict[str, Callable[[], Pair]] = {
    "l2-regularization": lambda: (
        descend(lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.3)),
        walk(lambda theta, gradient, state, t: theta - 0.1 * (gradient + 0.3 * theta)),
    ),
    "momentum-sgd": lambda: (descend(lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)), walk(momentum)),
    "nesterov-momentum": lambda: (
        descend(lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True)),
        nesterov(),
    ),
    "adagrad": lambda: (descend(lambda p: torch.optim.Adagrad(p, 0.1)), walk(adagrad)),
    "rmsprop": lambda: (descend(lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.9)), walk(rmsprop)),
    "adam": lambda: (descend(lambda p: torch.optim.Adam(p, 0.1)), walk(adam)),
}


def rates(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], steps: int = 12) -> list[float]:
    """The rates that a schedule of torch gives, from 0.5 on."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler, found = make(optimizer), []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def restarted(t: int) -> float:
    """Cosine with restarts after 3 and 6 more steps, between 0.1 and 0.5."""
    now, period = (t, 3) if t < 3 else (t - 3, 6) if t < 9 else (t - 9, 12)
    return 0.1 + 0.4 / 2 * (1 + math.cos(math.pi * now / period))


def triangular(t: int) -> float:
    cycle = math.floor(1 + t / 8)
    return 0.1 + 0.4 * max(0.0, 1 - abs(t / 4 - 2 * cycle + 1))


SCHEDULES: dict[str, tuple[Callable[[torch.optim.Optimizer], Any], Callable[[int], float]]] = {
    "linear-interpolation-decay": (
        lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.1 / 0.5, total_iters=8),
        lambda t: (1 - min(t / 8, 1)) * 0.5 + min(t / 8, 1) * 0.1,
    ),
    "step-decay": (lambda o: lr_scheduler.StepLR(o, step_size=5, gamma=0.5), lambda t: 0.5 * 0.5 ** (t // 5)),
    "exponential-decay": (
        lambda o: lr_scheduler.ExponentialLR(o, gamma=math.exp(-0.3)),
        lambda t: 0.5 * math.exp(-0.3 * t),
    ),
    "cosine-decay": (
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=12),
        lambda t: 0.5 / 2 * (1 + math.cos(math.pi * t / 12)),
    ),
    "linear-decay": (
        lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=12),
        lambda t: 0.5 * (1 - t / 12),
    ),
    "cyclical-lr-triangular": (
        lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.5, step_size_up=4, cycle_momentum=False),
        triangular,
    ),
    "cosine-warm-restarts": (
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, 2, eta_min=0.1),
        restarted,
    ),
}

SIGNS = torch.where(torch.arange(13) % 3 == 0, 1.0, -1.0).double()
P = X.sigmoid()
HITS = (SIGNS > 0).double()
MATRIX = torch.tensor([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 4.0]], dtype=torch.float64)
LOSSES: dict[str, Callable[[], Pair]] = {
    "mse-loss": lambda: (nn.MSELoss()(X, SIGNS), ((X - SIGNS) ** 2).mean()),
    "l1-loss": lambda: (nn.L1Loss()(X, SIGNS), (X - SIGNS).abs().mean()),
    "binary-cross-entropy": lambda: (nn.BCELoss()(P, HITS), -(HITS * P.log() + (1 - HITS) * (1 - P).log()).mean()),
    "cross-entropy-loss": lambda: (
        nn.CrossEntropyLoss(reduction="sum")(MATRIX, torch.tensor([0, 2, 1])),
        -MATRIX[0, 0] - MATRIX[1, 2] - MATRIX[2, 1] + MATRIX.exp().sum(dim=1).log().sum(),
    ),
    "hinge-loss": lambda: (sklearn.metrics.hinge_loss(SIGNS, X), (1 - SIGNS * X).clamp(min=0).mean()),
    "logistic-loss": lambda: (nn.SoftMarginLoss()(X, SIGNS), (1 + (-SIGNS * X).exp()).log().mean()),
    "huber-loss": lambda: (
        nn.HuberLoss(delta=1.5, reduction="none")(X, torch.zeros_like(X)),
        torch.where(X.abs() <= 1.5, X**2 / 2, 1.5 * (X.abs() - 1.5 / 2)),
    ),
    "kl-loss": lambda: (
        nn.KLDivLoss(reduction="sum")((-X).softmax(0).log(), X.softmax(0)),
        (X.softmax(0) * (X.softmax(0).log() - (-X).softmax(0).log())).sum(),
    ),
    "negative-log-likelihood": lambda: (
        nn.NLLLoss(reduction="sum")(MATRIX.log_softmax(1), torch.tensor([0, 1, 1])),
        -MATRIX.softmax(1)[torch.arange(3), torch.tensor([0, 1, 1])].log().sum(),
    ),
}


def fans(initialise: Callable[[Tensor], Any]) -> float:
    """Variance of the weights of a layer with 3 x 5 x 5 inputs and 2000 x 5 x 5 outputs."""
    weight = torch.empty(2000, 3, 5, 5, dtype=torch.float64)
    initialise(weight)
    return float(weight.var())


def local_response(a: Tensor) -> Tensor:
    squares = F.pad(a[0, :, 0, 0] ** 2, (2, 2)).unfold(0, 5, 1).sum(dim=1)
    return (a[0, :, 0, 0] / (2 + 1e-4 * squares) ** 0.75)[None, :, None, None]


def flipped_sum() -> np.ndarray:
    f, g = np.arange(12.0).reshape(3, 4), np.array([[1.0, -2.0], [0.5, 3.0]])
    found = np.zeros((4, 5))
    for row, column in np.ndindex(4, 5):
        for i, j in np.ndindex(f.shape):
            if 0 <= row - i < 2 and 0 <= column - j < 2:
                found[row, column] += f[i, j] * g[row - i, column - j]
    return found


LAYERS: dict[str, Callable[[], Pair]] = {
    "selu": lambda: (
        nn.SELU()(X),
        1.0507009873554805 * torch.where(X > 0, X, 1.6732632423543772 * (X.exp() - 1)),
    ),
    "elu": lambda: (nn.ELU(0.5)(X), torch.where(X >= 0, X, 0.5 * (X.exp() - 1))),
    "threshold-sign": lambda: (torch.heaviside(X - 1, torch.ones(1).double()), (X >= 1).double()),
    "local-response-norm": lambda: (
        nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)(50 * X.view(1, -1, 1, 1)),
        local_response(50 * X.view(1, -1, 1, 1)),
    ),
    "signal-convolution": lambda: (
        scipy.signal.convolve2d(np.arange(12.0).reshape(3, 4), np.array([[1.0, -2.0], [0.5, 3.0]])),
        flipped_sum(),
    ),
    "covariance-matrix": lambda: (
        torch.cov(MATRIX.T, correction=0),
        (MATRIX - MATRIX.mean(0)).T @ (MATRIX - MATRIX.mean(0)) / 3,
    ),
    "gaussian-density": lambda: (
        torch.distributions.MultivariateNormal(X[:3], MATRIX).log_prob(X[3:6]).exp(),
        (2 * math.pi) ** -1.5
        * torch.linalg.det(MATRIX) ** -0.5
        * torch.exp(-0.5 * (X[3:6] - X[:3]) @ torch.linalg.inv(MATRIX) @ (X[3:6] - X[:3])),
    ),
    "tp-tn-fp-fn": lambda: (
        sklearn.metrics.confusion_matrix(HITS, P > 0.5).ravel().tolist(),
        [
            int(((hit == HITS) & ((P > 0.5) == said)).sum())
            for hit, said in ((0, False), (0, True), (1, False), (1, True))
        ],
    ),
    "confusion-matrix": lambda: (
        sklearn.metrics.confusion_matrix(HITS, P > 0.5, normalize="true")[1, 1],
        float(((P > 0.5) & (HITS == 1)).sum() / HITS.sum()),
    ),
}

VARIANCES: dict[str, tuple[Callable[[Tensor], Any], float]] = {
    "xavier-normal": (nn.init.xavier_normal_, 2 / (75 + 50_000)),
    "xavier-uniform": (nn.init.xavier_uniform_, 6 / (75 + 50_000) / 3),
    "xavier-fan-in": (lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="linear"), 1 / 75),
    "kaiming-init": (lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"), 2 / 75),
}


@pytest.mark.parametrize("concept", [*OPTIMIZERS, *LOSSES, *LAYERS])
def test_formula(concept: str) -> None:
    actual, expected = {**OPTIMIZERS, **LOSSES, **LAYERS}[concept]()
    torch.testing.assert_close(torch.as_tensor(actual), torch.as_tensor(expected), check_dtype=False)


@pytest.mark.parametrize("concept", SCHEDULES)
def test_schedule(concept: str) -> None:
    make, formula = SCHEDULES[concept]
    assert rates(make) == pytest.approx([formula(t) for t in range(12)])


@pytest.mark.parametrize("concept", VARIANCES)
def test_variance(concept: str) -> None:
    # 150,000 weights: the variance of a normal sample is known to 0.4 % (one standard deviation).
    initialise, variance = VARIANCES[concept]
    assert fans(initialise) == pytest.approx(variance, rel=0.02)
