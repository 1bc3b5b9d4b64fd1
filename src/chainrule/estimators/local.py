"""Locally weighted linear regression (Cleveland 1979): a line for each query, fitted to the samples around it.

For a query ``q`` sample ``i`` weighs ``w_i = exp(-|x_i - q|^2 / (2 tau^2))``, and

    theta = argmin  sum_i w_i (y_i - theta_0 - theta.x_i)^2 + alpha |theta|^2,      y(q) = theta_0 + theta.q

The weighted moments of all queries of a block are matrix products of the weights with the products of the centred
features; the slopes follow from batched Cholesky factors. So a query needs memory for d^2 numbers. One whose moments
do not determine the slopes to enough digits is solved by the QR factorisation of its own weighted samples; where these
do not determine the slopes at all, they get the least norm.

Differs from Cleveland 1979: a Gaussian of fixed width weighs the samples, as the course has it, not the tricube of
the distance to the k-th neighbour, and there are no rounds of robust weights. The weights are divided by the greatest,
so that a query far from all samples gets the line through those least far.
"""

import math
from typing import Any, Self

import torch

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractRegressor
from chainrule.estimators.distances import euclidean
from chainrule.estimators.memory import blocks
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

#: Queries whose weights are computed together, so that they stay in the cache.
TILE = 64


