"""Activations through depth: what initializers do to them, slopes, dead units, and that nothing is left behind."""

import copy
import json
from functools import partial
from itertools import pairwise
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from chainrule.anatomy.passes import slope
from chainrule.anatomy.statistics import activation_statistics
from chainrule.errors import InputError, UnknownNameError
from chainrule.nn import MeLU
from chainrule.nn.activations import activation
from chainrule.registry import entries

WIDTH = 256


def deep(kind, depth=8, width=WIDTH):
    return nn.Sequential(*(part for _ in range(depth) for part in (nn.Linear(width, width), kind())))


def deviations(kind, initializer, depth=8):
    statistics = activation_statistics(deep(kind, depth), torch.randn(256, WIDTH), initializers=(initializer,))
    return [row.std for row in statistics.rows]


def test_small_random_weights_let_tanh_collapse():
    """Where tanh is next to the identity, a layer multiplies the deviation by ``0.01 sqrt(n)``."""
    found = deviations(nn.Tanh, "small-random")
    for before, after in pairwise(found[1:]):
        assert after / before == pytest.approx(0.01 * WIDTH**0.5, rel=0.05)
    assert found[-1] < 1e-5


def test_xavier_keeps_tanh_and_kaiming_relu():
    tanh = deviations(nn.Tanh, "xavier-normal")
    # The first deviation is that of tanh of a standard normal number; then it sinks like 1 / sqrt(2 depth).
    assert tanh[0] == pytest.approx(0.628, abs=0.01)
    assert 0.2 < tanh[-1] < tanh[0]
    # Kaiming keeps the second moment at 1, of which 1/2 - 1 / (2 pi) is the variance of ReLU of a normal number ...
    assert deviations(nn.ReLU, "kaiming")[0] == pytest.approx((2 * (1 / 2 - 1 / (2 * torch.pi))) ** 0.5, rel=0.05)
    relu = deviations(nn.ReLU, "kaiming", depth=12)
    assert 0.5 < relu[-1] / relu[0] < 2
    # ... and Xavier halves it in each layer.
    halved = deviations(nn.ReLU, "xavier-normal", depth=12)
    assert (halved[-1] / halved[0]) ** (1 / 11) == pytest.approx(0.5**0.5, rel=0.1)


def test_wide_weights_saturate_tanh():
    statistics = activation_statistics(
        deep(nn.Tanh), torch.randn(64, WIDTH), initializers=("small-random(std=1)", "xavier-normal")
    )
    wide, xavier = statistics.initializers.values()
    # |tanh'| < 0.005 beyond 3.34; in the second layer z has the deviation 16 times that of what comes in.
    spread = 16 * wide[0].std
    wanted = 1 - torch.erf(torch.tensor(3.34 / spread / 2**0.5))
    assert wide[1].saturated == pytest.approx(float(wanted), abs=0.02)
    assert max(row.saturated for row in xavier) < 0.01
    assert "Most are saturated in 1 (" in statistics.verdict


def test_sigmoid_at_three_points():
    statistics = activation_statistics(nn.Sigmoid(), torch.tensor([[-10.0, 0.0, 10.0]]))
    row = statistics.rows[0]
    assert row.low == pytest.approx(4.5398e-5, rel=1e-4)
    assert row.high == pytest.approx(0.9999546, rel=1e-7)
    assert row.mean == pytest.approx(0.5)
    assert row.saturated == pytest.approx(2 / 3)
    assert row.dead == pytest.approx(2 / 3)
    assert row.positive == 1
    assert "so descent zig-zags" in statistics.verdict
    z = torch.tensor([-10.0, 0.0, 10.0], dtype=torch.float64)
    assert slope(nn.Sigmoid(), z).tolist() == pytest.approx([4.5396e-5, 0.25, 4.5396e-5], rel=1e-4)


def test_dead_units():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    with torch.no_grad():
        model[0].bias[:3] = -1e6
        model[0].bias[3:] = 1e6
    x = torch.randn(10, 4)
    assert activation_statistics(model, x).rows[0].dead == 0.5
    nn.init.constant_(model[0].bias, -1e6)
    statistics = activation_statistics(model, (x, torch.zeros(10)))
    row = statistics.rows[0]
    assert (row.dead, row.saturated, row.positive, row.std) == (1, 1, 0, 0)
    assert "Units are dead in 1 (100 %)" in statistics.verdict
    assert "100 % dead" in statistics.svg()


def test_unit_that_lives_for_one_sample_is_not_dead():
    x = torch.tensor([[-1.0, -1.0], [-1.0, 1.0]])
    row = activation_statistics(nn.ReLU(), x).rows[0]
    assert (row.dead, row.saturated, row.positive) == (0.5, 0.75, 0.25)


def test_maps_are_counted_position_by_position():
    x = -torch.ones(2, 3, 4, 4)
    x[0, 0, 0, 0] = 1
    assert activation_statistics(nn.ReLU(), x).rows[0].dead == pytest.approx(47 / 48)


@pytest.mark.parametrize(
    ("module", "exact"),
    [
        (nn.ReLU(inplace=True), lambda z: (z > 0).double()),
        (nn.LeakyReLU(0.2), lambda z: torch.where(z > 0, 1.0, 0.2)),
        (nn.Tanh(), lambda z: 1 - z.tanh() ** 2),
        (nn.Softplus(), torch.sigmoid),
        (nn.ELU(), lambda z: torch.where(z > 0, 1.0, z.exp())),
        (nn.Hardtanh(), lambda z: (z.abs() < 1).double()),
        (nn.Identity(), torch.ones_like),
    ],
)
def test_slopes(module, exact):
    z = torch.randn(8, 5, dtype=torch.float64)
    before = z.clone()
    assert torch.allclose(slope(module, z), exact(z).double())
    assert torch.equal(z, before)


