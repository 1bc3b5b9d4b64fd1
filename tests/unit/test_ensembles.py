"""Ensembles: combiners against scikit-learn's, selection and gain against slow versions, models on disk."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from sklearn import ensemble as peers
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch import Tensor, nn
from torchmetrics.classification import MulticlassF1Score, MultilabelF1Score

from chainrule import api, ensembles, models, prediction, seeding
from chainrule.data import load
from chainrule.data.batches import Batches
from chainrule.data.spec import Classes, Labels, Real, Target
from chainrule.ensembles import Ensemble, Stacking, Sum, Vote, Weighted, diversity, gain, select
from chainrule.ensembles.ensemble import network_outputs, sum_rule
from chainrule.ensembles.gain import Gain
from chainrule.errors import InputError
from chainrule.models import assembly
from chainrule.models.classical import Classical
from chainrule.nn.affine import Affine
from chainrule.run import Run
from tests.unchecked import unchecked


def iris(classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_iris(return_X_y=True)
    return x[y < classes, :2], y[y < classes]


def named(*estimators: Any) -> list[tuple[str, Any]]:
    return [(str(number), estimator) for number, estimator in enumerate(estimators)]


def classifiers() -> list[tuple[str, Any]]:
    return named(
        LogisticRegression(C=0.1), KNeighborsClassifier(7), DecisionTreeClassifier(max_depth=2, random_state=0)
    )


def regressors() -> list[tuple[str, Any]]:
    return named(Ridge(0.1), KNeighborsRegressor(9), DecisionTreeRegressor(max_depth=3, random_state=0))


def said(estimators: list[Any], x: np.ndarray) -> Tensor:
    """What fitted estimators say, ``[c, n, k]``."""
    answers = [e.predict_proba(x) if hasattr(e, "predict_proba") else e.predict(x)[:, None] for e in estimators]
    return torch.from_numpy(np.stack(answers))


@pytest.mark.parametrize("weights", [None, [2.0, 1.0, 0.5]])
def test_sum_and_weighted_are_scikit_learns_soft_vote(weights: list[float] | None) -> None:
    x, y = iris()
    peer = peers.VotingClassifier(classifiers(), voting="soft", weights=weights).fit(x, y)
    ours = Sum(3, 3) if weights is None else Weighted(3, 3, weights=weights)
    np.testing.assert_allclose(ours(said(peer.estimators_, x)), peer.predict_proba(x), atol=1e-14)


def test_vote_is_scikit_learns_hard_vote() -> None:
    x, y = iris()
    peer = peers.VotingClassifier(classifiers(), voting="hard").fit(x, y)
    outputs = said(peer.estimators_, x)
    shares = Vote(3, 3)(outputs)
    assert np.array_equal(shares.argmax(-1), peer.predict(x))
    votes = outputs.argmax(-1)
    assert len(votes.unique(dim=1).T) > 3  # they do not all agree
    torch.testing.assert_close(shares, torch.stack([(votes == k).double().mean(0) for k in range(3)], dim=1))


@pytest.mark.parametrize("weights", [None, [2.0, 1.0, 0.5]])
def test_sum_and_weighted_are_scikit_learns_voting_regressor(weights: list[float] | None) -> None:
    x, y = load_diabetes(return_X_y=True)
    peer = peers.VotingRegressor(regressors(), weights=weights).fit(x, y)
    ours = Sum(3, 1, "real") if weights is None else Weighted(3, 1, "real", weights=weights)
    np.testing.assert_allclose(ours(said(peer.estimators_, x))[:, 0], peer.predict(x), rtol=1e-13)


@pytest.mark.parametrize("members", [3, 4])
def test_vote_of_real_values_is_their_median(members: int) -> None:
    outputs = torch.randn(members, 20, 2)
    np.testing.assert_allclose(Vote(members, 2, "real")(outputs), np.median(outputs.numpy(), axis=0))


@pytest.mark.parametrize(("classes", "C"), [(2, 1.0), (3, 1.0), (3, 0.05)])
def test_stacking_is_scikit_learns(classes: int, C: float) -> None:
    x, y = iris(classes)
    fitted = [(name, estimator.fit(x, y)) for name, estimator in classifiers()]
    final = LogisticRegression(C=C, tol=1e-10, max_iter=5000)
    peer = peers.StackingClassifier(fitted, final, cv="prefit").fit(x, y)
    outputs = said([estimator for _, estimator in fitted], x)
    ours = Stacking(3, classes, C=C).learn(outputs, torch.from_numpy(y))
    np.testing.assert_allclose(ours(outputs), peer.predict_proba(x), atol=2e-5)


def test_stacking_of_labels_is_a_logistic_regression_of_each() -> None:
    outputs, targets = torch.rand(3, 60, 2, dtype=torch.float64), (torch.rand(60, 2) < 0.4).float()
    ours = Stacking(3, 2, "labels").learn(outputs, targets)(outputs)
    for label in range(2):
        x = outputs[..., label].T.numpy()
        peer = LogisticRegression(tol=1e-10).fit(x, targets[:, label])
        np.testing.assert_allclose(ours[:, label], peer.predict_proba(x)[:, 1], atol=1e-5)


def test_stacking_of_real_values_is_the_least_sum_of_squares_with_weights_above_zero() -> None:
    outputs, targets = torch.randn(5, 80, 2, dtype=torch.float64), torch.randn(80, 2, dtype=torch.float64)
    outputs = outputs + targets * torch.tensor([2.0, 1.0, -1.0, 0.0, 0.5])[:, None, None]
    ours = Stacking(5, 2, "real").learn(outputs, targets)
    for output in range(2):
        x, y = outputs[..., output].T.numpy(), targets[:, output].numpy()
        wanted = lsq_linear(x, y, bounds=(0, np.inf), tol=1e-14).x
        np.testing.assert_allclose(ours.weight[output], wanted, atol=1e-5)
        assert (wanted < 1e-6).any()
        np.testing.assert_allclose(ours(outputs)[:, output], x @ wanted, rtol=1e-5)


def test_weights_are_learned_by_selection() -> None:
    targets = torch.arange(90) % 3
    outputs = (torch.randn(4, 90, 3) + 2 * torch.eye(3)[targets] * torch.arange(4)[:, None, None]).softmax(-1)
    learned = Weighted(4, 3).learn(outputs, targets)
    assert torch.equal(learned.weights, select(outputs.double(), targets, "classes").weights)
    assert not torch.equal(learned.weights, torch.full((4,), 0.25, dtype=torch.float64))
    given = Weighted(4, 3, weights=[1, 0, 1, 2]).learn(outputs, targets)
    assert given.weights.tolist() == [0.25, 0.0, 0.25, 0.5]


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, -0.1, 1.0], [0.0, 0.0, 0.0], [1.0, math.inf, 1.0]])
def test_weights_that_make_no_sense(weights: list[float]) -> None:
    with pytest.raises(InputError, match="weights must be one number of at least 0 for each of 3 members"):
        Weighted(3, 2, weights=weights)


def test_stacking_says_what_it_lacks() -> None:
    outputs = torch.rand(2, 8, 3)
    with pytest.raises(InputError, match=r"Stacking has learned nothing yet; write learn\(outputs, targets\)"):
        Stacking(2, 3)(outputs)
    with pytest.raises(InputError, match="only samples of 2 of the 3 classes; give it more, or take the combiner 'su"):
        Stacking(2, 3).learn(outputs, torch.arange(8) % 2)
    with pytest.raises(InputError, match="only samples of one kind for one of the labels"):
        Stacking(2, 3, "labels").learn(outputs, torch.ones(8, 3))
    with pytest.raises(InputError, match="C has to be above 0; received 0"):
        Stacking(2, 3, C=0)


@pytest.mark.parametrize("targets", [torch.zeros(8, 3), torch.zeros(7).long()])
def test_learning_wants_targets_of_the_outputs(targets: Tensor) -> None:
    with unchecked(), pytest.raises(InputError, match=r"targets \[samples\]; received \[2, 8, 3\] and"):
        Sum(2, 3).learn(torch.rand(2, 8, 3), targets)


class Says(nn.Module):
    """A model that says the same of every sample."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = torch.tensor(values)

    def forward(self, raw: Tensor) -> Tensor:
        return self.values.expand(len(raw), -1)


