"""GoogLeNet, ResNet, SENet and Xception: sizes of the papers' maps, what a block computes, how deep they are."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chainrule import registry
from chainrule.errors import InputError
from chainrule.models.vision.googlenet import GoogLeNet, Head, strided_pool
from chainrule.models.vision.inception import ConvNormReLU, ConvReLU, Inception, InceptionNaive
from chainrule.models.vision.resnet import BasicBlock, Bottleneck, PlainBlock, ResNet
from chainrule.models.vision.senet import SEBottleneck, SENet, WideSEBottleneck
from chainrule.models.vision.xception import Residual, SeparableConv2d, Xception, separables

RESNET_STAGES = [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
LAYERS = ["layer1", "layer2", "layer3", "layer4"]


def make(name: str, **options: Any) -> nn.Module:
    """The paper's network on the meta device, in evaluation mode."""
    with torch.device("meta"):
        network: nn.Module = registry.lookup("model", name).make(**options)
    return network.eval()


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def maps(network: nn.Module, shape: tuple[int, ...], names: Iterable[str]) -> list[tuple[int, ...]]:
    """Shapes of what the named modules make of an image, without the batch."""
    shapes: list[tuple[int, ...]] = []
    for name in names:
        network.get_submodule(name).register_forward_hook(lambda module, x, y: shapes.append(tuple(y.shape[1:])))
    network(torch.empty(1, *shape, device="meta"))
    return shapes


def weighted(network: nn.Module, beside: tuple[str, ...]) -> int:
    """Weighted layers in a row: without those whose path contains a name in ``beside``."""
    paths = (name.split(".") for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear))
    return sum(not set(path) & set(beside) for path in paths)


@pytest.mark.parametrize(
    ("name", "wider"), [("resnet18", 1), ("plain34", 1), ("resnet50", 4), ("seresnet50", 4), ("senet154", 4)]
)
def test_residual_networks_have_the_papers_maps(name: str, wider: int) -> None:
    found = maps(make(name), (3, 224, 224), LAYERS)
    assert found == [(wider * channels, *size) for channels, *size in RESNET_STAGES]


def test_stems_quarter_the_image() -> None:
    assert maps(make("resnet50"), (3, 224, 224), ["conv1", "maxpool"]) == [(64, 112, 112), (64, 56, 56)]
    assert maps(make("seresnet50"), (3, 224, 224), ["layer0", "pool0"]) == [(64, 112, 112), (64, 56, 56)]
    assert maps(make("senet154"), (3, 224, 224), ["layer0", "pool0"]) == [(128, 112, 112), (128, 56, 56)]


@pytest.mark.parametrize("name", ["googlenet", "googlenet-torchvision"])
def test_googlenet_has_the_maps_of_table_1(name: str) -> None:
    wanted = {
        "conv1": (64, 112, 112),
        "maxpool1": (64, 56, 56),
        "conv3": (192, 56, 56),
        "maxpool2": (192, 28, 28),
        "inception3a": (256, 28, 28),
        "inception3b": (480, 28, 28),
        "maxpool3": (480, 14, 14),
        "inception4a": (512, 14, 14),
        "inception4b": (512, 14, 14),
        "inception4c": (512, 14, 14),
        "inception4d": (528, 14, 14),
        "inception4e": (832, 14, 14),
        "maxpool4": (832, 7, 7),
        "inception5a": (832, 7, 7),
        "inception5b": (1024, 7, 7),
    }
    assert maps(make(name), (3, 224, 224), wanted) == list(wanted.values())


def test_xception_has_the_maps_of_figure_5() -> None:
    wanted = {
        "conv1": (32, 149, 149),
        "conv2": (64, 147, 147),
        "entry.0": (128, 74, 74),
        "entry.1": (256, 37, 37),
        "entry.2": (728, 19, 19),
        "middle": (728, 19, 19),
        "exit": (1024, 10, 10),
        "conv3": (1536, 10, 10),
        "conv4": (2048, 10, 10),
    }
    assert maps(make("xception"), (3, 299, 299), wanted) == list(wanted.values())


RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "plain18", "plain34")
SENETS = ("seresnet50", "seresnet101", "seresnet152", "senet154")


