"""``Finding``: what a check says, with its evidence, its cause and one remedy."""

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["PASS", "WARN", "FAIL", "SKIP"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: Name of the check.
        status: ``PASS``, ``WARN``, ``FAIL``, or ``SKIP`` where the check does not apply.
        sentence: What was found, in one sentence with its numbers.
        evidence: The numbers themselves.
        cause: The likely reason.
        remedy: One thing to do about it, if possible as options of ``fit``.
    """

    check: str
    status: Status
    sentence: str
    evidence: dict[str, Any] = field(default_factory=dict)
    cause: str = ""
    remedy: str = ""
