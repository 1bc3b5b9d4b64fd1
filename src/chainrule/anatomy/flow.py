"""How the gradient flows back through a network, layer by layer: whether and where it vanishes or explodes.

One backward pass and one step of an optimizer, both on a deep copy, so that nothing of the model changes. The chain
rule multiplies one Jacobian a layer, so a norm that changes by a factor ``f`` a layer changes by ``f^depth``
(Hochreiter 1991; Bengio, Simard, Frasconi 1994). Rule of thumb: a step's norm is about a thousandth of the weights'.
"""

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chainrule import seeding
from chainrule.anatomy import faces
from chainrule.anatomy.faces import number
from chainrule.anatomy.passes import forward, judged, split, stepped, tensor_of, widened
from chainrule.anatomy.pictures import Bar, log_bars, some
from chainrule.errors import InputError, listing
from chainrule.shapes import Tensor

USUAL = 1e-3  # update / weights of a step as it should be
FACTOR = 100.0  # the gradient at the first layer beside that at the last, from which on it explodes or vanishes
MANY, MOST = 40, 80  # layers from which on the picture leaves out those without a matrix; layers that it shows at most


@dataclass(frozen=True)
class FlowRow:
    """What came to one layer; a norm is the Euclidean one, over all of the layer's own parameters.

    Attributes:
        name: Dotted name; empty for the model itself.
        kind: Its class.
        matrix: Whether it has a weight of two axes or more; the verdict compares those.
        finite: Whether its outputs are finite.
        gradient: Norm of the gradient; None where no parameter learns.
        weights: Norm of the parameters; None where it has none.
        update: Norm of the change that one step of the optimizer makes.
        ratio: ``update / weights``.
        arriving: Norm of the gradient that arrives at the layer's output; None where none does.
    """

    name: str
    kind: str
    matrix: bool
    finite: bool
    gradient: float | None
    weights: float | None
    update: float | None
    ratio: float | None
    arriving: float | None


@dataclass(frozen=True)
class GradientFlow:
    """The gradient through the depth of a network.

    Attributes:
        model: The model's class.
        loss: The loss of the batch.
        optimizer: The class of the optimizer.
        rows: One for each layer, in order of execution.
    """

    model: str
    loss: float
    optimizer: str
    rows: tuple[FlowRow, ...]

    @property
    def compared(self) -> tuple[FlowRow, ...]:
        """The layers that the verdict compares: those with a matrix that learns, else all that learn."""
        learning = [row for row in self.rows if row.gradient is not None]
        return tuple([row for row in learning if row.matrix] or learning)

    @property
    def change(self) -> float:
        """The gradient that arrives at the first layer's output, over that at the last's.

        The gradients of the weights hide it where activations shrink as gradients grow, for they are the products.
        """
        first, last = (_signal(row) for row in (self.compared[0], self.compared[-1]))
        return first / last if last else math.nan

    @property
    def factor(self) -> float:
        """By how much the gradient changes from a layer to the one before it, on average."""
        return self.change ** (1 / max(len(self.compared) - 1, 1))

    @property
    def verdict(self) -> str:
        """Whether and where the gradient vanishes or explodes, and how long the step is."""
        return _broken(self) or " ".join(filter(None, (_course(self), _step(self))))

    def text(self) -> str:
        """A table for a terminal, and the verdict."""
        return f"{faces.as_text(HEAD, self._cells(), left=2)}\n\n{self.verdict}\n"

    def markdown(self) -> str:
        """The same in Markdown."""
        return f"{faces.as_markdown(HEAD, self._cells(), left=2)}\n\n{self.verdict}\n"

    def to_json(self) -> str:
        """All numbers and the verdict as JSON; what is not finite is null."""
        return json.dumps(faces.plain({**asdict(self), "verdict": self.verdict}), ensure_ascii=False, indent=2) + "\n"

    def svg(self) -> str:
        """The norms through depth, the first layer on top, on a logarithmic scale."""
        rows = self.rows if len(self.rows) <= MANY else self.compared
        shown = [rows[index] for index in some(len(rows), MOST)]
        bars = [Bar(_called(row), row.gradient, row.arriving) for row in shown]
        left_out = f"{len(shown)} of {len(self.rows)} layers are shown." if len(shown) < len(self.rows) else ""
        key = ("gradient of the layer's parameters", "gradient that arrives at its output")
        return log_bars(f"Gradient through {self.model}: norms, first layer on top", bars, key, left_out)

    def save(self, path: str | Path) -> Path:
        """Write it to a file that ends in .svg, .md, .txt or .json, and raise ``InputError`` where it exists."""
        made = {".svg": self.svg, ".md": self.markdown, ".txt": self.text, ".json": self.to_json}
        return faces.save(path, made)

    def _cells(self) -> list[list[str]]:
        return [
            [_called(row), row.kind, *map(number, (row.arriving, row.gradient, row.weights, row.update, row.ratio))]
            for row in self.rows
        ]


