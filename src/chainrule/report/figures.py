"""Figures of what the trained model does on the test split: confusion, ROC, calibration, predicted against true."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from chainrule.report.drawing import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RULE,
    Drawing,
    Key,
    canvas,
    finish,
)
from chainrule.report.wording import clipped, counted, number
from chainrule.training.events import Evaluated

CELLS = 15  # classes up to which the confusion matrix shows its numbers
CURVES = 3  # ROC curves with a colour of their own
TARGETS = 6  # real targets that are drawn

# Colours of a picture, where no CSS variable can stand: in between those of the light and the dark page.
RIGHT, WRONG, EMPTY = (0.16, 0.50, 0.80), (0.87, 0.42, 0.10), (0.5, 0.5, 0.5, 0.08)


def outcome_drawings(evaluated: Evaluated, kind: str) -> list[Drawing]:
    """All that can be drawn of the evaluation."""
    drawings = [
        draw(target, index) for index, target in enumerate(evaluated.scatter[:TARGETS]) for draw in (scatter, residuals)
    ]
    if kind == "classes" and evaluated.confusion:
        names = [row["name"] for row in evaluated.per_class]
        drawings.append(confusion(np.array(evaluated.confusion), names))
    if evaluated.roc:
        drawings.append(roc(evaluated.roc))
    if evaluated.calibration:
        drawings.append(calibration(evaluated.calibration, kind))
    return drawings


def confusion(counts: np.ndarray, names: list[str]) -> Drawing:
    """The confusion matrix; shaded by the share of the true class."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    many = len(names) > CELLS
    figure = canvas(390)
    ax = figure.add_subplot()
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if many:
        picture = np.empty((*counts.shape, 4))
        picture[..., :3] = np.where(np.eye(len(names), dtype=bool)[..., None], RIGHT, WRONG)
        picture[..., 3] = 0.25 + 0.75 * share
        picture[counts == 0] = EMPTY
        ax.imshow(picture, interpolation="none", aspect="equal")
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    else:
        _cells(ax, counts, share)
        labels = [clipped(name, 14) for name in names]
        ax.set_yticks(range(len(names)), labels)
        ax.set_xticks(range(len(names)), labels)
        if max(map(len, labels)) * len(labels) > 40:
            ax.tick_params(axis="x", rotation=45)
            for label in ax.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
    ax.set_xlabel("predicted" + " (number of the class)" * many)
    ax.set_ylabel("true" + " (number of the class)" * many)
    return finish(
        figure,
        "confusion",
        "Confusion matrix",
        "A row is a true class, a column what the model said. Off the diagonal are the mistakes; the stronger the "
        "colour, the larger the share of the true class.",
        (Key("square", "blue", "right"), Key("square", "orange", "wrong")),
    )


def roc(curves: list[dict[str, Any]]) -> Drawing:
    """The ROC curves, those with the least area in colour; of near-perfect ones the corner that matters."""
    corner = curves[0]["auc"] > 0.98
    figure = canvas(360)
    ax = figure.add_subplot()
    for curve in curves[CURVES:]:
        ax.plot(curve["fpr"], curve["tpr"], color=MUTED, alpha=0.45, linewidth=1)
    key = []
    for curve, (ink, colour) in zip(curves, ((ORANGE, "orange"), (BLUE, "blue"), (GREEN, "green")), strict=False):
        ax.plot(curve["fpr"], curve["tpr"], color=ink)
        key.append(Key("line", colour, f"{clipped(curve['name'], 40)}, AUC {number(curve['auc'])}"))
    if others := len(curves) - CURVES if len(curves) > CURVES else 0:
        key.append(Key("faint", "muted", f"{counted(others, 'other')}, AUC {number(curves[CURVES]['auc'])} or more"))
    _percent_axes(ax)
    if corner:
        ax.set(xlim=(-0.002, 0.2), ylim=(0.798, 1.002))
    else:
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle="--")
        key.append(Key("dashed", "muted", "guessing"))
    ax.set_xlabel("false positive rate")
    ax.set_title("true positive rate", color=MUTED)
    caption = (
        "How many are found (up) at the price of how many false alarms (right), for every threshold on the "
        "probability: the closer to the upper left corner, the better."
    )
    if len(curves) > 1:
        caption = f"Each one against all others, the hardest in colour. {caption}"
    if corner:
        caption += " Only that corner is shown."
    return finish(figure, "roc", "ROC curves" if len(curves) > 1 else "ROC curve", caption, tuple(key))


