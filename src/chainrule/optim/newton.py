"""Newton's method with damping, without the Hessian: products with it, and conjugate gradients.

Newton 1669, Raphson 1690. The form is the line-search Newton-CG method, algorithm 7.1 of Nocedal, Wright 2006,
Numerical optimization; the products are those of Pearlmutter 1994, Fast exact multiplication by the Hessian.

    (H + damping I) s = -g,   theta <- theta + a lr s

H is the Hessian and g the gradient of the loss. s is found by conjugate gradients, which ask only for products H v:
the derivative of ``g . v``, about twice the cost of a gradient. They end when the residual is below
``min(0.001, |g|) |g|``, so convergence is quadratic near the minimum, or at a direction of negative curvature; s goes
down in any case. a is 1, halved until the loss falls (Armijo's condition).

Differs from the book: the forcing term above in place of ``min(0.5, sqrt(|g|))``, and the damping.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from chainrule import registry
from chainrule.errors import InputError
from chainrule.shapes import Float

#: Share of the fall that the slope promises with which a step must be content (Armijo's constant).
ARMIJO = 1e-4
#: Residual of the conjugate gradients, as a share of the gradient: with 0.1 they follow the floor of Rosenbrock's
#: valley in over 60 steps, with less than 0.01 in 21.
FORCING = 1e-3


@registry.register(
    "optimizer",
    "newton",
    family="second order",
    paper="Nocedal, Wright 2006, Numerical optimization, algorithm 7.1",
    year=2006,
)
class Newton(Optimizer):
    """Newton's method for a loss that is the same at each call: whole-data fits of up to some 100 000 parameters.

    :meth:`step` needs a closure that *returns the loss with its graph*, and does not call ``backward``::

        optimizer = Newton(model.parameters())
        for _ in range(10):
            loss = optimizer.step(lambda: F.cross_entropy(model(x), y))

    There must be nothing random in it (dropout), and no batch normalization in training mode: the loss is computed
    several times in a step, and compared.

    Args:
        params: Parameters or groups of them, all of one dtype and on one device.
        lr: Length of the step; 1 is Newton's.
        damping: Added to the diagonal of the Hessian; more of it makes shorter steps, nearer to the
            gradient's, and convergence linear; for losses that are flat in some directions.
        iterations: Most products with the Hessian in one step.
        halvings: How often a step may be halved; when the loss still does not fall, nothing moves.

    Raises:
        InputError: When an option is out of its range; in :meth:`step`, when the closure does not do what it must, or
            a gradient is sparse.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        *,
        damping: float = 0.0,
        iterations: int = 250,
        halvings: int = 20,
    ) -> None:
        if not 0 < lr < math.inf:
            raise InputError(f"lr must be greater than 0; received {lr!r}.")
        if not 0 <= damping < math.inf:
            raise InputError(f"damping must not be negative; received {damping!r}.")
        if iterations < 1 or halvings < 0:
            raise InputError(
                f"iterations must be at least 1 and halvings at least 0; received {iterations!r} and {halvings!r}."
            )
        super().__init__(params, {"lr": lr, "damping": damping})
        self.iterations, self.halvings = iterations, halvings

    def __getstate__(self) -> dict[str, Any]:
        """What a copy needs."""
        return {**super().__getstate__(), "iterations": self.iterations, "halvings": self.halvings}

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:  # type: ignore[override]
        """Take one Newton step; gives the loss before it.

        Args:
            closure: Returns the loss, a scalar with its graph.

        Raises:
            InputError: When the closure is missing or its loss has no graph, or a gradient is sparse.
        """
        wanted = "Newton needs a closure that returns the loss as a scalar with its graph, and does not call backward"
        if closure is None:
            raise InputError(f"{wanted}; received none.")
        moved = [(p, group) for group in self.param_groups for p in group["params"] if p.requires_grad]
        parameters = [p for p, _ in moved]
        with torch.enable_grad():
            loss = closure()
            if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
                raise InputError(f"{wanted}; received {loss!r}.")
            try:
                parts = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
            except RuntimeError as error:
                if "second time" in str(error):
                    raise InputError(f"{wanted}; this one has called backward.") from error
                raise
            if any(part.is_sparse for part in parts):
                raise InputError("Newton takes dense gradients; received a sparse one; write sparse=False.")
            attached = flat(parts)
        gradient, start = attached.detach(), flat(parameters)
        rates, damping = (spread([(p, group[name]) for p, group in moved]) for name in ("lr", "damping"))

        def product(vector: Tensor) -> Tensor:
            if not attached.requires_grad:  # the loss is linear
                return damping * vector
            curved = torch.autograd.grad(attached, parameters, vector, retain_graph=True, materialize_grads=True)
            return flat(curved) + damping * vector

        tolerance = min(FORCING, float(gradient.norm()))
        direction = rates * conjugate_gradients(product, -gradient, tolerance=tolerance, iterations=self.iterations)
        if gradient @ direction > 0:  # possible only where groups have unequal rates
            direction = -rates * gradient
        self._descend(closure, parameters, start, direction, loss=loss.detach(), slope=gradient @ direction)
        return loss.detach()

    def _descend(
        self,
        closure: Callable[[], Tensor],
        parameters: list[Tensor],
        start: Tensor,
        direction: Tensor,
        *,
        loss: Tensor,
        slope: Tensor,
    ) -> None:
        """Go along the direction, half as far until the loss falls enough; stay where it never does."""
        # At the minimum the loss falls by less than its own rounding.
        slack = 10 * torch.finfo(loss.dtype).eps * loss.abs()
        for halving in range(self.halvings + 1):
            length = 0.5**halving
            put(parameters, start + length * direction)
            with torch.enable_grad():  # the loss itself may contain derivatives
                reached = closure().detach()
            if reached <= loss + ARMIJO * length * slope + slack:
                return
        put(parameters, start)


def conjugate_gradients(
    product: Callable[[Float[Tensor, " n"]], Float[Tensor, " n"]],
    target: Float[Tensor, " n"],
    *,
    tolerance: float,
    iterations: int,
) -> Float[Tensor, " n"]:
    """Solve ``A x = target`` for a symmetric A, from zero on; Hestenes, Stiefel 1952.

    Ends early at a direction in which A is not positive: the solution so far is then a direction of descent of
    ``x A x / 2 - target x``, and ``target`` itself is when there is none yet.

    Args:
        product: Gives ``A v``.
        target: The right-hand side.
        tolerance: Largest norm of the residual, as a share of the target's.
        iterations: Most products.
    """
    x, residual, direction = torch.zeros_like(target), target, target
    size = residual @ residual
    enough = tolerance**2 * size
    for iteration in range(iterations):
        if size <= enough:
            break
        curved = product(direction)
        curvature = direction @ curved
        if curvature <= 0:
            return x if iteration else target
        length = size / curvature
        x = x + length * direction
        residual = residual - length * curved
        size, before = residual @ residual, size
        direction = residual + size / before * direction
    return x


def flat(tensors: Iterable[Tensor]) -> Float[Tensor, " n"]:
    """All components in one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def spread(values: Iterable[tuple[Tensor, float]]) -> Float[Tensor, " n"]:
    """The vector that holds, for each component of a parameter, the value that goes with it."""
    return torch.cat([torch.full_like(parameter, value).reshape(-1) for parameter, value in values])


def put(parameters: list[Tensor], vector: Float[Tensor, " n"]) -> None:
    """Write a vector into the parameters."""
    pieces = vector.split([parameter.numel() for parameter in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.copy_(piece.view_as(parameter))
