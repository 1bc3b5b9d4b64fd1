"""Activations: the papers' equations summed one by one, golden values, gradients, by name, and what is refused."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule.errors import InputError, UnknownNameError
from chainrule.nn import activations
from chainrule.nn.activations import (
    APLU,
    PDELU,
    SRS,
    Average,
    FlexibleMeLU,
    GaLU,
    LearnableMish,
    LearnableSwish,
    Maxout,
    MeLU,
    SoftLearnable,
    SReLU,
    Symmetric,
    activation,
    piecewise,
)
from chainrule.nn.activations.maxout import maxout

MELU = {
    2: [(2, 2)],
    4: [(2, 2), (1, 1), (3, 1)],
    8: [(2, 2), (1, 1), (3, 1), (0.5, 0.5), (1.5, 0.5), (2.5, 0.5), (3.5, 0.5)],
}
GALU = {2: [(1, 1)], 4: [(1, 1), (0.5, 0.5), (2.5, 0.5)]}


def hat(x: Tensor, a: float | Tensor, half: float) -> Tensor:
    return (half - (x - a).abs()).clamp(min=0)


def wave(x: Tensor, a: float, half: float) -> Tensor:
    return (half - (x - a).abs()).clamp(min=0) + ((x - a - 2 * half).abs() - half).clamp(max=0)


def spread(numbers: Tensor, x: Tensor) -> Tensor:
    return numbers.reshape(1, -1, *[1] * (x.ndim - 2))


def melu_slowly(x: Tensor, module: MeLU | FlexibleMeLU, scale: float) -> Tensor:
    """The sum of hats as the paper writes it, one by one; the widest with the sign of the authors' code."""
    x = x / scale
    y = x.clamp(min=0) + spread(module.slope, x) * x.clamp(max=0)
    for j, (centre, half) in enumerate(MELU[module.heights.shape[1] + 1]):
        at = spread(module.centres[:, j], x) if isinstance(module, FlexibleMeLU) else centre
        y = y + (-1 if j == 0 else 1) * spread(module.heights[:, j], x) * hat(x, at, half)
    return scale * y


def galu_slowly(x: Tensor, module: GaLU, scale: float) -> Tensor:
    x = x / scale
    y = x.clamp(min=0) + spread(module.slope, x) * x.clamp(max=0)
    for j, (centre, half) in enumerate(GALU[module.heights.shape[1] + 1]):
        y = y + spread(module.heights[:, j], x) * wave(x, centre, half)
    return scale * y


def srelu_slowly(x: Tensor, module: SReLU, scale: float) -> Tensor:
    tl, al, tr, ar = (
        spread(p, x) for p in (module.left_knot, module.left_slope, module.right_knot, module.right_slope)
    )
    return torch.where(x < tl, tl + al * (x - tl), torch.where(x > tr, tr + ar * (x - tr), x))


def aplu_slowly(x: Tensor, module: APLU, scale: float) -> Tensor:
    y = x.clamp(min=0)
    for s in range(module.slopes.shape[1]):
        y = y + spread(module.slopes[:, s], x) * (spread(module.knots[:, s], x) - x).clamp(min=0)
    return y


SLOWLY = [
    *[(lambda m, k=k: MeLU(3, k=k, max_input=m), melu_slowly) for k in (2, 4, 8)],
    *[(lambda m, k=k: FlexibleMeLU(3, k=k, max_input=m), melu_slowly) for k in (2, 4, 8)],
    *[(lambda m, k=k: GaLU(3, k=k, max_input=m), galu_slowly) for k in (2, 4)],
    (lambda m: SReLU(3, max_input=m), srelu_slowly),
    *[(lambda m, s=s: APLU(3, hinges=s, max_input=m), aplu_slowly) for s in (1, 3, 40)],
]
IDS = ["melu2", "melu4", "melu8", "flexible2", "flexible4", "flexible8", "galu2", "galu4", "srelu", "aplu1", "aplu3"]
IDS += ["aplu40"]


