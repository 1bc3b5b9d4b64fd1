"""Anybody's estimators of scikit-learn's kind as networks, by their dotted names: ``sklearn.svm.SVC(C=10)``.

They learn from the prepared inputs as arrays of float64, and from indices of classes, zeros and ones, or standardised
real targets. What they have learned is saved without a pickle, as the bytes of skops in a tensor of the ``state_dict``.
A file names types by text: only those are loaded that skops trusts by default, and classes of the modules of
scikit-learn in ``PARTS``.
"""

import importlib
import inspect
import io
import re
import zipfile
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.utils import get_tags
from torch import nn

from chainrule import registry
from chainrule.data.spec import Labels, Real, Target
from chainrule.errors import InputError, UnknownNameError
from chainrule.models.classical import FEW, Classical
from chainrule.models.importing import imported
from chainrule.shapes import Float, Num, Tensor

#: Modules whose classes estimators of scikit-learn are made of.
PARTS = (
    *("sklearn._loss", "sklearn.calibration", "sklearn.ensemble", "sklearn.gaussian_process", "sklearn.linear_model"),
    *("sklearn.metrics._dist_metrics", "sklearn.neighbors", "sklearn.neural_network", "sklearn.svm", "sklearn.tree"),
)
#: The kind of estimator that learns a kind of target.
KIND = {"classes": "classifier", "labels": "classifier", "real": "regressor"}
#: An attribute that an estimator has learned, and shows.
LEARNED = re.compile(r"[^_].*[^_]_")
#: Folds of the calibration of scores.
FOLDS = 5


def row(call: registry.Call) -> registry.Entry:
    """A registry row for an estimator that is called by its dotted name; of one of ours, its own row.

    Args:
        call: The dotted name of a class, with options.

    Raises:
        UnknownNameError: When its module has no such class, or it has no such option.
        InputError: When it cannot be imported, or is no classifier and no regressor.
    """
    place, _, name = call.name.rpartition(".")
    module = imported(place, name=call.name, wanted="the name of a class")
    build = getattr(module, name, None)
    if build is None:
        raise UnknownNameError(
            f"class of {place}", name, [key for key, v in vars(module).items() if inspect.isclass(v)]
        )
    for kind in ("classifier", "regressor"):
        for entry in registry.entries(kind).values():
            if entry.build is build:
                return entry
    if inspect.isclass(build) and hasattr(build, "fit") and hasattr(build, "predict"):
        estimator = made(build, call)
        for kind, has in (("classifier", is_classifier), ("regressor", is_regressor)):
            if hasattr(estimator, "__sklearn_tags__") and has(estimator):
                return registry.Entry(kind=kind, name=call.name, build=build)
    raise InputError(
        f"{call.name} is no classifier and no regressor of scikit-learn's kind; take one that is, or write "
        "'module:factory' for a network of your own."
    )


def made(build: Any, call: registry.Call) -> Any:
    """The estimator of a call, not fitted yet.

    Args:
        build: Its class.
        call: Its name and options.

    Raises:
        UnknownNameError: When it has no such option.
    """
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inspect.signature(build).parameters.values()):
        return registry.call(build, call.options, call.name)
    # Its signature does not name all of its options.
    known = build().get_params(deep=False)
    for option in call.options:
        if option not in known:
            raise UnknownNameError(f"option of {call.name}", option, known)
    return build(**call.options)


def build(call: registry.Call, entry: registry.Entry, target: Target) -> nn.Module:
    """The estimator of a call, as a network for this target.

    Args:
        call: Its dotted name and its options.
        entry: The row that :func:`row` gave.
        target: What it is to learn.

    Raises:
        InputError: When it does not learn such targets, or cannot be saved.
    """
    if entry.kind != KIND[target.kind]:
        raise InputError(f"{call.name} is a {entry.kind}, but this target is {target}; take a {KIND[target.kind]}.")
    if entry.name != call.name:
        return Classical.build(registry.Call(entry.name, call.options), target)
    estimator = made(entry.build, call)
    tags = get_tags(estimator)
    if isinstance(target, Labels) and not (tags.classifier_tags and tags.classifier_tags.multi_label):
        raise InputError(
            f"{call.name} learns one class out of several, but this target is {target}; take a classifier that learns "
            "labels, such as sklearn.ensemble.RandomForestClassifier."
        )
    if isinstance(target, Real) and len(target.names) > 1 and not tags.target_tags.multi_output:
        raise InputError(
            f"{call.name} learns one real number, but this target is {target}; name one column with --target, or take "
            "a regressor that learns several, such as sklearn.linear_model.Ridge."
        )
    return Foreign(estimator, target, calibrated="probability" not in call.options)


def packed(estimator: BaseEstimator) -> Tensor:
    """An estimator as the bytes of skops, uint8 ``[n]``.

    Args:
        estimator: Fitted or not.

    Raises:
        InputError: When it holds something that would not be loaded again.
    """
    # This module is loaded with all models; skops is slow to import, and only a call of an estimator needs it.
    from skops import io as skops

    name = type(estimator).__name__
    try:
        data = skops.dumps(estimator, compression=zipfile.ZIP_DEFLATED)
        strange = [kind for kind in skops.get_untrusted_types(data=data) if not _is_part(kind)]
    except Exception as error:  # an estimator may hold anything
        raise InputError(f"{name} cannot be saved without a pickle ({error}); take another model.") from error
    if strange:
        raise InputError(
            f"{name} cannot be saved without a pickle, because it holds {strange[0]}, which skops does not trust; take "
            "another model."
        )
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def unpacked(saved: Tensor) -> Any:
    """The estimator that :func:`packed` saved.

    Args:
        saved: The bytes.

    Raises:
        InputError: When they name a type that is not trusted, or are no estimator that this version can read.
    """
    from skops import io as skops

    data = saved.cpu().numpy().tobytes()
    try:
        kinds = skops.get_untrusted_types(data=data)
        return skops.loads(data, trusted=[kind for kind in kinds if _is_part(kind)])
    except Exception as error:  # nothing is known of what a file holds
        raise InputError(f"The saved estimator cannot be read: {error}") from error


