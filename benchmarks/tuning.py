"""How good the model is that ``chainrule tune`` finds, beside scikit-learn's best and beside ``fit`` with its defaults.

    python -m benchmarks.tuning [NAMES] [--budget 2m] [--seeds 1] [--json FILE]

Each data set is tuned without a word of help. The peers are a support vector machine, gradient boosting and a random
forest, each with a grid search by five-fold cross-validation on the same samples (all but the test split) and fitted on
all of them; the best of their test scores counts. Variants: 20 % of the targets outside of the test split exchanged
(noisy), all of them exchanged (shuffled: nothing can be learned), 60 samples outside of the test split (tiny).
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

import chainrule as cr

BUNDLED = {
    "digits": datasets.load_digits,
    "wine": datasets.load_wine,
    "breast-cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
}
VARIANTS = ("", "-noisy", "-shuffled", "-tiny")
NAMES = [name + variant for variant in VARIANTS for name in BUNDLED]
SVM = {"C": [0.1, 1, 10, 100, 1000], "gamma": ["scale", 1e-4, 1e-3, 1e-2, 1e-1]}
TREES = {"learning_rate": [0.03, 0.1, 0.3], "max_depth": [1, 2, 3]}
FOREST = {"max_features": ["sqrt", 0.5, 1.0], "min_samples_leaf": [1, 3]}


def arrays(name: str, seed: int) -> dict[str, np.ndarray]:
    """A data set with its splits, as the arrays of an ``.npz`` file."""
    base, _, variant = name.rpartition("-") if name.endswith(VARIANTS[1:]) else (name, "", "")
    source = BUNDLED[base](return_X_y=True)
    x, y = (np.asarray(part) for part in source)
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(y))
    test, rest = order[: round(0.2 * len(y))], order[round(0.2 * len(y)) :]
    if variant == "tiny":
        rest = rest[:60]
    given = y[rest].copy()
    share = {"noisy": 0.2, "shuffled": 1.0}.get(variant, 0.0)
    wrong = draw.permutation(len(rest))[: round(share * len(rest))]
    given[wrong] = given[draw.permutation(wrong)]
    x = x.reshape(-1, 8, 8).astype(np.uint8) if base == "digits" else x
    return {"x_train": x[rest], "y_train": given, "x_test": x[test], "y_test": y[test]}


def peers(data: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    """Test score of each peer, tuned on all other samples."""
    x, y = data["x_train"].reshape(len(data["x_train"]), -1), data["y_train"]
    classes = y.dtype.kind in "iu"
    machine = make_pipeline(StandardScaler(), SVC() if classes else SVR())
    grid = {f"{'svc' if classes else 'svr'}__{option}": values for option, values in SVM.items()}
    boosting, forest = (
        (
            GradientBoostingClassifier(max_features="sqrt", random_state=seed),
            RandomForestClassifier(300, random_state=seed),
        )
        if classes
        else (GradientBoostingRegressor(random_state=seed), RandomForestRegressor(300, random_state=seed))
    )
    found = {}
    for name, model, options in (("svm", machine, grid), ("boosting", boosting, TREES), ("forest", forest, FOREST)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class")
            search = GridSearchCV(model, options, cv=5, n_jobs=2).fit(x, y)
        found[name] = float(search.score(data["x_test"].reshape(len(data["x_test"]), -1), data["y_test"]))
    return found


def contest(name: str, seed: int, budget: str) -> dict[str, Any]:
    """One data set: the tuned model, the defaults of ``fit``, the peers."""
    data = arrays(name, seed)
    metric = "accuracy" if data["y_train"].dtype.kind in "iu" else "r2"
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"{name}.npz"
        np.savez(path, **data)
        began = time.perf_counter()
        study = cr.tune(path, budget=budget, seed=seed, out=Path(place) / "study")
        took = time.perf_counter() - began
        tuned = study.best.test[metric]
        plain = cr.fit(path, seed=seed, out=Path(place) / "run").test[metric]
        said = [note.sentence for note in study.decisions if note.step in ("ensemble", "stop", "end")]
    found = peers(data, seed)
    return {"name": name, "seed": seed, "tune": tuned, "fit": plain, **found, "seconds": took, "said": said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, help=", ".join(NAMES))
    parser.add_argument("--budget", default="2m")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    print(
        f"{'data':22}{'seed':>5}{'tune':>8}{'fit':>8}{'svm':>8}{'boost':>8}{'forest':>8}{'over best':>10}{'seconds':>9}"
    )
    rows = []
    for seed in range(asked.seeds):
        for name in asked.names:
            row = contest(name, seed, asked.budget)
            rows.append(row)
            best = max(row[peer] for peer in ("svm", "boosting", "forest"))
            scores = "".join(f"{row[column]:8.4f}" for column in ("tune", "fit", "svm", "boosting", "forest"))
            print(f"{name:22}{seed:5}{scores}{100 * (row['tune'] - best):+10.2f}{row['seconds']:9.0f}", flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