@pytest.mark.parametrize(
    ("target", "call", "wanted"),
    [
        (Classes(("a", "b")), "sum", [0.6, 0.4]),
        (Classes(("a", "b")), "vote", [2 / 3, 1 / 3]),
        (Labels(("a", "b")), "vote", [2 / 3, 1 / 3]),
        (Labels(("a", "b")), "weighted(weights=[1, 0, 0])", [1.0, 0.0]),
        (Real(("a", "b")), "vote", [0.6, 0.4]),
        (Real(("a", "b")), "sum", [0.6, 0.4]),
    ],
)
def test_an_ensemble_is_a_model_like_any_other(target: Target, call: str, wanted: list[float]) -> None:
    members = [Says(1.0, 0.0), Says(0.6, 0.4), Says(0.2, 0.8)]
    network = Ensemble(members, ensembles.combiner(call, members=3, target=target), target)
    model = nn.Sequential(nn.Sequential(), network, assembly.output_of(target))
    raw = torch.zeros(5, 7, dtype=torch.uint8)
    torch.testing.assert_close(model(raw), torch.tensor(wanted).expand(5, 2))
    assert model[:2](raw).isfinite().all()


def test_an_ensemble_wants_a_combiner_of_its_own() -> None:
    with pytest.raises(InputError, match="made for 3 members with 2 outputs of 'classes'; received 1 members"):
        Ensemble([Says(0.5, 0.5)], Sum(3, 2), Classes(("a", "b")))
    with pytest.raises(InputError, match="and a target of 2 labels"):
        Ensemble([Says(0.5, 0.5)], Sum(1, 2), Labels(("a", "b")))
    with pytest.raises(InputError, match="There is no combiner named 'stackin'; did you mean 'stacking'"):
        ensembles.combiner("stackin", members=1, target=Classes(("a",)))
    with pytest.raises(InputError, match="There is no option of weighted named 'weight'; did you mean 'weights'"):
        ensembles.combiner("weighted(weight=[1])", members=1, target=Classes(("a",)))


