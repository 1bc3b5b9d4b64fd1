"""DenseNet, EfficientNet, U-Net and EnzyNet, held against their papers."""

from itertools import pairwise
from math import prod

import pytest
import torch
from torch import Tensor, nn

from chainrule import registry
from chainrule.errors import InputError
from chainrule.models.vision import densenet
from chainrule.models.vision.densenet import DenseLayer, DenseNet, Transition, dense_block
from chainrule.models.vision.efficientnet import (
    EfficientNet,
    MBConv,
    Stage,
    compound_scaling,
    scaled_blocks,
    scaled_channels,
)
from chainrule.models.vision.enzynet import EnzyNet
from chainrule.models.vision.unet import UNet, UpBlock, fitted


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def shapes(parts: nn.Module, x: Tensor, names: tuple[str, ...] = ()) -> list[tuple[int, ...]]:
    """Channels and sides after each part, or after those with one of these names."""
    found: list[tuple[int, ...]] = []
    for name, part in parts.named_children():
        if not names or name.startswith(names):
            part.register_forward_hook(lambda part, inputs, output: found.append(tuple(output.shape[1:])))
    parts(x)
    return found


# --- DenseNet ---


def test_maps_of_densenet() -> None:
    with torch.device("meta"):
        network = DenseNet().eval()
        found = shapes(network.features, torch.empty(1, 3, 224, 224), ("pool", "denseblock", "transition"))
    assert found == [
        (64, 56, 56),
        *((256, 56, 56), (128, 28, 28)),
        *((512, 28, 28), (256, 14, 14)),
        *((1024, 14, 14), (512, 7, 7)),
        (1024, 7, 7),
    ]


def test_maps_of_densenet_for_small_images() -> None:
    with torch.device("meta"):
        network = registry.lookup("model", "densenet-bc-100-12").make().eval()
        found = shapes(network.features, torch.empty(1, 3, 32, 32), ("conv", "denseblock", "transition"))
    assert found == [(24, 32, 32), (216, 32, 32), (108, 16, 16), (300, 16, 16), (150, 8, 8), (342, 8, 8)]
    assert count(registry.lookup("model", "densenet-bc-100-12").make(classes=100)) == 800_032


