"""What a trained model got right and wrong on one split: from its collected outputs to the ``Evaluated`` event.

A number that is not defined, such as the recall of a class without samples, is None or left out; it is never NaN.

Calibration: Guo et al. 2017, "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, eq. 3.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from chainrule.data.spec import Target
from chainrule.errors import InputError, NotFiniteError
from chainrule.shapes import Float, Num, Tensor
from chainrule.training.events import Evaluated
from chainrule.training.meter import measure
from chainrule.training.plan import Plan
from chainrule.training.samples import describe_sample

BINS = 15  # of the calibration curve
CURVES = 12  # ROC curves that are kept: those with the least area
POINTS = 200  # at most, on a ROC curve
SCATTERED = 1000  # samples at most, in a scatter plot
WORST = 12  # samples that are shown one by one

Array = NDArray[Any]


def tested(plan: Plan, model: nn.Sequential) -> Evaluated:
    """A trained model on the test split, and beside it the best constant prediction.

    Args:
        plan: What was run.
        model: The model, as the plan's batches want it.
    """
    split = plan.data.test
    metrics, predicted, losses = predictions(plan, model, "test")
    constant = plan.task.constant(plan.data.train.targets.to(plan.machine.device))
    baseline = measure(
        model, plan.task, plan.machine, plan.batches("test"), forward=lambda raw: constant.expand(len(raw), -1)
    )
    return evaluated(
        "test",
        target=plan.data.target,
        metrics=metrics,
        baseline=baseline,
        truth=split.targets,
        predicted=predicted,
        losses=losses,
        samples=lambda i: describe_sample(split, i, plan.data.inputs),
    )


def predictions(plan: Plan, model: nn.Sequential, split: str) -> tuple[dict[str, float], Tensor, Tensor]:
    """What a trained model says of a split, in the order of its samples.

    Args:
        plan: What was run.
        model: The model, as the plan's batches want it.
        split: Name of the split.

    Returns:
        Loss and metrics; probabilities or values in the target's own units ``[n, k]``; the loss of each sample ``[n]``.
    """
    outputs: list[tuple[Tensor, ...]] = []
    metrics = measure(model, plan.task, plan.machine, plan.batches(split), outputs)
    parts = [part for process in plan.machine.gathered(outputs) for part in process]
    index, losses, output = (torch.cat(column) for column in zip(*parts, strict=True))
    order = index.argsort()
    return metrics, plan.model[2].cpu()(output[order]), losses[order]


def evaluated(
    split: str,
    *,
    target: Target,
    metrics: dict[str, float],
    baseline: dict[str, float],
    truth: Num[Tensor, "n ..."],
    predicted: Float[Tensor, "n k"],
    losses: Float[Tensor, " n"],
    samples: Callable[[int], dict[str, Any]],
) -> Evaluated:
    """Judge a model by its outputs for every sample of a split.

    Args:
        split: Name of the split, such as ``"test"``.
        target: What was to be learned.
        metrics: Loss and metrics of the model on the split.
        baseline: The same for the best constant prediction.
        truth: The targets as the data holds them: ``[n]`` class indices, ``[n, k]`` labels or real values.
        predicted: ``[n, k]``: the probability of each class or label, or values in the target's own units.
        losses: ``[n]``: loss of each sample.
        samples: What a sample is, by its index (see :func:`describe_sample`); called for the worst ones only.

    Returns:
        The event, made of plain values.

    Raises:
        InputError: When there is no sample.
        NotFiniteError: When an output is not finite; the sentence names the first such sample.
    """
    if not len(truth):
        raise InputError(f"The {split} split is empty, so nothing can be measured; give it at least one sample.")
    true: Array = truth.detach().cpu().numpy()
    said: Array = predicted.detach().double().cpu().numpy()
    _refuse_not_finite(split, said, samples)
    loss = np.nan_to_num(losses.detach().double().cpu().numpy(), nan=np.inf, posinf=np.inf)
    worst = np.argsort(-loss, kind="stable")[:WORST].tolist()
    judge = {"classes": _judge_classes, "labels": _judge_labels, "real": _judge_real}[target.kind]
    answer = {"classes": _class_answer, "labels": _labels_answer, "real": _real_answer}[target.kind]
    return Evaluated(
        split=split,
        metrics=metrics,
        baseline=baseline,
        worst=[{**answer(target.names, true[i], said[i]), "loss": _plain(loss[i]), **samples(i)} for i in worst],
        **judge(target.names, true, said),
    )


def calibration(confidence: Array, right: Array) -> dict[str, Any]:
    """How far stated probabilities agree with observed frequencies.

    The probabilities fall into 15 bins of equal width on [0, 1]. The expected calibration error is the mean over all
    samples of the distance between the mean confidence of a sample's bin and the share of that bin that was right::

        ECE = sum over bins m of  count_m / n * |accuracy_m - confidence_m|

    Args:
        confidence: ``[n]`` probabilities.
        right: ``[n]``: whether what was given that probability came true.

    Returns:
        Lists ``confidence``, ``accuracy`` (None in an empty bin) and ``count``, one entry a bin, and ``error``.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    filled = np.maximum(count, 1)
    mean = np.bincount(bins, weights=confidence, minlength=BINS) / filled
    share = np.bincount(bins, weights=right, minlength=BINS) / filled
    return {
        "confidence": [_plain(value) if n else None for value, n in zip(mean, count, strict=True)],
        "accuracy": [_plain(value) if n else None for value, n in zip(share, count, strict=True)],
        "count": count.tolist(),
        "error": _plain((count * np.abs(share - mean)).sum() / len(confidence)),
    }


