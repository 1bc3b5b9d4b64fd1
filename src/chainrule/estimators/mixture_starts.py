"""How the memberships of a Gaussian mixture begin: by k-means, by samples as centres, or by chance.

A start gives the responsibilities ``[n, k]`` of the first M-step. All draws depend on the seed and on what the rows
hold, not on their order.
"""

from collections.abc import Callable

import torch

from chainrule.estimators.kmeans import KMeans
from chainrule.estimators.lloyd import drawn, plus_plus
from chainrule.estimators.moments import mean
from chainrule.estimators.row_draws import RowDraws, chances, row_keys
from chainrule.shapes import Float, Int, Tensor

#: A start: samples, number of components and source of chance give the responsibilities.
Start = Callable[[Tensor, int, torch.Generator], Tensor]


def by_kmeans(X: Float[Tensor, "n d"], k: int, draw: torch.Generator) -> Float[Tensor, "n k"]:
    """Each sample belongs to its cluster."""
    seed = int(torch.randint(2**31 - 1, (), generator=draw))
    labels = KMeans(n_clusters=k, n_init=1, random_state=seed).fit(X).labels_
    return X.new_zeros(len(X), k).scatter_(1, labels[:, None], 1.0)


def by_spread_samples(X: Float[Tensor, "n d"], k: int, draw: torch.Generator) -> Float[Tensor, "n k"]:
    """Each component has one sample, by k-means++; the others belong to none."""
    rows, weight = X - mean(X, None), torch.ones_like(X[:, 0])
    return _alone(X, plus_plus(rows, weight, k, RowDraws(rows, row_keys(X), draw))[1])


def by_samples(X: Float[Tensor, "n d"], k: int, draw: torch.Generator) -> Float[Tensor, "n k"]:
    """Each component has one sample; the others belong to none."""
    return _alone(X, drawn(X, torch.ones_like(X[:, 0]), k, RowDraws(X, row_keys(X), draw))[1])


def by_chance(X: Float[Tensor, "n d"], k: int, draw: torch.Generator) -> Float[Tensor, "n k"]:
    """Uniform numbers, divided by their sum."""
    shares = chances(row_keys(X), k, draw).to(X.dtype)
    return shares / shares.sum(dim=1, keepdim=True)


#: The starts by scikit-learn's names.
STARTS: dict[str, Start] = {
    "kmeans": by_kmeans,
    "k-means++": by_spread_samples,
    "random": by_chance,
    "random_from_data": by_samples,
}


def _alone(X: Float[Tensor, "n d"], index: Int[Tensor, " k"]) -> Float[Tensor, "n k"]:
    mine = index >= 0
    memberships = X.new_zeros(len(X), len(index))
    memberships[index[mine], mine.nonzero()[:, 0]] = 1.0
    return memberships
