"""Losses for segmentation: how far predicted and true regions overlap.

With ``p`` the predicted probability of a class and ``g`` its mask of zeros and ones, over the pixels of one sample::

    TP = sum p g        FP = sum p (1 - g)        FN = sum (1 - p) g

``smooth`` is added to numerator and denominator of each ratio (here: ``s``). A class that neither the target has nor
the model predicts is then a perfect one, with a loss of 0; a class that only the model predicts costs nearly 1.

Each loss is written as what is wrong over everything, ``1 - (TP + s) / (TP + wrong + s) = wrong / (TP + wrong + s)``,
so that it is never negative and keeps its digits near 0.
"""

import torch

from chainrule.losses.base import AbstractLoss, check, one_of_k, reduced
from chainrule.registry import register
from chainrule.shapes import Bool, Float, Int, Tensor

_ROW = {"family": "overlap", "targets": ("mask",), "sample": (2, 3, 3, 4)}


def _regions(
    logits: Tensor, targets: Tensor, ignore_index: int
) -> tuple[Float[Tensor, "b c n"], Bool[Tensor, "b c n"], Bool[Tensor, "b n"]]:
    """Probabilities, masks and positions that count; outside of these both are 0. One logit gives one region."""
    scores, own, counted = one_of_k(logits, targets, ignore_index)
    first = 1 if logits.shape[1] == 1 else 0
    inside = counted.unsqueeze(1)
    return torch.where(inside, scores.softmax(1), 0.0)[:, first:], (own & inside)[:, first:], counted


def _areas(p: Float[Tensor, "b c n"], g: Bool[Tensor, "b c n"]) -> tuple[Tensor, Tensor, Tensor]:
    """TP, FP and FN of each sample and class, ``[b, c]``."""
    return torch.where(g, p, 0.0).sum(2), torch.where(g, 0.0, p).sum(2), torch.where(g, 1 - p, 0.0).sum(2)