def calibration(curve: dict[str, Any], kind: str) -> Drawing:
    """The calibration curve over the counts of its bins."""
    counts = np.array(curve["count"])
    filled = counts > 0
    confidence = np.array(curve["confidence"], dtype=float)[filled]
    share = np.array(curve["accuracy"], dtype=float)[filled]
    edges = np.linspace(0, 1, len(counts) + 1)
    figure = canvas(360)
    above, below = figure.subplots(2, sharex=True, height_ratios=[3.4, 1])
    above.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle="--")
    above.vlines(
        confidence,
        np.minimum(share, confidence),
        np.maximum(share, confidence),
        color=ORANGE,
        linewidth=2.5,
        alpha=0.55,
    )
    above.plot(confidence, share, color=BLUE, linewidth=1, alpha=0.4)
    for x, y, count in zip(confidence, share, counts[filled], strict=True):
        above.plot(x, y, "o", color=BLUE, markersize=4 + 8 * np.sqrt(count / counts.max()), clip_on=False)
    _percent_axes(above)
    above.set_title("share that is right" if kind == "classes" else "share that has the label", color=MUTED)
    below.bar(
        edges[:-1], counts, width=1 / len(counts), align="edge", color=BLUE, alpha=0.55, edgecolor=PAPER, linewidth=1.5
    )
    below.set_title("samples" if kind == "classes" else "answers", color=MUTED)
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.set_xlabel("confidence" if kind == "classes" else "stated probability")
    if kind == "classes":
        caption = (
            "When the model is 80 % sure, it should be right 8 times in 10: the points should lie on the diagonal. "
            "Below it the model is too sure of itself."
        )
    else:
        caption = (
            "Where the model states a probability of 80 %, the label should apply 8 times in 10: the points should lie "
            "on the diagonal."
        )
    return finish(
        figure,
        "calibration",
        "Calibration",
        f"{caption} The calibration error is {number(curve['error'])}.",
        (
            Key("dot", "blue", "observed, larger where there are more samples"),
            Key("band", "orange", "distance from what was stated"),
            Key("dashed", "muted", "perfect"),
        ),
    )


def scatter(target: dict[str, Any], index: int) -> Drawing:
    """Predicted against true values of one target."""
    true, predicted = np.array(target["true"], dtype=float), np.array(target["predicted"], dtype=float)
    figure = canvas(360)
    ax = figure.add_subplot()
    low, high = float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))
    margin = 0.04 * (high - low) or 1.0
    ax.plot([low - margin, high + margin], [low - margin, high + margin], color=MUTED, linewidth=1.2, linestyle="--")
    ax.plot(true, predicted, "o", color=BLUE, alpha=0.55, markersize=5, markeredgewidth=0)
    ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
    ax.set_xlabel("true")
    ax.set_title("predicted", color=MUTED)
    return finish(
        figure,
        f"scatter-{index}",
        f"Predicted against true: {clipped(target['name'], 60)}",
        "A point is a sample. On the diagonal the prediction is right, above it too high, below it too low; a cloud "
        "flatter than the diagonal means that the model keeps to the mean.",
        (Key("dot", "blue", counted(len(true), "sample")), Key("dashed", "muted", "perfect")),
    )


def residuals(target: dict[str, Any], index: int) -> Drawing:
    """How the residuals of one target are spread."""
    residual = np.array(target["true"], dtype=float) - np.array(target["predicted"], dtype=float)
    figure = canvas(360)
    ax = figure.add_subplot()
    ax.hist(residual, bins=min(40, max(8, len(residual) // 5)), color=BLUE, alpha=0.55, edgecolor=PAPER, linewidth=1.5)
    ax.axvline(0, color=MUTED, linewidth=1.2, linestyle="--")
    ax.axvline(float(residual.mean()), color=ORANGE)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel("true minus predicted")
    ax.set_title("samples", color=MUTED)
    return finish(
        figure,
        f"residuals-{index}",
        f"Residuals: {clipped(target['name'], 60)}",
        "They should gather around zero without leaning to a side. A mean away from zero is a bias; a long tail is a "
        "few samples that the model does not understand.",
        (Key("line", "orange", f"mean {number(float(residual.mean()))}"), Key("dashed", "muted", "zero")),
    )


def _cells(ax: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    size = len(counts)
    for row, column in np.ndindex(size, size):
        if counts[row, column]:
            colour, shade = BLUE if row == column else ORANGE, 0.22 + 0.78 * float(share[row, column])
            ink = PAPER if shade > 0.6 else INK
            text = f"{counts[row, column]}"
            ax.text(column, row, text, color=ink, ha="center", va="center", fontsize=min(12, 140 / size))
        else:
            colour, shade = RULE, 0.35
        corner = (column - 0.47, row - 0.47)
        ax.add_patch(Rectangle(corner, 0.94, 0.94, linewidth=0, facecolor=colour, alpha=shade))
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")


def _percent_axes(ax: Axes) -> None:
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
