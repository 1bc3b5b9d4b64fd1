"""Which finding explains which: one cause first, its consequences under it."""

from collections.abc import Sequence
from dataclasses import replace

from chainrule.doctor.finding import Finding

STATUS = ("FAIL", "WARN", "PASS", "SKIP")

#: What a finding of a check explains, if these ask for something as well.
EXPLAINS: dict[str, tuple[str, ...]] = {}

#: Checks from the root of a training program to its fruit: of two causes the earlier is named first.
ORDER: tuple[str, ...] = ()


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Findings in groups, a cause before what it explains; groups by their worst finding, then by :data:`ORDER`.

    Args:
        findings: In any order.
    """
    asking = {finding.check for finding in findings if finding.asks}
    placed = [replace(finding, under=_cause(finding, asking)) for finding in findings]
    worst = {
        finding.check: min(
            STATUS.index(other.status) for other in placed if finding.check in (other.check, other.under)
        )
        for finding in placed
    }

    def place(finding: Finding) -> tuple[int, int, str, bool, int]:
        group = finding.under or finding.check
        return (worst[group], _depth(group), group, bool(finding.under), _depth(finding.check))

    return sorted(placed, key=place)


def _cause(finding: Finding, asking: set[str]) -> str:
    """The first check in order that asks for something and explains this finding, or nothing."""
    if not finding.asks:
        return ""
    causes = [cause for cause in asking if finding.check in EXPLAINS.get(cause, ())]
    roots = [cause for cause in causes if not any(cause in EXPLAINS.get(other, ()) for other in asking)]
    return min(roots or causes, key=_depth, default="")


def _depth(check: str) -> int:
    return ORDER.index(check) if check in ORDER else len(ORDER)
