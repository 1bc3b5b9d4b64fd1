"""Whether a plane separates two classes.

M. Minsky and S. Papert, "Perceptrons", 1969: a concept is realisable by the perceptron if and only if some ``(w, b)``
has ``y_i (<w, x_i> + b) > 0`` for all samples, ``y_i`` being -1 or 1. That is a linear program,

    maximise t  subject to  y_i (<w, x_i> + b) >= t,  |w_j| <= 1,

and its dual is the proof where there is no such plane: weights ``u_i >= 0`` that add up to 1 and have
``sum_i u_i y_i (x_i, 1) = 0``, that is, a point in the convex hulls of both classes. XOR is the standard case.

The programs are solved on the CPU in float64, by SciPy, whatever the device of the samples. A plane is believed only
after every sample has been found on its side; one whose margin is below some 1e-9 of the spread may be missed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import torch
from sklearn.utils import check_array, check_consistent_length

from chainrule.errors import InputError
from chainrule.shapes import Float, Tensor


@dataclass(frozen=True, kw_only=True)
class Separability:
    """The verdict, with its proof.

    Attributes:
        separable: Whether a plane separates the classes.
        weights: Normal ``[d]`` of such a plane, of length 1, towards the class that sorts second; None without a plane.
        intercept: Its constant.
        margin: Distance of the closest sample from the plane; 0 without a plane.
        common: A point ``[d]`` in the convex hulls of both classes; None with a plane.
        sentence: The verdict in words.
    """

    separable: bool
    weights: Tensor | None
    intercept: float | None
    margin: float
    common: Tensor | None
    sentence: str


def linearly_separable(X: Any, y: Any) -> Separability:
    """Decide whether a plane separates two classes.

    Args:
        X: Samples ``[n, d]``, array or tensor.
        y: Their classes ``[n]``, of which there are two.

    Raises:
        InputError: When the samples are no finite matrix, or the classes are not two.
    """
    samples = check_array(X.detach().cpu().numpy() if isinstance(X, Tensor) else X, dtype=np.float64)
    labels = np.asarray(y.detach().cpu().numpy() if isinstance(y, Tensor) else y).ravel()
    check_consistent_length(samples, labels)
    classes = np.unique(labels)
    if len(classes) != 2:
        raise InputError(f"linearly_separable compares two classes, but y holds {len(classes)}.")
    signs = np.where(labels == classes[1], 1.0, -1.0)
    weights, intercept, shares = _program(samples, signs)
    margin = float((signs * (samples @ weights + intercept)).min()) if weights.any() else 0.0
    like = X if isinstance(X, Tensor) and X.is_floating_point() else torch.zeros(0, dtype=torch.float64)
    rounding = 8 * (samples.shape[1] + 1) * np.finfo(np.float64).eps * float(np.abs(samples).max() + abs(intercept))
    if margin > rounding:
        return Separability(
            separable=True,
            weights=torch.from_numpy(weights).to(like),
            intercept=intercept,
            margin=margin,
            common=None,
            sentence=f"A plane separates the classes; the closest sample lies {margin:.3g} from it.",
        )
    side = shares * (signs > 0)
    return Separability(
        separable=False,
        weights=None,
        intercept=None,
        margin=0.0,
        common=torch.from_numpy(side @ samples / side.sum()).to(like),
        sentence="No plane separates the classes: their convex hulls meet.",
    )


def _program(X: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Normal of length 1 (or 0), constant, and the dual's share of each sample."""
    centre, spread = X.mean(axis=0), np.ptp(X, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    n, d = X.shape
    scaled = (X - centre) / spread
    solution = scipy.optimize.linprog(
        np.append(np.zeros(d + 1), -1.0),
        A_ub=np.column_stack([-signs[:, None] * scaled, -signs, np.ones(n)]),
        b_ub=np.zeros(n),
        bounds=[(-1, 1)] * d + [(None, None), (0, None)],
        method="highs",
    )
    assert solution.success, solution.message  # zero is a solution, and none is above the spread
    weights = solution.x[:d] / spread
    length = float(np.linalg.norm(weights))
    weights = weights / length if length > 0 else weights
    # Given the direction, the best constant lies halfway between the classes.
    heights = X @ weights
    intercept = -0.5 * float(heights[signs > 0].min() + heights[signs < 0].max())
    return weights, intercept, -solution.ineqlin.marginals


def closest_plane(
    X: Float[Tensor, "n d"], signs: Float[Tensor, " n"]
) -> tuple[Float[Tensor, " d"], Float[Tensor, ""]] | None:
    """The separating plane with the least ``|w|^2 + b^2`` among those with ``y_i (<w, x_i> + b) >= 1``.

    It makes Novikoff's bound tightest. The problem is one of least distance, which non-negative least squares solve
    (C. L. Lawson and R. J. Hanson, "Solving least squares problems", 1974, chapter 23).

    Args:
        X: Samples.
        signs: -1 or 1 for each.

    Returns:
        Weights and constant; None when no plane was found.
    """
    rows = (signs[:, None] * torch.cat([X, torch.ones_like(signs)[:, None]], dim=1)).detach().cpu().double().numpy()
    wanted = np.append(np.zeros(rows.shape[1]), 1.0)
    system = np.vstack([rows.T, np.ones(len(rows))])
    try:
        shares, _ = scipy.optimize.nnls(system, wanted)
    except RuntimeError:  # it took too many steps
        return None
    left = wanted - system @ shares
    plane = -left[:-1] / left[-1] if left[-1] > 0 else np.zeros(rows.shape[1])
    if not (rows @ plane).min() > 0:
        return None
    plane = torch.from_numpy(plane / (rows @ plane).min()).to(X)
    return plane[:-1], plane[-1]
