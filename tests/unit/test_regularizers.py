"""Regularizers: what they do in the mean, at their ends, to gradients, and what they refuse."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from chainrule.errors import InputError
from chainrule.nn import DropConnect, Elastic, StochasticDepth, depth_rates, elastic, max_norm_
from chainrule.nn.regularizers import stochastic_depth
from chainrule.registry import entries


def test_dropconnect_drops_weights_and_keeps_the_mean():
    layer = nn.Linear(1000, 1, bias=True)
    nn.init.ones_(layer.weight)
    nn.init.constant_(layer.bias, 7.0)
    module = DropConnect(layer, p=0.3)
    outputs = torch.cat([module(torch.ones(1, 1000)) for _ in range(400)])
    # 1000 weights of 1 / 0.7, each kept with 0.7: mean 1000, deviation sqrt(1000 * 0.3 / 0.7) = 20.7.
    assert outputs.mean().item() == pytest.approx(1007, abs=5 * 20.7 / 20)
    assert outputs.std().item() == pytest.approx(20.7, rel=0.2)
    kept = (outputs - 7) * 0.7
    torch.testing.assert_close(kept, kept.round(), atol=0.01, rtol=0)


def test_dropconnect_has_one_mask_a_pass_and_no_part_in_evaluation():
    module = DropConnect(nn.Conv2d(3, 8, 3), p=0.5)
    x = torch.randn(1, 3, 6, 6).expand(4, -1, -1, -1)
    y = module(x)
    torch.testing.assert_close(y, y[:1].expand_as(y))
    assert not torch.allclose(module(x), y)
    assert torch.equal(module.eval()(x), module.layer(x))
    assert [name for name, _ in module.named_parameters()] == ["layer.weight", "layer.bias"]


def test_dropped_weights_get_no_gradient():
    module = DropConnect(nn.Linear(50, 40), p=0.5)
    module(torch.ones(2, 50)).sum().backward()
    gradient = module.layer.weight.grad
    assert set(gradient.unique().tolist()) == {0.0, 4.0}
    assert gradient.eq(0).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_stochastic_depth_skips_whole_samples():
    x = torch.rand(20_000, 2, 3) + 1
    y = StochasticDepth(p=0.2)(x)
    kept = y.flatten(1).ne(0)
    assert torch.equal(kept.all(1), kept.any(1))
    assert kept.any(1).float().mean().item() == pytest.approx(0.8, abs=0.015)
    torch.testing.assert_close(y[kept.any(1)], x[kept.any(1)] / 0.8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stochastic_depth_at_its_ends(dtype):
    x = torch.randn(5, 3, dtype=dtype)
    assert torch.equal(StochasticDepth(p=1.0)(x), torch.zeros_like(x))
    assert torch.equal(StochasticDepth(p=0.0)(x), x)
    assert torch.equal(StochasticDepth(p=0.9).eval()(x), x)
    assert torch.equal(stochastic_depth(x, 0.9, training=False), x)
    assert StochasticDepth(p=0.5)(x).dtype == dtype
    assert StochasticDepth(p=0.5)(torch.ones(4)).shape == (4,)


def test_linear_rule():
    assert depth_rates(5) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert depth_rates(2, last=0.2) == pytest.approx([0.1, 0.2])


def test_elastic_by_hand():
    weights = [torch.tensor([[1.0, -2.0]], requires_grad=True), torch.tensor([3.0], requires_grad=True)]
    assert elastic(weights, l1=0.1).item() == pytest.approx(0.6)
    assert elastic(weights, l2=0.1).item() == pytest.approx(1.4)
    loss = elastic(weights, l1=0.1, l2=0.1)
    assert loss.item() == pytest.approx(2.0)
    loss.backward()
    assert weights[0].grad.tolist() == [pytest.approx([0.1 + 0.2, -0.1 - 0.4])]
    assert elastic(weights).item() == 0.0


def test_l2_equals_weight_decay():
    ours, theirs = nn.Linear(4, 3, bias=False), nn.Linear(4, 3, bias=False)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 4)
    for layer, penalty, decay in ((ours, 0.05, 0.0), (theirs, 0.0, 0.1)):
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, weight_decay=decay)
        (layer(x).square().mean() + Elastic(l2=penalty)(layer)).backward()
        optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_l1_finds_the_sparse_solution():
    x = torch.randn(200, 10)
    truth = torch.zeros(10)
    truth[:2] = torch.tensor([2.0, -1.0])
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        (F.mse_loss(model(x)[:, 0], x @ truth) + Elastic(l1=0.2)(model)).backward()
        optimizer.step()
    # Soft thresholding: each weight is nearer to 0 by about l1 / 2, and the others stay within a step of it.
    assert model.weight[0, :2].tolist() == pytest.approx([1.9, -0.9], abs=0.06)
    assert model.weight[0, 2:].abs().max() < 0.03


def test_elastic_leaves_biases_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.PReLU())
    weight = model[0].weight
    assert Elastic(l1=1.0)(model).item() == pytest.approx(weight.abs().sum().item())


def test_max_norm():
    model = nn.Sequential(nn.Linear(6, 4), nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 10
        model[0].weight[0] *= 1e-3
    small, biases = model[0].weight[0].clone(), [layer.bias.clone() for layer in model]
    before = model[1].weight.clone()
    max_norm_(model, limit=2.0)
    assert torch.equal(model[0].weight[0], small)
    assert all(torch.equal(layer.bias, bias) for layer, bias in zip(model, biases, strict=True))
    torch.testing.assert_close(model[0].weight[1:].norm(dim=1), torch.full((3,), 2.0))
    torch.testing.assert_close(model[1].weight.flatten(1).norm(dim=1), torch.full((5,), 2.0))
    torch.testing.assert_close(model[2].weight.transpose(0, 1).flatten(1).norm(dim=1), torch.full((5,), 2.0))
    torch.testing.assert_close(F.normalize(model[1].weight.flatten(1)), F.normalize(before.flatten(1)))
    assert model[0].weight.requires_grad


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: DropConnect(nn.Linear(2, 2), p=1.0), "received 1.0"),
        (lambda: DropConnect(nn.Linear(2, 2), p=-0.1), "received -0.1"),
        (lambda: DropConnect(nn.ReLU()), "a layer with a weight"),
        (lambda: StochasticDepth(p=1.5), "from 0 to 1; received 1.5"),
        (lambda: stochastic_depth(torch.ones(2, 2), float("nan")), "received nan"),
        (lambda: Elastic(l1=-1.0), "received l1=-1.0"),
        (lambda: elastic([torch.ones(1)], l2=-1.0), "from 0 up"),
        (lambda: elastic([], l2=1.0), "0 parameters"),
        (lambda: Elastic(l1=1.0)(nn.ReLU()), "no linear or convolutional layer"),
        (lambda: max_norm_(nn.Linear(2, 2), limit=0.0), "greater than 0; received 0.0"),
    ],
)
def test_wrong_options(build, sentence):
    with pytest.raises(InputError, match=sentence):
        build()


@pytest.mark.parametrize("name", entries("regularizer"))
def test_rows_have_their_source(name):
    entry = entries("regularizer")[name]
    assert str(entry.year) in entry.paper
    assert entry.summary.endswith(".")
