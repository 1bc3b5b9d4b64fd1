"""Every small part can be called by name in ``fit``: initializers, regularizers, losses, preparations, activations."""

from pathlib import Path

import pytest
import torch
from torch import nn

from chainrule import api
from chainrule.errors import InputError, UnknownNameError
from chainrule.nn import MeLU
from chainrule.nn.preparation import TableEncoder
from chainrule.nn.weights import weighted_layers
from chainrule.run import Run

QUICK = {"epochs": 2, "rate": 0.01, "seed": 0}


def fitted(tmp_path: Path, source: str, **settings: object) -> Run:
    return api.fit(source, out=tmp_path / "run", **{**QUICK, **settings})


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("iris", {"loss": "hinge"}),
        ("iris", {"loss": "focal(gamma=1)", "balance": False}),
        ("diabetes", {"loss": "huber(delta=0.5)"}),
        ("iris", {"optimizer": "diffgrad", "schedule": "triangular(half=1)"}),
        ("wine", {"prepare": "zca"}),
        ("wine", {"prepare": "pca(components=5)"}),
        ("digits", {"prepare": "mean-image", "model": "linear", "augment": "none"}),
        ("digits", {"prepare": "zca", "model": "linear", "augment": "none"}),
        ("digits", {"prepare": "minmax", "model": "lenet5(activation='wide-melu')", "batch": 300, "epochs": 1}),
        ("iris", {"model": "mlp(activation='galu', width=16)", "init": "xavier-normal"}),
    ],
)
def test_parts_by_name_train_save_and_predict(tmp_path: Path, source: str, settings: dict) -> None:
    run = fitted(tmp_path, source, **settings)
    assert all(torch.isfinite(torch.tensor(list(run.test.values()))))
    size = tuple(run.inputs.shape)
    assert len(run.predict(torch.zeros(3, *size, dtype=torch.float64))) == 3


def test_the_initializer_draws_the_weights(tmp_path: Path) -> None:
    plan = api.begin("iris", model="mlp", init="small-random(std=1e-4)", out=tmp_path / "a", **QUICK).session.plan
    spreads = [weight.std().item() for _, weight in weighted_layers(plan.model[1])]
    assert all(0.5e-4 < spread < 2e-4 for spread in spreads)


@pytest.mark.slow
def test_an_elastic_penalty_makes_weights_small_and_a_norm_limit_bounds_them(tmp_path: Path) -> None:
    norms = {}
    for number, regularize in enumerate(("", "elastic(l1=0.05)", "max-norm(limit=0.2)")):
        settings = {**QUICK, "epochs": 20, "weight_decay": 0.0, "regularize": regularize, "model": "linear"}
        run = api.fit("wine", out=tmp_path / str(number), **settings)
        weight = run.model[1].fc.weight
        norms[regularize] = (weight.abs().sum().item(), weight.norm(dim=1).max().item())
    assert norms["elastic(l1=0.05)"][0] < 0.5 * norms[""][0]
    assert norms["max-norm(limit=0.2)"][1] <= 0.2 + 1e-6 < norms[""][1]


def test_the_penalty_enters_the_gradient_not_the_reported_loss(tmp_path: Path) -> None:
    jobs = [
        api.begin("wine", model="linear", regularize=text, out=tmp_path / str(number), **QUICK)
        for number, text in enumerate(("", "elastic(l2=10)"))
    ]
    first, second = (next(event for event in job.session.events() if type(event).__name__ == "Step") for job in jobs)
    # The linear model starts at zero, where the penalty's gradient vanishes, too.
    assert first.loss == second.loss
    assert first.norm == pytest.approx(second.norm)


def test_activations_have_a_number_for_each_of_their_channels(tmp_path: Path) -> None:
    network = api.begin("digits", model="lenet5(activation='melu')", out=tmp_path / "a", **QUICK).session.plan.model[1]
    assert [act.slope.numel() for act in network.modules() if isinstance(act, MeLU)] == [6, 16, 120, 84]


def test_a_table_is_whitened_behind_its_encoder(tmp_path: Path) -> None:
    plan = api.begin("wine", prepare="zca", out=tmp_path / "a", **QUICK).session.plan
    assert isinstance(plan.model[0][0], TableEncoder)
    prepared = plan.model[0](plan.data.train.inputs).double()
    covariance = prepared.T @ prepared / len(prepared)
    torch.testing.assert_close(covariance, torch.eye(13, dtype=torch.float64), atol=0.01, rtol=0)
    assert isinstance(plan.model[1], nn.Module)


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"init": "kaimin"}, UnknownNameError, "did you mean 'kaiming'"),
        ({"regularize": "elastik(l1=1)"}, UnknownNameError, "did you mean 'elastic'"),
        ({"regularize": "elastic(l1=-1)"}, InputError, "factors from 0 up"),
        ({"regularize": "max-norm(limit=0)"}, InputError, "limit greater than 0"),
        ({"prepare": "mean-image"}, UnknownNameError, "no preparation of tables named 'mean-image'"),
        ({"loss": "hinje"}, UnknownNameError, "did you mean 'hinge'"),
        ({"model": "mlp(activation='rellu')"}, UnknownNameError, "did you mean 'relu"),
    ],
)
def test_unknown_parts_name_the_nearest_and_leave_no_run_behind(
    tmp_path: Path, settings: dict, error: type, sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        fitted(tmp_path, "iris", **settings)
    assert not (tmp_path / "run").exists()
