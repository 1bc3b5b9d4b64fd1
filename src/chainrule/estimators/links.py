"""Links of a generalized linear model: which function of the mean is linear in the features.

Nelder and Wedderburn 1972: ``g(mu) = w x + b``. The canonical link of a family gives its natural parameter.
"""

import math
from abc import ABC, abstractmethod

import torch

from chainrule.shapes import Float, Tensor


class AbstractLink(ABC):
    """A function ``g`` of the mean that is linear in the features, ``g(mu) = w x + b``."""

    @abstractmethod
    def link(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """``g(mu)``."""

    @abstractmethod
    def mean(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The mean, ``g`` inverted."""

    @abstractmethod
    def slope(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """The derivative of the mean by the linear part."""


class Identity(AbstractLink):
    """``g(mu) = mu``."""

    def link(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return mean

    def mean(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return linear

    def slope(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.ones_like(linear)


class Log(AbstractLink):
    """``g(mu) = log(mu)``."""

    def link(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return mean.log()

    def mean(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return linear.exp()

    def slope(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return linear.exp()


class Inverse(AbstractLink):
    """``g(mu) = 1 / mu``."""

    def link(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 1 / mean

    def mean(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 1 / linear

    def slope(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -1 / linear.square()


class Logit(AbstractLink):
    """``g(mu) = log(mu / (1 - mu))``."""

    def link(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.logit(mean)

    def mean(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return linear.sigmoid()

    def slope(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return linear.sigmoid() * (-linear).sigmoid()


class Probit(AbstractLink):
    """``g(mu)`` is the quantile function of the standard normal distribution."""

    def link(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.special.ndtri(mean)

    def mean(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.special.ndtr(linear)

    def slope(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.exp(linear.square() / -2) / math.sqrt(2 * math.pi)


class LogSurvival(AbstractLink):
    """``g(mu) = log(1 - 1/mu)``, the canonical link of the geometric distribution."""

    def link(self, mean: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return torch.log1p(-1 / mean)

    def mean(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return -1 / torch.expm1(linear)

    def slope(self, linear: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return linear.exp() / torch.expm1(linear).square()


#: Links by name.
LINKS: dict[str, AbstractLink] = {
    "identity": Identity(),
    "log": Log(),
    "inverse": Inverse(),
    "logit": Logit(),
    "probit": Probit(),
    "log-survival": LogSurvival(),
}