@pytest.mark.parametrize("kind", ["classes", "labels", "real"])
def test_sum_rule_of_networks(kind: str) -> None:
    outputs = 5 * torch.randn(4, 20, 3, dtype=torch.float64)
    known: dict[str, Callable[[Tensor], Tensor]] = {"classes": lambda z: z.softmax(-1), "labels": torch.sigmoid}
    of = known.get(kind, lambda z: z)
    combined = sum_rule(outputs, kind)
    torch.testing.assert_close(of(combined), of(outputs).mean(0))
    if kind != "real":
        torch.testing.assert_close(combined, network_outputs(of(outputs).mean(0), kind))
    assert sum_rule(torch.tensor([[[300.0, -300.0]], [[200.0, -100.0]]]), kind).isfinite().all()


def slow_score(outputs: np.ndarray, targets: np.ndarray, kind: str) -> float:
    if kind == "real":
        return float(np.mean([1 - r2_score(targets[:, k], outputs[:, k]) for k in range(outputs.shape[1])]))
    found = []
    for temperature in 2 ** np.linspace(-2, 2, 13):
        if kind == "classes":
            powers = outputs ** (1 / temperature)
            chances = (powers / powers.sum(axis=1, keepdims=True))[np.arange(len(targets)), targets]
        else:
            odds = (outputs / (1 - outputs)) ** (1 / temperature)
            chances = np.where(targets == 1, odds / (1 + odds), 1 / (1 + odds))
        found.append(-np.log(chances).mean())
    return float(min(found))


def candidates(kind: str, c: int = 6, n: int = 50) -> tuple[Tensor, Tensor]:
    """Members that are better and worse, and the truth."""
    truth = {"classes": torch.arange(n) % 3, "labels": (torch.rand(n, 3) < 0.4).float(), "real": torch.randn(n, 3)}
    targets = truth[kind].double() if kind != "classes" else truth[kind]
    sure = (
        2.0 * torch.eye(3, dtype=torch.float64)[targets] if kind == "classes" else 2 * targets - int(kind == "labels")
    )
    raw = sure + torch.linspace(1.5, 2.5, c)[:, None, None] * torch.randn(c, n, 3, dtype=torch.float64)
    return {"classes": lambda z: z.softmax(-1), "labels": torch.sigmoid, "real": lambda z: z / 2}[kind](raw), targets


