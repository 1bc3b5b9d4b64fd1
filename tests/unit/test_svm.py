"""Support vector machines: values worked out by hand, the quantities of the course, and degenerate samples."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators import saving
from chainrule.estimators.svm import SVC, SVR, boxed
from chainrule.estimators.svm.classifier import votes
from chainrule.estimators.svm.interior import interior_point
from chainrule.estimators.svm.probability import coupled, sigmoid_fit
from chainrule.estimators.svm.training import plans


def noisy(n: int = 200, d: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes that overlap."""
    rng = torch.Generator().manual_seed(seed)
    X = torch.randn(n, d, generator=rng, dtype=torch.float64)
    noise = torch.randn(n, generator=rng, dtype=torch.float64)
    return X, (X[:, 0] + 0.5 * noise > 0).long()


def test_margin_of_two_points() -> None:
    # w = 2 (x2 - x1) / |x2 - x1|^2 = (1, 0), b = -1: the plane lies in the middle, a half margin of 1 on each side.
    model = SVC(kernel="linear", C=math.inf).fit(torch.tensor([[0.0, 0.0], [2.0, 0.0]]).double(), torch.tensor([0, 1]))
    torch.testing.assert_close(model.coef_, torch.tensor([[1.0, 0.0]]).double())
    torch.testing.assert_close(model.intercept_, torch.tensor([-1.0]).double())
    torch.testing.assert_close(model.margin_, torch.tensor([1.0]).double())
    torch.testing.assert_close(model.dual_coef_, torch.tensor([[-0.5, 0.5]]).double())
    assert model.slack_.item() == pytest.approx(0, abs=1e-9)


def test_hard_margin_of_a_square() -> None:
    # Classes at x = 0 and x = 4; (9, 9) lies far behind the margin and bears nothing.
    X = torch.tensor([[0.0, 0], [0, 2], [4, 0], [4, 2], [9, 9]]).double()
    model = SVC(kernel="linear", C=math.inf).fit(X, torch.tensor([0, 0, 1, 1, 1]))
    torch.testing.assert_close(model.coef_, torch.tensor([[0.5, 0.0]]).double(), atol=1e-5, rtol=0)
    assert model.margin_.item() == pytest.approx(2, rel=1e-5)
    assert 4 not in model.support_.tolist()


def test_a_hard_margin_that_does_not_exist() -> None:
    X = torch.tensor([[0.0, 0], [1, 1], [0, 1], [1, 0]]).double()
    y = torch.tensor([0, 0, 1, 1])
    with pytest.raises(InputError, match="not separable"):
        SVC(kernel="linear", C=math.inf).fit(X, y)
    assert SVC(kernel="poly(degree=2, coef0=1)", gamma=1.0, C=math.inf).fit(X, y).score(X, y) == 1


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_kkt_conditions_and_duality(kernel: str) -> None:
    X, y = noisy()
    model = SVC(kernel=kernel).fit(X, y)
    sign = 2.0 * y.double() - 1
    agreement = sign * model.decision_function(X)
    alpha = torch.zeros_like(sign).index_copy(0, model.support_, model.dual_coef_[0] * sign[model.support_])
    assert bool((alpha >= 0).all())
    assert bool((alpha <= 1).all())
    assert alpha @ sign == pytest.approx(0, abs=1e-9)
    assert bool((agreement[alpha == 0] >= 1 - 2e-3).all())
    assert bool((agreement[alpha == 1] <= 1 + 2e-3).all())
    assert bool(((agreement[(alpha > 0) & (alpha < 1)] - 1).abs() <= 2e-3).all())
    slack = (1 - agreement).clamp_min(0)
    assert model.slack_.item() == pytest.approx(slack.sum().item(), rel=1e-9)
    assert model.primal_objective_.item() == pytest.approx(
        0.5 / model.margin_.item() ** 2 + slack.sum().item(), rel=1e-9
    )
    assert -1e-9 <= model.duality_gap_.item() <= 1e-3 * model.primal_objective_.item()
    assert model.kkt_violation_.item() <= 1e-3


