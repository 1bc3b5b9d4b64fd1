"""Sums over the rows of each class: weight, mean, variance and scatter, which Gaussian classifiers learn from.

Means are taken before squares, and every sum runs over all processes of :func:`chainrule.estimators.shards.sharded`.
"""

from typing import Any

import torch

from chainrule.errors import InputError
from chainrule.estimators.memory import blocks
from chainrule.estimators.shards import total
from chainrule.shapes import Float, Int, Tensor

#: Temporary memory of one block of rows, MiB.
BLOCK = 32


def memberships(
    codes: Int[Tensor, " n"], weight: Float[Tensor, " n"] | None, like: Float[Tensor, "n d"], k: int
) -> Float[Tensor, "n k"]:
    """The weight of each sample in the column of its class, 0 elsewhere."""
    weight = like.new_ones(len(codes)) if weight is None else weight
    return like.new_zeros(len(codes), k).scatter_(1, codes[:, None], weight[:, None])


def class_means(
    X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], members: Float[Tensor, "n k"]
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"]]:
    """Weight and mean of each class, over all processes; the mean of a class without samples is 0.

    The mean of what the first mean leaves over is added to it, which takes its rounding error away.
    """
    count = total(members.sum(dim=0))
    divisor = torch.where(count > 0, count, 1.0)[:, None]
    mean = total(members.T @ X) / divisor
    left = torch.zeros_like(mean)
    for rows in blocks(len(X), 2 * X.shape[1] * X.element_size(), BLOCK):
        left += members[rows].T @ (X[rows] - mean[codes[rows]])
    return count, mean + total(left) / divisor


def class_variances(
    X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], members: Float[Tensor, "n k"], mean: Float[Tensor, "k d"]
) -> Float[Tensor, "k d"]:
    """Variance of each feature within each class (divided by the weight), over all processes.

    What is no more than the rounding of the mean is no variance: a constant feature has exactly 0.
    """
    count = total(members.sum(dim=0))
    squares = torch.zeros_like(mean)
    for rows in blocks(len(X), 3 * X.shape[1] * X.element_size(), BLOCK):
        squares += members[rows].T @ (X[rows] - mean[codes[rows]]).square()
    return without_rounding(total(squares) / torch.where(count > 0, count, 1.0)[:, None], mean)


def without_rounding(var: Float[Tensor, "... d"], mean: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
    """Variances, with 0 for those that are no more than the rounding of the mean."""
    rounding = 2 * torch.finfo(mean.dtype).eps * mean.abs()
    return torch.where(var > rounding.square(), var, 0.0)


def class_moments(
    X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], weight: Float[Tensor, " n"] | None, k: int
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"], Float[Tensor, "k d"]]:
    """Weight, mean and variance of each class, over all processes."""
    members = memberships(codes, weight, X, k)
    count, mean = class_means(X, codes, members)
    return count, mean, class_variances(X, codes, members, mean)


def class_scatter(
    X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], mean: Float[Tensor, "k d"]
) -> Float[Tensor, "d d"]:
    """Sum of ``(x - mean)(x - mean)^T`` over the samples, each with the mean of its class, over all processes."""
    scatter = X.new_zeros(X.shape[1], X.shape[1])
    for rows in blocks(len(X), 3 * X.shape[1] * X.element_size(), BLOCK):
        centred = X[rows] - mean[codes[rows]]
        scatter += centred.T @ centred
    return total(scatter)


def merged(
    count: Float[Tensor, "p k"], mean: Float[Tensor, "p k d"], var: Float[Tensor, "p k d"]
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"], Float[Tensor, "k d"]]:
    """Weight, mean and variance of parts put together, for each class (Chan, Golub and LeVeque 1983)."""
    weight = count.sum(dim=0)
    share = (count / torch.where(weight > 0, weight, 1.0))[:, :, None]
    centre = (share * mean).sum(dim=0)
    return weight, centre, (share * (var + (mean - centre).square())).sum(dim=0)


def gaussian_scores(
    X: Float[Tensor, "n d"], mean: Float[Tensor, "k d"], var: Float[Tensor, "k d"]
) -> Float[Tensor, "n k"]:
    """``sum_j log N(x_j; mean_cj, var_cj)``; the differences are taken before they are squared."""
    constant = -0.5 * (2 * torch.pi * var).log().sum(dim=1)
    scores = X.new_empty(len(X), len(mean))
    for rows in blocks(len(X), 3 * mean.numel() * X.element_size(), BLOCK):
        scores[rows] = constant - 0.5 * ((X[rows, None] - mean).square() / var).sum(dim=2)
    return scores


def given_priors(priors: Any, count: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """The probabilities of the classes that the user states, checked; without them their shares of the samples.

    Args:
        priors: ``[k]``, or None.
        count: Weight of each class.

    Raises:
        InputError: When they are not one probability for each class.
    """
    if priors is None:
        return count / count.sum()
    stated = torch.as_tensor(priors, dtype=count.dtype, device=count.device)
    if stated.shape != count.shape:
        raise InputError(f"priors has to hold {len(count)} numbers, one for each class; received {priors!r}.")
    if not bool((stated >= 0).all()) or abs(float(stated.sum()) - 1) > 1e-5:
        raise InputError(f"priors have to be probabilities that add up to 1; received {priors!r}.")
    return stated / stated.sum()
