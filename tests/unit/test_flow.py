"""The gradient through depth: exact norms, what vanishes and explodes, and that nothing is left behind."""

import copy
import json
from functools import partial
from itertools import pairwise
from xml.etree import ElementTree

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from chainrule import registry
from chainrule.anatomy.flow import gradient_flow
from chainrule.errors import InputError


def deep(depth=10, width=32, activation=nn.Sigmoid, scale=None):
    """Linear layers and activations; with a scale, orthogonal weights times it and no biases."""
    layers = []
    for _ in range(depth):
        linear = nn.Linear(width, width, bias=scale is None)
        if scale is not None:
            nn.init.orthogonal_(linear.weight, gain=scale)
        layers += [linear, activation()]
    return nn.Sequential(*layers, nn.Linear(width, 4))


def batch(width=32, size=64):
    return torch.randn(size, width), torch.randint(0, 4, (size,))


def by_name(flow):
    return {row.name: row for row in flow.rows}


def norm(*tensors):
    return float(torch.cat([tensor.flatten().double() for tensor in tensors]).norm())


def test_gradients_of_two_layers_by_hand():
    """``L = mean (W2 h + b2 - t)^2`` with ``h = sigmoid(W1 x + b1)``, by the chain rule."""
    model = nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 2)).double()
    x, targets = torch.randn(7, 3).double(), torch.randn(7, 2).double()
    flow = gradient_flow(model, (x, targets))
    with torch.no_grad():
        first, last = model[0], model[2]
        h = torch.sigmoid(x @ first.weight.T + first.bias)
        dy = 2 * (h @ last.weight.T + last.bias - targets) / targets.numel()
        dh = dy @ last.weight
        dz = dh * h * (1 - h)
    rows = by_name(flow)
    assert [row.name for row in flow.rows] == ["0", "1", "2"]
    assert rows["2"].arriving == pytest.approx(norm(dy), rel=1e-12)
    assert rows["1"].arriving == pytest.approx(norm(dh), rel=1e-12)
    assert rows["0"].arriving == pytest.approx(norm(dz), rel=1e-12)
    assert rows["2"].gradient == pytest.approx(norm(dy.T @ h, dy.sum(0)), rel=1e-12)
    assert rows["0"].gradient == pytest.approx(norm(dz.T @ x, dz.sum(0)), rel=1e-12)
    assert rows["0"].weights == pytest.approx(norm(first.weight.detach(), first.bias.detach()), rel=1e-12)
    assert rows["0"].update == pytest.approx(1e-3 * rows["0"].gradient, rel=1e-9)
    assert rows["0"].ratio == pytest.approx(rows["0"].update / rows["0"].weights)
    assert (rows["1"].gradient, rows["1"].weights, rows["1"].update, rows["1"].ratio) == (None,) * 4


def test_sigmoids_let_it_vanish():
    flow = gradient_flow(deep(), batch())
    assert flow.verdict.startswith("The gradient vanishes: what arrives at the first layer, 0, is")
    assert flow.change < 1e-6
    # The slope of a sigmoid is at most 1/4, and nn.Linear's weights, of deviation 1 / sqrt(3 n), shrink it further.
    assert flow.factor < 0.25
    assert flow.change == pytest.approx(flow.factor**10)


@pytest.mark.parametrize("scale", [1.5, 0.5])
def test_linear_layers_change_it_by_their_scale(scale):
    """An orthogonal matrix times ``s`` stretches the gradient by ``s``, exactly."""
    flow = gradient_flow(deep(12, activation=nn.Identity, scale=scale), batch(), loss=lambda y, t: y.mean())
    arriving = [row.arriving for row in flow.rows if row.kind == "Linear"][:-1]
    for before, after in pairwise(arriving):
        assert before / after == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize(("scale", "verdict"), [(1.5, "explodes"), (0.5, "vanishes"), (1.0, "neither")])
def test_verdict_on_linear_layers_of_random_weights(scale, verdict):
    """A normal matrix of deviation ``s / sqrt(n)`` stretches by ``s`` on average."""
    model = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(20)))
    for layer in model:
        nn.init.normal_(layer.weight, std=scale / 8)
    flow = gradient_flow(model, torch.randn(64, 64))
    assert f"The gradient {verdict}" in flow.verdict
    assert flow.factor == pytest.approx(scale, rel=0.1)
    # The weights' own gradients do not show it: the activations change as the gradients do, the other way round.
    assert 0.01 < flow.rows[0].gradient / flow.rows[-1].gradient < 100


