"""Which parameters the loss gives a gradient, where the graph is cut, and what the optimizer holds of them."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from chainrule.doctor.measures.layers import quiet, some
from chainrule.doctor.measures.running import mean_loss, placed
from chainrule.doctor.measures.structure import watchable
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program

#: Steps after which a gradient that was exactly zero is looked at again: layers that begin with zeros open by then.
STEPS, RATE = 4, 1e-2

State = Literal["learns", "zero", "none", "frozen"]


@dataclass(frozen=True)
class Gradients:
    """What each parameter gets of the loss.

    Attributes:
        states: By name: ``"learns"``, ``"zero"`` (exactly, for all samples, and still after some steps), ``"none"``
            (the loss does not depend on it), or ``"frozen"``.
        graph: Whether the loss has a graph at all; None where no loss came about.
        called: Names of the modules with own parameters that the forward pass calls, in order.
        detached: Names of modules with learning parameters whose outputs, or inputs, have no graph, in order of calls.
        cut: Name of the first module behind the last one whose gradient is cut off; empty where none is.
    """

    states: dict[str, State]
    graph: bool | None
    called: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()
    cut: str = ""

    def named(self, state: State) -> list[str]:
        """The parameters in a state."""
        return [name for name, own in self.states.items() if own == state]


@dataclass(frozen=True)
class Held:
    """What an optimizer holds of a model.

    Attributes:
        missing: Parameters of the model that ask for a gradient and are not in the optimizer.
        missing_loss: The same of a loss with parameters.
        foreign: Shapes of the optimizer's parameters that belong neither to the model nor to the loss.
        held: How many parameters it holds.
    """

    missing: tuple[str, ...]
    missing_loss: tuple[str, ...]
    foreign: tuple[tuple[int, ...], ...]
    held: int


def gradients(probe: Probe) -> Gradients:
    """The gradients of the first batches, in training mode without dropout.

    Args:
        probe: Of the program.
    """
    program = probe.copied()
    quiet(program.model)
    learning = {name: parameter for name, parameter in program.model.named_parameters() if parameter.requires_grad}
    states: dict[str, State] = {name: "frozen" for name, _ in program.model.named_parameters()}
    if any(isinstance(module, torch.jit.ScriptModule) for module in program.model.modules()):
        return Gradients({}, None)  # a copy of TorchScript gives its parameters no gradient
    watch = _Watch(program.model)
    try:
        graph = _pass(probe, program)
    except Exception:  # a stranger's model and loss may raise anything; whether the program runs is said elsewhere
        return Gradients({}, None)
    watch.release()
    if graph:
        states |= {name: _state(parameter) for name, parameter in learning.items()}
        if "zero" in states.values():
            states |= _later(probe, program, learning)
    else:
        states |= dict.fromkeys(learning, "none")
    none = {name.rpartition(".")[0] for name, state in states.items() if state == "none"}
    called = list(watch.called)
    behind = [place for place, name in enumerate(called) if name in none]
    cut = called[behind[-1] + 1] if behind and behind[-1] + 1 < len(called) else ""
    return Gradients(states, graph, tuple(called), tuple(watch.detached), cut)


def held(probe: Probe) -> Held | None:
    """What the optimizer holds; None where there is no optimizer.

    Args:
        probe: Of the program, which is only read.
    """
    program = probe.program
    if program.optimizer is None:
        return None
    inside = {id(parameter): parameter for group in program.optimizer.param_groups for parameter in group["params"]}
    own = dict(program.model.named_parameters())
    judge = dict(program.loss.named_parameters()) if isinstance(program.loss, nn.Module) else {}
    known = {id(parameter) for parameter in (*own.values(), *judge.values())}

    def missing(parameters: dict[str, nn.Parameter]) -> tuple[str, ...]:
        return tuple(name for name, p in parameters.items() if p.requires_grad and id(p) not in inside)

    foreign = tuple(tuple(parameter.shape) for number, parameter in inside.items() if number not in known)
    return Held(missing(own), missing(judge), foreign, len(inside))


def unregistered(probe: Probe) -> tuple[tuple[int, ...], ...]:
    """Shapes of the tensors that ask for a gradient, and that neither model, loss nor optimizer know of.

    Args:
        probe: Of the program.
    """
    program = probe.copied()
    known = [
        parameter
        for part in (program.model, program.loss)
        if isinstance(part, nn.Module)
        for parameter in part.parameters()
    ]
    known += (
        [parameter for group in program.optimizer.param_groups for parameter in group["params"]]
        if program.optimizer
        else []
    )
    inputs, targets = (placed(program.model, part) for part in probe.sample.batches[0])
    try:
        loss = mean_loss(program, program.model(inputs), targets)
    except Exception:  # whether the program runs is said elsewhere
        return ()
    familiar = {id(tensor) for tensor in (*known, inputs, targets)}
    found: dict[int, Tensor] = {}
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor) and id(leaf) not in familiar:
            found[id(leaf)] = leaf
        nodes += [before for before, _ in node.next_functions]
    return tuple(tuple(leaf.shape) for leaf in found.values())


def _pass(probe: Probe, program: Program) -> bool:
    """Add up the gradients of some batches; whether the loss has a graph."""
    count = 0
    for inputs, targets in probe.sample.batches:
        given, wanted = placed(program.model, inputs), placed(program.model, targets)
        with torch.enable_grad():
            loss = mean_loss(program, program.model(given), wanted)
        if not loss.requires_grad:
            return False
        loss.backward()
        count += len(inputs)
        if count >= some(probe.sample.inputs):
            break
    return True


def _state(parameter: Tensor) -> State:
    if parameter.grad is None:
        return "none"
    return "learns" if bool((parameter.grad.to_dense() != 0).any()) else "zero"


def nudge(probe: Probe, program: Program) -> None:
    """Move a copy's parameters a few small steps down the loss, each by a share of its norm; their gradients stay."""
    for _ in range(STEPS):
        with torch.no_grad():
            for parameter in program.model.parameters():
                if parameter.grad is not None and bool(size := parameter.grad.to_dense().norm()):
                    along = parameter.grad.to_dense() / size
                    parameter.sub_(RATE * parameter.norm().clamp_min(1.0) * along)
        program.model.zero_grad(set_to_none=True)
        _pass(probe, program)


def _later(probe: Probe, program: Program, learning: dict[str, nn.Parameter]) -> dict[str, State]:
    """The states once layers that begin with zeros, as the last of a residual branch may, have left them."""
    before = {name: parameter.grad is not None for name, parameter in learning.items()}
    nudge(probe, program)
    return {name: _state(parameter) if before[name] else "none" for name, parameter in learning.items()}


class _Watch:
    """Which modules with parameters are called, and which of them give something without a graph.

    Args:
        model: What is watched.
    """

    def __init__(self, model: nn.Module) -> None:
        self.called: dict[str, bool] = {}
        self.detached: dict[str, bool] = {}
        self.hooks = [
            module.register_forward_hook(lambda module, _inputs, output, name=name: self._leave(name, module, output))
            for name, module in watchable(model)
            if any(True for _ in module.parameters(recurse=False))
        ]

    def _leave(self, name: str, module: nn.Module, output: Any) -> None:
        self.called[name] = True
        learning = any(parameter.requires_grad for parameter in module.parameters(recurse=False))
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if learning and tensors and not any(tensor.requires_grad for tensor in tensors):
            self.detached[name] = True

    def release(self) -> None:
        """Take the hooks away."""
        for hook in self.hooks:
            hook.remove()
