"""Surgery: what is replaced, frozen and looked at in models of any make, and that an error leaves them whole."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from chainrule import registry, seeding
from chainrule.errors import InputError, UnknownNameError
from chainrule.models.vision.lenet import LeNet5
from chainrule.nn import APLU, FrozenBatchNorm, MeLU, SReLU
from chainrule.surgery import ByWidth, features, freeze, head_of, replace_head, swap
from tests.unchecked import unchecked

POOL = ["melu", "gelu", "srelu", "aplu", nn.SiLU, "leaky-relu(negative_slope=0.1)"]


class OneReLU(nn.Module):
    """One ReLU at two widths, as in a block of torchvision's ResNet, and one under two names."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.once = self.again = nn.ReLU()
        self.last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(self.once(x))))
        return self.last(self.relu(x))


class Auxiliary(nn.Module):
    """A second classifier that only training reaches."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.fc = nn.Linear(4, 10)
        self.aux1 = nn.Sequential(nn.Linear(4, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 10))

    def forward(self, x):
        x = self.stem(x).mean((2, 3))
        return self.fc(x) + self.aux1(x) if self.training else self.fc(x)


def kinds(model, *wanted):
    return [type(module) for module in model.modules() if isinstance(module, wanted)]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def snapshot(model):
    """All that surgery could change."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = [(name, id(module), module.training) for name, module in model.named_modules(remove_duplicate=False)]
    return layers, [parameter.requires_grad for parameter in model.parameters()], state


def untouched(model, before):
    after = snapshot(model)
    hooks = [module for module in model.modules() if module._forward_hooks or module._forward_pre_hooks]
    return after[:2] == before[:2] and same(after[2], before[2]) and not hooks


# swap


@pytest.mark.parametrize(
    ("model", "shape"),
    [(LeNet5(), (1, 28, 28)), (registry.lookup("model", "resnet20").make(), (3, 16, 16)), (OneReLU(), (3, 8, 8))],
)
@pytest.mark.parametrize("new", ["melu(k=8)", MeLU, partial(MeLU, k=8), lambda channels: MeLU(channels)])
def test_what_starts_as_relu_changes_nothing(model, shape, new):
    model = copy.deepcopy(model).eval()
    x = torch.randn(3, *shape)
    with torch.no_grad():
        before = model(x)
        assert swap(model, {nn.ReLU: new}, sample=shape) is model
        torch.testing.assert_close(model(x), before, atol=1e-6, rtol=0)
    assert not kinds(model, nn.ReLU)
    assert kinds(model, MeLU)


def test_channels_are_those_that_come_in():
    model = swap(LeNet5(), {nn.ReLU: "melu"}, sample=torch.rand(2, 1, 28, 28))
    assert [act.channels for act in model.acts] == [6, 16, 120, 84]


def test_one_layer_at_several_widths_becomes_one_for_each():
    model = swap(OneReLU(), {nn.ReLU: MeLU}, sample=(3, 8, 8))
    assert isinstance(model.relu, ByWidth)
    assert {width: layer.channels for width, layer in model.relu.layers.items()} == {"4": 4, "6": 6}
    assert isinstance(model.once, MeLU)
    assert model.once is model.again
    assert len(kinds(model, MeLU)) == 3
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    assert all(layer.slope.grad is not None for layer in model.relu.layers.values())
    with pytest.raises(InputError, match="made for 4, 6 channels; the input has 5"):
        model.relu(torch.rand(2, 5))


def test_what_needs_no_channels_needs_no_sample():
    model = swap(OneReLU(), {nn.ReLU: "gelu"})
    assert type(model.relu) is nn.GELU
    for shared in ("melu(channels=1)", lambda: MeLU(1), partial(MeLU, channels=1)):
        model = swap(OneReLU(), {nn.ReLU: shared})
        assert model.relu.channels == 1
    assert swap(OneReLU(), {nn.ReLU: nn.PReLU}).relu.num_parameters == 1
    assert swap(LeNet5(), {nn.ReLU: "prelu"}, sample=(1, 28, 28)).acts[3].num_parameters == 84