@pytest.mark.parametrize("kind", ["classes", "labels", "real"])
def test_selection_is_the_greedy_one(kind: str) -> None:
    outputs, targets = candidates(kind)
    chosen = select(outputs, targets, kind, start=2, most=12, tolerance=0.0)
    each, true = outputs.numpy(), targets.numpy()

    def score(additions: list[int]) -> float:
        return round(slow_score(each[additions].mean(axis=0), true, kind), 12)

    ranked = sorted(range(6), key=lambda member: score([member]))
    additions = min([ranked[:1], ranked[:2]], key=score)
    path = [additions[: i + 1] for i in range(len(additions))]
    while len(additions) < 12:
        additions = min(([*additions, member] for member in range(6)), key=score)
        path.append(additions)
    best = min(path, key=score)
    assert list(chosen.additions) == best
    np.testing.assert_allclose(chosen.scores, [score(best[: i + 1]) for i in range(len(best))], rtol=1e-9)
    np.testing.assert_allclose(chosen.weights, np.bincount(best, minlength=6) / len(best))
    assert chosen.scores[-1] < min(score([member]) for member in range(6))
    assert len(chosen.members) > 1
    assert chosen.members == list(dict.fromkeys(best))


@pytest.mark.parametrize("kind", ["classes", "labels", "real"])
def test_selection_does_not_depend_on_the_order(kind: str) -> None:
    outputs, targets = candidates(kind)
    order, samples = torch.randperm(6), torch.randperm(50)
    one, other = select(outputs, targets, kind), select(outputs[order][:, samples], targets[samples], kind)
    assert [int(order[member]) for member in other.additions] == list(one.additions)
    assert select(outputs, targets, kind).additions == one.additions


def test_a_new_member_must_pay_for_itself() -> None:
    outputs, targets = candidates("classes")
    sizes = []
    for tolerance in (0.0, 1e-3, 0.02, 10.0):
        chosen = select(outputs, targets, "classes", tolerance=tolerance)
        alone = select(outputs, targets, "classes", tolerance=10.0).scores[0]
        assert alone - chosen.scores[-1] >= tolerance * (len(chosen.members) - 1)
        sizes.append(len(chosen.members))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1] == 1
    assert chosen.weights.tolist() == [1.0, 0, 0, 0, 0, 0]
    assert chosen.ended == "10 more additions do not improve the score by 10 for each new member"
    # How bold a member is does not matter.
    for change in (lambda p: p**0.5, lambda p: p**2):
        other = change(outputs) / change(outputs).sum(dim=-1, keepdim=True)
        ranks = [select(o[[i]], targets, "classes").scores[0] for o in (outputs, other) for i in range(6)]
        assert np.argsort(ranks[:6]).tolist() == np.argsort(ranks[6:]).tolist()
    # Copies of a member are no news, whatever rounding makes of their mean.
    assert select(outputs[:1].expand(4, -1, -1), targets, "classes", tolerance=0).additions == (0,)


def test_bagged_weights_are_means_over_draws_and_hurt_no_sure_choice() -> None:
    g = torch.Generator().manual_seed(0)
    targets = torch.randint(3, (60,), generator=g)
    right = torch.nn.functional.one_hot(targets, 3) * 0.8 + 0.2 / 3
    guess = torch.full((60, 3), 1 / 3)
    noisy = (right + torch.rand(60, 3, generator=g)).softmax(1)
    outputs = torch.stack([guess, right, noisy])
    weights = ensembles.bagged(outputs, targets, "classes")
    assert weights.tolist() == pytest.approx([0, 1, 0])
    assert torch.equal(weights, ensembles.bagged(outputs, targets, "classes"))
    errors = torch.randn(4, 50, 1, generator=g, dtype=torch.float64)
    truth = torch.randn(50, 1, generator=g, dtype=torch.float64)
    shared = ensembles.bagged(truth + errors, truth, "real", bags=5, least=0.0, seed=3)
    draw = seeding.generator(3)
    drawn = [torch.randint(50, (50,), generator=draw) for _ in range(5)]
    each = [ensembles.select((truth + errors)[:, rows], truth[rows], "real").weights for rows in drawn]
    torch.testing.assert_close(shared, torch.stack(each).mean(0))
    assert (ensembles.bagged(truth + errors, truth, "real", least=0.3) > 0).sum() < (shared > 0).sum()
    with pytest.raises(InputError, match="bags >= 1"):
        ensembles.bagged(outputs, targets, "classes", bags=0)


