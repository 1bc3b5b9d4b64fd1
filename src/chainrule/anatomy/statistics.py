"""What the activations of a network look like through its depth: spread, dead and saturated units, zero-centring.

A sigmoid or tanh passes next to no gradient where it is flat, a ReLU none where it is 0; and where a layer gives only
positive numbers, the gradients of a next unit's weights share one sign, so that descent zig-zags (LeCun, Bottou, Orr,
Müller 1998). With initializers by name, the same network is drawn anew with each and the pictures stand side by side
(Glorot and Bengio 2010; He et al. 2015).
"""

import copy
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chainrule import registry, seeding
from chainrule.anatomy import faces
from chainrule.anatomy.faces import number, percent
from chainrule.anatomy.passes import forward, slope, split, tensor_of
from chainrule.anatomy.pictures import Panel, panels, some
from chainrule.errors import InputError, choices, listing
from chainrule.nn import init
from chainrule.nn.activations import TORCH, Average, Symmetric
from chainrule.shapes import Tensor

FLAT = 0.005  # a slope below it passes next to no gradient: sigmoid beyond 5.3, tanh beyond 3.3
FACTOR = 100.0  # first and last deviation from which on the activations die out or blow up
MOST, SOME = 0.75, 0.1  # shares of flat and of dead units from which on the verdict tells of a layer
BINS, COLUMNS = 40, 12  # of a histogram; of a picture at most

# They are called activations, but each output depends on several inputs.
TOGETHER = (nn.Identity, nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.Softmin)


@dataclass(frozen=True)
class StatisticsRow:
    """The outputs of one layer in one call. A unit is one number of a sample's output.

    Attributes:
        initializer: What the weights were drawn by; empty for the model as it is.
        name: Dotted name; a layer that is called again has the number of the call behind it.
        kind: Its class.
        mean: Mean of the outputs.
        std: Their standard deviation.
        dead: Share of units that pass no gradient for any sample: flat for every one, or, where the layer is not
            elementwise, 0 for every one.
        saturated: Share of outputs at which the slope is flat; None where the layer is not elementwise.
        positive: Share of outputs above 0.
        low: Least output that is finite.
        high: Greatest output that is finite.
        counts: Histogram from ``low`` to ``high``.
    """

    initializer: str
    name: str
    kind: str
    mean: float
    std: float
    dead: float
    saturated: float | None
    positive: float
    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class ActivationStatistics:
    """The activations through the depth of a network, for each initializer.

    Attributes:
        model: The model's class.
        flat: The slope below which a unit counts as saturated.
        rows: One for each initializer and layer, in order of execution.
    """

    model: str
    flat: float
    rows: tuple[StatisticsRow, ...]

    @property
    def initializers(self) -> dict[str, tuple[StatisticsRow, ...]]:
        """The rows of each initializer, by its name; of the model as it is, by the empty name."""
        names = dict.fromkeys(row.initializer for row in self.rows)
        return {name: tuple(row for row in self.rows if row.initializer == name) for name in names}

    @property
    def verdict(self) -> str:
        """What becomes of the activations, a line for each initializer."""
        lines = [f"{name}: {_judged(rows)}" if name else _judged(rows) for name, rows in self.initializers.items()]
        return "\n".join(lines)

    def text(self) -> str:
        """A table for a terminal, and the verdict."""
        return f"{faces.as_text(self._head(), self._cells(), left=self._left())}\n\n{self.verdict}\n"

    def markdown(self) -> str:
        """The same in Markdown."""
        verdict = self.verdict.replace("\n", "\n\n")
        return f"{faces.as_markdown(self._head(), self._cells(), left=self._left())}\n\n{verdict}\n"

    def to_json(self) -> str:
        """All numbers and the verdict as JSON; what is not finite is null."""
        return json.dumps(faces.plain({**asdict(self), "verdict": self.verdict}), ensure_ascii=False, indent=2) + "\n"

    def svg(self) -> str:
        """Histograms through depth, one row of panels for each initializer."""
        groups = self.initializers
        count = min(map(len, groups.values()))
        shown = some(count, COLUMNS)
        first = next(iter(groups.values()))
        rows = {name or "as it is": [_panel(group[index]) for index in shown] for name, group in groups.items()}
        note = f"{len(shown)} of {count} layers are shown." if len(shown) < count else ""
        return panels(f"Activations of {self.model} through depth", [first[index].name for index in shown], rows, note)

    def save(self, path: str | Path) -> Path:
        """Write it to a file that ends in .svg, .md, .txt or .json, and raise ``InputError`` where it exists."""
        made = {".svg": self.svg, ".md": self.markdown, ".txt": self.text, ".json": self.to_json}
        return faces.save(path, made)

    def _left(self) -> int:
        return 2 + any(row.initializer for row in self.rows)

    def _head(self) -> list[str]:
        names = ["initializer"] * (self._left() - 2)
        return [*names, "layer", "kind", "mean", "std", "dead", "saturated", "positive", "least", "greatest"]

    def _cells(self) -> list[list[str]]:
        return [[row.initializer] * (self._left() - 2) + _cells(row) for row in self.rows]


