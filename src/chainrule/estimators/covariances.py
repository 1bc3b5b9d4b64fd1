"""What the covariance matrices of a Gaussian mixture may be: full, tied, diagonal, spherical.

A component is held by its mean and by a factor P of its precision, ``Sigma^-1 = P P^T``. In its own coordinates
``y = P^T (x - mu)`` its density is ``-(d log 2 pi + |y|^2) / 2 + log |P|``. The moments of the M-step are also taken in
these coordinates, where they are near the unit matrix: nothing large is subtracted from anything large.
"""

from abc import ABC, abstractmethod

import torch

from chainrule.errors import InputError
from chainrule.shapes import Float, Tensor


class AbstractCovariance(ABC):
    """One kind of covariance; ``factors`` and ``covariances`` have the shape ``[k, ...]`` or, when tied, ``[d, d]``."""

    @abstractmethod
    def unit(self, like: Float[Tensor, "k d"]) -> Tensor:
        """Factors of unit covariances."""

    @abstractmethod
    def factors(self, covariances: Tensor) -> Tensor:
        """Factors of the precisions.

        Raises:
            InputError: When a covariance is not positive definite.
        """

    @abstractmethod
    def inverse(self, matrices: Tensor) -> Tensor:
        """Covariances from precisions, or the other way round."""

    @abstractmethod
    def whitened(self, X: Float[Tensor, "b d"], means: Float[Tensor, "k d"], factors: Tensor) -> Float[Tensor, "k d b"]:
        """Samples in the coordinates of each component."""

    @abstractmethod
    def coloured(self, y: Float[Tensor, "k d b"], factors: Tensor) -> Float[Tensor, "k d b"]:
        """The way back: ``x - mu`` from ``y``."""

    @abstractmethod
    def log_determinants(self, factors: Tensor, d: int) -> Tensor:
        """``log |P|`` of each component, or one for all."""

    @abstractmethod
    def squares(self, y: Float[Tensor, "k d b"]) -> Tensor:
        """Second moments of samples in these coordinates, each times the root of its weight, summed."""

    @abstractmethod
    def updated(
        self, mass: Float[Tensor, " k"], squares: Tensor, shifts: Float[Tensor, "k d"], factors: Tensor, ridge: float
    ) -> Tensor:
        """The covariances of the M-step.

        Args:
            mass: Sum of responsibilities.
            squares: Sum of :meth:`squares`.
            shifts: Movement of the means, in the coordinates of the components.
            factors: The factors that these coordinates belong to.
            ridge: Added to the variances.
        """

    @abstractmethod
    def parameters(self, k: int, d: int) -> int:
        """Free numbers in the covariances."""

    @abstractmethod
    def shape(self, k: int, d: int) -> list[int]:
        """Shape of the covariances."""


class Full(AbstractCovariance):
    """One matrix for each component."""

    def unit(self, like: Float[Tensor, "k d"]) -> Tensor:
        return torch.eye(like.shape[1], dtype=like.dtype, device=like.device).expand(len(like), -1, -1).contiguous()

    def factors(self, covariances: Tensor) -> Tensor:
        lower, info = torch.linalg.cholesky_ex(covariances)
        if bool(info.any()) or not bool(lower.isfinite().all()):
            raise _singular()
        eye = torch.eye(lower.shape[-1], dtype=lower.dtype, device=lower.device)
        return torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False).mT.contiguous()

    def inverse(self, matrices: Tensor) -> Tensor:
        factors = self.factors(matrices)
        return factors @ factors.mT

    def whitened(self, X: Float[Tensor, "b d"], means: Float[Tensor, "k d"], factors: Tensor) -> Float[Tensor, "k d b"]:
        k, d = means.shape
        offsets = -(means[:, None, :] @ factors).reshape(k * d, 1)
        return torch.addmm(offsets, factors.mT.reshape(k * d, d), X.T).view(k, d, len(X))

    def coloured(self, y: Float[Tensor, "k d b"], factors: Tensor) -> Float[Tensor, "k d b"]:
        return torch.linalg.solve_triangular(factors.mT, y, upper=False)

    def log_determinants(self, factors: Tensor, d: int) -> Tensor:
        return factors.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)

    def squares(self, y: Float[Tensor, "k d b"]) -> Tensor:
        return y @ y.mT

    def updated(
        self, mass: Float[Tensor, " k"], squares: Tensor, shifts: Float[Tensor, "k d"], factors: Tensor, ridge: float
    ) -> Tensor:
        inner = squares / mass[:, None, None] - shifts[:, :, None] * shifts[:, None, :]
        return _ridged(self.coloured(self.coloured(inner, factors).mT.contiguous(), factors), ridge)

    def parameters(self, k: int, d: int) -> int:
        return k * d * (d + 1) // 2

    def shape(self, k: int, d: int) -> list[int]:
        return [k, d, d]


