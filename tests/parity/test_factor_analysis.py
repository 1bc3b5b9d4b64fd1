"""Factor analysis against scikit-learn, the density of SciPy, and the model that made the samples."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import decomposition
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators.factor_analysis import FactorAnalysis, step


def table(n: int = 400, d: int = 8, k: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of the model, its loadings and its noise."""
    rng = np.random.default_rng(0)
    loadings, noise = rng.normal(size=(k, d)), rng.uniform(0.2, 1.5, size=d)
    z = rng.normal(size=(n, k))
    return 10 + z @ loadings + rng.normal(size=(n, d)) * np.sqrt(noise), loadings, noise


@pytest.mark.parametrize("count", [1, 2])
def test_equals_scikit_learn(count: int) -> None:
    X = table()[0]
    ours = FactorAnalysis(n_components=count, tol=1e-9, max_iter=5000).fit(X)
    begin = X.var(axis=0)  # as ours
    peer = decomposition.FactorAnalysis(
        n_components=count, svd_method="lapack", tol=1e-9, max_iter=5000, noise_variance_init=begin
    ).fit(X)
    np.testing.assert_allclose(ours.loglike_[:50], peer.loglike_[:50], rtol=1e-10)
    from_ones = decomposition.FactorAnalysis(n_components=count, svd_method="lapack", tol=1e-6, max_iter=5000).fit(X)
    np.testing.assert_allclose(ours.loglike_[-1], from_ones.loglike_[-1], rtol=1e-6)
    np.testing.assert_allclose(ours.noise_variance_, peer.noise_variance_, rtol=1e-6)
    np.testing.assert_allclose(ours.get_covariance(), peer.get_covariance(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), rtol=1e-8)
    np.testing.assert_allclose(ours.score(X), peer.score(X), rtol=1e-9)
    sign = np.sign((ours.components_.numpy() * peer.components_).sum(axis=1))
    np.testing.assert_allclose(ours.transform(X) * sign, peer.transform(X), rtol=1e-5, atol=1e-7)


def test_likelihood_is_that_of_the_model() -> None:
    """Also where the factors are more than the samples support, so that some vanish."""
    X = table(60)[0]
    for count in (2, 8):
        model = FactorAnalysis(n_components=count).fit(X)
        density = stats.multivariate_normal(model.mean_, model.get_covariance())
        np.testing.assert_allclose(model.score_samples(X), density.logpdf(X), rtol=1e-9)
        np.testing.assert_allclose(model.loglike_[-1], density.logpdf(X).sum(), rtol=1e-10)
        assert all(np.diff(model.loglike_) > -1e-9)


def test_new_features_are_posterior_means() -> None:
    X = table()[0]
    model = FactorAnalysis(n_components=2).fit(X)
    W, precision = model.components_.numpy(), np.linalg.inv(model.get_covariance().numpy())
    np.testing.assert_allclose(model.transform(X), (X - model.mean_.numpy()) @ precision @ W.T, rtol=1e-8, atol=1e-10)


def test_finds_the_model_again() -> None:
    X, loadings, noise = table(n=20_000)
    model = FactorAnalysis(n_components=2, tol=1e-4).fit(X)
    np.testing.assert_allclose(model.noise_variance_, noise, rtol=0.05, atol=0.1)
    np.testing.assert_allclose((model.components_.T @ model.components_).numpy(), loadings.T @ loadings, atol=0.12)


def test_one_step_by_hand() -> None:
    """Two features of variance 1 and correlation c: from psi = 1 a factor of variance c / 2 remains for each."""
    c = 0.5
    loadings, likelihood = step(torch.tensor([[1, c], [c, 1]]).double(), torch.ones(2).double(), 1)
    torch.testing.assert_close(loadings, torch.full((1, 2), (c / 2) ** 0.5).double())
    wanted = -0.5 * (2 * np.log(2 * np.pi) + np.log(1 + c) + 1 + (1 - c))
    np.testing.assert_allclose(likelihood, wanted)


def test_units_do_not_matter() -> None:
    X = table()[0]
    units = 10.0 ** np.arange(-4, 4)
    plain, scaled = (FactorAnalysis(n_components=2, tol=1e-9, max_iter=5000).fit(x) for x in (X, X * units))
    np.testing.assert_allclose(scaled.noise_variance_.numpy() / units**2, plain.noise_variance_, rtol=1e-3)


def test_constant_and_equal_features() -> None:
    X = table()[0]
    model = FactorAnalysis(n_components=2).fit(np.column_stack((X, np.full(400, 0.1))))
    assert bool(model.components_.isfinite().all())
    np.testing.assert_allclose(model.components_[:, 8], 0, atol=1e-12)
    twins = FactorAnalysis(n_components=2, max_iter=20, tol=0.0)
    with pytest.warns(ConvergenceWarning, match="did not converge in 20 steps"):
        twins.fit(np.column_stack((X, X[:, 0])))
    assert np.isfinite(twins.score(np.column_stack((X, X[:, 0]))))


def test_wrong_options_are_sentences() -> None:
    X = table()[0]
    for wrong in ({"n_components": 9}, {"max_iter": 0}, {"tol": -1}):
        with pytest.raises(InputError, match="received"):
            FactorAnalysis(**wrong).fit(X)
    with pytest.raises(InputError, match="1 sample"):
        FactorAnalysis().fit(X[:1])
