"""The report: from the events of a run and its findings to a verdict and one self-contained HTML page."""

from chainrule.report.page import render, write
from chainrule.report.verdict import verdict

__all__ = ["render", "verdict", "write"]
