"""The page of a search: data, checks, search, curves, ensemble, cost, and the command to run next."""

import math
import shlex
from collections import Counter

from chainrule import registry
from chainrule.doctor.finding import Finding
from chainrule.report.drawing import Drawing, page_style
from chainrule.report.figures import outcome_drawings
from chainrule.report.glossary import term
from chainrule.report.sheet import Section, Sheet, Table
from chainrule.report.study_curves import learning_curves_drawing
from chainrule.report.study_drawings import matrix_drawing, weights_drawing
from chainrule.report.study_search import isolation_drawing, search_drawing
from chainrule.report.tables import Fact
from chainrule.report.wording import counted, duration, number
from chainrule.study.comparison_page import MATRICES
from chainrule.study.events import Tried
from chainrule.study.spaces import SPACES
from chainrule.study.study import Study
from chainrule.training.events import Epoch, Evaluated

#: The metric that stands for a model, by kind of target.
METRICS = {"classes": "accuracy", "labels": "f1", "real": "r2"}
#: What the steps of a search are called.
STEPS = {
    "search": "options of estimators",
    "rates": "step 3: rates",
    "grid": "step 4: grid",
    "default": "step 5: the defaults",
    "longer": "step 5: longer",
}
#: Steps whose trials differ in rate and weight decay.
SEARCHED = ("rates", "grid", "longer", "default")
#: Steps whose trials are trained to the end.
WHOLE = ("search", "default", "longer", "regularise", "larger", "smaller-rate")


def tuning_sheet(study: Study) -> Sheet:
    """The page of a search, of what there is of it.

    Args:
        study: The study.
    """
    asked = study.asked
    outcome = next(iter(study.measured("test")), None)
    failed = [one for one in study.tried if one.error]
    facts = [
        Fact("trials", str(len(study.tried)), counted(len(failed), "failure") if failed else "none failed"),
        Fact("time", duration(study.notes[-1].elapsed if study.notes else 0.0), f"of {duration(asked['budget'])}"),
        Fact("validated on", f"{asked['folds']} folds" if asked["folds"] > 1 else "one split"),
    ]
    if outcome:
        facts.insert(0, Fact(f"test {_title(study)}", number(outcome["ensemble"]), f"{asked['sizes']['test']} samples"))
    sections = [
        _recipe(study),
        _data(study),
        _checks(study),
        _search(study),
        _curves(study),
        _ensemble(study),
        _errors(study),
    ]
    sections.append(_cost(study))
    return Sheet(
        kind="search",
        title=f"{asked['data']}: {asked['model'] if asked['model'] != 'auto' else 'the best of several models'}",
        verdict=verdict(study),
        facts=facts,
        next_command=next_command(study),
        sections=[section for section in sections if section],
    )


def verdict(study: Study) -> str:
    """What came out of a search, in a sentence or two."""
    outcome = next(iter(study.measured("test")), None)
    if outcome is None:
        last = study.decisions[-1].sentence if study.decisions else "Nothing has been tried yet."
        return f"There is no final model. {last}"
    said = f"Test {_title(study)} {number(outcome['ensemble'])} on {counted(study.asked['sizes']['test'], 'sample')}"
    if outcome["default"] is not None:
        said += f"; the network's defaults reach {number(outcome['default'])}"
    return f"{said}. {outcome['sentence']}"


def next_command(study: Study) -> str:
    """The command to run next: use the model, go on, or look for what is wrong."""
    source = shlex.quote(study.asked["source"])
    if study.measured("test"):
        return f"chainrule predict {shlex.quote(str(study.directory))} DATA"
    if any(not found["sound"] for found in study.measured("checks")):
        return f"chainrule check {source}"
    return f"chainrule resume {shlex.quote(str(study.directory))}"


def _title(study: Study) -> str:
    kind = study.asked["target"]["kind"]
    return term(METRICS[kind], kind).title


def _recipe(study: Study) -> Section:
    told = [f"After {duration(note.elapsed)}, {note.step}: {note.sentence}" for note in study.decisions]
    return Section(name="recipe", title="The recipe", text="\n\n".join(told))


def _data(study: Study) -> Section:
    asked = study.asked
    sizes = ", ".join(f"{count} {name}" for name, count in asked["sizes"].items())
    text = f"{asked['data']}: {sizes} samples; inputs are {asked['inputs']}, "
    text += f"the target is {', '.join(asked['target']['names'][:12])} ({asked['target']['kind']})."
    if asked["folds"] > 1:
        text += (
            f"\n\nCandidates are measured by {asked['folds']}-fold cross-validation on all samples but those of the "
        )
        text += "test split, which is looked at once, at the end."
    return Section(name="data", title="Data", text=text)


