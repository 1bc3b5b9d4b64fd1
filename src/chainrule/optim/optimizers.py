"""Optimizers by name: every class of ``torch.optim``."""

from collections.abc import Iterable

from torch import nn, optim

from chainrule import registry
from chainrule.errors import InputError, UnknownNameError

OPTIMIZERS: dict[str, type[optim.Optimizer]] = {
    name.lower(): item
    for name in dir(optim)
    if isinstance(item := getattr(optim, name), type)
    and issubclass(item, optim.Optimizer)
    # SparseAdam takes sparse gradients only, which no layer here gives; Muon takes matrices only.
    and item not in (optim.Optimizer, optim.SparseAdam, optim.Muon)
}


def build_optimizer(
    name: str, parameters: Iterable[nn.Parameter], *, rate: float, weight_decay: float | None = None
) -> optim.Optimizer:
    """Build an optimizer of torch by its name in any case, with options: ``"adamw"``, ``"sgd(momentum=0.9)"``.

    Args:
        name: The call.
        parameters: What it moves.
        rate: Learning rate.
        weight_decay: Weight decay; None leaves the optimizer's own default.

    Raises:
        UnknownNameError: When torch has no such optimizer.
        InputError: When it does not know an option, or has no weight decay.
    """
    call = registry.parse(name)
    if call.name.lower() not in OPTIMIZERS:
        raise UnknownNameError("optimizer", call.name, OPTIMIZERS)
    build = OPTIMIZERS[call.name.lower()]
    fixed = {"params": list(parameters), "lr": rate}
    if weight_decay is not None:
        if "weight_decay" not in registry.keywords(build):
            raise InputError(
                f"{call.name} has no weight decay, but weight_decay={weight_decay} was given; leave it out."
            )
        fixed["weight_decay"] = weight_decay
    optimizer: optim.Optimizer = registry.call(build, call.options, call.name, **fixed)
    return optimizer
