"""The doctor: checks that look at a live program or read a run's record, and say what is wrong, why, and what to do."""

from chainrule.doctor.examine import diagnose, examine
from chainrule.doctor.finding import Finding
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Program

__all__ = ["Finding", "Probe", "Program", "diagnose", "examine"]