def test_selection_that_ends_too_early_says_so() -> None:
    outputs, targets = candidates("real", c=8)
    chosen = select(outputs, targets, "real", start=1, most=2, tolerance=0)
    assert len(chosen.additions) == 2
    assert chosen.ended == "2 additions were allowed, and the last still improved the score"
    with pytest.raises(InputError, match="wants 1 <= start <= most and a tolerance of at least 0; received start=3, m"):
        select(outputs, targets, "real", most=2)


def test_diversity_of_classes_and_labels() -> None:
    outputs, targets = candidates("classes")
    right = (outputs.argmax(-1) == targets).numpy()
    found = diversity(outputs, targets, "classes")
    assert set(found) == {"q", "correlation", "disagreement"}
    np.testing.assert_allclose(found["correlation"], np.corrcoef(right), atol=1e-12)
    a, b = right[1], right[4]
    n11, n00, n10, n01 = (a & b).sum(), (~a & ~b).sum(), (a & ~b).sum(), (~a & b).sum()
    assert found["q"][1, 4] == (n11 * n00 - n01 * n10) / (n11 * n00 + n01 * n10)
    assert found["disagreement"][1, 4] == (n01 + n10) / len(a)
    outputs, targets = candidates("labels")
    right = ((outputs > 0.5) == (targets > 0.5)).flatten(1).numpy()
    np.testing.assert_allclose(diversity(outputs, targets, "labels")["correlation"], np.corrcoef(right), atol=1e-12)


def test_diversity_of_real_values() -> None:
    outputs, targets = candidates("real")
    outputs, targets = outputs * torch.tensor([1.0, 1000, 1]), targets * torch.tensor([1.0, 1000, 1])
    outputs[5] = targets + 3
    found = diversity(outputs, targets, "real")
    errors = (outputs - targets) / targets.std(0, correction=0)
    errors = (errors - errors.mean(1, keepdim=True)).flatten(1).numpy()
    np.testing.assert_allclose(found["correlation"][:5, :5], np.corrcoef(errors[:5]), atol=1e-12)
    np.testing.assert_allclose(found["correlation"][5, :5], 0, atol=1e-6)
    assert set(found) == {"correlation"}


def macro(metric: Any) -> Callable[[Tensor, Tensor], float]:
    return lambda said, true: float(metric(said, true))


SCORES: dict[tuple[str, str], Callable[[Tensor, Tensor], float]] = {
    ("classes", "accuracy"): lambda said, true: accuracy_score(true, said.argmax(-1)),
    ("classes", "f1"): macro(MulticlassF1Score(3, average="macro")),
    ("labels", "accuracy"): lambda said, true: accuracy_score(true.flatten(), (said > 0.5).flatten()),
    ("labels", "f1"): macro(MultilabelF1Score(3, average="macro")),
    ("real", "r2"): lambda said, true: r2_score(true, said),
}


@pytest.mark.parametrize(("kind", "metric"), SCORES)
def test_gain_is_the_paired_bootstrap(kind: str, metric: str) -> None:
    outputs, targets = candidates(kind, n=9)  # so few that draws lack a class
    if kind != "real":
        targets = targets.long()
    found = gain(outputs[5], outputs[0], targets, kind, metric=metric, resamples=80, seed=3)
    score = SCORES[kind, metric]

    def difference(samples: Tensor) -> float:
        return score(outputs[0, samples], targets[samples]) - score(outputs[5, samples], targets[samples])

    assert found.value == pytest.approx(difference(torch.arange(9)), abs=1e-6)
    drawn = torch.randint(9, (80, 9), generator=seeding.generator(3))
    low, high = np.quantile([difference(samples) for samples in drawn], [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found == gain(outputs[5], outputs[0], targets, kind, metric=metric, resamples=80, seed=3)


def test_interval_of_a_gain_has_the_width_of_theory() -> None:
    targets = torch.zeros(900).long()
    right = torch.rand(2, 900) < torch.tensor([[0.8], [0.85]])
    outputs = torch.stack([right.double(), 1 - right.double()], dim=-1)
    found = gain(outputs[0], outputs[1], targets, "classes")
    difference = right[1].double() - right[0].double()
    half = 1.96 * float(difference.std()) / 30
    assert found.value == pytest.approx(float(difference.mean()))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.08)
    same = gain(outputs[0], outputs[0], targets, "classes")
    assert same == Gain("accuracy", 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            Gain("accuracy", 0.0061, -0.003, 0.0142),
            "0.6 points better than the best member (95 % interval -0.3 to 1.4)",
        ),
        (Gain("f1", -0.02, -0.03, -0.0001), "2.0 points of F1 worse than the best member (95 % interval -3.0 to 0.0)"),
        (Gain("r2", 0.0123, 0.01, 0.02), "0.012 of R2 better than the best member (95 % interval 0.010 to 0.020)"),
        (Gain("accuracy", -0.0001, -0.01, 0.01), "as good as the best member (95 % interval -1.0 to 1.0)"),
    ],
)
def test_a_gain_is_a_sentence(found: Gain, sentence: str) -> None:
    assert str(found) == sentence


