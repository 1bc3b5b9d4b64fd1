"""Losses by name, and those that torch lacks: each a pure function with a thin module beside it.

One convention holds for all losses here:

- **Logits.** What predicts classes takes the model's raw outputs ``[b, k, ...]``, never probabilities; the loss applies
  the softmax. One output, ``k = 1``, is the foreground's logit against a background with the logit 0. Other arguments
  are named after what they are: embeddings, lengths, features, images.
- **Targets** of classes are whole numbers ``[b, ...]``, as for ``torch.nn.CrossEntropyLoss``. Where the target is
  ``ignore_index``, by default -100, a position does not count.
- **Reduction.** A loss is first a number for each sample, ``[b]``: ``reduction="none"`` gives these, ``"sum"`` their
  sum, ``"mean"`` their mean over the samples that have anything to count (0 if none has). Within a sample, positions
  are averaged or summed as the formula says. torch's own losses differ: their ``"none"`` gives one loss an element.
- **Never NaN.** Empty masks, classes of one pixel, equal embeddings give finite values and gradients.
- **Checks.** Shapes, dtypes and options are checked, each with a sentence. Values in tensors are not, because reading
  them makes a device wait, with one exception: torch checks the bounds of class indices anyway.
- **Precision.** Half-precision inputs are taken to float32 first, and so is the result.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from chainrule import registry
from chainrule.errors import UnknownNameError
from chainrule.losses.base import AbstractLoss
from chainrule.losses.focal import FocalLoss, focal_loss
from chainrule.losses.gan import (
    AbstractGame,
    HingeGame,
    LeastSquaresGame,
    MinimaxGame,
    NonSaturatingGame,
    WassersteinGame,
    gradient_penalty,
    hinge_discriminator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    minimax_discriminator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
    wasserstein_critic_loss,
    wasserstein_generator_loss,
)
from chainrule.losses.image import (
    ContentLoss,
    StyleLoss,
    TotalVariationLoss,
    content_loss,
    gram,
    style_loss,
    total_variation_loss,
)
from chainrule.losses.margin import (
    CapsuleMarginLoss,
    CrammerSingerLoss,
    HingeLoss,
    SquaredHingeLoss,
    capsule_margin_loss,
    crammer_singer_loss,
    hinge_loss,
    squared_hinge_loss,
)
from chainrule.losses.mmd import MMDLoss, mmd_loss
from chainrule.losses.overlap import (
    DiceLoss,
    FocalTverskyLoss,
    GeneralizedDiceLoss,
    SquaredDiceLoss,
    TverskyLoss,
    dice_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    squared_dice_loss,
    tversky_loss,
)
from chainrule.losses.pairs import (
    ContrastiveLoss,
    SigmoidTripletLoss,
    SquaredTripletLoss,
    contrastive_loss,
    sigmoid_triplet_loss,
    squared_triplet_loss,
)

__all__ = [
    "TORCH",
    "AbstractGame",
    "AbstractLoss",
    "CapsuleMarginLoss",
    "ContentLoss",
    "ContrastiveLoss",
    "CrammerSingerLoss",
    "DiceLoss",
    "FocalLoss",
    "FocalTverskyLoss",
    "GeneralizedDiceLoss",
    "HingeGame",
    "HingeLoss",
    "LeastSquaresGame",
    "MMDLoss",
    "MinimaxGame",
    "NonSaturatingGame",
    "SigmoidTripletLoss",
    "SquaredDiceLoss",
    "SquaredHingeLoss",
    "SquaredTripletLoss",
    "StyleLoss",
    "TotalVariationLoss",
    "TverskyLoss",
    "WassersteinGame",
    "capsule_margin_loss",
    "content_loss",
    "contrastive_loss",
    "crammer_singer_loss",
    "dice_loss",
    "focal_loss",
    "focal_tversky_loss",
    "generalized_dice_loss",
    "gradient_penalty",
    "gram",
    "hinge_discriminator_loss",
    "hinge_loss",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "loss",
    "minimax_discriminator_loss",
    "minimax_generator_loss",
    "mmd_loss",
    "non_saturating_generator_loss",
    "sigmoid_triplet_loss",
    "squared_dice_loss",
    "squared_hinge_loss",
    "squared_triplet_loss",
    "style_loss",
    "total_variation_loss",
    "tversky_loss",
    "wasserstein_critic_loss",
    "wasserstein_generator_loss",
]

#: The losses of torch.
TORCH: dict[str, type[nn.Module]] = {
    name: getattr(nn, name)
    for name in dir(nn)
    # AdaptiveLogSoftmaxWithLoss and LinearCrossEntropyLoss have weights of their own: they are layers.
    if name.endswith("Loss") and name not in ("AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss")
}


def loss(name: str, **options: Any) -> nn.Module:
    """Build a loss by its name: torch's first, ours next.

    >>> loss("cross-entropy", label_smoothing=0.1)
    CrossEntropyLoss()
    >>> loss("tversky(alpha=0.5)", beta=0.5)
    TverskyLoss(alpha=0.5, beta=0.5, smooth=1e-05, ignore_index=-100, reduction='mean')

    Args:
        name: ``"cross-entropy"``, ``"mse"``, ``"dice"``, with options if need be. Case, hyphens, underscores and a
            ``Loss`` at the end make no difference, so torch's own spelling is right, too.
        options: Further options of the loss.

    Raises:
        UnknownNameError: When there is no such loss; the sentence names the nearest.
        InputError: When the loss does not know an option, or the option is out of its range.
    """
    call = registry.parse(name)
    rows = registry.entries("loss")
    known: dict[str, Callable[..., nn.Module]] = {_key(row): entry.build for row, entry in rows.items()}
    known |= {_key(spelled): build for spelled, build in TORCH.items()}
    build = known.get(_key(call.name))
    if build is None:
        raise UnknownNameError("loss", call.name, [*rows, *TORCH])
    built: nn.Module = registry.call(build, {**call.options, **options}, call.name)
    return built


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").removesuffix("loss")