def activation_statistics(
    model: nn.Module,
    batch: Any,
    *,
    initializers: Sequence[str] | None = None,
    layers: type[nn.Module] | tuple[type[nn.Module], ...] | None = None,
    flat: float = FLAT,
    seed: int = 0,
) -> ActivationStatistics:
    """The outputs of each layer over a batch, and the slopes at which they were made.

    Everything happens on a deep copy in the model's own mode; the model and the generators stay as they are. The slope
    is the layer's own derivative at its input, so any elementwise layer has one. Take some dozens of samples: a unit
    that is silent for a few is not yet dead.

    Args:
        model: Any model.
        batch: ``(inputs, targets)``, or inputs alone; the targets are not used.
        initializers: Initializers by name, with options if need be, that draw the weights anew
            (:mod:`chainrule.nn.init`); default the weights as they are.
        layers: Types of the layers to look at; ``nn.Module`` for every layer without children. Default activations.
        flat: Slope, without its sign, below which a unit counts as saturated.
        seed: For the weights that are drawn, and for dropout.

    Raises:
        InputError: When there is no such initializer, or the forward calls no such layer.
    """
    if isinstance(initializers, str):
        raise InputError(f"initializers wants a tuple of names; write initializers=({initializers!r},).")
    inputs, _ = split(batch)
    kinds = activations() if layers is None else layers if isinstance(layers, tuple) else (layers,)
    rows: list[StatisticsRow] = []
    with seeding.preserved(), torch.inference_mode(False), torch.no_grad():
        for name in ("",) if initializers is None else initializers:
            changed = copy.deepcopy(model)
            seeding.seed_all(seed)
            if name:
                init.apply(changed, name)
            watch = _Watch(changed, kinds, flat, name)
            forward(changed, inputs)
            rows += watch.rows
    if not rows:
        wanted = "activation module" if layers is None else f"layer of {listing(kind.__name__ for kind in kinds)}"
        raise InputError(
            f"The forward of {type(model).__name__} calls no {wanted}; name others, or layers=nn.Module for all."
        )
    return ActivationStatistics(type(model).__name__, flat, tuple(rows))


def activations() -> tuple[type[nn.Module], ...]:
    """The classes of activations, torch's and the registry's."""
    ours = [entry.build for entry in registry.entries("activation").values()]
    found = dict.fromkeys([*TORCH.values(), Average, Symmetric, *(kind for kind in ours if isinstance(kind, type))])
    return tuple(kind for kind in found if kind not in TOGETHER)


