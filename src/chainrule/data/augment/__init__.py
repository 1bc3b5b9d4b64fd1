"""Augmentations: changes of a training batch that keep its meaning, as functions of the batch and of random numbers.

Each augmentation is given the uniform numbers in [0, 1) that it needs, ``draws`` for each sample, and draws nothing
itself. The numbers come from the seed of the run and the position in it, so a batch is changed in the same way on any
device and after a resume. Images are raw: from 0, black, to ``white``. All samples of a batch are changed at once, on
the device where they are.

>>> from chainrule.registry import parse_list
>>> augment = Augment(parse_list("crop(pad=1), hflip"), white=255.0)
>>> augment.draw(64, seed=0, epoch=1, step=1).shape
torch.Size([64, 3])
"""

from collections.abc import Sequence

import torch
from torch.nn.functional import one_hot

from chainrule import seeding
from chainrule.data.augment.base import AbstractAugmentation, Draws, Images, Targets
from chainrule.registry import Call, call, lookup
from chainrule.shapes import Float, Num, Tensor

__all__ = ["AbstractAugmentation", "Augment"]


class Augment:
    """Several augmentations, one after the other.

    Args:
        calls: The augmentations by name, as ``chainrule.registry.parse_list`` reads them.
        white: Value of full white in the raw images.
        classes: Number of classes when targets are class indices; they become one-hot floats before they are mixed.

    Attributes:
        parts: The augmentations.
        draws: Uniform numbers that they need for each sample.
        soft: Whether one of them mixes targets, which must then be float.

    Raises:
        UnknownNameError: When there is no augmentation of that name, or it has no option of that name.
        InputError: When an option has a value that is out of its range.
    """

    def __init__(self, calls: Sequence[Call], white: float, *, classes: int | None = None) -> None:
        self.parts: tuple[AbstractAugmentation, ...] = tuple(
            call(lookup("augmentation", wanted.name).build, wanted.options, wanted.name) for wanted in calls
        )
        self.white, self.classes = white, classes
        self.draws = sum(part.draws for part in self.parts)
        self.soft = any(part.soft for part in self.parts)

    def draw(self, samples: int, *, seed: int, epoch: int, step: int) -> Float[Tensor, "samples draws"]:
        """Numbers uniform in [0, 1) for one batch, on the CPU; they depend on the arguments and on nothing else."""
        generator = seeding.generator(seed, seeding.AUGMENT, epoch, step)
        return torch.rand(samples, self.draws, generator=generator)

    def __call__(self, images: Num[Tensor, "b c h w"], targets: Targets, u: Draws) -> tuple[Images, Targets]:
        """Change a batch of raw images, of whole numbers or floats, with the numbers that :meth:`draw` gave."""
        if not images.is_floating_point():
            images = images.float()
        if self.soft and self.classes is not None:
            targets = one_hot(targets, self.classes).float()
        columns = torch.split(u.to(images.device), [part.draws for part in self.parts], dim=1)
        for part, numbers in zip(self.parts, columns, strict=True):
            images, targets = part(images, targets, numbers, self.white)
        return images, targets
