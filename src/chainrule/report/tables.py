"""The numbers of the page, as rows for its tables; each function gives what one place of the template shows."""

from typing import Any, NamedTuple

from chainrule.data import spec
from chainrule.report.glossary import headline, term
from chainrule.report.history import History
from chainrule.report.wording import beside, counted, duration, memory, number
from chainrule.training.events import Evaluated, Fitted

LISTED = 15  # classes up to which the confusion matrix says everything
ORDERED = 20  # classes up to which they stand in their own order; more are sorted, the worst first
COLUMNS = 40  # of a table, shown for the worst samples
PAIRS = 12  # of classes that are taken for each other


class Fact(NamedTuple):
    """One of the few numbers under the verdict."""

    name: str
    value: str
    note: str = ""


class Metric(NamedTuple):
    """A row of the table of metrics; None where it was not measured."""

    title: str
    meaning: str
    valid: float | None
    test: float | None
    baseline: float | None


class Grid(NamedTuple):
    """A plain table: headers, and rows of texts; the first column names the row."""

    header: list[str]
    rows: list[list[str]]


def facts(history: History) -> list[Fact]:
    """The numbers under the verdict: the result, then its price."""
    found = []
    if history.evaluated:
        metrics, baseline = history.evaluated.metrics, history.evaluated.baseline
        first = headline(metrics, history.kind)
        names = [name for name in metrics if name == first] + [name for name in metrics if name not in (first, "loss")]
        for name in names[:2]:
            found.append(
                _fact(
                    term(name, history.kind).title,
                    metrics[name],
                    f"constant {beside(baseline.get(name), metrics[name])}",
                )
            )
        if (area := mean_area(history.evaluated)) is not None:
            found.append(_fact("AUC", area, "0.5 is guessing"))
        if history.evaluated.calibration:
            found.append(_fact("Calibration error", history.evaluated.calibration["error"], "0 is perfect"))
    if history.epochs:
        last = history.epochs[-1]
        seconds = history.finished.seconds if history.finished else sum(epoch.seconds for epoch in history.epochs)
        found.append(Fact("Training", duration(seconds), f"{counted(last.epoch, 'epoch')}, {memory(last.memory)}"))
    if history.fitted:
        found.append(Fact("Training", duration(history.fitted.seconds), memory(history.fitted.memory)))
        found.append(
            Fact("Learned numbers", f"{history.fitted.numbers:,}", history.built.device if history.built else "")
        )
    elif history.built:
        found.append(Fact("Parameters", f"{history.built.parameters:,}", history.built.device))
    return found


def metric_rows(history: History) -> list[Metric]:
    """Every metric with its meaning: on the validation split at the best epoch, on the test split, of a constant."""
    valid = history.valid
    test, baseline = ({}, {}) if not history.evaluated else (history.evaluated.metrics, history.evaluated.baseline)
    rows = [
        Metric(*term(name, history.kind)[:2], valid.get(name), test.get(name), baseline.get(name))
        for name in sorted({**valid, **test}, key=lambda name: name == "loss")
    ]
    if history.evaluated and (area := mean_area(history.evaluated)) is not None:
        rows.insert(-1, Metric(*term("auc", history.kind)[:2], None, area, 0.5))
    if history.evaluated and history.evaluated.calibration:
        error = history.evaluated.calibration["error"]
        rows.insert(-1, Metric(*term("calibration", history.kind)[:2], None, error, None))
    return rows


def fitted_rows(fitted: Fitted, kind: str) -> Grid:
    """The metrics on the split that an estimator learned from, beside those on the validation split."""
    names = sorted(fitted.valid, key=lambda name: name == "loss")
    rows = [[term(name, kind).title, number(fitted.train[name]), number(fitted.valid[name])] for name in names]
    return Grid(["Metric", "Train", "Validation"], rows)


def mean_area(evaluated: Evaluated) -> float | None:
    """Mean area under the ROC curves over the classes or labels that have one."""
    areas = [row["auc"] for row in evaluated.per_class if row.get("auc") is not None]
    return sum(areas) / len(areas) if areas else None