HEAD = ("layer", "kind", "at output", "gradient", "weights", "update", "update/weights")


def gradient_flow(
    model: nn.Module,
    batch: Any,
    *,
    loss: Callable[..., Tensor] | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] | torch.optim.Optimizer | None = None,
) -> GradientFlow:
    """The norms of gradients, weights and one update, for each layer in order of execution.

    Everything happens on a deep copy in the model's own mode; the model, its gradients and the generators stay as they
    are. Layers whose parameters do not learn have no gradient.

    Args:
        model: Any model.
        batch: ``(inputs, targets)``, or inputs alone. Inputs are a tensor, or a mapping of a forward's arguments.
        loss: ``loss(outputs, targets)``, without targets ``loss(outputs)``; default cross-entropy for integer targets,
            the mean squared error for floating ones, the mean square of the outputs without targets.
        optimizer: Makes an optimizer from parameters: a class, a ``functools.partial`` of one; or an optimizer of this
            model, with the state that it has. Default SGD with rate 0.001.

    Raises:
        InputError: When nothing of the model learns, or there is no loss for such outputs and targets.
    """
    inputs, targets = split(batch)
    with seeding.preserved(), torch.inference_mode(False), torch.enable_grad():
        model, optimizer = copy.deepcopy((model, optimizer))
        model.zero_grad(set_to_none=True)
        watch = _Watch(model)
        outputs = forward(model, inputs)
        value = judged(outputs, targets, loss)
        if not value.requires_grad:
            raise InputError(f"No parameter of {type(model).__name__} that the loss depends on asks for a gradient.")
        value.backward()
        learning = [parameter for parameter in model.parameters() if parameter.grad is not None]
        before = {parameter: widened(parameter) for parameter in learning}
        made_by = stepped(optimizer, learning)
        rows = tuple(watch.row(name, module, before) for name, module in watch.layers())
    return GradientFlow(type(model).__name__, float(value.detach()), made_by, rows)