def test_any_type_can_be_swapped():
    model = swap(
        OneReLU(), {nn.BatchNorm2d: lambda channels: nn.GroupNorm(2, channels), nn.ReLU: nn.SiLU}, sample=(3, 8, 8)
    )
    assert kinds(model, nn.GroupNorm, nn.SiLU, nn.BatchNorm2d, nn.ReLU) == [nn.GroupNorm] * 2 + [nn.SiLU] * 2
    assert model.bn2.num_channels == 6


def test_only_that_type_and_nothing_inside_what_is_replaced():
    model = swap(nn.Sequential(nn.ReLU6(), nn.Hardtanh()), {nn.Hardtanh: nn.Tanh})
    assert [type(layer) for layer in model] == [nn.ReLU6, nn.Tanh]
    inner = nn.Sequential(nn.Flatten(), nn.ReLU())
    model = swap(nn.ModuleList([inner]), {nn.Sequential: lambda: nn.Sequential(nn.ReLU()), nn.ReLU: nn.GELU})
    assert type(model[0][0]) is nn.ReLU
    assert type(inner[1]) is nn.ReLU


def test_the_model_itself():
    assert type(swap(nn.ReLU(), {nn.ReLU: nn.GELU})) is nn.GELU
    assert swap(nn.ReLU(), {nn.ReLU: MeLU}, sample=(7,)).channels == 7


def test_a_pool_is_drawn_from_by_seed():
    def drawn(seed):
        return swap(nn.Sequential(*[nn.ReLU() for _ in range(9)]), {nn.ReLU: POOL}, sample=(5,), seed=seed)

    def types(model):
        return [type(layer) for layer in model]

    state = torch.get_rng_state()
    one, other, again = drawn(0), drawn(1), drawn(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert types(one) == types(again) != types(other)
    assert same(one.state_dict(), again.state_dict())
    assert len(set(types(one))) > 2
    # Without a seed as torch itself draws.
    assert len({tuple(types(drawn(None))) for _ in range(5)}) == 5
    torch.set_rng_state(state)
    one = drawn(None)
    torch.set_rng_state(state)
    assert same(one.state_dict(), drawn(None).state_dict())


def test_each_width_draws():
    made = [swap(OneReLU(), {nn.ReLU: [MeLU, SReLU]}, sample=(3, 8, 8), seed=seed).relu.layers for seed in range(12)]
    assert {tuple(type(layer) for layer in layers.values()) for layers in made} == {
        (one, other) for one in (MeLU, SReLU) for other in (MeLU, SReLU)
    }


def test_the_trace_leaves_nothing_behind():
    model = Auxiliary().train()
    sample = torch.rand(1, 3, 8, 8)
    before, state = {name: tensor.clone() for name, tensor in model.state_dict().items()}, seeding.state()
    model.stem.eval()
    swap(model, {nn.ReLU: MeLU}, sample=sample)
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert torch.equal(seeding.state()["torch"], state["torch"])
    assert model.training
    assert model.aux1.training
    assert not model.stem.training
    assert [model.stem[2].channels, model.aux1[2].channels] == [4, 7]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
def test_mode_dtype_and_device_are_carried(device, dtype, training):
    model = OneReLU().to(device=device, dtype=dtype).train(training)
    swap(model, {nn.ReLU: ["melu", APLU]}, sample=(3, 8, 8), seed=1)
    replace_head(model, 3)
    tensors = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())]
    assert {(tensor.device.type, tensor.dtype) for tensor in tensors} == {(device, dtype)}
    assert {module.training for module in model.modules()} == {training}
    freeze(model)
    assert {module.training for module in model.modules()} == {training}
    assert features(model)(torch.rand(2, 3, 8, 8, device=device, dtype=dtype)).shape == (2, 6)


