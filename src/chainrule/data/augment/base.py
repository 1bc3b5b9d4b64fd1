"""What every augmentation is, and the small functions they share."""

from abc import ABC, abstractmethod
from typing import ClassVar

from chainrule.errors import InputError
from chainrule.shapes import Float, Int, Num, Shaped, Tensor

Images = Float[Tensor, "b c h w"]
Targets = Num[Tensor, "b ..."]
Draws = Float[Tensor, "b draws"]


class AbstractAugmentation(ABC):
    """One augmentation; its options are its fields.

    Attributes:
        draws: Uniform numbers that it needs for each sample.
        soft: Whether it mixes targets, which must then be float.
    """

    draws: ClassVar[int] = 1
    soft: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, images: Images, targets: Targets, u: Draws, white: float) -> tuple[Images, Targets]:
        """Change a batch.

        Args:
            images: Raw images, from 0 to ``white``.
            targets: Their targets.
            u: Numbers uniform in [0, 1), ``draws`` for each sample.
            white: Value of full white.

        Returns:
            The changed images and targets; the given ones are left as they are.
        """


def check_range(option: str, value: float, least: float, most: float) -> None:
    """Raise an :class:`InputError` unless the value of an option lies from ``least`` to ``most``."""
    if not least <= value <= most:
        raise InputError(f"{option} must be a number from {least} to {most}; received {value!r}.")


def each(values: Shaped[Tensor, " b"], like: Shaped[Tensor, "b ..."]) -> Shaped[Tensor, "b ..."]:
    """One value a sample, shaped to act on all of the sample."""
    return values.view(-1, *[1] * (like.ndim - 1))


def signed(u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """From [0, 1) to [-1, 1); one half becomes exactly 0."""
    return 2 * u - 1


def whole(u: Float[Tensor, " b"], count: int) -> Int[Tensor, " b"]:
    """From [0, 1) to the whole numbers 0 ... count - 1, all equally likely."""
    return (u * count).long().clamp(max=count - 1)
