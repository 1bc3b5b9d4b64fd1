"""Studies that never happened: scores, curves and trials of many models or of two, and the page made of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.doctor.finding import Finding
from chainrule.report import study_curves, study_drawings, study_search
from chainrule.report.drawing import Drawing
from chainrule.report.sheet import Section, Sheet, Table
from chainrule.report.tables import Fact
from chainrule.report.wording import counted, number
from chainrule.study import statistics
from chainrule.training.evaluation import calibration

LONG = (
    "resnet20(width=16, activation='maxout2')",
    "resnet20(width=16, activation='melu-k8')",
    "lenet5",
    "mlp(width=128, dropout=0.25, layers=3)",
    "sklearn.ensemble.GradientBoostingClassifier",
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.svm.SVC(C=10.0, gamma='scale', kernel='rbf')",
    "knn",
    "naive-bayes",
    "a model with a name so long that no row and no table can ever have room for all of it",
    "logistic-regression(penalty=0.0001)",
    "<script>alert(1)</script>",
)
STEPS = ("coarse grid", "trained longer", "more regularisation", "smaller rate")


@dataclass(frozen=True)
class Study:
    """What the runs of a comparison gave.

    Attributes:
        names: Names of the models; every other one is an estimator.
        scores: ``[models, seeds]``.
        seconds: Mean training time of each model.
        curves: For each network and seed the score after each epoch.
        marks: For each estimator the score of each seed.
        calibration: For each model the calibration of each seed.
    """

    names: list[str]
    scores: np.ndarray
    seconds: list[float]
    curves: dict[str, list[list[float]]]
    marks: dict[str, list[float]]
    calibration: dict[str, list[dict[str, Any]]]


def study(models: int, seeds: int) -> Study:
    """Scores that fall from model to model, the last but two of many far behind."""
    random = np.random.default_rng(models)
    names = list(LONG[:models])
    level = 0.97 - 0.012 * np.arange(models) - (np.arange(models) == 9) * 0.7
    scores = level[:, None] + 0.008 * random.standard_normal((models, seeds)) + 0.006 * random.standard_normal(seeds)
    curves, marks = {}, {}
    for place, name in enumerate(names):
        if place % 2:
            marks[name] = (scores[place] - 0.004).tolist()
            continue
        epochs = 10 + place
        curves[name] = [
            (score * (1 - 0.8 * 0.6 ** np.arange(1, epochs + seed + 1)) + 0.004 * random.standard_normal(epochs + seed))
            .clip(0, 1)
            .tolist()
            for seed, score in enumerate(scores[place])
        ]
    sure = {}
    for place, name in enumerate(names):
        stated = random.beta(4, 1.3, (seeds, 300))
        sure[name] = [calibration(row, random.uniform(size=300) < row ** (0.7 + 0.12 * place)) for row in stated]
    seconds = (0.2 * 3.0 ** random.uniform(0, 5, models)).tolist()
    return Study(names, scores, seconds, curves, marks, sure)


def matrices(models: int) -> dict[str, np.ndarray]:
    """Symmetric matrices of Yule's Q and of the disagreement."""
    random = np.random.default_rng(models)
    q = random.uniform(-0.6, 1, (models, models))
    differ = random.uniform(0, 0.3, (models, models))
    return {"Yule's Q": (q + q.T) / 2, "Disagreement": (differ + differ.T) / 2}


def compared(data: Study) -> list[Drawing]:
    """The drawings of a comparison."""
    what = {"metric": "test accuracy", "rising": True}
    models, seeds = data.scores.shape
    mean = statistics.ranks(data.scores, rising=True)
    cd = statistics.critical_difference(models, seeds)
    return [
        study_drawings.scores_drawing(data.names, data.scores.tolist(), **what),
        study_drawings.critical_difference_drawing(
            data.names, mean.tolist(), cd, statistics.cliques(mean, cd), seeds=seeds
        ),
        study_drawings.cost_drawing(data.names, data.scores.mean(1).tolist(), data.seconds, **what),
    ]


def learned(data: Study) -> list[Drawing]:
    """The drawings of how the models learned, and of how sure they are."""
    return [
        study_curves.learning_curves_drawing(
            data.names, data.curves, data.marks, metric="validation accuracy", rising=True
        ),
        study_curves.calibration_drawing(data.calibration),
    ]


