"""What each metric means, in one sentence, and how it is written."""

from typing import NamedTuple

from chainrule.metrics import MEANINGS


class Term(NamedTuple):
    """A metric for a reader.

    Attributes:
        title: How it is written.
        meaning: What it says, in one sentence.
        rising: Whether more of it is better.
    """

    title: str
    meaning: str
    rising: bool


TERMS = {
    "accuracy": Term("accuracy", MEANINGS["accuracy"], True),
    "label accuracy": Term("label accuracy", MEANINGS["multilabel-accuracy"], True),
    "exact": Term("exact match", MEANINGS["exact-match"], True),
    "balanced accuracy": Term("balanced accuracy", "Mean recall of the classes, each counting the same.", True),
    "f1": Term("F1 (macro)", MEANINGS["f1-score"], True),
    "precision": Term("precision", MEANINGS["precision"], True),
    "recall": Term("recall", MEANINGS["recall"], True),
    "auc": Term("AUC (macro)", MEANINGS["auroc"], True),
    "calibration": Term(
        "calibration error",
        "Mean distance between how sure the model was and how often it was right, over 15 bins of confidence.",
        False,
    ),
    "loss": Term("loss", "What training makes small; comparable only between runs with the same loss.", False),
    "r2": Term("R²", MEANINGS["r2-score"], True),
    "rmse": Term("RMSE", "Root of the mean squared error, in the target's own units; large errors weigh more.", False),
    "mae": Term("MAE", MEANINGS["mean-absolute-error"], False),
}

#: The metrics that may stand for a whole run, by kind of target, the most telling first.
HEADLINES = {"classes": ("accuracy",), "labels": ("f1", "accuracy"), "real": ("r2", "rmse")}

#: What the best constant prediction does, by kind of target.
CONSTANT = {
    "classes": "always guessing the most frequent class",
    "labels": "always giving each label its more frequent answer",
    "real": "always guessing the mean of the training split",
}


def term(metric: str, kind: str) -> Term:
    """The term of a metric, by its name in the events (``"rmse price"`` is the RMSE of one of several targets).

    Args:
        metric: Name in the events.
        kind: Kind of the run's target; an accuracy of labels is not that of classes.
    """
    if metric == "accuracy" and kind == "labels":
        metric = "label accuracy"
    if metric in TERMS:
        return TERMS[metric]
    first, _, rest = metric.partition(" ")
    if rest and first in TERMS:
        return TERMS[first]._replace(title=f"{TERMS[first].title} of {rest}")
    return Term(metric, "", True)


def headline(metrics: dict[str, float], kind: str) -> str | None:
    """The metric that stands for the run, or None when there is none."""
    usable = [name for name, value in metrics.items() if value is not None and value == value]
    wanted = [*HEADLINES.get(kind, ()), *(name for name in usable if name != "loss"), "loss"]
    return next((name for name in wanted if name in usable), None)
