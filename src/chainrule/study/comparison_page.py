"""The page of a comparison."""

from chainrule.report.glossary import term
from chainrule.report.sheet import Section, Sheet, Table
from chainrule.report.study_curves import calibration_drawing, learning_curves_drawing
from chainrule.report.study_drawings import (
    cost_drawing,
    critical_difference_drawing,
    matrix_drawing,
    scores_drawing,
    weights_drawing,
)
from chainrule.report.tables import Fact
from chainrule.report.wording import counted, duration, memory, number
from chainrule.study.comparing import ENSEMBLE, Comparison
from chainrule.study.statistics import cliques, critical_difference, friedman, ranks
from chainrule.study.study import Study
from chainrule.training.events import Epoch, Evaluated

#: Pairs that the table shows at most; those with the best model come first.
PAIRS = 40
#: How the matrices of diversity are read: title, least and greatest value, caption.
MATRICES = {
    "q": (
        "Yule's Q",
        -1.0,
        1.0,
        "0: two models err independently; below 0: on different samples; 1: on the same ones.",
    ),
    "correlation": (
        "Correlation",
        -1.0,
        1.0,
        "Of being right, or of the residuals; the lower, the more two models add.",
    ),
    "disagreement": (
        "Disagreement",
        0.0,
        1.0,
        "Share of the samples on which one of two is right and the other wrong.",
    ),
}


def comparison_sheet(study: Study) -> Sheet:
    """The page of a comparison, of what there is of it.

    Args:
        study: The study.
    """
    found, asked = Comparison(study), study.asked
    sizes = asked["sizes"]
    done = len(found.tried)
    facts = [
        Fact("models", str(len(found.models))),
        Fact("splits", str(len(found.seeds)), f"{sizes['train']} / {sizes['valid']} / {sizes['test']} samples"),
        Fact("runs", str(done), counted(len(found.failed), "failure") if found.failed else "all of them done"),
        Fact("time", duration(study.notes[-1].elapsed if study.notes else 0.0), f"{asked['jobs']} at a time"),
    ]
    sections = [_scores(found)]
    if len(found.order) > 1:
        sections.append(_differences(found))
    sections += [part for part in (_curves(found), _calibration(found), _cost(found), _ensemble(found)) if part]
    sections.append(_settings(found))
    best = next((model for model in found.order if model != ENSEMBLE), None)
    return Sheet(
        kind="comparison",
        title=f"{asked['data']}: {counted(len(found.models), 'model')} compared",
        verdict=found.verdict,
        facts=facts,
        next_command=f"chainrule tune {asked['command'].split()[2]} --model '{best}'" if best else "",
        sections=sections,
    )


def _name(found: Comparison) -> str:
    return term(found.metric, found.kind).title


def _scores(found: Comparison) -> Section:
    rows = []
    for row in found.table():
        deviation = "" if row["std"] is None else f" ± {number(row['std'])}"
        cost = [duration(row["seconds"]), memory(row["memory"]), f"{row['size']:,.0f}"] if row["size"] else [""] * 3
        rows.append([row["model"], f"{number(row['mean'])}{deviation}", str(row["seeds"]), *cost])
    table = Table(
        header=["model", f"test {_name(found)}", "splits", "time a run", "peak memory", "numbers learned"],
        rows=rows,
        caption="Mean and standard deviation over the splits. Time is that of a whole run on one core, memory that of "
        "its process.",
        best=0,
    )
    drawings = []
    if found.order:
        drawings = [
            scores_drawing(
                found.order,
                [list(found.scores[model].values()) for model in found.order],
                metric=f"test {_name(found)}",
                rising=found.rising,
            )
        ]
    failures = [f"{one.trial.model}, seed {one.trial.settings['seed']}: {one.error}" for one in found.failed]
    return Section(name="scores", title="Scores", text="\n\n".join(failures), tables=[table], drawings=drawings)


def _differences(found: Comparison) -> Section:
    rows = []
    for pair in found.pairs[:PAIRS]:
        test = pair.test
        interval = "" if test.low is None or test.high is None else f"{number(test.low)} to {number(test.high)}"
        said = test.note or ("beyond chance" if pair.p is not None and pair.p < 0.05 else "within chance")
        p = "" if pair.p is None else f"{pair.p:.3f}"
        rows.append([f"{pair.first} - {pair.second}", number(test.difference), interval, p, said])
    table = Table(
        header=["pair", "difference", "95 % interval", "p", ""],
        rows=rows,
        caption="The corrected resampled t-test (Nadeau & Bengio 2003) of the scores on the same splits, which takes "
        "into account that splits share samples; p by Holm (1979) for the number of pairs, the interval for each pair "
        "alone.",
    )
    complete = [model for model in found.order if len(found.scores[model]) == len(found.seeds)]
    drawings, text = [], ""
    if len(complete) > 1 and len(found.seeds) > 1:
        scores = [[found.scores[model][seed] for seed in found.seeds] for model in complete]
        places = ranks(scores, rising=found.rising)
        whole = friedman(scores)
        if whole.f_p is not None:
            text = f"Do the ranks differ at all? Friedman's test, as Iman and Davenport (1980): p = {whole.f_p:.3f}."
        cd = critical_difference(len(complete), len(found.seeds))
        groups = cliques(places.tolist(), cd)
        drawings = [critical_difference_drawing(complete, places.tolist(), cd, groups, seeds=len(found.seeds))]
    return Section(name="differences", title="Differences", text=text, tables=[table], drawings=drawings)


