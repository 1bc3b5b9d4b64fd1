"""Tasks: losses against torch, the losses of a model that knows nothing against their closed forms, metrics against
scikit-learn."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as sk
from torch import Tensor

from chainrule.data.batches import Batch
from chainrule.data.spec import Classes, Labels, Real
from chainrule.errors import InputError
from chainrule.tasks import AbstractTask, Classification, MultiLabel, Regression, for_target
from chainrule.training.meter import Meter


def step(task: AbstractTask, output: Tensor, targets: Tensor):
    return task.step("fit", lambda raw: output, Batch(targets, targets, torch.arange(len(targets)), len(targets)))


def targets_of(counts: list[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classification_is_cross_entropy(smoothing: float) -> None:
    logits, targets = torch.randn(20, 4), torch.randint(0, 4, (20,))
    task = Classification([1, 1, 1, 1], label_smoothing=smoothing)
    torch.testing.assert_close(
        step(task, logits, targets).losses.mean(), F.cross_entropy(logits, targets, label_smoothing=smoothing)
    )
    soft = F.one_hot(targets, 4).float()
    torch.testing.assert_close(step(task, logits, soft).losses, step(task, logits, targets).losses)


def test_balanced_weights_give_each_class_the_same_say() -> None:
    counts = [80, 15, 5]
    task, targets = Classification(counts, balance=True), targets_of(counts)
    weights = task.weights[targets]
    assert weights.mean().item() == pytest.approx(1)
    sums = [weights[targets == c].sum().item() for c in range(3)]
    assert sums == pytest.approx([100 / 3] * 3)


def test_the_untrained_loss_of_a_classifier_is_log_k() -> None:
    reference = Classification([60, 30, 10]).reference(targets_of([60, 30, 10]))
    assert reference.untrained == pytest.approx(math.log(3), rel=1e-6)
    assert reference.constant == pytest.approx(-sum(p * math.log(p) for p in (0.6, 0.3, 0.1)), rel=1e-6)


def test_the_untrained_loss_with_smoothing_and_weights() -> None:
    priors, s = np.array([0.6, 0.3, 0.1]), 0.2
    w = (1 / priors) / 3
    task = Classification([60, 30, 10], label_smoothing=s, balance=True)
    reference = task.reference(targets_of([60, 30, 10]))
    expected = sum(p * ((1 - s) * w[c] + s / 3 * w.sum()) * math.log(3) for c, p in enumerate(priors))
    assert reference.untrained == pytest.approx(expected, rel=1e-6)
    # The constant is the best there is: the loss rises wherever one moves from it.
    best, targets = task.constant(targets_of([60, 30, 10])), targets_of([60, 30, 10])
    for direction in torch.eye(3):
        for sign in (-0.05, 0.05):
            moved = (best + sign * direction).expand(100, -1)
            assert step(task, moved, targets).losses.double().mean().item() > reference.constant


@pytest.mark.parametrize("balance", [False, True])
def test_multi_label_references(balance: bool) -> None:
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    task = MultiLabel([3, 1], 4, balance=balance)
    reference = task.reference(targets)
    weight = torch.tensor([1 / 3, 3.0]) if balance else torch.ones(2)
    expected = F.binary_cross_entropy_with_logits(torch.zeros(4, 2), targets, pos_weight=weight)
    assert reference.untrained == pytest.approx(expected.item(), rel=1e-6)
    if not balance:
        assert reference.untrained == pytest.approx(math.log(2), rel=1e-6)
        entropy = [-(p * math.log(p) + (1 - p) * math.log(1 - p)) for p in (0.75, 0.25)]
        assert reference.constant == pytest.approx(sum(entropy) / 2, rel=1e-6)
    else:
        # Balanced labels look as likely as not.
        assert reference.constant == pytest.approx(reference.untrained, rel=1e-6)


def test_regression_references_on_standardised_targets() -> None:
    targets = torch.tensor([[1e6 + 1.0], [1e6 + 2.0], [1e6 + 6.0]])  # mean 3, variance 14 / 3, median 2
    squared = for_target(Real(("y",)), targets).reference(targets)
    assert (squared.untrained, squared.constant) == pytest.approx((1, 1), rel=1e-5)
    absolute = for_target(Real(("y",)), targets, loss="l1").reference(targets)
    std = math.sqrt(14 / 3)
    assert absolute.untrained == pytest.approx((2 + 1 + 3) / 3 / std, rel=1e-5)
    assert absolute.constant == pytest.approx((1 + 0 + 4) / 3 / std, rel=1e-5)


def test_metrics_agree_with_scikit_learn_however_the_batches_are_cut() -> None:
    logits, targets = torch.randn(200, 5), torch.randint(0, 5, (200,))
    task = Classification([40] * 5)
    found = metered(task, logits, targets, size=7)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(targets, logits.argmax(1)))
    assert found["f1"] == pytest.approx(sk.f1_score(targets, logits.argmax(1), average="macro"))
    assert found["loss"] == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-6)


def test_multi_label_metrics_agree_with_scikit_learn() -> None:
    logits, targets = torch.randn(100, 3), (torch.rand(100, 3) > 0.6).float()
    found = metered(for_target(Labels(("a", "b", "c")), targets), logits, targets, size=9)
    said = (logits > 0).int()
    assert found["exact"] == pytest.approx(sk.accuracy_score(targets, said))
    assert found["accuracy"] == pytest.approx((said == targets).float().mean().item())
    assert found["f1"] == pytest.approx(sk.f1_score(targets, said, average="macro"))


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_regression_metrics_agree_with_scikit_learn_also_beside_a_large_mean(offset: float) -> None:
    targets = (torch.randn(150, 2) * torch.tensor([1.0, 50.0]) + offset).float()
    task = for_target(Real(("a", "b")), targets)
    standardised = task.units.inverse(targets) + 0.3 * torch.randn(150, 2)
    found = metered(task, standardised, targets, size=8)
    said = task.units.inverse(targets), standardised
    assert found["r2"] == pytest.approx(sk.r2_score(*said), rel=1e-4)
    std = targets.double().std(0, correction=0)
    rmse = ((said[0] - said[1]).square().mean(0).sqrt() * std).tolist()
    assert [found["rmse a"], found["rmse b"]] == pytest.approx(rmse, rel=1e-4)
    single = for_target(Real(("a",)), targets[:, :1])
    assert set(metered(single, standardised[:, :1], targets[:, :1], size=8)) == {"loss", "r2", "rmse", "mae"}


def metered(task: AbstractTask, output: Tensor, targets: Tensor, *, size: int) -> dict[str, float]:
    meter = Meter(task, torch.device("cpu"))
    for number, (part, truth) in enumerate(zip(output.split(size), targets.split(size), strict=True)):
        meter.update(step(task, part, truth))
        if number == 3:
            state = meter.state_dict()
            meter = Meter(task, torch.device("cpu"))
            meter.load_state_dict(state)
    return meter.compute()


def test_outputs_are_probabilities_or_the_targets_units() -> None:
    assert Classification([1, 1]).output()(torch.randn(3, 2)).sum(1) == pytest.approx(torch.ones(3))
    assert MultiLabel([1, 1], 2).output()(torch.zeros(1, 2)).tolist() == [[0.5, 0.5]]
    assert Regression(["y"], [10.0], [2.0]).output()(torch.tensor([[1.0]])).tolist() == [[12.0]]


def test_other_losses_of_classes() -> None:
    logits, targets = torch.randn(9, 3), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2])
    task = for_target(Classes(("a", "b", "c")), targets, loss="hinge")
    torch.testing.assert_close(step(task, logits, targets).losses.mean(), 3 * F.multi_margin_loss(logits, targets))
    reference = task.reference(targets)
    # (k - 1) at zero; always giving the first class, 3 / 9 of the samples cost 2 + 1.
    assert reference.untrained == pytest.approx(2)
    assert reference.constant == pytest.approx(1, rel=0.01)


def test_options_that_mean_nothing_for_a_target_are_refused() -> None:
    with pytest.raises(InputError, match="label_smoothing is for classes"):
        for_target(Real(("y",)), torch.randn(3, 1), label_smoothing=0.1)
    two = Classes(("a", "b")), torch.tensor([0, 1])
    with pytest.raises(InputError, match="of 2 classes named 'l1'; write one of: crammer-singer, cross-entropy"):
        for_target(*two, loss="l1")
    with pytest.raises(InputError, match="belong to cross-entropy, but loss='hinge' was given"):
        for_target(*two, loss="hinge", balance=True)
    with pytest.raises(InputError, match="are --label-smoothing and --balance"):
        for_target(*two, loss="cross-entropy(label_smoothing=0.3)")
    with pytest.raises(InputError, match="has only its own"):
        for_target(Labels(("a", "b")), torch.eye(2), loss="focal")


def test_the_better_of_two_values() -> None:
    task = Classification([1, 1])
    assert task.improves("loss", 1.0, None)
    assert task.improves("loss", 0.9, 1.0)
    assert task.improves("accuracy", 0.9, 0.8)
    assert not task.improves("accuracy", 0.8, 0.8)
    assert not task.improves("loss", math.nan, None)
