"""``Ensemble``: whole models and a combiner as one network."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from chainrule.data.spec import Target
from chainrule.ensembles.combining import AbstractCombiner
from chainrule.errors import InputError
from chainrule.shapes import Float, Shaped, Tensor


class Ensemble(nn.Module):
    """Several whole models that answer together: raw inputs to the outputs of a network, ``[b, ...]`` to ``[b, k]``.

    Behind an empty preparation and before the output of its target it is a model like any other,
    ``Sequential(Sequential(), Ensemble(...), output)``: it gives the logarithms of the probabilities of classes, the
    log-odds of labels, and real values in their own units.

    Args:
        members: Models from raw inputs to probabilities or target units.
        combiner: What makes one output of theirs.
        target: What they predict.

    Raises:
        InputError: When the combiner is made for another number of members, or another target.
    """

    def __init__(self, members: Sequence[nn.Module], combiner: AbstractCombiner, target: Target) -> None:
        super().__init__()
        if (combiner.members, combiner.outputs, combiner.kind) != (len(members), len(target.names), target.kind):
            raise InputError(
                f"The combiner is made for {combiner.members} members with {combiner.outputs} outputs of "
                f"{combiner.kind!r}; received {len(members)} members, and a target of {target}."
            )
        self.members, self.combiner, self.target = nn.ModuleList(members), combiner, target

    def forward(self, raw: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        outputs = torch.stack([member(raw) for member in self.members])
        return network_outputs(self.combiner(outputs), self.target.kind)


def network_outputs(values: Float[Tensor, "*rest k"], kind: str) -> Float[Tensor, "*rest k"]:
    """The outputs of a network that would give these probabilities or values.

    Args:
        values: Probabilities of classes or labels, or real values.
        kind: Kind of the target.
    """
    # A probability of zero would make a mistake infinitely bad.
    least = torch.finfo(values.dtype).tiny
    if kind == "classes":
        return values.clamp_min(least).log()
    if kind == "labels":
        return values.clamp_min(least).log() - (1 - values).clamp_min(least).log()
    return values


def sum_rule(outputs: Float[Tensor, "c *rest k"], kind: str) -> Float[Tensor, "*rest k"]:
    """The mean of what networks predict, from their outputs to one output of the same form, without a loss of digits.

    Args:
        outputs: Logits of classes or labels, or real values, of ``c`` networks.
        kind: Kind of the target.
    """
    if kind == "classes":
        return outputs.log_softmax(dim=-1).logsumexp(dim=0) - outputs.new_tensor(len(outputs)).log()
    if kind == "labels":
        return F.logsigmoid(outputs).logsumexp(dim=0) - F.logsigmoid(-outputs).logsumexp(dim=0)
    return outputs.mean(dim=0)