def class_rows(evaluated: Evaluated) -> list[dict[str, Any]]:
    """The classes or labels; of many the hardest first, and those without samples last."""
    rows = evaluated.per_class
    if len(rows) <= ORDERED:
        return rows
    return sorted(rows, key=lambda row: (not row["support"], row["f1"] if row["f1"] is not None else 2.0))


def confused_pairs(evaluated: Evaluated) -> Grid | None:
    """The mistakes that a classifier makes most often, or None when it makes none."""
    names = [row["name"] for row in evaluated.per_class]
    pairs = [
        (count, names[row], names[column], sum(counts))
        for row, counts in enumerate(evaluated.confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    pairs.sort(key=lambda pair: -pair[0])
    rows = [[true, said, _of(count, size)] for count, true, said, size in pairs[:PAIRS]]
    return Grid(["True", "Predicted", "Samples (of the true class)"], rows) if rows else None


def worst_rows(history: History, evaluated: Evaluated) -> Grid:
    """The worst samples of a table, with what the table says of them."""
    names = history.loaded.target["names"] if history.loaded else []
    columns = list(evaluated.worst[0].get("values", {}))[:COLUMNS]
    header, rows = ["Sample"], []
    if history.kind == "real":
        for name in names:
            header += [f"{what} {name}" if len(names) > 1 else what for what in ("True", "Predicted", "Residual")]
    else:
        header += ["True", "Predicted", "Confidence"]
    for sample in evaluated.worst:
        if history.kind == "real":
            triples = zip(sample["true"], sample["predicted"], sample["residual"], strict=True)
            answer = [number(value) for triple in triples for value in triple]
        else:
            answer = [said(sample["true"]), said(sample["predicted"]), number(sample["confidence"])]
        rows.append([sample["origin"], *answer, *(sample.get("values", {}).get(column, "–") for column in columns)])
    return Grid(header + columns, rows)


def balance_rows(history: History) -> Grid:
    """Size of each split and what its targets are."""
    assert history.loaded is not None
    sizes, balance = history.loaded.sizes, history.loaded.balance
    splits = list(sizes)
    if history.kind == "real":
        statistics = list(next(iter(next(iter(balance.values())).values()))) if balance else []
        rows = [
            [split, name, f"{sizes[split]:,}", *(number(values[key]) for key in statistics)]
            for split, targets in balance.items()
            for name, values in targets.items()
        ]
        return Grid(["Split", "Target", "Samples", *statistics], rows)
    names = list(next(iter(balance.values()), {}))
    rows = [[name, *(_of(balance[split][name], sizes[split]) for split in splits)] for name in names]
    return Grid([history.kind.capitalize(), *splits], [["all samples", *(f"{sizes[s]:,}" for s in splits)], *rows])


def described(values: dict[str, Any]) -> str:
    """A spec in words."""
    return str(spec.from_json(values))


def copies(duplicates: dict[str, int]) -> list[str]:
    """What is to be said of samples that stand in two splits."""
    return [
        f"{counted(count, 'sample')} of the {later} split stand{'s' * (count == 1)} in the {earlier} split as well."
        for (earlier, _, later), count in ((names.partition("/"), count) for names, count in duplicates.items())
        if count
    ]


def setting(value: Any) -> str:
    """A setting as a reader writes it."""
    if value is None or value == "":
        return "–"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def said(answer: Any) -> str:
    """A true or predicted target in words: a class, the labels that apply, or numbers."""
    if not isinstance(answer, list):
        return str(answer)
    if not answer:
        return "none"
    if isinstance(answer[0], list):
        return "; ".join(said(row) for row in answer)
    return ", ".join(number(item) if isinstance(item, int | float) else str(item) for item in answer)


def _fact(title: str, value: float | None, note: str) -> Fact:
    return Fact(title[0].upper() + title[1:], number(value), note)


def _of(count: int, size: int) -> str:
    return f"{count:,} ({100 * count / size:.0f} %)" if size else f"{count:,}"
