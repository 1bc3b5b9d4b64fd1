"""One iteration of expectation-maximisation for a mixture of Gaussians, as a function.

Both steps are one pass over blocks of rows that stay in the cache. In general samples go into the coordinates of each
component, :mod:`chainrule.estimators.covariances`. For full covariances two products with the monomials of the samples
are faster, ``log N = w.phi(x)`` and ``sum_j r_ji phi(x_j)``, ``phi(x) = (x_a x_b for a <= b, x)``; they subtract large
numbers where a component is small beside its distance from the centre, so they are taken only where a bound on the
rounding allows it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from chainrule.estimators import moments
from chainrule.estimators.covariances import AbstractCovariance, Full
from chainrule.estimators.memory import blocks
from chainrule.estimators.shards import total
from chainrule.shapes import Float, Tensor

#: Temporary memory of one block of rows, MiB: on a CPU it stays in the cache.
CACHE, BLOCK = 2, 64

#: Relative rounding of squared distances that the products may have.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Components:
    """A mixture.

    Attributes:
        kind: What its covariances may be.
        weights: ``pi``.
        means: ``mu``.
        covariances: ``Sigma``.
        factors: ``P`` with ``Sigma^-1 = P P^T``.
    """

    kind: AbstractCovariance
    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    covariances: Tensor
    factors: Tensor

    def constants(self) -> Float[Tensor, " k"]:
        """What does not depend on the sample in ``log pi_i + log N(x; mu_i, Sigma_i)``."""
        d = self.means.shape[1]
        return self.kind.log_determinants(self.factors, d) - d / 2 * math.log(2 * math.pi) + self.weights.log()


def log_joint(mixture: Components, whitened: Float[Tensor, "k d b"]) -> Float[Tensor, "k b"]:
    """``log pi_i + log N(x_j; mu_i, Sigma_i)``.

    Args:
        mixture: The components.
        whitened: Samples in the coordinates of each.
    """
    return torch.add(mixture.constants()[:, None], whitened.square().sum(dim=1), alpha=-0.5)


def tiles(X: Float[Tensor, "n d"], numbers: int) -> Iterator[slice]:
    """Blocks of rows for tables of so many numbers a row."""
    return blocks(len(X), numbers * X.element_size(), CACHE if X.device.type == "cpu" else BLOCK)


def em_step(
    X: Float[Tensor, "n d"],
    centre: Float[Tensor, " d"],
    mixture: Components,
    ridge: float,
    reach: float,
) -> tuple[Components, float]:
    """One E-step and the M-step after it.

    Args:
        X: Samples of this process.
        centre: Subtracted from them; the components are in the coordinates that it leaves.
        mixture: The components before.
        ridge: Added to the variances.
        reach: Length of the longest sample less ``centre``, over all processes.

    Returns:
        The components after, and the mean log-likelihood of a sample before.
    """
    kind = mixture.kind
    if isinstance(kind, Full):
        steepest = float(mixture.factors.square().sum(dim=(1, 2)).max())
        if reach**2 * steepest * torch.finfo(X.dtype).eps < ROUNDING:
            return _by_products(X, centre, mixture, ridge)
    k, d = mixture.means.shape
    mass, sums = X.new_zeros(k), X.new_zeros(k, d)
    squares, likelihood = kind.squares(X.new_zeros(k, d, 1)), X.new_zeros(())
    for part in tiles(X, 2 * k * d):
        rows = X[part] - centre
        y = kind.whitened(rows, mixture.means, mixture.factors)
        shares = _memberships(log_joint(mixture, y), likelihood)
        mass += shares.sum(dim=1)
        sums.addmm_(shares, rows)
        squares += kind.squares(y.mul_(shares.sqrt()[:, None]))
    after = _maximised(mixture, total(mass), total(sums), total(squares), ridge)
    return after, float(total(likelihood)) / moments.rows(X)


def first_step(
    X: Float[Tensor, "n d"],
    centre: Float[Tensor, " d"],
    kind: AbstractCovariance,
    memberships: Float[Tensor, "n k"],
    ridge: float,
) -> Components:
    """The M-step from memberships, in two passes: means, then covariances about them.

    Args:
        X: Samples of this process.
        centre: Subtracted from them.
        kind: What the covariances may be.
        memberships: Responsibilities.
        ridge: Added to the variances.
    """
    mass = total(memberships.sum(dim=0))
    floor = 10 * torch.finfo(X.dtype).eps
    means = total(memberships.T @ X) / (mass + floor)[:, None] - centre * (mass / (mass + floor))[:, None]
    unit = kind.unit(means)
    begun = Components(kind, mass, means, unit, unit)
    squares, sums = kind.squares(X.new_zeros(*means.shape, 1)), torch.zeros_like(means)
    for part in tiles(X, 2 * means.numel()):
        rows, shares = X[part] - centre, memberships[part].T
        sums.addmm_(shares, rows)
        squares += kind.squares(kind.whitened(rows, means, unit) * shares.sqrt()[:, None])
    return _maximised(begun, mass, total(sums), total(squares), ridge)


def _memberships(joint: Float[Tensor, "k b"], likelihood: Float[Tensor, ""]) -> Float[Tensor, "k b"]:
    """Responsibilities, in place of ``joint``; the log-likelihood is added to ``likelihood``."""
    greatest = joint.amax(dim=0)
    shares = joint.sub_(greatest).exp_()
    whole = shares.sum(dim=0)
    likelihood += (greatest + whole.log()).sum()
    return shares.div_(whole)


def _maximised(
    mixture: Components, mass: Float[Tensor, " k"], sums: Float[Tensor, "k d"], squares: Tensor, ridge: float
) -> Components:
    """The M-step, from sums over all rows."""
    kind = mixture.kind
    mass = mass + 10 * torch.finfo(mass.dtype).eps
    means = sums / mass[:, None]
    shifts = kind.whitened(means, mixture.means, mixture.factors).diagonal(dim1=0, dim2=2).T
    covariances = kind.updated(mass, squares, shifts, mixture.factors, ridge)
    return Components(kind, mass / mass.sum(), means, covariances, kind.factors(covariances))


def _by_products(
    X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], mixture: Components, ridge: float
) -> tuple[Components, float]:
    """:func:`em_step` for full covariances, by monomials."""
    k, d = mixture.means.shape
    upper = torch.triu_indices(d, d, device=X.device)
    count = upper.shape[1]
    precisions = mixture.factors @ mixture.factors.mT
    slopes = (precisions @ mixture.means[:, :, None])[:, :, 0]
    doubled = torch.where(upper[0] == upper[1], 0.5, 1.0).to(X)
    weights = torch.cat((-precisions[:, upper[0], upper[1]] * doubled, slopes), dim=1)
    constants = (mixture.constants() - (slopes * mixture.means).sum(dim=1) / 2)[:, None]
    mass, sums, likelihood = X.new_zeros(k), X.new_zeros(k, count + d), X.new_zeros(())
    for part in tiles(X, count + d + 2 * k):
        rows = (X[part] - centre).T.contiguous()
        monomials = rows.new_empty(count + d, rows.shape[1])
        start = 0
        for a in range(d):
            torch.mul(rows[a:], rows[a], out=monomials[start : start + d - a])
            start += d - a
        monomials[count:] = rows
        shares = _memberships(torch.addmm(constants, weights, monomials), likelihood)
        mass += shares.sum(dim=1)
        sums.addmm_(shares, monomials.T)
    mass, sums = total(mass) + 10 * torch.finfo(X.dtype).eps, total(sums)
    means = sums[:, count:] / mass[:, None]
    squares = sums.new_empty(k, d, d)
    squares[:, upper[0], upper[1]] = squares[:, upper[1], upper[0]] = sums[:, :count] / mass[:, None]
    covariances = squares - means[:, :, None] * means[:, None, :]
    covariances.diagonal(dim1=1, dim2=2).add_(ridge)
    after = Components(mixture.kind, mass / mass.sum(), means, covariances, mixture.kind.factors(covariances))
    return after, float(total(likelihood)) / moments.rows(X)
