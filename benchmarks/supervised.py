"""Contests of the estimators that learn from targets."""

from collections.abc import Callable
from typing import Any

import numpy as np
from benchmarks.contest import Arrays, Contest
from sklearn import datasets, discriminant_analysis, linear_model, naive_bayes, neighbors, svm
from sklearn.preprocessing import StandardScaler

from chainrule import estimators


def classes(rows: int, features: int, number: int = 2) -> Arrays:
    """Classes that overlap, standardised."""
    x, y = datasets.make_classification(
        rows,
        features,
        n_informative=min(20, features // 2),
        n_redundant=0,
        n_classes=number,
        n_clusters_per_class=1 if number > 2 else 2,
        flip_y=0.03,
        random_state=0,
    )
    return StandardScaler().fit_transform(x), y


def plane(rows: int, features: int) -> Arrays:
    """A plane with noise."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, features))
    return x, x @ draw.normal(size=features) + draw.normal(size=rows)


def counts(rows: int, features: int) -> Arrays:
    """Counts whose logarithm is a plane."""
    x, y = plane(rows, features)
    return x, np.random.default_rng(1).poisson(np.exp(0.1 * y)).astype(float)


def queries(rows: int, asked: int, features: int) -> Arrays:
    """A bent surface with noise, and queries."""
    draw = np.random.default_rng(0)
    x = draw.uniform(-2, 2, size=(rows, features))
    return x, np.sin(x).sum(axis=1) + 0.1 * draw.normal(size=rows), draw.uniform(-2, 2, size=(asked, features))


def fits(build: Callable[[], Any]) -> Callable[[Any, Any], Any]:
    """Fitting, with the default options."""
    return lambda x, y: build().fit(x, y)


def fits_and_predicts(build: Callable[[], Any]) -> Callable[[Any, Any], Any]:
    """Fitting and predicting the samples it learned from."""
    return lambda x, y: build().fit(x, y).predict(x)


def score(model: Any, x: Any, y: Any) -> float:
    """Accuracy or R2 on the samples it learned from."""
    return float(np.mean(np.asarray(model.predict(x)) == y)) if hasattr(model, "classes_") else float(model.score(x, y))


def agreement(predicted: Any, x: Any, y: Any) -> float:
    """Share of right classes, or R2."""
    predicted = np.asarray(predicted)
    if y.dtype.kind == "i":
        return float(np.mean(predicted == y))
    return float(1 - np.mean((predicted - y) ** 2) / np.var(y))


def dual(model: Any, x: Any, y: Any) -> float:
    """The dual objective of an SVM with an RBF kernel on standardised samples, over all its pairs of classes."""
    support, coef = np.asarray(model.support_vectors_), np.asarray(model.dual_coef_)
    gamma = 1 / (x.shape[1] * x.var())
    squares = (support**2).sum(axis=1)
    gram = np.exp(-gamma * np.maximum(squares[:, None] + squares - 2 * support @ support.T, 0))
    owner = np.asarray(y)[np.asarray(model.support_)]
    total = 0.0
    number = len(np.unique(y))
    for one in range(number):
        for other in range(one + 1, number):
            first, second = owner == one, owner == other
            alpha = np.concatenate((coef[other - 1, first], coef[one, second]))
            both = np.concatenate((np.flatnonzero(first), np.flatnonzero(second)))
            total += np.abs(alpha).sum() - 0.5 * alpha @ gram[np.ix_(both, both)] @ alpha
    return float(total)


def loss(model: Any, x: Any, y: Any) -> float:
    """The objective of logistic regression with C = 1."""
    log = np.asarray(model.predict_log_proba(x))
    return float(-log[np.arange(len(y)), y].sum() + 0.5 * (np.asarray(model.coef_) ** 2).sum())


def loop_of_lstsq(x: np.ndarray, y: np.ndarray, asked: np.ndarray, tau: float = 0.5) -> np.ndarray:
    """Locally weighted regression, one query after another."""
    design = np.column_stack((np.ones(len(x)), x))
    found = []
    for query in asked:
        root = np.exp(-((x - query) ** 2).sum(axis=1) / (4 * tau**2))
        beta = np.linalg.lstsq(root[:, None] * design, root * y, rcond=None)[0]
        found.append(beta[0] + query @ beta[1:])
    return np.array(found)


def surface(predicted: Any, x: Any, y: Any, asked: Any) -> float:
    """Share of the true surface's variance that is explained."""
    true = np.sin(asked).sum(axis=1)
    return float(1 - np.mean((np.asarray(predicted) - true) ** 2) / np.var(true))


def poisson_peer(x: np.ndarray, y: np.ndarray) -> Any:
    """Statsmodels' GLM, with an intercept."""
    import statsmodels.api as sm

    return sm.GLM(y, sm.add_constant(x), family=sm.families.Poisson()).fit(tol=1e-8)


def deviance(model: Any, x: Any, y: Any) -> float:
    """Deviance of a GLM."""
    return float(getattr(model, "deviance_", None) or model.deviance)


CONTESTS = {
    "knn": Contest(
        lambda: (*classes(20000, 64), np.random.default_rng(1).normal(size=(5000, 64))),
        lambda x, y, q: estimators.KNeighborsClassifier(algorithm="brute").fit(x, y).predict(q),
        lambda x, y, q: neighbors.KNeighborsClassifier(algorithm="brute").fit(x, y).predict(q),
        lambda predicted, x, y, q: float(np.mean(np.asarray(predicted))),
        rounds=7,
    ),
    "svc-784": Contest(lambda: classes(10_000, 784), fits(estimators.SVC), fits(svm.SVC), dual, goal=8.0, rounds=1),
    "svc-64": Contest(lambda: classes(10_000, 64), fits(estimators.SVC), fits(svm.SVC), dual, goal=3.0),
    "svc-ten": Contest(lambda: classes(10_000, 64, 10), fits(estimators.SVC), fits(svm.SVC), dual, goal=5.0),
    "svr": Contest(lambda: queries(5_000, 1, 16)[:2], fits(estimators.SVR), fits(svm.SVR), score),
    "softmax": Contest(
        lambda: classes(50_000, 784, 10),
        fits(estimators.LogisticRegression),
        fits(lambda: linear_model.LogisticRegression(max_iter=1000)),
        loss,
        goal=1.5,
    ),
    "locally-weighted": Contest(
        lambda: queries(5_000, 1_000, 10),
        lambda x, y, q: estimators.LocallyWeightedRegression(tau=0.5).fit(x, y).predict(q),
        loop_of_lstsq,
        surface,
        goal=20.0,
    ),
    "least-squares": Contest(
        lambda: plane(100_000, 100),
        fits(estimators.LinearRegression),
        fits(linear_model.LinearRegression),
        score,
        rounds=7,
    ),
    "ridge": Contest(lambda: plane(100_000, 100), fits(estimators.Ridge), fits(linear_model.Ridge), score, rounds=7),
    "glm-poisson": Contest(
        lambda: counts(100_000, 30),
        fits(lambda: estimators.GeneralizedLinearModel(family="poisson")),
        poisson_peer,
        deviance,
    ),
    "naive-bayes": Contest(
        lambda: classes(100_000, 64, 10),
        fits_and_predicts(estimators.GaussianNB),
        fits_and_predicts(naive_bayes.GaussianNB),
        agreement,
        rounds=7,
    ),
    "lda": Contest(
        lambda: classes(100_000, 64, 10),
        fits_and_predicts(estimators.LinearDiscriminantAnalysis),
        fits_and_predicts(discriminant_analysis.LinearDiscriminantAnalysis),
        agreement,
        rounds=7,
    ),
    "qda": Contest(
        lambda: classes(100_000, 64, 10),
        fits_and_predicts(estimators.QuadraticDiscriminantAnalysis),
        fits_and_predicts(discriminant_analysis.QuadraticDiscriminantAnalysis),
        agreement,
        rounds=7,
    ),
}