@pytest.mark.parametrize("name", ["densenet121", "densenet161", "densenet-bc-190-40"])
def test_each_layer_gets_the_channels_of_all_before_it(name: str) -> None:
    entry = registry.lookup("model", name)
    with torch.device("meta"):
        network = entry.make()
    growth, width = entry.preset["growth"], 2 * entry.preset["growth"]
    parts = dict(network.features.named_children())
    for number, layers in enumerate(entry.preset["blocks"], start=1):
        inside = [layer.conv1.in_channels for layer in parts[f"denseblock{number}"]]
        assert inside == [width + position * growth for position in range(layers)]
        assert {layer.conv1.out_channels for layer in parts[f"denseblock{number}"]} == {4 * growth}
        width += layers * growth
        if number < len(entry.preset["blocks"]):
            conv = parts[f"transition{number}"].conv
            assert (conv.in_channels, conv.out_channels) == (width, width // 2)
            width //= 2
    assert network.classifier.in_features == width


def test_depth_of_densenet_is_in_its_name() -> None:
    for name, entry in registry.entries("model").items():
        if entry.build is DenseNet:
            with torch.device("meta"):
                network = entry.make()
            weighted = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
            assert str(len(weighted)) in name


def test_a_dense_block_keeps_what_came_before() -> None:
    block, x = dense_block(3, 4, 5), torch.randn(2, 3, 6, 7)
    after = [x]
    for layer in block:
        after.append(layer(after[-1]))
        assert torch.equal(after[-1][:, : after[-2].shape[1]], after[-2])
    assert [y.shape[1] for y in after] == [3, 8, 13, 18, 23]
    assert torch.equal(block(x), after[-1])


def test_a_dense_layer_is_its_formula() -> None:
    layer, x = DenseLayer(3, 2).eval(), torch.randn(2, 3, 4, 4)
    for norm in (layer.norm1, layer.norm2):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    new = layer.conv1(layer.norm1(x).relu())
    new = layer.conv2(layer.norm2(new).relu())
    torch.testing.assert_close(layer(x), torch.cat([x, new], dim=1))


def test_dropout_leaves_what_came_before() -> None:
    layer, x = DenseLayer(3, 2, dropout=0.5).train(), torch.randn(2, 3, 8, 8)
    y = layer(x)
    assert torch.equal(y[:, :3], x)
    assert 0.2 < (y[:, 3:] == 0).float().mean() < 0.8


@pytest.mark.parametrize(("compression", "left"), [(0.5, 4), (1.0, 8), (0.3, 2)])
def test_a_transition_compresses(compression: float, left: int) -> None:
    network = DenseNet(channels=1, classes=2, blocks=(1, 1), growth=2, bottleneck=2, compression=compression)
    # Four channels of the stem and two of the layer.
    transition = network.features.get_submodule("transition1")
    assert isinstance(transition, Transition)
    assert transition.conv.out_channels == int(6 * compression)
    assert Transition(8, left)(torch.randn(2, 8, 7, 6)).shape == (2, left, 3, 3)


def test_names_of_the_public_files() -> None:
    renamed = {
        "features.denseblock1.denselayer10.norm.1.weight": "features.denseblock1.denselayer10.norm1.weight",
        "features.denseblock2.denselayer2.conv.2.weight": "features.denseblock2.denselayer2.conv2.weight",
        "features.denseblock2.denselayer2.norm.2.running_mean": "features.denseblock2.denselayer2.norm2.running_mean",
    }
    assert {old: densenet.rename(old) for old in renamed} == renamed
    for name in DenseNet(blocks=(1, 1), growth=2).state_dict():
        assert densenet.rename(name) == name


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"blocks": ()}, "received blocks=\\(\\)"),
        ({"blocks": (6, 0)}, "blocks of at least one layer"),
        ({"compression": 0.0}, "above 0 and at most 1, received compression=0.0"),
        ({"compression": 1.5}, "write for instance compression=0.5"),
    ],
)
def test_densenets_that_cannot_be(options: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        DenseNet(**options)


# --- EfficientNet ---


def test_maps_of_efficientnet() -> None:
    with torch.device("meta"):
        found = shapes(EfficientNet().eval().features, torch.empty(1, 3, 224, 224))
    assert [channels for channels, _, _ in found] == [32, 16, 24, 40, 80, 112, 192, 320, 1280]
    assert [side for _, side, _ in found] == [112, 112, 56, 28, 14, 14, 7, 7, 7]


def test_blocks_of_efficientnet() -> None:
    with torch.device("meta"):
        blocks = [block for block in EfficientNet().modules() if isinstance(block, MBConv)]
    assert len(blocks) == 16
    kernels = [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
    assert [block.block[-3][0].kernel_size[0] for block in blocks] == kernels
    assert [block.stochastic_depth.p for block in blocks] == pytest.approx([0.2 * n / 16 for n in range(16)])
    assert [block.shortcut for block in blocks] == [n in (2, 4, 6, 7, 9, 10, 12, 13, 14) for n in range(16)]


def test_compound_scaling() -> None:
    assert compound_scaling(0) == (1, 1, 1)
    assert compound_scaling(1) == (1.2, 1.1, 1.15)
    factors = compound_scaling(3)
    assert factors == pytest.approx((1.728, 1.331, 1.520875))
    # Depth once, width and resolution twice: what a convolution costs.
    assert factors.depth * factors.width**2 * factors.resolution**2 == pytest.approx((1.2 * 1.1**2 * 1.15**2) ** 3)
    assert 1.9 < prod(compound_scaling(1)) * prod(compound_scaling(1)[1:]) < 2
    assert compound_scaling(2, alpha=2, beta=1, gamma=1) == (4, 1, 1)
    with pytest.raises(InputError, match=r"at least 1, received alpha=0\.9"):
        compound_scaling(1, alpha=0.9)


def test_channels_are_rounded_to_eights() -> None:
    assert [scaled_channels(c, 1.1) for c in (32, 16, 24, 40, 80, 112, 192, 320)] == [32, 16, 24, 48, 88, 120, 208, 352]
    assert [scaled_channels(c, 2.0) for c in (32, 16, 24)] == [64, 32, 48]
    # 11.2 would round to 8, which is less than nine tenths of it.
    assert scaled_channels(112, 0.1) == 16
    assert scaled_channels(16, 0.1) == 8
    for channels in range(8, 400, 8):
        for width in (0.3, 1.2, 1.4, 1.8):
            scaled = scaled_channels(channels, width)
            assert scaled % 8 == 0
            assert scaled == 8 or 0.9 * channels * width <= scaled < channels * width + 8


def test_blocks_are_rounded_up() -> None:
    assert [scaled_blocks(n, 1.1) for n in (1, 2, 3, 4)] == [2, 3, 4, 5]
    assert [scaled_blocks(n, 3.1) for n in (1, 2, 3, 4)] == [4, 7, 10, 13]


def silent(block: MBConv) -> MBConv:
    nn.init.zeros_(block.block[-1][0].weight)
    return block


@pytest.mark.parametrize("training", [False, True])
def test_a_block_with_a_zeroed_projection_is_the_identity(training: bool) -> None:
    block, x = silent(MBConv(4, 4, kernel_size=5)).train(training), torch.randn(3, 4, 6, 6)
    torch.testing.assert_close(block(x), x)
    for other in (MBConv(4, 6), MBConv(4, 4, stride=2)):
        assert not silent(other).train(training)(x).any()


def test_a_block_that_is_skipped_is_the_identity() -> None:
    block, x = MBConv(4, 4, skipped=0.5).train(), torch.randn(64, 4, 5, 5)
    kept = (block(x) != x).flatten(1).any(dim=1)
    assert 10 < kept.sum() < 54
    assert (block.eval()(x) != x).flatten(1).any(dim=1).all()


def test_inside_of_a_block() -> None:
    block = MBConv(8, 12, kernel_size=5, stride=2, expansion=6)
    expand, depthwise, squeeze, project = block.block
    assert (expand[0].in_channels, expand[0].out_channels, expand[0].kernel_size) == (8, 48, (1, 1))
    assert (depthwise[0].groups, depthwise[0].kernel_size, depthwise[0].stride) == (48, (5, 5), (2, 2))
    assert (squeeze.fc1.in_channels, squeeze.fc1.out_channels) == (48, 2)
    assert (project[0].in_channels, project[0].out_channels, len(project)) == (48, 12, 2)
    assert len(MBConv(8, 8, expansion=1).block) == 3
    assert block(torch.randn(2, 8, 9, 10)).shape == (2, 12, 5, 5)


def test_scaled_efficientnet() -> None:
    stages = (Stage(1, 3, 1, 16, 1), Stage(6, 3, 2, 24, 2))
    small = EfficientNet(channels=2, classes=5, width=0.5, depth=1.5, stages=stages)
    assert [len(part) for part in small.features[1:-1]] == [2, 3]
    assert small(torch.randn(2, 2, 16, 20)).shape == (2, 5)
    with pytest.raises(InputError, match="above 0, received width=0"):
        EfficientNet(width=0)


# --- U-Net ---


def test_maps_of_unet() -> None:
    with torch.device("meta"):
        network = UNet().eval()
        found: list[int] = []
        for part in (*network.down, *network.up):
            part.register_forward_hook(lambda part, inputs, output: found.append(output.shape[2]))
        output = network(torch.empty(1, 1, 572, 572))
    assert found == [568, 280, 136, 64, 28, 52, 100, 196, 388]
    assert output.shape == (1, 2, 388, 388)
    assert [block.up.in_channels for block in network.up] == [1024, 512, 256, 128]


def test_parameters_of_unet_by_hand() -> None:
    widths = (1, 64, 128, 256, 512, 1024)
    down = sum(9 * a * b + b + 9 * b * b + b for a, b in pairwise(widths))
    up = sum(4 * 2 * w * w + w + 9 * 2 * w * w + w + 9 * w * w + w for w in widths[1:-1])
    with torch.device("meta"):
        assert count(UNet()) == down + up + 64 * 2 + 2 == 31_030_658


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (5, 9), (31, 4)])
def test_padding_keeps_any_size(size: tuple[int, int]) -> None:
    network = UNet(2, 3, widths=(4, 4, 4), padding=1)
    assert network(torch.randn(2, 2, *size)).shape == (2, 3, *size)


