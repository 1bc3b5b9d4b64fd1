"""``Watched``: what happened in a training loop, as plain numbers that checks judge."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of an optimizer, and what happened since the step before.

    Attributes:
        optimizer: 0 for the watched optimizer; a further number for each other one that moves its parameters.
        closure: Whether the step evaluates the loss itself, as that of LBFGS does.
        rate: The largest learning rate of the optimizer's groups.
        state: Whether the optimizer keeps a state (momentum, moments) of its parameters after the step.
        lost: Whether it had none before the step, although an earlier step had left one.
        forwards: Forward passes with a graph.
        late: Of these, how many came after the last backward pass.
        batch: What identifies the inputs of these forward passes; 0 where they had none.
        size: Samples in the last of them; 0 where that is not known.
        validation: Share of these forward passes whose inputs were validation samples.
        evaluation: Whether the model was in evaluation mode in all of them.
        draws: Batches that the loop took; 0 where that is not known.
        backwards: Backward passes that gave gradients to the parameters, since these were empty the last time.
        arrived: Norm of the gradients after the last of them; NaN for a closure.
        used: Norm of the gradients that the step began with; NaN for a closure.
        carried: Names of parameters whose gradients held something at the start of every backward pass.
        factor: What the last loss was multiplied by before it went backward, the samples of a sum counted in.
        outside: Change of the weights by something else than the optimizer, over their norm.
        overwritten: Names of the parameters that this changed.
        returned: Whether this brought them back to values that they had before.
        update: Change of the weights by the step, over their norm.
        norm: Norm of the weights before the step.
    """

    optimizer: int = 0
    closure: bool = False
    rate: float = math.nan
    state: bool = False
    lost: bool = False
    forwards: int = 0
    late: int = 0
    batch: int = 0
    size: int = 0
    validation: float = 0.0
    evaluation: bool = False
    draws: int = 0
    backwards: int = 0
    arrived: float = math.nan
    used: float = math.nan
    carried: tuple[str, ...] = ()
    factor: float = 1.0
    outside: float = 0.0
    overwritten: tuple[str, ...] = ()
    returned: bool = False
    update: float = math.nan
    norm: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What happened in a training loop while it was watched.

    Attributes:
        steps: The first steps in detail (:data:`chainrule.doctor.watching.watcher.MOST` at most).
        count: All steps of optimizers that move the watched parameters.
        foreign: Steps of other optimizers.
        forwards: Forward passes of the model with a graph.
        backwards: Backward passes that gave gradients to the watched parameters.
        blind: Backward passes that gave them none.
        evaluating: Steps, of all, whose forward passes were in evaluation mode.
        switched: Whether the first step's forward passes were in training mode.
        validating: Forward passes without a graph, in training mode, that look like a validation.
        noisy: Kinds of the layers that differ between the modes (dropout, batch normalisation) by their names.
        optimizer: Name of the watched optimizer's class; empty where none is known.
        held: Whether the watched optimizer holds any parameter of the model.
        unreached: Parameters of the optimizer that ask for a gradient and got none in any backward pass.
        frozen: Whether some parameters of the model ask for no gradient.
        moved: Whether the weights differ from those at the start.
        peak: The largest rate of all steps.
        base: The rate of the first step.
        last: The rate of the last step.
        vanished: Steps at less than a thousandth of the largest rate until then.
        starts: How often a loader of more than one batch was started anew.
        fused: Whether an optimizer was stepped inside a backward pass, so that the order says nothing.
        expected: Parameters that get a gradient from the loss of the model's outputs; None where that is not known.
        passes: Passes over the batches that were asked for; 0 where that is not known.
        cut: Whether the batches were ended before all of them were used.
        shuffles: Whether the order of the batches is the loop's own: not that of a list.
        strayed: Whether the loop trained another model than the one that it was given.
        error: What the loop raised, if it did.
    """

    steps: tuple[Step, ...] = ()
    count: int = 0
    foreign: int = 0
    forwards: int = 0
    backwards: int = 0
    blind: int = 0
    evaluating: int = 0
    switched: bool = False
    validating: int = 0
    noisy: Mapping[str, str] = field(default_factory=dict)
    optimizer: str = ""
    held: bool = True
    unreached: tuple[str, ...] = ()
    frozen: bool = False
    moved: bool = False
    peak: float = math.nan
    base: float = math.nan
    last: float = math.nan
    vanished: int = 0
    starts: int = 0
    fused: bool = False
    expected: frozenset[str] | None = None
    passes: int = 0
    cut: bool = False
    shuffles: bool = True
    strayed: bool = False
    error: str = ""

    @property
    def telling(self) -> bool:
        """Whether a judgement can rest on it: the order of events is known, and there were some."""
        return not self.fused and not self.strayed and not (self.error and self.count < 2)
