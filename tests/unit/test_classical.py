"""Estimators as models of ``fit``: the way there and back, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

import chainrule as cr
from chainrule import models, registry
from chainrule.data.spec import Classes, Labels, Real, Vector
from chainrule.errors import InputError, UnknownNameError
from chainrule.models import assembly
from chainrule.models.classical import Classical
from chainrule.nn.affine import Affine
from chainrule.training.events import Epoch, Fitted

IRIS = Classes(("setosa", "versicolor", "virginica"))
FOUR = Vector.numbers(4)


def learned(call: str = "naive-bayes", kind: type = Classes) -> tuple[Classical, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=draw)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long() if kind is Classes else x[:, :1] * 30 + 100
    target = IRIS if kind is Classes else Real(("price",))
    network = models.build(call, inputs=FOUR, target=target)
    assert isinstance(network, Classical)
    units = Affine([100.0], [30.0]) if kind is Real else None
    return network.learn(x, y, units=units), x, y


def test_outputs_are_those_of_a_network() -> None:
    network, x, y = learned()
    outputs = network(x)
    assert outputs.shape == (60, 3)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs.exp().sum(dim=1), torch.ones(60))
    expected = network.estimator.predict_proba(x.double())
    torch.testing.assert_close(outputs.softmax(dim=1), expected.float(), rtol=1e-4, atol=1e-6)
    assert (outputs.argmax(1) == y).float().mean() > 0.8


def test_real_targets_are_learned_standardised() -> None:
    network, x, y = learned("ridge(alpha=1e-9)", Real)
    torch.testing.assert_close(network(x), (y - 100) / 30, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network.estimator.predict(x.double()), network(x)[:, 0].double(), rtol=1e-4, atol=1e-4)


def test_counts_are_learned_as_they_are() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(200, 4, generator=draw)
    y = torch.poisson(torch.exp(1 + 0.5 * x[:, :1]), generator=draw)
    assert (y == 0).any()
    network = models.build("glm(family='poisson')", inputs=FOUR, target=Real(("clicks",)))
    assert isinstance(network, Classical)
    network.learn(x, y, units=Affine([float(y.mean())], [float(y.std())]))
    mean = network.estimator.predict(x.double())
    assert (mean > 0).all()
    torch.testing.assert_close(network(x)[:, 0], ((mean - y.mean()) / y.std()).float(), rtol=1e-4, atol=1e-5)


def test_state_goes_through_state_dict() -> None:
    network, x, _ = learned()
    fresh = models.build("naive-bayes", inputs=FOUR, target=IRIS)
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(fresh(x), network(x))
    assert not list(network.parameters())


def test_follows_a_module_to_a_device() -> None:
    network, x, _ = learned()
    assert network.to("cpu").estimator.theta_.device.type == "cpu"
    assert network.to("meta").estimator.theta_.device.type == "meta"
    assert torch.is_tensor(learned()[0].double()(x))


def test_learning_again_begins_anew() -> None:
    network, x, y = learned()
    first = network.estimator.theta_.clone()
    network.learn(x, y)
    assert torch.equal(network.estimator.theta_, first)


def test_a_class_without_samples_is_refused() -> None:
    network = models.build("naive-bayes", inputs=FOUR, target=IRIS)
    assert isinstance(network, Classical)
    with pytest.raises(InputError, match="samples of 2 of the 3 classes"):
        network.learn(torch.randn(10, 4), torch.arange(10) % 2)


def test_names() -> None:
    assert {"svm", "knn", "lenet5"} <= set(models.names())
    row = models.row("svm(C=10)")
    assert row is not None
    assert row.kind == "classifier"
    with pytest.raises(UnknownNameError, match="did you mean 'svm'"):
        models.row("svn")


def test_wrong_targets_and_options_are_refused() -> None:
    with pytest.raises(InputError, match="ridge learns real numbers, but this target is 3 classes"):
        models.build("ridge", inputs=FOUR, target=IRIS)
    with pytest.raises(InputError, match="svm learns classes or real numbers, but this target is 2 labels"):
        models.build("svm", inputs=FOUR, target=Labels(("a", "b")))
    with pytest.raises(InputError, match="name one column with --target"):
        models.build("svm", inputs=FOUR, target=Real(("a", "b")))
    with pytest.raises(UnknownNameError, match="option of svm named 'c'; did you mean 'C'"):
        models.build("svm(c=10)", inputs=FOUR, target=IRIS)


def test_settings_of_networks_are_refused(tmp_path: Path) -> None:
    for setting in ({"epochs": 3}, {"rate": 0.1}, {"optimizer": "sgd"}, {"loss": "hinge"}, {"weights": "imagenet"}):
        with pytest.raises(InputError, match=rf"svm is an estimator .* so {next(iter(setting))} has no meaning"):
            cr.fit("iris", model="svm", out=tmp_path / "run", **setting)
    assert not (tmp_path / "run").exists()


def test_a_run(tmp_path: Path) -> None:
    run = cr.fit("iris", model="svm(C=10)", out=tmp_path / "run", seed=1)
    assert run.test["accuracy"] >= 0.9
    kinds = [type(event) for event in run.events]
    assert kinds.count(Fitted) == 1
    assert Epoch not in kinds
    fitted = next(event for event in run.events if isinstance(event, Fitted))
    assert fitted.numbers > 0
    assert fitted.train["accuracy"] > 0.9
    again = cr.load_run(run.directory)
    rows = cr.data.load("iris", seed=1).test.inputs
    np.testing.assert_array_equal(again.predict(rows), run.predict(rows))
    np.testing.assert_allclose(again.predict_proba(rows).sum(axis=1), 1, rtol=1e-5)
    page = (run.directory / "report.html").read_text(encoding="utf-8")
    assert "What it learned" in page
    assert "svm(C=10)" in page
    assert "How it learned" not in page


def test_a_run_of_images_and_of_real_targets(tmp_path: Path) -> None:
    assert cr.fit("digits", model="knn", out=tmp_path / "a").test["accuracy"] > 0.96
    assert cr.fit("diabetes", model="ridge", out=tmp_path / "b").test["r2"] > 0.3
    assert cr.fit("linnerud", model="knn", out=tmp_path / "c").test["loss"] > 0


def test_balance_weighs_classes(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    y = (draw.random(600) < 0.1).astype(int)
    x = draw.normal(size=(600, 2)) + y[:, None]
    plain, balanced = (
        cr.fit((x, y), model="logistic", balance=balance, out=tmp_path / str(balance)) for balance in (False, True)
    )
    assert (balanced.predict(x) == 1).sum() > 2 * (plain.predict(x) == 1).sum()
    with pytest.raises(InputError, match="gives all samples the same weight"):
        cr.fit((x, y), model="knn", balance=True, out=tmp_path / "knn")


def test_an_interrupted_fit_begins_again(tmp_path: Path) -> None:
    from chainrule import api

    job = api.begin("iris", model="svm", out=tmp_path / "run")
    stream = iter(job)
    next(stream)
    next(stream)
    stream.close()
    run = cr.resume(tmp_path / "run")
    assert [type(event).__name__ for event in run.events] == ["Loaded", "Built", "Fitted", "Evaluated"]
    with pytest.raises(InputError, match="is finished"):
        cr.resume(tmp_path / "run")


def test_a_saved_model_that_does_not_fit_is_damaged(tmp_path: Path) -> None:
    run = cr.fit("iris", model="naive-bayes", out=tmp_path / "run")
    model, inputs, target = assembly.load(run.directory / "model")
    assert isinstance(model[1], Classical)
    assert (inputs.kind, target.kind) == ("vector", "classes")
    other = cr.fit("iris", model="mlp(width=4)", epochs=1, rate=0.01, out=tmp_path / "other")
    (run.directory / "model" / "weights.safetensors").write_bytes(
        (other.directory / "model" / "weights.safetensors").read_bytes()
    )
    with pytest.raises(InputError, match="does not fit"):
        cr.load_run(run.directory).predict(np.zeros((1, 4)))


def test_every_estimator_of_fit_has_its_kind() -> None:
    for kind in models.ESTIMATORS:
        for name in registry.entries(kind):
            assert models.row(name) is not None


def test_a_transformer_prepares(tmp_path: Path) -> None:
    run = cr.fit("wine", model="naive-bayes", prepare="fisher", out=tmp_path / "wine")
    assert run.test["accuracy"] > 0.9
    rows = cr.data.load("wine").test.inputs
    np.testing.assert_array_equal(cr.load_run(run.directory).predict(rows), run.predict(rows))
    assert "fisher makes 2 features of 13." in (run.directory / "report.html").read_text(encoding="utf-8")
    images = cr.fit("digits", model="lda", prepare="kernel-pca(n_components=30, kernel='rbf')", out=tmp_path / "digits")
    assert images.test["accuracy"] > 0.9
    with pytest.raises(UnknownNameError, match="did you mean 'fisher'"):
        cr.fit("wine", prepare="fischer", out=tmp_path / "none")


@pytest.mark.parametrize(("call", "features"), [("kmeans(n_clusters=9)", 9), ("gaussian-mixture(n_components=3)", 3)])
def test_a_clusterer_prepares(tmp_path: Path, call: str, features: int) -> None:
    run = cr.fit("iris", model="knn", prepare=call, out=tmp_path / "iris")
    assert run.test["accuracy"] > 0.7
    assert cr.fit("iris", model="knn", prepare=call, out=tmp_path / "again").test == run.test
    assert f"{call} makes {features} features of 4." in (run.directory / "report.html").read_text(encoding="utf-8")
    rows = cr.data.load("iris").test.inputs
    np.testing.assert_array_equal(cr.load_run(run.directory).predict(rows), run.predict(rows))
