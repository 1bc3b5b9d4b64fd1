"""The classic image classifiers, held against their papers."""

import pytest
import torch
from torch import Tensor, nn

from chainrule import models
from chainrule.data.spec import Classes, Image
from chainrule.errors import InputError, UnknownNameError
from chainrule.models.vision import alexnet, lenet, vgg
from chainrule.models.vision.alexnet import AlexNet, AlexNetOneTower
from chainrule.models.vision.cnn import CNN
from chainrule.models.vision.lenet import LeNet5, LeNet5Original
from chainrule.models.vision.resnet_cifar import BasicBlock, ResNetCifar, ShortcutA, ShortcutB, plain_block
from chainrule.models.vision.vgg import VGG
from chainrule.models.vision.zfnet import ZFNet


def sides(features: nn.Module, x: Tensor, kinds: tuple[type[nn.Module], ...]) -> list[int]:
    """Height of the map after each layer of these kinds."""
    found: list[int] = []
    for module in features.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda module, inputs, output: found.append(output.shape[2]))
    features(x)
    return found


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# --- AlexNet and ZFNet ---


@pytest.mark.parametrize("reduction", ["norm-pool", "pool-norm", "pool"])
def test_maps_of_alexnet(reduction: str) -> None:
    with torch.device("meta"):
        network = AlexNet(reduction=reduction)
        found = sides(network.features, torch.empty(1, 3, 227, 227), (nn.Conv2d, nn.MaxPool2d))
    assert found == [55, 27, 27, 13, 13, 13, 13, 6]
    assert network.classifier[0].in_features == 256 * 6 * 6


def test_maps_of_zfnet() -> None:
    with torch.device("meta"):
        found = sides(ZFNet().features, torch.empty(1, 3, 224, 224), (nn.Conv2d, nn.MaxPool2d))
    assert found == [110, 55, 26, 13, 13, 13, 13, 6]


def test_maps_of_the_torchvision_form() -> None:
    with torch.device("meta"):
        found = sides(AlexNetOneTower().features, torch.empty(1, 3, 224, 224), (nn.Conv2d, nn.MaxPool2d))
    assert found == [55, 27, 27, 13, 13, 13, 13, 6]


def slow_norm(x: Tensor, k: float, alpha: float) -> Tensor:
    """The paper's normalization, channel by channel; ``alpha`` is that of the paper."""
    channels = x.shape[1]
    normed = torch.empty_like(x)
    for i in range(channels):
        squares = sum(x[:, j] ** 2 for j in range(max(0, i - 2), min(channels - 1, i + 2) + 1))
        normed[:, i] = x[:, i] / (k + alpha * squares) ** 0.75
    return normed