def test_learned_activations_have_slopes_too():
    z = torch.randn(4, 3)
    assert torch.allclose(slope(MeLU(3), z), (z > 0).float())  # MeLU starts as ReLU


@pytest.mark.parametrize(
    "module",
    [nn.Softmax(1), nn.Linear(6, 6), nn.LayerNorm(6), nn.GLU(), nn.Flatten(0), nn.BatchNorm1d(6)],
)
def test_layers_that_are_not_elementwise_have_none(module):
    found = activation_statistics(module, torch.randn(8, 6), layers=nn.Module)
    assert found.rows[0].saturated is None


def test_layers_are_chosen_by_type():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(inplace=True)), nn.Linear(4, 2))
    x = torch.randn(8, 4)

    def names(**options):
        return [row.name for row in activation_statistics(model, x, **options).rows]

    assert names() == ["1.1"]
    assert names(layers=nn.Linear) == ["0", "2"]
    assert names(layers=(nn.Linear, nn.ReLU)) == ["0", "1.1", "2"]
    assert names(layers=nn.Module) == ["0", "1.0", "1.1", "2"]
    assert names(layers=nn.Sequential) == [""]
    normalized = activation_statistics(model, x, layers=nn.BatchNorm1d).rows[0]
    # Before the ReLU that writes over it.
    assert normalized.mean == pytest.approx(0, abs=1e-6)
    assert normalized.std == pytest.approx(1, abs=1e-3)


def test_every_activation_of_the_registry_is_seen():
    for name in entries("activation"):
        row = activation_statistics(activation(name, channels=6), torch.randn(8, 6, 4, 4)).rows[0]
        assert row.name == "", name


def test_layer_that_is_called_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.Tanh()

        def forward(self, x):
            return self.act(10 * self.act(x))

    rows = activation_statistics(Twice(), torch.randn(8, 6)).rows
    assert [row.name for row in rows] == ["act", "act (2)"]
    assert rows[1].std > rows[0].std


def test_numbers_and_counts():
    x = torch.randn(50, 20)
    row = activation_statistics(nn.Tanh(), x).rows[0]
    y = x.tanh()
    assert row.mean == pytest.approx(float(y.mean()), abs=1e-6)
    assert row.std == pytest.approx(float(y.std(correction=0)), rel=1e-5)
    assert row.positive == pytest.approx(float((y > 0).double().mean()))
    assert (row.low, row.high) == (float(y.min()), float(y.max()))
    assert sum(row.counts) == y.numel()
    constant = activation_statistics(nn.ReLU(), -x.abs()).rows[0]
    assert (constant.low, constant.high, sum(constant.counts)) == (0, 0, y.numel())


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_left_behind_and_seeds_hold(training):
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(8, 4))
    model.train(training)
    x = torch.randn(16, 6)
    state, drawn, given = copy.deepcopy(model.state_dict()), torch.get_rng_state(), x.clone()
    look = partial(activation_statistics, model, x, initializers=("xavier-normal", "kaiming"), layers=nn.Module)
    assert look() == look()
    assert look(seed=1) != look()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.equal(x, given)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training is training


def test_what_is_not_finite_is_named():
    statistics = activation_statistics(nn.Sequential(nn.ReLU(), nn.Tanh()), torch.full((4, 3), float("nan")))
    assert statistics.verdict == "The activations of 0, 1 are not finite."
    assert json.loads(statistics.to_json())["rows"][0]["mean"] is None
    assert ElementTree.fromstring(statistics.svg()) is not None


@pytest.mark.parametrize(
    ("model", "options", "error", "says"),
    [
        (nn.Linear(3, 3), {}, InputError, "calls no activation module; name others, or layers=nn.Module"),
        (nn.Linear(3, 3), {"layers": nn.Conv2d}, InputError, "calls no layer of 'Conv2d'"),
        (nn.Linear(3, 3), {"initializers": "kaiming"}, InputError, r"write initializers=\('kaiming',\)"),
        (nn.Linear(3, 3), {"initializers": ("kamming",)}, UnknownNameError, "did you mean 'kaiming'"),
        (nn.ReLU(), {"initializers": ("kaiming",)}, InputError, "no linear or convolutional layer"),
    ],
)
def test_refusals(model, options, error, says):
    with pytest.raises(error, match=says):
        activation_statistics(model, torch.ones(2, 3), **options)


def test_faces(tmp_path):
    names = ("small-random", "xavier-normal", "kaiming")
    statistics = activation_statistics(deep(nn.Tanh, 20, 8), torch.randn(32, 8), initializers=names)
    assert len(statistics.rows) == 60
    assert statistics.verdict.startswith("small-random: The activations die out: the deviation goes from")
    assert "initializer" in statistics.text()
    assert statistics.markdown().startswith("| initializer | layer |")
    assert json.loads(statistics.to_json())["rows"][0]["initializer"] == "small-random"
    svg = statistics.svg()
    assert "12 of 20 layers are shown." in svg
    written = [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in written if text in names] == list(names)
    for ending in ("svg", "md", "txt", "json"):
        assert statistics.save(tmp_path / f"activations.{ending}").exists()
    with pytest.raises(InputError, match="exists"):
        statistics.save(tmp_path / "activations.svg")
