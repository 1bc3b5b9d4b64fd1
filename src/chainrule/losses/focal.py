"""Focal loss: cross-entropy that looks away from what is already right.

Lin et al. 2017, "Focal loss for dense object detection", eq. 4 and 5, with ``p`` the probability of the target's own
class::

    FL = -w (1 - p)^gamma log p

Differs from the paper: the sum over positions is divided by their number, not by the number of objects.
"""

from collections.abc import Sequence

import torch

from chainrule.errors import InputError
from chainrule.losses.base import AbstractLoss, check, one_of_k, over_positions, reduced
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor


def focal_loss(
    logits: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    gamma: float = 2.0,
    weight: Float[Tensor, " q"] | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Focal loss, averaged over a sample's positions; with ``gamma=0`` it is cross-entropy.

    Args:
        logits: Outputs of the model; ``k = 1`` is foreground against background.
        targets: Class of each position; of each sample, where there is no ``rest``.
        gamma: How strongly a position that is nearly right is looked away from; not negative.
        weight: Factor ``w`` of each class. For one logit two: ``(0.25, 0.75)`` weighs the foreground by 0.75.
        ignore_index: Target of positions that do not count.
        reduction: As for all losses.

    Raises:
        InputError: When targets are no class indices that go with the logits, or an option is out of its range.
    """
    check(gamma=gamma, ignore_index=ignore_index, reduction=reduction)
    scores, own, counted = one_of_k(logits, targets, ignore_index)
    every = scores.logsumexp(1)
    log_p = torch.where(own, scores, 0.0).sum(1) - every
    # log(1 - p) from the other classes: 1 - p itself would lose its digits near p = 1, and its powers their slope.
    log_rest = scores.masked_fill(own, -torch.inf).logsumexp(1) - every
    losses = -(gamma * log_rest).exp() * log_p
    if weight is not None:
        if weight.shape != (scores.shape[1],):
            raise InputError(
                f"weight must be one number a class, [{scores.shape[1]}]; received the shape {list(weight.shape)}."
            )
        losses = losses * torch.where(own, weight.to(losses.dtype).unsqueeze(1), 0.0).sum(1)
    return reduced(over_positions(losses, counted), reduction, counted)


@register(
    "loss",
    "focal",
    family="focal",
    targets=("classes", "mask"),
    paper="Lin et al. 2017, Focal loss for dense object detection",
    year=2017,
    sample=(2, 3, 3, 4),
)
class FocalLoss(AbstractLoss):
    """Cross-entropy times ``(1 - p)^gamma``, which looks away from what is already right. See :func:`focal_loss`.

    Raises:
        InputError: When an option is out of its range.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        weight: Sequence[float] | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"gamma": gamma, "ignore_index": ignore_index, "reduction": reduction})
        if weight is not None and not all(factor >= 0 for factor in weight):
            raise InputError(f"weight must be one number a class, none less than 0; received {weight!r}.")
        self.weight: Tensor | None
        self.register_buffer("weight", None if weight is None else torch.tensor(weight, dtype=torch.float32))

    def forward(self, logits: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return focal_loss(logits, targets, weight=self.weight, **self.options)
