"""The layer table: shapes, parameters, multiplications and receptive fields, against papers, torch and gradients."""

import copy
import json
import math
import random
import sys
import time
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from chainrule import registry
from chainrule.anatomy.summary import summary
from chainrule.errors import InputError, UnknownNameError
from chainrule.models.vision.inception import Inception, InceptionNaive
from tests.parity.vision_peers import peer


def made(name, **options):
    with torch.device("meta"):
        return registry.lookup("model", name).make(**options)


@cache
def table(name):
    return summary(made(name), registry.lookup("model", name).shape)


def sizes(found, *types):
    return [row.size for row in found.rows if row.type in types]


def counted(model, *inputs):
    """Multiplications by torch's own counter."""
    meta = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        meta(*(tensor.to("meta") for tensor in inputs))
    return counter.get_total_flops() // 2


# Figures of the papers.


def test_alexnet():
    found = table("alexnet")
    layers = [row for row in found.rows if row.type in ("Conv2d", "MaxPool2d", "Linear")]
    assert [row.size for row in layers] == [
        (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 13, 13),
        (256, 6, 6), (4096,), (4096,), (1000,),
    ]  # fmt: skip
    assert [row.field.size[0] for row in layers[:8]] == [11, 19, 51, 67, 99, 131, 163, 195]
    assert [row.field.stride[0] for row in layers[:8]] == [4, 8, 8, 16, 16, 16, 16, 32]
    assert layers[8].field.whole
    assert layers[8].field.size == (227, 227)
    assert found["features.4"].groups == 2
    assert found["features.0"].kernel == (11, 11)
    assert found["features.0"].stride == (4, 4)
    assert found["features.0"].padding == (0, 0)


def test_alexnet_weights():
    found = table("alexnet-single")
    weights = [row.weights for row in found.rows if row.weights]
    assert weights == [34_848, 614_400, 884_736, 1_327_104, 884_736, 37_748_736, 16_777_216, 4_096_000]
    assert [row.biases for row in found.rows if row.biases] == [96, 256, 384, 384, 256, 4096, 4096, 1000]


@pytest.mark.parametrize(
    ("layer", "size", "parameters"),
    [
        (nn.Conv2d(3, 10, 5, padding=2), (10, 32, 32), 760),
        (nn.Conv2d(3, 1, 5, padding=2), (1, 32, 32), 76),
        (nn.Conv2d(3, 6, 5), (6, 28, 28), 456),
        (nn.Flatten(), (3072,), 0),
    ],
)
def test_one_layer(layer, size, parameters):
    (row,) = summary(layer, (3, 32, 32)).rows
    assert (row.size, row.parameters) == (size, parameters)


