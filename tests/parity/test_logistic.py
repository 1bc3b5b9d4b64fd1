"""Logistic and softmax regression against scikit-learn, and against automatic derivatives."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Peer

from chainrule.errors import InputError
from chainrule.estimators import logistic
from chainrule.estimators.likelihood import Posterior
from chainrule.estimators.logistic import LogisticRegression


def data(classes: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X, y = make_classification(
        n,
        12,
        n_informative=8,
        n_redundant=0,
        n_classes=classes,
        n_clusters_per_class=1,
        flip_y=0.3,
        random_state=classes,
    )
    return X, y, np.random.default_rng(0).uniform(size=n)


PRIORS = {
    "gaussian": ({"prior": "gaussian", "C": 0.7}, {"C": 0.7, "solver": "newton-cg"}),
    "laplace": ({"prior": "laplace", "C": 0.1}, {"C": 0.1, "l1_ratio": 1, "solver": "saga"}),
    "none": ({"prior": "none"}, {"C": np.inf, "solver": "newton-cg"}),
}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_coefficients(prior: str, classes: int, weighted: bool) -> None:
    X, y, weight = data(classes)
    own, theirs = PRIORS[prior]
    weight, balance = (weight, "balanced") if weighted else (None, None)
    ours = LogisticRegression(**own, tol=1e-10, class_weight=balance).fit(X, y, weight)
    peer = Peer(**theirs, tol=1e-10, max_iter=20_000, class_weight=balance, random_state=0).fit(X, y, weight)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-7)
    np.testing.assert_allclose(ours.intercept_.numpy(), peer.intercept_, atol=1e-7)
    if prior == "laplace":
        assert (ours.coef_ == 0).any()
        np.testing.assert_allclose(float(ours.coef_.abs().sum()), np.abs(peer.coef_).sum(), rtol=1e-8)
    if prior != "laplace" or classes < 4:
        # With an even number of classes, many weights have the same probabilities and the same L1 norm.
        np.testing.assert_allclose(ours.coef_.numpy(), peer.coef_, atol=1e-7)
        np.testing.assert_allclose(ours.decision_function(X), peer.decision_function(X), atol=1e-6)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "gradient-ascent"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("intercept", [True, False])
def test_solvers(solver: str, classes: int, intercept: bool) -> None:
    X, y, _ = data(classes)
    ours = LogisticRegression(solver=solver, tol=1e-9, max_iter=2000, fit_intercept=intercept).fit(X, y)
    peer = Peer(solver="newton-cg", tol=1e-10, fit_intercept=intercept).fit(X, y)
    np.testing.assert_allclose(ours.coef_.numpy(), peer.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_.numpy(), peer.intercept_, atol=1e-6)


def test_features_of_unlike_scales() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    ours = LogisticRegression(tol=1e-10).fit(X, y)
    peer = Peer(tol=1e-12, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(ours.coef_.numpy(), peer.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.intercept_.numpy(), peer.intercept_, atol=1e-7)


def test_single_precision_on_the_way_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, weight = data(3)
    X = X + 100
    plain = LogisticRegression(tol=1e-10).fit(X, y, weight)
    monkeypatch.setattr(logistic, "MANY", 1)
    monkeypatch.setattr(logistic, "RENEWED", 4)
    monkeypatch.setattr("chainrule.estimators.likelihood.ROWS", 50)
    rough = LogisticRegression(tol=1e-10).fit(X, y, weight)
    np.testing.assert_allclose(rough.coef_.numpy(), plain.coef_.numpy(), atol=1e-8)
    np.testing.assert_allclose(rough.intercept_.numpy(), plain.intercept_.numpy(), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("intercept", [True, False])
def test_derivatives(classes: int, intercept: bool) -> None:
    """Value, gradient and Hessian products in evened coordinates, against automatic derivatives of the definition."""
    X, codes = torch.randn(30, 4, dtype=torch.float64) + 3, torch.arange(30) % classes
    weight = torch.rand(30, dtype=torch.float64)
    posterior = Posterior(X, codes, weight, classes=classes, intercept=intercept, l2=0.3).evened(full=True)

    def slow(U: torch.Tensor) -> torch.Tensor:
        theta = posterior.coordinates.weights(U)
        scores = X @ theta[:, :4].T + (theta[:, 4] if intercept else 0)
        scores = torch.cat((torch.zeros_like(scores), scores), dim=1) if classes == 2 else scores
        log = scores.log_softmax(dim=1)[torch.arange(30), codes]
        return -(weight * log).sum() / weight.sum() + 0.15 * theta[:, :4].square().sum()

    place = torch.randn_like(posterior.start)
    direction = torch.randn_like(place)
    point = posterior.at(place)
    torch.testing.assert_close(point.value, slow(place))
    torch.testing.assert_close(point.gradient, torch.func.grad(slow)(place))
    bent = torch.func.grad(lambda U: (torch.func.grad(slow)(U) * direction).sum())(place)
    torch.testing.assert_close(posterior.curvature(place)(direction), bent)
    torch.testing.assert_close(posterior.coordinates.place(posterior.coordinates.weights(place)), place)


def test_curvature_is_even_at_zero() -> None:
    X = torch.randn(50, 3, dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1e3]) + 7
    posterior = Posterior(X, torch.arange(50) % 2, None, classes=2, intercept=True).evened(full=True)
    product = posterior.curvature(posterior.start)
    hessian = torch.cat([product(row[None]) for row in torch.eye(4, dtype=torch.float64)])
    torch.testing.assert_close(hessian, torch.eye(4, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("prior", ["gaussian", "laplace", "none"])
def test_constant_and_doubled_features(prior: str) -> None:
    X, y, _ = data(3)
    odd = np.column_stack((X, np.full(len(X), 1e6 / 3), X[:, 0]))
    ours, plain = (LogisticRegression(prior=prior, tol=1e-8).fit(x, y) for x in (odd, X))
    assert ours.coef_[:, -2].abs().max() < 1e-6
    if prior != "gaussian":
        # A Gaussian prior gives two features more than one.
        np.testing.assert_allclose(ours.predict_proba(odd), plain.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_are_reported(classes: int) -> None:
    X = np.arange(12.0)[:, None]
    y = (X[:, 0] // (12 / classes)).astype(int)
    with pytest.warns(ConvergenceWarning, match="no maximum"):
        LogisticRegression(prior="none").fit(X, y)
    LogisticRegression().fit(X, y)


def test_classes_that_touch_are_reported() -> None:
    """Quasi-complete separation: the plane passes through samples of both classes."""
    X = np.r_[np.zeros(10), np.ones(10)][:, None]
    with pytest.warns(ConvergenceWarning, match="no maximum"):
        LogisticRegression(prior="none").fit(X, np.r_[np.arange(10) % 2, np.ones(10, int)])


def test_too_few_iterations_are_reported() -> None:
    X, y, _ = data(3)
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        assert LogisticRegression(max_iter=2).fit(X, y).n_iter_ == 2


def test_class_weights() -> None:
    X, y, _ = data(3)
    ours = LogisticRegression(tol=1e-9, class_weight={0: 3.0, 2: 0.5}).fit(X, y)
    peer = Peer(tol=1e-10, solver="newton-cg", class_weight={0: 3.0, 2: 0.5}).fit(X, y)
    np.testing.assert_allclose(ours.coef_.numpy(), peer.coef_, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prior": "l2"}, "no prior 'l2'"),
        ({"solver": "sag"}, "no solver 'sag'"),
        ({"prior": "laplace", "solver": "lbfgs"}, "solver='auto'"),
        ({"C": 0}, "above 0"),
        ({"class_weight": "even"}, "class_weight has to be"),
        ({"class_weight": {7: 1.0}}, "the class 7"),
    ],
)
def test_refused(options: dict, words: str) -> None:
    X, y, _ = data(2)
    with pytest.raises(InputError, match=words):
        LogisticRegression(**options).fit(X, y)


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 classes"):
        LogisticRegression().fit([[1.0], [2.0]], [1, 1])