@pytest.mark.parametrize(
    ("layers", "sample", "sentence"),
    [
        ({nn.GELU: nn.SiLU}, None, "no layer of type GELU to swap, only AdaptiveAvgPool2d.*F.relu, is no layer"),
        ({nn.ReLU: MeLU}, None, "write sample="),
        ({nn.ReLU: MeLU}, (1, 8, 8), r"does not take a sample of shape \(1, 8, 8\)"),
        ({nn.ReLU: MeLU}, ("a", 8), "sample="),
        ({nn.ReLU: "mela"}, (3, 8, 8), "did you mean 'melu'"),
        ({nn.ReLU: [MeLU, "melu(q=3)"]}, (3, 8, 8), "option of melu named 'q'"),
        ({nn.ReLU: []}, (3, 8, 8), "pool for ReLU is empty"),
        ({nn.ReLU: nn.GELU()}, None, "each place gets its own"),
        ({nn.ReLU: lambda: 3}, None, "should make a module"),
        ({nn.ReLU: nn.Linear}, None, "does not work without 'in_features' and 'out_features'"),
        ({"relu": nn.GELU}, None, "types of layers"),
        ({nn.BatchNorm2d: nn.Identity, nn.ReLU: lambda channels: {}[channels]}, (3, 8, 8), None),
    ],
)
def test_an_error_leaves_the_model_untouched(layers, sample, sentence):
    model = OneReLU()
    model.bn1.eval()
    before = snapshot(model)
    with pytest.raises(InputError if sentence else KeyError, match=sentence):
        swap(model, layers, sample=sample)
    assert untouched(model, before)


def test_a_place_that_is_never_reached():
    model = LeNet5()
    model.spare = nn.Sequential(nn.ReLU())
    before = snapshot(model)
    with pytest.raises(InputError, match=r"never reaches 'spare\.0'"):
        swap(model, {nn.ReLU: MeLU}, sample=(1, 28, 28))
    assert untouched(model, before)
    with pytest.raises(InputError, match="has no axis for channels"):
        swap(nn.Sequential(nn.Flatten(0), nn.ReLU()), {nn.ReLU: MeLU}, sample=(3,))


# Dynamo itself makes an instance of a Function, of which torch warns.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_swapped_model_compiles_and_exports():
    model = swap(OneReLU(), {nn.ReLU: "srelu"}, sample=(3, 8, 8)).eval()
    x = torch.rand(2, 3, 8, 8)
    with unchecked(), torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), model(x))
        exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("b")},)).module()
        torch.testing.assert_close(exported(torch.cat([x, x]))[:2], model(x))


# heads


def test_the_head():
    assert head_of(LeNet5()) == "fc3"
    assert head_of(OneReLU()) == "last.2"
    assert head_of(Auxiliary()) == "fc"
    assert head_of(nn.Linear(2, 3)) == ""
    after = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), MeLU(4), nn.Dropout())
    assert head_of(after) == "0"


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (nn.ReLU(), "name one.$"),
        (nn.Sequential(nn.Linear(2, 2), nn.Conv2d(1, 1, 1), nn.ReLU()), "last layer with a matrix is '1', a Conv2d"),
        (nn.Sequential(nn.Linear(4, 4), nn.MultiheadAttention(4, 2)), r"'1\.out_proj', a NonDyn"),
        (nn.Sequential(nn.Linear(4, 4), nn.LazyConv2d(2, 1)), "'1', a LazyConv2d"),
        (registry.lookup("model", "lenet5-original").make(), "a RBFOutput"),
    ],
)
def test_a_model_without_a_linear_head(model, sentence):
    with pytest.raises(InputError, match=sentence):
        head_of(model)


