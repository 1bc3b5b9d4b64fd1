"""How many channels come in at each layer: what one batch shows on its way through the model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from chainrule.errors import InputError, listing
from chainrule.seeding import preserved
from chainrule.shapes import Tensor
from chainrule.surgery.tree import home


def widths(
    model: nn.Module, places: Mapping[str, nn.Module], sample: Tensor | Sequence[int] | None
) -> dict[str, list[int]]:
    """Sizes of axis 1 of what each place is called with.

    Raises:
        InputError: When the sample is none, does not go through the model, or does not reach a place.
    """
    if not isinstance(sample, Tensor) and not (sample and all(isinstance(size, int) for size in sample)):
        raise InputError(
            "The replacements learn numbers for each channel, and how many channels there are shows only a batch: "
            "write sample=, a batch or the shape of one sample such as (3, 224, 224)."
        )
    batch = sample if isinstance(sample, Tensor) else torch.zeros(1, *sample)
    found: dict[str, set[int]] = {name: set() for name in places}
    for training in (False, True):
        if all(found.values()):
            break
        _trace(model, places, found, batch, training=training)
    missed = [name for name, widths in found.items() if not widths]
    if missed:
        raise InputError(
            f"The sample never reaches {listing(missed)}, so that its channels stay unknown: swap a part of the model, "
            "or take replacements with channels=1."
        )
    return {name: sorted(widths) for name, widths in found.items()}


def _trace(
    model: nn.Module,
    places: Mapping[str, nn.Module],
    found: dict[str, set[int]],
    batch: Tensor,
    *,
    training: bool,
) -> None:
    """Note what comes in at each place during one forward pass that leaves nothing behind."""

    def note(name: str, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        x = [*inputs, *named.values()][0]
        if x.ndim < 2:
            raise InputError(f"{name!r} gets an input of shape {tuple(x.shape)}, which has no axis for channels.")
        found[name].add(int(x.shape[1]))

    device, dtype = home(model)
    # A copy, for the model may write into its input; twice in training mode, for batch statistics want two samples.
    batch = torch.cat([batch] * (2 if training else 1))
    batch = batch.to(device=device, dtype=dtype if batch.is_floating_point() else None)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    hooks = [module.register_forward_pre_hook(partial(note, name), with_kwargs=True) for name, module in places.items()]
    try:
        with _mode(model, training=training), preserved(), torch.no_grad():
            functional_call(model, buffers, (batch,))
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{type(model).__name__} does not take a sample of shape {tuple(batch.shape[1:])}: {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Put the model in training or evaluation mode for a while."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.train(training)
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
