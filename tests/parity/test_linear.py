"""Least squares and ridge regression against scikit-learn, and by the definition where columns are ill-conditioned."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import linear_model as peers
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators.glm import GeneralizedLinearModel
from chainrule.estimators.linear import LinearRegression, Ridge
from chainrule.estimators.logistic import LogisticRegression
from chainrule.estimators.shards import sharded

SHAPES = [(100, 5, 0), (100, 5, 3), (5, 30, 2), (40, 40, 0), (1, 3, 0), (300, 230, 0)]


def problem(n: int, d: int, t: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = draw.normal(size=(n, t) if t else n)
    return 10 * draw.normal(size=(n, d)) + 5, y, draw.uniform(0.1, 2, size=n)


@pytest.mark.parametrize(("n", "d", "t"), SHAPES)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_least_squares(n: int, d: int, t: int, intercept: bool, weighted: bool) -> None:
    X, y, weight = problem(n, d, t)
    weight = weight if weighted and n > 1 else None
    ours = LinearRegression(fit_intercept=intercept).fit(X, y, weight)
    peer = peers.LinearRegression(fit_intercept=intercept).fit(X, y, weight)
    np.testing.assert_allclose(ours.coef_.numpy(), peer.coef_, atol=1e-11)
    np.testing.assert_allclose(
        ours.intercept_.numpy(), np.broadcast_to(peer.intercept_, ours.intercept_.shape), atol=1e-10
    )
    np.testing.assert_allclose(ours.singular_.numpy(), peer.singular_, atol=1e-9)
    assert ours.rank_ == peer.rank_


@pytest.mark.parametrize("solver", ["normal", "qr", "svd"])
def test_solvers_agree(solver: str) -> None:
    X, y, weight = problem(200, 6, 2)
    ours = LinearRegression(solver=solver).fit(X, y, weight)
    assert ours.solver_ == solver
    np.testing.assert_allclose(ours.coef_.numpy(), peers.LinearRegression().fit(X, y, weight).coef_, atol=1e-13)


def test_solver_is_chosen_by_conditioning() -> None:
    X, y, _ = problem(200, 4, 0)
    assert LinearRegression().fit(X, y).solver_ == "normal"
    # Unlike scales alone are harmless: the columns are scaled.
    assert LinearRegression().fit(X * [1e-9, 1, 1e6, 1e12], y).solver_ == "normal"
    near = np.column_stack((X, X[:, 0] + 1e-6 * problem(200, 1, 0, seed=1)[0][:, 0]))
    assert LinearRegression().fit(near, y).solver_ == "qr"
    dependent = np.column_stack((X, X[:, 0] + X[:, 1]))
    model = LinearRegression().fit(dependent, y)
    assert (model.solver_, model.rank_) == ("svd", 4)
    np.testing.assert_allclose(model.coef_.numpy(), peers.LinearRegression().fit(dependent, y).coef_, atol=1e-12)


def test_many_digits_survive_ill_conditioning() -> None:
    """The coefficients of exact targets come back, where normal equations would give none of them."""
    x = np.linspace(0, 1, 60)
    X, true = np.vander(x, 10, increasing=True)[:, 1:], np.arange(1.0, 10.0)
    ours = LinearRegression().fit(X, X @ true + 2)
    np.testing.assert_allclose(ours.coef_.numpy(), true, rtol=1e-7)
    np.testing.assert_allclose(float(ours.intercept_), 2, rtol=1e-10)


def test_far_from_the_origin() -> None:
    """Samples are centred before they are squared."""
    X, y, _ = problem(500, 3, 0)
    ours = LinearRegression().fit(X + 1e8, y)
    np.testing.assert_allclose(ours.coef_.numpy(), LinearRegression().fit(X, y).coef_.numpy(), atol=1e-8)
    single = LinearRegression().fit(torch.tensor(X + 3000).float(), torch.tensor(y).float())
    np.testing.assert_allclose(single.coef_.numpy(), ours.coef_.numpy(), atol=1e-4)


def test_constant_features_get_zero() -> None:
    X, y, _ = problem(50, 3, 0)
    X[:, 1] = 1e6 / 3
    ours = LinearRegression().fit(X, y)
    assert float(ours.coef_[1]) == 0
    assert ours.rank_ == 2
    np.testing.assert_allclose(
        ours.coef_[[0, 2]].numpy(), LinearRegression().fit(X[:, [0, 2]], y).coef_.numpy(), atol=1e-12
    )


@pytest.mark.parametrize("solver", ["normal", "qr"])
def test_unfit_solver_is_refused(solver: str) -> None:
    X, y, _ = problem(5, 30, 0)
    with pytest.raises(InputError, match="write solver='svd'"):
        LinearRegression(solver=solver).fit(X, y)


def test_unknown_solver() -> None:
    with pytest.raises(InputError, match="no solver 'lu'"):
        LinearRegression(solver="lu").fit([[1.0], [2.0]], [1.0, 2.0])


@pytest.mark.parametrize(("n", "d", "t"), SHAPES)
@pytest.mark.parametrize("alpha", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("weighted", [True, False])
def test_ridge(n: int, d: int, t: int, alpha: float, weighted: bool) -> None:
    X, y, weight = problem(n, d, t)
    weight = weight if weighted else None
    ours, peer = Ridge(alpha=alpha).fit(X, y, weight), peers.Ridge(alpha=alpha, solver="svd").fit(X, y, weight)
    np.testing.assert_allclose(ours.coef_.numpy(), peer.coef_, atol=1e-11)
    np.testing.assert_allclose(ours.intercept_.numpy(), peer.intercept_, atol=1e-10)


def test_ridge_penalty_for_each_target() -> None:
    X, y, _ = problem(30, 4, 3)
    alpha = [0.1, 10.0, 1000.0]
    ours, peer = Ridge(alpha=alpha).fit(X, y), peers.Ridge(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(ours.coef_.numpy(), peer.coef_, atol=1e-13)
    with pytest.raises(InputError, match="one for each of 3"):
        Ridge(alpha=[1.0, 2.0]).fit(X, y)
    with pytest.raises(InputError, match="from 0 up"):
        Ridge(alpha=-1.0).fit(X, y)


def test_ridge_ways() -> None:
    X, y, _ = problem(100, 5, 0)
    assert Ridge().fit(X, y).solver_ == "cholesky"
    wide, y_wide, _ = problem(5, 30, 0)
    assert Ridge().fit(wide, y_wide).solver_ == "dual"
    twice = np.column_stack((X, X[:, 0]))
    model = Ridge(alpha=1e-9).fit(twice, y)
    assert model.solver_ == "svd"
    half = LinearRegression().fit(X, y).coef_[0] / 2
    torch.testing.assert_close(model.coef_[[0, 5]], torch.stack((half, half)))
    # Without a penalty it is least squares, of minimal norm.
    np.testing.assert_allclose(
        Ridge(alpha=0).fit(twice, y).coef_.numpy(), LinearRegression().fit(twice, y).coef_.numpy(), atol=1e-12
    )


def learners() -> list:
    return [
        LinearRegression(),
        LinearRegression(solver="svd"),
        Ridge(alpha=2.0),
        LogisticRegression(tol=1e-9),
        LogisticRegression(prior="laplace", tol=1e-9),
        GeneralizedLinearModel(family="poisson"),
    ]


def table() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    X = torch.randn(90, 5, generator=draw, dtype=torch.float64)
    y = torch.poisson((X[:, 0] / 2).exp(), generator=draw).clamp_max(2)
    return X, y, torch.rand(90, generator=draw, dtype=torch.float64)


def _share(rank: int, meeting: str, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    X, y, weight = table()
    mine = slice(0, 20) if rank == 0 else slice(20, 90)
    with sharded(), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        found = [(m.fit(X[mine], y[mine], weight[mine]).coef_, m.intercept_) for m in learners()]
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_share, args=(str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    X, y, weight = table()
    for rank in range(2):
        for model, (coef, intercept) in zip(learners(), torch.load(tmp_path / f"{rank}.pt"), strict=True):
            model.fit(X, y, weight)
            torch.testing.assert_close(coef, model.coef_, rtol=1e-8, atol=1e-8)
            torch.testing.assert_close(intercept, model.intercept_, rtol=1e-8, atol=1e-8)
