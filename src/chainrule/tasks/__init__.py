"""Tasks: what a batch means. A task gives the loss, the phases, the metrics and the loss of an untrained model."""

from chainrule.tasks.auxiliary import AuxiliaryHeads
from chainrule.tasks.base import AbstractTask, Reference, StepOutput
from chainrule.tasks.supervised import Classification, MultiLabel, Regression, for_target

__all__ = [
    "AbstractTask",
    "AuxiliaryHeads",
    "Classification",
    "MultiLabel",
    "Reference",
    "Regression",
    "StepOutput",
    "for_target",
]