class _Watch:
    """Measures the layers of these kinds while a model is called."""

    def __init__(self, model: nn.Module, kinds: tuple[type[nn.Module], ...], flat: float, initializer: str) -> None:
        self.flat, self.initializer = flat, initializer
        self.rows: list[StatisticsRow] = []
        self.names = dict(_chosen(model, kinds))
        self.calls: dict[nn.Module, int] = {}
        self.slopes: list[Tensor | None] = []
        for module in self.names:
            # The input is looked at before the layer may write over it.
            module.register_forward_pre_hook(self._enter, with_kwargs=True)
            module.register_forward_hook(self._leave)

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        alone = len(inputs) == 1 and not named and tensor_of(inputs[0]) is inputs[0]
        self.slopes.append(slope(module, inputs[0]) if alone else None)

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        slopes, tensor = self.slopes.pop(), tensor_of(output)
        if tensor is None or not tensor.numel():
            return
        self.calls[module] = call = self.calls.get(module, 0) + 1
        name = f"{self.names[module]} ({call})" if call > 1 else self.names[module]
        values = tensor.detach() if tensor.dtype == torch.float64 else tensor.detach().float()
        silent = values == 0 if slopes is None else slopes.abs() < self.flat
        low, high, counts = _counted(values)
        self.rows.append(
            StatisticsRow(
                initializer=self.initializer,
                name=name,
                kind=type(module).__name__,
                mean=float(values.mean()),
                std=float(values.std(correction=0)),
                dead=_share(silent.all(0) if silent.dim() else silent),
                saturated=None if slopes is None else _share(silent),
                positive=_share(values > 0),
                low=low,
                high=high,
                counts=counts,
            )
        )


def _chosen(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[tuple[nn.Module, str]]:
    """Layers without children that are of one of the kinds, and layers that are exactly of one; none inside another."""
    inside: tuple[str, ...] = ()
    for name, module in model.named_modules():
        leaf = not any(module.children())
        if not name.startswith(inside) and (type(module) in kinds or (leaf and isinstance(module, kinds))):
            yield module, name
            inside = (*inside, f"{name}." if name else "")


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())


def _counted(values: Tensor) -> tuple[float, float, tuple[int, ...]]:
    finite = values[values.isfinite()].cpu()
    if not finite.numel():
        return 0.0, 0.0, (0,) * BINS
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return low, high, tuple(finite.numel() if index == BINS // 2 else 0 for index in range(BINS))
    counts = torch.histc(finite.double(), BINS, low, high)
    return low, high, tuple(int(count) for count in counts)


def _judged(rows: tuple[StatisticsRow, ...]) -> str:
    first, last = rows[0], rows[-1]
    names = {id(row): row.name or "(model)" for row in rows}
    if broken := [names[id(row)] for row in rows if not math.isfinite(row.std)]:
        return f"The activations of {choices(broken, 5)} are not finite."
    change = last.std / first.std if first.std else math.nan
    factor = number(change ** (1 / max(len(rows) - 1, 1)))
    course = f"the deviation goes from {number(first.std)} in {names[id(first)]} to {number(last.std)} in "
    course += f"{names[id(last)]}, a factor of {factor} a layer"
    if not first.std or change < 1 / FACTOR:
        said = [f"The activations die out: {course}."]
    else:
        said = [f"The activations {'blow up' if change > FACTOR else 'keep their scale'}: {course}."]
    dead = [f"{names[id(row)]} ({percent(row.dead)})" for row in rows if row.dead > SOME]
    flat = [f"{names[id(row)]} ({percent(row.saturated)})" for row in rows if (row.saturated or 0.0) > MOST]
    if dead:
        said.append(f"Units are dead in {choices(dead, 5)}.")
    if flat:
        said.append(f"Most are saturated in {choices(flat, 5)}.")
    if one_sided := [names[id(row)] for row in rows if row.positive > 0.99]:
        said.append(f"All are positive in {choices(one_sided, 5)}, so descent zig-zags.")
    return " ".join(said)


def _cells(row: StatisticsRow) -> list[str]:
    shares = (row.dead, row.saturated, row.positive)
    numbers = [number(row.mean), number(row.std), *map(percent, shares), number(row.low), number(row.high)]
    return [row.name or "(model)", row.kind, *numbers]


def _panel(row: StatisticsRow) -> Panel:
    flat = row.saturated or 0.0
    warning = f"{percent(row.dead)} dead" if row.dead > SOME else f"{percent(flat)} flat" if flat > MOST else ""
    reach = 4 * row.std if math.isfinite(row.std) else math.inf
    view = max(row.low, row.mean - reach), min(row.high, row.mean + reach)
    std = f"{row.std:.2g}" if not 0 < row.std < 0.001 else f"{row.std:.1e}".replace("e-0", "e-")
    return Panel(row.low, row.high, row.counts, view, f"std {std}", warning)
