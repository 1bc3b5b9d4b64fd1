"""Estimators by their dotted names as models of ``fit``: what scikit-learn gives, and the way to disk and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import scale
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import export_text
from sklearn.utils import all_estimators
from skops import io as skops

import chainrule as cr
from chainrule import models, registry
from chainrule.config import configure
from chainrule.data.spec import Classes, Labels, Real, Vector
from chainrule.errors import InputError, UnknownNameError
from chainrule.models import foreign
from chainrule.models.classical import Classical
from chainrule.models.foreign import Foreign
from chainrule.nn.affine import Affine
from chainrule.run import Run
from chainrule.training.events import Epoch, Fitted
from chainrule.training.machine import Machine
from chainrule.training.plan import Plan

FOUR, IRIS = Vector.numbers(4), Classes(("a", "b", "c"))
X, Y = scale(load_iris().data), load_iris().target
ROWS, CODES = torch.tensor(X), torch.tensor(Y)
SEED = 3


class Loose(LogisticRegression):
    """Its signature does not name its options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return LogisticRegression._get_param_names()


def learned(call: str, target: Any = IRIS, y: Any = CODES, **options: Any) -> Foreign:
    network = models.build(call, inputs=FOUR, target=target)
    assert isinstance(network, Foreign)
    network.learn(ROWS, y, **options)
    return network


def prepared(run: Run, data: str) -> tuple[np.ndarray, ...]:
    """The training and test split of a run as its model got them."""
    splits = cr.data.load(data, seed=SEED)
    parts = (splits.train, splits.test)
    return tuple(run.model[0](part.inputs).flatten(1).double().numpy() for part in parts) + tuple(
        part.targets.numpy() for part in parts
    )


@pytest.mark.parametrize(
    ("call", "peer"),
    [
        ("sklearn.svm.SVC", CalibratedClassifierCV(SVC(), ensemble=False)),
        ("sklearn.svm.LinearSVC", LinearSVC(random_state=SEED)),
        ("sklearn.ensemble.RandomForestClassifier(n_estimators=30)", RandomForestClassifier(30, random_state=SEED)),
        (
            "sklearn.ensemble.RandomForestClassifier(n_estimators=30, random_state=8)",
            RandomForestClassifier(30, random_state=8),
        ),
        ("sklearn.ensemble.HistGradientBoostingClassifier(max_iter=10)", HistGradientBoostingClassifier(max_iter=10)),
        ("sklearn.neighbors.KNeighborsClassifier", KNeighborsClassifier()),
    ],
)
def test_classifiers_are_scikit_learns(tmp_path: Path, call: str, peer: Any) -> None:
    run = cr.fit("wine", model=call, out=tmp_path / "run", seed=SEED)
    train, test, y, truth = prepared(run, "wine")
    expected = peer.fit(train, y)
    assert run.test["accuracy"] == pytest.approx(expected.score(test, truth), abs=1e-6)
    outputs = run.predict_proba(cr.data.load("wine", seed=SEED).test.inputs)
    if hasattr(peer, "predict_proba"):
        np.testing.assert_allclose(outputs, expected.predict_proba(test), rtol=1e-4, atol=1e-5)
    assert (outputs.argmax(axis=1) == expected.predict(test)).all()
    kinds = [type(event) for event in run.events]
    assert Fitted in kinds
    assert Epoch not in kinds


@pytest.mark.parametrize(
    ("call", "peer"),
    [
        ("sklearn.linear_model.Ridge(alpha=2.0)", Ridge(2.0)),
        ("sklearn.neighbors.KNeighborsRegressor", KNeighborsRegressor()),
    ],
)
@pytest.mark.parametrize("data", ["diabetes", "linnerud"])
def test_regressors_are_scikit_learns(tmp_path: Path, call: str, peer: Any, data: str) -> None:
    run = cr.fit(data, model=call, out=tmp_path / "run", seed=SEED)
    train, test, y, _ = prepared(run, data)
    expected = peer.fit(train, y).predict(test).reshape(len(test), -1)
    answer = run.predict(cr.data.load(data, seed=SEED).test.inputs).reshape(len(test), -1)
    np.testing.assert_allclose(answer, expected, rtol=1e-3)


