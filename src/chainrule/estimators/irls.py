"""Fisher's scoring as iteratively reweighted least squares, the steps of a generalized linear model.

Nelder and Wedderburn 1972: each step is a weighted least-squares problem, of the residuals ``(y - mu) / mu'`` on the
features with the weights ``v mu'^2 / V(mu)``, ``mu'`` being the derivative of the mean by the linear part. A step that
leaves the range of the mean, or raises the deviance, is halved.
"""

from typing import NamedTuple

import torch

from chainrule.estimators import moments
from chainrule.estimators.families import AbstractFamily
from chainrule.estimators.links import AbstractLink
from chainrule.estimators.shards import total
from chainrule.shapes import Float, Tensor

#: Times that a step is halved at most.
HALVINGS = 40


class Rows(NamedTuple):
    """What is learned from.

    Attributes:
        X: Samples.
        y: Targets.
        weight: Weight of each sample.
        family: Their distribution.
        link: The link.
        intercept: Whether there is one.
    """

    X: Float[Tensor, "n d"]
    y: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]
    family: AbstractFamily
    link: AbstractLink
    intercept: bool


class State(NamedTuple):
    """Where the iteration stands.

    Attributes:
        coef: ``w``.
        intercept: ``b``.
        eta: The linear part of each sample.
        mean: Its mean.
        deviance: Sum over all samples; infinite where a mean is out of range.
    """

    coef: Float[Tensor, " d"]
    intercept: Float[Tensor, ""]
    eta: Float[Tensor, " n"]
    mean: Float[Tensor, " n"]
    deviance: float


def state(rows: Rows, coef: Float[Tensor, " d"], intercept: Float[Tensor, ""]) -> State:
    """The state with these coefficients."""
    eta = rows.X @ coef + intercept
    mean = rows.link.mean(eta)
    return State(coef, intercept, eta, mean, deviance(rows, mean))


def deviance(rows: Rows, mean: Float[Tensor, " n"]) -> float:
    """The deviance of all samples; infinite where a mean is out of range."""
    inside = rows.family.inside(mean) | (rows.weight == 0)
    each = torch.where(rows.weight > 0, rows.weight * rows.family.deviance(rows.y, mean), 0.0)
    found = float(total(torch.where(inside, each, float("inf")).sum()))
    return found if found == found else float("inf")


def working(rows: Rows, now: State) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Weights and residuals of the least-squares problem whose solution is the next step."""
    slope, spread = rows.link.slope(now.eta), rows.family.variance(now.mean)
    # A mean so near its bound that its variance vanishes has nothing more to say.
    live = (slope != 0) & (spread > 0) & slope.isfinite() & (rows.weight > 0)
    weight = torch.where(live, rows.weight * slope.square() / spread, 0.0)
    return weight, torch.where(live, (rows.y - now.mean) / slope, 0.0)


def halved(rows: Rows, now: State, coef: Tensor, intercept: Tensor) -> State:
    """The step, halved until it does not raise the deviance; or, when that fails, no step."""
    bound = now.deviance + 8 * torch.finfo(rows.X.dtype).eps * abs(now.deviance)
    for power in range(HALVINGS):
        new = state(rows, now.coef + coef / 2**power, now.intercept + intercept / 2**power)
        if new.deviance <= bound:
            return new
    return now


def information(rows: Rows, weight: Float[Tensor, " n"]) -> Float[Tensor, "p p"]:
    """The inverse of the Fisher information ``[1 | X]^T diag(weight) [1 | X]``, or else its pseudo-inverse."""
    X, nothing = rows.X, rows.X[:, :0]
    centre = moments.mean(X, weight) if rows.intercept else torch.zeros_like(X[0])
    G = moments.gram(X, nothing, weight, centre)
    scale = G.diagonal().sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    unit = G / torch.outer(scale, scale)
    inverse = torch.linalg.pinv(unit, hermitian=True, rtol=len(G) * torch.finfo(G.dtype).eps) / torch.outer(
        scale, scale
    )
    if not rows.intercept:
        return inverse
    side = -inverse @ centre
    corner = 1 / moments.mass(X, weight) - centre @ side
    return torch.cat((torch.cat((corner.reshape(1), side))[None], torch.cat((side[:, None], inverse), dim=1)))
