"""How large the numbers at the first layer and in the targets are, and what standardising them changes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chainrule.doctor.measures.running import placed, running
from chainrule.doctor.measures.samples import form, samples
from chainrule.doctor.measures.trials import Trial, learn
from chainrule.doctor.probe import Probe

#: Layers that bring their inputs to unit scale themselves.
NORMALISING = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.SyncBatchNorm),
)
#: Layers whose channels are the axis after the samples.
MAPS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
#: Steps of a controlled trial, and its share of the probe's seconds.
STEPS, SHARE = 400, 0.2


@dataclass(frozen=True, eq=False)
class Arrival:
    """The numbers at the first layer with weights.

    Attributes:
        layer: Its dotted name; empty where none was found.
        kind: Its class.
        axis: Axis of its input along which the columns or channels stand.
        means: Mean of each, ``[d]``.
        spreads: Standard deviation of each, ``[d]``.
        least: Smallest number.
        largest: Largest number.
        indices: Whether they are indices of an embedding.
        normalised: Whether that layer normalises.
        followed: Whether the next layer normalises.
    """

    layer: str
    kind: str = ""
    axis: int = 1
    means: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()
    least: float = math.nan
    largest: float = math.nan
    indices: bool = False
    normalised: bool = False
    followed: bool = False

    @property
    def size(self) -> float:
        """Root mean square over everything."""
        return float(np.sqrt(np.mean(np.square(self.means) + np.square(self.spreads)))) if self.means else math.nan

    @property
    def ratio(self) -> float:
        """The largest spread over the least that is not zero."""
        moving = [spread for spread in self.spreads if spread > 0]
        return max(moving) / min(moving) if moving else 1.0

    @property
    def offset(self) -> float:
        """The largest distance of a mean from zero, in spreads of its column."""
        return max((abs(m) / s for m, s in zip(self.means, self.spreads, strict=True) if s > 0), default=0.0)


@dataclass(frozen=True)
class Comparison:
    """A program's own training as it is, and with one thing standardised.

    Attributes:
        steps: Steps of each.
        planned: Whether these are all that the program plans.
        before: Score before any step; NaN where there is none.
        plain: Score on the training samples as it is; NaN where it is not finite any more.
        standardised: Score with the change.
    """

    steps: int
    planned: bool
    before: float
    plain: float
    standardised: float

    @property
    def gain(self) -> float:
        """How much better the change makes it; a loss that is no number counts as nothing learned."""
        plain, changed = (0.0 if math.isnan(score) else max(score, 0.0) for score in (self.plain, self.standardised))
        return changed - plain


def arrival(probe: Probe) -> Arrival:
    """What the first layer with weights gets, over the training sample."""
    program = probe.copied()
    seen: list[Tensor] = []
    called = _called(program.model, probe.sample.inputs[:2])
    if not called:
        return Arrival("")
    name, layer = called[0]

    def take(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        values = next((part for part in (*args, *kwargs.values()) if isinstance(part, Tensor)), None)
        if values is not None:
            seen.append(values.detach().cpu())

    layer.register_forward_pre_hook(take, with_kwargs=True)
    program.model.eval()
    try:
        with torch.no_grad():
            for inputs, _ in probe.sample.batches:
                program.model(placed(program.model, inputs))
                if sum(map(len, seen)) >= 1024:
                    break
    except Exception:  # the check of the forward pass says so
        return Arrival("")
    if not seen:
        return Arrival("")
    values = seen[0]
    indices = isinstance(layer, nn.Embedding | nn.EmbeddingBag)
    if indices or not values.is_floating_point() or values.ndim == 0:
        return Arrival(name, type(layer).__name__, indices=indices)
    axis = _axis(layer, values)
    parts = [part for part in seen if part.ndim == values.ndim and part.shape[axis] == values.shape[axis]]
    flat = torch.cat([part.movedim(axis, 0).flatten(1) for part in parts], dim=1).double()
    if not flat.isfinite().all():
        return Arrival("")
    if axis == values.ndim - 1 and (probe.measure(samples).pictured or form(probe) == "images"):
        flat = flat.reshape(1, -1)  # pixels share one scale, and those of the border hardly move
    return Arrival(
        layer=name,
        kind=type(layer).__name__,
        axis=axis,
        means=tuple(flat.mean(1).tolist()),
        spreads=tuple(flat.std(1, correction=0).tolist()),
        least=float(flat.min()),
        largest=float(flat.max()),
        normalised=isinstance(layer, NORMALISING),
        followed=len(called) > 1 and isinstance(called[1][1], NORMALISING),
    )


def inputs_standardised(probe: Probe) -> Comparison | None:
    """The program's training as it is, and with standardised numbers at the first layer; everything else is equal."""
    found = probe.measure(arrival)
    if not found.means:
        return None

    def change(program: Any) -> Any:
        layer = program.model.get_submodule(found.layer) if found.layer != "." else program.model
        means, spreads = torch.tensor(found.means), torch.tensor(found.spreads)
        spreads = torch.where(spreads > 0, spreads, 1.0)

        def standardise(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            values = args[0]
            shape = [1] * values.ndim
            shape[found.axis] = -1
            where = {"device": values.device, "dtype": values.dtype}
            return ((values - means.to(**where).reshape(shape)) / spreads.to(**where).reshape(shape), *args[1:])

        layer.register_forward_pre_hook(standardise)
        return program, lambda pair: pair

    return _compared(probe, change)


def targets_standardised(probe: Probe) -> Comparison | None:
    """The program's training as it is, and towards standardised targets; everything else is equal."""
    targets = probe.sample.targets.double()
    mean, spread = targets.mean(0), targets.std(0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    return _compared(
        probe, lambda program: (program, lambda pair: (pair[0], ((pair[1].double() - mean) / spread).to(pair[1].dtype)))
    )


def _compared(probe: Probe, change: Callable[[Any], Any]) -> Comparison | None:
    ran = probe.measure(running)
    if ran.error and not ran.own:
        return None
    batches = probe.sample.batches
    planned = (probe.program.epochs or 10) * len(batches)
    passes = max(1, min(planned, STEPS) // len(batches))
    trials: list[Trial] = []
    for changed in (False, True):
        program, pairs = probe.copied(), batches
        if changed:
            program, pair = change(program)
            pairs = [pair(batch) for batch in batches]
        program = replace(program, valid=None)
        torch.manual_seed(0)
        trials.append(learn(probe, program, [pairs] * passes, seconds=SHARE * probe.seconds))
    if any(not trial.ran or not trial.epochs for trial in trials):
        return None
    steps = min(trial.steps for trial in trials)
    plain, other = trials
    # When one had more time than the other, or ended, the last look at each is still its own.
    return Comparison(
        steps=steps,
        planned=steps >= planned and probe.sample.whole,
        before=plain.start.train_score,
        plain=plain.end.train_score if plain.finite else math.nan,
        standardised=other.end.train_score if other.finite else math.nan,
    )


def _called(model: nn.Module, inputs: Tensor) -> list[tuple[str, nn.Module]]:
    """The layers with weights of their own as a forward pass calls them, only those without parts where there are."""
    called: list[tuple[str, nn.Module]] = []
    hooks = []
    for name, module in model.named_modules():
        # A normalisation counts without weights, too: its running statistics are not learned yet.
        if isinstance(module, NORMALISING) or next(module.parameters(recurse=False), None) is not None:
            hooks.append(
                module.register_forward_pre_hook(lambda _, __, found=(name or ".", module): called.append(found))
            )
    try:
        with torch.no_grad():
            model.eval()(placed(model, inputs))
    except Exception:  # the check of the forward pass says so
        return []
    finally:
        for hook in hooks:
            hook.remove()
    simple = [
        (name, module)
        for name, module in called
        if type(module).__module__.startswith("torch.nn") or not any(True for _ in module.children())
    ]
    return simple or called


def _axis(layer: nn.Module, values: Tensor) -> int:
    """Where the columns or channels of a layer's input stand."""
    if (
        isinstance(layer, (*MAPS, *NORMALISING))
        and values.ndim > 2
        and not isinstance(layer, nn.LayerNorm | nn.RMSNorm)
    ):
        return 1
    return values.ndim - 1
