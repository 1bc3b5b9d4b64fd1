"""diffGrad: Adam with a friction that grows smaller where the gradient changes.

Dubey, Chakraborty, Roy, Mukherjee, Singh, Chaudhuri 2020, diffGrad: an optimization method for convolutional neural
networks, https://arxiv.org/abs/1909.11015.

    m_t  = b1 m_{t-1} + (1 - b1) g_t
    v_t  = b2 v_{t-1} + (1 - b2) g_t^2
    xi_t = sigmoid(|g_{t-1} - g_t|),  g_0 = 0,  so xi is in [0.5, 1)
    theta_t = theta_{t-1} - lr sqrt(1 - b2^t) / (1 - b1^t) * xi_t m_t / (sqrt(v_t) + eps)

All of it is element-wise. Where the gradient is constant the step is exactly half of Adam's. Weight decay is L2: it is
added to g before everything else.

Differs from the paper: nothing. The first program that its authors published kept a reference to the previous gradient
in place of a copy, so its xi was always 0.5; this one keeps a copy.

The friction is a part (:class:`Friction`), a chain of steps from the change of the gradient to xi; the variants in
``chainrule.optim.diffgrad_variants`` are other chains.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from chainrule import registry
from chainrule.errors import InputError

# Makes of changes other ones, in place: those of parameters of one dtype, |g_t - r_t|, and t, counted from 1.
FrictionStep = Callable[[list[Tensor], int], None]


class Friction:
    """How the change of the gradient becomes the factor xi on the step: ``sigmoid(steps(|g_t - r_t|))``.

    The reference ``r_t`` is the previous gradient, or a moving average of all previous ones:
    ``r_{t+1} = memory r_t + (1 - memory) g_t``, ``r_1 = 0``.

    Args:
        steps: Done one after the other, in place, before the sigmoid.
        memory: How much of the reference is kept; 0 makes it the previous gradient.

    Raises:
        InputError: When ``memory`` is not from 0 up to, but not, 1.
    """

    def __init__(self, *steps: FrictionStep, memory: float = 0.0) -> None:
        if not 0 <= memory < 1:
            raise InputError(f"memory must be from 0 up to, but not, 1; received {memory!r}.")
        self.steps, self.memory = steps, memory

    def __call__(self, changes: list[Tensor], t: int) -> None:
        """Turn the changes of step ``t`` into xi, in place."""
        for step in self.steps:
            step(changes, t)
        torch._foreach_sigmoid_(changes)


@registry.register(
    "optimizer",
    "diffgrad",
    family="adaptive",
    paper="Dubey, Chakraborty, Roy, Mukherjee, Singh, Chaudhuri 2020, diffGrad: an optimization method for "
    "convolutional neural networks",
    year=2020,
)
class DiffGrad(Optimizer):
    """Adam's step times a friction that is smaller where the gradient changes little.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        betas: Decay of the moving averages of the gradient and of its square.
        eps: Added to the root of the second average; its place is the next option.
        weight_decay: L2 penalty, added to the gradient.
        eps_after_correction: False adds ``eps`` to ``sqrt(v)``, before the bias correction, as the authors do;
            True adds it to the corrected ``sqrt(v / (1 - b2^t))``, as ``torch.optim.Adam`` does.
        friction: What makes xi of the change of the gradient.

    Raises:
        InputError: When an option is out of its range; in :meth:`step`, when a gradient is sparse or complex.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        eps_after_correction: bool = False,
        friction: Friction | None = None,
    ) -> None:
        for name, value in {"lr": lr, "eps": eps, "weight_decay": weight_decay}.items():
            if not 0 <= value < math.inf:
                raise InputError(f"{name} must not be negative; received {value!r}.")
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise InputError(f"betas must be two numbers from 0 up to, but not, 1; received {betas!r}.")
        if friction is not None and not isinstance(friction, Friction):
            raise InputError(
                f"friction must be a Friction; received {friction!r}; by name there are 'dgrad' and others."
            )
        self.friction = friction or Friction()
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "eps_after_correction": eps_after_correction})

    def __getstate__(self) -> dict[str, Any]:
        """What a copy needs; the friction is a part, not a number, so it does not stand in the groups."""
        return {**super().__getstate__(), "friction": self.friction}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the parameters that have a gradient; gives what ``closure`` gave.

        Args:
            closure: Computes the loss and its gradients again.

        Raises:
            InputError: When a gradient is sparse or complex.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # Before anything moves.
        refuse([p for group in self.param_groups for p in group["params"]])
        for group in self.param_groups:
            # The kernels want one device and dtype; what had no gradient for a while has another bias correction.
            together: dict[tuple[int, torch.device, torch.dtype], list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None and p.numel():
                    together.setdefault((self._count(p), p.device, p.dtype), []).append(p)
            for (t, _, _), parameters in together.items():
                self._move(parameters, group, t)
        return loss

    def _count(self, parameter: Tensor) -> int:
        """The number of this step for a parameter; at the first, its state begins."""
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for name in ("exp_avg", "exp_avg_sq", "reference"):
                state[name] = torch.zeros_like(parameter)
        state["step"] += 1
        return int(state["step"])

    def _move(self, parameters: list[Tensor], group: dict[str, Any], t: int) -> None:
        """One step of parameters that have the same options and have made the same number of steps."""
        (beta1, beta2), eps = group["betas"], group["eps"]
        gradients = [p.grad for p in parameters if p.grad is not None]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        first, second, reference = (
            [self.state[p][name] for p in parameters] for name in ("exp_avg", "exp_avg_sq", "reference")
        )
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)

        memory = self.friction.memory
        if memory:
            moves = list(torch._foreach_sub(gradients, reference))
        else:  # nothing of the reference is needed again, so its place serves for the moves
            moves = reference
            torch._foreach_sub_(moves, gradients)
        torch._foreach_abs_(moves)
        self.friction(moves, t)
        torch._foreach_mul_(moves, first)

        root, correction = torch._foreach_sqrt(second), math.sqrt(1 - beta2**t)
        if group["eps_after_correction"]:
            # (sqrt(v) / correction + eps), times the correction that stands in the rate below
            eps = eps * correction
        torch._foreach_add_(root, eps)
        torch._foreach_addcdiv_(parameters, moves, root, -group["lr"] * correction / (1 - beta1**t))

        # A copy of the gradient, never the gradient itself: the next backward pass writes into that.
        if memory:
            torch._foreach_lerp_(reference, gradients, 1 - memory)
        else:
            torch._foreach_copy_(reference, gradients)


def refuse(parameters: Iterable[Tensor]) -> None:
    """Raise an ``InputError`` when a gradient is sparse or complex."""
    for p in parameters:
        if p.grad is not None and (p.grad.is_sparse or p.grad.is_complex()):
            kind = "sparse" if p.grad.is_sparse else "complex"
            raise InputError(
                f"DiffGrad takes real, dense gradients; received a {kind} one for a parameter of shape "
                f"{list(p.shape)}; write nn.Embedding(..., sparse=False), or split real and imaginary part."
            )
