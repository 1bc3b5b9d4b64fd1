"""Principal directions of a table whose rows may lie on several processes: right singular vectors, from sums.

There are three ways. ``"covariance_eigh"``, the eigenvectors of the Gram matrix, loses the digits of directions whose
variance is below ``sqrt(eps)`` of the greatest; ``"full"``, the singular vectors of a triangular factor, keeps them;
``"randomized"`` finds a few directions from products with blocks of vectors, see :mod:`chainrule.estimators.spectra`.

``"auto"`` takes the last where at most ``min(n, d) / 40 - 4`` directions are wanted, if it converges; the first where
there are at least as many samples as features, if no direction that is kept varies less than that; else the second.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import UnknownNameError
from chainrule.estimators import moments
from chainrule.estimators.shards import total
from chainrule.estimators.spectra import leading, worthwhile
from chainrule.nn.whitening import principal, signed
from chainrule.shapes import Float, Tensor

#: Singular values, falling, and right singular vectors as rows: ``min(n, d)`` of them, or as many as were asked for.
Directions = tuple[Tensor, Tensor]
#: Finds so many directions of samples whose centre is subtracted first; the last argument is ``random_state``.
Solver = Callable[[Tensor, Tensor, int, Any], Directions]


def by_covariance(X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], count: int, random_state: Any) -> Directions:
    """Directions as eigenvectors of the Gram matrix; all are found."""
    values, vectors = principal(moments.gram(X, X[:, :0], None, centre))
    most = min(moments.rows(X), len(values))
    return values[:most].sqrt(), vectors[:most]


def by_factor(X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], count: int, random_state: Any) -> Directions:
    """Directions as singular vectors of the triangular factor; all are found."""
    _, values, vectors = torch.linalg.svd(moments.factor(X, X[:, :0], None, centre), full_matrices=False)
    return values, signed(vectors)


def by_blocks(X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], count: int, random_state: Any) -> Directions:
    """Few directions, by products with blocks; warns where they do not converge."""
    values, vectors, done = _few(X, centre, count, random_state)
    if not done:
        warnings.warn(
            f"{count} directions did not converge, because those after them vary nearly as much; the last ones are "
            "approximate. Write svd_solver='full', or another number of components.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return values, vectors


def by_shape(X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], count: int, random_state: Any) -> Directions:
    """Directions in the fastest way that keeps their digits."""
    rows, features = moments.rows(X), X.shape[1]
    if worthwhile(count, min(rows, features)):
        values, vectors, done = _few(X, centre, count, random_state)
        if done:
            return values, vectors
    if features <= rows:
        values, vectors = by_covariance(X, centre, count, random_state)
        if values[count - 1] > torch.finfo(X.dtype).eps ** 0.25 * values[0]:
            return values, vectors
    return by_factor(X, centre, count, random_state)


#: Ways to find the directions.
SOLVERS: dict[str, Solver] = {
    "auto": by_shape,
    "covariance_eigh": by_covariance,
    "full": by_factor,
    "randomized": by_blocks,
}


def named_solver(name: str) -> Solver:
    """The way of that name.

    Args:
        name: One of :data:`SOLVERS`.

    Raises:
        InputError: When there is none.
    """
    if name not in SOLVERS:
        raise UnknownNameError("solver", name, SOLVERS)
    return SOLVERS[name]


def _few(X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], count: int, random_state: Any) -> tuple[Any, Any, bool]:
    def times(block: Tensor) -> Tensor:
        product = torch.zeros_like(block)
        for part in moments.centred(X, X[:, :0], None, centre):
            product.addmm_(part.mT, part @ block)
        return total(product)

    values, vectors, done = leading(times, count, X, X.shape[1], random_state)
    return values.clamp(min=0).sqrt(), vectors, done


def squares(X: Float[Tensor, "n d"], centre: Float[Tensor, " d"], components: Float[Tensor, "k d"]) -> tuple[Any, Any]:
    """Sums of squares over the rows, after the centre is subtracted: of the features, and along the components."""
    features, along = torch.zeros_like(centre), components.new_zeros(len(components))
    for part in moments.centred(X, X[:, :0], None, centre):
        features += part.square().sum(dim=0)
        along += (part @ components.mT).square().sum(dim=0)
    return total(features), total(along)
