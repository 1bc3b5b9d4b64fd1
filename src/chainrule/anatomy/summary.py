"""The layer table: what each layer of a model gives, weighs, costs and sees.

The model runs once in evaluation mode on the ``meta`` device, where tensors have shapes and no numbers, so that the
table of a large network takes neither time nor memory. A forward that looks at the numbers runs for real, once.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy

from chainrule.anatomy import faces
from chainrule.anatomy.layer_diagram import diagram
from chainrule.anatomy.layers import Ledger, storage_of
from chainrule.anatomy.summary_columns import memory, sized, table
from chainrule.anatomy.summary_rows import Row
from chainrule.errors import InputError
from chainrule.models.vision.arithmetic import output_shape
from chainrule.seeding import preserved


@dataclass(frozen=True)
class Totals:
    """Sums over the model; a parameter that several layers share counts once.

    Attributes:
        parameters: Numbers that are, or could be, learned.
        trainable: Those with ``requires_grad``.
        frozen: Those without.
        idle: Those in no row: of layers that evaluation does not call, and of what a forward computes before it meets
            the input.
        multiplications: Multiplications of convolutions and matrix products, for one sample.
        activations: Bytes of all outputs, as training would keep them.
        weights: Bytes of parameters and buffers.
    """

    parameters: int
    trainable: int
    frozen: int
    idle: int
    multiplications: int
    activations: int
    weights: int


@dataclass(frozen=True)
class Summary:
    """The layer table of a model.

    Attributes:
        model: What the model is called.
        shapes: Shapes of the inputs, without the batch.
        rows: The calls of layers and functions, in order.
        totals: Their sums.
    """

    model: str
    shapes: tuple[tuple[int, ...], ...]
    rows: tuple[Row, ...]
    totals: Totals

    def __str__(self) -> str:
        return self.text()

    def __getitem__(self, name: str) -> Row:
        """The first row of that name."""
        return next(row for row in self.rows if row.name == name)

    def text(self, width: int | None = None) -> str:
        """The table for a terminal.

        Args:
            width: Columns of the terminal; the less telling columns are left out until the table fits. None shows all.
        """
        head, rows, left = table(self.rows, width)
        title = f"{self.model}, input {' and '.join(map(sized, self.shapes))}"
        return "\n".join([title, "", faces.as_text(head, rows, left), "", *self._sums()]) + "\n"

    def markdown(self) -> str:
        """The whole table in Markdown."""
        head, rows, left = table(self.rows, None)
        return faces.as_markdown(head, rows, left) + "\n\n" + "\n".join(f"- {line}" for line in self._sums()) + "\n"

    def to_json(self) -> str:
        """All that is known, as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    def svg(self) -> str:
        """The layers as blocks, as high as their maps and as wide as their channels."""
        return diagram(self.model, self.shapes[0], self.rows)

    def save(self, path: str | Path) -> Path:
        """Write it as ``.txt``, ``.md``, ``.json`` or ``.svg``; an existing file stays."""
        return faces.save(path, {".txt": self.text, ".md": self.markdown, ".json": self.to_json, ".svg": self.svg})

    def _sums(self) -> list[str]:
        totals = self.totals
        idle = [f"{totals.idle:,} of these parameters are in no row"] if totals.idle else []
        return [
            f"{totals.parameters:,} parameters ({totals.trainable:,} trainable, {totals.frozen:,} frozen)",
            *idle,
            f"{totals.multiplications:,} multiplications for one sample",
            f"{memory(totals.activations)} of activations, {memory(totals.weights)} of weights",
        ]


def summary(model: nn.Module, shape: Sequence[int] | Tensor | tuple[Tensor, ...], *, what: str = "") -> Summary:
    """The layer table of any model; mode, weights, buffers, hooks and random numbers stay as they are.

    Args:
        model: The model.
        shape: Shape of one sample without the batch, ``(3, 224, 224)``; or a batch of one as a tensor, or a tuple of
            such tensors where the model takes several inputs or numbers of another kind.
        what: What the model is called; default its class.

    Raises:
        InputError: When the input is none, a map vanishes on the way, or the forward fails; the sentence names where.
    """
    what = what or type(model).__name__
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        raise InputError(f"{what} has lazy layers, whose sizes its first batch decides; call it once before.")
    inputs = _inputs(model, shape)
    ledger = _recorded(model, inputs, what)
    rows = ledger.rows
    if not ledger.windows and inputs[0].dim() < 4:
        # Nothing says which axis of a sequence would be its time.
        rows = [replace(row, field=None) for row in rows]
    parameters, tensors = list(model.parameters()), [*model.parameters(), *model.buffers()]
    count, trainable = (sum(p.numel() for p in parameters if p.requires_grad or every) for every in (True, False))
    totals = Totals(
        parameters=count,
        trainable=trainable,
        frozen=count - trainable,
        idle=count - sum(row.parameters for row in rows),
        multiplications=ledger.multiplications,
        activations=sum(row.bytes for row in rows),
        weights=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
    )
    return Summary(what, tuple(tuple(tensor.shape[1:]) for tensor in inputs), tuple(rows), totals)


