"""Kernels: inner products ``K(x, z) = <phi(x), phi(z)>`` of samples whose features ``phi`` are never built.

M. A. Aizerman, E. M. Braverman and L. I. Rozonoer, "Theoretical foundations of the potential function method", 1964;
B. E. Boser, I. M. Guyon and V. N. Vapnik, "A training algorithm for optimal margin classifiers", 1992. A symmetric
function is such an inner product if, and only if, each of its Gram matrices ``K_ij = K(x_i, x_j)`` is positive
semi-definite (J. Mercer 1909); :func:`mercer_check` looks at one of them. Distances in feature space follow from the
kernel alone: ``d^2(x, z) = K(x, x) + K(z, z) - 2 K(x, z)``.

A kernel is any callable ``[n, d], [m, d] -> [n, m]``. Those here are parts with options, known by scikit-learn's names;
``gamma`` is a number, or the rule ``"scale"``, one over features times variance, or ``"auto"``, one over features.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from chainrule import registry
from chainrule.errors import InputError, UnknownNameError
from chainrule.shapes import Float, Tensor

#: A kernel as a function of two sets of samples.
Kernel = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class AbstractKernel(ABC):
    """A kernel with options."""

    @abstractmethod
    def against(self, Z: Float[Tensor, "m d"]) -> Callable[[Tensor], Tensor]:
        """The kernel of any samples ``[n, d]`` with these, ``[n, m]``; what depends on these alone is done once."""

    @abstractmethod
    def diagonal(self, X: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """``K(x, x)`` of each sample."""

    def __call__(self, X: Float[Tensor, "n d"], Z: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        """The kernel of each sample with each other one."""
        return self.against(Z)(X)

    def resolved(self, X: Float[Tensor, "n d"], weight: Float[Tensor, " n"] | None = None) -> Self:
        """The kernel with the numbers that these samples give to its rules.

        Args:
            X: Samples.
            weight: Their weights.

        Raises:
            InputError: When an option does not fit.
        """
        if not hasattr(self, "gamma"):
            return self
        return replace(self, gamma=width(self.gamma, X, weight))  # type: ignore[call-arg]


@dataclass(frozen=True, kw_only=True)
class Linear(AbstractKernel):
    """``K(x, z) = <x, z>``."""

    def against(self, Z: Float[Tensor, "m d"]) -> Callable[[Tensor], Tensor]:
        return lambda X: X @ Z.mT

    def diagonal(self, X: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return X.square().sum(dim=1)


@dataclass(frozen=True, kw_only=True)
class Polynomial(AbstractKernel):
    """``K(x, z) = (gamma <x, z> + coef0)^degree``.

    Attributes:
        degree: Degree of the polynomial.
        gamma: Factor of the inner product, or a rule for it.
        coef0: What is added; above 0 it brings in the lower degrees.

    Raises:
        InputError: When the degree is negative.
    """

    degree: float = 3
    gamma: float | str = "scale"
    coef0: float = 0.0

    def against(self, Z: Float[Tensor, "m d"]) -> Callable[[Tensor], Tensor]:
        scaled = Z.mT * number(self.gamma)
        return lambda X: (X @ scaled).add_(self.coef0).pow_(self.degree)

    def diagonal(self, X: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return (X.square().sum(dim=1) * number(self.gamma) + self.coef0) ** self.degree

    def __post_init__(self) -> None:
        if not self.degree >= 0:
            raise InputError(f"The polynomial kernel wants a degree from 0 up; received {self.degree!r}.")


@dataclass(frozen=True, kw_only=True)
class RBF(AbstractKernel):
    """``K(x, z) = exp(-gamma ||x - z||^2)``.

    Attributes:
        gamma: One over twice the squared width, or a rule for it.
    """

    gamma: float | str = "scale"

    def against(self, Z: Float[Tensor, "m d"]) -> Callable[[Tensor], Tensor]:
        # ||x - z||^2 is taken apart so that one matrix product gives it. Samples far from the origin would lose their
        # digits in that, so the mean goes first; what rounding leaves below zero is zero.
        root = (2 * number(self.gamma)) ** 0.5
        mean = Z.mean(dim=0)
        scaled = (Z - mean).mul_(root).mT
        half = scaled.square().sum(dim=0).mul_(-0.5)

        def rows(X: Tensor) -> Tensor:
            moved = (X - mean).mul_(root)
            exponent = torch.addmm(half, moved, scaled)
            return exponent.sub_(moved.square().sum(dim=1, keepdim=True), alpha=0.5).clamp_(max=0).exp_()

        return rows

    def diagonal(self, X: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return X.new_ones(len(X))


@dataclass(frozen=True, kw_only=True)
class Sigmoid(AbstractKernel):
    """``K(x, z) = tanh(gamma <x, z> + coef0)``; not positive semi-definite for all options.

    Attributes:
        gamma: Factor of the inner product, or a rule for it.
        coef0: What is added.
    """

    gamma: float | str = "scale"
    coef0: float = 0.0

    def against(self, Z: Float[Tensor, "m d"]) -> Callable[[Tensor], Tensor]:
        scaled = Z.mT * number(self.gamma)
        return lambda X: (X @ scaled).add_(self.coef0).tanh_()

    def diagonal(self, X: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return torch.tanh(X.square().sum(dim=1) * number(self.gamma) + self.coef0)


#: Kernels by scikit-learn's names.
KERNELS: dict[str, type[AbstractKernel]] = {"linear": Linear, "poly": Polynomial, "rbf": RBF, "sigmoid": Sigmoid}


def named_kernel(kernel: Any, gamma: float | str = "scale") -> Kernel:
    """The kernel that was asked for: by name, as a part, or as a function of the caller's.

    Args:
        kernel: ``"linear"``, ``"poly"``, ``"rbf"``, ``"sigmoid"``, also with options as in
            ``"poly(degree=2, coef0=1)"``; one of the parts here; or a callable.
        gamma: ``gamma`` of a kernel asked for by name.

    Raises:
        InputError: When there is no such kernel.
    """
    if isinstance(kernel, str):
        asked = registry.parse(kernel)
        if asked.name not in KERNELS:
            raise UnknownNameError("kernel", asked.name, [*KERNELS, "precomputed"])
        part = KERNELS[asked.name]
        rule = {} if part is Linear else {"gamma": gamma}
        return registry.call(part, {**rule, **asked.options}, asked.name)
    if not callable(kernel) or isinstance(kernel, type):
        raise InputError(f"A kernel is a name, a part such as RBF(gamma=0.1), or a function; received {kernel!r}.")
    return kernel


def width(gamma: float | str, X: Float[Tensor, "n d"], weight: Float[Tensor, " n"] | None = None) -> float:
    """The number that ``gamma`` stands for on these samples.

    Args:
        gamma: A number or a rule.
        X: Samples.
        weight: Their weights; a weight of two is the same as having a sample twice.

    Raises:
        InputError: When it is neither a number from 0 up nor a rule.
    """
    if gamma == "scale":
        share = X.new_ones(len(X)).double() if weight is None else weight.double()
        share = (share / share.sum())[:, None] / X.shape[1]
        variance = float((share * (X - (share * X).sum()).square()).sum())
        return 1 / (X.shape[1] * variance) if variance > 0 else 1.0
    if gamma == "auto":
        return 1 / X.shape[1]
    if isinstance(gamma, str) or not 0 <= gamma < float("inf"):
        raise InputError(f"gamma has to be 'scale', 'auto' or a number from 0 up; received {gamma!r}.")
    return float(gamma)


def number(gamma: float | str) -> float:
    """``gamma`` as a number.

    Raises:
        InputError: When it is still a rule.
    """
    if isinstance(gamma, str):
        raise InputError(f"gamma={gamma!r} is a rule that needs samples; write kernel.resolved(X), or a number.")
    return gamma


def gram(kernel: Kernel, X: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """The Gram matrix ``K_ij = K(x_i, x_j)``."""
    return torch.as_tensor(kernel(X, X), dtype=X.dtype, device=X.device)


def diagonal(kernel: Kernel, X: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """``K(x, x)`` of each sample, of any kernel; no Gram matrix larger than 256 x 256 is built for it."""
    if isinstance(kernel, AbstractKernel):
        return kernel.diagonal(X)
    return torch.cat([gram(kernel, part).diagonal() for part in X.split(256)])


def kernel_distance(kernel: Kernel, X: Float[Tensor, "n d"], Z: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Squared distance in feature space, ``K(x, x) + K(z, z) - 2 K(x, z)``."""
    cross = torch.as_tensor(kernel(X, Z), dtype=X.dtype, device=X.device)
    return (diagonal(kernel, X)[:, None] + diagonal(kernel, Z) - 2 * cross).clamp_(min=0)


