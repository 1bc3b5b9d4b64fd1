"""A pass through any model: what goes in, what comes out, how it is judged, how steep a layer is, one step."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainrule import seeding
from chainrule.errors import InputError

RATE = 1e-3  # of the default optimizer


def split(batch: Any) -> tuple[Any, Any]:
    """Inputs and targets of a batch; targets are None where it has none.

    Raises:
        InputError: When it is a tuple of another length than two.
    """
    if not isinstance(batch, tuple | list):
        return batch, None
    if len(batch) != 2:
        raise InputError(f"A batch is (inputs, targets) or inputs alone; received {len(batch)} parts.")
    return batch[0], batch[1]


def forward(model: nn.Module, inputs: Any) -> Any:
    """What the model makes of a tensor, or of a mapping of its arguments."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


def tensor_of(output: Any) -> Tensor | None:
    """The tensor that a layer gives, or the first where it gives several; None where there is none with a point."""
    while isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) and output.is_floating_point() else None


def judged(outputs: Any, targets: Any, loss: Callable[..., Tensor] | None) -> Tensor:
    """The loss, by default cross-entropy, the mean squared error, or the mean square of the outputs.

    Raises:
        InputError: When there is no default for such outputs and targets, or the loss does not give one number.
    """
    if loss is not None:
        value = loss(outputs) if targets is None else loss(outputs, targets)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InputError("The loss must give one number, a tensor with its graph.")
        return value
    tensor = tensor_of(outputs)
    if tensor is None or not (targets is None or isinstance(targets, Tensor)):
        kinds = f"{type(outputs).__name__} and {type(targets).__name__}"
        raise InputError(f"There is no default loss for outputs and targets of type {kinds}; give loss=.")
    if targets is None:
        return tensor.square().mean()
    if not targets.is_floating_point():
        return F.cross_entropy(tensor, targets.long())
    if targets.shape != tensor.shape:
        shapes = f"{tuple(tensor.shape)} and targets of {tuple(targets.shape)}"
        raise InputError(f"The mean squared error wants one shape; received outputs of {shapes}.")
    return F.mse_loss(tensor, targets)


def widened(parameter: nn.Parameter) -> Tensor:
    """Make a parameter and its gradient double precision, in which a small step is not rounded away; a copy of it."""
    gradient, parameter.grad = parameter.grad, None
    wide = parameter.dtype if parameter.device.type == "mps" else torch.promote_types(parameter.dtype, torch.float64)
    parameter.data = parameter.data.to(wide)
    parameter.grad = None if gradient is None else gradient.to(wide)
    return parameter.data.clone()


def stepped(optimizer: Any, learning: list[nn.Parameter]) -> str:
    """Do one step, and tell what the optimizer is called.

    Args:
        optimizer: One that is made, or what makes one of parameters; None for SGD.
        learning: The parameters, with their gradients.

    Raises:
        InputError: When it wants to call the model again, as L-BFGS does.
    """
    if optimizer is None:
        optimizer = torch.optim.SGD(learning, lr=RATE)
    elif not isinstance(optimizer, torch.optim.Optimizer):
        optimizer = optimizer(learning)
    for parameter, state in optimizer.state.items():
        numbers = {name: value for name, value in state.items() if isinstance(value, Tensor) and value.dim()}
        state.update({name: value.to(parameter.dtype) for name, value in numbers.items() if value.is_floating_point()})
    try:
        optimizer.step()
    except TypeError as error:
        raise InputError(f"{type(optimizer).__name__} cannot step from one gradient: {error}.") from error
    return type(optimizer).__name__


def slope(module: nn.Module, z: Tensor) -> Tensor | None:
    """The derivative of an elementwise layer at each number of its input; None where it is not elementwise."""
    forward = module.forward
    with seeding.preserved(), torch.enable_grad():
        z = z.detach().clone().requires_grad_()
        y = forward(z.clone())
        if not isinstance(y, Tensor) or y.shape != z.shape or not y.requires_grad:
            return None
        # If each output depends on its own input alone, weights on the outputs come back on the inputs unchanged.
        weights = torch.linspace(1, 2, y.numel(), device=y.device, dtype=y.dtype).reshape(y.shape)
        plain, weighted = (
            torch.autograd.grad(y, z, seeds, retain_graph=True, materialize_grads=True)[0]
            for seeds in (torch.ones_like(y), weights)
        )
    return plain if torch.allclose(weighted, weights * plain, rtol=1e-2, atol=1e-6, equal_nan=True) else None
