"""Whether the outputs of one sample depend on the others of its batch, on its own inputs, and on chance."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from chainrule import seeding
from chainrule.doctor.measures.running import placed, running
from chainrule.doctor.probe import Probe

#: Samples of a batch that is changed; half of them stay as they are.
SAMPLES = 16


class Draws(TorchDispatchMode):
    """Notes whether anything is dropped by chance; what samples a normal distribution, as in a VAE, is not."""

    drops = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.drops = self.drops or any(part in str(func) for part in ("dropout", "bernoulli", "rrelu"))
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Mixing:
    """How outputs change, as parts of their size (the root of their mean square).

    Attributes:
        chance: Between two passes over the same batch in evaluation mode.
        noise: The same in training mode.
        others: Where the other samples of the batch are replaced, in evaluation mode; NaN where it cannot be told.
        order: Where the samples of the batch are given in another order.
        fewer: Where the batch is cut in half; NaN where the model does not take half a batch.
        kept: Whether outputs differ without anything being random: the model keeps something of earlier batches.
        drops: Whether what is random in evaluation mode is a dropout, or something like it.
        refuses: What the model says to half a batch, where it does not take it.
        modes: Between training and evaluation mode, with the same random numbers.
        inputs: Where the inputs of the samples are exchanged for those of others: the spread of outputs over samples.
        second: Whether the second axis of inputs could be that of the samples instead of the first one, and would be
            free of leaks.
    """

    chance: float
    noise: float
    others: float
    order: float
    fewer: float
    kept: bool
    drops: bool
    refuses: str
    modes: float
    inputs: float
    second: bool = False


def mixing(probe: Probe) -> Mixing | None:
    """Passes over changed batches; None where the model does not run or its outputs are not one row a sample."""
    ran = probe.measure(running)
    inputs, targets = probe.sample.batches[0]
    if ran.stage in ("forward", "evaluation") or not ran.outputs_shape or len(inputs) < 2:
        return None
    model = probe.copied().model
    inputs = placed(model, inputs[:SAMPLES])
    other = _others(probe, inputs)
    try:
        return _passes(model, inputs, other, targets)
    except Exception:  # fewer samples than the program's own batches may be too few for a stranger's model
        return None


def _passes(model: nn.Module, inputs: Tensor, other: Tensor, targets: Tensor) -> Mixing | None:
    half, last = len(inputs) // 2, len(inputs)
    model.train()
    first, again = _given(model, inputs, 1), _given(model, inputs, 2)
    model.eval()
    seen = _given(model, inputs, 1)
    if seen.shape[0] % last or not bool(seen.isfinite().all()):
        return None
    rows = seen.reshape(last, -1)
    size = max(float(rows.square().mean().sqrt()), 1e-12)

    def away(given: Tensor, wanted: Tensor) -> float:
        return float((given.reshape(len(wanted), -1) - wanted).abs().max()) / size

    mixed = _given(model, torch.cat([inputs[:half], other[half:]]), 1)
    turned = _given(model, inputs.flip(0), 1)
    fewer, refuses = math.nan, ""
    try:
        fewer = away(_given(model, inputs[:half], 1), rows[:half])
    except Exception as error:  # the same
        refuses = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    with Draws() as draws:
        chance = away(_given(model, inputs, 2), rows)
        drawn = not torch.equal(torch.get_rng_state(), _fresh(2))
    exchanged = _given(model, other, 1).reshape(last, -1)
    return Mixing(
        chance=chance,
        noise=float((first - again).abs().max()) / size,
        others=away(mixed[: len(seen) // last * half], rows[:half]),
        order=away(turned, rows.flip(0)),
        fewer=fewer,
        kept=chance > 0 and not drawn,
        drops=draws.drops,
        refuses=refuses,
        modes=away(first, rows) if first.shape == seen.shape else math.nan,
        inputs=float(torch.cat([rows - exchanged, rows - rows[:1]]).abs().max()) / size,
        second=_along_second(model, inputs, targets, seen, size),
    )


def _given(model: nn.Module, inputs: Tensor, seed: int) -> Tensor:
    """Outputs on the CPU, with random numbers from that seed."""
    seeding.seed_all(seed)
    with torch.no_grad():
        return model(inputs).detach().cpu().float()


def _fresh(seed: int) -> Tensor:
    """State of the generator from which nothing was drawn since it got that seed."""
    seeding.seed_all(seed)
    return torch.get_rng_state()


def _others(probe: Probe, inputs: Tensor) -> Tensor:
    """As many inputs of other samples: those that follow, else the same in reverse order."""
    following = [
        batch
        for batch, _ in probe.sample.batches
        if batch.shape[1:] == inputs.shape[1:] and batch.dtype == inputs.dtype
    ]
    later = torch.cat(following)[len(inputs) : 2 * len(inputs)]
    return later.to(inputs.device) if len(later) == len(inputs) else inputs.roll(1, 0)


def _along_second(model: nn.Module, inputs: Tensor, targets: Tensor, seen: Tensor, size: float) -> bool:
    """Whether inputs, targets and outputs have a second axis in common along which nothing leaks: time goes first."""
    if min(inputs.ndim, targets.ndim, seen.ndim) < 2 or not inputs.shape[1] == targets.shape[1] == seen.shape[1] > 1:
        return False
    changed = inputs.clone()
    changed[:, -1] = inputs[:, 0]
    given = _given(model, changed, 1)
    return float((given - seen)[:, :-1].abs().max()) / size < 1e-4
