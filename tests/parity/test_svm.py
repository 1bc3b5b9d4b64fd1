"""Support vector machines against libsvm: same objective, same support vectors up to ties, same decisions."""

import numpy as np
import pytest
import torch
from sklearn import svm
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine, make_classification
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import scale
from sklearn.utils.multiclass import _ovr_decision_function

from chainrule.estimators.kernels import Polynomial
from chainrule.estimators.svm import SVC, SVR


def overlapping(n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    X, y = make_classification(n, 12, n_informative=8, n_classes=classes, flip_y=0.05, class_sep=1.0, random_state=0)
    return scale(X), y


SETS = {
    "iris": load_iris(return_X_y=True),
    "wine": load_wine(return_X_y=True),
    "cancer": load_breast_cancer(return_X_y=True),
    "overlapping": overlapping(900, 2),
    "four": overlapping(300, 4),
}


def expansion_objective(X: np.ndarray, y: np.ndarray, model: svm.SVC, gram: np.ndarray) -> float:
    """Dual objective of a fitted binary machine of libsvm."""
    x = np.zeros(len(X))
    x[model.support_] = model.dual_coef_[0]
    return float(np.abs(x).sum() - 0.5 * x @ gram @ x)


@pytest.mark.parametrize(
    ("name", "kernel", "C"),
    [
        ("iris", "linear", 1.0),
        ("iris", "rbf", 30.0),
        ("wine", "poly", 0.1),
        ("wine", "linear", 30.0),
        ("wine", "rbf", 1.0),
        ("cancer", "linear", 1.0),
        ("cancer", "poly", 30.0),
        ("cancer", "rbf", 0.1),
        ("overlapping", "rbf", 1.0),
        ("overlapping", "linear", 0.1),
        ("four", "rbf", 1.0),
        ("four", "poly", 1.0),
    ],
)
def test_classification(name: str, kernel: str, C: float) -> None:
    X, y = SETS[name]
    X = scale(X)
    ours = SVC(kernel=kernel, C=C, decision_function_shape="ovo").fit(X, y)
    peer = svm.SVC(kernel=kernel, C=C, decision_function_shape="ovo", tol=1e-5).fit(X, y)
    ours_f, peer_f = ours.decision_function(X), peer.decision_function(X)
    np.testing.assert_allclose(ours_f, peer_f, atol=3e-3 * max(1, np.abs(peer_f).max()))
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, atol=5e-3)
    differ = set(ours.support_.tolist()) ^ set(peer.support_.tolist())
    assert len(differ) <= 0.01 * len(peer.support_) + 1
    if kernel == "linear":
        np.testing.assert_allclose(ours.coef_, peer.coef_, atol=5e-3)


@pytest.mark.parametrize(("name", "C"), [("cancer", 0.1), ("cancer", 100.0), ("overlapping", 1.0)])
def test_dual_objective(name: str, C: float) -> None:
    X, y = SETS[name]
    X = scale(X)
    ours, peer = SVC(C=C).fit(X, y), svm.SVC(C=C).fit(X, y)
    gram = rbf_kernel(X, gamma=1 / (X.shape[1] * X.var()))
    assert ours.dual_objective_.item() == pytest.approx(expansion_objective(X, y, peer, gram), rel=1e-4)


def test_same_order_of_coefficients() -> None:
    X, y = SETS["wine"]
    X = scale(X)
    ours, peer = SVC().fit(X, y), svm.SVC(tol=1e-6).fit(X, y)
    assert ours.support_.tolist() == peer.support_.tolist()
    assert ours.n_support_.tolist() == peer.n_support_.tolist()
    np.testing.assert_allclose(ours.dual_coef_, peer.dual_coef_, atol=2e-3)
    np.testing.assert_allclose(ours.support_vectors_, peer.support_vectors_)


def test_votes() -> None:
    X, y = SETS["four"]
    ours, peer = SVC().fit(X, y), svm.SVC(break_ties=True).fit(X, y)
    pairs = SVC(decision_function_shape="ovo").fit(X, y).decision_function(X)
    np.testing.assert_allclose(ours.decision_function(X), _ovr_decision_function(pairs < 0, -pairs, 4))
    assert (ours.predict(X) == peer.predict(X)).mean() > 0.998


