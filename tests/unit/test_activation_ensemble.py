"""The activation ensemble: what is drawn, that members learn independently, and that it is trained, saved and used."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule import api, models
from chainrule.data.batches import Batch
from chainrule.data.spec import Classes, Image, Inputs, Labels, Real, Target, Vector, Volume
from chainrule.errors import InputError
from chainrule.models.activation_ensemble import POOL, REPLACED, ActivationEnsemble
from chainrule.nn.activations import activation
from chainrule.tasks import AuxiliaryHeads, Classification
from tests.unchecked import unchecked

CLASSES = Classes(("a", "b", "c"))


def ensemble(**options: object) -> ActivationEnsemble:
    settings: dict[str, object] = {"network": "mlp(width=8, dropout=0.0)", "members": 3, **options}
    return ActivationEnsemble(Vector.numbers(4), CLASSES, **settings)  # type: ignore[arg-type]


def layers(model: nn.Module) -> list[list[str]]:
    """Names of each member's activations."""
    kinds = {type(activation(name)) for name in POOL} | set(REPLACED)
    return [
        [type(part).__name__ for part in member.modules() if type(part) in kinds]
        for member in model.get_submodule("members").children()
    ]


def test_every_layer_is_drawn_from_the_pool() -> None:
    found = layers(ensemble(members=40))
    counts = np.unique([name for member in found for name in member], return_counts=True)
    assert all(len(member) == 2 for member in found)
    assert len(counts[0]) > 10
    assert set(counts[0]) <= {type(activation(name)).__name__ for name in POOL}
    assert layers(ensemble(activations=("elu",))) == [["ELU"] * 2] * 3


def test_draws_depend_on_the_seed_alone_and_weights_do_not() -> None:
    torch.manual_seed(1)
    one = ensemble()
    torch.manual_seed(2)
    other = ensemble()
    assert layers(one) == layers(other)
    assert layers(one) != layers(ensemble(seed=1))
    # Another number of members has the same first ones.
    assert layers(ensemble(members=5))[:3] == layers(one)
    weights = [member.get_parameter("fc.weight") for model in (one, other) for member in model.members]
    assert all(not torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


def test_each_gradient_is_that_of_the_members_own_loss() -> None:
    model = ensemble().train()
    x, y = torch.randn(20, 4), torch.arange(20) % 3
    alone = copy.deepcopy(model)
    task = AuxiliaryHeads(Classification([7, 7, 6]), model.auxiliary_weight)
    together = torch.optim.Adam(model.parameters(), lr=0.01)
    optimizers = [torch.optim.Adam(member.parameters(), lr=0.01) for member in alone.members]
    for _ in range(5):
        together.zero_grad()
        task.step("fit", model, Batch(x, y, torch.arange(20), total=20)).share(20)[1].backward()
        together.step()
        for member, optimizer in zip(alone.members, optimizers, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(member(x), y).backward()
            optimizer.step()
    for name, parameter in alone.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), parameter, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("target", [CLASSES, Labels(("a", "b")), Real(("a", "b"))], ids=lambda target: target.kind)
def test_in_use_predictions_are_averaged(target: Target) -> None:
    call = "activation-ensemble(network='mlp(width=8)', members=4)"
    model = models.build(call, inputs=Vector.numbers(4), target=target).double()
    x = torch.randn(6, 4, dtype=torch.float64)
    assert model.train()(x).shape == (4, 6, len(target.names))
    each = torch.stack([member.eval()(x) for member in model.get_submodule("members").children()])
    known = {"classes": lambda z: z.softmax(-1), "labels": torch.sigmoid, "real": lambda z: z}[target.kind]
    torch.testing.assert_close(known(model.eval()(x)), known(each).mean(0))


@pytest.mark.parametrize(
    ("inputs", "network"),
    [
        (Image(1, 8, 8), "lenet5"),  # made for 28 x 28 and more
        (Image(3, 9, 12), "resnet20(width=4)"),
        (Image(1, 20, 24), "auto"),
        (Volume(1, 19, 20, 21), "enzynet(widths=(4, 8), hidden=8)"),
        (Vector.numbers(5), "auto"),
        (Image(1, 48, 48), "googlenet(width=4, heads=False)"),
    ],
    ids=str,
)
def test_takes_what_the_network_takes(inputs: Inputs, network: str) -> None:
    call = f"activation-ensemble(network={network!r}, members=2)"
    model = models.build(call, inputs=inputs, target=CLASSES)
    x: Tensor = torch.randn(3, *inputs.shape)
    output = model.train()(x)
    assert output.shape == (2, 3, 3)
    assert output.isfinite().all()
    assert model.eval()(x).shape == (3, 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("members=1", r"^activation-ensemble wants at least 2 members; received 1\.$"),
        ("members='many'", "at least 2 members; received 'many'"),
        ("network='mpl'", "There is no model named 'mpl'; did you mean 'mlp'"),
        ("network='svm'", "svm is an estimator, which has no activation layers"),
        ("network='linear'", "Linear has no layer of type ReLU to swap"),
        ("network='googlenet(width=4)'", "googlenet.* has auxiliary heads"),
        ("network='activation-ensemble(members=2)'", "has auxiliary heads"),
        ("activations=()", "The pool for ReLU is empty"),
        ("activations=('rleu',)", "There is no activation named 'rleu'; did you mean 'relu'"),
        ("network='enzynet'", "enzynet takes volumes, but these inputs are images"),
        ("layers=3", "There is no option of activation-ensemble named 'layers'"),
    ],
)
def test_what_does_not_go_is_said(options: str, sentence: str) -> None:
    with unchecked(), pytest.raises(InputError, match=sentence):
        models.build(f"activation-ensemble({options})", inputs=Image(1, 48, 48), target=CLASSES)


def test_fit_trains_saves_and_predicts(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 80, (60, 1, 8, 8), dtype=np.uint8)
    classes = np.arange(60) % 2
    images[classes == 1, :, :4] += 150
    model = "activation-ensemble(network='resnet20(width=4)', members=2)"
    run = api.fit((images, classes), model=model, epochs=4, rate=0.01, out=tmp_path / "run")
    assert run.test["accuracy"] > 0.9
    again = api.load_run(tmp_path / "run")
    assert (again.predict(images) == classes).mean() > 0.9
    assert np.array_equal(again.predict_proba(images), run.predict_proba(images))
