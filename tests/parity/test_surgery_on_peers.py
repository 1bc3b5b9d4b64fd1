"""Surgery on the networks of torchvision and timm: the same outputs where nothing should change, on any of them."""

import copy

import pytest
import torch
from torch import nn

from chainrule.nn import FrozenBatchNorm, MeLU
from chainrule.surgery import ByWidth, features, freeze, head_of, replace_head, swap
from tests.parity.vision_peers import peer
from tests.unchecked import unchecked

# Package, name, options, head, shape of a sample, and the name of its activation's class (timm has a GELU of its own).
NETWORKS = [
    ("torchvision", "resnet18", {}, "fc", (3, 32, 32), "ReLU"),
    ("torchvision", "vgg11_bn", {}, "classifier.6", (3, 32, 32), "ReLU"),
    ("torchvision", "densenet121", {}, "classifier", (3, 32, 32), "ReLU"),
    ("torchvision", "mobilenet_v2", {}, "classifier.1", (3, 32, 32), "ReLU6"),
    ("torchvision", "googlenet", {"init_weights": False}, "fc", (3, 64, 64), None),
    ("timm", "resnet18", {}, "fc", (3, 32, 32), "ReLU"),
    ("timm", "efficientnet_b0", {}, "classifier", (3, 32, 32), "SiLU"),
    ("timm", "convnext_atto", {}, "head.fc", (3, 32, 32), "GELU"),
    ("timm", "vit_tiny_patch16_224", {}, "head", (3, 224, 224), "GELU"),
]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda row: f"{row[0]}-{row[1]}")
def network(request):
    package, name, options, *rest = request.param
    try:
        if package == "torchvision":
            model = getattr(peer("torchvision.models"), name)(weights=None, **options)
        else:
            model = peer("timm").create_model(name, **options)
    except ImportError:
        pytest.skip(f"{package} is not installed")
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval(), *rest


@torch.no_grad()
def test_features_go_into_the_head(network):
    model, head, shape, _ = network
    assert head_of(model) == head
    x = torch.randn(2, *shape)
    inside = features(model)(x)
    assert inside.shape == (2, model.get_submodule(head).in_features)
    assert torch.equal(model.get_submodule(head)(inside), model(x))


def test_a_new_head(network):
    model, head, shape, _ = network
    model = replace_head(copy.deepcopy(model), 3)
    assert model(torch.randn(2, *shape)).shape == (2, 3)
    assert model.get_submodule(head).weight.requires_grad
    if hasattr(model, "aux1"):
        assert [model.aux1.fc2.out_features, model.aux2.fc2.out_features] == [3, 3]
        assert model.aux1.fc1.out_features == 1024


def test_only_the_head_moves(network):
    model, head, shape, _ = network
    model = copy.deepcopy(model)
    x = torch.randn(2, *shape)
    with torch.no_grad():
        expected = model(x)
    names = list(model.state_dict())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    freeze(model)
    with torch.no_grad():
        assert torch.equal(model(x), expected)
    assert list(model.state_dict()) == names
    model.load_state_dict(before)
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    output = model(x)
    (output.logits if hasattr(output, "logits") else output).square().sum().backward()
    optimizer.step()
    after = model.state_dict()
    moved = {name for name in names if not torch.equal(after[name], before[name])}
    assert moved == {f"{head}.weight", f"{head}.bias"}


@torch.no_grad()
def test_relu_becomes_melu_and_nothing_changes(network):
    model, _, shape, kind = network
    if kind != "ReLU":
        pytest.skip("it has no ReLU")
    x = torch.randn(2, *shape)
    expected = model(x)
    model = swap(copy.deepcopy(model), {nn.ReLU: MeLU}, sample=shape)
    assert not any(type(module) is nn.ReLU for module in model.modules())
    torch.testing.assert_close(model(x), expected, atol=1e-6 * expected.abs().max().item(), rtol=0)


def test_any_activation_becomes_one_of_a_pool(network):
    model, _, shape, kind = network
    model = copy.deepcopy(model)
    if kind is None:
        with pytest.raises(ValueError, match=r"such as F\.relu"):
            swap(model, {nn.ReLU: MeLU}, sample=shape)
        return
    old = next(type(module) for module in model.modules() if type(module).__name__ == kind)
    swap(model, {old: ["gelu", "srelu(channels=1)", nn.SiLU, MeLU]}, sample=shape, seed=4)
    x = torch.randn(2, *shape)
    assert torch.isfinite(model(x)).all()
    model.train()(x).sum().backward()
    for module in model.modules():
        if isinstance(module, MeLU):
            assert module.slope.grad is not None


def test_channels_in_blocks_that_share_a_relu():
    try:
        resnet = peer("torchvision.models").resnet50(weights=None)
    except ImportError:
        pytest.skip("torchvision is not installed")
    swap(resnet, {nn.ReLU: MeLU}, sample=(3, 32, 32))
    assert resnet.relu.channels == 64
    for name, (narrow, wide) in {"layer1": (64, 256), "layer4": (512, 2048)}.items():
        relu = resnet.get_submodule(name)[0].relu
        assert isinstance(relu, ByWidth)
        assert [layer.channels for layer in relu.layers.values()] == [narrow, wide]
    freeze(resnet)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in resnet.modules())
    assert any(isinstance(module, FrozenBatchNorm) for module in resnet.modules())


# Dynamo itself makes an instance of a Function, of which torch warns.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@torch.no_grad()
def test_swapped_and_frozen_networks_compile_and_export():
    try:
        model = peer("torchvision.models").resnet18(weights=None)
    except ImportError:
        pytest.skip("torchvision is not installed")
    model = freeze(swap(model, {nn.ReLU: MeLU}, sample=(3, 32, 32))).eval()
    x = torch.randn(2, 3, 32, 32)
    with unchecked():
        expected = model(x)
        torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="aot_eager")(x), expected)
        exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("b")},))
        torch.testing.assert_close(exported.module()(torch.cat([x, x, x]))[:2], expected)
