"""``chainrule fit --model`` with the dotted name of an estimator: from the run to a prediction, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Command, table

OWN = """
from sklearn.base import BaseEstimator, ClassifierMixin

class Majority(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = list(range(int(max(y)) + 1))
        return self

    def predict(self, X):
        return [0] * len(X)
"""
FIT = ("fit", "t.csv", "--target", "species", "--out", "run", "--model")


@pytest.fixture(autouse=True)
def files(place: Path) -> None:
    table().to_csv("t.csv", index=False)
    Path("majority.py").write_text(OWN, encoding="utf-8")


def test_a_run_is_saved_and_predicts_in_a_fresh_process(chainrule: Command) -> None:
    code, out, err = chainrule(*FIT, "sklearn.ensemble.RandomForestClassifier(n_estimators=20)")
    assert (code, err) == (0, "")
    assert "sklearn.ensemble.RandomForestClassifier(n_estimators=20)" in out
    command = [sys.executable, "-W", "error", "-m", "chainrule", "predict", "run", "t.csv"]
    done = subprocess.run([*command, "--out", "p.csv"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (pd.read_csv("p.csv")["predicted"] == table()["species"]).mean() > 0.9


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("sklearn.ensemble.RandomForestClasifier", "did you mean 'RandomForestClassifier'?"),
        ("sklearn.ensembles.RandomForestClassifier", "cannot be imported"),
        ("sklearn.ensemble.RandomForestClassifier(trees=3)", "option of sklearn.ensemble.RandomForestClassifier"),
        ("sklearn.linear_model.Ridge", "is a regressor, but this target is 2 classes; take a classifier."),
        ("sklearn.preprocessing.StandardScaler", "no classifier and no regressor"),
        ("majority.Majority", "Majority cannot be saved without a pickle, because it holds majority.Majority"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(chainrule: Command, model: str, sentence: str) -> None:
    code, out, err = chainrule(*FIT, model)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert sentence in err
    assert not Path("run").exists()


def test_a_classifier_does_not_learn_real_targets(chainrule: Command) -> None:
    code, _, err = chainrule("fit", "t.csv", "--target", "size", "--model", "sklearn.svm.SVC", "--out", "run")
    assert code == 2
    assert "sklearn.svm.SVC is a classifier, but this target is 1 real number; take a regressor." in err


def test_settings_of_networks_are_refused(chainrule: Command) -> None:
    code, _, err = chainrule(*FIT, "sklearn.svm.SVC", "--epochs", "3")
    assert code == 2
    assert "sklearn.svm.SVC is an estimator and learns all at once, not in a training loop, so epochs has" in err