def moved(module: nn.Module, by: float = 0.3) -> nn.Module:
    """The module with its numbers away from their start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += by * torch.randn_like(parameter)
    return module


@pytest.mark.parametrize("scale", [1.0, 255.0])
@pytest.mark.parametrize("shape", [(50, 3), (4, 3, 60), (2, 3, 9, 7)], ids=str)
@pytest.mark.parametrize(("build", "slowly"), SLOWLY, ids=IDS)
def test_value_and_gradient_equal_the_slow_sum(build, slowly, shape, scale):
    module = moved(build(scale).double())
    x = (scale * (3 * torch.randn(shape, dtype=torch.float64) + 1)).requires_grad_()
    weights = torch.randn(shape, dtype=torch.float64)
    ours, reference = module(x), slowly(x, module, scale)
    torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-10)
    wanted = [x, *module.parameters()]
    for one, other in zip(
        torch.autograd.grad((ours * weights).sum(), wanted),
        torch.autograd.grad((reference * weights).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def with_ones(module: nn.Module) -> nn.Module:
    nn.init.ones_(module.slope)
    nn.init.ones_(module.heights)
    return module


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_golden_values(scale):
    def at(module: nn.Module, points: list[float]) -> list[float]:
        return (module(scale * torch.tensor([points]).T) / scale).flatten().tolist()

    melu = with_ones(MeLU(max_input=scale))
    assert at(melu, [0.5, 1, 2, 3, -1, 5]) == pytest.approx([0.5, 1, 0, 3, -1, 5], abs=1e-6)
    galu = with_ones(GaLU(max_input=scale))
    assert at(galu, [0.5, 1, 1.5, 3, 4.5]) == pytest.approx([1.5, 2, 1.5, 2, 4.5], abs=1e-6)


def test_slopes_of_melu():
    module = moved(MeLU(1).double())
    al, (be, ga, de) = module.slope.item(), module.heights[0].tolist()
    points = torch.tensor([[-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]], dtype=torch.float64).T.requires_grad_()
    (slopes,) = torch.autograd.grad(module(points).sum(), points)
    wanted = [al, 1 - be + ga, 1 - be - ga, 1 + be + de, 1 + be - de, 1]
    assert slopes.flatten().tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("call", "numbers"),
    {
        "prelu": 1,
        "small-galu": 2,
        "melu": 4,
        "galu": 4,
        "srelu": 4,
        "aplu": 6,
        "wide-melu": 8,
        "flexible-melu": 7,
    }.items(),
)
def test_learned_numbers_of_a_channel(call, numbers):
    assert sum(p.numel() for p in activation(call, channels=5).parameters()) == 5 * numbers


@pytest.mark.parametrize("scale", [1.0, 255.0])
@pytest.mark.parametrize(
    "name", ["melu", "wide-melu", "flexible-melu", "galu", "small-galu", "melu-galu", "srelu", "aplu"]
)
def test_starts_as_relu(name, scale):
    x = scale * 3 * torch.randn(4, 3, 50)
    built = activation(f"{name}(max_input={scale})", channels=3)
    assert torch.equal(built(x), F.relu(x))


def test_symmetric_starts_as_the_absolute_value():
    x = torch.randn(4, 3, 50)
    assert torch.equal(activation("symmetric-melu", channels=3)(x), x.abs())
    module = moved(MeLU(3))
    torch.testing.assert_close(Symmetric(module)(x), module(x) + module(-x))
    torch.testing.assert_close(Average(module, nn.Tanh())(x), (module(x) + x.tanh()) / 2)


@pytest.mark.parametrize(("build", "slowly"), SLOWLY, ids=IDS)
def test_first_and_second_derivatives(build, slowly):
    module = moved(build(1.0).double())
    x = (2 * torch.randn(2, 3, 7, dtype=torch.float64) + 1).requires_grad_()
    names = [name for name, _ in module.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    inputs = (x, *module.parameters())
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("build", [SoftLearnable, SRS, PDELU, LearnableSwish, LearnableMish])
def test_derivatives_of_smooth_ones(build):
    module = moved(build(3).double(), 0.1)
    x = (2 * torch.randn(2, 3, 7, dtype=torch.float64)).requires_grad_()
    names = [name for name, _ in module.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *module.parameters()), fast_mode=True)


@pytest.mark.parametrize("numbers", [(1, 3), (3, 1)])
def test_rows_and_channels_take_the_same_way(numbers):
    """Few inputs a row are grouped by channel, many are not."""
    module = moved(MeLU(3, k=8).double())
    x = 4 * torch.rand(5, 3, 4, dtype=torch.float64)
    wide = module(x.repeat(1, 1, 20))
    torch.testing.assert_close(wide[..., :4], module(x))
    torch.testing.assert_close(module(x[..., 0]), module(x)[..., 0])
    assert module(x).is_contiguous()


def test_parts_do_not_matter(monkeypatch):
    module = moved(GaLU(3))
    x = 4 * torch.rand(6, 3, 30)
    y = module(x)
    gradients = torch.autograd.grad(y.square().sum(), module.parameters())
    monkeypatch.setattr(piecewise, "PART", 70)
    assert torch.equal(module(x), y)
    for one, other in zip(torch.autograd.grad(module(x).square().sum(), module.parameters()), gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_layout_in_memory_does_not_matter():
    module, x = moved(MeLU(3)), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(module(x.contiguous(memory_format=torch.channels_last)), module(x))
    torch.testing.assert_close(module(x.transpose(2, 3)), module(x).transpose(2, 3))


def test_one_set_of_numbers_for_all_channels():
    shared, each = moved(MeLU()), MeLU(6)
    with torch.no_grad():
        each.slope.copy_(shared.slope.expand(6))
        each.heights.copy_(shared.heights.expand(6, 3))
    x = 3 * torch.randn(4, 6, 9)
    torch.testing.assert_close(shared(x), each(x))
    shared(x).sum().backward()
    each(x).sum().backward()
    torch.testing.assert_close(shared.heights.grad[0], each.heights.grad.sum(0))


def test_gradients_of_each_sample():
    module, x = moved(MeLU(3)), torch.randn(4, 3, 20)
    numbers = dict(module.named_parameters())

    def loss(numbers: dict[str, Tensor], row: Tensor) -> Tensor:
        return torch.func.functional_call(module, numbers, (row[None],)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(numbers, x)
    for n, row in enumerate(x):
        alone = torch.func.grad(loss)(numbers, row)
        torch.testing.assert_close(each["heights"][n], alone["heights"])
    ensemble, buffers = torch.func.stack_module_state([moved(MeLU(3)) for _ in range(5)])
    run = torch.func.vmap(lambda p, b: torch.func.functional_call(module, (p, b), (x,)))
    assert run(ensemble, buffers).shape == (5, 4, 3, 20)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_half_precision_is_rounded_once(dtype, scale):
    module = moved(MeLU(3, k=8, max_input=scale)).to(dtype)
    exact = MeLU(3, k=8).double()
    exact.load_state_dict(module.state_dict())
    x = (scale * torch.randn(4, 3, 50)).to(dtype).requires_grad_()
    y = module(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y.double(), exact(x.double()), rtol=torch.finfo(dtype).eps, atol=1e-5 * scale)
    y.float().sum().backward()
    assert x.grad.dtype == module.heights.grad.dtype == dtype


def test_autocast_keeps_the_inputs_type():
    module, x = moved(MeLU(3)), torch.randn(4, 3, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(x).dtype == torch.bfloat16


def test_strange_inputs():
    module = moved(MeLU(3, k=8))
    x = torch.zeros(4, 3, 40)
    x[0, 0, 0], x[1, 1, 1], x[2, 2, 2] = math.nan, math.inf, -math.inf
    y = module(x)
    assert y[0, 0, 0].isnan()
    assert y.isnan().sum() == 1
    assert y[1, 1, 1] == math.inf
    for shape in ((0, 3), (0, 3, 5, 5), (2, 3, 0)):
        x = torch.empty(shape, requires_grad=True)
        module(x).sum().backward()
        assert x.grad.shape == shape


def test_large_inputs_leave_the_hats_gradient_exact():
    """What lies beyond the hats must not drown what lies on them."""
    module = MeLU(1)
    module(torch.tensor([[0.5]] + [[1e6]] * 1000)).sum().backward()
    assert module.heights.grad.tolist() == [[-0.5, 0.5, 0.0]]


def test_constants_move_with_the_state():
    scaled, plain = moved(MeLU(3, k=8, max_input=255.0)), MeLU(3, k=8)
    plain.load_state_dict(scaled.state_dict())
    x = 300 * torch.randn(4, 3, 20)
    assert torch.equal(plain(x), scaled(x))
    assert set(scaled.state_dict()) == {"slope", "heights", "centres", "half_widths", "signs", "max_input"}
    assert scaled.half().double().state_dict()["centres"].tolist() == [a for a, _ in MELU[8]]


def test_crossed_knots_of_srelu():
    module = SReLU()
    nn.init.constant_(module.left_knot, 2.0)
    assert module(torch.tensor([[-1.0], [1.5], [1.99], [3.0]])).flatten().tolist() == [2.0, 2.0, 2.0, 3.0]


def test_smooth_ones_equal_their_peers():
    x = 3 * torch.randn(5, 2, 30)
    torch.testing.assert_close(LearnableSwish(2, beta=1.0)(x), F.silu(x))
    torch.testing.assert_close(LearnableMish(2, beta=1.0)(x), F.mish(x))
    torch.testing.assert_close(PDELU(2, alpha=1.0, theta=0.9999)(x), F.elu(x), atol=1e-3, rtol=0)
    torch.testing.assert_close(PDELU(2)(x), torch.where(x > 0, x, 0.1 * ((1 + 0.1 * x).clamp(min=0) ** 10 - 1)))
    torch.testing.assert_close(SRS(2)(x), x / (x / 5 + torch.exp(-x / 3)))
    below = torch.log((1 + torch.exp(x)) / 2)
    torch.testing.assert_close(SoftLearnable(2)(x), torch.where(x > 0, x, below))
    assert len(list(SoftLearnable(2, learn_beta=True).parameters())) == 2


@pytest.mark.parametrize("build", [SoftLearnable, SRS, PDELU, LearnableSwish, LearnableMish])
def test_smooth_ones_stay_finite(build):
    module = build(1)
    x = torch.tensor([[-1e4], [-300.0], [-100.0], [0.0], [100.0], [1e4]], requires_grad=True)
    y = module(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_maxout_by_hand():
    x = torch.tensor([[1.0, 5.0, -2.0, -7.0]])
    assert maxout(x, 2).tolist() == [[5.0, -2.0]]
    module, images = Maxout(3, 4, pieces=5), torch.randn(2, 3, 6, 7)
    weight, bias = module.linear.weight.reshape(4, 5, 3), module.linear.bias.reshape(4, 5)
    pieces = torch.einsum("kpc,bchw->bkphw", weight, images) + bias[None, :, :, None, None]
    torch.testing.assert_close(module(images), pieces.amax(2))
    assert module(images[:, :, 0, 0]).shape == (2, 4)


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("relu", nn.ReLU),
        ("SiLU", nn.SiLU),
        ("gelu", nn.GELU),
        ("leaky_relu(negative_slope=0.1)", nn.LeakyReLU),
        ("log-softmax(dim=1)", nn.LogSoftmax),
        ("identity", nn.Identity),
        ("MeLU", MeLU),
        ("wide_melu", MeLU),
        ("Symmetric-GaLU(k=2)", Symmetric),
        ("maxout(pieces=3)", Maxout),
    ],
)
def test_by_name(call, wanted):
    assert type(activation(call, channels=6)) is wanted


def test_by_name_gives_channels_and_options():
    assert activation("prelu", channels=6).num_parameters == 6
    assert activation("melu(k=8, max_input=255)", channels=6).heights.shape == (6, 7)
    assert activation("leakyrelu(negative_slope=0.1)").negative_slope == 0.1
    assert set(activations.TORCH) >= {"relu", "tanh", "selu", "mish", "softplus", "hardswish", "glu"}
    assert "multiheadattention" not in activations.TORCH


@pytest.mark.parametrize(
    ("call", "channels", "sentence"),
    [
        ("mellu", 3, "did you mean 'melu'"),
        ("melu(kk=8)", 3, "did you mean 'k'"),
        ("melu(k=6)", 3, "2, 4, 8"),
        ("melu(k=1)", 3, "2, 4, 8"),
        ("melu(max_input=0)", 3, "max_input"),
        ("melu(max_input=-1.0)", 3, "max_input"),
        ("melu", 0, "channels as a whole number from 1 up; received 0"),
        ("relu", 2.5, "received 2.5"),
        ("aplu(hinges=0)", 3, "hinges"),
        ("pdelu(theta=1)", 3, "theta"),
        ("srs(alpha=1, beta=3)", 3, "beta < e"),
        ("maxout(pieces=0)", 3, "pieces"),
        ("relu(max=3)", 3, "option"),
    ],
)
def test_wrong_names_and_options(call, channels, sentence):
    with pytest.raises(InputError, match=sentence):
        activation(call, channels=channels)
    with pytest.raises(UnknownNameError, match="no activation named"):
        activation("zzz")


@pytest.mark.parametrize("name", ["melu", "galu", "srelu", "aplu", "srs", "maxout", "flexible-melu"])
def test_inputs_that_do_not_fit(name):
    module = activation(name, channels=4)
    with pytest.raises(InputError, match=r"made for 4 channels, but .* has 3 on axis 1; write channels=3"):
        module(torch.zeros(2, 3, 5))
    with pytest.raises(InputError, match="divide"):
        maxout(torch.zeros(2, 3), 2)


def test_more_levels_halve_the_hats():
    module = MeLU(k=16)
    assert module.half_widths.tolist() == [2.0] + [1.0] * 2 + [0.5] * 4 + [0.25] * 8
    last = module.centres[-8:].tolist()
    assert all(right - left == 0.5 for left, right in pairwise(last))
    assert (last[0], last[-1]) == (0.25, 3.75)
