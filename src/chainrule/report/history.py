"""``History``: the events of a run, sorted by what they tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chainrule.training.events import (
    Built,
    Epoch,
    Evaluated,
    Event,
    Finished,
    Fitted,
    InitialLoss,
    Loaded,
    RateTest,
    Step,
)


@dataclass(frozen=True, kw_only=True)
class History:
    """What is known of a run; whatever has not happened, or not yet, is None or empty.

    A resumed run may tell something twice: what it said last counts.
    """

    loaded: Loaded | None
    built: Built | None
    initial: InitialLoss | None
    rate_test: RateTest | None
    steps: tuple[Step, ...]
    epochs: tuple[Epoch, ...]
    finished: Finished | None
    fitted: Fitted | None
    evaluated: Evaluated | None

    @classmethod
    def of(cls, events: Iterable[Event]) -> "History":
        """Sort the events of a run."""
        last: dict[type, Any] = {}
        steps: dict[tuple[int, int, str], Step] = {}
        epochs: dict[int, Epoch] = {}
        for event in events:
            last[type(event)] = event
            if isinstance(event, Step):
                steps[event.epoch, event.step, event.phase] = event
            elif isinstance(event, Epoch):
                epochs[event.epoch] = event

        return cls(
            loaded=last.get(Loaded),
            built=last.get(Built),
            initial=last.get(InitialLoss),
            rate_test=last.get(RateTest),
            steps=tuple(steps[key] for key in sorted(steps)),
            epochs=tuple(epochs[key] for key in sorted(epochs)),
            finished=last.get(Finished),
            fitted=last.get(Fitted),
            evaluated=last.get(Evaluated),
        )

    @property
    def kind(self) -> str:
        """Kind of the target: ``"classes"``, ``"labels"``, ``"real"``, or empty before the data is loaded."""
        return str(self.loaded.target["kind"]) if self.loaded else ""

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights were kept, or so far would be."""
        if self.finished:
            return next((epoch for epoch in self.epochs if epoch.epoch == self.finished.epoch), None)
        return next((epoch for epoch in reversed(self.epochs) if epoch.best), None)

    @property
    def valid(self) -> dict[str, float]:
        """Loss and metrics on the validation split, of the weights that were kept; empty before it was measured."""
        if self.fitted:
            return self.fitted.valid
        return self.best.valid if self.best else {}
