"""diffGrad and its variants, Newton's method, and optimizers by name, against their definitions in float64."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from chainrule.errors import InputError, UnknownNameError
from chainrule.optim import DiffGrad, Friction, Newton, build_optimizer, landscapes, scaled_rate
from chainrule.optim.diffgrad_variants import (
    dgrad,
    dgrad_cos,
    dgrad_exp,
    dgrad_explr,
    dgrad_sto,
    hump,
    normalize,
    wave,
)
from chainrule.optim.newton import conjugate_gradients

SHAPES = ((4, 3), (3,), ())
STEPS = 40


class Frictionless(Friction):
    def __call__(self, changes: list[Tensor], t: int) -> None:
        for change in changes:
            change.fill_(1.0)


class Recorded(Friction):
    """A friction that keeps what it gave."""

    def __init__(self, inner: Friction) -> None:
        super().__init__(memory=inner.memory)
        self.inner, self.given = inner, []

    def __call__(self, changes: list[Tensor], t: int) -> None:
        self.inner(changes, t)
        self.given.append([change.clone() for change in changes])


def gradients() -> list[list[Tensor]]:
    """Gradients for some steps, of the three shapes."""
    generator = torch.Generator().manual_seed(5)
    return [[torch.randn(s, generator=generator, dtype=torch.float64) for s in SHAPES] for _ in range(STEPS)]


def start() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(6)
    return [nn.Parameter(torch.randn(s, generator=generator, dtype=torch.float64)) for s in SHAPES]


def drive(make: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> list[Tensor]:
    """Where the parameters are after a fixed series of gradients."""
    parameters = start()
    optimizer = make(parameters)
    for step in gradients():
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return [p.detach() for p in parameters]


Xi = Callable[[np.ndarray, int], np.ndarray]


def definition(xi: Xi, *, after: bool = False, decay: float = 0.0, memory: float = 0.0, eps: float = 1e-8) -> list:
    """The same from the equations, in NumPy, one parameter after the other."""
    ends = []
    for k, parameter in enumerate(start()):
        theta = parameter.detach().numpy().copy()
        m, v, r = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
        for t, step in enumerate(gradients(), start=1):
            g = step[k].numpy() + decay * theta
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            friction = xi(np.abs(r - g), t)
            r = memory * r + (1 - memory) * g
            if after:
                theta = theta - 0.01 * friction * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + eps)
            else:
                rate = 0.01 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                theta = theta - rate * friction * m / (np.sqrt(v) + eps)
        ends.append(theta)
    return ends


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def same(ours: list[Tensor], theirs: list) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, torch.as_tensor(b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_diffgrad_is_its_definition(after: bool, decay: float) -> None:
    # A large eps, so that its place matters.
    ours = drive(lambda p: DiffGrad(p, 0.01, eps=0.1, weight_decay=decay, eps_after_correction=after))
    same(ours, definition(lambda d, t: sigmoid(d), after=after, decay=decay, eps=0.1))


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_without_friction_it_is_adam(decay: float) -> None:
    def ours(p: list[nn.Parameter]) -> DiffGrad:
        return DiffGrad(p, 0.01, eps=0.1, weight_decay=decay, eps_after_correction=True, friction=Frictionless())

    same(drive(ours), drive(lambda p: torch.optim.Adam(p, 0.01, eps=0.1, weight_decay=decay)))


def test_without_friction_it_is_adam_with_the_authors_eps() -> None:
    ours = drive(lambda p: DiffGrad(p, 0.01, eps=0.1, friction=Frictionless()))
    same(ours, definition(lambda d, t: np.ones_like(d), eps=0.1))
    theirs = drive(lambda p: torch.optim.Adam(p, 0.01, eps=0.1))
    assert max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) > 1e-3


def test_golden_first_step() -> None:
    x = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    optimizer = DiffGrad([x], lr=0.1)
    (x**2 / 2).backward()
    optimizer.step()
    assert x.item() == pytest.approx(0.9268941, abs=1e-7)
    assert 1 - x.item() == pytest.approx(0.1 * torch.sigmoid(torch.tensor(1.0)).item(), abs=1e-7)


def test_a_constant_gradient_gives_half_a_step_of_adam() -> None:
    ours, theirs = nn.Parameter(torch.zeros(3, dtype=torch.float64)), nn.Parameter(torch.zeros(3, dtype=torch.float64))
    moved = [DiffGrad([ours], 0.1, eps_after_correction=True), torch.optim.Adam([theirs], 0.1)]
    ours.grad = theirs.grad = torch.tensor([1.0, -3.0, 0.2], dtype=torch.float64)
    for step in range(5):
        before = [ours.detach().clone(), theirs.detach().clone()]
        for optimizer in moved:
            optimizer.step()
        mine, adams = ours.detach() - before[0], theirs.detach() - before[1]
        factor = torch.sigmoid(ours.grad.abs()) if step == 0 else torch.full((3,), 0.5, dtype=torch.float64)
        torch.testing.assert_close(mine, factor * adams, rtol=1e-12, atol=0)


def test_the_previous_gradient_is_a_copy() -> None:
    """Gradients that are written into the same tensor, as ``zero_grad(set_to_none=False)`` makes them."""
    x = nn.Parameter(torch.tensor([2.0, -1.0]))
    friction = Recorded(Friction())
    optimizer = DiffGrad([x], 0.1, friction=friction)
    x.grad = torch.tensor([1.0, 1.0])
    optimizer.step()
    x.grad.copy_(torch.tensor([4.0, 1.0]))
    optimizer.step()
    assert optimizer.state[x]["reference"].data_ptr() != x.grad.data_ptr()
    torch.testing.assert_close(friction.given[1][0], torch.sigmoid(torch.tensor([3.0, 0.0])))
    torch.testing.assert_close(x.grad, torch.tensor([4.0, 1.0]))  # and it is not written to


def scaled(d: np.ndarray) -> np.ndarray:
    return d / d.max() if d.max() > 0 else d


def swing(t: int) -> float:
    return 2 - abs(math.cos(math.pi * t / 30)) * math.exp(-0.01 * (t % 30 + 1))


VARIANTS: dict[str, tuple[Callable[..., DiffGrad], Xi]] = {
    "DGrad": (dgrad, lambda d, t: sigmoid(4 * scaled(d))),
    "Cos#1": (dgrad_cos, lambda d, t: sigmoid(4 * swing(t) * scaled(d))),
    "Exp": (dgrad_exp, lambda d, t: sigmoid(4 * scaled(scaled(d) * np.exp(-2 * scaled(d))))),
    "ExpLR": (dgrad_explr, lambda d, t: sigmoid(4 * swing(t) * scaled(scaled(d) * np.exp(-2 * scaled(d))))),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_their_definition(name: str) -> None:
    build, xi = VARIANTS[name]
    same(drive(lambda p: build(p, 0.01, weight_decay=0.1)), definition(xi, decay=0.1, memory=0.9))


def test_sto_is_dgrad_with_random_numbers() -> None:
    friction = Recorded(dgrad_sto(start()).friction)
    still = Recorded(dgrad(start()).friction)
    torch.manual_seed(0)
    drive(lambda p: DiffGrad(p, friction=friction))
    drive(lambda p: DiffGrad(p, friction=still))
    drawn = [
        torch.logit(a) / torch.logit(b)
        for mine, plain in zip(friction.given, still.given, strict=True)
        for a, b in zip(mine, plain, strict=True)
    ]
    u = torch.cat([part.reshape(-1) for part in drawn])
    assert 0 <= u.min() < 0.05
    assert 0.95 < u.max() < 1 + 1e-9
    assert u.mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("build", [DiffGrad, dgrad, dgrad_cos, dgrad_exp, dgrad_explr, dgrad_sto])
def test_friction_is_between_a_half_and_one(build: Callable[..., DiffGrad]) -> None:
    friction = Recorded(build(start()).friction)
    drive(lambda p: DiffGrad(p, friction=friction))
    given = torch.cat([part.reshape(-1) for step in friction.given for part in step])
    assert given.min() >= 0.5
    assert given.max() <= 1.0
    assert given.std() > 0.05


def test_variants_at_rest_do_not_divide_by_zero() -> None:
    x = nn.Parameter(torch.ones(3))
    optimizer = dgrad_exp([x])
    x.grad = torch.zeros(3)
    optimizer.step()
    assert torch.equal(x.detach(), torch.ones(3))


def test_diffgrad_skips_what_has_no_gradient_or_no_component() -> None:
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(0, 3))]
    optimizer = dgrad(parameters, 0.1)
    parameters[0].grad, parameters[2].grad = torch.ones(2), torch.ones(0, 3)
    optimizer.step()
    assert torch.equal(parameters[1], torch.ones(2))
    parameters[1].grad = torch.ones(2)
    optimizer.step()
    # The late one makes its own first step, with the bias correction of a first step.
    late, first = parameters[1].detach(), nn.Parameter(torch.ones(2))
    other = dgrad([first], 0.1)
    first.grad = torch.ones(2)
    other.step()
    assert torch.equal(late, first.detach())
    assert optimizer.state[parameters[0]]["step"] == 2


def test_nothing_moves_when_a_gradient_is_refused() -> None:
    plain, table = nn.Parameter(torch.ones(2)), nn.Embedding(4, 2, sparse=True)
    optimizer = DiffGrad([plain, table.weight])
    plain.grad = torch.ones(2)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match=r"received a sparse one for a parameter of shape \[4, 2\]"):
        optimizer.step()
    assert torch.equal(plain.detach(), torch.ones(2))
    assert not optimizer.state
    number = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    number.grad = torch.ones_like(number)
    with pytest.raises(InputError, match="received a complex one"):
        DiffGrad([number]).step()


def test_a_copy_of_an_optimizer_goes_on_alike() -> None:
    x = nn.Parameter(torch.tensor([2.0, -1.0]))
    optimizer = dgrad_cos([x], 0.1)
    for _ in range(3):
        x.grad = 2 * x.detach()
        optimizer.step()
    other = copy.deepcopy(optimizer)
    y = other.param_groups[0]["params"][0]
    for moved, by in ((x, optimizer), (y, other)):
        moved.grad = 2 * moved.detach()
        by.step()
    assert y is not x
    assert torch.equal(x, y)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lr": -0.1}, "lr must not be negative; received -0.1"),
        ({"eps": -1.0}, "eps must not be negative"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"lr": math.nan}, "lr must not be negative; received nan"),
    ],
)
def test_diffgrad_refuses(options: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        DiffGrad(start(), **options)


@pytest.mark.parametrize("make", [lambda: Friction(memory=1.0), lambda: wave(0), lambda: hump(-1.0)])
def test_frictions_refuse(make: Callable[[], object]) -> None:
    with pytest.raises(InputError, match="must"):
        make()


def test_steps_of_frictions() -> None:
    changes = [torch.tensor([1.0, 4.0]), torch.tensor([0.0, 0.0])]
    normalize(2.0)(changes, 1)
    assert torch.equal(changes[0], torch.tensor([0.5, 2.0]))
    assert torch.equal(changes[1], torch.zeros(2))
    hump(0.5)(changes, 1)
    torch.testing.assert_close(changes[0], torch.tensor([0.5 * math.exp(-0.25), 2 * math.exp(-1.0)]))


# Newton's method


def logistic() -> tuple[np.ndarray, np.ndarray]:
    data = load_breast_cancer()
    return StandardScaler().fit_transform(data.data), data.target


@pytest.mark.parametrize("penalty", [1.0, 1e-3])
def test_newton_reaches_the_optimum_of_a_logistic_regression(penalty: float) -> None:
    x, y = logistic()
    theirs = LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-14, max_iter=1000).fit(x, y)
    best = np.concatenate([theirs.coef_[0], theirs.intercept_])
    inputs, targets = torch.as_tensor(x), torch.as_tensor(y, dtype=torch.float64)
    layer = nn.Linear(30, 1, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)

    def loss() -> Tensor:
        fit = F.binary_cross_entropy_with_logits(layer(inputs)[:, 0], targets, reduction="sum")
        return (fit + penalty / 2 * layer.weight.square().sum()) / len(targets)

    optimizer = Newton(layer.parameters())
    for steps in range(1, 15):  # noqa: B007
        optimizer.step(loss)
        reached = torch.cat([layer.weight[0], layer.bias]).detach().numpy()
        error = np.abs(reached - best).max() / max(1.0, np.abs(best).max())
        if error < 1e-8:
            break
    assert error < 1e-8
    assert steps < 15
    gradient = torch.autograd.grad(loss(), list(layer.parameters()))
    assert max(float(part.abs().max()) for part in gradient) < 1e-8


def test_newton_needs_one_step_on_a_quadratic() -> None:
    """Exact conjugate gradients end after as many steps as there are dimensions; here the parabola is the loss."""
    point = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    Newton([point], damping=0.0).step(lambda: landscapes.bowl(point, condition=1.0))
    assert point.abs().max() < 1e-12


def test_newton_solves_the_damped_system() -> None:
    point = nn.Parameter(torch.tensor([0.03, 0.0], dtype=torch.float64))
    optimizer = Newton([point], damping=1.0)
    optimizer.step(lambda: landscapes.bowl(point, condition=1.0))
    assert point[0].item() == pytest.approx(0.03 * (1 - 1 / 2))
    assert Newton([point], lr=0.25, damping=0.0).step(lambda: landscapes.bowl(point)).item() > 0
    assert point[0].item() == pytest.approx(0.03 / 2 * 0.75)


def test_newton_goes_down_where_the_curvature_is_negative() -> None:
    point = nn.Parameter(torch.tensor([0.2, 0.1], dtype=torch.float64))
    optimizer = Newton([point])
    losses = [optimizer.step(lambda: landscapes.double_well(point)).item() for _ in range(12)]
    assert losses == sorted(losses, reverse=True)
    lowest = scipy.optimize.minimize_scalar(lambda x: (x**2 - 1) ** 2 + x / 4, bounds=(0.5, 1.5)).x
    assert min(abs(point[0].item() - lowest), abs(point[0].item() + 1.0299)) < 1e-4


def test_newton_stays_where_the_loss_never_falls() -> None:
    point = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    calls = []

    def rising() -> Tensor:
        calls.append(1)
        return landscapes.bowl(point) + 1000.0 * len(calls)

    Newton([point], halvings=3).step(rising)
    assert torch.equal(point.detach(), torch.tensor([3.0, -2.0], dtype=torch.float64))
    assert len(calls) == 5


def test_newton_follows_a_linear_loss() -> None:
    point = nn.Parameter(torch.zeros(2))
    Newton([point], damping=2.0).step(lambda: point @ torch.tensor([1.0, -4.0]))
    torch.testing.assert_close(point.detach(), torch.tensor([-0.5, 2.0]))


def test_newton_allows_derivatives_in_the_loss() -> None:
    """As in a differential equation's residual."""
    weight = nn.Parameter(torch.tensor([0.3, 0.1], dtype=torch.float64))

    def residual() -> Tensor:
        t = torch.linspace(0, 1, 9, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad((weight[0] * t + weight[1] * t**2).sum(), t, create_graph=True)
        return (slope - 2 * t).square().mean()

    for _ in range(3):
        Newton([weight], damping=0.0).step(residual)
    torch.testing.assert_close(weight.detach(), torch.tensor([0.0, 1.0], dtype=torch.float64), atol=1e-9, rtol=0)


def test_conjugate_gradients_solve_a_system() -> None:
    factor = torch.randn(8, 8, dtype=torch.float64)
    matrix, target = factor @ factor.T + torch.eye(8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    found = conjugate_gradients(lambda v: matrix @ v, target, tolerance=1e-12, iterations=50)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, target), rtol=1e-8, atol=1e-10)
    assert torch.equal(conjugate_gradients(lambda v: -v, target, tolerance=1e-12, iterations=50), target)
    zero = torch.zeros(8, dtype=torch.float64)
    assert torch.equal(conjugate_gradients(lambda v: matrix @ v, zero, tolerance=0.1, iterations=50), zero)


