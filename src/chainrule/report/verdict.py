"""The verdict: what came out of a run, in a sentence, and the next thing to do."""

import math
from collections.abc import Iterable

from chainrule.doctor.finding import Finding
from chainrule.report.glossary import CONSTANT, headline, term
from chainrule.report.history import History
from chainrule.report.wording import beside, counted, number
from chainrule.training.events import Evaluated, Event

#: What a finding that asks for attention is called.
NOUNS = {"FAIL": "failure", "WARN": "warning"}

#: A test split smaller than this says so in the verdict.
FEW = 30


def verdict(events: Iterable[Event], findings: Iterable[Finding]) -> str:
    """What came out, how many findings ask for attention, and what to do about the first.

    Args:
        events: The events of the run so far, in their order.
        findings: The findings about it.

    Returns:
        Plain text, such as ``"Test accuracy 0.989 on 360 samples, against 0.100 for always guessing the most frequent
        class; 1 warning: ... Next: ..."``.
    """
    outcome, concern = outcome_of(History.of(events)), concern_of(findings)
    if concern is None:
        return f"{outcome}."
    tally, first = concern
    advice = f" Next: {first.remedy}" if first.remedy else ""
    return f"{outcome}; {tally}: {first.sentence}{advice}"


def outcome_of(history: History) -> str:
    """What came out of the run, without a full stop."""
    if history.evaluated:
        return _tested(history, history.evaluated)
    if history.fitted:
        return "The estimator has learned, but was not evaluated on the test split"
    if history.epochs:
        return _trained(history)
    if history.steps:
        step = history.steps[-1]
        return f"Training ended at step {step.step} of {step.steps} in epoch {step.epoch}, before any epoch was done"
    if history.built:
        return "The model was built, but not trained"
    return "The data was read, but no model was built" if history.loaded else "Nothing has been recorded yet"


def concern_of(findings: Iterable[Finding]) -> tuple[str, Finding] | None:
    """``"1 failure and 2 warnings"`` and the first of them, the likely root cause; None when nothing asks for it.

    Args:
        findings: In the order that the doctor gives them.
    """
    asking = [finding for finding in findings if finding.asks]
    counts = [(sum(finding.status == status for finding in asking), noun) for status, noun in NOUNS.items()]
    tally = " and ".join(counted(count, noun) for count, noun in counts if count)
    return (tally, asking[0]) if asking else None


def _tested(history: History, evaluated: Evaluated) -> str:
    metric = headline(evaluated.metrics, history.kind)
    if metric is None:
        return f"The model was trained, but no metric of the {evaluated.split} split is a finite number"
    value, against = evaluated.metrics[metric], evaluated.baseline.get(metric)
    samples = history.loaded.sizes.get(evaluated.split, 0) if history.loaded else 0
    name = f"{evaluated.split.capitalize()} {term(metric, history.kind).title} {number(value)}"
    if samples:
        name += f" on {'only ' if samples < FEW else ''}{counted(samples, 'sample')}"
    if against is None or not math.isfinite(against):
        return name
    relation = _relation(metric, value, against, samples, history.kind)
    constant = CONSTANT.get(history.kind, "the best constant prediction")
    return f"{name}, {relation.format(beside(against, value))} {constant}"


def _relation(metric: str, value: float, against: float, samples: int, kind: str) -> str:
    """How the model stands to the constant prediction; an accuracy must be two of its standard errors better."""
    gain = value - against if term(metric, kind).rising else against - value
    if gain <= 0:
        return "no better than the {} of"
    if metric == "accuracy" and kind == "classes" and samples:
        chance = 2 * math.sqrt(against * (1 - against) / samples)
        return "against {} for" if gain > chance else "not clearly better than the {} of"
    return "against {} for"


def _trained(history: History) -> str:
    last, best = history.epochs[-1], history.best
    if history.finished:
        start = f"Training is done ({history.finished.reason}), but the model was not evaluated on the test split"
    else:
        start = f"Training stopped after epoch {last.epoch} of {last.epochs}; the test split was not looked at"
    metric = headline(best.valid, history.kind) if best else None
    if best is None or metric is None:
        return start
    name, value = term(metric, history.kind).title, number(best.valid[metric])
    return f"{start}; best validation {name} {value}, in epoch {best.epoch}"