def test_slack_by_hand() -> None:
    # One feature, equal classes at -1 and 1, and C small: all alphas are C, w = 2C, and the slack of each is 1 - w.
    X, y = torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([0, 1])
    model = SVC(kernel="linear", C=0.1).fit(X, y)
    assert model.coef_.item() == pytest.approx(0.2)
    assert model.slack_.item() == pytest.approx(1.6)
    assert model.primal_objective_.item() == pytest.approx(0.5 * 0.04 + 0.1 * 1.6)
    assert model.dual_objective_.item() == pytest.approx(0.2 - 0.5 * 0.04)


def test_exclusive_or_by_a_quadratic_kernel() -> None:
    # On the corners of the square (<x, z> + 1)^2 gives alpha = 1/8 for each of them.
    X = torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]).double()
    y = torch.tensor([0, 1, 1, 0])
    model = SVC(kernel="poly(degree=2, coef0=1)", gamma=1.0, C=math.inf).fit(X, y)
    torch.testing.assert_close(model.dual_coef_, torch.tensor([[-1, -1, 1, 1]]).double() / 8, atol=1e-6, rtol=0)
    assert model.support_.tolist() == [0, 3, 1, 2]
    torch.testing.assert_close(model.decision_function(X), torch.tensor([-1.0, 1, 1, -1]).double(), atol=1e-6, rtol=0)


def test_a_tube_by_hand() -> None:
    # Through (0, 0) and (2, 2) with epsilon 1/2 the flattest line rises from 1/2 to 3/2.
    model = SVR(kernel="linear", C=100.0, epsilon=0.5).fit(torch.tensor([[0.0], [2.0]]).double(), [0.0, 2.0])
    assert model.coef_.item() == pytest.approx(0.5)
    assert model.intercept_.item() == pytest.approx(0.5)
    assert model.dual_coef_[0].tolist() == pytest.approx([-0.25, 0.25])


def test_targets_within_the_tube_need_no_support() -> None:
    model = SVR(epsilon=1.0).fit(np.arange(6.0)[:, None], [0.1, -0.1, 0.2, 0.0, 0.1, -0.2])
    assert len(model.support_) == 0
    assert model.predict(np.zeros((2, 1))).tolist() == pytest.approx([0.0, 0.0], abs=1.0)


def test_weights_count_like_copies() -> None:
    X, y = noisy(60)
    weight = torch.arange(60) % 3
    once = SVC().fit(X, y, sample_weight=weight)
    copies = SVC().fit(X.repeat_interleave(weight, 0), y.repeat_interleave(weight))
    torch.testing.assert_close(once.decision_function(X), copies.decision_function(X), atol=1e-8, rtol=0)
    assert not bool((once.support_ % 3 == 0).any())


def test_classes_without_weight_are_left_out() -> None:
    X, _ = noisy(30)
    y = torch.arange(30) % 3
    assert SVC().fit(X, y, sample_weight=(y != 1).double()).classes_.tolist() == [0, 2]
    with pytest.raises(InputError, match="class"):
        SVC().fit(X, y, sample_weight=(y == 1).double())
    with pytest.raises(InputError, match="class"):
        SVC().fit(X, torch.ones(30))


