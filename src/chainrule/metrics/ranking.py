"""Ranking metrics for labels that torchmetrics lacks; coverage and ranking loss are there already.

``torchmetrics.classification.MultilabelCoverageError``, ``MultilabelRankingLoss`` and
``MultilabelRankingAveragePrecision`` stand beside the one-error.
"""

import torch
from torchmetrics import Metric

from chainrule.errors import InputError
from chainrule.registry import register
from chainrule.shapes import Bool, Float, Int, Tensor


def top_label_is_wrong(
    scores: Float[Tensor, "b k"], targets: Int[Tensor, "b k"] | Bool[Tensor, "b k"]
) -> Bool[Tensor, " b"]:
    """Whether the label with the highest score does not apply; of equal scores, the first counts.

    Args:
        scores: Logits or probabilities of the labels; only their order matters.
        targets: 1 or True for each label that applies.

    Raises:
        InputError: When the shapes differ, or the targets are no whole numbers.
    """
    if scores.ndim != 2 or scores.shape != targets.shape or targets.is_floating_point():
        raise InputError(
            f"One-error wants scores [b, k] and as many whole numbers 0 or 1; received scores {list(scores.shape)} and "
            f"{str(targets.dtype).removeprefix('torch.')} {list(targets.shape)}."
        )
    return targets.gather(1, scores.argmax(1, keepdim=True)).squeeze(1) == 0


@register(
    "metric",
    "multilabel-one-error",
    family="ranking",
    targets=("labels",),
    paper="Schapire and Singer 2000, BoosTexter",
    year=2000,
    tiny={"num_labels": 4},
    sample=(7, 4),
)
class MultilabelOneError(Metric):
    """Share of the samples whose highest-ranked label does not apply; 0 is perfect.

    Schapire and Singer 2000, "BoosTexter: A boosting-based system for text categorization". A sample to which no label
    applies is an error.

    Args:
        num_labels: Number of labels ``k``.

    Raises:
        InputError: When that is no whole number of at least 1.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    errors: Tensor
    total: Tensor

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        if not isinstance(num_labels, int) or num_labels < 1:
            raise InputError(f"num_labels must be a whole number of at least 1; received {num_labels!r}.")
        self.num_labels = num_labels
        self.add_state("errors", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Float[Tensor, "b k"], target: Int[Tensor, "b k"] | Bool[Tensor, "b k"]) -> None:
        """Count a batch.

        Args:
            preds: Logits or probabilities of the labels.
            target: 1 or True for each label that applies.

        Raises:
            InputError: When the shapes do not match, or the targets are no whole numbers.
        """
        if preds.shape[-1] != self.num_labels:
            raise InputError(f"The metric has {self.num_labels} labels; received scores {list(preds.shape)}.")
        wrong = top_label_is_wrong(preds, target)
        self.errors += wrong.sum()
        self.total += len(wrong)

    def compute(self) -> Float[Tensor, ""]:
        """The one-error of all that was counted; 0 before anything was."""
        return self.errors / self.total.clamp_min(1)
