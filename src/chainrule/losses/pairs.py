"""Losses on embeddings of pairs and triplets: near what belongs together, far from what does not.

The Euclidean triplet loss, ``mean max(0, |a - p| - |a - n| + m)``, is ``torch.nn.TripletMarginLoss``.

The slope of a distance at 0 is not defined; here it is 0 (that of ``torch.linalg.vector_norm``), so equal embeddings
give finite gradients.
"""

import torch

from chainrule.losses.base import AbstractLoss, check, precise, reduced, same_shape
from chainrule.registry import register
from chainrule.shapes import Bool, Float, Num, Tensor


def contrastive_loss(
    first: Float[Tensor, "b d"],
    second: Float[Tensor, "b d"],
    same: Num[Tensor, " b"] | Bool[Tensor, " b"],
    *,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Contrastive loss ``y d^2 + (1 - y) max(0, m - d)^2`` with the Euclidean distance ``d``.

    Hadsell, Chopra and LeCun 2006, "Dimensionality reduction by learning an invariant mapping". Differs from the paper:
    ``y`` is 1 for pairs that belong together, there it is 0; no factor 1/2.

    Args:
        first: Embeddings.
        second: Embeddings, one for each of ``first``.
        same: 1 or True where the pair belongs together, else 0.
        margin: Distance beyond which pairs that do not belong together are left alone.
        reduction: As for all losses.

    Raises:
        InputError: When shapes do not match, or an option is out of its range.
    """
    check(margin=margin, reduction=reduction)
    same_shape(first=first, second=second)
    same_shape(**{"first[:, 0]": first[:, 0], "same": same})
    difference = precise(first) - precise(second)
    y = same.to(difference.dtype)
    apart = (margin - torch.linalg.vector_norm(difference, dim=1)).clamp_min(0).square()
    return reduced(y * difference.square().sum(1) + (1 - y) * apart, reduction)


def squared_triplet_loss(
    anchor: Float[Tensor, "b d"],
    positive: Float[Tensor, "b d"],
    negative: Float[Tensor, "b d"],
    *,
    margin: float = 0.2,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """FaceNet's triplet loss ``max(0, |a - p|^2 - |a - n|^2 + m)``.

    Schroff et al. 2015, "FaceNet". Differs from the paper: nothing; embeddings of length 1 are the caller's part
    (``torch.nn.functional.normalize``).

    Args:
        anchor: Embeddings.
        positive: Embeddings of samples of the same classes.
        negative: Embeddings of samples of other classes.
        margin: By how much the squared distances must differ.
        reduction: As for all losses.

    Raises:
        InputError: When shapes do not match, or an option is out of its range.
    """
    check(margin=margin, reduction=reduction)
    same_shape(anchor=anchor, positive=positive, negative=negative)
    anchor, positive, negative = precise(anchor), precise(positive), precise(negative)
    near, far = (anchor - positive).square().sum(1), (anchor - negative).square().sum(1)
    return reduced((near - far + margin).clamp_min(0), reduction)


def sigmoid_triplet_loss(
    anchor: Float[Tensor, "b d"],
    positive: Float[Tensor, "b d"],
    negative: Float[Tensor, "b d"],
    *,
    margin: float = 0.2,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """The course's triplet loss ``max(|A - P| - |A - N|, -m)`` of the embeddings' sigmoids ``A``, ``P``, ``N``.

    It is the Euclidean triplet loss less ``m``, so its gradients are the same and it lies between ``-m`` and
    ``sqrt(d)``.

    Args:
        anchor: Embeddings before the sigmoid.
        positive: Embeddings of samples of the same classes, before the sigmoid.
        negative: Embeddings of samples of other classes, before the sigmoid.
        margin: By how much the distances must differ.
        reduction: As for all losses.

    Raises:
        InputError: When shapes do not match, or an option is out of its range.
    """
    check(margin=margin, reduction=reduction)
    same_shape(anchor=anchor, positive=positive, negative=negative)
    center = precise(anchor).sigmoid()
    near = torch.linalg.vector_norm(center - precise(positive).sigmoid(), dim=1)
    far = torch.linalg.vector_norm(center - precise(negative).sigmoid(), dim=1)
    return reduced((near - far).clamp_min(-margin), reduction)


@register(
    "loss",
    "contrastive",
    family="pairs",
    paper="Hadsell et al. 2006, Dimensionality reduction by learning an invariant mapping",
    year=2006,
    sample=(5, 4),
)
class ContrastiveLoss(AbstractLoss):
    """Pulls pairs that belong together, pushes others to a margin. See :func:`contrastive_loss`."""

    def __init__(self, *, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__({"margin": margin, "reduction": reduction})

    def forward(
        self,
        first: Float[Tensor, "b d"],
        second: Float[Tensor, "b d"],
        same: Num[Tensor, " b"] | Bool[Tensor, " b"],
    ) -> Float[Tensor, "..."]:
        return contrastive_loss(first, second, same, **self.options)


@register("loss", "squared-triplet", family="triplets", paper="Schroff et al. 2015, FaceNet", year=2015, sample=(5, 4))
class SquaredTripletLoss(AbstractLoss):
    """FaceNet's triplet loss, on squared distances. See :func:`squared_triplet_loss`."""

    def __init__(self, *, margin: float = 0.2, reduction: str = "mean") -> None:
        super().__init__({"margin": margin, "reduction": reduction})

    def forward(
        self, anchor: Float[Tensor, "b d"], positive: Float[Tensor, "b d"], negative: Float[Tensor, "b d"]
    ) -> Float[Tensor, "..."]:
        return squared_triplet_loss(anchor, positive, negative, **self.options)


@register(
    "loss",
    "sigmoid-triplet",
    family="triplets",
    paper="Schroff et al. 2015, FaceNet (in the course's form)",
    year=2015,
    sample=(5, 4),
)
class SigmoidTripletLoss(AbstractLoss):
    """Euclidean triplet loss of sigmoid embeddings, less its margin. See :func:`sigmoid_triplet_loss`."""

    def __init__(self, *, margin: float = 0.2, reduction: str = "mean") -> None:
        super().__init__({"margin": margin, "reduction": reduction})

    def forward(
        self, anchor: Float[Tensor, "b d"], positive: Float[Tensor, "b d"], negative: Float[Tensor, "b d"]
    ) -> Float[Tensor, "..."]:
        return sigmoid_triplet_loss(anchor, positive, negative, **self.options)
