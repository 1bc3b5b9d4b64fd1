"""An ensemble of one network with different activations, trained in one run.

Nanni, Lumini, Ghidoni and Maguolo 2020, Stochastic selection of activation layers for convolutional neural networks;
Maguolo, Nanni and Ghidoni 2021, Ensemble of convolutional neural networks trained with different activation functions.
Each member is the network with every activation layer replaced by one drawn from a pool; in use the members' predicted
probabilities, or real values, are averaged (the sum rule). While they train, the losses are added, so each member's
gradient is that of its own loss alone, as if it were trained by itself on the same batches.
Differs from the papers: members see the same batches in the same order, and the epoch that is kept is the best one of
the ensemble, not of each member. Clipping the gradient by its norm would tie the members to each other.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from chainrule import models, seeding, surgery
from chainrule.data.spec import Classes, Image, Inputs, Target, Vector
from chainrule.ensembles.ensemble import sum_rule
from chainrule.errors import InputError
from chainrule.models import assembly
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

#: Layers that are replaced. Sigmoids are gates where they stand between layers, so they stay.
REPLACED = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Softplus, nn.Hardswish, nn.Tanh),
)
#: The activations of the papers that need no other number of channels.
POOL = (
    *("relu", "leakyrelu", "elu", "srelu", "aplu", "pdelu", "srs", "mish", "learnable-mish", "learnable-swish"),
    *("soft-learnable", "melu", "wide-melu", "galu", "small-galu"),
)


def specs(inputs: Inputs, target: Target) -> dict[str, Any]:
    """The specs themselves as constructor arguments."""
    return {"inputs": inputs, "target": target}


@register(
    "model",
    "activation-ensemble",
    family="ensemble",
    paper="Nanni, Lumini, Ghidoni, Maguolo 2020, Stochastic selection of activation layers for CNNs",
    year=2020,
    inputs=("vector", "image", "volume"),
    targets=("classes", "labels", "real"),
    arguments=specs,
    tiny={
        "inputs": Vector.numbers(4),
        "target": Classes(("a", "b", "c")),
        "network": "mlp(width=64, dropout=0.0)",
        "members": 2,
        "activations": ("relu", "elu", "pdelu"),
    },
    sample=(2, 4),
)
class ActivationEnsemble(nn.Module):
    """One network several times, each time with other activations drawn from a pool.

    Args:
        inputs: What the network takes.
        target: What it is to learn.
        network: Call of the network, as in ``"resnet20(width=8)"``; ``"auto"`` is what ``--model auto`` takes.
        members: Members, at least 2.
        activations: The pool, calls of activations.
        seed: Seed of the draws. The run's own seed decides the weights, so another one has the same activations.

    Attributes:
        auxiliary_weight: What the loss of each further member counts beside that of the first.

    Raises:
        InputError: When there are fewer than two members, the pool is empty, or the network has no activation layers,
            is an estimator, or has auxiliary heads.
    """

    auxiliary_weight = 1.0

    def __init__(
        self,
        inputs: Inputs,
        target: Target,
        *,
        network: str = "auto",
        members: int = 5,
        activations: Sequence[str] = POOL,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(members, int) or members < 2:
            raise InputError(f"activation-ensemble wants at least 2 members; received {members!r}.")
        call = models.default(inputs) if network == "auto" else network
        row = models.row(call)
        if row is not None and row.kind in models.ESTIMATORS:
            raise InputError(f"{call} is an estimator, which has no activation layers; take a network.")
        self.kind = target.kind
        self.resize = assembly.enlarging(inputs, row.smallest if row else 1)
        if self.resize is not None and isinstance(inputs, Image):
            inputs = replace(inputs, height=self.resize.height, width=self.resize.width)
        built = (models.build(call, inputs=inputs, target=target) for _ in range(members))
        self.members = nn.ModuleList(
            _activated(member, call, activations, inputs.shape, seeding.mix(seed, number))
            for number, member in enumerate(built)
        )

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "*members b k"]:
        """Outputs of all members in training mode; else those of the ensemble, ``[b, k]``."""
        x = x if self.resize is None else self.resize(x)
        outputs = torch.stack([member(x) for member in self.members])
        return outputs if self.training else sum_rule(outputs, self.kind)


def _activated(
    member: nn.Module, call: str, activations: Sequence[str], shape: tuple[int, ...], seed: int
) -> nn.Module:
    """The member with activations drawn from the pool."""
    if getattr(member, "auxiliary_weight", None) is not None and getattr(member, "heads", True):
        raise InputError(
            f"{call} has auxiliary heads, whose losses count less than those of members; write it with heads=False, or "
            "take another network."
        )
    there = {type(module) for module in member.modules()} & set(REPLACED)
    return surgery.swap(member, dict.fromkeys(there or {nn.ReLU}, tuple(activations)), sample=shape, seed=seed)