def test_a_new_head():
    model = LeNet5()
    fc1 = model.fc1.weight.clone()
    assert replace_head(model, 3) is model
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 3)
    assert torch.equal(model.fc1.weight, fc1)
    # As torch initializes it: uniform within 1 / sqrt(inputs).
    torch.manual_seed(0)
    fresh = nn.Linear(84, 3)
    torch.manual_seed(0)
    assert same(replace_head(model, 3).fc3.state_dict(), fresh.state_dict())
    assert replace_head(nn.Linear(5, 2, bias=False), 4).weight.shape == (4, 5)
    assert replace_head(nn.Linear(5, 2, bias=False), 4).bias is None


def test_a_lazy_head_must_have_run():
    with pytest.raises(InputError, match="is a LazyLinear: write head="):
        replace_head(nn.LazyLinear(3), 2)


def test_a_head_by_name():
    model = nn.Sequential(nn.Linear(3, 3), nn.Unflatten(1, (3, 1, 1)), nn.Conv2d(3, 8, 1, bias=False), nn.Flatten())
    replace_head(model, 5, head="2")
    assert model(torch.rand(2, 3)).shape == (2, 5)
    assert model[2].bias is None


def test_auxiliary_classifiers_get_new_heads_too():
    model = replace_head(Auxiliary(), 3)
    assert [model.fc.out_features, model.aux1[0].out_features, model.aux1[3].out_features] == [3, 7, 3]
    assert model(torch.rand(2, 3, 8, 8)).shape == (2, 3)
    assert replace_head(nn.Sequential(Auxiliary()), 3)[0].aux1[3].out_features == 3
    other = Auxiliary()
    other.aux1[3] = nn.Linear(7, 2)
    assert replace_head(other, 3).aux1[3].out_features == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": 0}, "classes as a whole number"),
        ({"classes": 3, "head": "last.3"}, "did you mean 'last.2'"),
        ({"classes": 3, "head": "bn1"}, "'bn1' is a BatchNorm2d"),
        ({"classes": 3, "head": "last"}, "'last' is a Sequential"),
    ],
)
def test_a_head_that_cannot_be(options, sentence):
    model = OneReLU()
    before = snapshot(model)
    with pytest.raises(InputError, match=sentence):
        replace_head(model, **options)
    assert untouched(model, before)


# freeze


def norm_with_statistics(build, shape, **options):
    norm = build(shape[1], eps=1e-3, **options).double()
    for _ in range(3):
        if build is nn.SyncBatchNorm:  # trains on a GPU only
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
        else:
            norm(torch.randn(shape, dtype=torch.float64) * 3 + 1)
    if norm.affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (nn.BatchNorm1d, (4, 3)),
        (nn.BatchNorm1d, (4, 3, 5)),
        (nn.BatchNorm2d, (4, 3, 2, 2)),
        (nn.BatchNorm3d, (4, 3, 2, 2, 1)),
        (nn.SyncBatchNorm, (4, 3, 2, 2)),
    ],
)
def test_frozen_normalization_is_the_layer_in_evaluation_mode(build, shape, affine):
    norm = norm_with_statistics(build, shape, affine=affine)
    frozen = FrozenBatchNorm.of(norm)
    assert frozen.training
    norm.eval()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.equal(frozen(x), norm(x))
    cotangent = torch.randn(shape, dtype=torch.float64)
    assert torch.equal(*(torch.autograd.grad(layer(x), x, cotangent)[0] for layer in (frozen, norm)))
    assert torch.autograd.gradcheck(frozen, x)
    assert list(frozen.state_dict()) == list(norm.state_dict())
    frozen.load_state_dict(norm.state_dict())
    norm.load_state_dict(frozen.state_dict())
    fresh = FrozenBatchNorm(shape[1], eps=1e-3, affine=affine).double()
    fresh.load_state_dict(norm.state_dict())
    assert torch.equal(fresh(x), norm(x))
    assert not list(frozen.parameters())


def test_only_the_head_is_trained():
    model = OneReLU()
    names = list(model.state_dict())
    assert freeze(model) is model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["last.2.weight", "last.2.bias"]
    assert list(model.state_dict()) == names
    OneReLU().load_state_dict(model.state_dict())
    model.load_state_dict(OneReLU().state_dict() | before)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model.train()
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 2, 3])).backward()
        optimizer.step()
    after = model.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {"last.2.weight", "last.2.bias"}