@pytest.mark.parametrize("balanced", [None, "balanced", {0: 1.0, 1: 5.0, 2: 0.5}])
def test_weights(balanced: object) -> None:
    X, y = SETS["iris"]
    weight = np.random.default_rng(0).random(len(y))
    ours = SVC(class_weight=balanced, gamma=0.3, decision_function_shape="ovo").fit(X, y, weight)
    peer = svm.SVC(class_weight=balanced, gamma=0.3, decision_function_shape="ovo", tol=1e-6).fit(X, y, weight)
    np.testing.assert_allclose(ours.decision_function(X), peer.decision_function(X), atol=2e-3)


def test_other_ways_to_state_a_kernel() -> None:
    X, y = SETS["iris"]
    peer = svm.SVC(kernel="poly", degree=2, coef0=1.0, gamma=0.1, tol=1e-6, decision_function_shape="ovo").fit(X, y)
    part = Polynomial(degree=2, coef0=1.0, gamma=0.1)

    def own(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (0.1 * a @ b.mT + 1) ** 2

    for kernel in (part, own, "poly(degree=2, coef0=1.0, gamma=0.1)"):
        model = SVC(kernel=kernel, decision_function_shape="ovo").fit(X, y)
        np.testing.assert_allclose(model.decision_function(X), peer.decision_function(X), atol=2e-3)
    table = own(torch.from_numpy(X), torch.from_numpy(X)).numpy()
    model = SVC(kernel="precomputed", decision_function_shape="ovo").fit(table, y)
    np.testing.assert_allclose(model.decision_function(table), peer.decision_function(X), atol=2e-3)


def test_single_precision_and_a_small_memory() -> None:
    X, y = SETS["overlapping"]
    peer = svm.SVC(tol=1e-6).fit(X, y)
    for model, samples in ((SVC(), X.astype(np.float32)), (SVC(memory=13), X)):
        np.testing.assert_allclose(
            model.fit(samples, y).decision_function(samples), peer.decision_function(X), atol=3e-3
        )


def test_a_sigmoid_kernel_stops_at_a_stationary_point() -> None:
    X, y = SETS["iris"]
    model = SVC(kernel="sigmoid", gamma=0.1).fit(scale(X), y)
    assert model.kkt_violation_.max() <= 1e-3
    peer = svm.SVC(kernel="sigmoid", gamma=0.1).fit(scale(X), y)
    assert (model.predict(scale(X)) == peer.predict(scale(X))).mean() > 0.98


@pytest.mark.parametrize(
    ("kernel", "C", "epsilon"), [("linear", 0.1, 0.0), ("rbf", 1.0, 0.1), ("poly", 10.0, 0.5), ("rbf", 10.0, 0.0)]
)
def test_regression(kernel: str, C: float, epsilon: float) -> None:
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X[:200]), scale(y[:200])
    ours = SVR(kernel=kernel, C=C, epsilon=epsilon).fit(X, y)
    peer = svm.SVR(kernel=kernel, C=C, epsilon=epsilon, tol=1e-5).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), atol=3e-3)
    gram = torch.from_numpy(
        peer.dual_coef_ @ peer.predict(X)[peer.support_, None] - peer.dual_coef_.sum() * peer.intercept_
    )
    dual = peer.dual_coef_ @ y[peer.support_] - epsilon * np.abs(peer.dual_coef_).sum() - 0.5 * gram.item()
    assert ours.dual_objective_.item() == pytest.approx(dual.item(), rel=1e-4)
    assert 0 <= ours.duality_gap_.item() + 1e-9 < 2e-3 * ours.primal_objective_.item()


def test_regression_with_weights() -> None:
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:200], y[:200]
    weight = np.random.default_rng(0).random(len(y)).round(1)
    ours = SVR(gamma=3.0, C=50.0).fit(X, scale(y), weight)
    peer = svm.SVR(gamma=3.0, C=50.0, tol=1e-6).fit(X, scale(y), weight)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), atol=3e-3)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_probabilities() -> None:
    X, y = SETS["iris"]
    ours = SVC(probability=True).fit(X, y).predict_proba(X)
    peer = svm.SVC(probability=True, random_state=0).fit(X, y).predict_proba(X)
    # The folds differ, so the sigmoids are two estimates of the same.
    assert np.abs(ours - peer).mean() < 0.02
    np.testing.assert_allclose(ours.sum(axis=1), 1)
