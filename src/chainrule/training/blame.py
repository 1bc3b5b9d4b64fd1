"""Where a number stopped being finite: the first module, and the samples."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from chainrule import seeding
from chainrule.data.batches import Batch
from chainrule.errors import NotFiniteError, listing

if TYPE_CHECKING:
    from chainrule.training.loop import Training


def not_finite(t: "Training", phase: str, pieces: list[Batch], loss: float) -> NotFiniteError:
    """Run the batch once more, watching every module, and say where the first non-finite number arose."""
    with seeding.preserved():
        place, guilty = _search(t, phase, pieces)
    samples = listing([t.train.split.origin[int(i)] for i in guilty], most=3)
    what = (
        f"The loss became {loss}"
        if loss != loss or loss in (float("inf"), float("-inf"))
        else "The gradient overflowed"
    )
    return NotFiniteError(
        f"{what} in epoch {t.epoch}, step {t.step}: {place} (samples: {samples}). The weights were not moved; "
        "look at these samples, or write a smaller rate (--rate), or clip the gradient (--clip 1)."
    )


def _search(t: "Training", phase: str, pieces: list[Batch]) -> tuple[str, Tensor]:
    for piece in pieces:
        wrong = ~torch.isfinite(piece.inputs.flatten(1).float()).all(dim=1)
        # Missing values of a table are NaN on purpose: they are the preparation's to fill.
        if wrong.any() and not torch.isfinite(t.model[0](piece.inputs)).all():
            return "the inputs are not finite", piece.index[wrong.cpu()]
        place, losses = _watch(t, phase, piece)
        if place:
            wrong = ~torch.isfinite(losses)
            return place, piece.index[wrong.cpu()] if wrong.any() else piece.index
    return "it did not happen again when the batch was repeated", pieces[0].index


def _watch(t: "Training", phase: str, piece: Batch) -> tuple[str, Tensor]:
    """Name the first module that gives a non-finite output, or else passes back a non-finite gradient."""
    forward: list[str] = []
    backward: list[tuple[str, bool]] = []
    hooks = []

    def note(name: str):  # type: ignore[no-untyped-def]
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not torch.isfinite(output).all():
                forward.append(name)
            if output.requires_grad:
                output.register_hook(lambda gradient: backward.append((name, bool(torch.isfinite(gradient).all()))))

        return hook

    for name, module in t.model[1].named_modules():
        if not list(module.children()):
            kind = type(module).__name__
            hooks.append(module.register_forward_hook(note(f"module {name!r} ({kind})" if name else f"the {kind}")))
    try:
        losses = t.task.step(phase, t.forward, piece).losses
        if forward:
            return f"the first non-finite output is that of {forward[0]}", losses
        if not torch.isfinite(losses).all():
            return "every module's output is finite, the loss is not", losses
        gradients = torch.autograd.grad(losses.sum(), list(t.model[1].parameters()), allow_unused=True)
    finally:
        for hook in hooks:
            hook.remove()
    return _first_backward(t, backward, gradients), losses


def _first_backward(t: "Training", backward: list[tuple[str, bool]], gradients: tuple[Tensor | None, ...]) -> str:
    behind = "the loss"
    for name, finite in backward:
        if not finite:
            return f"the first non-finite gradient comes back out of {behind}"
        behind = name
    names = [name for name, _ in t.model[1].named_parameters()]
    wrong = [name for name, g in zip(names, gradients, strict=True) if g is not None and not torch.isfinite(g).all()]
    if wrong:
        return f"the first non-finite gradient is that of the parameter {wrong[-1]!r}"
    return "each gradient is finite, but the norm of all together is not" if backward else ""