def test_max_pooling_of_4x4():
    row = summary(nn.MaxPool2d(2), (1, 4, 4)).rows[0]
    assert (row.size, row.kernel, row.stride) == ((1, 2, 2), (2, 2), (2, 2))
    x = torch.tensor([[1.0, 1.0, 2.0, 4.0], [5.0, 6.0, 7.0, 8.0], [3.0, 2.0, 1.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    assert nn.MaxPool2d(2)(x[None]).tolist() == [[[6.0, 8.0], [3.0, 4.0]]]


@pytest.mark.parametrize(("stride", "side"), [(1, 5), (2, 3), (3, 2)])
def test_stride(stride, side):
    assert summary(nn.Conv2d(1, 1, 3, stride=stride), (1, 7, 7)).rows[0].size == (1, side, side)


def test_inception():
    naive = summary(InceptionNaive(256, 128, 192, 96), (256, 28, 28))
    assert naive.rows[-1].size == (672, 28, 28)
    assert naive.rows[-1].type == "cat"
    assert naive.totals.multiplications == 854_196_224
    reduced = summary(Inception(256, 128, 64, 192, 64, 96, 64), (256, 28, 28))
    assert reduced.totals.multiplications == 271_351_808
    # The often quoted 358M come about when the 3x3 convolution is added twice.
    assert reduced.totals.multiplications + reduced["branch2.1.conv"].multiplications == 358_055_936


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_stacked_convolutions(depth):
    channels = 8
    stack = [nn.Conv2d(channels, channels, 3, bias=False) for _ in range(depth)]
    found = summary(nn.Sequential(*stack), (channels, 16, 16))
    assert found.rows[-1].field.size == (2 * depth + 1,) * 2
    if depth == 3:
        one = summary(nn.Conv2d(channels, channels, 7, bias=False), (channels, 16, 16))
        assert one.rows[-1].field.size == found.rows[-1].field.size
        assert (found.totals.parameters, one.totals.parameters) == (27 * channels**2, 49 * channels**2)


@pytest.mark.parametrize("depth", range(1, 7))
def test_dilated_causal_convolutions(depth):
    layers = []
    for level in range(depth):
        layers += [nn.ConstantPad1d((2 * 2**level, 0), 0.0), nn.Conv1d(4, 4, 3, dilation=2**level)]
    last = summary(nn.Sequential(*layers), (4, 100)).rows[-1]
    seen = 2 * (2**depth - 1) + 1
    assert (last.size, last.field.size, last.field.stride) == ((4, 100), (seen,), (1,))
    assert last.field.centre == (-(seen - 1) / 2,)


def test_enzynet():
    found = table("enzynet")
    layers = sizes(found, "Conv3d", "MaxPool3d", "flatten", "Linear")
    assert [size[-1] for size in layers] == [12, 8, 4, 4096, 128, 6]


@pytest.mark.parametrize(("name", "parameters"), [("lenet5-original", 60_000), ("resnet110", 1_727_962)])
def test_parameters(name, parameters):
    assert table(name).totals.parameters == parameters


@pytest.mark.parametrize(
    ("name", "millions"), [("vgg16", 15_470), ("resnet50", 4_089), ("googlenet", 1_583), ("alexnet-single", 1_135)]
)
def test_multiplications_of_known_networks(name, millions):
    assert round(table(name).totals.multiplications / 1e6) == millions


# Against torch's own counter.


NETWORKS = [name for name, row in registry.entries("model").items() if row.shape]
QUICK = ("alexnet", "lenet5-original", "resnet18", "unet", "enzynet", "googlenet", "efficientnet-b0")


def check_against_torch(model, shape):
    found = summary(model, shape)
    assert found.totals.multiplications == counted(model, torch.empty(1, *shape, device="meta"))
    assert found.totals.multiplications == sum(row.multiplications for row in found.rows)
    assert found.totals.parameters == sum(p.numel() for p in model.parameters())
    assert found.rows[-1].size == tuple(_eval_shape(model, shape))


@pytest.mark.parametrize("name", NETWORKS)
def test_multiplications_of_small_versions_agree_with_torch(name):
    entry = registry.lookup("model", name)
    check_against_torch(made(name, **entry.tiny), entry.sample[1:])


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_multiplications_agree_with_torch(name):
    check_against_torch(made(name), registry.lookup("model", name).shape)


def _eval_shape(model, shape):
    meta = copy.deepcopy(model).to("meta").eval()
    return meta(torch.empty(1, *shape, device="meta")).shape[1:]


def sequence(model, *shapes):
    return model, tuple(torch.zeros(1, *shape) for shape in shapes)


OTHERS = {
    "lstm": sequence(nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True), (7, 4)),
    "gru": sequence(nn.GRU(4, 5, batch_first=True), (7, 4)),
    "transformer": sequence(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False),
        (5, 8),
    ),
    "decoder": sequence(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), (5, 8), (6, 8)),
    "transposed": sequence(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (4, 5, 7)),
    "depthwise": sequence(nn.Conv3d(4, 8, 3, groups=4), (4, 5, 5, 5)),
    "linear": sequence(nn.Linear(4, 8), (3, 5, 4)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_agree_with_torch(name):
    model, inputs = OTHERS[name]
    found = summary(model, inputs)
    assert found.totals.multiplications == counted(model, *inputs) > 0
    assert found.totals.idle == 0


@pytest.mark.parametrize("name", ["mobilenet_v2", "vit_b_16", "swin_t", "convnext_tiny"])
def test_peers_agree_with_torch(name):
    try:
        models = peer("torchvision.models")
    except ImportError:
        pytest.skip("torchvision is not installed")
    with torch.device("meta"):
        model = getattr(models, name)()
    found = summary(model, (3, 224, 224))
    assert found.totals.multiplications == counted(model, torch.empty(1, 3, 224, 224, device="meta"))
    if name == "vit_b_16":
        assert found.totals.idle == 0
        assert found["conv_proj"].field.size == (16, 16)
        assert not found["encoder.layers.encoder_layer_0.ln_1"].field.whole or found["encoder.add"].field.whole


# Receptive fields against gradients.


def window(rng, dims):
    conv, average = {1: (nn.Conv1d, nn.AvgPool1d), 2: (nn.Conv2d, nn.AvgPool2d)}[dims]
    kernel, stride = rng.randint(1, 4), rng.randint(1, 2)
    kind = rng.choice(["conv", "average", "dilated"])
    if kind == "average":
        return average(kernel, stride, padding=rng.randint(0, kernel // 2))
    dilation = rng.randint(1, 3) if kind == "dilated" else 1
    return conv(1, 1, kernel, stride, padding=rng.randint(0, kernel), dilation=dilation)


class Branches(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return torch.cat([self.first(x), self.second(x)], 1).sum(1, keepdim=True)


def influence(model, shape, unit):
    """First and last pixel of each axis that one unit of the output depends on."""
    model = copy.deepcopy(model).double()
    for p in model.parameters():
        nn.init.ones_(p)
    x = torch.ones(1, *shape, dtype=torch.double, requires_grad=True)
    output = model(x)
    (gradient,) = torch.autograd.grad(output[(0, 0, *unit)], x)
    pixels = gradient[0, 0].nonzero()
    if not len(pixels):
        return [0], [-1], ()
    return pixels.min(0).values.tolist(), pixels.max(0).values.tolist(), output.shape[2:]


def check_field(model, shape):
    row = summary(model, shape).rows[-1]
    unit = [size // 2 for size in row.size[1:]]
    low, high, _ = influence(model, shape, unit)
    for axis, field in enumerate(zip(row.field.size, row.field.stride, row.field.centre, strict=True)):
        size, stride, centre = field
        middle = centre + stride * unit[axis]
        assert (low[axis], high[axis]) == (middle - (size - 1) / 2, middle + (size - 1) / 2)


@pytest.mark.parametrize("seed", range(40))
def test_fields_agree_with_gradients(seed):
    rng = random.Random(seed)
    dims = rng.choice([1, 2])
    model = nn.Sequential(*(window(rng, dims) for _ in range(rng.randint(1, 4))))
    check_field(model, (1, *(240 if dims == 1 else 200 for _ in range(dims))))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 5, padding=2)),
        (nn.Conv2d(1, 1, 3, padding=2, dilation=2), nn.Identity()),
        (nn.Conv2d(1, 1, 5, padding=2, stride=2), nn.AvgPool2d(2)),
        (nn.ZeroPad2d((4, 0, 0, 0)), nn.ZeroPad2d((0, 4, 0, 0))),
    ],
)
def test_fields_of_branches(first, second):
    model = nn.Sequential(nn.Conv2d(1, 1, 3), Branches(first, second), nn.Conv2d(1, 1, 3))
    row = summary(model, (1, 64, 64)).rows[-1]
    unit = [size // 2 for size in row.size[1:]]
    low, high, _ = influence(model, (1, 64, 64), unit)
    assert list(row.field.size) == [b - a + 1 for a, b in zip(low, high, strict=True)]


@pytest.mark.parametrize(
    "up",
    [
        nn.ConvTranspose2d(1, 1, 2, 2),
        nn.ConvTranspose2d(1, 1, 3, 2, padding=1),
        nn.ConvTranspose2d(1, 1, 5, 2, padding=2, dilation=2),
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=3),
        nn.Upsample(scale_factor=2, mode="bilinear"),
    ],
    ids=str,
)
@pytest.mark.parametrize("after", [1, 2, 3])
def test_fields_behind_upsampling_are_those_of_the_unit_that_sees_most(up, after):
    model = nn.Sequential(nn.Conv2d(1, 1, 3, 2, padding=1), nn.AvgPool2d(2), up, nn.Conv2d(1, 1, after))
    row = summary(model, (1, 80, 80)).rows[-1]
    seen = []
    for shift in range(6):
        low, high, _ = influence(model, (1, 80, 80), [size // 2 + shift for size in row.size[1:]])
        seen.append(high[0] - low[0] + 1)
    assert row.field.size[0] == max(seen)


class Tokens(nn.Module):
    """Patches as tokens, channels last, and back to a map."""

    def __init__(self):
        super().__init__()
        self.patch, self.fc, self.norm = nn.Conv2d(1, 4, 4, 4), nn.Linear(4, 4), nn.LayerNorm(4)
        self.conv = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x):
        x = self.patch(x)
        b, c, h, w = x.shape
        x = self.norm(self.fc(x.flatten(2).transpose(1, 2)))
        x = F.gelu(x @ torch.ones(4, 4, dtype=x.dtype, device=x.device)) * x
        return self.conv(x.transpose(1, 2).reshape(b, c, h, w))


def test_fields_pass_transpositions_and_linear_layers():
    found = summary(Tokens(), (1, 64, 48))
    assert found["fc"].field.size == (4, 4)
    assert found["conv"].field.size == (12, 12)
    assert found["conv"].field.centre == (1.5, 1.5)
    assert [row.name for row in found.rows] == ["patch", "fc", "norm", "matmul", "gelu", "mul", "conv"]
    assert found["matmul"].multiplications == 16 * 12 * 4 * 4
    plain = Tokens()
    plain.norm = nn.Identity()
    assert influence(plain, (1, 64, 48), [8, 6])[:2] == ([28, 20], [39, 31])


def test_field_is_the_whole_behind_a_gate():
    squeeze = made("se-resnet18") if "se-resnet18" in registry.entries("model") else made("efficientnet-b0")
    found = summary(squeeze, (3, 224, 224))
    gate = next(index for index, row in enumerate(found.rows) if row.type == "mul")
    assert not found.rows[0].field.whole
    assert found.rows[gate].field.whole


# What becomes of the model.


class Busy(nn.Module):
    """Shares, counts, draws, branches on numbers if asked."""

    def __init__(self, looks=False):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4, bias=False)
        self.tied.weight = self.fc.weight
        self.scale = nn.Parameter(torch.ones(4))
        self.idle = nn.Linear(4, 2)
        self.drop = nn.Dropout()
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("calls", torch.zeros(()))
        self.looks = looks

    def forward(self, x):
        self.calls += 1
        if self.looks and x.sum() > 100:
            return x
        torch.rand(3)
        x = self.drop(self.norm(self.tied(self.fc(x))) * self.scale)
        x += 1
        return self.fc(x).relu()


@pytest.mark.parametrize("looks", [False, True])
def test_model_stays_as_it_is(looks):
    model = Busy(looks).train()
    model.norm.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state, modes = torch.get_rng_state(), [module.training for module in model.modules()]
    parameters = {name: id(p) for name, p in model.named_parameters()}
    flags = torch.backends.mkldnn.set_flags(_fp32_precision=None), torch.backends.mha.get_fastpath_enabled()
    found = summary(model, (4,))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert modes == [module.training for module in model.modules()]
    assert parameters == {name: id(p) for name, p in model.named_parameters()}
    assert flags == (torch.backends.mkldnn.set_flags(_fp32_precision=None), torch.backends.mha.get_fastpath_enabled())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    rows = [(row.name, row.weights, row.biases, row.shared, row.bytes) for row in found.rows]
    # A sum and a comparison are rows, too, where the forward looks at them.
    assert [row[0] for row in rows[:-8]] == (["sum", "gt"] if looks else [])
    assert rows[-8:] == [
        ("fc", 16, 4, 0, 16),
        ("tied", 0, 0, 16, 16),
        ("norm", 4, 4, 0, 16),
        ("mul", 4, 0, 0, 16),
        ("drop", 0, 0, 0, 0),
        ("add", 0, 0, 0, 0),
        ("fc", 0, 0, 20, 16),
        ("relu", 0, 0, 0, 16),
    ]
    assert found["tied"].shared == 16
    assert found["mul"].weights == 4
    assert found.totals.parameters == 16 + 4 + 4 + 10 + 8
    assert found.totals.idle == 10
    assert found.totals.multiplications == 48
    assert all(row.field is None for row in found.rows)


def test_hooks_go_after_an_error():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3))
    with pytest.raises(InputError):
        summary(model, (4,))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_frozen_parameters():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).half()
    model[0].requires_grad_(False)
    totals = summary(model, (3,)).totals
    assert (totals.parameters, totals.trainable, totals.frozen, totals.weights) == (26, 10, 16, 52)
    assert totals.activations == 12