def test_gain_says_what_cannot_be_compared() -> None:
    ones = torch.ones(4, 1)
    with pytest.raises(InputError, match="There is no metric of a gain in real named 'accuracy'; write one of: r2"):
        gain(ones, ones, ones, "real", metric="accuracy")
    with pytest.raises(InputError, match="R2 has no meaning where all values of a target are the same"):
        gain(ones, ones, ones, "real")
    with unchecked(), pytest.raises(InputError, match=r"the same number of things; received \[4, 1\] and \[3, 1\]"):
        gain(ones, ones[:3], ones, "real")


TABLE = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
TRUTH: dict[str, np.ndarray] = {
    "classes": (TABLE[:, 0] + TABLE[:, 1] > 0).astype(int) + (TABLE[:, 2] > 1),
    "labels": (TABLE[:, :2] > 0).astype(np.float32),
    "real": 1000 + 50 * TABLE[:, 0] * TABLE[:, 1],
}
MEMBERS = {"classes": ("knn", "mlp(width=8)"), "labels": ("mlp(width=8)", "mlp(width=4)"), "real": ("ridge", "mlp")}


def member(place: Path, kind: str, call: str) -> Run:
    """A model as a run has it on disk; a network stays as it begins."""
    data = load((TABLE, TRUTH[kind]), kind="labels" if kind == "labels" else None)
    train = Batches(data.train, size=100, device=assembly.CPU)
    preparation = assembly.learn_preparation(data.inputs, train)
    network = models.build(call, inputs=assembly.prepared(data.inputs, preparation), target=data.target)
    output = assembly.output_of(data.target)
    if isinstance(output, Affine):
        output = Affine([1000.0], [50.0])
    if isinstance(network, Classical):
        units = output if isinstance(output, Affine) else None
        network.learn(preparation(torch.stack([row for row, *_ in data.train])), data.train.targets, units=units)
    model = nn.Sequential(preparation, network, output)
    (place / "model").mkdir(parents=True)
    assembly.save_description(place / "model", model, call, data.inputs, data.target)
    assembly.save_weights(place / "model", model)
    return api.load_run(place)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Run]]:
    """Two models for each kind of target."""
    root = tmp_path_factory.mktemp("members")
    return {kind: [member(root / f"{kind}-{call}", kind, call) for call in calls] for kind, calls in MEMBERS.items()}


def saved(place: Path, members: list[Run], call: str) -> Path:
    """An ensemble of runs on disk, learned on all that there is."""
    first = members[0]
    outputs = torch.from_numpy(np.stack([as_outputs(run) for run in members]))
    combiner = ensembles.combiner(call, members=len(members), target=first.target)
    truth = torch.from_numpy(TRUTH[first.target.kind])
    combiner.learn(outputs, truth[:, None] if first.target.kind == "real" else truth)
    assembly.save_ensemble(
        place / "model", [run.directory / "model" for run in members], combiner, first.inputs, first.target
    )
    return place


