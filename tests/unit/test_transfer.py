"""Transfer learning through ``fit``: what is loaded, what moves, what is said, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import nn

import chainrule as cr
from chainrule import api
from chainrule.config import configure
from chainrule.data.spec import Classes, Labels, Real
from chainrule.errors import InputError, UnknownNameError
from chainrule.models.deep_features import DeepFeatures
from chainrule.nn import FrozenBatchNorm, PCAWhitening
from chainrule.run import Run
from chainrule.training.rate import sweep
from chainrule.training.transfer import FEW, VARIANCE, choose

MODEL = "resnet20(width=4)"
QUICK: dict[str, Any] = {"model": MODEL, "epochs": 2, "rate": 0.01}


def digits(first: int, last: int, each: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A few images of each digit from ``first`` to ``last``."""
    x, y = load_digits(return_X_y=True)
    chosen = np.concatenate([np.flatnonzero(y == digit)[:each] for digit in range(first, last + 1)])
    return (x[chosen].reshape(-1, 1, 8, 8) * 255 / 16).astype(np.uint8), y[chosen]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network that knows the digits 0 to 4."""
    return cr.fit(digits(0, 4, 180), out=tmp_path_factory.mktemp("base") / "run", **{**QUICK, "epochs": 4})


def built(run: Run) -> list[str]:
    """What the record says of the start."""
    events = [json.loads(line) for line in (run.directory / "events.jsonl").read_text().splitlines()]
    start: list[str] = next(event["start"] for event in events if event["event"] == "Built")
    return start


def test_head_alone_learns(base: Run, tmp_path: Path) -> None:
    run = cr.fit(digits(5, 9), weights=str(base.directory), transfer="head", out=tmp_path / "run", **QUICK)
    old, new = base.model[1].state_dict(), run.model[1].state_dict()
    assert {name for name in new if not torch.equal(new[name], old[name])} == {"fc.weight", "fc.bias"}
    assert built(run) == [
        f"{MODEL} starts from the run run: {len(old) - 2} of {len(old)} tensors; new: 'fc.bias' and 'fc.weight'.",
        "Transfer head: all but the head is frozen.",
    ]
    # Raw inputs are standardised as the weights expect it.
    assert torch.equal(run.model[0][0].mean, base.model[0][0].mean)
    assert "deviation of the run run" in run.model[0][0].describe()[0]


def test_all_learn_but_slowly(base: Run, tmp_path: Path) -> None:
    job = api.begin(digits(5, 9), weights=str(base.directory), transfer="all", out=tmp_path / "run", **QUICK)
    plan = job.session.plan
    optimizer = plan.optimizer(plan.model[1], "fit", 0.5)
    head, rest = optimizer.param_groups
    assert [group["lr"] for group in (head, rest)] == [0.5, 0.05]
    assert {id(p) for p in head["params"]} == {id(p) for p in plan.model[1].fc.parameters()}
    assert len(head["params"]) + len(rest["params"]) == len(list(plan.model[1].parameters()))
    list(job)
    old, new = base.model[1].state_dict(), job.run().model[1].state_dict()
    assert all(not torch.equal(new[name], old[name]) for name in new)


@pytest.mark.parametrize("schedule", ["OneCycleLR", "CyclicLR(step_size_up=4, cycle_momentum=False)", "cosine"])
def test_schedules_keep_the_ratio(base: Run, tmp_path: Path, schedule: str) -> None:
    settings = {**QUICK, "weights": str(base.directory), "transfer": "all", "schedule": schedule}
    plan = api.begin(digits(5, 9), out=tmp_path / "run", **settings).session.plan
    training = plan.training(0.5)
    for _ in range(6):
        head, rest = (group["lr"] for group in training.optimizers["fit"].param_groups)
        assert rest == pytest.approx(0.1 * head)
        training.optimizers["fit"].step()
        training.schedules["fit"].after_batch()


def test_range_test_keeps_the_ratio(base: Run, tmp_path: Path) -> None:
    settings = {**QUICK, "weights": str(base.directory), "transfer": "all"}
    plan = api.begin(digits(5, 9), out=tmp_path / "run", **settings).session.plan
    made: list[torch.optim.Optimizer] = []

    def make(network: nn.Module, phase: str, rate: float) -> torch.optim.Optimizer:
        made.append(plan.optimizer(network, phase, rate))
        return made[0]

    batches = plan.batches("train", seed=0, alone=True)
    sweep(plan.learner, plan.task, batches, make, plan.machine, [1e-4, 1e-3, 1e-2], None)
    assert [group["lr"] for group in made[0].param_groups] == pytest.approx([1e-2, 1e-3])


def test_features_are_those_before_the_head(base: Run, tmp_path: Path) -> None:
    x, y = digits(5, 9)
    run = cr.fit((x, y), weights=str(base.directory), transfer="features", out=tmp_path / "run", **QUICK)
    *first, deep, pca = run.model[0]
    assert isinstance(deep, DeepFeatures)
    assert isinstance(pca, PCAWhitening)
    with torch.no_grad():
        prepare = nn.Sequential(*first)
        prepared = prepare(torch.from_numpy(x))
        features = deep(prepared)
        network = base.model[1]
        wanted = network.layer3(network.layer2(network.layer1(network.act1(network.bn1(network.conv1(prepared))))))
        torch.testing.assert_close(features, wanted.mean(dim=(2, 3)))
        # The same number of directions as scikit-learn's PCA takes for this share of the training split's variance.
        data = api.begin((x, y), out=tmp_path / "again", **QUICK).session.plan.data
        train = deep(prepare(data.train.inputs)).double().numpy()
    assert pca.outputs == PCA(n_components=VARIANCE).fit(train).n_components_
    assert isinstance(run.model[1].fc, nn.Linear)
    assert run.model[1].fc.in_features == pca.outputs
    # Computed once or computed from the image: the same.
    again = cr.load_run(run.directory)
    assert np.array_equal(again.predict(x), run.predict(x))
    right = float(
        (run.predict(data.test.inputs.numpy()).astype(str) == np.array(data.target.names)[data.test.targets]).mean()
    )
    assert right == pytest.approx(run.test["accuracy"])


@pytest.mark.slow
def test_features_go_on_after_an_interruption(base: Run, tmp_path: Path) -> None:
    settings = {**QUICK, "weights": str(base.directory), "transfer": "features"}
    whole = cr.fit(digits(5, 9), out=tmp_path / "whole", **settings)
    job = iter(api.begin(digits(5, 9), out=tmp_path / "cut", **settings))
    for event in job:
        if type(event).__name__ == "Epoch":
            break
    job.close()
    resumed = cr.resume(tmp_path / "cut", source=digits(5, 9))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor)


def test_a_module_from_python_is_transferred(base: Run, tmp_path: Path) -> None:
    network = base.model[1].train()
    settings = {**QUICK, "model": network, "transfer": "head"}
    cr.fit(digits(5, 9), out=tmp_path / "run", **settings)
    assert isinstance(network.bn1, FrozenBatchNorm)
    assert [name for name, p in network.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]


def test_auto_counts_the_samples_a_class() -> None:
    config, classes = configure({"weights": "imagenet"}), Classes(("a", "b"))
    few = choose(config, classes, torch.zeros(2 * FEW - 1), given=False)
    many = choose(config, classes, torch.zeros(2 * FEW), given=False)
    assert (few.mode, many.mode) == ("head", "all")
    assert few.told == (
        "Transfer head, because 99 training samples a class are fewer than 100: all but the head is frozen.",
    )
    assert "100 training samples a class are not fewer than 100: every layer learns" in many.told[0]
    assert choose(config, Labels(("a", "b")), torch.zeros(2 * FEW, 2), given=False).mode == "all"
    assert "99 training samples are fewer" in choose(config, Real(("y",)), torch.zeros(99, 1), given=False).told[0]
    assert choose(configure({}), classes, torch.zeros(9), given=True).mode == "none"


def test_what_does_not_go_together(base: Run, tmp_path: Path) -> None:
    place = str(base.directory)
    with pytest.raises(InputError, match=r"transfer='head' needs a network that has learned already; write --weights"):
        cr.fit(digits(5, 9), transfer="head", out=tmp_path / "run", **QUICK)
    with pytest.raises(UnknownNameError, match="value of transfer named 'heads'; did you mean 'head'"):
        cr.fit(digits(5, 9), weights=place, transfer="heads", out=tmp_path / "run", **QUICK)
    with pytest.raises(InputError, match="weights= is for a network by name"):
        cr.fit(digits(5, 9), weights=place, out=tmp_path / "run", **{**QUICK, "model": nn.Flatten()})
    with pytest.raises(
        InputError, match=r"The weights of the run run are not those of lenet5: they lack .* write the --model"
    ):
        cr.fit(digits(5, 9), weights=place, out=tmp_path / "run", **{**QUICK, "model": "lenet5"})
    with pytest.raises(InputError, match="augment='crop' goes with images, not with features computed once"):
        cr.fit(digits(5, 9), weights=place, transfer="features", augment="crop", out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()