def test_plain_networks_explode_and_residual_ones_do_not():
    images = torch.randn(8, 3, 16, 16), torch.randint(0, 10, (8,))
    flows = {}
    for name in ("plain56", "resnet56"):
        torch.manual_seed(0)
        flows[name] = gradient_flow(registry.lookup("model", name).make(), images)
    assert flows["plain56"].verdict.startswith("The gradient explodes: what arrives at the first layer, conv1")
    assert flows["resnet56"].verdict.startswith("The gradient neither vanishes nor explodes")
    assert flows["plain56"].change > 100 * flows["resnet56"].change
    assert len(flows["resnet56"].compared) == 56


@pytest.mark.parametrize(
    "optimizer",
    [
        None,
        torch.optim.SGD,
        partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
        torch.optim.Adam,
        partial(torch.optim.AdamW, lr=0.02),
        torch.optim.RMSprop,
    ],
)
def test_update_is_that_of_a_real_step(optimizer):
    model, (inputs, targets) = deep(3, activation=nn.Tanh).double(), batch()
    inputs = inputs.double()
    flow = gradient_flow(model, (inputs, targets), optimizer=optimizer)
    real = copy.deepcopy(model)
    step = (optimizer or partial(torch.optim.SGD, lr=1e-3))(real.parameters())
    F.cross_entropy(real(inputs), targets).backward()
    step.step()
    for row in flow.rows:
        if row.weights is not None:
            before, after = model.get_submodule(row.name), real.get_submodule(row.name)
            moved = [
                new.detach() - old.detach() for new, old in zip(after.parameters(), before.parameters(), strict=True)
            ]
            assert row.update == pytest.approx(norm(*moved), rel=1e-9)
    assert flow.optimizer == type(step).__name__


def test_optimizer_with_a_state_makes_its_next_step():
    model, (inputs, targets) = deep(2, activation=nn.Tanh), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    flow = gradient_flow(model, (inputs, targets), optimizer=optimizer)
    assert all(
        torch.equal(state["state"][index]["momentum_buffer"], entry["momentum_buffer"])
        for index, entry in optimizer.state_dict()["state"].items()
    )
    before = [parameter.detach().clone() for parameter in model[0].parameters()]
    optimizer.zero_grad()
    F.cross_entropy(model(inputs), targets).backward()
    optimizer.step()
    moved = [new.detach() - old for new, old in zip(model[0].parameters(), before, strict=True)]
    assert flow.rows[0].update == pytest.approx(norm(*moved), rel=1e-4)


def test_small_step_is_not_rounded_away():
    flow = gradient_flow(deep(), batch())
    assert 0 < flow.rows[0].ratio < 1e-10
    assert flow.rows[0].update == pytest.approx(1e-3 * flow.rows[0].gradient, rel=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_left_behind(training):
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(8, 4))
    model.train(training)
    model[1].eval()
    model(torch.randn(3, 6)).sum().backward()
    model[4].bias.grad = None
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    state, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    drawn = torch.get_rng_state()
    first = gradient_flow(model, batch(6))
    torch.set_rng_state(drawn)
    data = batch(6)
    drawn = torch.get_rng_state()
    again = gradient_flow(model, data), gradient_flow(model, data)
    assert again[0] == again[1]
    assert first.rows[0].gradient > 0
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    now = [p.grad for p in model.parameters()]
    assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(grads, now, strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_in_place_layers_and_no_grad_do_not_matter():
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    in_place = copy.deepcopy(plain)
    in_place[1].inplace = True
    data = batch(6)
    with torch.no_grad():
        assert gradient_flow(plain, data).rows == gradient_flow(in_place, data).rows


def test_frozen_shared_and_uncalled_layers():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(6))
            self.spare = nn.Linear(2, 2)
            self.last, self.shared, self.frozen = nn.Linear(6, 4), nn.Linear(6, 6), nn.Linear(6, 6)
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.frozen.requires_grad_(False)

        def forward(self, x):
            x = self.shared(self.shared(self.frozen(x * self.scale)))
            return self.last(self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0])

    flow = gradient_flow(Odd(), batch(6))
    assert [row.name for row in flow.rows] == [
        "", "frozen", "shared", "attention", "attention.out_proj", "last"
    ]  # fmt: skip
    rows = by_name(flow)
    assert rows["frozen"].gradient is None
    assert rows["frozen"].weights > 0
    assert "frozen" not in [row.name for row in flow.compared]
    assert rows["attention.out_proj"].gradient > 0
    assert "(model)" in flow.text()


