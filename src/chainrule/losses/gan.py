"""The games of generative adversarial networks: what the discriminator minimises, and what the generator.

Discriminators give logits, critics unbounded scores. With ``r`` those of real samples, ``f`` those of generated ones::

    minimax          D: -log s(r) - log(1 - s(f))            G: log(1 - s(f))       (Goodfellow et al. 2014)
    non-saturating   D: the same                             G: -log s(f)           (Goodfellow et al. 2014)
    least squares    D: (r - 1)^2 / 2 + f^2 / 2              G: (f - 1)^2 / 2       (Mao et al. 2017)
    hinge            D: max(0, 1 - r) + max(0, 1 + f)        G: -f                  (Lim and Ye 2017)
    Wasserstein      D: f - r, and the gradient penalty      G: -f                  (Gulrajani et al. 2017)

``s`` is the sigmoid. Of outputs with more than one number a sample, such as PatchGAN's maps, the mean counts. At the
minimax optimum, all logits 0, the discriminator's loss is log 4. Differs from the papers: nothing.
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F

from chainrule.losses.base import AbstractLoss, check, precise, reduced, same_shape
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

_ROW = {"family": "adversarial", "sample": (5, 1)}


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, " b *shape"],
    fake: Float[Tensor, " b *shape"],
    *,
    penalty: float = 10.0,
    reduction: str = "mean",
    generator: torch.Generator | None = None,
) -> Float[Tensor, "..."]:
    """WGAN-GP's penalty ``c (|gradient of the critic at x| - 1)^2`` at random points between real and generated.

    Gulrajani et al. 2017, "Improved training of Wasserstein GANs", algorithm 1. Differs from the paper: nothing.

    Args:
        critic: Samples ``[b, *shape]`` to scores ``[b, ...]``.
        real: Real samples.
        fake: Generated samples; neither gets a gradient.
        penalty: Factor ``c``.
        reduction: As for all losses.
        generator: Source of the random points; None is torch's own.

    Raises:
        InputError: When shapes do not match, or an option is out of its range.
    """
    check(penalty=penalty, reduction=reduction)
    same_shape(real=real, fake=fake)
    share = torch.rand((len(real), *(1,) * (real.ndim - 1)), generator=generator, dtype=real.dtype, device=real.device)
    with torch.enable_grad():
        between = torch.lerp(real.detach(), fake.detach(), share).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        norm = torch.linalg.vector_norm(precise(slope).flatten(1), dim=1)
        return reduced(penalty * (norm - 1).square(), reduction)


def minimax_discriminator_loss(
    real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"], *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Discriminator's loss ``-log s(r) - log(1 - s(f))``."""
    r, f = _both(real, fake)
    return _per_sample(-F.logsigmoid(r) - F.logsigmoid(-f), reduction)


def minimax_generator_loss(fake: Float[Tensor, " b *rest"], *, reduction: str = "mean") -> Float[Tensor, "..."]:
    """Generator's loss ``log(1 - s(f))``, whose slope vanishes where the discriminator is sure."""
    return _per_sample(F.logsigmoid(-precise(fake)), reduction)


def non_saturating_generator_loss(fake: Float[Tensor, " b *rest"], *, reduction: str = "mean") -> Float[Tensor, "..."]:
    """Generator's loss ``-log s(f)``, whose slope does not vanish where the discriminator is sure."""
    return _per_sample(-F.logsigmoid(precise(fake)), reduction)


