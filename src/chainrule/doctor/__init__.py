"""The doctor: checks that read a run's record and say what is wrong, why, and what to do."""

from chainrule.doctor.examine import examine
from chainrule.doctor.finding import Finding

__all__ = ["Finding", "examine"]