def test_response_normalization_is_the_papers() -> None:
    # Large enough that alpha counts.
    x = 100 * torch.randn(2, 8, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(alexnet.norm_pool()[0](x), slow_norm(x, 2.0, 1e-4), rtol=1e-12, atol=0)
    torch.testing.assert_close(alexnet.pool_norm()[1](x), slow_norm(x, 1.0, 1e-4 / 5), rtol=1e-12, atol=0)
    assert not torch.allclose(slow_norm(x, 2.0, 1e-4), slow_norm(x, 2.0, 1e-4 / 5), rtol=1e-2)


def test_what_follows_the_convolutions_of_alexnet() -> None:
    small = {"channels": 1, "classes": 3, "size": 67, "widths": (2, 2, 2, 2, 2), "hidden": 4}
    kinds = {
        reduction: [type(layer) for layer in AlexNet(reduction=reduction, **small).features[2:4]]
        for reduction in alexnet.REDUCTIONS
    }
    assert kinds == {
        "norm-pool": [nn.LocalResponseNorm, nn.MaxPool2d],
        "pool-norm": [nn.MaxPool2d, nn.LocalResponseNorm],
        "pool": [nn.MaxPool2d, nn.Conv2d],
    }
    with pytest.raises(UnknownNameError, match="no reduction named 'pol'; did you mean 'pool'"):
        AlexNet(reduction="pol", **small)


def test_groups_do_not_see_each_other() -> None:
    network = AlexNet(1, 3, 67, widths=(4, 4, 4, 4, 4), hidden=4, reduction="pool")
    first, second = network.features[0], network.features[3]
    x = torch.randn(1, 1, 67, 67)
    wanted = network.features[:4](x)
    with torch.no_grad():
        first.weight[2:] += 1.0
    found = network.features[:4](x)
    assert second.groups == 2
    assert torch.equal(found[:, :2], wanted[:, :2])
    assert not torch.equal(found[:, 2:], wanted[:, 2:])


# --- VGG and the plain CNN ---


def test_maps_of_vgg() -> None:
    for letter, convolutions in vgg.DEPTHS.values():
        with torch.device("meta"):
            network = VGG(convolutions=convolutions)
            found = sides(network.features, torch.empty(1, 3, 224, 224), (nn.MaxPool2d,))
        assert found == [112, 56, 28, 14, 7], letter
    weighted = {
        depth: sum(convolutions) + 3  # the fully connected layers
        for depth, (_, convolutions) in vgg.DEPTHS.items()
    }
    assert weighted == {depth: depth for depth in vgg.DEPTHS}


def test_vgg_starts_as_said() -> None:
    network = VGG(1, 3, convolutions=(1, 1), widths=(32, 64), hidden=100)
    conv, fc = network.features[3], network.classifier[3]
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert fc.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not any(p.any() for name, p in network.named_parameters() if name.endswith("bias"))
    with pytest.raises(InputError, match="as many convolutions as widths"):
        VGG(convolutions=(1, 1))


def test_cnn_is_what_its_options_say() -> None:
    network = CNN(2, 3, (8, 13), widths=(4, 6), convolutions=3, batch_norm=False, activation="gelu", hidden=5)
    kinds = [type(layer) for layer in network.features]
    assert kinds == 2 * (3 * [nn.Conv2d, nn.GELU] + [nn.MaxPool2d])
    assert network.classifier[0].in_features == 6 * 2 * 3
    assert network(torch.randn(2, 2, 8, 13)).shape == (2, 3)
    for options in ({"widths": ()}, {"convolutions": 0}):
        with pytest.raises(InputError, match="at least one stage and one convolution"):
            CNN(**options)


# --- LeNet-5 ---


def test_maps_of_lenet() -> None:
    convolving = (nn.Conv2d, lenet.PartialConv2d, lenet.Subsampling, nn.MaxPool2d)
    original, modern = LeNet5Original(), LeNet5()
    assert sides(original, torch.randn(1, 1, 32, 32), convolving) == [28, 14, 10, 5, 1]
    assert sides(modern, torch.randn(1, 1, 28, 28), convolving) == [28, 14, 10, 5]


def test_parameters_of_lenet_layer_by_layer() -> None:
    network = LeNet5Original()
    layers = [*network.features, network.c5, network.f6, network.output]
    assert [n for layer in layers if (n := count(layer))] == [156, 12, 1_516, 32, 48_120, 10_164]
    assert "output.codes" in network.state_dict()


def test_lenet_of_1998_takes_any_size_that_leaves_a_map() -> None:
    for size in (16, 28, 33, (20, 45)):
        height, width = (size, size) if isinstance(size, int) else size
        assert LeNet5Original(2, 3, size)(torch.randn(2, 2, height, width)).shape == (2, 3)


def test_c3_sees_what_the_papers_table_says() -> None:
    # The paper's Table I: a row for each map of S2, a column for each of C3.
    table = [
        "#...###..####.##",
        "##...###..####.#",
        "###...###..#.###",
        ".###..####..#.##",
        "..###..####.##.#",
        "...###..####.###",
    ]
    layer = lenet.PartialConv2d(6, lenet.C3_SOURCES, kernel_size=5)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.zero_()
    seen = [
        "".join("#" if value else "." for value in layer(one[None])[0, :, 0, 0])
        for one in torch.eye(6)[:, :, None, None].expand(6, 6, 5, 5)
    ]
    assert seen == table


def test_partial_convolution_is_one_convolution_a_map() -> None:
    sources = ((0, 2), (1,), (0, 1, 2))
    layer, x = lenet.PartialConv2d(3, sources, kernel_size=3), torch.randn(2, 3, 6, 5)
    kernels = layer.weight.split([2, 1, 3])
    wanted = torch.cat(
        [
            torch.nn.functional.conv2d(x[:, list(seen)], kernel[None], layer.bias[out : out + 1])
            for out, (seen, kernel) in enumerate(zip(sources, kernels, strict=True))
        ],
        dim=1,
    )
    torch.testing.assert_close(layer(x), wanted)


def test_subsampling_adds_squares_of_four() -> None:
    layer, x = lenet.Subsampling(2), torch.randn(3, 2, 4, 7)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -2.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.25]))
    found = layer(x)
    assert found.shape == (3, 2, 2, 3)
    torch.testing.assert_close(found[:, 1, 1, 2], -2.0 * x[:, 1, 2:4, 4:6].sum(dim=(1, 2)) + 0.25)