class Foreign(Classical):
    """An estimator of scikit-learn's kind with the outputs of a network, and nothing that a gradient could move.

    Its outputs are those of :class:`Classical`; of labels they are log-odds. A classifier with the option
    ``probability`` is calibrated by sigmoids on the scores of five folds, as scikit-learn advises instead of it; others
    without probabilities give their scores.

    Args:
        estimator: The estimator, not fitted yet.
        target: What it is to learn.
        calibrated: Whether to calibrate an estimator with the option ``probability``.

    Raises:
        InputError: When it could not be saved.
    """

    def __init__(self, estimator: BaseEstimator, target: Target, *, calibrated: bool = True) -> None:
        super().__init__(estimator, len(target.names))
        self.target = target
        self.calibrated = calibrated and "probability" in estimator.get_params(deep=False)
        self.saved = packed(estimator)

    @property
    def sums(self) -> bool:
        return False

    @property
    def natural_units(self) -> bool:
        return get_tags(self.estimator).target_tags.positive_only

    def get_extra_state(self) -> dict[str, Any]:
        return {"skops": self.saved}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Give back what ``state_dict`` took.

        Raises:
            InputError: When it is of another kind of estimator, or cannot be read.
        """
        if list(state) != ["skops"]:
            raise InputError(f"The saved numbers are not those of {type(self.estimator).__name__}.")
        self.saved = state["skops"]
        self.estimator = unpacked(self.saved)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        # The estimator stays on the CPU.
        return nn.Module._apply(self, fn, recurse)

    def _fit(self, x: Float[Tensor, "n d"], y: Num[Tensor, "n ..."], weight: Tensor | None) -> None:
        name = type(self.estimator).__name__
        if self.calibrated and not isinstance(self.estimator, CalibratedClassifierCV):
            folds = min(FOLDS, int(y.unique(return_counts=True)[1].min()))
            if folds > 1:
                self.estimator = CalibratedClassifierCV(self.estimator, ensemble=False, cv=folds)
        options = {} if weight is None else {"sample_weight": weight.double().cpu().numpy()}
        try:
            self.estimator.fit(x.cpu().numpy(), y.cpu().numpy(), **options)
        except Exception as error:  # anybody's code may raise anything
            raise InputError(f"{name} cannot learn from this data: {' '.join(str(error).split())}") from error
        self.saved = packed(self.estimator)

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        rows = x.flatten(1).double().cpu().numpy()
        outputs = torch.as_tensor(np.asarray(self._outputs(rows)), dtype=torch.float64).reshape(len(rows), -1)
        return outputs.float().to(x.device)

    def _outputs(self, rows: np.ndarray) -> Any:
        """Log-probabilities, log-odds, scores, or standardised targets."""
        estimator: Any = self.estimator
        if self.target.kind == "real":
            values = torch.as_tensor(estimator.predict(rows), dtype=torch.float64).reshape(len(rows), self.outputs)
            return self.units.inverse(values)
        if self.target.kind == "labels":
            return self._log_odds(rows)
        if hasattr(estimator, "predict_proba"):
            return np.log(np.maximum(estimator.predict_proba(rows), torch.finfo(torch.float32).tiny))
        # Scores of pairs of classes are none of classes.
        pairs = getattr(estimator, "decision_function_shape", "ovr") == "ovo"
        if hasattr(estimator, "decision_function") and not pairs:
            scores = estimator.decision_function(rows)
            return np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores
        return F.one_hot(torch.as_tensor(estimator.predict(rows)), self.outputs)

    def _log_odds(self, rows: np.ndarray) -> Any:
        """The logarithm of ``p / (1 - p)`` for each label."""
        estimator: Any = self.estimator
        if hasattr(estimator, "predict_proba"):
            chances = estimator.predict_proba(rows)
            if isinstance(chances, list):
                # A label that no training row has, or each of them, has one column.
                chances = [p @ np.equal(names, 1) for p, names in zip(chances, estimator.classes_, strict=True)]
                chances = np.stack(chances, axis=1)
            elif self.outputs == 1:
                chances = chances @ np.equal(estimator.classes_, 1)
            least = float(torch.finfo(torch.float32).eps)
            chances = np.clip(chances, least, 1 - least)
            return np.log(chances / (1 - chances))
        if hasattr(estimator, "decision_function"):
            return estimator.decision_function(rows)
        return 2 * estimator.predict(rows) - 1

    def learned(self) -> dict[str, Any]:
        values = {
            name.rstrip("_"): value for name, value in sorted(vars(self.estimator).items()) if LEARNED.fullmatch(name)
        }
        plain = {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}
        for name, value in values.items():
            if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf" and 0 < value.size <= FEW:
                plain[name] = value.tolist()
        return {name: value for name, value in plain.items() if name not in ("n_features_in", "classes")}

    def numbers(self) -> int:
        with zipfile.ZipFile(io.BytesIO(self.saved.numpy().tobytes())) as archive:
            arrays = [name for name in archive.namelist() if name.endswith(".npy")]
            return sum(np.load(archive.open(name), allow_pickle=False).size for name in arrays)


def _is_part(name: str) -> bool:
    """Whether a type of this name is a class of the modules of scikit-learn that estimators are made of."""
    place, _, last = name.rpartition(".")
    if not any(f"{place}.".startswith(f"{part}.") for part in PARTS):
        return False
    return inspect.isclass(getattr(importlib.import_module(place), last, None))