def _judge_classes(names: tuple[str, ...], true: Array, said: Array) -> dict[str, Any]:
    from sklearn.metrics import confusion_matrix

    chosen, indices = said.argmax(1), np.arange(len(names))
    parts = _judge_each(names, true[:, None] == indices, chosen[:, None] == indices, said)
    if len(names) == 2:  # two classes have one curve, seen from both ends: the second class's is kept
        parts["roc"] = [curve for curve in parts["roc"] if curve["name"] == names[1]]
    return {
        "confusion": confusion_matrix(true, chosen, labels=indices).tolist(),
        "calibration": calibration(said.max(1), chosen == true),
        **parts,
    }


def _judge_labels(names: tuple[str, ...], true: Array, said: Array) -> dict[str, Any]:
    from sklearn.metrics import multilabel_confusion_matrix

    given, chosen = true > 0.5, said >= 0.5
    return {
        "confusion": multilabel_confusion_matrix(given, chosen, labels=_columns(names)).tolist(),
        "calibration": calibration(said.ravel(), given.ravel()),
        **_judge_each(names, given, chosen, said),
    }


def _judge_real(names: tuple[str, ...], true: Array, said: Array) -> dict[str, Any]:
    kept = np.linspace(0, len(true) - 1, min(len(true), SCATTERED)).round().astype(int)
    return {
        "scatter": [
            {"name": name, "true": _plains(true[kept, i]), "predicted": _plains(said[kept, i])}
            for i, name in enumerate(names)
        ]
    }


def _class_answer(names: tuple[str, ...], true: Array, said: Array) -> dict[str, Any]:
    chosen = int(said.argmax())
    return {"true": names[int(true)], "predicted": names[chosen], "confidence": _plain(said[chosen])}


def _labels_answer(names: tuple[str, ...], true: Array, said: Array) -> dict[str, Any]:
    return {
        "true": [name for name, given in zip(names, true > 0.5, strict=True) if given],
        "predicted": [name for name, given in zip(names, said >= 0.5, strict=True) if given],
        "confidence": _plain(np.maximum(said, 1 - said).mean()),
    }


def _real_answer(names: tuple[str, ...], true: Array, said: Array) -> dict[str, Any]:
    return {"true": _plains(true), "predicted": _plains(said), "residual": _plains(true - said)}


def _judge_each(names: tuple[str, ...], given: Array, chosen: Array, said: Array) -> dict[str, Any]:
    """Each class or label against the rest, all arrays ``[n, k]``: the table, and the ROC curves of least area."""
    from sklearn.metrics import auc, precision_recall_fscore_support, roc_curve

    scores = precision_recall_fscore_support(given, chosen, labels=_columns(names), average=None, zero_division=np.nan)
    rows, roc = [], []
    for i, (name, precision, recall, f1) in enumerate(zip(names, *scores[:3], strict=True)):
        row = {"name": name, "precision": _plain(precision), "recall": _plain(recall), "f1": _plain(f1)}
        rows.append({**row, "support": int(given[:, i].sum()), "auc": None})
        if given[:, i].all() or not given[:, i].any():
            continue  # a curve needs samples on both sides
        fpr, tpr, _ = roc_curve(given[:, i], said[:, i])
        area = rows[-1]["auc"] = _plain(auc(fpr, tpr))
        kept = np.linspace(0, len(fpr) - 1, min(len(fpr), POINTS)).round().astype(int)
        roc.append({"name": name, "fpr": _plains(fpr[kept]), "tpr": _plains(tpr[kept]), "auc": area})
    return {"per_class": rows, "roc": sorted(roc, key=lambda curve: curve["auc"])[:CURVES]}


def _columns(names: tuple[str, ...]) -> list[int]:
    """What scikit-learn calls ``labels``; a single column is to it a binary target, whose positive label is 1."""
    return list(range(len(names))) if len(names) > 1 else [1]


def _refuse_not_finite(split: str, said: Array, samples: Callable[[int], dict[str, Any]]) -> None:
    bad = np.flatnonzero(~np.isfinite(said).all(1))
    if len(bad):
        raise NotFiniteError(
            f"The model's output is not finite for {len(bad)} of {len(said)} {split} samples, first for "
            f"{samples(int(bad[0]))['origin']}; look there for values far outside the training split."
        )


def _plain(value: float) -> float | None:
    """Six significant digits are enough for a page; NaN and infinity become None."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _plains(values: Array) -> list[float | None]:
    return [_plain(value) for value in values.tolist()]
