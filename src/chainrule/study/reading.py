"""Step 6 of the recipe: what the curves of a run ask for, as candidates that are a step away from it.

========================== =========================================================================
the curves say              what is tried
========================== =========================================================================
training still helped       twice the epochs
a gap (variance)            more weight decay, more dropout, stronger augmentation
low in training (bias)      a larger model, less regularisation
loss jumps or grows         a third of the rate
all is well                 nothing: the recipe stops, or looks around the best
========================== =========================================================================

Source: CS231n, "Neural networks part 3"; Geman, Bienenstock & Doursat 1992 for bias and variance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chainrule.config import configure
from chainrule.data import Data
from chainrule.data.spec import Image
from chainrule.doctor import examine
from chainrule.run import Run
from chainrule.study.bench import Candidate
from chainrule.study.spaces import larger, option, with_options
from chainrule.training.events import Epoch, RateTest

#: Findings about a record, and what they ask for.
LONGER = ("still-falling",)
GAP = ("overfitting",)
SMALLER = ("oscillation", "rate-recorded", "diverged", "gradient-norm", "noisy-validation")
#: Weight decay that is tried first where there is none, and the most that is tried.
FIRST, MOST = 1e-3, 1.0
STRONG = "crop, rotate, cutout"


@dataclass(frozen=True)
class Action:
    """What to try next.

    Attributes:
        name: ``longer``, ``regularise``, ``larger``, ``smaller rate``.
        why: What the curves say.
        what: What is changed, in words.
        candidate: The model with its settings.
    """

    name: str
    why: str
    what: str
    candidate: Candidate


def read(run: Run, candidate: Candidate, data: Data) -> Iterator[Action]:
    """What the curves of a run ask for, the most promising first.

    Args:
        run: A finished run of the candidate.
        candidate: What was run.
        data: Its data.
    """
    events = list(run._record.events(steps=True))
    findings = {finding.check: finding for finding in examine(events) if finding.asks}
    rate = next((event.rate for event in events if isinstance(event, RateTest)), None)
    rate = rate or configure(run.config).fixed_rate or 1e-3
    epochs = max(event.epochs for event in events if isinstance(event, Epoch))
    verdict = findings.get("fit-verdict")
    for name in LONGER:
        if name in findings:
            yield _action("longer", findings[name].sentence, f"{2 * epochs} epochs", candidate, epochs=2 * epochs)
    for name in SMALLER:
        if name in findings:
            smaller = f"{rate / 3:.3g}"
            yield _action("smaller rate", findings[name].sentence, f"rate {smaller}", candidate, rate=smaller)
            break
    says = verdict.evidence["says"] if verdict else ""
    gap = verdict if says == "variance" else next((findings[name] for name in GAP if name in findings), None)
    if gap is not None:
        yield from _regularise(candidate, data, gap.sentence)
    elif verdict is not None and says == "bias":
        yield from _larger(candidate, verdict.sentence)


def around(candidate: Candidate, data: Data) -> Iterator[Action]:
    """What is a step away from a candidate whose curves ask for nothing."""
    why = "The curves ask for nothing"
    yield from _larger(candidate, why)
    yield from _regularise(candidate, data, why)


def _regularise(candidate: Candidate, data: Data, why: str) -> Iterator[Action]:
    decay = float(candidate.settings.get("weight_decay") or FIRST / 10)
    if decay < MOST:
        more = min(10 * decay, MOST)
        yield _action("regularise", why, f"weight decay {more:g}", candidate, weight_decay=more)
    dropout = option(candidate.model, "dropout")
    if isinstance(dropout, int | float) and dropout < 0.5:
        more = round(min(dropout + 0.2, 0.5), 2)
        model = with_options(candidate.model, dropout=more)
        yield Action("regularise", why, f"dropout {more:g}", _changed(candidate, "regularise", model=model))
    if isinstance(data.inputs, Image) and candidate.settings.get("augment") != STRONG:
        yield _action("regularise", why, f"augmentation by {STRONG}", candidate, augment=STRONG)


def _larger(candidate: Candidate, why: str) -> Iterator[Action]:
    model = larger(candidate.model)
    if model is not None:
        yield Action("larger", why, model, _changed(candidate, "larger", model=model))


def _action(name: str, why: str, what: str, candidate: Candidate, **settings: Any) -> Action:
    return Action(name, why, what, _changed(candidate, name.replace(" ", "-"), settings=settings))


def _changed(
    candidate: Candidate, step: str, *, model: str | None = None, settings: dict[str, Any] | None = None
) -> Candidate:
    return Candidate(model=model or candidate.model, settings={**candidate.settings, **(settings or {})}, step=step)