def test_newton_says_what_its_closure_must_do() -> None:
    point = nn.Parameter(torch.ones(2))
    optimizer = Newton([point])

    def backward() -> Tensor:
        loss = landscapes.bowl(point)
        loss.backward()
        return loss

    with pytest.raises(InputError, match="this one has called backward"):
        optimizer.step(backward)
    with pytest.raises(InputError, match="with its graph, and does not call backward; received tensor"):
        optimizer.step(lambda: landscapes.bowl(point).detach())
    with pytest.raises(InputError, match="received none"):
        optimizer.step()
    assert torch.equal(point.detach(), torch.ones(2))


@pytest.mark.parametrize("options", [{"lr": 0.0}, {"lr": -1.0}, {"damping": -1.0}, {"iterations": 0}, {"halvings": -1}])
def test_newton_refuses(options: dict) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        Newton(start(), **options)


# By name


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("newton", "newton cannot be used here"),
        ("diffgrad(eps=-1)", "eps must not be negative"),
        ("lbfgs", "lbfgs has no weight decay"),
        ("diffgrad(friction='exp')", "friction must be a Friction; received 'exp'"),
        ("dgrad_cos(period=0)", "period must be at least 1"),
        ("sgd(momentum=-1)", "sgd cannot be built with .*momentum=-1"),
    ],
)
def test_by_name_refuses(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build_optimizer(name, start(), rate=0.1, weight_decay=0.1)


@pytest.mark.parametrize("rate", [0.0, -1e-3, math.nan, math.inf])
def test_rates_are_positive(rate: float) -> None:
    with pytest.raises(InputError, match="learning rate must be a number greater than 0"):
        build_optimizer("adam", start(), rate=rate)


def test_by_name_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'diffgrad'"):
        build_optimizer("difgrad", start(), rate=0.1)
    with pytest.raises(UnknownNameError, match="did you mean 'memory'"):
        build_optimizer("dgrad(memmory=0.5)", start(), rate=0.1)
    built = build_optimizer("DiffGrad(betas=(0.8, 0.99))", start(), rate=0.1, weight_decay=0.2)
    assert isinstance(built, DiffGrad)
    group = built.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.1, (0.8, 0.99), 0.2)


def test_scaled_rate() -> None:
    assert scaled_rate(0.1, batch=1024) == pytest.approx(0.4)
    assert scaled_rate(0.1, batch=8192, base=256) == pytest.approx(3.2)
    assert scaled_rate(0.05, batch=32, base=128) == pytest.approx(0.0125)
    for wrong in ({"batch": 0}, {"batch": 8, "base": 0}):
        with pytest.raises(InputError, match="at least 1 sample"):
            scaled_rate(0.1, **wrong)
    with pytest.raises(InputError, match="greater than 0"):
        scaled_rate(-0.1, batch=8)