def as_outputs(run: Run) -> np.ndarray:
    return run.predict(TABLE)[:, None] if run.target.kind == "real" else run.predict_proba(TABLE)


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize("call", ["sum", "vote", "weighted(weights=[1, 3])", "weighted", "stacking(C=2.0)"])
def test_a_saved_ensemble_is_a_run_like_any_other(
    runs: dict[str, list[Run]], kind: str, call: str, tmp_path: Path
) -> None:
    again = api.load_run(saved(tmp_path / "ensemble", runs[kind], call))
    assert [type(part) for part in again.model][:2] == [nn.Sequential, Ensemble]
    assert (again.inputs, again.target) == (runs[kind][0].inputs, runs[kind][0].target)
    each = torch.from_numpy(np.stack([as_outputs(run) for run in runs[kind]]))
    combiner = again.model[1].get_submodule("combiner")
    np.testing.assert_allclose(as_outputs(again), combiner(each), rtol=1e-5, atol=1e-6)
    if call == "sum":
        np.testing.assert_allclose(as_outputs(again), each.mean(0), rtol=1e-5, atol=1e-6)
    assert again.predict(TABLE).shape == runs[kind][0].predict(TABLE).shape
    np.savez(tmp_path / "table.npz", x=TABLE)
    rows = list(prediction.rows_of(again, tmp_path / "table.npz", warn=pytest.fail))
    assert len(rows) == 90
    assert rows[0].keys() == next(prediction.rows_of(runs[kind][0], tmp_path / "table.npz", warn=pytest.fail)).keys()


def test_an_ensemble_may_be_a_member(runs: dict[str, list[Run]], tmp_path: Path) -> None:
    inner = api.load_run(saved(tmp_path / "inner", runs["real"], "sum"))
    outer = api.load_run(saved(tmp_path / "outer", [inner, runs["real"][0]], "sum"))
    wanted = (inner.predict(TABLE) + runs["real"][0].predict(TABLE)) / 2
    np.testing.assert_allclose(outer.predict(TABLE), wanted, rtol=1e-6)


HARMS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no member": ("members/1/model.json", Path.unlink, r"members/1/model.json is missing.* make the ensemble again\.$"),
    "no folder": ("members/1", shutil.rmtree, r"members/1/model.json is missing.* make the ensemble again\.$"),
    "no numbers": ("weights.safetensors", Path.unlink, r"weights.safetensors is missing; without it"),
    "damaged member": (
        "members/0/weights.safetensors",
        lambda p: p.write_bytes(b"x"),
        r"members/0/weights.* is damaged",
    ),
    "no combiner": ("model.json", lambda p: replaced(p, '"stacking"', '"stakcing"'), "damaged .*There is no combiner"),
    "no options": ("model.json", lambda p: replaced(p, '"options"', '"option"'), r"model.json is damaged \(KeyError"),
    "other members": ("model.json", lambda p: replaced(p, '"members": 2', '"members": 3'), "members/2/model.json is m"),
    "other numbers": ("model.json", lambda p: replaced(p, '"members": 2', '"members": 1'), "does not fit model.json: "),
    "other data": ("members/1/model.json", lambda p: replaced(p, '"x1"', '"x7"'), "no member of this ensemble: it mak"),
}


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(("name", "harm", "sentence"), HARMS.values(), ids=HARMS)
def test_a_damaged_ensemble_says_where(
    runs: dict[str, list[Run]], tmp_path: Path, name: str, harm: Callable[[Path], object], sentence: str
) -> None:
    place = saved(tmp_path / "ensemble", runs["classes"], "stacking")
    harm(place / "model" / name)
    with pytest.raises(InputError, match=sentence):
        api.load_run(place).predict(TABLE)


def test_an_ensemble_of_other_members_is_not_written(runs: dict[str, list[Run]], tmp_path: Path) -> None:
    target, inputs = runs["real"][0].target, runs["real"][0].inputs
    places = [run.directory / "model" for run in runs["real"]]
    combiner = Sum(2, 1, "real")
    with pytest.raises(InputError, match="is no member of this ensemble: it makes 3 classes of 3 columns, the ensemb"):
        assembly.save_ensemble(
            tmp_path / "new", [places[0], runs["classes"][0].directory / "model"], combiner, inputs, target
        )
    with pytest.raises(InputError, match="made for 2 members"):
        assembly.save_ensemble(tmp_path / "new", places[:1], combiner, inputs, target)
    with pytest.raises(InputError, match=r"model.json is missing"):
        assembly.save_ensemble(tmp_path / "new", [tmp_path, *places[:1]], combiner, inputs, target)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    assembly.save_ensemble(tmp_path / "empty", places, combiner, inputs, target)
    with pytest.raises(InputError, match="exists and is not overwritten; name a new directory"):
        assembly.save_ensemble(tmp_path / "empty", places, combiner, inputs, target)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
