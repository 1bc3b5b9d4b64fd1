"""Augmentations that put something else in the place of pixels: a hole, or another sample."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch

from chainrule.data.augment.base import AbstractAugmentation, Draws, Images, Targets, check_range, each, whole
from chainrule.errors import InputError
from chainrule.registry import register


@register(
    "augmentation",
    "cutout",
    family="erasing",
    paper="DeVries and Taylor 2017, Improved Regularization of Convolutional Neural Networks with Cutout",
    year=2017,
    tiny={},
)
@dataclass(frozen=True, kw_only=True)
class Cutout(AbstractAugmentation):
    """Blacken a window whose centre is any pixel, so that part of it may lie outside.

    Differs from the paper: the window is a fraction of each side, and raw black instead of the mean of the data.

    Attributes:
        side: Sides of the window, as a fraction of those of the image.
    """

    side: float = 0.25
    draws: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_range("side of cutout", self.side, 0, 1)

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        inside = []
        for draw, length in zip(u.unbind(1), images.shape[2:], strict=True):
            window = round(self.side * length)
            first = whole(draw, length)[:, None] - window // 2
            place = torch.arange(length, device=images.device)
            inside.append((place >= first) & (place < first + window))
        hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
        return images.masked_fill(hole, 0), targets


@register(
    "augmentation",
    "mixup",
    family="mixing",
    paper="Zhang, Cisse, Dauphin, Lopez-Paz 2018, mixup: Beyond Empirical Risk Minimization",
    year=2018,
    tiny={},
)
@dataclass(frozen=True, kw_only=True)
class Mixup(AbstractAugmentation):
    """Mix each sample and its target with those of a partner: ``x = s x_i + (1 - s) x_j``, ``s ~ Beta(alpha, alpha)``.

    The partners are a random permutation of the samples that are on the device together, so unlike the others it
    depends on the number of processes and of pieces. Differs from the paper's code: each sample has its own share
    ``s`` (the paper's lambda), as in the paper's formula.

    Attributes:
        alpha: Small values mix little: nearly all shares are close to 0 or 1.

    Raises:
        InputError: When ``alpha`` is not greater than 0, or targets cannot be mixed.
    """

    alpha: float = 0.2
    draws: ClassVar[int] = 2
    soft: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.alpha < inf:
            raise InputError(f"alpha of mixup must be a number greater than 0; received {self.alpha!r}.")

    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        from scipy.special import betaincinv

        if not targets.is_floating_point():
            raise InputError(
                f"mixup needs targets that can be mixed, such as one-hot floats; received {targets.dtype}."
            )
        share = torch.from_numpy(betaincinv(self.alpha, self.alpha, u[:, 0].double().cpu().numpy()))
        partner = u[:, 1].argsort(stable=True)
        images, targets = (
            torch.lerp(batch[partner], batch, each(share.to(batch), batch)) for batch in (images, targets)
        )
        return images, targets
