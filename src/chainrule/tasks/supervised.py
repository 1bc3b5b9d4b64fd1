"""The three supervised tasks: classification, multi-label, regression.

The network gives ``[b, k]`` unbounded outputs; each task says how they become a loss and a prediction.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule import losses, registry
from chainrule.data.batches import Batch
from chainrule.data.spec import Classes, Labels, Real, Target
from chainrule.errors import InputError, UnknownNameError
from chainrule.nn.affine import Affine
from chainrule.tasks.base import AbstractTask, StepOutput

# The losses of torch that a task can use, by the kind of target; ours are the registry's that learn from it.
TORCH_LOSSES = {"classes": ("cross-entropy",), "labels": (), "real": ("mse", "l1", "smooth-l1", "huber")}


class Classification(AbstractTask):
    """One class out of ``k``: cross-entropy of the softmax, ``L = -sum_c q_c w_c log p_c``.

    ``q`` is the one-hot target, smoothed as ``(1 - s) q + s / k``; ``w`` are class weights scaled so that their mean
    over the training samples is 1. Targets are class indices ``[b]``, or probabilities ``[b, k]`` (mixup).

    Args:
        counts: Training samples of each class.
        label_smoothing: Share ``s`` of the target spread evenly over the classes.
        balance: Weight classes inversely to their counts.
        loss: Another loss of logits and class indices, one number a sample; None is cross-entropy.
    """

    name = "classification"
    rising = frozenset({"accuracy", "f1"})

    def __init__(
        self,
        counts: list[int],
        *,
        label_smoothing: float = 0.0,
        balance: bool = False,
        loss: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.label_smoothing, self.loss = label_smoothing, loss
        present = torch.tensor(counts, dtype=torch.float64)
        self.priors: Tensor
        self.register_buffer("priors", present / present.sum(), persistent=False)
        weights = _inverse(self.priors) if balance else torch.ones_like(self.priors)
        self.weights: Tensor
        self.register_buffer("weights", weights.float(), persistent=False)

    def step(self, phase: str, forward: Callable[[Tensor], Tensor], batch: Batch) -> StepOutput:
        logits = forward(batch.inputs)
        each = self._cross_entropy if self.loss is None else self.loss
        truth = batch.targets if batch.targets.ndim == 1 else batch.targets.argmax(dim=1)
        return StepOutput(each(logits, batch.targets), logits, truth)

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        smoothing = self.label_smoothing
        return F.cross_entropy(logits, targets, weight=self.weights, label_smoothing=smoothing, reduction="none")

    def output(self) -> nn.Module:
        return nn.Softmax(dim=-1)

    def metrics(self) -> Any:
        from torchmetrics import MetricCollection
        from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

        classes = len(self.priors)
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro", validate_args=False),
                "f1": MulticlassF1Score(classes, average="macro", validate_args=False),
            },
            compute_groups=False,
        )

    def constant(self, targets: Tensor) -> Tensor:
        if self.loss is not None:
            return _least(self.loss, self.priors)
        # -sum_c a_c log q_c is least at q = a / sum(a).
        priors, weights = self.priors, self.weights.double()
        s, k = self.label_smoothing, len(priors)
        mass = ((1 - s) * priors + s / k) * weights
        return (mass / mass.sum()).clamp_min(1e-12).log().float()


class MultiLabel(AbstractTask):
    """Any of ``k`` labels: binary cross-entropy of each, averaged over the labels.

    Args:
        counts: Training samples that have each label.
        samples: Number of training samples.
        label_smoothing: Targets become ``(1 - s) t + s / 2``.
        balance: Weight the positives of each label by its negatives over its positives.
    """

    name = "multi-label classification"
    rising = frozenset({"accuracy", "exact", "f1"})

    def __init__(self, counts: list[int], samples: int, *, label_smoothing: float = 0.0, balance: bool = False) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        positives = torch.tensor(counts, dtype=torch.float64)
        self.priors: Tensor
        self.register_buffer("priors", positives / samples, persistent=False)
        odds = (samples - positives) / positives.clamp_min(1)
        self.weights: Tensor
        self.register_buffer("weights", (odds if balance else torch.ones_like(odds)).float(), persistent=False)

    def step(self, phase: str, forward: Callable[[Tensor], Tensor], batch: Batch) -> StepOutput:
        logits = forward(batch.inputs)
        smoothed = batch.targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=self.weights, reduction="none")
        return StepOutput(losses.mean(dim=1), logits, batch.targets.round().long())

    def output(self) -> nn.Module:
        return nn.Sigmoid()

    def metrics(self) -> Any:
        from torchmetrics import MetricCollection
        from torchmetrics.classification import MultilabelAccuracy, MultilabelExactMatch, MultilabelF1Score

        labels = len(self.priors)
        return MetricCollection(
            {
                "accuracy": MultilabelAccuracy(labels, average="micro", validate_args=False),
                "exact": MultilabelExactMatch(labels, validate_args=False),
                "f1": MultilabelF1Score(labels, average="macro", validate_args=False),
            },
            compute_groups=False,
        )

    def constant(self, targets: Tensor) -> Tensor:
        priors = self.priors * (1 - self.label_smoothing) + self.label_smoothing / 2
        return torch.logit(priors, eps=1e-12).float() + self.weights.log()


class Regression(AbstractTask):
    """Real targets: mean squared or absolute error, on targets standardised with the training split's mean and spread.

    The standardisation is undone by the model's output, so a user sees the target's own units.

    Args:
        names: Names of the ``k`` targets.
        mean: Mean of each over the training split.
        std: Standard deviation of each over the training split.
        loss: A loss of torch by name: ``"mse"``, ``"l1"``, ``"smooth-l1"``, ``"huber(delta=2)"``.
    """

    name = "regression"
    rising = frozenset({"r2"})

    def __init__(self, names: list[str], mean: list[float], std: list[float], *, loss: str = "mse") -> None:
        super().__init__()
        self.names = names
        self.loss = losses.loss(loss, reduction="none")
        self.units = Affine(mean, std)

    def step(self, phase: str, forward: Callable[[Tensor], Tensor], batch: Batch) -> StepOutput:
        standardised = forward(batch.inputs)
        targets = self.units.inverse(batch.targets)
        return StepOutput(self.loss(standardised, targets).mean(dim=1), standardised, targets)

    def output(self) -> nn.Module:
        return Affine(self.units.shift.tolist(), self.units.scale.tolist())

    def metrics(self) -> Any:
        from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score

        k = len(self.names)
        metrics: dict[str, Any] = {
            "r2": R2Score(),
            "rmse": MeanSquaredError(squared=False, num_outputs=k),
            "mae": MeanAbsoluteError(num_outputs=k),
        }
        return MetricCollection(metrics, compute_groups=False)

    def summarise(self, values: dict[str, Tensor]) -> dict[str, float]:
        # The metrics see standardised numbers, whose sums of squares lose no digits; users see the target's units.
        # Several targets have units of their own, so each has its own error.
        summary = {"r2": float(values["r2"])}
        for metric in ("rmse", "mae"):
            errors = (values[metric] * self.units.scale).tolist()
            for name, error in zip(self.names, errors, strict=True):
                summary[metric if len(errors) == 1 else f"{metric} {name}"] = error
        return summary

    def constant(self, targets: Tensor) -> Tensor:
        standardised = self.units.inverse(targets)
        # Of a Huber loss the best lies between the two; the median is close to it.
        return standardised.mean(dim=0) if isinstance(self.loss, nn.MSELoss) else standardised.median(dim=0).values


def for_target(
    target: Target,
    targets: Tensor,
    *,
    loss: str | None = None,
    label_smoothing: float | None = None,
    balance: bool = False,
) -> AbstractTask:
    """The task that a target calls for, with what it learns from the training targets.

    Args:
        target: Spec of the target.
        targets: The training targets, ``[n]`` or ``[n, k]``.
        loss: A loss by name: ``"mse"``, ``"l1"``, ``"huber"`` for real targets, ``"focal(gamma=1)"``, ``"hinge"`` for
            classes; None takes the task's own.
        label_smoothing: Share of the target spread over the classes or labels; None is 0.1 for classes (Szegedy et al.
            2016) and 0 for labels.
        balance: Weight classes or labels inversely to how often they occur.

    Raises:
        InputError: When an option has no meaning for the target.
    """
    _refuse_idle_options(target, loss=loss, label_smoothing=label_smoothing, balance=balance)
    if isinstance(target, Classes):
        counts = torch.bincount(targets, minlength=len(target.names)).tolist()
        if loss is not None and registry.parse(loss).name != "cross-entropy":
            return Classification(counts, loss=losses.loss(loss, reduction="none"))
        return Classification(
            counts, label_smoothing=0.1 if label_smoothing is None else label_smoothing, balance=balance
        )
    if isinstance(target, Labels):
        counts = targets.sum(dim=0).tolist()
        return MultiLabel(counts, len(targets), label_smoothing=label_smoothing or 0.0, balance=balance)
    values = targets.double()
    std = values.std(dim=0, correction=0)
    std = torch.where(std > 0, std, 1.0)
    return Regression(list(target.names), values.mean(dim=0).tolist(), std.tolist(), loss=loss or "mse")


def _refuse_idle_options(target: Target, *, loss: str | None, label_smoothing: float | None, balance: bool) -> None:
    if isinstance(target, Real):
        for option, given in (("label_smoothing", label_smoothing), ("balance", balance)):
            if given:
                raise InputError(
                    f"{option} is for classes and labels, but the target is of real numbers; leave it out."
                )
    if loss is None:
        return
    name, options = registry.parse(loss).name, registry.parse(loss).options
    if name == "cross-entropy" and options:
        raise InputError(f"loss={loss!r} has options; those of cross-entropy are --label-smoothing and --balance.")
    ours = [row for row, entry in registry.entries("loss").items() if target.kind in entry.targets]
    if name not in (known := [*TORCH_LOSSES[target.kind], *ours]):
        if not known:
            raise InputError(f"loss={loss!r} was given, but a target of {target} has only its own; leave it out.")
        raise UnknownNameError(f"loss of a target of {target}", name, known)
    if name in ours and (label_smoothing or balance):
        raise InputError(
            f"label_smoothing and balance belong to cross-entropy, but loss={loss!r} was given; leave them out."
        )


@torch.enable_grad()
def _least(loss: nn.Module, priors: Tensor) -> Tensor:
    """The constant logits ``[k]`` with the least loss under the classes' priors, by descent with a falling rate."""
    logits = torch.zeros_like(priors, requires_grad=True)
    classes = torch.arange(len(priors), device=priors.device)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=500)
    best, least = logits.detach().clone(), torch.inf
    for _ in range(500):
        optimizer.zero_grad()
        value = (priors * loss(logits.expand(len(priors), -1), classes)).sum()
        if value.item() < least:
            best, least = logits.detach().clone(), value.item()
        value.backward()
        optimizer.step()
        schedule.step()
    return best.float()


def _inverse(priors: Tensor) -> Tensor:
    """Weights inverse to the priors, with mean 1 over the samples; a class that never occurs has weight 0."""
    weights = torch.where(priors > 0, 1 / priors, 0.0)
    return weights / (priors * weights).sum()