@pytest.mark.parametrize("name", [*RESNETS, *SENETS])
def test_the_number_in_the_name_counts_weighted_layers(name: str) -> None:
    assert weighted(make(name), beside=("downsample", "se_module")) == int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))


def test_googlenet_is_22_layers_deep() -> None:
    # Of an Inception module the second branch alone: two convolutions in a row.
    assert weighted(make("googlenet"), beside=("branch1", "branch3", "branch4", "aux1", "aux2")) == 22


def test_xception_has_36_convolutional_layers() -> None:
    network = make("xception")
    assert weighted(network, beside=("shortcut", "depthwise", "fc")) == 36
    assert sum(isinstance(module, SeparableConv2d) for module in network.modules()) == 34
    assert all(module.bias is None for module in network.modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize(("name", "parameters"), [("googlenet", 6_998_552), ("googlenet-torchvision", 6_624_904)])
def test_googlenet_without_heads_has_the_parameters_of_the_main_path(name: str, parameters: int) -> None:
    assert count(make(name, heads=False)) == parameters


def test_shortcuts_are_what_sets_resnet_apart_from_its_plain_stack() -> None:
    plain, residual = make("plain34"), make("resnet34")
    projections = {name for name in residual.state_dict() if "downsample" in name}
    assert set(plain.state_dict()) == set(residual.state_dict()) - projections


def test_inception_concatenates_its_branches() -> None:
    module = Inception(256, 128, 96, 192, 16, 96, 64)
    x = torch.randn(2, 256, 14, 10)
    parts = [branch(x) for branch in (module.branch1, module.branch2, module.branch3, module.branch4)]
    assert [part.shape[1] for part in parts] == [128, 192, 96, 64]
    y = module(x)
    assert y.shape == (2, 480, 14, 10)
    assert module.out_channels == 480
    assert torch.equal(y, torch.cat(parts, dim=1))


@pytest.mark.parametrize("unit", [ConvReLU, ConvNormReLU])
def test_naive_inception_passes_on_all_that_is_pooled(unit: type[nn.Module]) -> None:
    module = InceptionNaive(256, 128, 192, 96, unit=unit)
    x = torch.randn(2, 256, 28, 28)
    y = module(x)
    assert y.shape == (2, 672, 28, 28)
    assert module.out_channels == 672
    assert torch.equal(y[:, 416:], nn.functional.max_pool2d(x, 3, stride=1, padding=1))


def test_bottlenecks_make_inception_three_times_cheaper() -> None:
    # Multiplications for each pixel of a map, from 28x28x256 to the same filters.
    naive = sum(p.numel() for p in InceptionNaive(256, 128, 192, 96).parameters() if p.ndim == 4)
    reduced = sum(p.numel() for p in Inception(256, 128, 64, 192, 64, 96, 64).parameters() if p.ndim == 4)
    assert (28 * 28 * naive, 28 * 28 * reduced) == (854_196_224, 271_351_808)


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck, SEBottleneck, WideSEBottleneck])
@pytest.mark.parametrize("mode", [True, False])
def test_a_block_whose_branch_is_zero_is_relu_of_the_identity(block: Any, mode: bool) -> None:
    width = 16
    channels = width * getattr(block, "expansion", 4)
    options = {"groups": 4} if block is WideSEBottleneck else {}
    module = block(channels, width, 1, **options).train(mode)
    last = module.bn2 if block is BasicBlock else module.bn3
    nn.init.zeros_(last.weight)
    x = torch.randn(4, channels, 5, 7)
    kept = x.clone()
    assert torch.equal(module(x), x.relu())
    assert torch.equal(x, kept)


def test_a_residual_block_of_xception_is_the_identity_where_its_branch_is_zero() -> None:
    module = Residual(*separables(8, 8, 8, 8))
    nn.init.zeros_(module.layers[-1].weight)
    x = torch.randn(4, 8, 5, 7)
    kept = x.clone()
    assert torch.equal(module(x), kept)
    assert torch.equal(x, kept)