def test_examples_instead_of_a_shape():
    model = nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 2))
    found = summary(model, torch.zeros(1, 7, dtype=torch.long))
    assert [row.size for row in found.rows] == [(7, 6), (7, 2)]
    assert found.shapes == ((7,),)


def test_volumes_and_memory():
    found = summary(nn.Conv3d(2, 4, 3, padding="same"), (2, 8, 8, 8))
    (row,) = found.rows
    assert (row.padding, row.bytes, row.field.size) == ("same", 4 * 4 * 512, (3, 3, 3))


@pytest.mark.parametrize("name", ["vgg16", pytest.param("resnet152", marks=pytest.mark.slow)])
def test_large_networks_take_no_time(name):
    model = made(name)
    start = time.process_time()
    summary(model, (3, 224, 224))
    assert time.process_time() - start < 2


# Faces.


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("name", ["alexnet", "googlenet"])
def test_text_fits_the_terminal(name, width):
    found = table(name)
    assert max(map(len, found.text(width).splitlines())) <= width
    assert "memory" in found.text()
    assert str(found) == found.text()


def test_json_and_files(tmp_path):
    found = table("lenet5")
    values = json.loads(found.to_json())
    assert values["totals"]["parameters"] == 61_706
    assert values["rows"][0]["field"] == {"size": [5, 5], "stride": [1.0, 1.0], "centre": [0.0, 0.0]}
    assert found.save(tmp_path / "t.md").read_text() == found.markdown()
    with pytest.raises(InputError, match="exists"):
        found.save(tmp_path / "t.md")


