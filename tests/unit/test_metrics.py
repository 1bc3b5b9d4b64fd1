"""Values of the metrics against counting by hand, scikit-learn and torchmetrics; names; two processes."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score, coverage_error, label_ranking_loss
from torch import Tensor

from chainrule import metrics
from chainrule.errors import InputError
from chainrule.metrics import diversity
from chainrule.metrics.ranking import top_label_is_wrong
from tests.unchecked import unchecked


def classified(n: int = 60, classifiers: int = 4) -> tuple[Tensor, Tensor]:
    """Classes given by classifiers of different quality, and the true ones."""
    target = torch.randint(3, (n,))
    guessed = torch.randint(3, (n, classifiers))
    knows = torch.rand(n, classifiers) < torch.linspace(0.2, 0.9, classifiers)
    return torch.where(knows, target[:, None], guessed), target


def table(preds: Tensor, target: Tensor, i: int, j: int) -> tuple[int, int, int, int]:
    """N11, N10, N01, N00 of one pair, counted one by one."""
    pairs = [(int(row[i] == t), int(row[j] == t)) for row, t in zip(preds, target, strict=True)]
    n11, n10, n01, n00 = (pairs.count(cell) for cell in ((1, 1), (1, 0), (0, 1), (0, 0)))
    return n11, n10, n01, n00


def slow(name: str, preds: Tensor, target: Tensor, i: int, j: int) -> float:
    a, b, c, d = table(preds, target, i, j)
    if name == "pairwise-q":
        return (a * d - b * c) / (a * d + b * c)
    if name == "pairwise-correlation":
        first, second = (np.asarray(preds[:, k] == target, dtype=float) for k in (i, j))
        return float(np.corrcoef(first, second)[0, 1])
    if name == "pairwise-kappa":
        first, second = ((preds[:, k] == target).numpy() for k in (i, j))
        return float(cohen_kappa_score(first, second))
    return {"pairwise-disagreement": b + c, "pairwise-double-fault": d}[name] / len(target)


PAIRWISE = ["pairwise-q", "pairwise-correlation", "pairwise-disagreement", "pairwise-double-fault", "pairwise-kappa"]


@pytest.mark.parametrize("name", PAIRWISE)
def test_pairwise_is_the_definition(name: str) -> None:
    preds, target = classified()
    metric = metrics.metric(name, num_classifiers=4)
    for part in (slice(0, 7), slice(7, 40), slice(40, 60)):
        metric.update(preds[part], target[part])
    expected = [[slow(name, preds, target, i, j) for j in range(4)] for i in range(4)]
    torch.testing.assert_close(metric.compute(), torch.tensor(expected), rtol=1e-6, atol=1e-6)


def test_joint_counts() -> None:
    preds, target = classified()
    counts = diversity.joint_counts(preds == target[:, None])
    assert tuple(int(count[1, 3]) for count in counts) == table(preds, target, 1, 3)
    assert torch.equal(sum(counts), torch.full((4, 4), 60.0, dtype=torch.float64))


def test_worked_table() -> None:
    """40 samples right for both, 10 and 20 for one, 30 for none."""
    right = torch.tensor([[1, 1]] * 40 + [[1, 0]] * 10 + [[0, 1]] * 20 + [[0, 0]] * 30).bool()
    counts = diversity.joint_counts(right)
    assert diversity.q_statistic(counts)[0, 1].item() == pytest.approx((1200 - 200) / (1200 + 200))
    assert diversity.correlation(counts)[0, 1].item() == pytest.approx(1000 / math.sqrt(50 * 50 * 60 * 40))
    assert diversity.disagreement(counts)[0, 1].item() == pytest.approx(0.3)
    assert diversity.double_fault(counts)[0, 1].item() == pytest.approx(0.3)
    assert diversity.kappa(counts)[0, 1].item() == pytest.approx(0.4)


def test_correlation_is_no_larger_than_q() -> None:
    counts = diversity.joint_counts(torch.rand(500, 12) < 0.6)
    q, rho = diversity.q_statistic(counts), diversity.correlation(counts)
    assert (rho.abs() <= q.abs() + 1e-12).all()
    assert (rho.sign() == q.sign()).all()


@pytest.mark.parametrize("name", PAIRWISE)
def test_constant_classifiers_depend_on_nothing(name: str) -> None:
    """One is always right, one always wrong, one in between."""
    target = torch.zeros(10, dtype=torch.long)
    preds = torch.stack([target, target + 1, torch.arange(10) % 2], dim=1)
    metric = metrics.metric(name, num_classifiers=3)
    metric.update(preds, target)
    matrix = metric.compute()
    assert matrix.isfinite().all()
    if name in ("pairwise-q", "pairwise-correlation", "pairwise-kappa"):
        assert matrix[2, 2] == 1
        assert matrix[:2].abs().sum() == 0


@pytest.mark.parametrize("name", PAIRWISE)
def test_counts_stay_exact(name: str) -> None:
    """Far beyond the whole numbers that float32 tells apart, in mixed precision."""
    metric, twice = (metrics.metric(name, num_classifiers=2) for _ in range(2))
    preds, target = torch.tensor([[0, 0], [0, 1], [1, 0]]).repeat(1000, 1), torch.zeros(3000, dtype=torch.long)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        metric.update(preds, target)
    assert metric.n11.tolist() == [[2000, 1000], [1000, 2000]]
    metric.n11 += 2**40
    metric.total += 2**40
    twice.update(preds, target)
    metric.update(preds, target)
    assert metric.n11[0, 1] == 2**40 + 2000


def test_one_error_by_hand() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.7, 0.6], [-5.0, -2.0, -3.0], [0.1, 0.1, 0.0]])
    targets = torch.tensor([[1, 0, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert top_label_is_wrong(scores, targets).tolist() == [False, True, False, True]
    metric = metrics.MultilabelOneError(3)
    metric.update(scores[:1], targets[:1])
    metric.update(scores[1:], targets[1:] == 1)
    assert metric.compute() == 0.5


def test_one_error_of_a_single_label_is_the_classification_error() -> None:
    scores, truth = torch.randn(50, 4), torch.randint(4, (50,))
    metric = metrics.MultilabelOneError(4)
    wrong = 1 - metrics.metric("multiclass-accuracy(num_classes=4, average='micro')")(scores, truth)
    torch.testing.assert_close(metric(scores, torch.eye(4).long()[truth]), wrong)


def test_coverage_and_ranking_loss_of_torchmetrics() -> None:
    """They are reached by name and not written again; scikit-learn says that they are right."""
    scores, targets = torch.rand(40, 5), torch.rand(40, 5) < 0.4
    for name, reference in (("coverage-error", coverage_error), ("ranking-loss", label_ranking_loss)):
        metric = metrics.metric(f"multilabel-{name}", num_labels=5)
        value = metric(scores, targets.long()).item()
        assert value == pytest.approx(reference(targets.numpy(), scores.numpy()), rel=1e-5)


def test_bias_variance() -> None:
    """Means of 1 to 100 samples of noise 2 around 5, refitted often: variance 4 / size, no bias but what is put in."""
    refits, sizes = 4000, [1, 10, 100]
    draws = 5 + 2 * torch.randn(refits, 100, dtype=torch.float64)
    predictions = torch.stack([draws[:, :size].mean(1) for size in sizes], dim=1)
    target = torch.tensor([5.0, 5.0, 4.0], dtype=torch.float64)
    parts = metrics.bias_variance(predictions, target)
    torch.testing.assert_close(parts.squared_bias + parts.variance, parts.error)
    torch.testing.assert_close(parts.error, ((predictions - target) ** 2).mean(0))
    assert parts.variance.tolist() == pytest.approx([4.0, 0.4, 0.04], rel=0.1)
    assert parts.squared_bias.tolist() == pytest.approx([0.0, 0.0, 1.0], abs=0.02)


@pytest.mark.parametrize("shape", [(1, 3), (4, 2), (3,)])
def test_bias_variance_wants_refits(shape: tuple[int, ...]) -> None:
    with unchecked(), pytest.raises(InputError, match="at least 2 models"):
        metrics.bias_variance(torch.zeros(shape), torch.zeros(3))


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("multiclass-f1-score(num_classes=3)", "MulticlassF1Score"),
        ("MulticlassF1Score(num_classes=3)", "MulticlassF1Score"),
        ("accuracy(task='binary')", "BinaryAccuracy"),
        ("r2-score", "R2Score"),
        ("mean-iou(num_classes=3)", "MeanIoU"),
        ("pairwise_q(num_classifiers=3)", "PairwiseQ"),
    ],
)
def test_by_name(call: str, kind: str) -> None:
    assert type(metrics.metric(call)).__name__ == kind


def test_public_names_are_there() -> None:
    assert all(getattr(metrics, name) is not None for name in metrics.__all__)
    with pytest.raises(AttributeError, match="no 'PairwiseP'"):
        metrics.PairwiseP  # noqa: B018


def test_no_name_hides_another() -> None:
    keys = [metrics._key(name) for name in metrics.known()]
    assert sorted(keys) == sorted(set(keys))


def test_every_metric_is_explained_in_a_sentence() -> None:
    for name in metrics.known():
        sentence = metrics.explain(name)
        assert sentence[0].isupper(), name
        assert sentence.rstrip().endswith("."), name
        assert "`" not in sentence, name


def test_meanings_belong_to_metrics() -> None:
    names = metrics.known()
    assert [name for name in metrics.MEANINGS if not any(known.endswith(name) for known in names)] == []


def test_explained_by_task() -> None:
    assert metrics.explain("multilabel-accuracy") != metrics.explain("accuracy") == metrics.explain("BinaryAccuracy")
    assert "exactly one" in metrics.explain("pairwise-disagreement")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("acuracy", r"no metric named 'acuracy'; did you mean 'accuracy'\?"),
        ("pairwise-q(num_clasifiers=3)", "did you mean 'num_classifiers'"),
        ("pairwise-q(num_classifiers=0)", "num_classifiers must be a whole number of at least 1; received 0"),
        ("multilabel-one-error(num_labels=2.5)", "num_labels must be a whole number of at least 1; received 2.5"),
        ("multiclass-accuracy(num_classes=-1)", "cannot be built"),
    ],
)
def test_wrong_names_and_options(call: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        metrics.metric(call)


@pytest.mark.parametrize(
    ("call", "inputs", "sentence"),
    [
        ("pairwise-q(num_classifiers=3)", (torch.zeros(4, 2).long(), torch.zeros(4).long()), r"int64 \[4, 2\]"),
        ("pairwise-q(num_classifiers=3)", (torch.zeros(4, 3), torch.zeros(4).long()), "float32.*argmax"),
        ("pairwise-q(num_classifiers=3)", (torch.zeros(4, 3).long(), torch.zeros(4, 3).long()), "the true ones"),
        ("multilabel-one-error(num_labels=3)", (torch.zeros(4, 2), torch.zeros(4, 2).long()), "has 3 labels"),
        ("multilabel-one-error(num_labels=3)", (torch.zeros(4, 3), torch.zeros(4).long()), "as many whole numbers"),
        ("multilabel-one-error(num_labels=3)", (torch.zeros(4, 3), torch.zeros(4, 3)), "received scores"),
    ],
)
def test_wrong_inputs(call: str, inputs: tuple[Tensor, ...], sentence: str) -> None:
    with unchecked(), pytest.raises(InputError, match=sentence):
        metrics.metric(call).update(*inputs)


def test_import_is_cheap() -> None:
    code = "import sys, chainrule.metrics as m; m.explain('accuracy'); m.MEANINGS; print('torchmetrics' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- two processes ---------------------------------------------------------------------------------------------------


def shard(rank: int, meeting: str, folder: str, batches: list[list[dict[str, tuple[Tensor, ...]]]]) -> None:
    """What each of the processes does: count its own batches, then compute over both."""
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    built: dict[str, Any] = {call: metrics.metric(call) for call in batches[0][0]}
    for batch in batches[rank]:
        for call, inputs in batch.items():
            built[call].update(*inputs)
    values = {call: metric.compute() for call, metric in built.items()}
    np.savez(Path(folder) / f"{rank}.npz", **{call: value.numpy() for call, value in values.items()})
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_exact(tmp_path: Path) -> None:
    """37 samples in three batches against 4 samples in one."""
    preds, target = classified(41, 3)
    scores, labels = torch.randn(41, 4), torch.randint(2, (41, 4))
    inputs = {f"{name}(num_classifiers=3)": (preds, target) for name in PAIRWISE}
    inputs["multilabel-one-error(num_labels=4)"] = (scores, labels)

    def cut(start: int, stop: int) -> dict[str, tuple[Tensor, ...]]:
        return {call: tuple(x[start:stop] for x in tensors) for call, tensors in inputs.items()}

    batches = [[cut(0, 20), cut(20, 36), cut(36, 37)], [cut(37, 41)]]
    meeting = (tmp_path / "meeting").as_uri()
    torch.multiprocessing.spawn(shard, args=(meeting, str(tmp_path), batches), nprocs=2)
    for call, tensors in inputs.items():
        metric = metrics.metric(call)
        metric.update(*tensors)
        for rank in range(2):
            with np.load(tmp_path / f"{rank}.npz", allow_pickle=False) as found:
                assert np.array_equal(found[call], metric.compute().numpy()), (call, rank)