def _curves(found: Comparison) -> Section | None:
    curves: dict[str, list[list[float]]] = {}
    marks: dict[str, list[float]] = {}
    for model, row in found.trials.items():
        for one in row.values():
            epochs = [event for event in found.study.run(one.trial).events if isinstance(event, Epoch)]
            if epochs:
                curves.setdefault(model, []).append([epoch.valid.get(found.metric, float("nan")) for epoch in epochs])
            else:
                marks.setdefault(model, []).append(one.valid.get(found.metric, float("nan")))
    if not curves:
        return None
    drawing = learning_curves_drawing(
        [model for model in found.order if model in curves or model in marks],
        curves,
        marks,
        metric=f"validation {_name(found)}",
        rising=found.rising,
    )
    return Section(name="learning-curves", title="Learning curves", drawings=[drawing])


def _calibration(found: Comparison) -> Section | None:
    if found.kind == "real":
        return None
    curves: dict[str, list[dict[str, object]]] = {}
    for model, row in found.trials.items():
        for one in row.values():
            events = [event for event in found.study.run(one.trial).events if isinstance(event, Evaluated)]
            if events and events[0].calibration:
                curves.setdefault(model, []).append(events[0].calibration)
    return Section(name="calibration", title="Calibration", drawings=[calibration_drawing(curves)]) if curves else None


def _cost(found: Comparison) -> Section | None:
    rows = [row for row in found.table() if row["seconds"]]
    if len(rows) < 2:
        return None
    drawing = cost_drawing(
        [row["model"] for row in rows],
        [row["mean"] for row in rows],
        [row["seconds"] for row in rows],
        metric=f"test {_name(found)}",
        rising=found.rising,
    )
    return Section(name="cost", title="Cost", drawings=[drawing])


def _ensemble(found: Comparison) -> Section | None:
    if not found.ensembles:
        return None
    gains = [one["gain"] for one in found.ensembles]
    mean = sum(one["value"] for one in gains) / len(gains)
    surely = sum(one["low"] > 0 for one in gains)
    text = (
        "Members and weights are chosen on the validation split of each seed (Caruana et al. 2004). On the test splits "
        f"the ensemble is {number(abs(mean))} of {_name(found)} {'better' if mean >= 0 else 'worse'} than the member "
        f"that was best in validation, in the mean of {counted(len(gains), 'split')}; on {surely} of them by more than "
        "the 95 % interval of a paired bootstrap."
    )
    rows = [
        [
            f"seed {one['seed']}",
            number(one["test"]),
            one["best"],
            f"{number(one['gain']['value'])} ({number(one['gain']['low'])} to {number(one['gain']['high'])})",
            ", ".join(f"{w:.0%} {n}" for n, w in zip(one["names"], one["weights"], strict=True) if w > 0),
        ]
        for one in found.ensembles
    ]
    table = Table(["split", f"test {_name(found)}", "best member", "gain (95 %)", "members"], rows)
    first = found.ensembles[0]
    drawings = [weights_drawing(first["names"], first["weights"])]
    for name, matrix in first["diversity"].items():
        title, low, high, caption = MATRICES[name]
        said = f"{caption} On the test split of seed {first['seed']}."
        drawings.append(matrix_drawing(first["names"], matrix, title=title, caption=said, low=low, high=high))
    return Section(name="ensemble", title="Ensemble", text=text, tables=[table], drawings=drawings)


def _settings(found: Comparison) -> Section:
    asked = found.study.asked
    settings = [[name.replace("_", " "), str(value)] for name, value in asked["settings"].items()]
    rows = [
        ["data", asked["source"]],
        ["inputs", asked["inputs"]],
        ["seeds", ", ".join(map(str, found.seeds))],
        *settings,
    ]
    text = f"Do it again with: {asked['command']}\n\nEach run is a directory of its own under trials/, with its events "
    text += "and its model; chainrule report makes its page, chainrule predict uses it."
    return Section(name="settings", title="Settings", text=text, tables=[Table(["setting", "value"], rows)])
