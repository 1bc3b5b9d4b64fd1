"""Optimizers by name: every class of ``torch.optim``, and ours."""

import math
from collections.abc import Callable, Iterable

from torch import nn, optim

from chainrule import registry
from chainrule.errors import InputError, UnknownNameError
from chainrule.optim.newton import Newton

TORCH: dict[str, type[optim.Optimizer]] = {
    name.lower(): item
    for name in dir(optim)
    if isinstance(item := getattr(optim, name), type)
    and issubclass(item, optim.Optimizer)
    # SparseAdam takes sparse gradients only, which no layer here gives; Muon takes matrices only.
    and item not in (optim.Optimizer, optim.SparseAdam, optim.Muon)
}


def optimizers() -> dict[str, Callable[..., optim.Optimizer]]:
    """What builds each optimizer, by name: torch's classes in lower case, and ours."""
    return {**TORCH, **{name: entry.build for name, entry in registry.entries("optimizer").items()}}


def build_optimizer(
    name: str, parameters: Iterable[nn.Parameter], *, rate: float, weight_decay: float | None = None
) -> optim.Optimizer:
    """Build an optimizer by its name in any case, with options: ``"adamw"``, ``"sgd(momentum=0.9)"``, ``"diffgrad"``.

    Args:
        name: The call.
        parameters: What it moves.
        rate: Learning rate.
        weight_decay: Weight decay; None leaves the optimizer's own default.

    Raises:
        UnknownNameError: When there is no such optimizer.
        InputError: When the rate is not positive, or the optimizer does not know an option, has no weight decay, or
            cannot be driven by a training loop.
    """
    call, known = registry.parse(name), optimizers()
    if call.name.lower() not in known:
        raise UnknownNameError("optimizer", call.name, known)
    build = known[call.name.lower()]
    if build is Newton:
        raise InputError(
            "newton cannot be used here: it differentiates the loss twice and needs the same loss at each call, "
            "not batches; write 'lbfgs', or use chainrule.optim.Newton in a loop of your own."
        )
    if "lr" in call.options:
        raise InputError(
            f"The rate of {call.name} is set by --rate, not by its option lr; write --rate {call.options['lr']}."
        )
    check_rate(rate)
    fixed = {"params": list(parameters), "lr": rate}
    if weight_decay is not None:
        if "weight_decay" not in registry.keywords(build):
            raise InputError(
                f"{call.name} has no weight decay, but weight_decay={weight_decay} was given; leave it out."
            )
        fixed["weight_decay"] = weight_decay
    optimizer: optim.Optimizer = registry.call(build, call.options, call.name, **fixed)
    return optimizer


def check_rate(rate: float) -> None:
    """Raise an ``InputError`` when a learning rate is not a positive number."""
    if not 0 < rate < math.inf:
        raise InputError(f"The learning rate must be a number greater than 0; received {rate!r}.")


def scaled_rate(rate: float, *, batch: int, base: int = 256) -> float:
    """Scale a learning rate in proportion to the batch size: ``rate * batch / base``.

    Goyal et al. 2017, Accurate, large minibatch SGD: N times the batch, N times the rate. It is meant for SGD, with a
    warm-up, and fails for very large batches.

    Args:
        rate: The rate that is right for batches of ``base`` samples.
        batch: Samples per step, over all processes.
        base: Samples per step for which ``rate`` was found.

    Raises:
        InputError: When the rate or a size is not positive.
    """
    check_rate(rate)
    if batch < 1 or base < 1:
        raise InputError(f"batch and base must be at least 1 sample; received {batch!r} and {base!r}.")
    return rate * batch / base