class _Watch:
    """What passes a model's layers, both ways."""

    def __init__(self, model: nn.Module) -> None:
        self.names = {module: name for name, module in model.named_modules()}
        self.entered: dict[nn.Module, int] = {}
        self.arrived: dict[nn.Module, list[float]] = {}
        self.finite: dict[nn.Module, bool] = {}
        for module in self.names:
            module.register_forward_pre_hook(lambda module, inputs: self._enter(module))
            module.register_forward_hook(lambda module, inputs, output: self._leave(module, output))

    def _enter(self, module: nn.Module) -> None:
        self.entered.setdefault(module, len(self.entered))

    def _leave(self, module: nn.Module, output: Any) -> None:
        tensor = tensor_of(output)
        if tensor is None:
            return
        self.finite[module] = self.finite.get(module, True) and bool(tensor.isfinite().all())
        if tensor.requires_grad:
            arrived = self.arrived.setdefault(module, [])
            tensor.register_hook(lambda gradient: arrived.append(_norm([gradient])))

    def layers(self) -> list[tuple[str, nn.Module]]:
        """Every layer that was called or that learns, in order; one that is never called comes after its parent."""
        modules = {module: index for index, module in enumerate(self.names)}
        inside = {child: parent for parent in modules for child in parent.children()}

        def place(module: nn.Module) -> tuple[int, int]:
            near: nn.Module | None = module
            while near is not None and near not in self.entered:
                near = inside.get(near)
            return (self.entered[near] if near is not None else -1), modules[module]

        wanted = [
            module
            for module in modules
            if any(parameter.grad is not None for parameter in module.parameters(recurse=False))
            or (module in self.entered and (_own(module) or not any(module.children())))
        ]
        return [(self.names[module], module) for module in sorted(wanted, key=place)]

    def row(self, name: str, module: nn.Module, before: Mapping[nn.Parameter, Tensor]) -> FlowRow:
        """The layer's norms, after the step; ``before`` has the parameters as they were."""
        own = _own(module)
        moved = [parameter for parameter in own if parameter in before]
        weights = _norm([before.get(parameter, parameter) for parameter in own]) if own else None
        update = _norm([parameter.detach() - before[parameter] for parameter in moved]) if moved else None
        arrived = self.arrived.get(module)
        return FlowRow(
            name=name,
            kind=type(module).__name__,
            matrix=any(parameter.dim() > 1 for parameter in own),
            finite=self.finite.get(module, True),
            gradient=_norm([parameter.grad for parameter in moved if parameter.grad is not None]) if moved else None,
            weights=weights,
            update=update,
            ratio=update / weights if update is not None and weights else None,
            arriving=math.hypot(*arrived) if arrived else None,
        )


def _own(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters(recurse=False) if not isinstance(p, nn.UninitializedParameter)]


def _norm(tensors: Sequence[Tensor]) -> float:
    """Euclidean norm of all numbers together, in double precision, so that no square overflows or is lost."""
    norms = [torch.linalg.vector_norm(tensor.detach().to_dense().cpu(), dtype=torch.float64) for tensor in tensors]
    return math.hypot(*map(float, norms))


def _signal(row: FlowRow) -> float:
    """What is compared; a layer whose parameters another layer uses has no output of its own."""
    return row.arriving if row.arriving is not None else row.gradient or 0.0


def _called(row: FlowRow) -> str:
    return row.name or "(model)"


def _broken(flow: GradientFlow) -> str:
    """What is not finite, and where it begins; empty where all is."""
    if wrong := next((row for row in flow.rows if not row.finite), None):
        return f"The outputs of {_called(wrong)} ({wrong.kind}) are not finite, so no gradient can be."
    if not math.isfinite(flow.loss):
        return f"The loss is {flow.loss}, though all outputs are finite, so no gradient can be."
    for row in reversed(flow.rows):
        if not all(math.isfinite(value) for value in (row.arriving, row.gradient) if value is not None):
            return f"The gradient is not finite, from {_called(row)} ({row.kind}) on backwards."
    return ""


def _course(flow: GradientFlow) -> str:
    rows = flow.compared
    if silent := [_called(row) for row in rows if not row.gradient]:
        return f"No gradient reaches {listing(silent)}: it is exactly 0 there."
    if len(rows) < 2:
        return "Only one layer with weights learns, so there is nothing to compare."
    change, first, last = flow.change, _called(rows[0]), _called(rows[-1])
    said = (
        f"what arrives at the first layer, {first}, is {number(change)} times what arrives at the last, {last}, "
        f"a factor of {number(flow.factor)} a layer over {len(rows)} layers"
    )
    if 1 / FACTOR <= change <= FACTOR:
        return f"The gradient neither vanishes nor explodes: {said}."
    beyond = [row for row in rows if not 1 / FACTOR <= _signal(row) / _signal(rows[-1]) <= FACTOR]
    where = f"from {_called(beyond[-1])} on backwards it is beyond a factor of {FACTOR:g}"
    return f"The gradient {'vanishes' if change < 1 else 'explodes'}: {said}; {where}."


def _step(flow: GradientFlow) -> str:
    ratios = sorted(row.ratio for row in flow.compared if row.ratio is not None)
    if not ratios:
        return ""
    middle = number(ratios[len(ratios) // 2])
    return f"A step of {flow.optimizer} is {middle} of the weights in the median layer; about {USUAL:g} is usual."
