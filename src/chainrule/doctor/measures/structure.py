"""The operations of a forward pass, from autograd's own graph: which feed which, and which multiply by weights.

Autograd keeps a node for each operation that a gradient passes, whether a module, a function or an operator made it, so
that functional activations, shared modules and operators are seen alike.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.utils._pytree import tree_leaves

from chainrule.doctor.measures.operations import Operation, Structure
from chainrule.doctor.measures.running import placed
from chainrule.doctor.probe import Probe

#: Samples that are passed through; a structure needs few.
FEW = 16
#: Operations that multiply by a matrix or a kernel.
PRODUCTS = (
    "addmm",
    "mm",
    "bmm",
    "baddbmm",
    "addbmm",
    "mv",
    "addmv",
    "convolution",
    "mkldnnlinear",
    "mkldnnconvolution",
)
#: Operations that are linear in their only operand, whatever else they are called with; batch norm is in evaluation.
LINEAR = frozenset(
    (
        *("view", "unsafeview", "reshapealias", "alias", "t", "transpose", "permute", "unsqueeze", "squeeze", "expand"),
        *("clone", "tocopy", "slice", "select", "split", "unsafesplit", "splitwithsizes", "unbind", "unfold", "repeat"),
        *("cat", "stack", "add", "sub", "neg", "mean", "sum", "flip", "roll", "constantpadnd", "nativebatchnorm"),
        *("cudnnbatchnorm", "miopenbatchnorm", "avgpool1d", "avgpool2d", "avgpool3d", "adaptiveavgpool2d"),
        *("adaptiveavgpool3d", "mkldnnadaptiveavgpool2d", "reflectionpad2d", "replicationpad2d", "asstrided"),
    )
)
#: Operations that are linear as long as only one operand comes from the data.
BILINEAR = ("mul", "div", *PRODUCTS)
#: Operations that only lay numbers out anew.
LAYOUT = frozenset(
    (
        "view",
        "unsafeview",
        "reshapealias",
        "alias",
        "t",
        "transpose",
        "permute",
        "unsqueeze",
        "squeeze",
        "clone",
        "tocopy",
    )
)


def structure(probe: Probe) -> Structure:
    """The operations of the model in evaluation mode.

    Args:
        probe: Of the program.
    """
    model = probe.copied().model.eval()
    return traced(model, probe.sample.inputs[:FEW])


def traced(model: nn.Module, inputs: Tensor) -> Structure:
    """The operations of a model in the mode that it is in; all its parameters take part, frozen ones, too.

    Args:
        model: A copy, whose parameters all get a gradient from now on.
        inputs: Some samples.
    """
    if any(isinstance(parameter, UninitializedParameter) for parameter in model.parameters()):
        return Structure(error="A layer has no weights yet: it makes them in its first forward pass.")
    for parameter in model.parameters():
        if parameter.is_floating_point() or parameter.is_complex():
            parameter.requires_grad_()
    given = placed(model, inputs)
    names: dict[Any, str] = {}
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: _remember(names, output, name))
        for name, module in watchable(model)
    ]
    error = ""
    try:
        for entering in dict.fromkeys((given.is_floating_point(), False)):
            with torch.enable_grad():
                names.clear()
                entry = given.clone().requires_grad_().clone() if entering else given
                try:
                    outputs = model(entry)
                except Exception as raised:  # a stranger's model may refuse inputs with a gradient, or all
                    error = f"{type(raised).__name__}: {raised}"
                    continue
                return _collected(model, outputs, entry.grad_fn, names)
    finally:
        for hook in hooks:
            hook.remove()
    return Structure(error=error)


def watchable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that hooks can be put on, by name: not those that are compiled to TorchScript."""
    return ((name, module) for name, module in model.named_modules() if not isinstance(module, torch.jit.ScriptModule))


def _remember(names: dict[Any, str], output: Any, name: str) -> None:
    for leaf in tree_leaves(output):
        if isinstance(leaf, Tensor) and leaf.grad_fn is not None:
            names.setdefault(leaf.grad_fn, name)


def _collected(model: nn.Module, outputs: Any, entry: Any, names: dict[Any, str]) -> Structure:
    ends = [leaf.grad_fn for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.grad_fn is not None]
    nodes = _nodes(ends)
    called = {id(parameter): name for name, parameter in model.named_parameters()}
    places: dict[Any, int] = {}
    weights: dict[Any, str] = {}  # of nodes that depend on parameters alone: the first matrix among these
    found: list[Operation] = []
    for node in nodes:
        if _leaf(node):
            weights[node] = called.get(id(node.variable), "") if node.variable.dim() > 1 else ""
            continue
        kind = _kind(node)
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        matrix = next((weights[parent] for parent in parents if weights.get(parent)), "")
        product = kind in PRODUCTS or "rnn" in kind
        data = tuple(dict.fromkeys(places[parent] for parent in parents if parent in places))
        constant = product and matrix and any(parent is None for parent, _ in node.next_functions[:2])
        if not data and node is not entry and not kind.startswith("embedding") and not constant:
            weights[node] = matrix
            continue
        weight = matrix if product else ""
        layer = names.get(node) or weight.rpartition(".")[0]
        places[node] = len(found)
        grouped = getattr(node, "_saved_groups", 1) > 1 or getattr(node, "_saved_transposed", False)
        found.append(Operation(kind, layer, weight, data, _shape(node), _linear(node, kind, data), grouped, node))
    recurrent = [
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, nn.RNNBase | nn.RNNCellBase | nn.MultiheadAttention)
        for name, _ in module.named_parameters()
    ]
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    reached = frozenset(places[end] for end in ends if end in places)
    return Structure(tuple(found), reached, parameters, frozenset(recurrent))


def _nodes(ends: list[Any]) -> list[Any]:
    """All nodes above these, those of the leaves first, then in order of execution."""
    seen: dict[Any, None] = {}
    waiting = list(ends)
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen[node] = None
        waiting += [parent for parent, _ in node.next_functions]
    return sorted(seen, key=lambda node: -1 if _leaf(node) else node._sequence_nr())


def _leaf(node: Any) -> bool:
    return str(node.name()).endswith("AccumulateGrad")


def _kind(node: Any) -> str:
    return re.sub(r"Backward\d*$", "", str(node.name())).rpartition("::")[2].lower()


def _shape(node: Any) -> tuple[int, ...]:
    with suppress(Exception):  # autograd's own record of it has no public name
        return tuple(node._input_metadata[0].shape)
    return ()


def _linear(node: Any, kind: str, data: tuple[int, ...]) -> bool:
    if kind in LINEAR or kind.startswith("upsample"):
        return True
    if len(data) != 1 or kind not in BILINEAR or (kind == "div" and node.next_functions[0][0] is None):
        return False
    # A constant factor that differs from sample to sample may be a mask that was made of the data.
    constants = [
        getattr(node, saved, None)
        for saved, (parent, _) in zip(("_saved_self", "_saved_other"), node.next_functions, strict=False)
        if parent is None and kind in ("mul", "div")
    ]
    dims = len(_shape(node))
    return not any(
        isinstance(factor, Tensor) and factor.dim() == dims > 0 and bool((factor != factor[:1]).any())
        for factor in constants
    )
