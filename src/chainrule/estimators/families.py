"""Exponential families, the distributions of a generalized linear model.

Koopman, Pitman, Darmois 1935-36: ``p(y; eta) = b(y) exp((y eta - a(eta)) / phi)`` with the natural parameter ``eta``,
the log-partition ``a``, the carrier ``b`` and the dispersion ``phi``, which is 1 where nothing else is said. The mean
is ``mu = a'(eta)``, the variance ``phi a''(eta)``.
"""

import math
from abc import ABC, abstractmethod

import torch

from chainrule.shapes import Bool, Float, Tensor


def positive(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """The numbers, zero replaced by the least positive one."""
    return x.clamp_min(torch.finfo(x.dtype).tiny)


class AbstractFamily(ABC):
    """A family of distributions of the targets.

    Attributes:
        canonical: Name of the canonical link (up to its sign).
        support: The targets that it can have, in words.
        dispersed: Whether the dispersion ``phi`` is estimated; else it is 1.
    """

    canonical: str
    support: str
    dispersed: bool = False

    @abstractmethod
    def log_partition(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """``a(eta)``."""

    @abstractmethod
    def natural(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """``eta``, whose mean this is."""

    @abstractmethod
    def mean(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """``a'(eta)``."""

    @abstractmethod
    def variance(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """``a''(eta)`` as a function of the mean."""

    @abstractmethod
    def log_carrier(self, y: Float[Tensor, "*n"], dispersion: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """``log b(y)``; the dispersion may differ between samples."""

    @abstractmethod
    def inside(self, mean: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        """Whether a number can be a mean."""

    @abstractmethod
    def supports(self, y: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        """Whether a number can be a target."""

    @abstractmethod
    def deviance(self, y: Float[Tensor, "*n"], mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Twice what the log-likelihood lacks to that of a mean that is ``y`` itself, times the dispersion."""

    def log_density(
        self, y: Float[Tensor, "*n"], mean: Float[Tensor, "*n"], dispersion: Float[Tensor, "*n"]
    ) -> Float[Tensor, "*n"]:
        """The logarithm of the density or probability of ``y``."""
        eta = self.natural(mean)
        return (y * eta - self.log_partition(eta)) / dispersion + self.log_carrier(y, dispersion)


class Gaussian(AbstractFamily):
    """Normal distribution: ``a = eta^2 / 2``, ``b = exp(-y^2 / (2 phi)) / sqrt(2 pi phi)``; ``eta = mu``."""

    canonical, support, dispersed = "identity", "real numbers", True

    def log_partition(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return eta.square() / 2

    def natural(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return mean

    def mean(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return eta

    def variance(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.ones_like(mean)

    def log_carrier(self, y: Float[Tensor, "*n"], dispersion: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -(y.square() / dispersion + (2 * math.pi * dispersion).log()) / 2

    def inside(self, mean: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return mean.isfinite()

    def supports(self, y: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return y.isfinite()

    def deviance(self, y: Float[Tensor, "*n"], mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (y - mean).square()


class Bernoulli(AbstractFamily):
    """Two outcomes, ``y`` in {0, 1}: ``eta = log(mu / (1 - mu))``, ``a = log(1 + exp(eta))``, ``b = 1``."""

    canonical, support = "logit", "0 and 1"

    def log_partition(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.logaddexp(eta, torch.zeros_like(eta))

    def natural(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return positive(mean).log() - positive(1 - mean).log()

    def mean(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return eta.sigmoid()

    def variance(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return mean * (1 - mean)

    def log_carrier(self, y: Float[Tensor, "*n"], dispersion: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.zeros_like(y * dispersion)

    def inside(self, mean: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return (mean >= 0) & (mean <= 1)

    def supports(self, y: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return (y == 0) | (y == 1)

    def deviance(self, y: Float[Tensor, "*n"], mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -2 * (torch.xlogy(y, mean) + torch.special.xlog1py(1 - y, -mean))


class Poisson(AbstractFamily):
    """Counts, ``y = 0, 1, 2, ...``: ``eta = log(mu)``, ``a = exp(eta)``, ``b = 1 / y!``."""

    canonical, support = "log", "counts 0, 1, 2, ..."

    def log_partition(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return eta.exp()

    def natural(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return positive(mean).log()

    def mean(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return eta.exp()

    def variance(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return mean

    def log_carrier(self, y: Float[Tensor, "*n"], dispersion: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -torch.lgamma(y + 1) / dispersion

    def inside(self, mean: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return (mean >= 0) & mean.isfinite()

    def supports(self, y: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return (y >= 0) & (y == y.round())

    def deviance(self, y: Float[Tensor, "*n"], mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 2 * (torch.xlogy(y, y) - torch.xlogy(y, mean) - (y - mean))


class Geometric(AbstractFamily):
    """Trials up to the first success, ``y = 1, 2, ...``, geometric distribution.

    ``eta = log(1 - 1/mu)``, ``a = log(exp(eta) / (1 - exp(eta)))``, ``b = 1``. The probability of success is
    ``1 / mu``. Others count the failures before it, ``y - 1``; the coefficients of the canonical link are the same.
    """

    canonical, support = "log-survival", "numbers of trials 1, 2, 3, ..."

    def log_partition(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return eta - torch.log(-torch.expm1(eta))

    def natural(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return positive(1 - 1 / mean).log()

    def mean(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -1 / torch.expm1(eta)

    def variance(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return mean * (mean - 1)

    def log_carrier(self, y: Float[Tensor, "*n"], dispersion: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.zeros_like(y * dispersion)

    def inside(self, mean: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return (mean >= 1) & mean.isfinite()

    def supports(self, y: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return (y >= 1) & (y == y.round())

    def deviance(self, y: Float[Tensor, "*n"], mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 2 * (torch.xlogy(y - 1, (y - 1) / y) - torch.xlogy(y - 1, (mean - 1) / mean) + torch.log(mean / y))


class Gamma(AbstractFamily):
    """Positive numbers: ``eta = -1 / mu``, ``a = -log(-eta)``, shape ``1 / phi``.

    The canonical link is taken with the other sign, ``1 / mu``, as is usual.
    """

    canonical, support, dispersed = "inverse", "numbers above 0", True

    def log_partition(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -torch.log(-eta)

    def natural(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -1 / mean

    def mean(self, eta: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -1 / eta

    def variance(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return mean.square()

    def log_carrier(self, y: Float[Tensor, "*n"], dispersion: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -dispersion.log() / dispersion + (1 / dispersion - 1) * y.log() - torch.lgamma(1 / dispersion)

    def inside(self, mean: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return (mean > 0) & mean.isfinite()

    def supports(self, y: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
        return y > 0

    def deviance(self, y: Float[Tensor, "*n"], mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 2 * ((y - mean) / mean - torch.log(y / mean))


#: Families by name.
FAMILIES: dict[str, AbstractFamily] = {
    "gaussian": Gaussian(),
    "bernoulli": Bernoulli(),
    "poisson": Poisson(),
    "geometric": Geometric(),
    "gamma": Gamma(),
}