def normed(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch normalization with running statistics, by its formula."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return (x - norm.running_mean.double()[:, None, None]) * scale[:, None, None] + norm.bias.double()[:, None, None]


def test_squeeze_and_excitation_block_against_its_formula() -> None:
    module = SEBottleneck(256, 64, 1)
    for norm in (module.bn1, module.bn2, module.bn3):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(3, 256, 6, 5)
    f = x.double()
    f = normed(module.bn1, torch.einsum("oi,bihw->bohw", module.conv1.weight.double()[..., 0, 0], f)).relu()
    padded = nn.functional.pad(f, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)  # b c h w 3 3
    f = normed(module.bn2, torch.einsum("oiyx,bihwyx->bohw", module.conv2.weight.double(), padded)).relu()
    f = normed(module.bn3, torch.einsum("oi,bihw->bohw", module.conv3.weight.double()[..., 0, 0], f))
    squeeze = module.se_module
    w1, w2 = squeeze.fc1.weight.double()[..., 0, 0], squeeze.fc2.weight.double()[..., 0, 0]
    assert w1.shape == (16, 256)
    hidden = (f.mean(dim=(2, 3)) @ w1.T + squeeze.fc1.bias.double()).relu()
    scale = (hidden @ w2.T + squeeze.fc2.bias.double()).sigmoid()
    wanted = (f * scale[:, :, None, None] + x.double()).relu()
    torch.testing.assert_close(module.eval()(x).double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["googlenet", "googlenet-torchvision"])
def test_heads_answer_in_training_only(name: str) -> None:
    row = registry.lookup("model", name)
    x = torch.randn(4, *row.sample[1:])
    network = row.make(**row.tiny)
    stacked = network.train()(x)
    assert stacked.shape == (3, 4, 3)
    assert network.eval()(x).shape == (4, 3)
    assert network.auxiliary_weight == 0.3
    alone = row.make(**{**row.tiny, "heads": False})
    assert alone.train()(x).shape == alone.eval()(x).shape == (4, 3)
    # The heads change nothing in the main path.
    alone.load_state_dict({key: value for key, value in network.state_dict().items() if key in alone.state_dict()})
    torch.testing.assert_close(alone(x), network(x))


def test_the_main_head_comes_first() -> None:
    network = GoogLeNet(1, 3, width=4, dropout=0.0, head_dropout=0.0)
    x = torch.randn(2, 1, 64, 64)
    for number, layer in enumerate((network.fc, network.aux1.fc2, network.aux2.fc2)):
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, float(number))
    assert network(x)[:, 0, 0].tolist() == [0.0, 1.0, 2.0]


def test_heads_pool_14x14_by_the_papers_windows() -> None:
    x = torch.randn(2, 3, 14, 14)
    torch.testing.assert_close(strided_pool()(x), nn.functional.avg_pool2d(x, 5, stride=3))
    for size in (3, 4, 9, 19):
        assert strided_pool()(torch.randn(2, 3, size, size)).shape == (2, 3, 4, 4)
    assert count(Head(512, 128, 1024, 1000)) == 3_188_840


def test_separable_convolution_is_a_convolution_of_rank_one_in_depth() -> None:
    module = SeparableConv2d(4, 6).double()
    x = torch.randn(2, 4, 7, 5, dtype=torch.float64)
    kernel = module.pointwise.weight * module.depthwise.weight.transpose(0, 1)  # 6 4 3 3
    torch.testing.assert_close(module(x), nn.functional.conv2d(x, kernel, padding=1))
    assert count(module) == 9 * 4 + 4 * 6


@pytest.mark.parametrize(
    "network",
    [
        ResNet(3, 5, blocks=(1, 1, 1, 1), block=PlainBlock, width=4),
        SENet(3, 5, blocks=(1, 1, 1, 1), width=4, stem_widths=(4,)),
        GoogLeNet(3, 5, width=4),
        Xception(3, 5, middle=1, width=2),
    ],
    ids=lambda network: type(network).__name__,
)
@pytest.mark.parametrize("size", [(48, 48), (63, 50), (97, 120)])
def test_any_size_is_taken(network: nn.Module, size: tuple[int, int]) -> None:
    assert network.train()(torch.randn(2, 3, *size)).shape[-2:] == (2, 5)
    assert network.eval()(torch.randn(1, 3, *size)).shape == (1, 5)


@pytest.mark.parametrize("network", [ResNet, SENet])
@pytest.mark.parametrize("blocks", [(2, 2, 2), (1, 1, 0, 1), ()])
def test_wrong_blocks_get_a_sentence(network: Any, blocks: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"four stages of at least one block, received blocks=.*; write for instance"):
        network(blocks=blocks)
