"""Figures of several models side by side: scores, ranks, cost, diversity, weights.

Where there is no room for the names of the models they have numbers, and the key says whose these are.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy

from chainrule.report.drawing import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    RULE,
    Drawing,
    Key,
    canvas,
    finish,
    log_axis,
    page_style,
)
from chainrule.report.study_layout import (
    LOOKS,
    TRACK,
    better,
    lanes,
    named,
    numbered,
    place_labels,
    plus_minus,
    rows,
    shortened,
    strays,
    titled,
    window_of,
)
from chainrule.report.wording import counted

NAMED = 6  # models up to which a matrix has room for names beside it


@page_style()
def scores_drawing(names: Sequence[str], scores: Sequence[Sequence[float]], *, metric: str, rising: bool) -> Drawing:
    """Every score of every model: a dot a seed, the mean and the spread, the best model on top.

    Args:
        names: One a model.
        scores: For each model its scores, one a seed; at least one, and models may have different numbers of them.
        metric: What is drawn, as a reader writes it, such as ``"test accuracy"``.
        rising: Whether more is better.
    """
    means = [float(np.mean(values)) for values in scores]
    order = sorted(range(len(names)), key=lambda i: -means[i] if rising else means[i])
    several = any(len(values) > 1 for values in scores)
    window = window_of([value for values in scores for value in values], rising=rising)
    deviations = [float(np.std(values, ddof=1)) if len(values) > 1 else None for values in scores]
    texts = [plus_minus(means[i], deviations[i]) for i in order]
    figure, ax, shown = rows([names[i] for i in order], texts)
    ax.set_xlim(*window)
    outside = False
    for row, i in enumerate(order):
        values = np.asarray(scores[i], dtype=float)
        if (reach := deviations[i]) is not None:
            left, right = np.clip((means[i] - reach, means[i] + reach), *window)
            bar = Rectangle((left, row + TRACK - 0.13), right - left, 0.26, color=ORANGE, alpha=0.3, linewidth=0)
            ax.add_patch(bar)
        inside = values[(values >= window[0]) & (values <= window[1])]
        ax.plot(inside, np.full(len(inside), row + TRACK), "o", color=BLUE, alpha=0.6, markersize=5, markeredgewidth=0)
        if window[0] <= means[i] <= window[1] and len(values) > 1:
            ax.vlines(means[i], row + TRACK - 0.2, row + TRACK + 0.2, color=INK, linewidth=2)
        for edge, mark, far in ((window[0], "<", values < window[0]), (window[1], ">", values > window[1])):
            if far.any():
                ax.plot(edge, row + TRACK, mark, color=MUTED, markersize=6, markeredgewidth=0, clip_on=False)
                outside = True
    ax.set_xlabel(metric)
    ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    key = [Key("dot", "blue", "a seed")]
    if several:
        key += [Key("band", "ink", "mean"), Key("square", "orange", "one standard deviation to each side")]
    if outside:
        key.append(Key("none", "ink", "◂ ▸ further out"))
    caption = (
        "Every model was trained on the same splits, one for each seed. Dots of one model that lie far apart say that "
        "chance decides more than the model does; whether two models differ is for the paired test, not for the eye."
        if several
        else "One seed says nothing about chance: another split could change the order."
    )
    drawing = finish(figure, "scores", "Scores", f"{caption} {better(rising)}", tuple(key))
    return titled(drawing, shown)


@page_style()
def critical_difference_drawing(
    names: Sequence[str], ranks: Sequence[float], cd: float, cliques: Sequence[Sequence[int]], *, seeds: int
) -> Drawing:
    """The mean rank of every model, the critical difference, and bars that join what does not differ by it.

    Args:
        names: One a model, from two up.
        ranks: Mean rank of each model (``statistics.ranks``).
        cd: Critical difference (``statistics.critical_difference``).
        cliques: Places in ``names`` of each group that does not differ (``statistics.cliques``).
        seeds: Splits that the ranks are means of.
    """
    order = sorted(range(len(names)), key=lambda i: ranks[i])
    places = {model: row for row, model in enumerate(order)}
    most = len(names)
    figure, ax, shown = rows([names[i] for i in order], [f"{ranks[i]:.2f}" for i in order], above=1)
    ax.set_xlim(0.9, most + 0.1)
    for row, i in enumerate(order):
        ax.plot(ranks[i], row + TRACK, "o", color=BLUE, markersize=8, markeredgewidth=0, clip_on=False)
    for lane, first, last in lanes([[places[model] for model in clique] for clique in cliques]):
        aside = offset_copy(ax.get_yaxis_transform(), figure, x=9 + 9 * lane, units="dots")
        ends = [first + TRACK - 0.3, last + TRACK + 0.16]
        bar = Line2D([1, 1], ends, color=ORANGE, alpha=0.6, linewidth=4, solid_capstyle="butt", transform=aside)
        bar.set_clip_on(False)
        ax.add_line(bar)
    end = min(1 + cd, most)
    ax.hlines(TRACK - 1, 1, end, color=INK, linewidth=1.6)
    ax.vlines([1, end] if 1 + cd <= most else [1], TRACK - 1.14, TRACK - 0.86, color=INK, linewidth=1.6)
    wide = ", wider than the picture" if 1 + cd > most else ""
    ax.text(0, -0.67, f"critical difference {cd:.2f}{wide}", transform=ax.get_yaxis_transform(), va="center")
    ax.set_xticks(range(1, most + 1, -(-most // 12)))
    ax.set_xlabel("mean rank, 1 is the best")
    key = [Key("dot", "blue", f"mean rank over {counted(seeds, 'split')}")]
    if cliques:
        key.append(Key("band", "orange", "joins models whose ranks do not differ"))
    drawing = finish(
        figure,
        "critical-difference",
        "Ranks and critical difference",
        "On each split the models are ranked by their score. The critical difference (Nemenyi) is made for independent "
        "data sets; these are splits of one data set, which overlap, so this is a picture of ranks over splits. "
        "Whether two models differ is decided by the corrected paired test.",
        tuple(key),
    )
    return titled(drawing, shown)


@page_style()
def cost_drawing(
    names: Sequence[str], scores: Sequence[float], seconds: Sequence[float], *, metric: str, rising: bool
) -> Drawing:
    """Score against training time; the line is the best score to be had in that time.

    Args:
        names: One a model.
        scores: Mean score of each.
        seconds: Mean training time of each.
        metric: What the scores are, as a reader writes it.
        rising: Whether more is better.
    """
    order = sorted(range(len(names)), key=lambda i: -scores[i] if rising else scores[i])
    time = np.maximum([seconds[i] for i in order], 1e-3)
    score = np.array([scores[i] for i in order], dtype=float)
    window = window_of(score.tolist(), rising=rising)
    figure = canvas(330)
    ax = figure.add_subplot()
    front = [i for i in range(len(order)) if all(time[i] < time[better] for better in range(i))]
    front.sort(key=lambda i: time[i])
    edges = time.min() / 1.6, time.max() * 1.6
    # Each of them is the best to be had until the time of the next.
    starts, levels = time[front].tolist(), score[front].tolist()
    ends = [*starts[1:], float(edges[1])]
    corners = [(at, level) for start, end, level in zip(starts, ends, levels, strict=True) for at in (start, end)]
    ax.plot(*zip(*corners, strict=True), color=MUTED, linewidth=1.2, linestyle="--")
    inside = (score >= window[0]) & (score <= window[1])
    ax.plot(time[inside], score[inside], "o", color=BLUE, markersize=7, markeredgewidth=0)
    few = len(order) <= len(LOOKS)
    labels = shortened([names[i] for i in order], 24) if few else [str(i + 1) for i in range(len(order))]
    key = [] if few else numbered([names[i] for i in order])
    key.append(Key("dashed", "muted", "best to be had in that time"))
    key += strays(ax, time.tolist(), score.tolist(), window)
    log_axis(ax, "x")
    ax.set_xlim(*edges)
    ax.set_ylim(*window)
    ax.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    ax.set_xlabel("seconds of training")
    ax.set_title(metric, color=MUTED)
    place_labels(ax, labels, time.tolist(), np.clip(score, *window).tolist(), corners)
    places = "" if few else " The numbers are places by score."
    drawing = finish(
        figure,
        "cost",
        "Score against cost",
        f"Means over the seeds.{places} {better(rising)} A model off the line is beaten by one that is faster and at "
        "least as good.",
        tuple(key),
    )
    return titled(drawing, dict(zip(labels, (names[i] for i in order), strict=True)) if few else {})


@page_style()
def matrix_drawing(
    names: Sequence[str], matrix: Sequence[Sequence[float]], *, title: str, caption: str, low: float, high: float
) -> Drawing:
    """A symmetric matrix over pairs of models, with its numbers; the diagonal says nothing and stays empty.

    Args:
        names: One a model, in the order of the matrix.
        matrix: ``[k, k]``; nested lists or an array.
        title: What it shows, such as ``"Yule's Q"``; the drawing's name is made from it.
        caption: How to read it.
        low: Least value that is possible; below zero, values below zero are orange.
        high: Greatest value that is possible.
    """
    values = np.asarray(matrix, dtype=float)
    size = len(names)
    figure = canvas(390 if size > NAMED else 40 + 62 * size)
    ax = figure.add_subplot()
    ax.grid(False)
    ax.spines[:].set_visible(False)
    reach = float(max(abs(low), abs(high)))
    for row, column in np.ndindex(size, size):
        value = float(values[row, column])
        empty = row == column or not np.isfinite(value)
        # Up to this shade, ink can be read on it on light pages and on dark ones.
        shade = 0.25 if empty else 0.04 + 0.48 * min(abs(value) / reach, 1.0)
        colour = RULE if empty else ORANGE if value < 0 else BLUE
        corner = (column - 0.48, row - 0.47)
        ax.add_patch(Rectangle(corner, 0.96, 0.94, linewidth=0, facecolor=colour, alpha=shade))
        if not empty:
            text = f"{value:.2f}".replace("-", "−").replace("−0.00", "0.00")
            ax.text(column, row, text, ha="center", va="center", fontsize=11 if size <= 9 else 10)
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    ax.set_xticks(range(size), [str(i + 1) for i in range(size)])
    shown: dict[str, str] = {}
    if size <= NAMED:
        labels = shortened(names, 24)
        shown = dict(zip((f"{label}  {i}" for i, label in enumerate(labels, start=1)), names, strict=True))
        ax.set_yticks(range(size), list(shown))
    else:
        ax.set_yticks(range(size), [str(i + 1) for i in range(size)])
    ax.tick_params(pad=4)
    key = numbered(names) if size > NAMED else []
    if low < 0:
        key += [Key("square", "blue", "above 0"), Key("square", "orange", "below 0")]
    drawing = finish(figure, named(title), title, caption, tuple(key))
    return titled(drawing, shown)


@page_style()
def weights_drawing(names: Sequence[str], weights: Sequence[float]) -> Drawing:
    """The weights of an ensemble's members, the greatest on top.

    Args:
        names: One a member.
        weights: One a member; those of a stacked ensemble may be negative.
    """
    order = sorted(range(len(names)), key=lambda i: -weights[i])
    low, high = min(0.0, *weights), max(0.0, *weights)
    figure, ax, shown = rows([names[i] for i in order], [f"{weights[i]:.3f}".replace("-", "−") for i in order])
    ax.set_xlim(low, high or 1.0)
    for row, i in enumerate(order):
        colour = BLUE if weights[i] >= 0 else ORANGE
        ax.add_patch(Rectangle((0, row + TRACK - 0.13), weights[i], 0.26, color=colour, alpha=0.75, linewidth=0))
    ax.set_xlabel("weight")
    return titled(
        finish(
            figure,
            "weights",
            "Weights of the members",
            "How much each member counts in the ensemble; a member near zero could be left out.",
        ),
        shown,
    )