def test_what_is_not_finite_is_named():
    data = batch()
    model = deep(4, activation=nn.Tanh)
    nn.init.constant_(model[4].weight, float("nan"))
    assert gradient_flow(model, data).verdict == "The outputs of 4 (Linear) are not finite, so no gradient can be."

    class Root(nn.Module):
        def forward(self, x):
            return (x - x.detach()).abs().sqrt()  # 0, with an infinite slope

    model = nn.Sequential(nn.Linear(32, 8), Root(), nn.Linear(8, 4))
    flow = gradient_flow(model, data)
    assert flow.verdict == "The gradient is not finite, from 0 (Linear) on backwards."
    assert json.loads(flow.to_json())["rows"][0]["gradient"] is None
    assert "nan" in flow.svg()
    flow = gradient_flow(deep(1), data, loss=lambda y, t: y.sum() * float("inf"))
    assert flow.verdict.startswith("The loss is")


def test_dead_layers_and_one_layer():
    model = deep(2, activation=nn.ReLU)
    nn.init.constant_(model[2].bias, -1e6)
    assert gradient_flow(model, batch()).verdict.startswith("No gradient reaches '0' and '2'")
    assert "nothing to compare" in gradient_flow(nn.Linear(32, 4), batch()).verdict


def test_default_losses():
    model, x = nn.Linear(3, 2), torch.randn(5, 3)
    y = model(x).detach()
    classes, real = torch.randint(0, 2, (5,)), torch.randn(5, 2)
    assert gradient_flow(model, (x, classes)).loss == pytest.approx(float(F.cross_entropy(y, classes)))
    assert gradient_flow(model, (x, classes.int())).loss == pytest.approx(float(F.cross_entropy(y, classes)))
    assert gradient_flow(model, (x, real)).loss == pytest.approx(float(F.mse_loss(y, real)))
    assert gradient_flow(model, x).loss == pytest.approx(float(y.square().mean()))
    assert gradient_flow(model, {"input": x}).loss == pytest.approx(float(y.square().mean()))
    assert gradient_flow(model, x, loss=torch.sum).loss == pytest.approx(float(y.sum()), rel=1e-5)


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        ((torch.ones(2, 3),) * 3, {}, "received 3 parts"),
        ((torch.ones(2, 3), torch.ones(2)), {}, r"outputs of \(2, 2\) and targets of \(2,\)"),
        ((torch.ones(2, 3), "cats"), {}, "no default loss for outputs and targets of type Tensor and str"),
        (torch.ones(2, 3), {"loss": lambda y: y}, "must give one number"),
        (torch.ones(2, 3), {"loss": lambda y: y.sum().detach()}, "No parameter of Linear"),
        (torch.ones(2, 3), {"optimizer": torch.optim.LBFGS}, "LBFGS cannot step from one gradient"),
    ],
)
def test_refusals(data, options, says):
    with pytest.raises(InputError, match=says):
        gradient_flow(nn.Linear(3, 2), data, **options)


def test_faces(tmp_path):
    flow = gradient_flow(deep(), batch())
    assert len(flow.text().splitlines()) == len(flow.rows) + 3
    assert flow.markdown().startswith("| layer | kind |")
    values = json.loads(flow.to_json())
    assert values["verdict"] == flow.verdict
    assert values["rows"][0]["gradient"] == flow.rows[0].gradient
    root = ElementTree.fromstring(flow.svg())
    assert len(root.findall(".//{*}circle")) == len(flow.rows) + 1  # the key has one, too
    assert "prefers-color-scheme:dark" in flow.svg()
    for ending in ("svg", "md", "txt", "json"):
        assert flow.save(tmp_path / f"flow.{ending}").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"flow.svg exists"):
        flow.save(tmp_path / "flow.svg")
    with pytest.raises(InputError, match=r"must end in one of '.svg'"):
        flow.save(tmp_path / "flow.png")
    with pytest.raises(InputError, match="is missing"):
        flow.save(tmp_path / "none" / "flow.svg")


def test_picture_of_many_layers_stays_a_picture():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(120)))
    svg = gradient_flow(model, torch.randn(3, 4)).svg()
    assert "80 of 120 layers are shown." in svg
    assert ">0</text>" in svg
    assert ">119</text>" in svg


def test_sparse_gradients():
    model = nn.Sequential(nn.Embedding(9, 3, sparse=True), nn.Flatten(), nn.Linear(6, 2))
    tokens, targets = torch.randint(0, 9, (5, 2)), torch.randint(0, 2, (5,))
    dense = copy.deepcopy(model)
    dense[0].sparse = False
    one, other = (gradient_flow(version, (tokens, targets)).rows[0] for version in (model, dense))
    assert one.gradient == pytest.approx(other.gradient, rel=1e-6)
    assert one.update == pytest.approx(other.update, rel=1e-6)