def test_votes_come_first_and_sums_break_ties() -> None:
    # Each class wins once; the sums are -1, 3 and -2, times a third of what is below one.
    scores = votes(torch.tensor([[1.0, -2.0, 4.0], [1.0, 1.0, -9.0]]), 3)
    torch.testing.assert_close(scores[0], torch.tensor([1 - 1 / 6, 1 + 3 / 12, 1 - 2 / 9]))
    assert scores.argmax(dim=1).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (torch.ones(10, 2), torch.arange(10) % 2),
        (torch.zeros(10, 2), torch.arange(10) % 2),
        (torch.tensor([[0.0], [1.0]]).repeat(50, 1), torch.arange(100) % 2),
        (torch.tensor([[0.0], [1e-30]]), torch.arange(2)),
    ],
)
@pytest.mark.parametrize("kernel", ["linear", "rbf", "sigmoid"])
def test_degenerate_samples(X: torch.Tensor, y: torch.Tensor, kernel: str) -> None:
    model = SVC(kernel=kernel).fit(X.double(), y)
    assert bool(model.decision_function(X.double()).isfinite().all())
    assert model.kkt_violation_.item() <= 1e-3


@pytest.mark.parametrize("C", [1e-8, 1e4, 1e8])
def test_extreme_prices(C: float) -> None:
    X, y = noisy(120)
    model = SVC(kernel="linear", C=C).fit(X, y)
    assert model.kkt_violation_.item() <= 1e-3
    assert model.duality_gap_.item() <= 1e-4 * model.primal_objective_.item()


def test_an_indefinite_kernel_ends_with_a_sentence() -> None:
    X, y = noisy(20)
    with pytest.warns(UserWarning, match=r"not positive semi-definite: .* eigenvalue -"):
        model = SVC(kernel=lambda a, b: -(torch.cdist(a, b) ** 2) + 0.5 * a @ b.mT, C=10.0).fit(X, y)
    assert bool(model.decision_function(X).isfinite().all())
    with pytest.warns(UserWarning, match="not symmetric"):
        SVC(kernel=lambda a, b: a @ b.mT + a[:, :1]).fit(X, y)


def test_a_bound_of_steps_is_told() -> None:
    X, y = noisy(600)
    with pytest.warns(ConvergenceWarning, match="stopped after 1 working sets"):
        SVC(max_iter=1, C=100.0).fit(X, y)


def test_memory_changes_time_only() -> None:
    X, y = noisy(1200, 3)
    little, much = SVC(memory=14).fit(X, y), SVC().fit(X, y)
    torch.testing.assert_close(little.decision_function(X), much.decision_function(X), atol=3e-3, rtol=0)
    with pytest.raises(InputError, match="write memory="):
        SVC(memory=1).fit(X, y)


def test_plans_stay_within_the_memory() -> None:
    groups = list(plans([900, 100, 500, 500], 10, 8, 40.0))
    assert sorted(task for group in groups for task in group.tasks) == [0, 1, 2, 3]
    for group in plans([5000, 5000], 10, 4, 64.0):
        assert len(group.tasks) == 1
        assert group.capacity * group.size * 4 < 64 * 2**20
        assert group.count <= group.capacity


def test_tensors_and_single_precision_are_kept() -> None:
    X, y = noisy(60)
    model = SVC(probability=True).fit(X.float(), y)
    assert model.dual_coef_.dtype == model.decision_function(X.float()).dtype == torch.float32
    assert model.predict_proba(X.float()).dtype == torch.float32
    assert isinstance(SVC().fit(X.numpy(), y.numpy()).predict(X.numpy()), np.ndarray)


def test_saved_and_loaded(tmp_path) -> None:  # type: ignore[no-untyped-def]
    X, y = noisy(30)
    model = SVC(kernel="poly(degree=2, coef0=1)", probability=True).fit(X, y)
    saving.save(model, tmp_path / "svm.safetensors")
    torch.testing.assert_close(saving.load(tmp_path / "svm.safetensors").predict_proba(X), model.predict_proba(X))


def test_probabilities_need_to_be_asked_for() -> None:
    X, y = noisy(40)
    assert not hasattr(SVC().fit(X, y), "predict_proba")
    log = SVC(probability=True).fit(X, y).predict_log_proba(X)
    torch.testing.assert_close(log.exp().sum(dim=1), torch.ones(40).double())


