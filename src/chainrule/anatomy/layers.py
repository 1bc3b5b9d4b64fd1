"""One forward pass, written down: each call of a layer and each operation between layers is a row.

Hooks see the layers. A ``TorchFunctionMode`` sees the functions that a forward calls itself (``torch.cat``, ``+``,
``F.relu``, ``@``); a ``TorchDispatchMode`` below it sees the operations of ATen that all of them come down to, counts
their multiplications and follows what each unit sees.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from chainrule.anatomy.receptive import Field, Trail
from chainrule.anatomy.summary_rows import COUNTS, Numbers, Row, geometry
from chainrule.anatomy.summary_rules import WINDOWS, follow


@dataclass
class Entered:
    """A module that the forward pass has entered.

    Attributes:
        name: Its dotted name.
        type: Its class.
        shapes: Shapes of the tensors that it got, batch included.
    """

    name: str
    type: str
    shapes: list[Numbers]


@dataclass
class _Open:
    """A row that is not yet complete: what there was before."""

    name: str
    type: str
    storages: set[int]
    multiplications: int
    owned: list[tuple[int, str, int]]
    window: dict[str, Any] | None = None
    module: nn.Module | None = None


@dataclass
class Ledger:
    """Writes a forward pass down.

    Args:
        model: The model.
        shape: Shape of the input that fields are of, batch included.
        aliases: The parameter that stands for another while the model runs, by storage: number, name and count.
    """

    model: nn.Module
    shape: Numbers
    aliases: dict[int, tuple[int, str, int]]
    rows: list[Row] = field(default_factory=list)
    entered: list[Entered] = field(default_factory=list)
    multiplications: int = 0
    windows: bool = False
    trails: Any = field(default_factory=WeakTensorKeyDictionary)
    written: dict[int, Trail] = field(default_factory=dict)
    open: _Open | None = None
    path: list[str] = field(default_factory=list)
    used: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.owned = {
            module: [(id(p), name, p.numel()) for name, p in module.named_parameters()]
            for module in self.model.modules()
            if _is_leaf(module)
        }

    @contextmanager
    def watching(self, inputs: Sequence[Tensor]) -> Iterator[None]:
        """Write down what happens inside; the model is as before afterwards."""
        for tensor in inputs:
            # Of several inputs, none is the one whose pixels a unit would see.
            first = min(2, tensor.dim()) if len(inputs) == 1 else tensor.dim()
            self.trails[tensor] = Trail.start(tensor.shape, first)
        with ExitStack() as stack:
            for name, module in self.model.named_modules():
                before = module.register_forward_pre_hook(partial(self._enter, name), with_kwargs=True)
                after = module.register_forward_hook(self._leave, always_call=True)
                stack.callback(before.remove)
                stack.callback(after.remove)
            stack.enter_context(_Operations(self))
            stack.enter_context(_Functions(self))
            yield

    def _enter(self, name: str, module: nn.Module, inputs: Any, named: Any) -> None:
        tensors = _tensors((inputs, named))
        self.path.append(name)
        self.entered.append(Entered(name, _called(module), [tuple(tensor.shape) for tensor in tensors]))
        if self.open is None and module in self.owned:
            owned = self.owned[module]
            self.open = _Open(name, _called(module), set(map(storage_of, tensors)), self.multiplications, owned)
            self.open.module = module

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.path.pop()
        if self.open is not None and self.open.module is module:
            self._close(output)

    def function(self, func: Callable[..., Any], call: Callable[[], Any], given: Any) -> Any:
        """Call a function that a forward calls between layers; a row, if it computes something of the input."""
        if self.open is not None or not (tensors := _tensors(given)):
            return call()
        name = _function_name(func)
        owned = [self.aliases[key] for key in dict.fromkeys(map(storage_of, tensors)) if key in self.aliases]
        place = ".".join(filter(None, [self.path[-1] if self.path else "", name]))
        self.open = _Open(place, name, set(map(storage_of, tensors)), self.multiplications, owned)
        try:
            output = call()
            if self._matters(tensors, output):
                self._close(output)
        finally:
            self.open = None
        return output

    def _matters(self, given: Sequence[Tensor], output: Any) -> bool:
        """Whether a function's result comes from the input and is new, or a vector made of a map without copying."""
        made = [tensor for tensor in _tensors(output) if self.known(tensor)]
        assert self.open is not None
        new = [tensor for tensor in made if storage_of(tensor) not in self.open.storages]
        in_place = any(tensor is one for tensor in made for one in given)
        vector = len(made) == 1 and made[0].dim() == 2 and max(tensor.dim() for tensor in given) > 2
        return bool(new) or in_place or vector

    def _close(self, output: Any) -> None:
        begun, self.open = self.open, None
        tensors = _tensors(output)
        if begun is None or not tensors:
            return
        first = next((tensor for tensor in tensors if tensor.is_floating_point()), tensors[0])
        trail = self.known(first)
        fresh = {storage_of(tensor): tensor for tensor in tensors if storage_of(tensor) not in begun.storages}
        new = {key: (name, count) for key, name, count in begun.owned if key not in self.used}
        biases = sum(count for name, count in new.values() if "bias" in name.split(".")[-1])
        kernel = geometry(begun.module, begun.window, first.dim())
        self.used |= set(new)
        self.rows.append(
            Row(
                begun.name,
                begun.type,
                *kernel,
                size=tuple(first.shape[1:]),
                weights=sum(count for _, count in new.values()) - biases,
                biases=biases,
                shared=sum(count for key, _, count in begun.owned if key not in new),
                multiplications=self.multiplications - begun.multiplications,
                field=_field(trail, first, self.shape[2:]),
                bytes=sum(tensor.numel() * tensor.element_size() for tensor in fresh.values()),
            )
        )

    def known(self, tensor: Any) -> Trail | None:
        """The trail of a tensor; one into which parts were written sees all that the parts see."""
        if not isinstance(tensor, Tensor):
            return None
        trail = self.trails.get(tensor)
        if trail is None and (into := self.written.get(storage_of(tensor))):
            return Trail(tuple(((size, None),) for size in tensor.shape), tuple(None for _ in into.reach))
        return trail

    def operation(self, func: Any, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        """Take note of one operation of ATen."""
        schema = func._schema
        name = schema.name.removeprefix("aten::")
        given = {argument.name: argument.default_value for argument in schema.arguments}
        given.update(zip(given, args, strict=False))
        given.update(named)
        outputs = _tensors(output)
        if count := COUNTS.get(name):
            self.multiplications += count(given, outputs[0])
        if name in WINDOWS:
            self.windows = True
            if self.open is not None:
                self.open.window = {**given, "dim": outputs[0].dim()} if self.open.window is None else {}
        for tensor in outputs:
            if trail := follow(name, given, tensor.shape, self.known):
                self.trails[tensor] = trail
                if schema.is_mutable:
                    self.written[storage_of(tensor)] = trail


class _Functions(TorchFunctionMode):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        return self.ledger.function(func, partial(func, *args, **named), (args, named))


class _Operations(TorchDispatchMode):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        self.ledger.operation(func, args, kwargs or {}, output)
        return output


def _field(trail: Trail | None, output: Tensor, shape: Numbers) -> Field | None:
    """What a unit sees; that of a vector is asked for the whole input, whose pixels it mixes or lists."""
    if trail is None or not trail.reach:
        return None
    if output.dim() == 2:
        trail = replace(trail, reach=tuple(None for _ in trail.reach))
    return trail.field(shape)


def _is_leaf(module: nn.Module) -> bool:
    """Whether a module is one row: it has no parts, or only parts that hold its weights."""
    alone = isinstance(module, nn.MultiheadAttention) or parametrize.is_parametrized(module)
    return alone or not any(True for _ in module.children())


def _called(module: nn.Module) -> str:
    name = type(module).__name__
    return name.removeprefix("Parametrized") if parametrize.is_parametrized(module) else name


def _function_name(func: Callable[..., Any]) -> str:
    name = getattr(func, "__name__", type(func).__name__).strip("_")
    operator = re.fullmatch(r"[ri]?(add|sub|mul|truediv|matmul|pow)", name)
    return {"truediv": "div"}.get(operator[1], operator[1]) if operator else name


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def storage_of(tensor: Tensor) -> int:
    """What tells whether two tensors lie in the same memory."""
    return tensor.untyped_storage()._cdata