def test_the_joined_map_is_cropped_to_its_middle() -> None:
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    assert torch.equal(fitted(x, (4, 2)), x[:, :, 1:5, 2:4])
    assert torch.equal(fitted(x, (6, 6)), x)
    wider = fitted(x, (8, 7))
    assert torch.equal(wider[:, :, 1:7, 0:6], x)
    assert wider.sum() == x.sum()


def test_an_up_block_joins_what_it_says() -> None:
    block = UpBlock(4, 2)
    x, joined = torch.randn(1, 4, 5, 5), torch.randn(1, 2, 14, 14)
    wanted = block.convs(torch.cat([joined[:, :, 2:12, 2:12], block.up(x)], dim=1))
    torch.testing.assert_close(block(x, joined), wanted)
    assert wanted.shape == (1, 2, 6, 6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"widths": (8,)}, "at least two levels of at least one channel, received widths=\\(8,\\)"),
        ({"padding": 2}, "by 0 or 1, received padding=2"),
    ],
)
def test_unets_that_cannot_be(options: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        UNet(**options)


def test_unet_keeps_the_scale_of_its_maps() -> None:
    """What the paper's deviation ``sqrt(2 / N)`` is for."""
    torch.manual_seed(0)
    network, x = UNet(widths=(32, 64, 128), padding=1, dropout=0.0), torch.randn(2, 1, 32, 32)
    assert 0.1 < network(x).std() < 10


# --- EnzyNet ---


def test_maps_of_enzynet() -> None:
    network = EnzyNet()
    found = shapes(network.features, torch.randn(2, 1, 32, 32, 32), ("conv", "pool"))
    assert found == [(32, 12, 12, 12), (64, 8, 8, 8), (64, 4, 4, 4)]
    layers = (network.features.get_submodule("conv1"), network.features.get_submodule("conv2"))
    assert [count(layer) for layer in (*layers, network.fc1, network.fc2)] == [23_360, 256_064, 524_416, 774]
    activations = [module for module in network.modules() if isinstance(module, nn.LeakyReLU)]
    assert [activation.negative_slope for activation in activations] == [0.1, 0.1]


@pytest.mark.parametrize("size", [19, (19, 20, 25), (33, 19, 21)])
def test_enzynet_takes_boxes(size: int | tuple[int, int, int]) -> None:
    network = EnzyNet(2, 3, size, widths=(2, 3), hidden=4)
    sides = (size,) * 3 if isinstance(size, int) else size
    assert network(torch.randn(2, 2, *sides)).shape == (2, 3)


def test_enzynet_starts_as_its_authors_let_it() -> None:
    torch.manual_seed(0)
    network = EnzyNet(2)
    for name, kernel in (("conv1", 9), ("conv2", 5)):
        conv = network.features.get_submodule(name)
        assert isinstance(conv, nn.Conv3d)
        assert conv.weight.std().item() == pytest.approx(kernel**-1.5, rel=0.02)
    assert network.fc1.weight.std().item() == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 18}, "EnzyNet cannot take volumes of 18x18x18 pixels.* at least 19 pixels a side"),
        ({"size": (32, 32, 8)}, "EnzyNet cannot take volumes of 32x32x8 pixels"),
        ({"widths": (8,)}, "two convolutions and three dropouts, received widths=\\(8,\\)"),
        ({"dropout": (0.1,)}, "dropout=\\(0.1,\\)"),
    ],
)
def test_enzynets_that_cannot_be(arguments: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        EnzyNet(**arguments)