def test_coupling_gives_back_consistent_pairs() -> None:
    p = torch.tensor([[0.2, 0.3, 0.5]]).double()
    pairs = [(0, 1), (0, 2), (1, 2)]
    share = torch.stack([p[:, i] / (p[:, i] + p[:, j]) for i, j in pairs], dim=1)
    torch.testing.assert_close(coupled(share, pairs), p)


def test_sigmoid_of_balanced_decisions() -> None:
    # Symmetric decisions give b = 0; a solves sum f (t - p) = 0 with the targets 3/4 and 1/4: p = 3/4 at f = 1.
    f = torch.tensor([1.0, 1.0, -1.0, -1.0]).double()
    a, b = sigmoid_fit(f, f > 0).tolist()
    assert a == pytest.approx(-math.log(3), abs=1e-4)
    assert b == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"C": 0}, "C above 0"),
        ({"tol": 0}, "tol above 0"),
        ({"max_iter": 0}, "max_iter"),
        ({"gamma": -1.0}, "gamma"),
        ({"gamma": "wide"}, "gamma"),
        ({"kernel": 3}, "kernel"),
        ({"decision_function_shape": "all"}, "ovr"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SVC(**options).fit(*noisy(20))


def test_names_and_tables_that_do_not_fit() -> None:
    X, y = noisy(20)
    with pytest.raises(UnknownNameError, match="rbf"):
        SVC(kernel="rfb").fit(X, y)
    with pytest.raises(InputError, match="square Gram matrix"):
        SVC(kernel="precomputed").fit(X, y)
    with pytest.raises(InputError, match="epsilon"):
        SVR(epsilon=-1.0).fit(X, X[:, 0])
    with pytest.raises(InputError, match="finite C"):
        SVR(C=math.inf).fit(X, X[:, 0])


def box(seed: int, C: float, rank: int) -> tuple[torch.Tensor, ...]:
    """Two problems of 40 variables."""
    rng = torch.Generator().manual_seed(seed)
    X = torch.randn(2, 40, rank, generator=rng, dtype=torch.float64)
    y = torch.where(torch.rand(2, 40, generator=rng) > 0.5, 1.0, -1.0).double()
    lower = torch.where(y > 0, 0.0, -C).double()
    return X @ X.mT, torch.zeros(2, 40).double(), -y, lower, lower + C


@pytest.mark.parametrize("rank", [3, 60])
@pytest.mark.parametrize("C", [0.1, 10.0, 1e4])
def test_gradients_and_interior_points_agree(C: float, rank: int) -> None:
    Q, x, slope, lower, upper = box(0, C, rank)
    goal = torch.full((2, 1), 1e-6).double()
    inner, solved = interior_point(Q, x, slope, lower, upper, goal)
    mixed = boxed.minimised(Q, x, slope, lower, upper, goal)
    assert bool(solved.all())

    def value(x: torch.Tensor) -> torch.Tensor:
        return (x * (slope + (Q @ x[..., None])[..., 0] / 2)).sum(dim=1)

    torch.testing.assert_close(value(inner), value(mixed), rtol=1e-6, atol=1e-6 * C)
    for result in (inner, mixed):
        assert bool(((result >= lower) & (result <= upper)).all())
        torch.testing.assert_close(result.sum(dim=1), torch.zeros(2).double(), atol=1e-6 * C, rtol=0)


def test_projection_keeps_box_and_sum() -> None:
    _, x, slope, lower, upper = box(1, 1.0, 3)
    total = torch.tensor([[0.5], [-0.25]]).double()
    y, _ = boxed.projected(x - 3 * slope, lower, upper, total, torch.zeros(2, 1).double())
    torch.testing.assert_close(y.sum(dim=1, keepdim=True), total)
    assert bool(((y >= lower) & (y <= upper)).all())


def test_regression_has_no_warning_on_plain_samples() -> None:
    X, _ = noisy(100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SVR(C=10.0).fit(X, X[:, 0].sin()).score(X, X[:, 0].sin()) > 0.9
