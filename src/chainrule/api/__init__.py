"""The verbs as Python functions, one file each; the command line calls the same."""

from chainrule.api.check import check
from chainrule.api.fit import Job, begin, fit, load_data, load_run, proceed, resume, write_report

__all__ = ["Job", "begin", "check", "fit", "load_data", "load_run", "proceed", "resume", "write_report"]
