"""What a study writes down: small frozen records, one JSON line each in its journal.

A study is a procedure that asks for trials, reads what came of them and decides. All that it reads is in the journal,
the time included, so a study that is resumed goes through the same decisions again without doing anything twice.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from chainrule.training import events


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run that a study wants.

    Attributes:
        name: Name of its directory, unique within the study.
        step: What it is for, such as ``"grid"``.
        model: Call of the model.
        settings: Settings of ``fit`` beside those of the whole study.
        until: Epoch after which it pauses; None: it goes to its end.
        limit: Seconds that it may train; a network gets as many epochs as fit in, None: as many as ``fit`` takes.
    """

    name: str
    step: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    until: int | None = None
    limit: float | None = None

    @property
    def key(self) -> tuple[str, int | None]:
        """What tells it from all other trials of the study."""
        return self.name, self.until


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of a trial; the test split is not among it.

    Attributes:
        trial: What was wanted.
        epochs: Epochs done so far; 0 for an estimator.
        epoch: The best of them.
        train: Loss and metrics on the training split, in the best epoch.
        valid: Loss and metrics on the validation split.
        rate: Learning rate that the schedule began with; 0 for an estimator.
        size: Parameters, or numbers that an estimator has learned.
        seconds: Time that it trained, the search for a rate included.
        memory: Peak memory of its process, MiB.
        error: Why it has no result, in a sentence; else empty.
        elapsed: Seconds since the study began.
    """

    trial: Trial
    epochs: int = 0
    epoch: int = 0
    train: dict[str, float] = field(default_factory=dict)
    valid: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    size: int = 0
    seconds: float = 0.0
    memory: float = 0.0
    error: str = ""
    elapsed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Something was found out that is no run.

    Attributes:
        name: What it is.
        values: What was found, plain values.
        elapsed: Seconds since the study began.
    """

    name: str
    values: dict[str, Any]
    elapsed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What the study does next, and why.

    Attributes:
        step: The step of the procedure that it belongs to.
        sentence: The decision with its numbers.
        values: The numbers, plain values.
        elapsed: Seconds since the study began.
    """

    step: str
    sentence: str
    values: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0


Note = Tried | Measured | Decided


def to_json(note: Note) -> dict[str, Any]:
    """The record as plain values, with its kind; numbers that are not finite become None (JSON has no others)."""
    return {"note": type(note).__name__, **events.finite(asdict(note))}


def from_json(values: dict[str, Any]) -> Note:
    """The record that :func:`to_json` wrote."""
    fields = dict(values)
    kind = fields.pop("note")
    if kind == "Tried":
        return Tried(**{**fields, "trial": Trial(**fields["trial"])})
    return {"Measured": Measured, "Decided": Decided}[kind](**fields)