def _inputs(model: nn.Module, shape: Any) -> tuple[Tensor, ...]:
    given = (shape,) if isinstance(shape, Tensor) else tuple(shape) if isinstance(shape, Sequence) else ()
    if given and all(isinstance(tensor, Tensor) and tensor.dim() for tensor in given):
        return given
    if not given or not all(isinstance(size, int) and size > 0 for size in given):
        raise InputError(
            f"summary wants the shape of one sample, such as (3, 224, 224), or example tensors; received {shape!r}."
        )
    floats = (p for p in (*model.parameters(), *model.buffers()) if p.is_floating_point())
    first = next(floats, torch.empty(0))
    return (torch.empty(1, *given, device="meta", dtype=first.dtype),)


def _recorded(model: nn.Module, inputs: tuple[Tensor, ...], what: str) -> Ledger:
    try:
        return _run(model, tuple(tensor.to("meta") for tensor in inputs), meta=True)
    except _FailedError as failed:
        if len(inputs) == 1 and any(words in str(failed.error) for words in ("too small", "greater than actual")):
            output_shape(model, inputs[0].shape[1:], what=what)
        device = next((p.device for p in (*model.parameters(), *model.buffers())), torch.device("cpu"))
        if device.type == "meta":
            raise failed.said(what) from failed.error
    try:
        real = (torch.zeros_like(t, device=device) if t.is_meta else t.to(device) for t in inputs)
        return _run(model, tuple(real), meta=False)
    except _FailedError as failed:
        raise failed.said(what) from failed.error


class _FailedError(Exception):
    """A forward pass that failed, and how far it came."""

    def __init__(self, error: Exception, ledger: Ledger) -> None:
        super().__init__(str(error))
        self.error, self.ledger = error, ledger

    def said(self, what: str) -> InputError:
        reason = " ".join(str(self.error).split()).rstrip(".") or type(self.error).__name__
        if not self.ledger.entered:
            return InputError(f"The forward of {what} cannot be called with this input: {reason}.")
        last = self.ledger.entered[-1]
        got = " and ".join(sized(shape[1:]) or "a number" for shape in last.shapes) or "no tensor"
        place = f"{last.name} ({last.type}, which got {got})" if last.name else f"its own forward, which got {got}"
        return InputError(f"{what} fails at {place}: {reason}.")


def _run(model: nn.Module, inputs: tuple[Tensor, ...], *, meta: bool) -> Ledger:
    """One pass; with ``meta`` without numbers, else with copies of the buffers, which a forward may change."""
    names = {id(p): name for name, p in reversed(list(model.named_parameters()))}
    stands = {id(p): p.detach().to("meta") if meta else p for p in model.parameters()}
    tensors: dict[str, Tensor] = {name: stands[id(p)] for name, p in model.named_parameters()}
    tensors.update((name, b.to("meta") if meta else b.clone()) for name, b in model.named_buffers())
    aliases = {storage_of(stands[id(p)]): (id(p), names[id(p)], p.numel()) for p in model.parameters()}
    ledger = Ledger(model, tuple(inputs[0].shape), aliases)
    with _quietly(model):
        try:
            with ledger.watching(inputs):
                functional_call(model, tensors, inputs)
        except Exception as error:
            raise _FailedError(error, ledger) from error
    return ledger


@contextmanager
def _quietly(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and of each operation the form that comes down to countable ones; all as before afterwards."""
    modes = {module: module.training for module in model.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    fused = torch.backends.mkldnn.set_flags(_enabled=False, _fp32_precision=None)[0]
    try:
        for module in modes:
            module.training = False
        torch.backends.mha.set_fastpath_enabled(False)
        with preserved(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mkldnn.set_flags(_enabled=fused, _fp32_precision=None)
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in modes.items():
            module.training = mode