def combined(data: Study) -> list[Drawing]:
    """The drawings of an ensemble."""
    models = len(data.names)
    weights = np.random.default_rng(1).dirichlet(np.ones(models)).tolist()
    drawn = [
        study_drawings.matrix_drawing(
            data.names, matrix, title=title, caption="Below 0 they err on different samples.", low=low, high=1.0
        )
        for (title, matrix), low in zip(matrices(models).items(), (-1.0, 0.0), strict=True)
    ]
    return [*drawn, study_drawings.weights_drawing(data.names, weights)]


def searched(trials: int = 40) -> list[Drawing]:
    """The drawings of a search in which some trials diverge."""
    random = np.random.default_rng(trials)
    rates = 10 ** random.uniform(-4, 0, trials)
    decay = random.choice([0.0, 1e-5, 1e-4, 1e-3], trials)
    score = 0.95 - 0.08 * (np.log10(rates) + 2) ** 2 + 0.01 * random.standard_normal(trials)
    scores = [None if rate > 0.6 else float(max(value, 0.1)) for rate, value in zip(rates, score, strict=True)]
    best = int(np.nanargmax([np.nan if value is None else value for value in scores]))
    what = {"metric": "validation accuracy", "rising": True}
    ended = np.cumsum(random.uniform(2, 12, trials)).tolist()
    steps = [STEPS[len(STEPS) * trial // trials] for trial in range(trials)]
    return [
        study_search.search_drawing(ended, scores, steps, **what),
        study_search.isolation_drawing(
            "learning rate", rates.tolist(), scores, bounds=(1e-4, 1.0), best=best, log=True, **what
        ),
        study_search.isolation_drawing(
            "weight decay", decay.tolist(), scores, bounds=(0.0, 1e-3), best=best, log=True, **what
        ),
    ]


def sheet(models: int, seeds: int) -> Sheet:
    """The whole page of a study."""
    data = study(models, seeds)
    order = np.argsort(-data.scores.mean(1))
    best = int(order[0])
    tests = [statistics.paired(data.scores[best], data.scores[i], ratio=0.25) for i in order[1:]]
    adjusted = statistics.holm([test.p for test in tests])
    table = Table(
        ["Model", "Test accuracy", "± over seeds", "Training", "Behind", "95 % interval", "p", "p (Holm)"],
        [
            [data.names[best], number(data.scores[best].mean()), number(0.012), "3 min 12 s", "–", "–", "–", "–"],
            *(
                [
                    data.names[i],
                    number(float(data.scores[i].mean())),
                    number(0.011),
                    f"{data.seconds[i]:.1f} s",
                    number(test.difference),
                    f"{number(test.low)} to {number(test.high)}",
                    number(test.p),
                    number(p),
                ]
                for i, test, p in zip(order[1:], tests, adjusted, strict=True)
            ),
        ],
        "Means over the seeds. The paired test is that of Nadeau and Bengio, corrected for overlapping splits, against "
        "the best model; p (Holm) is corrected for making several tests.",
        best=0,
    )
    findings = [
        Finding(check="seeds", status="WARN", sentence="Few seeds.", cause="Little time.", remedy="Write --seeds 10."),
        Finding(check="splits", status="PASS", sentence="All models saw the same splits."),
    ]
    return Sheet(
        kind="comparison",
        title="digits",
        verdict=f"{data.names[best]} is best with a test accuracy of {number(float(data.scores[best].mean()))} over "
        f"{counted(seeds, 'split')}. Two others cannot be told from it.",
        facts=[
            Fact("Best accuracy", number(float(data.scores[best].mean())), "± 0.012"),
            Fact("Models", str(models), f"{counted(seeds, 'split')} each"),
            Fact("Gain of the ensemble", "0.006", "0.001 to 0.011"),
            Fact("Time", "12 min 4 s", "2 processes"),
        ],
        next_command=f"chainrule fit digits --model {data.names[best].split('(')[0]} --seed 3 --epochs 40",
        sections=[
            Section(
                name="scores",
                title="Which is best",
                text="All models were trained on the same splits.\n\nHigher is better.",
                tables=[table],
                drawings=compared(data),
            ),
            Section(name="learning", title="How they learned", drawings=learned(data)),
            Section(name="ensemble", title="Together", text="Members that differ.", drawings=combined(data)),
            Section(name="search", title="The search", drawings=searched()),
            Section(name="checks", title="What the checks say", findings=findings),
        ],
    )
