"""The events of a run: small frozen records, one JSON line each.

The loop yields them; the progress bar, the record on disk and early stopping read them. A run's ``events.jsonl`` is
their sequence, and the report is made from it and from nothing else.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The data is at hand.

    Attributes:
        name: Name of the data.
        inputs: Spec of the inputs (``chainrule.data.spec.to_json``).
        target: Spec of the target.
        sizes: Samples in ``train``, ``valid`` and ``test``.
        balance: Per split, the count of each class or label (``{"train": {"cat": 30, ...}}``), or per split and real
            target the mean, spread, least and greatest value (``{"train": {"price": {"mean": ..., ...}}}``).
        duplicates: Samples of a later split that stand in an earlier one, as ``{"train/test": 3}``.
        notes: What was done to the data on the way in, in sentences.
    """

    name: str
    inputs: dict[str, Any]
    target: dict[str, Any]
    sizes: dict[str, int]
    balance: dict[str, Any]
    duplicates: dict[str, int]
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class Built:
    """The model stands.

    Attributes:
        model: The call that builds it, such as ``"mlp(width=128)"``.
        paper: Its source, if it is a registered model.
        parameters: Number of trainable parameters.
        preparation: What is learned from the training split and done to each raw input, in words.
        start: Which weights the network starts from and what of them learns, in sentences; empty for a new network.
        task: Name of the task.
        device: Where it trains.
        processes: How many processes share the work.
        versions: Versions of python, torch and chainrule.
        command: The command line that does this run again.
        config: Every setting of the run.
    """

    model: str
    paper: str
    parameters: int
    preparation: list[str]
    task: str
    device: str
    processes: int
    versions: dict[str, str]
    command: str
    config: dict[str, Any]
    start: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class InitialLoss:
    """The loss before any training.

    Attributes:
        loss: Measured on training batches.
        untrained: What a model that knows nothing (all outputs zero) shows.
        constant: What the best constant prediction reaches on the training split.
    """

    loss: float
    untrained: float
    constant: float


@dataclass(frozen=True, kw_only=True)
class RateTest:
    """The learning-rate range test.

    Attributes:
        rates: The rates tried, ascending.
        losses: One list per repeat: the loss at each rate; it ends early where the repeat diverged.
        smoothed: The same, smoothed over log(rate).
        suggestions: The rate that each repeat suggests.
        rate: The rate chosen: the geometric mean of the suggestions.
        spread: Their geometric spread, as a factor (1.3 means: up or down by 1.3).
        seconds: How long it took.
    """

    rates: list[float]
    losses: list[list[float]]
    smoothed: list[list[float]]
    suggestions: list[float]
    rate: float
    spread: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of an optimizer.

    Attributes:
        epoch: Counted from 1.
        step: Counted from 1 within the epoch.
        steps: Steps in this epoch.
        phase: Phase of the task.
        loss: Mean over the batch.
        rate: Learning rate of the first parameter group.
        norm: Norm of the whole gradient before clipping.
        samples: Samples in the batch, over all processes.
    """

    epoch: int
    step: int
    steps: int
    phase: str
    loss: float
    rate: float
    norm: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the training split, and what it gave.

    Attributes:
        epoch: Counted from 1.
        epochs: How many were asked for.
        train: Mean loss and metrics over the epoch's own batches, each measured before its step.
        valid: Loss and metrics on the validation split afterwards.
        best: Whether this epoch is the best so far on the monitored metric.
        rate: Learning rate at the end of the epoch.
        seconds: Duration, validation included.
        memory: Peak memory so far, MiB (of the device if it has its own, else of the process).
    """

    epoch: int
    epochs: int
    train: dict[str, float]
    valid: dict[str, float]
    best: bool
    rate: float
    seconds: float
    memory: float


@dataclass(frozen=True, kw_only=True)
class Finished:
    """Training has ended and the best weights are back.

    Attributes:
        reason: ``"all epochs done"`` or why it stopped early.
        epoch: The epoch whose weights were kept.
        monitor: The metric that chose it, such as ``"valid loss"``.
        seconds: Training time, over all resumed parts.
    """

    reason: str
    epoch: int
    monitor: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """An estimator has learned, all at once.

    Attributes:
        train: Loss and metrics on the split it learned from.
        valid: Loss and metrics on the validation split, which it has not seen.
        learned: What it says of itself, by the name of its attribute: iterations, support vectors, deviance, ...
        numbers: How many numbers it keeps.
        seconds: How long it learned.
        memory: Peak memory so far, MiB.
    """

    train: dict[str, float]
    valid: dict[str, float]
    learned: dict[str, Any]
    numbers: int
    seconds: float
    memory: float


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The trained model on one split, sample by sample.

    Attributes:
        split: ``"test"``.
        metrics: Loss and metrics.
        baseline: The same metrics for the best constant prediction (training split's most frequent class or mean).
        confusion: Classes: counts, rows are true, columns predicted. Labels: one 2x2 table a label.
        per_class: One row a class or label: name, precision, recall, f1, support.
        roc: One curve a class or label: name, fpr, tpr (at most 200 points), auc.
        calibration: ``confidence``, ``accuracy``, ``count`` a bin, and ``error`` (expected calibration error).
        scatter: Real targets: name, true, predicted (at most 1000 samples a target).
        worst: The worst samples, worst first: origin, true, predicted, confidence or residual, loss, and a picture (a
            data URI) or the row's values.
    """

    split: str
    metrics: dict[str, float]
    baseline: dict[str, float]
    confusion: list[Any] = field(default_factory=list)
    per_class: list[dict[str, Any]] = field(default_factory=list)
    roc: list[dict[str, Any]] = field(default_factory=list)
    calibration: dict[str, Any] = field(default_factory=dict)
    scatter: list[dict[str, Any]] = field(default_factory=list)
    worst: list[dict[str, Any]] = field(default_factory=list)


Event = Loaded | Built | InitialLoss | RateTest | Step | Epoch | Finished | Fitted | Evaluated
KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (Loaded, Built, InitialLoss, RateTest, Step, Epoch, Finished, Fitted, Evaluated)
}


def to_json(event: Event) -> dict[str, Any]:
    """The event as plain values, with its kind; numbers that are not finite become None (JSON has no others)."""
    values: dict[str, Any] = finite(asdict(event))
    return {"event": type(event).__name__, **values}


def from_json(values: dict[str, Any]) -> Event:
    """The event that :func:`to_json` wrote."""
    fields = dict(values)
    event: Event = KINDS[fields.pop("event")](**fields)
    return event


def finite(value: Any) -> Any:
    """Plain values as JSON has them: numbers that are not finite become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
