"""Test surfaces on which optimizers are compared: functions of a point in the plane, of shape [2].

Each has one difficulty in its purest form, and known minima.
"""

from torch import Tensor

from chainrule.shapes import Float


def bowl(point: Float[Tensor, " 2"], *, condition: float = 100.0) -> Float[Tensor, ""]:
    """Ill-conditioned bowl: ``(x^2 + condition y^2) / 2``; minimum 0 at (0, 0)."""
    x, y = point
    return (x**2 + condition * y**2) / 2


def rosenbrock(point: Float[Tensor, " 2"]) -> Float[Tensor, ""]:
    """Curved valley: ``(1 - x)^2 + 100 (y - x^2)^2``; minimum 0 at (1, 1). Rosenbrock 1960."""
    x, y = point
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def saddle(point: Float[Tensor, " 2"]) -> Float[Tensor, ""]:
    """Saddle: ``x^2 - y^2``; flat at (0, 0), and no minimum. Dauphin et al. 2014."""
    x, y = point
    return x**2 - y**2


def double_well(point: Float[Tensor, " 2"]) -> Float[Tensor, ""]:
    """Two minima: ``(x^2 - 1)^2 + x / 4 + y^2``; the lower is at x = -1.0299, the other, local, at x = 0.9671."""
    x, y = point
    return (x**2 - 1) ** 2 + x / 4 + y**2
