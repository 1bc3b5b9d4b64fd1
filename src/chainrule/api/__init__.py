"""The verbs as Python functions, one file each; the command line calls the same."""

from chainrule.api.check import check
from chainrule.api.compare import begin_compare, compare
from chainrule.api.fit import fit, load_run
from chainrule.api.report import write_report
from chainrule.api.resume import proceed_with, resume
from chainrule.api.tune import begin_tune, tune
from chainrule.job import Job, begin, load_data, proceed

__all__ = [
    "Job",
    "begin",
    "begin_compare",
    "begin_tune",
    "check",
    "compare",
    "fit",
    "load_data",
    "load_run",
    "proceed",
    "proceed_with",
    "resume",
    "tune",
    "write_report",
]
