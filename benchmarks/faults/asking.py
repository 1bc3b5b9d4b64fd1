"""Asking the doctor about one case, and his answer."""

import dataclasses
import time
import warnings
from dataclasses import dataclass
from typing import Any

from benchmarks.faults.case import Case
from benchmarks.faults.harm import costs


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was said about a program.

    Attributes:
        name: Name of the case.
        fault: What is wrong with it; None where nothing is.
        expected: Checks of which each names the true cause.
        seconds: How long it took.
        asking: The findings that ask for something, in order.
        crash: Why there is no answer; empty where there is one.
    """

    name: str
    fault: str | None
    expected: list[str]
    seconds: float
    asking: list[dict[str, Any]]
    crash: str

    @property
    def checks(self) -> list[str]:
        """Names of the checks that ask for something, in order."""
        return [finding["check"] for finding in self.asking]

    @property
    def failed(self) -> list[str]:
        """Names of the checks that failed."""
        return [finding["check"] for finding in self.asking if finding["status"] == "FAIL"]

    @property
    def first(self) -> bool:
        """Whether the first finding names the cause."""
        return bool(self.checks) and self.checks[0] in self.expected

    @property
    def named(self) -> bool:
        """Whether any finding names the cause."""
        return not set(self.checks).isdisjoint(self.expected)

    @property
    def line(self) -> str:
        """One line of the report."""
        said = self.crash or ", ".join(
            f"{finding['check']}{'!' if finding['status'] == 'FAIL' else ''}" for finding in self.asking
        )
        if self.fault is None:
            verdict = "crash" if self.crash else "FAIL" if self.failed else "warn" if self.asking else "quiet"
        else:
            verdict = "first" if self.first else "named" if self.named else "missed"
        wanted = f" | {' '.join(self.expected)}" if self.expected else ""
        return f"{verdict:6} {self.seconds:6.1f} s  {self.name:44}{wanted} | {said[:200]}"

    def plain(self) -> dict[str, Any]:
        """Plain values for a file."""
        return {**dataclasses.asdict(self), "first": self.first, "named": self.named}


def asked(case: Case) -> dict[str, Any]:
    """How long the doctor took, and the findings that ask for something."""
    from chainrule.doctor import Probe, Program, diagnose

    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        findings = diagnose(Probe(Program(**case.build())))
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "asking": [dataclasses.asdict(finding) for finding in findings if finding.asks]}


def compared(case: Case) -> list[float]:
    """What a fault costs: see :func:`benchmarks.faults.harm.costs`."""
    return list(costs(case))