def test_a_saved_run_predicts_the_same(tmp_path: Path) -> None:
    run = cr.fit("iris", model="sklearn.ensemble.GradientBoostingClassifier(n_estimators=5)", out=tmp_path / "run")
    loaded = cr.load_run(run.directory)
    assert isinstance(loaded.model[1], Foreign)
    np.testing.assert_array_equal(loaded.predict_proba(X), run.predict_proba(X))
    assert "GradientBoostingClassifier" in (run.directory / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_estimator_of_scikit_learn_survives_the_disk() -> None:
    seen = 0
    for name, build in all_estimators(type_filter=["classifier", "regressor"]):
        try:
            estimator = build()
            estimator.fit(X[::2], Y[::2] if is_classifier(estimator) else np.exp(X[::2, 3]))
        except (AttributeError, TypeError, ValueError):
            continue  # it wants other options, or other targets
        loaded = foreign.unpacked(foreign.packed(estimator))
        np.testing.assert_array_equal(loaded.predict(X[::2]), estimator.predict(X[::2]), err_msg=name)
        seen += 1
    assert seen > 70


def test_outputs_of_classes() -> None:
    chances = learned("sklearn.naive_bayes.GaussianNB")
    assert chances(ROWS).dtype == torch.float32
    torch.testing.assert_close(chances(ROWS).exp().sum(dim=1), torch.ones(150))
    # Scores of three pairs are not those of three classes.
    pairs = learned("sklearn.svm.NuSVC(decision_function_shape='ovo')")
    pairs.calibrated = False
    pairs.estimator = pairs.estimator.estimator
    pairs.learn(ROWS, CODES)
    np.testing.assert_array_equal(pairs(ROWS).argmax(dim=1), pairs.estimator.predict(X))
    two = learned("sklearn.linear_model.RidgeClassifier", Classes(("a", "b")), (CODES > 0).long())
    scores = RidgeClassifier().fit(X, Y > 0).decision_function(X)
    np.testing.assert_allclose(two(ROWS), np.stack([0 * scores, scores], axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["ensemble.RandomForestClassifier", "neighbors.KNeighborsClassifier"])
def test_outputs_of_labels(name: str) -> None:
    y = torch.stack([CODES > 0, CODES > 1, CODES > 5], dim=1).float()
    network = learned(f"sklearn.{name}", Labels(("a", "b", "never")), y)
    chances = network(ROWS).sigmoid()
    expected = [p[:, 1] if p.shape[1] == 2 else 0 * p[:, 0] for p in network.estimator.predict_proba(X)]
    np.testing.assert_allclose(chances, np.stack(expected, axis=1), atol=1e-6)
    single = learned(f"sklearn.{name}", Labels(("a",)), y[:, :1])
    np.testing.assert_allclose(single(ROWS).sigmoid()[:, 0], single.estimator.predict_proba(X)[:, 1], atol=1e-6)


def test_outputs_of_labels_without_probabilities() -> None:
    y = torch.stack([CODES > 0, CODES > 1], dim=1).float()
    network = learned("sklearn.linear_model.RidgeClassifier", Labels(("a", "b")), y)
    np.testing.assert_allclose(network(ROWS), network.estimator.decision_function(X), rtol=1e-5, atol=1e-6)


def test_labels_through_fit(tmp_path: Path) -> None:
    y = np.stack([Y > 0, Y > 1], axis=1).astype(int)
    run = cr.fit((X, y), model="sklearn.tree.DecisionTreeClassifier(max_depth=3)", out=tmp_path / "run")
    assert run.predict(X).shape == y.shape
    assert (run.predict(X) == y).mean() > 0.95
    with pytest.raises(InputError, match="weighs samples, not single labels"):
        cr.fit((X, y), model="sklearn.tree.DecisionTreeClassifier", balance=True, out=tmp_path / "balanced")


def test_calibration_needs_two_rows_of_a_class() -> None:
    rows = torch.cat([ROWS[:12], ROWS[60:72], ROWS[149:]])
    network = models.build("sklearn.svm.SVC", inputs=FOUR, target=IRIS)
    network.learn(rows, torch.tensor([0] * 12 + [1] * 12 + [2]))
    assert type(network.estimator) is SVC
    assert network(rows).shape == (25, 3)
    assert type(learned("sklearn.svm.SVC").estimator) is CalibratedClassifierCV
    # Learning again calibrates once.
    again = learned("sklearn.svm.SVC").learn(ROWS, CODES)
    assert type(again.estimator.estimator) is SVC


def test_positive_targets_are_learned_as_they_are() -> None:
    counts = torch.poisson(torch.exp(ROWS[:, :1]), generator=torch.Generator().manual_seed(0))
    units = Affine([float(counts.mean())], [float(counts.std())])
    network = learned("sklearn.linear_model.PoissonRegressor", Real(("clicks",)), counts, units=units)
    expected = PoissonRegressor().fit(X, counts[:, 0]).predict(X)
    np.testing.assert_allclose(units(network(ROWS))[:, 0], expected, rtol=1e-5)


def test_seed() -> None:
    assert learned("sklearn.tree.DecisionTreeClassifier", seed=5).estimator.random_state == 5
    assert learned("sklearn.tree.DecisionTreeClassifier(random_state=1)", seed=5).estimator.random_state == 1
    assert learned("sklearn.naive_bayes.GaussianNB", seed=5).estimator.get_params().keys() >= {"priors"}


def test_balance_weighs_classes() -> None:
    weight = 1.0 + CODES.double()
    network = learned("sklearn.linear_model.LogisticRegression", weight=weight)
    peer = LogisticRegression().fit(X, Y, sample_weight=weight.numpy())
    np.testing.assert_allclose(network.estimator.coef_, peer.coef_)
    with pytest.raises(InputError, match="KNeighborsClassifier gives all samples the same weight"):
        learned("sklearn.neighbors.KNeighborsClassifier", weight=weight)


def test_what_it_says_of_itself() -> None:
    network = learned("sklearn.linear_model.LogisticRegression")
    said = network.learned()
    assert set(said) == {"intercept", "n_iter"}
    assert said["intercept"] == network.estimator.intercept_.tolist()
    assert network.numbers() == 3 * 4 + 3 + 3 + 1  # coefficients, intercepts, classes, iterations


def test_state_goes_through_state_dict() -> None:
    network = learned("sklearn.ensemble.ExtraTreesClassifier(n_estimators=5)")
    state = network.state_dict()
    assert state["_extra_state"]["skops"].dtype == torch.uint8
    fresh = models.build("sklearn.ensemble.ExtraTreesClassifier(n_estimators=5)", inputs=FOUR, target=IRIS)
    fresh.load_state_dict(state)
    assert torch.equal(fresh(ROWS), network(ROWS))
    assert not list(network.to("cpu").parameters())
    own = models.build("naive-bayes", inputs=FOUR, target=IRIS)
    with pytest.raises(InputError, match="not those of ExtraTreesClassifier"):
        fresh.load_state_dict(own.state_dict())


def test_rows() -> None:
    row = models.row("sklearn.svm.SVC(C=10)")
    assert row is not None
    assert (row.kind, row.name, row.build) == ("classifier", "sklearn.svm.SVC", SVC)
    assert models.row("sklearn.linear_model.Ridge").kind == "regressor"
    assert models.row("chainrule.estimators.SVC") is models.row("svm")
    assert isinstance(models.build("chainrule.estimators.SVC(C=2.0)", inputs=FOUR, target=IRIS), Classical)
    assert not any("." in name and name.startswith("sklearn") for name in models.names())


def test_it_is_not_trained_step_by_step() -> None:
    config = configure({"model": "sklearn.svm.SVC"})
    machine = Machine(device="cpu")
    data = cr.data.load("iris")
    assert not Plan.build(config, data, call="sklearn.svm.SVC", network=None, machine=machine).trains


def test_options_that_a_signature_does_not_name() -> None:
    call = registry.parse("tests.unit.test_foreign.Loose(C=3.0)")
    assert foreign.made(Loose, call).C == 3.0
    with pytest.raises(UnknownNameError, match="did you mean 'C'"):
        foreign.made(Loose, registry.parse("tests.unit.test_foreign.Loose(c=3.0)"))


@pytest.mark.parametrize(
    ("call", "target", "sentence"),
    [
        ("sklearn.svm.SVR", IRIS, "is a regressor, but this target is 3 classes; take a classifier"),
        ("sklearn.svm.SVC", Real(("price",)), "is a classifier, but this target is 1 real number; take a regressor"),
        ("chainrule.estimators.SVC", Real(("price",)), "is a classifier, but this target is 1 real number"),
        ("sklearn.svm.SVR", Real(("a", "b")), "learns one real number, but this target is 2 real numbers"),
        ("sklearn.svm.SVC", Labels(("a", "b")), "learns one class out of several, but this target is 2 labels"),
        ("sklearn.svm.SVC(c=1)", IRIS, "did you mean 'C'"),
        ("sklearn.svm.SVCC", IRIS, "no class of sklearn.svm named 'SVCC'; did you mean 'SVC'"),
        ("sklearn.swm.SVC", IRIS, "'sklearn.swm.SVC' cannot be imported"),
        (".SVC", IRIS, "cannot be imported"),
        ("sklearn.cluster.KMeans", IRIS, "no classifier and no regressor"),
        ("torch.nn.Linear", IRIS, "no classifier and no regressor"),
        ("math.pi", IRIS, "no classifier and no regressor"),
        ("sklearn.ensemble.VotingClassifier", IRIS, "does not work without 'estimators'"),
        ("tests.unit.test_foreign.Loose", IRIS, "Loose cannot be saved without a pickle.* skops does not trust"),
    ],
)
def test_what_cannot_be_is_refused(call: str, target: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        models.build(call, inputs=FOUR, target=target)


def test_what_an_estimator_refuses_is_said() -> None:
    with pytest.raises(InputError, match="LogisticRegression cannot learn from this data: The 'C' parameter"):
        learned("sklearn.linear_model.LogisticRegression(C=-1.0)")


def test_only_trusted_types_are_loaded() -> None:
    for strange in (export_text, torch.nn.Linear):
        with pytest.raises(InputError, match="DummyClassifier cannot be saved without a pickle"):
            foreign.packed(DummyClassifier(constant=strange))
    data = skops.dumps({"estimator": export_text})
    with pytest.raises(InputError, match=r"cannot be read.*export_text"):
        foreign.unpacked(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    with pytest.raises(InputError, match="cannot be read"):
        foreign.unpacked(torch.zeros(100, dtype=torch.uint8))
