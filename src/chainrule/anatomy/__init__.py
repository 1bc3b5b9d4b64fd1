"""Anatomy: what a network is made of, how its gradient comes about, and what its activations look like."""

from chainrule.anatomy.derivative import derivative
from chainrule.anatomy.flow import GradientFlow, gradient_flow
from chainrule.anatomy.statistics import ActivationStatistics, activation_statistics
from chainrule.anatomy.summary import Summary, summary
from chainrule.anatomy.trace import Trace, trace

__all__ = [
    "ActivationStatistics",
    "GradientFlow",
    "Summary",
    "Trace",
    "activation_statistics",
    "derivative",
    "gradient_flow",
    "summary",
    "trace",
]
