"""Distances between all pairs of two sets of samples, and the axioms that make a distance a metric.

A distance is a function of two matrices: samples ``[n, d]`` and ``[m, d]`` give ``[n, m]``. Those of the course are
small parts with a name; any other function of that form does as well.

- Minkowski 1896: ``L_p(x, y) = (sum_i |x_i - y_i|^p)^(1/p)`` for ``p >= 1``; p = 1 is called Manhattan, p = 2
  Euclidean, and the limit ``max_i |x_i - y_i|`` Chebyshev.
- Hamming 1950: the share of coordinates that differ. The course counts them: times ``d``. It files the count under
  "p = 0"; that is a convention, not a norm.
- Cosine: ``1 - x.y / (|x| |y|)``. It breaks the triangle inequality, so it is no metric.
- Distance in the feature space of a kernel (Scholkopf & Smola 2002): ``sqrt(K(x,x) + K(y,y) - 2 K(x,y))``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators.kernels import AbstractKernel, Kernel, kernel_distance
from chainrule.shapes import Float, Tensor

#: A distance: ``[n, d]`` and ``[m, d]`` give ``[n, m]``.
Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Minkowski:
    """The L_p distance.

    Args:
        p: Exponent from 1 up; ``math.inf`` for the greatest difference.

    Raises:
        InputError: When ``p`` is below 1, where the triangle inequality fails.
    """

    p: float = 2

    def __post_init__(self) -> None:
        if not isinstance(self.p, int | float) or not self.p >= 1:
            raise InputError(f"A Minkowski distance wants p from 1 up (math.inf for the maximum); received {self.p!r}.")

    def __call__(self, X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        return euclidean(X, Y) if self.p == 2 else torch.cdist(X, Y, p=float(self.p))


@dataclass(frozen=True)
class Hamming:
    """The share of coordinates that differ, as scipy and scikit-learn have it; the course's count is ``d`` times it."""

    def __call__(self, X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        return torch.cdist(X, Y, p=0.0) / X.shape[1]


@dataclass(frozen=True)
class Cosine:
    """One minus the cosine of the angle; a zero vector is at distance 1 from everything."""

    def __call__(self, X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        long, wide = X.norm(dim=1, keepdim=True), Y.norm(dim=1, keepdim=True)
        # Of unit vectors |x - y|^2 = 2 - 2 x.y, which keeps its digits where the angle is small.
        squares = euclidean(X / long.where(long > 0, 1), Y / wide.where(wide > 0, 1)).square()
        return torch.where((long > 0) & (wide > 0).T, squares / 2, 1.0)


@dataclass(frozen=True)
class KernelDistance:
    """The Euclidean distance between the images of samples in the feature space of a kernel.

    Args:
        kernel: A kernel of two matrices, as those of :mod:`chainrule.estimators.kernels`.
    """

    kernel: Kernel

    def __call__(self, X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        return _root(kernel_distance(self.kernel, X, Y))


@dataclass(frozen=True)
class Checked:
    """A user's function of two matrices, whose results are checked.

    Args:
        function: ``[n, d]`` and ``[m, d]`` give ``[n, m]``.

    Raises:
        InputError: When its result has another shape, or holds NaN.
    """

    function: Distance

    def __call__(self, X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        found = self.function(X, Y)
        if not isinstance(found, Tensor) or found.shape != (len(X), len(Y)) or bool(found.isnan().any()):
            came = [*found.shape] if isinstance(found, Tensor) else type(found).__name__
            raise InputError(
                f"A distance takes two matrices, here {[*X.shape]} and {[*Y.shape]}, and gives a tensor "
                f"{[len(X), len(Y)]} without NaN; received {came}."
            )
        return found.to(X)


#: Distances by the names that scikit-learn gives them.
NAMES: dict[str, Distance] = {
    "euclidean": Minkowski(2),
    "l2": Minkowski(2),
    "manhattan": Minkowski(1),
    "cityblock": Minkowski(1),
    "l1": Minkowski(1),
    "chebyshev": Minkowski(math.inf),
    "hamming": Hamming(),
    "cosine": Cosine(),
}

#: The distances of this file.
PARTS = (Minkowski, Hamming, Cosine, KernelDistance, Checked)


def named_distance(metric: str | Distance, p: float = 2) -> Distance:
    """The distance of that name, or the function itself.

    Args:
        metric: A name of :data:`NAMES`, ``"minkowski"``, or a function of two matrices.
        p: Exponent of ``"minkowski"``.

    Raises:
        InputError: When there is no such distance.
    """
    if callable(metric):
        return metric if isinstance(metric, PARTS) else Checked(metric)
    if metric == "minkowski":
        return Minkowski(p)
    if metric not in NAMES:
        raise UnknownNameError("distance", metric, [*NAMES, "minkowski"])
    return NAMES[metric]


def resolved_distance(metric: str | Distance, p: float, X: Float[Tensor, "n d"]) -> Distance:
    """As :func:`named_distance`, with the numbers that these samples give to the rules of a kernel.

    Args:
        metric: A name, or a function of two matrices.
        p: Exponent of ``"minkowski"``.
        X: The samples that are learned from.
    """
    distance = named_distance(metric, p)
    if isinstance(distance, KernelDistance) and isinstance(distance.kernel, AbstractKernel):
        return KernelDistance(distance.kernel.resolved(X))
    return distance


def euclidean(X: Float[Tensor, "n d"], Y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Euclidean distances by one matrix product, exact where samples are near each other, too.

    ``|x|^2 + |y|^2 - 2 x.y`` of centred samples loses digits where the result is much smaller than its terms; those
    pairs are computed again from their differences. The gradient between equal samples is zero.
    """
    centre = Y.mean(dim=0)
    A, B = X - centre, Y - centre
    size = A.square().sum(dim=1)[:, None] + B.square().sum(dim=1)
    squares = torch.addmm(size, A, B.T, alpha=-2)
    rows, columns = (squares < torch.finfo(X.dtype).eps ** 0.25 * size).nonzero(as_tuple=True)
    if len(rows) * X.shape[1] > squares.numel():
        return torch.cdist(X, Y, compute_mode="donot_use_mm_for_euclid_dist")
    return _root(squares.index_put((rows, columns), (X[rows] - Y[columns]).square().sum(dim=1)))


@dataclass(frozen=True)
class MetricAxioms:
    """How far a distance is from being a metric on a sample.

    Attributes:
        identity: The greatest ``|d(x, x)|``.
        separation: How many pairs of different samples have distance zero.
        symmetry: The greatest ``|d(x, y) - d(y, x)|``.
        positivity: The greatest ``-d(x, y)``, zero if there is none.
        triangle: The greatest ``d(x, z) - d(x, y) - d(y, z)``, zero if there is none.
        worst: The indices of ``x, y, z`` where the triangle inequality is broken most, or is nearest to it.
        tolerance: What counts as zero.
    """

    identity: float
    separation: int
    symmetry: float
    positivity: float
    triangle: float
    worst: tuple[int, int, int]
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the sample shows no violation."""
        return not self.separation and max(self._violations().values()) <= self.tolerance

    @property
    def sentence(self) -> str:
        """What was found, in a sentence."""
        if self.holds:
            return "All axioms of a metric hold on this sample."
        broken = [f"{name} by {size:.3g}" for name, size in self._violations().items() if size > self.tolerance]
        if self.separation:
            broken.append(f"d(x, y) > 0 for x != y in {self.separation} pairs")
        return f"This is no metric; broken on this sample: {'; '.join(broken)}."

    def _violations(self) -> dict[str, float]:
        x, y, z = self.worst
        return {
            "d(x, x) = 0": self.identity,
            "d(x, y) = d(y, x)": self.symmetry,
            "d(x, y) >= 0": self.positivity,
            f"d(x, z) <= d(x, y) + d(y, z) (samples {x}, {y}, {z})": self.triangle,
        }


def metric_axioms(
    distance: str | Distance | Float[Tensor, "n m"], X: Float[Tensor, "n d"] | None = None
) -> MetricAxioms:
    """Check the axioms of a metric (Frechet 1906) on a sample; it takes ``n^3`` steps.

    Zero is what lies below ``eps^(3/4)`` of the greatest distance, eps being the precision of the numbers.

    Args:
        distance: A name, a function of two matrices, or the distances ``[n, n]`` themselves.
        X: The samples; with a matrix of distances they only tell which samples are equal, and may be left out.

    Raises:
        InputError: When there are no samples for a function, or the matrix is not square or holds NaN.
    """
    if not isinstance(distance, Tensor):
        if X is None:
            raise InputError("The axioms of a distance are checked on samples; write metric_axioms(distance, X).")
        distance = named_distance(distance)(X, X)
    if distance.ndim != 2 or distance.shape[0] != distance.shape[1] or not bool(distance.isfinite().all()):
        raise InputError(f"Wanted finite distances [n, n] of n samples to themselves; received {[*distance.shape]}.")
    count = len(distance)
    equal = torch.eye(count, dtype=torch.bool, device=distance.device)
    if X is not None:
        equal |= torch.cdist(X, X, p=0.0) == 0
    tolerance = float(torch.finfo(distance.dtype).eps ** 0.75 * distance.abs().max())
    excess, worst = _triangle(distance)
    return MetricAxioms(
        identity=float(distance[equal].abs().max()),
        separation=int(((distance.abs() <= tolerance) & ~equal).sum()) // 2,
        symmetry=float((distance - distance.T).abs().max()),
        positivity=max(0.0, -float(distance.min())),
        triangle=max(0.0, excess),
        worst=worst,
        tolerance=tolerance,
    )


def _triangle(distance: Float[Tensor, "n n"]) -> tuple[float, tuple[int, int, int]]:
    """The greatest ``d(x, z) - d(x, y) - d(y, z)`` and its ``x, y, z``, with memory for n^2 of them."""
    excess, worst = -math.inf, (0, 0, 0)
    for middle in range(len(distance)):
        slack = distance - distance[:, middle, None] - distance[middle]
        most = int(slack.argmax())
        if float(slack.flatten()[most]) > excess:
            excess = float(slack.flatten()[most])
            worst = (most // len(distance), middle, most % len(distance))
    return excess, worst


def _root(squares: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Square roots, with zero and a zero gradient where rounding left nothing or less."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0)