def test_page_shows_the_table():
    from tests.house.source import ROOT

    page = (ROOT / "docs" / "summary.md").read_text(encoding="utf-8")
    assert table("alexnet").markdown() in page


# Wrong input.


@pytest.mark.parametrize("shape", [(), (3, 0, 4), (3.5, 2), "3x4", (-1, 2), None])
def test_wrong_shapes(shape):
    with pytest.raises(InputError, match="shape of one sample"):
        summary(nn.Identity(), shape)


def test_vanishing_map():
    with pytest.raises(InputError, match=r"vanishes at features.12 \(MaxPool2d.*at least 63 pixels"):
        summary(made("alexnet-torchvision"), (3, 40, 40))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_failing_forward_names_the_layer(device):
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(5, 3))).to(device)
    with pytest.raises(InputError, match=r"Sequential fails at 1.0 \(Linear, which got 12\): "):
        summary(model, (3, 2, 2))
    with pytest.raises(InputError, match="fails at its own forward"):
        summary(nn.Bilinear(2, 3, 4), (2,))


def test_lazy_layers():
    with pytest.raises(InputError, match="lazy"):
        summary(nn.LazyLinear(3), (4,))


def command(*arguments):
    import typer

    from chainrule.cli import summary as verb

    app = typer.Typer()
    app.command()(verb.command)
    return CliRunner().invoke(app, arguments)