def _checks(study: Study) -> Section | None:
    found = [Finding(**finding) for values in study.measured("checks") for finding in values["findings"]]
    return Section(name="checks", title="Checks", findings=found) if found else None


def _search(study: Study) -> Section | None:
    metric = METRICS[study.asked["target"]["kind"]]
    tried = [one for one in study.tried if not one.error and one.valid.get(metric) is not None]
    if not tried:
        return None
    title = f"validation {_title(study)}"
    drawings = [
        search_drawing(
            [one.elapsed for one in tried],
            [one.valid[metric] for one in tried],
            [STEPS.get(one.trial.step, f"step 7: {one.trial.step}") for one in tried],
            metric=title,
            rising=True,
        )
    ]
    networks = [one for one in tried if one.trial.step in SEARCHED and one.rate]
    for name, values in (
        ("rate", [one.rate for one in networks]),
        ("weight decay", [float(one.trial.settings.get("weight_decay", 0.0)) for one in networks]),
    ):
        if len(set(values)) > 1:
            bounds = (min(values), max(values))
            drawings.append(_isolated(name, values, networks, title, bounds=bounds, log=True))
    for model, space in SPACES.items():
        for option, range_ in space.items():
            calls = [(one, registry.parse(one.trial.model)) for one in tried if one.trial.step == "search"]
            own = [(one, call.options[option]) for one, call in calls if call.name == model and option in call.options]
            if len({value for _, value in own}) > 1:
                name, bounds = f"{option} of {model.rpartition('.')[2]}", (range_.low, range_.high)
                values = [float(value) for _, value in own]
                drawings.append(_isolated(name, values, [one for one, _ in own], title, bounds=bounds, log=range_.log))
    return Section(name="search", title="Search", drawings=drawings)


def _isolated(
    name: str, values: list[float], tried: list[Tried], title: str, *, bounds: tuple[float, float], log: bool
) -> Drawing:
    metric = next(name for name in METRICS.values() if name in tried[0].valid)
    scores = [one.valid[metric] for one in tried]
    best = max(range(len(scores)), key=lambda i: scores[i])
    return isolation_drawing(name, values, scores, bounds=bounds, best=best, metric=title, rising=True, log=log)


def _curves(study: Study) -> Section | None:
    metric = METRICS[study.asked["target"]["kind"]]
    curves: dict[str, list[list[float]]] = {}
    for one in study.tried:
        if one.trial.step in WHOLE and not one.error and one.epochs:
            told = ", ".join(
                f"{k} {v}" for k, v in one.trial.settings.items() if k not in ("fold", "epochs", "schedule")
            )
            epochs = [event for event in study.run(one.trial).events if isinstance(event, Epoch)]
            values = [epoch.valid.get(metric, math.nan) for epoch in epochs]
            curves.setdefault(f"{one.trial.model} {told or 'as fit'}", []).append(values)
    if not curves:
        return None
    kept = dict(list(curves.items())[:8])
    drawing = learning_curves_drawing(list(kept), kept, {}, metric=f"validation {_title(study)}", rising=True)
    return Section(name="curves", title="Curves", drawings=[drawing])


def _ensemble(study: Study) -> Section | None:
    chosen = next((note for note in study.decisions if note.step == "ensemble"), None)
    if chosen is None:
        return None
    names, weights = chosen.values["names"], chosen.values["weights"]
    drawings = [weights_drawing(names, weights)]
    if len(names) > 1:
        for name, matrix in chosen.values["diversity"].items():
            title, low, high, caption = MATRICES[name]
            drawings.append(matrix_drawing(names, matrix, title=title, caption=caption, low=low, high=high))
    return Section(name="ensemble", title="Ensemble", text=chosen.sentence, drawings=drawings)


def _errors(study: Study) -> Section | None:
    if not study.measured("test"):
        return None
    evaluated = next(event for event in study.best.events if isinstance(event, Evaluated))
    with page_style():
        drawings = outcome_drawings(evaluated, study.asked["target"]["kind"])
    text = "The final model on the test split. Its worst samples, one by one, are on its own page, best/report.html."
    return Section(name="errors", title="Errors", text=text, drawings=drawings)


def _cost(study: Study) -> Section:
    seconds: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    for one in study.tried:
        seconds[one.trial.step] += one.seconds  # type: ignore[assignment] # a Counter counts seconds as well
        trials[one.trial.step] += 1
    rows = [
        [STEPS.get(step, f"step 7: {step}"), str(trials[step]), duration(total)]
        for step, total in seconds.most_common()
    ]
    text = f"Do it again with: {study.asked['command']}"
    table = Table(["step", "trials", "time on one core"], rows)
    return Section(name="cost", title="Cost", text=text, tables=[table])