class Tied(AbstractCovariance):
    """One matrix for all components."""

    def __init__(self) -> None:
        self.full = Full()

    def unit(self, like: Float[Tensor, "k d"]) -> Tensor:
        return torch.eye(like.shape[1], dtype=like.dtype, device=like.device)

    def factors(self, covariances: Tensor) -> Tensor:
        return self.full.factors(covariances)

    def inverse(self, matrices: Tensor) -> Tensor:
        return self.full.inverse(matrices)

    def whitened(self, X: Float[Tensor, "b d"], means: Float[Tensor, "k d"], factors: Tensor) -> Float[Tensor, "k d b"]:
        return (factors.T @ X.T) - (means @ factors)[:, :, None]

    def coloured(self, y: Float[Tensor, "k d b"], factors: Tensor) -> Float[Tensor, "k d b"]:
        return self.full.coloured(y, factors.expand(len(y), -1, -1))

    def log_determinants(self, factors: Tensor, d: int) -> Tensor:
        return self.full.log_determinants(factors, d)

    def squares(self, y: Float[Tensor, "k d b"]) -> Tensor:
        return self.full.squares(y).sum(dim=0)

    def updated(
        self, mass: Float[Tensor, " k"], squares: Tensor, shifts: Float[Tensor, "k d"], factors: Tensor, ridge: float
    ) -> Tensor:
        inner = (squares - (shifts * mass[:, None]).T @ shifts) / mass.sum()
        half = self.coloured(inner[None], factors)
        return _ridged(self.coloured(half.mT.contiguous(), factors)[0], ridge)

    def parameters(self, k: int, d: int) -> int:
        return d * (d + 1) // 2

    def shape(self, k: int, d: int) -> list[int]:
        return [d, d]


class Diagonal(AbstractCovariance):
    """One variance for each feature of each component."""

    def unit(self, like: Float[Tensor, "k d"]) -> Tensor:
        return torch.ones_like(like)

    def factors(self, covariances: Tensor) -> Tensor:
        if not bool(((covariances > 0) & covariances.isfinite()).all()):
            raise _singular()
        return covariances.rsqrt()

    def inverse(self, matrices: Tensor) -> Tensor:
        return 1 / matrices

    def whitened(self, X: Float[Tensor, "b d"], means: Float[Tensor, "k d"], factors: Tensor) -> Float[Tensor, "k d b"]:
        return (X.T - means[:, :, None]).mul_(factors[:, :, None])

    def coloured(self, y: Float[Tensor, "k d b"], factors: Tensor) -> Float[Tensor, "k d b"]:
        return y / factors[:, :, None]

    def log_determinants(self, factors: Tensor, d: int) -> Tensor:
        return factors.log().sum(dim=1)

    def squares(self, y: Float[Tensor, "k d b"]) -> Tensor:
        return y.square().sum(dim=2)

    def updated(
        self, mass: Float[Tensor, " k"], squares: Tensor, shifts: Float[Tensor, "k d"], factors: Tensor, ridge: float
    ) -> Tensor:
        return (squares / mass[:, None] - shifts.square()) / factors.square() + ridge

    def parameters(self, k: int, d: int) -> int:
        return k * d

    def shape(self, k: int, d: int) -> list[int]:
        return [k, d]


class Spherical(AbstractCovariance):
    """One variance for each component."""

    def __init__(self) -> None:
        self.diagonal = Diagonal()

    def unit(self, like: Float[Tensor, "k d"]) -> Tensor:
        return torch.ones_like(like[:, 0])

    def factors(self, covariances: Tensor) -> Tensor:
        return self.diagonal.factors(covariances)

    def inverse(self, matrices: Tensor) -> Tensor:
        return 1 / matrices

    def whitened(self, X: Float[Tensor, "b d"], means: Float[Tensor, "k d"], factors: Tensor) -> Float[Tensor, "k d b"]:
        return (X.T - means[:, :, None]).mul_(factors[:, None, None])

    def coloured(self, y: Float[Tensor, "k d b"], factors: Tensor) -> Float[Tensor, "k d b"]:
        return y / factors[:, None, None]

    def log_determinants(self, factors: Tensor, d: int) -> Tensor:
        return d * factors.log()

    def squares(self, y: Float[Tensor, "k d b"]) -> Tensor:
        return self.diagonal.squares(y)

    def updated(
        self, mass: Float[Tensor, " k"], squares: Tensor, shifts: Float[Tensor, "k d"], factors: Tensor, ridge: float
    ) -> Tensor:
        return self.diagonal.updated(mass, squares, shifts, factors[:, None], ridge).mean(dim=1)

    def parameters(self, k: int, d: int) -> int:
        return k

    def shape(self, k: int, d: int) -> list[int]:
        return [k]


#: The kinds by scikit-learn's names.
COVARIANCES: dict[str, AbstractCovariance] = {
    "full": Full(),
    "tied": Tied(),
    "diag": Diagonal(),
    "spherical": Spherical(),
}


def _ridged(covariances: Tensor, ridge: float) -> Tensor:
    covariances = (covariances + covariances.mT) / 2
    covariances.diagonal(dim1=-2, dim2=-1).add_(ridge)
    return covariances


def _singular() -> InputError:
    return InputError(
        "Fitting the mixture model failed because some components have ill-defined empirical covariance; "
        "decrease n_components, or increase reg_covar."
    )