@dataclass(frozen=True)
class Mercer:
    """Whether a Gram matrix is one of inner products.

    Attributes:
        least: Its least eigenvalue.
        symmetric: Whether it is symmetric, within rounding.
        valid: Whether it is symmetric and positive semi-definite, within rounding.
        sentence: The verdict.
    """

    least: float
    symmetric: bool
    valid: bool
    sentence: str


def mercer_check(K: Float[Tensor, "n n"]) -> Mercer:
    """Check a Gram matrix for Mercer's condition.

    Args:
        K: The matrix; that of a kernel is ``gram(kernel, X)``.

    Raises:
        InputError: When the matrix is not finite.
    """
    if not bool(K.isfinite().all()):
        raise InputError("The kernel gives NaN or infinity; scale the samples, or change its options.")
    # Kernels are often computed in single precision, also where they are given in double.
    rounding = float(K.abs().max()) * len(K) ** 0.5 * 10 * torch.finfo(torch.float32).eps if len(K) else 0.0
    symmetric = bool(((K - K.mT).abs() <= rounding).all())
    least = float(torch.linalg.eigvalsh(((K + K.mT) / 2).double())[0]) if len(K) else 0.0
    if not symmetric:
        sentence = f"The kernel is not symmetric, so it is no inner product (least eigenvalue {least:.3g})."
    elif least < -rounding:
        sentence = f"The kernel is not positive semi-definite: its Gram matrix has the eigenvalue {least:.3g}."
    else:
        sentence = f"The Gram matrix is symmetric and positive semi-definite; its least eigenvalue is {least:.3g}."
    return Mercer(least, symmetric, symmetric and least >= -rounding, sentence)


def quadratic_features(X: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """``phi(x) = (x1^2, sqrt(2) x1 x2, x2^2)``, whose inner products are ``<x, z>^2``."""
    first, second = X.unbind(dim=1)
    return torch.stack([first**2, 2**0.5 * first * second, second**2], dim=1)


def product_features(X: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """``phi(x) = (x1, x2, x1 x2)``, which makes exclusive-or linearly separable."""
    return torch.cat([X, X.prod(dim=1, keepdim=True)], dim=1)
