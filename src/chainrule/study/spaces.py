"""What is searched: the options of estimators that matter, and the companions that ``--model auto`` tries.

Ranges are for standardised features. A model that is not here is tried with its own defaults.
"""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainrule import registry
from chainrule.data import Data
from chainrule.data.spec import Vector

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Range:
    """Numbers from the least to the greatest, both included.

    Attributes:
        low: The least.
        high: The greatest.
        log: Whether factors count, not differences.
        whole: Whether only whole numbers are meant.
    """

    low: float
    high: float
    log: bool = True
    whole: bool = False

    def distribution(self) -> "BaseDistribution":
        """The same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


Space = Mapping[str, Range]

FOREST = {"max_features": Range(0.1, 1.0, log=False), "min_samples_leaf": Range(1, 10, whole=True)}
#: The options of an estimator that are searched, by its name.
SPACES: Mapping[str, Space] = {
    "svm": {"C": Range(1e-2, 1e3), "gamma": Range(1e-4, 1.0)},
    "logistic": {"C": Range(1e-3, 1e3)},
    "ridge": {"alpha": Range(1e-3, 1e4)},
    "knn": {"n_neighbors": Range(1, 30, whole=True)},
    "qda": {"reg_param": Range(1e-4, 1.0)},
    "naive-bayes": {"var_smoothing": Range(1e-9, 1.0)},
    "sklearn.svm.SVC": {"C": Range(1e-2, 1e3), "gamma": Range(1e-4, 1.0)},
    "sklearn.svm.SVR": {"C": Range(1e-2, 1e3), "gamma": Range(1e-4, 1.0)},
    "sklearn.ensemble.RandomForestClassifier": FOREST,
    "sklearn.ensemble.RandomForestRegressor": FOREST,
    "sklearn.ensemble.ExtraTreesClassifier": FOREST,
    "sklearn.ensemble.ExtraTreesRegressor": FOREST,
    "sklearn.ensemble.GradientBoostingClassifier": {
        "learning_rate": Range(0.02, 0.3),
        "max_depth": Range(1, 6, whole=True),
    },
    "sklearn.ensemble.GradientBoostingRegressor": {
        "learning_rate": Range(0.02, 0.3),
        "max_depth": Range(1, 6, whole=True),
    },
    "sklearn.ensemble.HistGradientBoostingClassifier": {
        "learning_rate": Range(0.02, 0.3),
        "max_leaf_nodes": Range(4, 64, whole=True),
    },
    "sklearn.ensemble.HistGradientBoostingRegressor": {
        "learning_rate": Range(0.02, 0.3),
        "max_leaf_nodes": Range(4, 64, whole=True),
    },
}

#: Estimators that are good on most tables, tried beside the default network; by the kind of target.
COMPANIONS = {
    "classes": (
        "svm",
        "logistic",
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.ensemble.GradientBoostingClassifier",
    ),
    "real": ("ridge", "svm", "sklearn.ensemble.RandomForestRegressor", "sklearn.ensemble.GradientBoostingRegressor"),
}
#: Samples up to which they are tried: a kernel machine's time grows with their square.
MOST = 5000
#: Numbers in a sample up to which trees are tried.
WIDEST = 200


def space_of(model: str) -> Space:
    """What is searched of an estimator: the options that its call leaves open."""
    call = registry.parse(model)
    return {name: range_ for name, range_ in SPACES.get(call.name, {}).items() if name not in call.options}


def with_options(model: str, **options: Any) -> str:
    """The call with further options."""
    call = registry.parse(model)
    return str(registry.Call(call.name, {**call.options, **options}))


def companions(data: Data) -> list[str]:
    """The estimators that suit this data; none for many samples, labels or several numbers."""
    single = data.target.kind != "real" or len(data.target.names) == 1
    if len(data.train) > MOST or not single:
        return []
    size = math.prod(data.inputs.shape)
    names = COMPANIONS.get(data.target.kind, ())
    if isinstance(data.inputs, Vector):
        return list(names)
    return [name for name in names if not (name.startswith("sklearn") and size > WIDEST)]


#: The larger form of a network that has no width to be doubled.
LARGER = {"linear": "mlp", "lenet5": "resnet20", "vgg11": "vgg13", "vgg13": "vgg16", "vgg16": "vgg19"}


def option(model: str, name: str) -> Any:
    """The value that a network's call gives to an option, else its default; None where it has no such option."""
    call = registry.parse(model)
    row = registry.entries("model").get(call.name)
    if row is None or name not in registry.keywords(row.build):
        return None
    default = inspect.signature(row.build).parameters[name].default
    return call.options.get(name, row.preset.get(name, default))


def larger(model: str) -> str | None:
    """A larger form of a network: twice its width, or the next of its kind; None where there is none."""
    width = option(model, "width")
    if isinstance(width, int):
        return with_options(model, width=2 * width)
    return LARGER.get(registry.parse(model).name)
