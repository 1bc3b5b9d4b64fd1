"""Open-set decisions: rates by hand, thresholds, and any classifier inside."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from chainrule.errors import InputError
from chainrule.estimators.neighbors import KNeighborsClassifier
from chainrule.estimators.open_set import OpenSetClassifier, open_set_curve

KNOWN, UNKNOWN = [0.9, 0.8, 0.4, 0.7], [0.3, 0.5, 0.1, 0.7, 0.2]


def test_rates_by_hand():
    curve = open_set_curve(torch.tensor(KNOWN, dtype=torch.float64), UNKNOWN)
    assert curve.rates(0.45) == (2 / 5, 1 / 4)
    assert curve.rates(0.7) == (0, 2 / 4)
    assert curve.auc == pytest.approx((5 + 5 + 3 + 4.5) / 20)
    assert curve.auc == roc_auc_score([1] * 4 + [0] * 5, KNOWN + UNKNOWN)
    assert (curve.fpr[0], curve.fnr[0], curve.fpr[-1], curve.fnr[-1]) == (0, 1, 1, 0)
    for threshold, fpr, fnr in zip(curve.thresholds, curve.fpr, curve.fnr, strict=True):
        assert curve.rates(np.nextafter(threshold, -np.inf)) == pytest.approx((fpr, fnr))


@pytest.mark.parametrize("wished", [0, 0.1, 0.2, 0.39, 0.4, 0.99, 1])
def test_threshold_for_a_rate(wished):
    curve = open_set_curve(KNOWN, UNKNOWN)
    threshold = curve.threshold_for(wished)
    assert curve.rates(threshold)[0] <= wished
    lower = np.nextafter(threshold, -np.inf)
    assert wished == 1 or curve.rates(lower)[0] > wished


def test_ties_among_the_unknown_stay_below_the_rate():
    assert open_set_curve([1.0], [0.5] * 9 + [0.1]).threshold_for(0.5) == 0.5


def blobs():
    generator = np.random.default_rng(0)
    centres = np.array([[0, 0], [6, 0], [0, 6]])
    X = np.concatenate([centre + generator.normal(size=(60, 2)) for centre in centres])
    return X, np.repeat([3, 5, 8], 60), generator.normal(size=(60, 2)) + 3


@pytest.mark.parametrize("inner", [LogisticRegression(), KNeighborsClassifier(n_neighbors=9), LinearSVC()])
def test_unknown_samples_are_rejected_at_the_wished_rate(inner):
    X, y, strange = blobs()
    model = OpenSetClassifier(inner).fit(X, y)
    curve = open_set_curve(model.score_samples(X), model.score_samples(strange))
    model.set_params(threshold=curve.threshold_for(0.1))
    assert (model.predict(strange) != -1).mean() == curve.rates(model.threshold)[0] <= 0.1
    accepted = model.predict(X) != -1
    assert 1 - accepted.mean() == pytest.approx(curve.rates(model.threshold)[1])
    np.testing.assert_array_equal(model.predict(X)[accepted], model.estimator_.predict(X)[accepted])
    assert hasattr(model, "predict_proba") == hasattr(inner, "predict_proba")


def test_two_classes_by_the_size_of_the_decision_function():
    X, y, _ = blobs()
    model = OpenSetClassifier(LinearSVC(), threshold=0.5).fit(X[:120], y[:120])
    margins = model.estimator_.decision_function(X[:120])
    np.testing.assert_array_equal(model.predict(X[:120]), np.where(abs(margins) > 0.5, np.where(margins > 0, 5, 3), -1))


def test_labels_of_unknown_samples():
    X, y, strange = blobs()
    always = {"threshold": 1.0}
    assert set(OpenSetClassifier(LogisticRegression(), **always).fit(X, y - 5).predict(strange)) == {-3}
    assert set(OpenSetClassifier(LogisticRegression(), **always).fit(X, y.astype(str)).predict(strange)) == {"unknown"}
    assert set(OpenSetClassifier(LogisticRegression(), reject=99, **always).fit(X, y).predict(strange)) == {99}
    with pytest.raises(InputError, match="reject=5 is one of the classes"):
        OpenSetClassifier(LogisticRegression(), reject=5).fit(X, y)


def test_tensors():
    X, y, strange = (torch.from_numpy(part) for part in blobs())
    model = OpenSetClassifier(KNeighborsClassifier(n_neighbors=9), threshold=0.99).fit(X, y)
    found = model.predict(torch.cat([X, strange]))
    assert isinstance(found, torch.Tensor)
    again = OpenSetClassifier(KNeighborsClassifier(n_neighbors=9), threshold=0.99).fit(X.numpy(), y.numpy())
    np.testing.assert_array_equal(found, again.predict(np.concatenate([X, strange])))
    assert (found == -1).any()


def test_weights_reach_the_classifier():
    X, y, _ = blobs()
    weight = np.linspace(0.1, 2, len(X))
    model = OpenSetClassifier(LogisticRegression()).fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(model.estimator_.coef_, LogisticRegression().fit(X, y, sample_weight=weight).coef_)


def test_what_is_refused():
    with pytest.raises(InputError, match=r"scores \[n\] of unknown samples"):
        open_set_curve(KNOWN, [])
    with pytest.raises(InputError, match=r"scores \[n\] of known samples"):
        open_set_curve([0.1, np.nan], UNKNOWN)
    with pytest.raises(InputError, match="lies between 0 and 1"):
        open_set_curve(KNOWN, UNKNOWN).threshold_for(1.5)