@register(
    "regressor",
    "locally-weighted",
    family="neighbors",
    paper="Cleveland 1979, Robust locally weighted regression and smoothing scatterplots",
    year=1979,
    tiny={"tau": 0.5},
)
class LocallyWeightedRegression(AbstractRegressor):
    """Fits a weighted linear model around each query; targets may be ``[n]`` or ``[n, t]``.

    Args:
        tau: Width of the Gaussian that weighs the samples, in units of the features.
        alpha: Penalty on the squared slopes; the intercept is free.
        memory: Bound on temporary memory, MiB.

    Attributes:
        samples_: The training samples ``[n, d]``.
        targets_: Their targets ``[n]`` or ``[n, t]``.
    """

    def __init__(self, *, tau: float = 1.0, alpha: float = 0.0, memory: float = 256) -> None:
        self.tau = tau
        self.alpha = alpha
        self.memory = memory

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Keep the samples ``[n, d]`` and their targets ``[n]`` or ``[n, t]``.

        Raises:
            InputError: When ``tau`` is not above 0, or ``alpha`` is negative.
        """
        if not 0 < self.tau < math.inf or not 0 <= self.alpha < math.inf:
            raise InputError(f"Wanted tau > 0 and alpha >= 0; received tau={self.tau!r} and alpha={self.alpha!r}.")
        self.samples_, self.targets_, _ = self._begin(X, y)
        return self

    def _values(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n ..."]:
        targets = self.targets_.view(len(self.targets_), -1)
        values = local_values(X, self.samples_, targets, tau=self.tau, alpha=self.alpha, memory=self.memory)
        return values.view(len(X), *self.targets_.shape[1:])


def local_values(
    Q: Float[Tensor, "q d"],
    X: Float[Tensor, "n d"],
    y: Float[Tensor, "n t"],
    *,
    tau: float,
    alpha: float = 0.0,
    memory: float = 256,
) -> Float[Tensor, "q t"]:
    """The values at the queries of the linear models that are fitted around them.

    Args:
        Q: Queries.
        X: Samples.
        y: Their targets.
        tau: Width of the Gaussian.
        alpha: Penalty on the squared slopes.
        memory: Bound on temporary memory, MiB.
    """
    values, size = Q.new_empty(len(Q), y.shape[1]), X.element_size()
    centre, level = X.mean(dim=0), y.mean(dim=0)
    for rows in blocks(len(Q), 8 * size * _numbers(X, y), memory / 2):
        queries = Q[rows] - centre
        moments, greatest, reach = _moments(queries, X, y, centre, level, tau, memory / 2)
        lengths = queries.norm(dim=1)
        penalty = alpha * _expanded((lengths / tau).square() / 2 - greatest)
        found, lost = _solved(queries, moments, penalty, y.shape[1])
        # What rounding does to an exponent, and to the slopes.
        error = torch.finfo(X.dtype).eps * torch.maximum(((lengths + reach) / tau).square(), lost)
        left = (~(error < torch.finfo(X.dtype).eps ** 0.55)).nonzero()[:, 0]
        found += level
        for part in blocks(len(left), 4 * size * len(X) * (X.shape[1] + y.shape[1]), memory / 2):
            found[left[part]] = _by_samples(Q[rows][left[part]], X, y, tau, alpha)
        values[rows] = found
    return values


def _numbers(X: Tensor, y: Tensor) -> int:
    """How many moments a query has."""
    features, targets = X.shape[1], y.shape[1]
    return 1 + features + targets + features * targets + features * (features + 1) // 2


def _moments(
    Q: Float[Tensor, "q d"],
    X: Float[Tensor, "n d"],
    y: Float[Tensor, "n t"],
    centre: Float[Tensor, " d"],
    level: Float[Tensor, " t"],
    tau: float,
    memory: float,
) -> tuple[Float[Tensor, "q m"], Float[Tensor, " q"], Tensor]:
    """Sums of weights, and of weighted ``x``, ``y``, ``x y`` and upper ``x x``; all centred.

    Also the greatest exponent ``(q.x - |x|^2 / 2) / tau^2`` of each query, by which the weights are divided, and the
    length of the longest sample. The greatest so far is kept, and the sums are scaled when it grows.
    """
    upper = torch.triu_indices(X.shape[1], X.shape[1], device=X.device)
    sums, reach = Q.new_zeros(len(Q), _numbers(X, y)), Q.new_zeros(())
    greatest = Q.new_full((len(Q), 1), -math.inf)
    queries = torch.cat([Q / tau, Q.new_ones(len(Q), 1)], dim=1)
    tile = TILE if Q.device.type == "cpu" else 32 * TILE
    for columns in blocks(len(X), X.element_size() * (3 * _numbers(X, y) + 3 * tile), memory):
        # Features first: then products of features are products of whole rows.
        A, b = (X[columns] - centre).T.contiguous(), (y[columns] - level).T
        halves = -A.square().sum(dim=0, keepdim=True) / 2
        reach = torch.maximum(reach, (-2 * halves.amin()).sqrt())
        cross = (A[:, None] * b).flatten(0, 1)
        products = torch.cat([torch.ones_like(halves), A, b, cross, A[upper[0]] * A[upper[1]]])
        samples = torch.cat([A / tau, halves / tau / tau])
        for start in range(0, len(Q), tile):
            rows = slice(start, start + tile)
            exponents = queries[rows] @ samples
            most = torch.maximum(greatest[rows], exponents.amax(dim=1, keepdim=True))
            sums[rows] *= (greatest[rows] - most).exp()
            sums[rows] += exponents.sub_(most).exp_() @ products.T
            greatest[rows] = most
    return sums, greatest[:, 0], reach


def _solved(
    Q: Float[Tensor, "q d"], moments: Float[Tensor, "q m"], penalty: Float[Tensor, " q"], targets: int
) -> tuple[Float[Tensor, "q t"], Float[Tensor, " q"]]:
    """The values by normal equations, and the factor by which these raise relative errors; infinity if they fail."""
    features = Q.shape[1]
    upper = torch.triu_indices(features, features, device=Q.device)
    total, rest = moments[:, :1], moments[:, 1:] / moments[:, :1]
    mean, height, cross, products = rest.split([features, targets, features * targets, upper.shape[1]], dim=1)
    scatter = Q.new_zeros(len(Q), features, features)
    scatter[:, upper[0], upper[1]] = products
    scatter[:, upper[1], upper[0]] = products
    raw = scatter.diagonal(dim1=1, dim2=2).clone()
    scatter -= mean[:, :, None] * mean[:, None]
    variance = scatter.diagonal(dim1=1, dim2=2).clone()
    scatter.diagonal(dim1=1, dim2=2).add_(penalty[:, None] / total)
    cross = cross.view(-1, features, targets) - mean[:, :, None] * height[:, None]

    scale = scatter.diagonal(dim1=1, dim2=2).clamp_min(torch.finfo(Q.dtype).tiny).rsqrt()[:, :, None]
    factor, failed = torch.linalg.cholesky_ex(scatter * scale * scale.mT)
    slopes = torch.cholesky_solve(cross * scale, factor) * scale
    values = height + ((Q - mean)[:, None] @ slopes)[:, 0]
    # Digits are lost by subtracting the squared mean, and by a small pivot.
    lost = features * (raw / variance).amax(dim=1) / factor.diagonal(dim1=1, dim2=2).amin(dim=1).square()
    return values, lost.where((failed == 0) & (variance > 0).all(dim=1), math.inf)


def _expanded(exponents: Tensor) -> Tensor:
    """The exponential; no greater than what leaves no slope when it is a penalty."""
    return exponents.clamp(max=math.log(torch.finfo(exponents.dtype).max) / 4).exp()


def _by_samples(
    Q: Float[Tensor, "q d"], X: Float[Tensor, "n d"], y: Float[Tensor, "n t"], tau: float, alpha: float
) -> Float[Tensor, "q t"]:
    """The values by a QR factorisation of the weighted samples of each query; slopes of least norm."""
    far = euclidean(Q, X)
    least = far.amin(dim=1, keepdim=True)
    # (d^2 - m^2) / (2 tau^2), in an order that neither cancels nor gives infinity less infinity.
    weights = ((far - least) / tau).mul_(far.add_(least).div_(-2 * tau)).exp_()
    total = weights.sum(dim=1, keepdim=True)
    penalty = alpha * _expanded((least / tau).square() / 2) / total
    weights /= total

    features, nearest = X.shape[1], weights.argmax(dim=1)
    # Relative to the sample that weighs most, so that a mean close to it keeps its digits.
    joined = torch.cat([X, y], dim=1)
    shifted = joined - joined[nearest][:, None]
    mean = weights[:, None] @ shifted
    R = torch.linalg.qr((shifted - mean) * weights.sqrt()[:, :, None], mode="r").R
    ridge = penalty.sqrt()[:, :, None] * torch.eye(features, dtype=X.dtype, device=X.device)
    left = torch.cat([R[:, :, :features], ridge], dim=1)
    right = torch.cat([R[:, :, features:], ridge.new_zeros(len(Q), features, y.shape[1])], dim=1)
    slopes = torch.linalg.pinv(left, rtol=torch.finfo(X.dtype).eps * max(X.shape)) @ right
    offset = (Q - X[nearest])[:, None] - mean[:, :, :features]
    return (y[nearest][:, None] + mean[:, :, features:] + offset @ slopes)[:, 0]