def test_scaled_tanh_keeps_one() -> None:
    ends = torch.tensor([-1.0, 0.0, 1.0])
    torch.testing.assert_close(lenet.ScaledTanh()(ends), ends, atol=1e-4, rtol=0)


def test_rbf_output_is_minus_half_the_squared_distance() -> None:
    codes = lenet.codes(10)
    x = 1.7 * torch.randn(5, 84)
    wanted = -0.5 * (x.double()[:, None] - torch.tensor(codes, dtype=torch.float64)).square().sum(dim=2)
    found = lenet.RBFOutput(codes)(x)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=0)
    # A code is nearest to itself, at no distance.
    own = lenet.RBFOutput(codes)(torch.tensor(codes))
    assert torch.equal(own.argmax(dim=1), torch.arange(10))
    assert not own.diagonal().any()


@pytest.mark.parametrize(("classes", "apart"), [(2, 30), (3, 30), (10, 14), (100, 22), (1000, 17)])
def test_codes_are_fixed_and_far_apart(classes: int, apart: int) -> None:
    codes = torch.tensor(lenet.codes(classes))
    torch.manual_seed(classes)
    assert torch.equal(codes, torch.tensor(lenet.codes(classes)))
    assert codes.shape == (classes, 84)
    assert torch.equal(codes.abs(), torch.ones(classes, 84))
    differing = (84 - codes @ codes.T) / 2 + 84 * torch.eye(classes)
    assert differing.min() >= apart


# --- ResNet for small images ---


def test_shortcut_a_subsamples_and_pads_with_zeros() -> None:
    x = torch.randn(2, 3, 5, 6)
    found = ShortcutA(3, 8, 2)(x)
    assert found.shape == (2, 8, 3, 3)
    assert torch.equal(found[:, 2:5], x[:, :, ::2, ::2])
    assert not found[:, :2].any()
    assert not found[:, 5:].any()


def test_shortcut_b_projects_where_the_size_changes() -> None:
    network = ResNetCifar(shortcut="B")
    found = [name for name, module in network.named_modules() if isinstance(module, ShortcutB)]
    assert found == ["layer2.0.shortcut", "layer3.0.shortcut"]
    counts = {3: 272_474, 5: 466_906, 7: 661_338, 9: 855_770, 18: 1_730_714, 200: 19_424_026}
    with torch.device("meta"):
        assert {n: count(ResNetCifar(blocks=n, shortcut="B")) for n in counts} == counts
    with pytest.raises(UnknownNameError, match="no shortcut named 'D'"):
        ResNetCifar(shortcut="D")


def test_a_residual_block_without_its_branch_is_the_identity() -> None:
    """So each net holds the shallower ones as special cases; a plain one does not."""
    residual, plain = BasicBlock(4, 4, 1), plain_block(4, 4, 1)
    # A block's input comes out of a ReLU.
    x = torch.rand(2, 4, 5, 5)
    for block in (residual, plain):
        nn.init.zeros_(block.bn2.weight)
    assert torch.equal(residual(x), x)
    assert not plain(x).any()


def test_a_deeper_resnet_holds_the_shallower_one() -> None:
    shallow, deep = ResNetCifar(blocks=1, width=4).eval(), ResNetCifar(blocks=3, width=4).eval()
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for name, block in deep.named_modules():
        if isinstance(block, BasicBlock) and not name.endswith(".0"):
            nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(deep(x), shallow(x))


def test_a_plain_net_has_the_same_weights() -> None:
    residual, plain = ResNetCifar(blocks=2), ResNetCifar(blocks=2, shortcut="none")
    assert list(plain.state_dict()) == list(residual.state_dict())
    plain.load_state_dict(residual.state_dict())
    x = torch.randn(4, 3, 16, 16)
    assert not torch.allclose(plain.eval()(x), residual.eval()(x))


# --- Images that are too small ---


@pytest.mark.parametrize(
    ("name", "least"),
    [("alexnet", 67), ("alexnet-single", 67), ("caffenet", 67), ("zfnet", 47), ("lenet5-original", 16), ("cnn", 8)],
)
def test_images_that_are_too_small_get_a_sentence(name: str, least: int) -> None:
    three = Classes(("a", "b", "c"))
    with torch.device("meta"):
        models.build(name, inputs=Image(3, least, least), target=three)
        wanted = rf"cannot take images of {least - 1}x90 pixels.*take images of at least {least} pixels a side"
        with pytest.raises(InputError, match=wanted):
            models.build(name, inputs=Image(3, least - 1, 90), target=three)
