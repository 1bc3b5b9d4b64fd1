"""Ensembles: several models that answer together.

Outputs of members are what a user gets of each: probabilities of classes or labels, or real values in the target's own
units, ``[c, n, k]`` for ``c`` members, ``n`` samples and ``k`` outputs.

>>> import torch
>>> outputs = torch.tensor([[[0.9, 0.1]], [[0.4, 0.6]], [[0.3, 0.7]]])
>>> Sum(members=3, outputs=2)(outputs)
tensor([[0.5333, 0.4667]])
>>> Vote(members=3, outputs=2)(outputs)
tensor([[0.3333, 0.6667]])
"""

from chainrule.ensembles.combining import AbstractCombiner, Sum, Vote, Weighted, combiner
from chainrule.ensembles.ensemble import Ensemble
from chainrule.ensembles.gain import Gain, gain
from chainrule.ensembles.selection import Selection, bagged, diversity, select
from chainrule.ensembles.stacking import Stacking

__all__ = [
    "AbstractCombiner",
    "Ensemble",
    "Gain",
    "Selection",
    "Stacking",
    "Sum",
    "Vote",
    "Weighted",
    "bagged",
    "combiner",
    "diversity",
    "gain",
    "select",
]
