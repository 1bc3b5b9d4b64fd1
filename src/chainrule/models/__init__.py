"""Models: one file for each named network, built by name.

>>> from chainrule.data.spec import Classes, Vector
>>> build("mlp(width=32)", inputs=Vector.numbers(4), target=Classes(("a", "b", "c"))).width
32
"""

from pathlib import Path

from torch import nn

from chainrule.data.spec import Inputs, Target
from chainrule.models import weights as pretrained
from chainrule.models.building import ESTIMATORS, KINDS, default, fresh, names, row

__all__ = ["ESTIMATORS", "KINDS", "build", "default", "names", "row"]


def build(model: str, *, inputs: Inputs, target: Target, weights: str | Path | None = None) -> nn.Module:
    """Build a model for these inputs and this target.

    Args:
        model: Call of a registered model, ``"resnet20"`` or ``"mlp(width=128)"``, or ``"module:factory"`` for a
            callable of the user's own, which gets the keywords ``inputs`` and ``target`` if it names them, and its
            options.
        inputs: What the network takes, already prepared: a ``Vector`` of numbers, an ``Image`` or a ``Volume`` of
            floats.
        target: What it is to learn; the network has one output for each of its names.
        weights: What it starts from: a file, the directory of a run, or ``"imagenet"``; see
            :mod:`chainrule.models.weights`. The head stays new where the classes are others.

    Raises:
        UnknownNameError: When no model has that name.
        InputError: When the model is not made for such data, does not know an option, or the weights are not its own.
    """
    network = fresh(model, inputs=inputs, target=target)
    if weights is not None:
        head = pretrained.head(model, inputs=inputs, target=target)
        pretrained.load(network, pretrained.read(weights, row(model)), head, call=model, target=target)
    return network
