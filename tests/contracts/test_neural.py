"""Networks as scikit-learn estimators: scikit-learn's own checks, its tools, and ``fit`` behind them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

import chainrule as cr
from chainrule import seeding
from chainrule.data.sources.memory import in_memory
from chainrule.data.spec import Classes, Image
from chainrule.data.splits import split
from chainrule.errors import InputError, UnknownNameError

SMALL: dict[str, Any] = {"model": "mlp(width=32)", "epochs": 3, "rate": 0.05, "random_state": 0}
IRIS, SPECIES = load_iris(return_X_y=True)


def classifier(**options: Any) -> cr.NeuralClassifier:
    return cr.NeuralClassifier(**{**SMALL, **options})


def regressor(**options: Any) -> cr.NeuralRegressor:
    return cr.NeuralRegressor(**{**SMALL, **options})


@parametrize_with_checks([classifier(), regressor()])
def test_scikit_learns_contract(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)


def test_is_fit_bit_for_bit(tmp_path: Path) -> None:
    x, y = load_digits(return_X_y=True)
    images, targets = torch.tensor(x[:700]).float().reshape(-1, 1, 8, 8), torch.tensor(y[:700])
    x, y, rest = x[:400], y[:400], np.arange(400, 700)
    parts = split(400, fractions=(0.85, 0.15), seed=3, strata=y)
    specs = (Image(1, 8, 8, white=16.0), Classes(tuple("0123456789")))
    data = in_memory(images, targets, (*parts, rest), name="digits", specs=specs)
    settings: dict[str, Any] = {"model": "mlp(width=32)", "epochs": 2, "batch": 32, "weight_decay": 0.1}
    run = cr.fit(data, seed=3, schedule="constant", out=tmp_path / "run", **settings)
    shape = {"shape": (1, 8, 8), "random_state": 3, "settings": {"schedule": "constant"}}
    estimator = cr.NeuralClassifier(**settings, **shape).fit(x, y)
    ours, theirs = estimator.model_.state_dict(), run.model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    np.testing.assert_array_equal(estimator.predict_proba(images[rest].numpy()), run.predict_proba(images[rest]))


def test_leaves_the_program_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    state, threads, gradients = str(seeding.state()), torch.get_num_threads(), torch.is_grad_enabled()
    classifier(rate="auto").fit(IRIS, SPECIES).predict(IRIS)
    assert str(seeding.state()) == state
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, gradients)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_search_over_a_pipeline_in_two_processes() -> None:
    pipeline = make_pipeline(StandardScaler(), classifier())
    grid = {"neuralclassifier__rate": np.array([1e-6, 0.05]), "neuralclassifier__epochs": np.array([8])}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2, error_score="raise").fit(IRIS, SPECIES)
    assert search.best_params_["neuralclassifier__rate"] == 0.05
    assert search.score(IRIS, SPECIES) > 0.9


def test_scores_and_calibration() -> None:
    assert cross_val_score(classifier(epochs=8), IRIS, SPECIES, cv=3).mean() > 0.9
    x, y = load_diabetes(return_X_y=True)
    assert cross_val_score(regressor(rate=0.005, epochs=8), x, y, cv=3).mean() > 0.3
    calibrated = CalibratedClassifierCV(classifier(epochs=8), cv=2).fit(IRIS, SPECIES)
    np.testing.assert_allclose(calibrated.predict_proba(IRIS).sum(axis=1), 1, rtol=1e-6)
    assert calibrated.score(IRIS, SPECIES) > 0.9


def test_a_module_is_copied() -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    before = [parameter.clone() for parameter in network.parameters()]
    estimator = classifier(model=network)
    copied = clone(estimator)
    assert copied.model is not network
    first = estimator.fit(IRIS, SPECIES).predict_proba(IRIS)
    assert all(map(torch.equal, network.parameters(), before))
    np.testing.assert_array_equal(copied.fit(IRIS, SPECIES).predict_proba(IRIS), first)
    # A second fit begins where the first one did.
    np.testing.assert_array_equal(estimator.fit(IRIS, SPECIES).predict_proba(IRIS), first)


def test_the_best_epoch_stays() -> None:
    estimator = regressor(rate=0.01, epochs=6).fit(*load_diabetes(return_X_y=True))
    losses = [row["valid"]["loss"] for row in estimator.history_]
    assert len(losses) == estimator.n_iter_ == 6
    assert estimator.best_epoch_ == 1 + int(np.argmin(losses))
    assert estimator.rate_ == 0.01
    impatient = regressor(rate=1.0, epochs=50, settings={"patience": 2}).fit(*load_diabetes(return_X_y=True))
    assert impatient.n_iter_ == impatient.best_epoch_ + 2 < 50


def test_without_validation_every_row_is_learned_and_the_last_epoch_stays() -> None:
    rows = np.arange(8.0).reshape(4, 2)
    targets = np.array([1.0, 2.0, 3.0, 4.0])
    settings = {"schedule": "constant"}
    whole = regressor(validation=None, epochs=40, settings=settings).fit(rows, targets)
    assert whole.best_epoch_ == whole.n_iter_ == 40
    assert whole.model_[2].shift.tolist() == [2.5]
    assert regressor(validation=0.5, settings=settings).fit(rows, targets).model_[2].shift.tolist() != [2.5]


def test_random_state() -> None:
    first, second = (classifier().fit(IRIS, SPECIES).predict_proba(IRIS) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    drawn = [classifier(random_state=None).fit(IRIS, SPECIES).predict_proba(IRIS) for _ in range(2)]
    assert (drawn[0] != drawn[1]).any()
    again = [classifier(random_state=np.random.RandomState(1)).fit(IRIS, SPECIES).predict_proba(IRIS) for _ in range(2)]
    np.testing.assert_array_equal(again[0], again[1])


def test_tables() -> None:
    draw = np.random.default_rng(0)
    kind = draw.integers(0, 3, 120)
    frame = pd.DataFrame(
        {
            "size": draw.normal(size=120) + kind,
            "site": pd.Categorical(np.array(["north", "south", "west"])[kind]),
            "note": np.array(["a", "b"])[draw.integers(0, 2, 120)],
            "same": "x",
        }
    )
    frame.loc[3, "size"] = np.nan
    frame.loc[4, "site"] = None
    names = np.array(["ant", "bee", "cat"])[kind]
    estimator = classifier(epochs=10).fit(frame, names)
    assert estimator.score(frame, names) > 0.95
    assert estimator.feature_names_in_.tolist() == ["size", "site", "note", "same"]
    assert estimator.inputs_.names == ("size", "site", "note")
    new = frame.head(3).assign(site="east")
    np.testing.assert_allclose(estimator.predict_proba(new).sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[["site", "size", "note", "same"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(estimator.predict(frame.to_numpy()), estimator.predict(frame))
    numbered = frame.set_axis(range(4), axis=1)
    np.testing.assert_array_equal(
        classifier(epochs=10).fit(numbered, names).predict(numbered), estimator.predict(frame)
    )


def test_missing_numbers() -> None:
    rows = IRIS.copy()
    rows[::7, 2] = np.nan
    estimator = classifier(epochs=8).fit(rows, SPECIES)
    assert estimator.score(rows, SPECIES) > 0.8
    with pytest.raises(ValueError, match="infinity"):
        estimator.predict(np.full((1, 4), np.inf))


def test_tensors_in_tensors_out() -> None:
    rows, classes = torch.tensor(IRIS), torch.tensor(SPECIES)
    estimator = classifier().fit(rows, classes)
    answer, probabilities = estimator.predict(rows), estimator.predict_proba(rows)
    assert answer.dtype == classes.dtype
    np.testing.assert_array_equal(probabilities.numpy(), classifier().fit(IRIS, SPECIES).predict_proba(IRIS))
    assert torch.is_tensor(regressor().fit(rows, rows[:, 0]).predict(rows))


def test_images() -> None:
    x, y = load_digits(return_X_y=True)
    options = {"model": "lenet5", "shape": (1, 8, 8), "rate": 0.005, "epochs": 1}
    flat = classifier(**options).fit(x[:200], y[:200])
    images = classifier(**options).fit(x[:200].reshape(-1, 1, 8, 8), y[:200])
    np.testing.assert_array_equal(flat.predict_proba(x), images.predict_proba(x.reshape(-1, 1, 8, 8)))
    assert flat.inputs_ == Image(1, 8, 8, white=16.0)
    with pytest.raises(ValueError, match="NaN"):
        flat.predict(np.full((1, 64), np.nan))


def test_several_targets() -> None:
    x, y = load_diabetes(return_X_y=True)
    both = np.stack([y, -2 * y + 5], axis=1)
    estimator = regressor(epochs=10, rate=0.01).fit(x, both)
    answer = estimator.predict(x)
    assert answer.shape == both.shape
    assert estimator.score(x, both) > 0.4
    assert regressor().fit(x, y[:, None]).predict(x).shape == y.shape


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": "mlq"}, "did you mean 'mlp'"),
        ({"model": "svm"}, "needs no NeuralClassifier; take SVC as it is"),
        ({"model": "sklearn.svm.SVR"}, "needs no NeuralClassifier; take SVR as it is"),
        ({"model": nn.Linear(5, 3)}, "cannot take 4 columns"),
        ({"epochs": 0}, "epochs must be greater than 0"),
        ({"rate": -1}, "rate must be a number greater than 0"),
        ({"validation": 1.5}, "validation must be a share between 0 and 1, or None; received 1.5"),
        ({"shape": (1, 8, 8)}, r"shape must be \(channels, height, width\) with 4 numbers"),
        ({"shape": (2, 2)}, r"shape must be .* received \(2, 2\)"),
        ({"settings": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"settings": {"epochs": 3}}, "'epochs', which is an option itself; write epochs="),
        ({"settings": {"seed": 3}}, "write random_state="),
        ({"settings": {"group": "a"}}, "'group', which says how data is loaded"),
        ({"settings": {"patience": 3}, "validation": None}, "patience needs rows to choose by"),
        ({"settings": {"monitor": "acc"}}, "did you mean 'accuracy'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        classifier(**options).fit(IRIS, SPECIES)


def test_wrong_samples_are_refused() -> None:
    with pytest.raises(InputError, match="one class: 1"):
        classifier().fit(IRIS, np.ones(150))
    with pytest.raises(InputError, match=r"at least 4 rows; 3 sample\(s\) came"):
        regressor().fit(IRIS[:3], IRIS[:3, 0])
    with pytest.raises(InputError, match="'a' more than once"):
        classifier().fit(pd.DataFrame(IRIS, columns=list("aabc")), SPECIES)
    with pytest.raises(UnknownNameError, match="did you mean 'sgd'"):
        classifier(optimizer="sgdd").fit(IRIS, SPECIES)
