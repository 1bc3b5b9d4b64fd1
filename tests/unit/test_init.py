"""Initializers: their variances, how activations fare through 20 layers, by name, and what is refused."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from chainrule.errors import InputError, UnknownNameError
from chainrule.nn import MeLU, init
from chainrule.registry import entries

WIDTH, DEPTH = 400, 20


def deep(activation: Callable[[], nn.Module], call: str) -> nn.Sequential:
    """Twenty layers of one width."""
    layers = [nn.Sequential(nn.Linear(WIDTH, WIDTH), activation()) for _ in range(DEPTH)]
    return init.apply(nn.Sequential(*layers), call)


def powers(model: nn.Sequential) -> list[float]:
    """Mean square of the activations behind each layer, for inputs of mean 0 and variance 1."""
    found, x = [], torch.randn(500, WIDTH)
    for layer in model:
        x = layer(x)
        found.append(x.square().mean().item())
    return found


@torch.no_grad()
@pytest.mark.parametrize(
    ("activation", "call", "least", "most"),
    [
        # Kept, where theory says so. ReLU halves the power that Kaiming doubles.
        (nn.Identity, "lecun", 0.7, 1.4),
        (nn.Identity, "xavier-normal", 0.7, 1.4),
        (nn.Identity, "xavier-uniform", 0.7, 1.4),
        (nn.SELU, "lecun", 0.8, 1.25),
        (nn.ReLU, "kaiming", 0.4, 2.0),
        (nn.ReLU, "kaiming-uniform", 0.4, 2.0),
        (nn.ReLU, "orthogonal(gain=1.4142135623730951)", 0.4, 2.0),
        (nn.Identity, "orthogonal", 0.98, 1.02),
        (MeLU, "kaiming", 0.4, 2.0),
        # tanh shrinks its input a little each time, so the power falls slowly: neither dead nor saturated.
        (nn.Tanh, "xavier-normal", 0.01, 0.1),
        # Each layer multiplies by 400 * 0.01^2 = 0.04, and by half of that with ReLU.
        (nn.Identity, "small-random", 0.04**20 / 3, 0.04**20 * 3),
        (nn.ReLU, "small-random", 0.02**20 / 4, 0.02**20 * 4),
        # ReLU halves the power, which LeCun keeps.
        (nn.ReLU, "lecun", 0.5**20 / 4, 0.5**20 * 4),
        # 400 * 0.1^2 = 4 explodes; with tanh the units saturate instead.
        (nn.Identity, "small-random(std=0.1)", 4.0**20 / 3, 4.0**20 * 3),
        (nn.Tanh, "small-random(std=1)", 0.9, 1.0),
        (nn.ReLU, "zero", 0.0, 0.0),
    ],
)
def test_power_after_twenty_layers(activation, call, least, most):
    # The mean over seeds: one draw of 20 layers strays by about 20 %.
    after = torch.tensor([powers(deep(activation, call))[-1] for _ in range(4)]).double()
    # Powers multiply, so their mean is taken on the logarithm.
    mean = after.log().mean().exp().item() if call != "zero" else after.max().item()
    assert least <= mean <= most


@torch.no_grad()
def test_power_is_kept_on_the_way():
    assert all(0.4 < power < 2 for power in powers(deep(nn.ReLU, "kaiming")))
    shrinking = powers(deep(nn.Tanh, "xavier-normal"))
    assert shrinking == sorted(shrinking, reverse=True)


FANS = {
    "linear": (lambda: nn.Linear(300, 500), 300, 500),
    "conv": (lambda: nn.Conv2d(40, 80, 3), 360, 720),
    "transposed": (lambda: nn.ConvTranspose2d(40, 80, 3), 360, 720),
    "conv1d": (lambda: nn.Conv1d(60, 90, 5), 300, 450),
    "conv3d": (lambda: nn.Conv3d(8, 40, 3), 216, 1080),
}


@pytest.mark.parametrize(
    ("call", "variance"),
    [
        ("xavier-normal", lambda i, o: 2 / (i + o)),
        ("xavier-uniform", lambda i, o: 2 / (i + o)),
        ("xavier-normal(gain=2)", lambda i, o: 8 / (i + o)),
        ("kaiming", lambda i, o: 2 / i),
        ("kaiming-uniform", lambda i, o: 2 / i),
        ("kaiming(slope=0.5)", lambda i, o: 1.6 / i),
        ("lecun", lambda i, o: 1 / i),
        ("small-random", lambda i, o: 1e-4),
    ],
)
@pytest.mark.parametrize("layer", FANS)
def test_variance(layer, call, variance):
    build, inputs, outputs = FANS[layer]
    module = init.apply(build(), call)
    weight = module.weight.detach()
    assert weight.mean().abs() < 5 * math.sqrt(variance(inputs, outputs) / weight.numel())
    # 28 800 weights at least: the sample's variance is off by less than 4 %.
    assert weight.var().item() == pytest.approx(variance(inputs, outputs), rel=0.05)
    if "uniform" in call:
        assert weight.abs().max() <= math.sqrt(3 * variance(inputs, outputs))
    assert module.bias.eq(0).all()


def identity(matrix: Tensor) -> Tensor:
    return torch.eye(len(matrix))


def test_orthogonal():
    weight = init.apply(nn.Linear(50, 30), "orthogonal").weight.detach()
    torch.testing.assert_close(weight @ weight.T, identity(weight), atol=1e-5, rtol=0)
    weight = init.apply(nn.ConvTranspose2d(8, 4, 3), "orthogonal(gain=2)").weight.detach().transpose(0, 1).flatten(1)
    torch.testing.assert_close(weight @ weight.T, 4 * identity(weight), atol=1e-5, rtol=0)


def test_only_linear_and_convolutional_layers_change():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.PReLU(4), nn.Flatten(), nn.Linear(36, 2)
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert init.apply(model, "zero") is model
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"0.weight", "4.weight", "4.bias"}
    assert model[0].weight.requires_grad


def test_the_seed_decides():
    model = nn.Linear(5, 5)
    torch.manual_seed(0)
    first = init.apply(model, "kaiming").weight.clone()
    torch.manual_seed(0)
    assert torch.equal(init.apply(model, "kaiming").weight, first)
    assert not torch.equal(init.apply(model, "kaiming").weight, first)


@pytest.mark.parametrize("name", entries("initializer"))
def test_rows(name):
    weight = init.apply(nn.Linear(6, 4), name).weight
    assert weight.isfinite().all()
    assert (name == "zero") == bool((weight == 0).all())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("kaimin", "did you mean 'kaiming'"),
        ("kaiming(slop=1)", "did you mean 'slope'"),
        ("small-random(std=-1)", "std, a deviation, from 0 up; received -1"),
        ("xavier-normal(gain='big')", "cannot be built"),
    ],
)
def test_wrong_calls(call, sentence):
    with pytest.raises(InputError, match=sentence):
        init.apply(nn.Linear(2, 2), call)


def test_models_without_weights():
    with pytest.raises(InputError, match="no linear or convolutional layer"):
        init.apply(nn.ReLU(), "kaiming")
    with pytest.raises(InputError, match="'1' is not known yet; run one batch"):
        init.apply(nn.Sequential(nn.ReLU(), nn.LazyLinear(3)), "kaiming")
    with pytest.raises(UnknownNameError):
        init.apply(nn.Linear(2, 2), "nothing")
