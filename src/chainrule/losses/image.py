"""Losses of style transfer: content, style, and smoothness of the picture.

Gatys, Ecker and Bethge 2016, "Image style transfer using convolutional neural networks", eq. 1, 3 and 4. With ``F`` a
layer's features, ``N`` channels by ``M`` positions, of the generated image and ``P`` those of the other::

    content = 1/2 sum (F - P)^2        G = F F^T        style = 1 / (4 N^2 M^2) sum (G - A)^2
"""

from chainrule.errors import InputError
from chainrule.losses.base import AbstractLoss, check, precise, reduced, same_shape
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

_ROW = {"paper": "Gatys et al. 2016, Image style transfer using convolutional neural networks", "year": 2016}


def gram(features: Float[Tensor, "b c *positions"]) -> Float[Tensor, "b c c"]:
    """Gram matrix of the channels, ``G_ij = sum_k F_ik F_jk``: which features go together, wherever they are."""
    flat = precise(features).flatten(2)
    return flat @ flat.mT


def content_loss(
    features: Float[Tensor, " b *shape"], wanted: Float[Tensor, " b *shape"], *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Content loss ``1/2 sum (F - P)^2``, a sum over all features of a sample.

    Args:
        features: Features of the generated images.
        wanted: Features of the content images.
        reduction: As for all losses.

    Raises:
        InputError: When shapes do not match, or the reduction is none of the three.
    """
    check(reduction=reduction)
    same_shape(features=features, wanted=wanted)
    return reduced((precise(features) - precise(wanted)).square().flatten(1).sum(1) / 2, reduction)


def style_loss(
    features: Float[Tensor, "b c *positions"], wanted: Float[Tensor, "b c *others"], *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Style loss of one layer; the whole is the sum over layers, each times its weight.

    Each Gram matrix is divided by its own number of positions, so the style image may have another size; for equal
    sizes that is the formula of the paper.

    Args:
        features: Features of the generated images.
        wanted: Features of the style images.
        reduction: As for all losses.

    Raises:
        InputError: When batch or channels differ, or the reduction is none of the three.
    """
    check(reduction=reduction)
    if features.shape[:2] != wanted.shape[:2] or min(features.ndim, wanted.ndim) < 3:
        raise InputError(
            "features and wanted must be [b, c, ...] with the same b and c; received "
            f"{list(features.shape)} and {list(wanted.shape)}."
        )
    here, there = (gram(precise(x) / x.shape[2:].numel() ** 0.5) for x in (features, wanted))
    return reduced((here - there).square().sum((1, 2)) / (4 * features.shape[1] ** 2), reduction)


def total_variation_loss(images: Float[Tensor, "b c h w"], *, reduction: str = "mean") -> Float[Tensor, "..."]:
    """Total variation ``sum |x_ij - x_i+1,j| + |x_ij - x_i,j+1|`` of each image, over all its channels.

    Rudin, Osher and Fatemi 1992, in the anisotropic form. Its value is that of ``torchmetrics.image.TotalVariation``.

    Args:
        images: Images; a side of one pixel has no neighbours.
        reduction: As for all losses.

    Raises:
        InputError: When the reduction is none of the three.
    """
    check(reduction=reduction)
    x = precise(images)
    down, right = (x.diff(dim=dim).abs().sum((1, 2, 3)) for dim in (2, 3))
    return reduced(down + right, reduction)


@register("loss", "content", family="features", sample=(2, 3, 4, 5), **_ROW)
class ContentLoss(AbstractLoss):
    """Half the squared distance of features. See :func:`content_loss`."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__({"reduction": reduction})

    def forward(self, features: Float[Tensor, " b *shape"], wanted: Float[Tensor, " b *shape"]) -> Float[Tensor, "..."]:
        return content_loss(features, wanted, **self.options)


@register("loss", "style", family="features", sample=(2, 3, 4, 5), **_ROW)
class StyleLoss(AbstractLoss):
    """Squared distance of the Gram matrices of features. See :func:`style_loss`."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__({"reduction": reduction})

    def forward(
        self, features: Float[Tensor, "b c *positions"], wanted: Float[Tensor, "b c *others"]
    ) -> Float[Tensor, "..."]:
        return style_loss(features, wanted, **self.options)


@register(
    "loss",
    "total-variation",
    family="image",
    paper="Rudin et al. 1992, Nonlinear total variation based noise removal algorithms",
    year=1992,
    sample=(2, 3, 4, 5),
    peer="torchmetrics.functional.image.total_variation",
)
class TotalVariationLoss(AbstractLoss):
    """Sum of the differences of neighbouring pixels. See :func:`total_variation_loss`."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__({"reduction": reduction})

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "..."]:
        return total_variation_loss(images, **self.options)
