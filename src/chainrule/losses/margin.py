"""Margin losses: a class's score must beat the others by a margin.

With scores ``s``, the target's class ``y`` and a margin ``m``::

    hinge            sum over k != y of  max(0, s_k - s_y + m)          (Weston and Watkins 1999)
    squared hinge    sum over k != y of  max(0, s_k - s_y + m)^2
    Crammer-Singer   max over k != y of  max(0, s_k - s_y + m)          (Crammer and Singer 2001)

As in the course, none is divided by the number of classes (``torch.nn.MultiMarginLoss`` does that), so an untrained
model shows ``(C - 1) m``. One score is the binary hinge loss ``max(0, m - y f(x))`` with ``y`` in -1, 1.
"""

import torch

from chainrule.errors import InputError
from chainrule.losses.base import AbstractLoss, check, one_of_k, over_positions, precise, reduced
from chainrule.registry import register
from chainrule.shapes import Float, Int, Num, Tensor

_ROW = {"family": "margin", "targets": ("classes",), "sample": (5, 4)}


def _violations(
    scores: Tensor, targets: Tensor, margin: float, ignore_index: int
) -> tuple[Float[Tensor, "b q n"], Tensor]:
    """By how much each class comes too close to the target's own, which has 0; and the positions that count."""
    scores, own, counted = one_of_k(scores, targets, ignore_index)
    true = torch.where(own, scores, 0.0).sum(1, keepdim=True)
    return torch.where(own, 0.0, (scores - true + margin).clamp_min(0)), counted


def hinge_loss(
    scores: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    margin: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Multi-class hinge loss, the sum of all violations.

    Weston and Watkins 1999, "Support vector machines for multi-class pattern recognition".

    Args:
        scores: Outputs of the model; ``k = 1`` is the binary hinge loss.
        targets: Class of each sample (or position).
        margin: Greater than 0.
        ignore_index: Target of what does not count.
        reduction: As for all losses.

    Raises:
        InputError: When targets are no class indices that go with the scores, or an option is out of its range.
    """
    check(margin=margin, ignore_index=ignore_index, reduction=reduction)
    violations, counted = _violations(scores, targets, margin, ignore_index)
    return reduced(over_positions(violations.sum(1), counted), reduction, counted)


def squared_hinge_loss(
    scores: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    margin: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Squared multi-class hinge loss, the sum of all squared violations.

    Lee et al. 2004, "Multicategory support vector machines" and Tang 2013, "Deep learning using linear support vector
    machines", for the squares. Options and errors: those of :func:`hinge_loss`.
    """
    check(margin=margin, ignore_index=ignore_index, reduction=reduction)
    violations, counted = _violations(scores, targets, margin, ignore_index)
    return reduced(over_positions(violations.square().sum(1), counted), reduction, counted)


def crammer_singer_loss(
    scores: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    margin: float = 1.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Multi-class hinge loss of the worst violation alone.

    Crammer and Singer 2001, "On the algorithmic implementation of multiclass kernel-based vector machines". Options
    and errors: those of :func:`hinge_loss`.
    """
    check(margin=margin, ignore_index=ignore_index, reduction=reduction)
    violations, counted = _violations(scores, targets, margin, ignore_index)
    return reduced(over_positions(violations.amax(1), counted), reduction, counted)


def capsule_margin_loss(
    lengths: Float[Tensor, "b k"],
    targets: Int[Tensor, " b"] | Num[Tensor, "b k"],
    *,
    present: float = 0.9,
    absent: float = 0.1,
    absent_weight: float = 0.5,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Capsule margin loss ``sum_k T_k max(0, m+ - |v_k|)^2 + lambda (1 - T_k) max(0, |v_k| - m-)^2``.

    Sabour et al. 2017, "Dynamic routing between capsules", eq. 4. Differs from the paper: nothing; its public code
    has half of that, averaged over the classes.

    Args:
        lengths: Length ``|v|`` of each class's capsule, from 0 to 1.
        targets: Class of each sample, or for several at once a 0 or 1 a class.
        present: ``m+``, the length that a class in the input must reach.
        absent: ``m-``, the length under which other classes must stay.
        absent_weight: ``lambda``.
        ignore_index: Class index of samples that do not count.
        reduction: As for all losses.

    Raises:
        InputError: When targets do not go with the lengths, or an option is out of its range.
    """
    check(present=present, absent=absent, absent_weight=absent_weight, ignore_index=ignore_index, reduction=reduction)
    _refuse_overlap(present, absent)
    lengths, counted = precise(lengths), None
    if targets.shape == lengths.shape:
        there = targets.to(lengths.dtype)
    else:
        _, own, counted = one_of_k(lengths, targets, ignore_index)
        there = own[:, -lengths.shape[1] :, 0].to(lengths.dtype)
    short, long = (present - lengths).clamp_min(0).square(), (lengths - absent).clamp_min(0).square()
    losses = (there * short + absent_weight * (1 - there) * long).sum(1)
    return reduced(losses if counted is None else over_positions(losses.unsqueeze(1), counted), reduction, counted)


def _refuse_overlap(present: float, absent: float) -> None:
    if absent >= present:
        raise InputError(f"absent must be less than present, which is {present}; received {absent}.")


@register("loss", "hinge", paper="Weston and Watkins 1999, multi-class SVM", year=1999, **_ROW)
class HingeLoss(AbstractLoss):
    """Multi-class hinge loss, the sum of all violations of the margin; binary for one score. See :func:`hinge_loss`."""

    def __init__(self, *, margin: float = 1.0, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__({"margin": margin, "ignore_index": ignore_index, "reduction": reduction})

    def forward(self, scores: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return hinge_loss(scores, targets, **self.options)


@register("loss", "squared-hinge", paper="Tang 2013, Deep learning using linear SVMs", year=2013, **_ROW)
class SquaredHingeLoss(AbstractLoss):
    """Multi-class hinge loss with squared violations. See :func:`squared_hinge_loss`."""

    def __init__(self, *, margin: float = 1.0, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__({"margin": margin, "ignore_index": ignore_index, "reduction": reduction})

    def forward(self, scores: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return squared_hinge_loss(scores, targets, **self.options)


@register(
    "loss",
    "crammer-singer",
    paper="Crammer and Singer 2001, multiclass SVM",
    year=2001,
    **_ROW,
)
class CrammerSingerLoss(AbstractLoss):
    """Multi-class hinge loss of the worst violation alone. See :func:`crammer_singer_loss`."""

    def __init__(self, *, margin: float = 1.0, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__({"margin": margin, "ignore_index": ignore_index, "reduction": reduction})

    def forward(self, scores: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return crammer_singer_loss(scores, targets, **self.options)


@register(
    "loss",
    "capsule-margin",
    family="capsule",
    paper="Sabour et al. 2017, Dynamic routing between capsules",
    year=2017,
    sample=(5, 4),
)
class CapsuleMarginLoss(AbstractLoss):
    """Margin loss on the lengths of capsules: long where the class is there, short where not.

    See :func:`capsule_margin_loss`.
    """

    def __init__(
        self,
        *,
        present: float = 0.9,
        absent: float = 0.1,
        absent_weight: float = 0.5,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        options = {"present": present, "absent": absent, "absent_weight": absent_weight}
        super().__init__({**options, "ignore_index": ignore_index, "reduction": reduction})
        _refuse_overlap(present, absent)

    def forward(
        self, lengths: Float[Tensor, "b k"], targets: Int[Tensor, " b"] | Num[Tensor, "b k"]
    ) -> Float[Tensor, "..."]:
        return capsule_margin_loss(lengths, targets, **self.options)
