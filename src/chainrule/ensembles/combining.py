"""Combiners without a model of their own: the mean, the majority, the weighted mean.

Hansen and Salamon 1990, Neural network ensembles; Kittler, Hatef, Duin and Matas 1998, On combining classifiers. Of the
outputs ``y_i`` of ``c`` members::

    sum        1/c sum_i y_i
    vote       1/c sum_i onehot(argmax y_i), of labels 1/c sum_i [y_i > 1/2], of real values their median
    weighted   sum_i w_i y_i,  w_i >= 0,  sum_i w_i = 1
"""

from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from chainrule import registry
from chainrule.data.spec import Target
from chainrule.ensembles.selection import check, select
from chainrule.errors import InputError, choices
from chainrule.registry import register
from chainrule.shapes import Float, Shaped, Tensor

#: Kinds of target whose outputs can be combined.
KINDS = ("classes", "labels", "real")
KITTLER = "Kittler, Hatef, Duin, Matas 1998, On combining classifiers"
#: What the rows of all combiners have in common.
ROW: dict[str, Any] = {"targets": KINDS, "tiny": {"members": 3, "outputs": 4}, "sample": (3, 40, 4)}


class AbstractCombiner(nn.Module):
    """Makes one output of those of several members; what it has learned goes through ``state_dict``.

    Args:
        members: Members, ``c``.
        outputs: Outputs of each, ``k``.
        kind: Kind of the target: ``"classes"``, ``"labels"`` or ``"real"``.

    Raises:
        InputError: When there is no such kind, or no member.
    """

    def __init__(self, members: int, outputs: int, kind: str = "classes") -> None:
        super().__init__()
        if kind not in KINDS:
            raise InputError(f"Outputs of {kind!r} cannot be combined; write one of: {choices(KINDS)}.")
        if members < 1 or outputs < 1:
            raise InputError(f"A combiner wants at least one member and one output; received {members} and {outputs}.")
        self.members, self.outputs, self.kind = members, outputs, kind

    @torch.no_grad()
    def learn(self, outputs: Float[Tensor, "c n k"], targets: Shaped[Tensor, "n ..."]) -> Self:
        """Learn from samples that no member has learned from.

        Args:
            outputs: What the members say.
            targets: Indices of classes ``[n]``, labels ``[n, k]``, or real values ``[n, k]``.

        Returns:
            Itself.

        Raises:
            InputError: When the shapes do not match, or a number is not finite.
        """
        self._fits(outputs)
        check(outputs, targets, self.kind)
        self._learn(outputs.double(), targets)
        return self

    def forward(self, outputs: Float[Tensor, "c *rest k"]) -> Float[Tensor, "*rest k"]:
        """Combine what the members say.

        Raises:
            InputError: When there are more or fewer members or outputs.
        """
        self._fits(outputs)
        return self._combined(outputs)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"members": self.members, "outputs": self.outputs, "kind": self.kind}

    def _fits(self, outputs: Tensor) -> None:
        if outputs.ndim < 2 or (outputs.shape[0], outputs.shape[-1]) != (self.members, self.outputs):
            raise InputError(
                f"{type(self).__name__} combines outputs [{self.members}, ..., {self.outputs}] of {self.members} "
                f"members; received {list(outputs.shape)}."
            )

    def _learn(self, outputs: Tensor, targets: Tensor) -> None:
        """Learn; the mean and the majority have nothing to learn."""

    def _combined(self, outputs: Tensor) -> Tensor:
        raise NotImplementedError


@register("combiner", "sum", paper=KITTLER, year=1998, peer="sklearn.ensemble.VotingClassifier", **ROW)
class Sum(AbstractCombiner):
    """The sum rule: the mean of the outputs."""

    def _combined(self, outputs: Tensor) -> Tensor:
        return outputs.mean(dim=0)


@register("combiner", "vote", paper=KITTLER, year=1998, peer="sklearn.ensemble.VotingClassifier", **ROW)
class Vote(AbstractCombiner):
    """The majority: each class's or label's share of the votes; of real values the median.

    Of classes with equally many votes, the first has the majority.
    """

    def _combined(self, outputs: Tensor) -> Tensor:
        if self.kind == "classes":
            return F.one_hot(outputs.argmax(dim=-1), self.outputs).to(outputs.dtype).mean(dim=0)
        if self.kind == "labels":
            return (outputs > 0.5).to(outputs.dtype).mean(dim=0)
        ordered = outputs.sort(dim=0).values
        return (ordered[(self.members - 1) // 2] + ordered[self.members // 2]) / 2


@register("combiner", "weighted", paper=KITTLER, year=1998, peer="sklearn.ensemble.VotingClassifier", **ROW)
class Weighted(AbstractCombiner):
    """The weighted mean of the outputs.

    Args:
        members: Members, ``c``.
        outputs: Outputs of each, ``k``.
        kind: Kind of the target: ``"classes"``, ``"labels"`` or ``"real"``.
        weights: Weight of each member, scaled so that they add up to 1. Without them they are learned, by
            :func:`chainrule.ensembles.select`, and are all the same before that.

    Raises:
        InputError: When there is not one weight for each member, one is below zero, or all are zero.
    """

    weights: Tensor

    def __init__(
        self, members: int, outputs: int, kind: str = "classes", *, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(members, outputs, kind)
        self.given = None if weights is None else [float(weight) for weight in weights]
        values = torch.tensor([1.0] * members if self.given is None else self.given, dtype=torch.float64)
        if len(values) != members or not (values.isfinite() & (values >= 0)).all() or not values.sum() > 0:
            raise InputError(
                f"weights must be one number of at least 0 for each of {members} members, and not all 0; received "
                f"{self.given}."
            )
        self.register_buffer("weights", values / values.sum())

    def options(self) -> dict[str, Any]:
        return {**super().options(), "weights": self.given}

    def _learn(self, outputs: Tensor, targets: Tensor) -> None:
        if self.given is None:
            self.weights.copy_(select(outputs, targets, self.kind).weights)

    def _combined(self, outputs: Tensor) -> Tensor:
        return torch.tensordot(self.weights.to(outputs.dtype), outputs, dims=1)


def combiner(call: str, *, members: int, target: Target) -> AbstractCombiner:
    """A combiner by name, which has learned nothing yet.

    Args:
        call: ``"sum"``, ``"vote"``, ``"weighted"``, ``"weighted(weights=[2, 1])"`` or ``"stacking"``.
        members: Members.
        target: What they predict.

    Raises:
        UnknownNameError: When there is no such combiner, or no such option.
    """
    asked = registry.parse(call)
    build = registry.lookup("combiner", asked.name).build
    made: AbstractCombiner = registry.call(
        build, asked.options, asked.name, members=members, outputs=len(target.names), kind=target.kind
    )
    return made