def least_squares_discriminator_loss(
    real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"], *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Discriminator's loss ``(r - 1)^2 / 2 + f^2 / 2``."""
    r, f = _both(real, fake)
    return _per_sample(((r - 1).square() + f.square()) / 2, reduction)


def least_squares_generator_loss(fake: Float[Tensor, " b *rest"], *, reduction: str = "mean") -> Float[Tensor, "..."]:
    """Generator's loss ``(f - 1)^2 / 2``."""
    return _per_sample((precise(fake) - 1).square() / 2, reduction)


def hinge_discriminator_loss(
    real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"], *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Discriminator's loss ``max(0, 1 - r) + max(0, 1 + f)``."""
    r, f = _both(real, fake)
    return _per_sample((1 - r).clamp_min(0) + (1 + f).clamp_min(0), reduction)


def wasserstein_critic_loss(
    real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"], *, reduction: str = "mean"
) -> Float[Tensor, "..."]:
    """Critic's loss ``f - r``, without the gradient penalty."""
    r, f = _both(real, fake)
    return _per_sample(f - r, reduction)


def wasserstein_generator_loss(fake: Float[Tensor, " b *rest"], *, reduction: str = "mean") -> Float[Tensor, "..."]:
    """Generator's loss ``-f``, of the hinge game, too."""
    return _per_sample(-precise(fake), reduction)


def _per_sample(losses: Float[Tensor, " b *rest"], reduction: str) -> Float[Tensor, "..."]:
    check(reduction=reduction)
    return reduced(losses.flatten(1).mean(1) if losses.ndim > 1 else losses, reduction)


def _both(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    same_shape(real=real, fake=fake)
    return precise(real), precise(fake)


class AbstractGame(AbstractLoss):
    """The two losses of one game; called, it gives the discriminator's.

    Args:
        reduction: As for all losses.
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__({"reduction": reduction})

    @abstractmethod
    def discriminator(self, real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        """What the discriminator minimises, from its outputs for real and for (detached) generated samples."""

    @abstractmethod
    def generator(self, fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        """What the generator minimises, from the discriminator's outputs for generated samples."""

    def forward(self, real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return self.discriminator(real, fake)


@register("loss", "gan-minimax", paper="Goodfellow et al. 2014, Generative adversarial nets", year=2014, **_ROW)
class MinimaxGame(AbstractGame):
    """The original game, both players on one value."""

    def discriminator(self, real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return minimax_discriminator_loss(real, fake, **self.options)

    def generator(self, fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return minimax_generator_loss(fake, **self.options)


@register("loss", "gan-non-saturating", paper="Goodfellow et al. 2014, Generative adversarial nets", year=2014, **_ROW)
class NonSaturatingGame(AbstractGame):
    """The original game with a generator that learns where the discriminator is sure."""

    def discriminator(self, real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return minimax_discriminator_loss(real, fake, **self.options)

    def generator(self, fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return non_saturating_generator_loss(fake, **self.options)


@register(
    "loss",
    "gan-least-squares",
    paper="Mao et al. 2017, Least squares generative adversarial networks",
    year=2017,
    **_ROW,
)
class LeastSquaresGame(AbstractGame):
    """Squared distances to the labels 0 and 1."""

    def discriminator(self, real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return least_squares_discriminator_loss(real, fake, **self.options)

    def generator(self, fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return least_squares_generator_loss(fake, **self.options)


@register("loss", "gan-hinge", paper="Lim and Ye 2017, Geometric GAN", year=2017, **_ROW)
class HingeGame(AbstractGame):
    """Hinge loss for the discriminator, its plain score for the generator."""

    def discriminator(self, real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return hinge_discriminator_loss(real, fake, **self.options)

    def generator(self, fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return wasserstein_generator_loss(fake, **self.options)


@register(
    "loss", "gan-wasserstein", paper="Gulrajani et al. 2017, Improved training of Wasserstein GANs", year=2017, **_ROW
)
class WassersteinGame(AbstractGame):
    """Difference of the critic's scores; :meth:`penalty` keeps its slope near 1."""

    def discriminator(self, real: Float[Tensor, " b *rest"], fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return wasserstein_critic_loss(real, fake, **self.options)

    def generator(self, fake: Float[Tensor, " b *rest"]) -> Float[Tensor, "..."]:
        return wasserstein_generator_loss(fake, **self.options)

    def penalty(
        self,
        critic: Callable[[Tensor], Tensor],
        real: Float[Tensor, " b *shape"],
        fake: Float[Tensor, " b *shape"],
        *,
        penalty: float = 10.0,
    ) -> Float[Tensor, "..."]:
        """What is added to the critic's loss: :func:`gradient_penalty`."""
        return gradient_penalty(critic, real, fake, penalty=penalty, **self.options)