def test_freeze_until_a_layer():
    model = freeze(OneReLU(), until="bn1")
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"}  # in the order of registration
    assert type(model.bn1) is nn.BatchNorm2d
    model = freeze(OneReLU(), until="bn2")
    assert [type(model.bn1), type(model.bn2)] == [FrozenBatchNorm, nn.BatchNorm2d]
    before = snapshot(model)
    with pytest.raises(UnknownNameError, match="did you mean 'conv2'"):
        freeze(model, until="conv3")
    assert untouched(model, before)


class ActiveNorm(nn.BatchNorm2d):
    """A subclass with an activation inside, as timm has one."""

    def __init__(self, channels):
        super().__init__(channels)
        self.act = nn.Dropout(0.5)

    def forward(self, x):
        return self.act(super().forward(x).relu())


@pytest.mark.parametrize("build", [ActiveNorm, partial(nn.InstanceNorm2d, track_running_stats=True)])
def test_other_normalization_stays_in_evaluation_mode(build):
    model = freeze(nn.Sequential(build(3), nn.Flatten(), nn.Linear(12, 2)))
    twin = copy.deepcopy(model)
    for one in (model, twin):
        one.eval()
        one.train()
        assert one.training
        assert not one[0].training
        assert all(child.training for child in one[0].children())
        one(torch.randn(4, 3, 2, 2))
        assert torch.equal(one[0].running_mean, torch.zeros(3))
    assert twin[0].train.__self__ is twin[0]


# features


def test_what_goes_into_the_head():
    model = LeNet5().eval()
    x = torch.randn(2, 1, 28, 28)
    y = model.pool(model.acts[0](model.conv1(x)))
    y = model.pool(model.acts[1](model.conv2(y)))
    y = model.acts[3](model.fc2(model.acts[2](model.fc1(y.flatten(1)))))
    body = features(model)
    assert torch.equal(body(x), y)
    assert torch.equal(body(x), y)
    assert torch.equal(model.fc3(body(x)), model(x))
    assert torch.equal(features(model, "fc3")(x), model(x))
    assert torch.equal(features(model, "")(x), model(x))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_first_call_counts_and_the_rest_is_not_run():
    model = OneReLU().eval()
    ran = []
    model.conv2.register_forward_hook(lambda *_: ran.append(1))
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(features(model, "relu")(x), model.bn1(model.conv1(x)).relu())
    assert not ran


def test_features_share_weights_mode_and_dtype():
    model = LeNet5()
    body = features(model, "conv2")
    body(torch.randn(2, 1, 28, 28)).sum().backward()
    assert model.conv1.weight.grad is not None
    assert model.fc1.weight.grad is None
    assert body.training
    body.eval().double()
    assert not model.training
    assert body(torch.randn(2, 1, 28, 28).double()).dtype == torch.float64
    twin = copy.deepcopy(body)
    assert twin.model is not model
    assert twin(torch.randn(2, 1, 28, 28).double()).shape == (2, 16, 10, 10)
    swap(model, {nn.ReLU: nn.GELU})
    assert torch.isfinite(body(torch.randn(2, 1, 28, 28).double())).all()


def test_a_layer_that_is_never_reached_or_does_not_exist():
    model = Auxiliary().eval()
    body = features(model, "aux1.3")
    with pytest.raises(InputError, match=r"does not call 'aux1\.3' in evaluation mode"):
        body(torch.rand(2, 3, 8, 8))
    assert body.train()(torch.rand(2, 3, 8, 8)).shape == (2, 10)
    assert not model.aux1[3]._forward_hooks
    with pytest.raises(UnknownNameError, match="did you mean 'stem'"):
        features(model, "steam")
    with pytest.raises(RuntimeError):
        body(torch.rand(2, 5, 8, 8))
    assert not model.aux1[3]._forward_hooks
