"""Generalized linear models against statsmodels, families against scipy and automatic derivatives."""

import warnings

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators.families import FAMILIES, Poisson
from chainrule.estimators.glm import GeneralizedLinearModel
from chainrule.estimators.links import LINKS, Log
from chainrule.estimators.logistic import LogisticRegression

sm = pytest.importorskip("statsmodels.api")
FAMILY, LINK = sm.families, sm.families.links

draw = np.random.default_rng(0)
N = 200
X = draw.normal(size=(N, 3)) * [1, 2, 0.5] + [0, 1, 3]
LINEAR = X @ [0.3, -0.2, 0.1] + 0.2
WEIGHT = draw.uniform(0.5, 2, size=N)
EVEN = 1.5 + 0.1 * np.abs(X[:, 0])

CASES = {
    "gaussian": ("gaussian", None, LINEAR + draw.normal(size=N), FAMILY.Gaussian()),
    "gaussian-log": ("gaussian", "log", np.exp(LINEAR) + 2 + 0.1 * draw.normal(size=N), FAMILY.Gaussian(LINK.Log())),
    "bernoulli": ("bernoulli", None, 1.0 * (draw.uniform(size=N) < 1 / (1 + np.exp(-LINEAR))), FAMILY.Binomial()),
    "probit": (
        "bernoulli",
        "probit",
        1.0 * (draw.uniform(size=N) < 0.4 + 0.1 * LINEAR),
        FAMILY.Binomial(LINK.Probit()),
    ),
    "poisson": ("poisson", None, 1.0 * draw.poisson(np.exp(LINEAR)), FAMILY.Poisson()),
    "poisson-identity": ("poisson", "identity", 1.0 * draw.poisson(EVEN), FAMILY.Poisson(LINK.Identity())),
    "gamma": ("gamma", None, draw.gamma(2, 1 / EVEN), FAMILY.Gamma()),
    "gamma-log": ("gamma", "log", draw.gamma(2, np.exp(LINEAR)), FAMILY.Gamma(LINK.Log())),
    "geometric": (
        "geometric",
        None,
        1.0 * draw.geometric(1 / (1 + EVEN)),
        FAMILY.NegativeBinomial(LINK.NegativeBinomial(alpha=1.0), alpha=1.0),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_statsmodels(case: str, weighted: bool) -> None:
    family, link, y, peer_family = CASES[case]
    weight = WEIGHT if weighted else None
    ours = GeneralizedLinearModel(family=family, link=link, tol=1e-10).fit(X, y, weight)
    with warnings.catch_warnings():
        # Some of its links can leave the range of the mean.
        warnings.simplefilter("ignore")
        model = sm.GLM(y - (family == "geometric"), sm.add_constant(X), family=peer_family, var_weights=weight)
        # Its own start for the geometric family is out of range; a tenth beside our solution is not.
        start = 1.1 * np.r_[float(ours.intercept_), ours.coef_.numpy()] if family == "geometric" else None
        peer = model.fit(tol=1e-14, maxiter=500, start_params=start)
    if family == "geometric":
        assert peer.fit_history["iteration"] > 2
    np.testing.assert_allclose(np.r_[float(ours.intercept_), ours.coef_.numpy()], peer.params, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.standard_errors_.numpy(), peer.bse, rtol=1e-6)
    np.testing.assert_allclose(ours.covariance_.numpy(), peer.cov_params(), rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(ours.deviance_, peer.deviance, rtol=1e-8)
    np.testing.assert_allclose(ours.null_deviance_, peer.null_deviance, rtol=1e-8)
    np.testing.assert_allclose(ours.dispersion_, peer.scale, rtol=1e-8)
    np.testing.assert_allclose(ours.log_likelihood_, peer.llf, rtol=1e-8)
    np.testing.assert_allclose(ours.predict(X) - (family == "geometric"), peer.predict(), rtol=1e-6)


@pytest.mark.parametrize(("family", "of"), [("gamma", "gamma"), ("geometric", "geometric"), ("poisson", "poisson")])
def test_without_intercept(family: str, of: str) -> None:
    """The gradient of the log-likelihood is zero; the canonical link makes it (y - mu) x."""
    y = torch.tensor(CASES[of][2])
    x = torch.tensor(np.abs(X))
    model = GeneralizedLinearModel(family=family, fit_intercept=False).fit(x, y)
    assert float(model.intercept_) == 0
    torch.testing.assert_close((y - model.predict(x)) @ x / y.sum(), torch.zeros(3).double(), atol=1e-9, rtol=0)


def test_bernoulli_is_logistic_regression() -> None:
    y = CASES["bernoulli"][2]
    ours, other = GeneralizedLinearModel(family="bernoulli").fit(X, y), LogisticRegression(prior="none", tol=1e-10)
    np.testing.assert_allclose(ours.coef_.numpy(), other.fit(X, y.astype(int)).coef_[0].numpy(), atol=1e-8)


@pytest.mark.parametrize("name", FAMILIES)
def test_derivatives_of_the_log_partition(name: str) -> None:
    """a' is the mean, a'' the variance, and the natural parameter inverts the mean."""
    family = FAMILIES[name]
    eta = -torch.rand(20, dtype=torch.float64) - 0.1
    mean = torch.func.vmap(torch.func.grad(family.log_partition))(eta)
    bend = torch.func.vmap(torch.func.grad(torch.func.grad(family.log_partition)))(eta)
    torch.testing.assert_close(family.mean(eta), mean)
    torch.testing.assert_close(family.variance(mean), bend)
    torch.testing.assert_close(family.natural(mean), eta)
    assert bool(family.inside(mean).all())


DENSITIES = {
    "gaussian": lambda y, m, phi: scipy.stats.norm.logpdf(y, m, phi**0.5),
    "bernoulli": lambda y, m, phi: scipy.stats.bernoulli.logpmf(y, m),
    "poisson": lambda y, m, phi: scipy.stats.poisson.logpmf(y, m),
    "geometric": lambda y, m, phi: scipy.stats.geom.logpmf(y, 1 / m),
    "gamma": lambda y, m, phi: scipy.stats.gamma.logpdf(y, 1 / phi, scale=m * phi),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_densities_and_deviance(name: str) -> None:
    family = FAMILIES[name]
    y = np.array([1.0, 1.0, 0.0, 1.0] if name == "bernoulli" else [1.0, 2.0, 3.0, 7.0])
    mean = np.array([0.2, 0.7, 0.4, 0.9] if name == "bernoulli" else [1.5, 2.5, 1.1, 4.0])
    phi = 0.6 if family.dispersed else 1.0
    found = family.log_density(torch.tensor(y), torch.tensor(mean), torch.full((4,), phi, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), DENSITIES[name](y, mean, phi), rtol=1e-12)
    # The deviance is what the log-density lacks to that of the mean y.
    inner = y.clip(1e-12, 1 - 1e-12) if name == "bernoulli" else y + (name == "geometric") * 1e-12
    lack = 2 * phi * (DENSITIES[name](y, inner, phi) - DENSITIES[name](y, mean, phi))
    np.testing.assert_allclose(family.deviance(torch.tensor(y), torch.tensor(mean)).numpy(), lack, atol=1e-9)


@pytest.mark.parametrize("name", LINKS)
def test_links(name: str) -> None:
    link = LINKS[name]
    eta = -torch.rand(20, dtype=torch.float64) - 0.1
    slope = torch.func.vmap(torch.func.grad(link.mean))(eta)
    torch.testing.assert_close(link.slope(eta), slope)
    torch.testing.assert_close(link.link(link.mean(eta)), eta)


@pytest.mark.parametrize("name", FAMILIES)
def test_canonical_links(name: str) -> None:
    family, sign = FAMILIES[name], -1 if name == "gamma" else 1
    mean = torch.tensor([0.3, 0.6]).double() if name == "bernoulli" else torch.tensor([1.3, 4.0]).double()
    torch.testing.assert_close(LINKS[family.canonical].link(mean), sign * family.natural(mean))


def test_parts_serve_as_well_as_names() -> None:
    y = CASES["poisson"][2]
    ours = GeneralizedLinearModel(family=Poisson(), link=Log()).fit(X, y)
    assert torch.equal(ours.coef_, GeneralizedLinearModel(family="poisson").fit(X, y).coef_)


def test_separated_outcomes_are_reported() -> None:
    with pytest.warns(ConvergenceWarning, match="no maximum"):
        GeneralizedLinearModel(family="bernoulli").fit(X, 1.0 * (X[:, 0] > 0))
    empty = np.repeat([0.0, 1.0], 5)
    with pytest.warns(ConvergenceWarning, match="no maximum"):
        GeneralizedLinearModel(family="poisson").fit(empty[:, None], 3 * empty)


def test_too_few_iterations_are_reported() -> None:
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        GeneralizedLinearModel(family="poisson", max_iter=1).fit(X, CASES["poisson"][2])


def test_dependent_features() -> None:
    """The solution of minimal norm, with the predictions of the independent ones."""
    y = CASES["poisson"][2]
    twice = GeneralizedLinearModel(family="poisson").fit(np.column_stack((X, X[:, 0])), y)
    once = GeneralizedLinearModel(family="poisson").fit(X, y)
    np.testing.assert_allclose(twice.predict(np.column_stack((X, X[:, 0]))), once.predict(X), rtol=1e-8)
    np.testing.assert_allclose(float(twice.coef_[0]), float(twice.coef_[3]))
    np.testing.assert_allclose(twice.deviance_, once.deviance_, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "y", "words"),
    [
        ({"family": "poisson"}, LINEAR, "counts 0, 1, 2, ...; received"),
        ({"family": "bernoulli"}, LINEAR, "0 and 1"),
        ({"family": "geometric"}, CASES["poisson"][2], "numbers of trials"),
        ({"family": "gamma"}, CASES["poisson"][2], "numbers above 0"),
        ({"family": "binomial"}, LINEAR, "no family named 'binomial'"),
        ({"link": "cauchit"}, LINEAR, "no link named"),
        ({"link": 3}, LINEAR, "A link is wanted"),
        ({"family": "bernoulli"}, np.ones(N), "targets that differ"),
        ({"link": "log"}, -np.exp(LINEAR), "another link"),
    ],
)
def test_refused(options: dict, y: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        GeneralizedLinearModel(**options).fit(X, y)