def tversky_loss(
    logits: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1e-5,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Tversky loss ``1 - TP / (TP + alpha FP + beta FN)``, averaged over the classes.

    Salehi et al. 2017, "Tversky loss function for image segmentation". Differs from the paper: nothing; Abraham and
    Khan 2019, and many ports, exchange ``alpha`` and ``beta``. Both 0.5 give Dice, both 1 give 1 - intersection over
    union.

    Args:
        logits: Outputs of the model; ``k = 1`` is foreground against background.
        targets: Class of each pixel.
        alpha: Weight of false positives.
        beta: Weight of false negatives.
        smooth: Added to numerator and denominator.
        ignore_index: Target of pixels that do not count.
        reduction: As for all losses.

    Raises:
        InputError: When targets are no class indices that go with the logits, or an option is out of its range.
    """
    check(alpha=alpha, beta=beta, smooth=smooth, ignore_index=ignore_index, reduction=reduction)
    p, g, counted = _regions(logits, targets, ignore_index)
    return reduced(_tversky(p, g, alpha, beta, smooth).mean(1), reduction, counted)


def _tversky(p: Tensor, g: Tensor, alpha: float, beta: float, smooth: float) -> Float[Tensor, "b c"]:
    tp, fp, fn = _areas(p, g)
    wrong = alpha * fp + beta * fn
    return wrong / (tp + wrong + smooth)


def focal_tversky_loss(
    logits: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    sharpness: float = 4 / 3,
    smooth: float = 1e-5,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Focal Tversky loss: the Tversky loss of each class to the power ``1 / sharpness``, averaged over the classes.

    Abraham and Khan 2019, "A novel focal Tversky loss function with improved attention U-Net for lesion segmentation"
    (their gamma is ``sharpness``). Differs from the paper: mean instead of sum over the classes; ``alpha`` weighs false
    positives; a loss below the rounding error counts as 0, because the slope of the power is infinite there.

    ``sharpness`` is at least 1, which is the Tversky loss. Other options and errors: those of :func:`tversky_loss`.
    """
    check(alpha=alpha, beta=beta, sharpness=sharpness, smooth=smooth, ignore_index=ignore_index, reduction=reduction)
    p, g, counted = _regions(logits, targets, ignore_index)
    losses = _tversky(p, g, alpha, beta, smooth)
    least = torch.finfo(losses.dtype).eps
    # Both branches are differentiated, so the one that is not taken must not reach 0 either.
    powers = torch.where(losses > least, losses.clamp_min(least) ** (1 / sharpness), 0.0)
    return reduced(powers.mean(1), reduction, counted)


def dice_loss(
    logits: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    smooth: float = 1e-5,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Soft Dice loss ``1 - 2 sum p g / (sum p + sum g)``, averaged over the classes: Tversky with both weights 0.5.

    Dice 1945; with squares in the denominator, as in V-Net, it is :func:`squared_dice_loss`.

    Options and errors: those of :func:`tversky_loss`.
    """
    return tversky_loss(
        logits, targets, alpha=0.5, beta=0.5, smooth=smooth, ignore_index=ignore_index, reduction=reduction
    )


def squared_dice_loss(
    logits: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    smooth: float = 1e-5,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """V-Net's Dice loss ``1 - 2 sum p g / (sum p^2 + sum g^2)``, averaged over the classes.

    Milletari et al. 2016, "V-Net". Differs from the paper: more than one foreground class; ``smooth``.

    Options and errors: those of :func:`tversky_loss`.
    """
    check(smooth=smooth, ignore_index=ignore_index, reduction=reduction)
    p, g, counted = _regions(logits, targets, ignore_index)
    g = g.to(p.dtype)
    losses = (p - g).square().sum(2) / (p.square().sum(2) + g.sum(2) + smooth)
    return reduced(losses.mean(1), reduction, counted)


def generalized_dice_loss(
    logits: Float[Tensor, "b k *rest"],
    targets: Int[Tensor, " b *rest"],
    *,
    smooth: float = 1e-5,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Generalized Dice loss ``1 - 2 sum_k w_k sum p g / sum_k w_k sum (p + g)`` with ``w_k = 1 / (sum g_k)^2``.

    Sudre et al. 2017, "Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations".
    Differs from the paper: a class that the sample lacks, whose weight would be infinite, has the weight of the rarest
    one that it has; the weights sum to 1, which changes nothing but the meaning of ``smooth``.

    Options and errors: those of :func:`tversky_loss`.
    """
    check(smooth=smooth, ignore_index=ignore_index, reduction=reduction)
    p, g, counted = _regions(logits, targets, ignore_index)
    tp, fp, fn = _areas(p, g)
    volume = g.sum(2).to(p.dtype)
    # Relative to the rarest class, so that the squares of large volumes cannot leave the range.
    rarest = torch.where(volume > 0, volume, torch.inf).amin(1, keepdim=True)
    weight = torch.where(volume > 0, (rarest / volume.clamp_min(1)).square(), 1.0)
    weight = weight / weight.sum(1, keepdim=True)
    wrong = (weight * (fp + fn)).sum(1) / 2
    return reduced(wrong / ((weight * tp).sum(1) + wrong + smooth), reduction, counted)


@register("loss", "tversky", paper="Salehi et al. 2017, Tversky loss function", year=2017, **_ROW)
class TverskyLoss(AbstractLoss):
    """Tversky loss; ``alpha`` weighs false positives, ``beta`` false negatives. See :func:`tversky_loss`."""

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        smooth: float = 1e-5,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(
            {"alpha": alpha, "beta": beta, "smooth": smooth, "ignore_index": ignore_index, "reduction": reduction}
        )

    def forward(self, logits: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return tversky_loss(logits, targets, **self.options)


@register("loss", "focal-tversky", paper="Abraham and Khan 2019, focal Tversky loss", year=2019, **_ROW)
class FocalTverskyLoss(AbstractLoss):
    """Power of the Tversky loss of each class. See :func:`focal_tversky_loss`."""

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        sharpness: float = 4 / 3,
        smooth: float = 1e-5,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        options = {"alpha": alpha, "beta": beta, "sharpness": sharpness, "smooth": smooth}
        super().__init__({**options, "ignore_index": ignore_index, "reduction": reduction})

    def forward(self, logits: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return focal_tversky_loss(logits, targets, **self.options)


@register("loss", "dice", paper="Dice 1945, Measures of the amount of ecologic association", year=1945, **_ROW)
class DiceLoss(AbstractLoss):
    """Soft Dice loss, mean over the classes. See :func:`dice_loss`."""

    def __init__(self, *, smooth: float = 1e-5, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__({"smooth": smooth, "ignore_index": ignore_index, "reduction": reduction})

    def forward(self, logits: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return dice_loss(logits, targets, **self.options)


@register("loss", "squared-dice", paper="Milletari et al. 2016, V-Net", year=2016, **_ROW)
class SquaredDiceLoss(AbstractLoss):
    """V-Net's Dice loss, squares in the denominator. See :func:`squared_dice_loss`."""

    def __init__(self, *, smooth: float = 1e-5, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__({"smooth": smooth, "ignore_index": ignore_index, "reduction": reduction})

    def forward(self, logits: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return squared_dice_loss(logits, targets, **self.options)


@register("loss", "generalized-dice", paper="Sudre et al. 2017, generalised Dice overlap", year=2017, **_ROW)
class GeneralizedDiceLoss(AbstractLoss):
    """Dice loss of all classes at once, with inverse squared volumes. See :func:`generalized_dice_loss`."""

    def __init__(self, *, smooth: float = 1e-5, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__({"smooth": smooth, "ignore_index": ignore_index, "reduction": reduction})

    def forward(self, logits: Float[Tensor, "b k *rest"], targets: Int[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return generalized_dice_loss(logits, targets, **self.options)
