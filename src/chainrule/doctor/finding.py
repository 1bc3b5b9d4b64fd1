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
        where: The layer, parameter, column or step that it was found at; empty where it is the whole program.
        evidence: The numbers themselves, plain values.
        cause: The likely reason.
        remedy: One thing to do about it, if possible as options of ``fit``.
        under: Name of the check whose finding explains this one; empty for what nothing else explains.
    """

    check: str
    status: Status
    sentence: str
    where: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    cause: str = ""
    remedy: str = ""
    under: str = ""

    @property
    def asks(self) -> bool:
        """Whether something is to be done about it."""
        return self.status in ("WARN", "FAIL")