def test_command():
    done = command("resnet18(width=8)", "--input", "1x32x32", "--classes", "7", "--json")
    assert done.exception is None, done
    values = json.loads(done.stdout)
    assert values["model"] == "resnet18(width=8)"
    assert values["rows"][-1]["size"] == [7]
    assert "227" in command("alexnet").stdout
    assert command("alexnet", "--markdown").stdout == table("alexnet").markdown()
    assert "61,706 parameters" in command("lenet5").stdout
    assert "20" in command("mlp", "--input", "20", "--classes", "3").stdout


def test_command_with_a_users_factory(tmp_path, monkeypatch):
    (tmp_path / "ownnet.py").write_text("from torch import nn\ndef small(): return nn.Conv1d(2, 3, 5)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = command("ownnet:small", "--input", "2x30")
    assert "3x26" in done.stdout, done
    sys.modules.pop("ownnet")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("alexnet", "--input", "3x2a"), InputError, "is no shape"),
        (("alexnet", "--input", ""), InputError, "is no shape"),
        (("alexnet", "--input", "3x0x5"), InputError, "is no shape"),
        (("alexnet", "--input", "20"), InputError, "takes images"),
        (("alexnet", "--input", "3x40x40"), InputError, "vanishes at"),
        (("alexnt",), UnknownNameError, "did you mean 'alexnet'"),
        (("alexnet(deep=3)",), UnknownNameError, "option of alexnet"),
        (("mlp",), InputError, "--input"),
        (("alexnet", "--json", "--markdown"), InputError, "exclude"),
        (("nosuch.module:thing", "--input", "3"), InputError, "cannot be imported"),
    ],
)
def test_command_refuses(arguments, kind, words):
    error = command(*arguments).exception
    assert type(error) is kind
    assert words in str(error)
    assert math.prod(map(str(error).count, ["\n"])) == 0


def test_the_picture_shows_each_telling_layer(tmp_path: Path) -> None:
    table = summary(registry.lookup("model", "alexnet").make(), (3, 227, 227), what="AlexNet")
    picture = ElementTree.fromstring(table.svg())
    texts = [element.text for element in picture.iter() if element.tag.endswith("text")]
    for words in ("AlexNet", "3x227x227", "96x55x55", "11 /4", "256x6x6", "37.8 M", "1000"):
        assert words in texts
    # The input, five convolutions, three poolings, three linear layers, and the background.
    assert sum(element.tag.endswith("rect") for element in picture.iter()) == 13
    assert table.save(tmp_path / "layers.svg").read_text(encoding="utf-8") == table.svg()
    assert "119 of" in summary(registry.lookup("model", "resnet152").make(), (3, 224, 224)).svg()


def test_a_model_without_memory_is_read_under_its_device() -> None:
    with torch.device("meta"):
        model = registry.lookup("model", "vgg19").make()
        state = random.getstate()
        assert summary(model, (3, 224, 224)).totals.parameters == 143_667_240
    assert random.getstate() == state
