"""Open-set decisions: a sample may belong to none of the known classes (Scheirer et al. 2013).

The best class is accepted if its score exceeds a threshold ``t``, else the sample is rejected. A known sample that is
rejected is a false negative, an unknown one that is accepted a false positive; ``t`` trades one against the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import InputError
from chainrule.estimators import arrays
from chainrule.shapes import Tensor

#: Scores of samples ``[n]``.
Numbers = Tensor | np.ndarray | Sequence[float]


@dataclass(frozen=True)
class OpenSetCurve:
    """False positives against false negatives of the decision "accept if the score exceeds ``t``".

    Attributes:
        thresholds: Falling, the first infinite; accepted is what reaches one.
        fpr: Share of the unknown samples that is accepted, for each threshold.
        fnr: Share of the known samples that is rejected, for each threshold.
        auc: Area under the ROC curve: how often a known sample scores higher than an unknown one.
        known: Scores of the known samples, rising.
        unknown: Scores of the unknown samples, rising.
    """

    thresholds: np.ndarray
    fpr: np.ndarray
    fnr: np.ndarray
    auc: float
    known: np.ndarray
    unknown: np.ndarray

    def rates(self, threshold: float) -> tuple[float, float]:
        """False-positive and false-negative rate of accepting what exceeds a threshold."""
        return float((self.unknown > threshold).mean()), float((self.known <= threshold).mean())

    def threshold_for(self, fpr: float) -> float:
        """The least threshold that accepts at most this share of the unknown samples at hand.

        Args:
            fpr: The share, from 0 to 1.

        Raises:
            InputError: When it is no share.
        """
        if not 0 <= fpr <= 1:
            raise InputError(f"A false-positive rate lies between 0 and 1; received {fpr!r}.")
        # The small number lets 0.29 of 100 samples be 29.
        accepted = int(fpr * len(self.unknown) + 1e-9)
        return float(self.unknown[-accepted - 1]) if accepted < len(self.unknown) else -np.inf


def open_set_curve(known: Numbers, unknown: Numbers) -> OpenSetCurve:
    """The curve of an open-set decision, from scores of samples that the classifier has not learned from.

    Args:
        known: Score of the best class for samples of the known classes ``[n]``.
        unknown: The same for samples of none of them ``[m]``.

    Raises:
        InputError: When there are no scores of one kind, or they are not finite numbers.
    """
    accepted, refused = _sorted(known, "known"), _sorted(unknown, "unknown")
    truth = np.repeat([1, 0], [len(accepted), len(refused)])
    scores = np.concatenate([accepted, refused])
    fpr, tpr, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    return OpenSetCurve(thresholds, fpr, 1 - tpr, float(roc_auc_score(truth, scores)), accepted, refused)


def _sorted(scores: Numbers, name: str) -> np.ndarray:
    array = np.asarray(scores.detach().cpu() if isinstance(scores, Tensor) else scores, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise InputError(
            f"Wanted the scores [n] of {name} samples, finite and at least one; received {[*array.shape]}."
        )
    return np.sort(array)


def _has_probabilities(meta: Any) -> bool:
    return hasattr(vars(meta).get("estimator_", meta.estimator), "predict_proba")


class OpenSetClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Predicts the best class of any classifier if its score exceeds a threshold, else that the sample is unknown.

    The score is the probability where the classifier gives one, else its decision function (of two classes, the
    absolute value of it).

    Args:
        estimator: A classifier with scikit-learn's contract.
        threshold: What the score of the best class has to exceed; :meth:`OpenSetCurve.threshold_for` finds one. Zero
            accepts every probability.
        reject: The label of unknown samples, none of the classes. None takes -1, or one less than the least class if
            that is lower; among texts ``"unknown"``.

    Attributes:
        estimator_: The classifier, fitted.
        classes_: The known classes, sorted.
        reject_: The label of unknown samples.
    """

    def __init__(self, estimator: Any, *, threshold: float = 0.0, reject: Any = None) -> None:
        self.estimator = estimator
        self.threshold = threshold
        self.reject = reject

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def fit(self, X: Any, y: Any, **options: Any) -> Self:
        """Fit the classifier to samples of known classes.

        Args:
            X: Samples ``[n, d]``.
            y: Classes ``[n]``.
            **options: What else its ``fit`` takes, such as ``sample_weight``.

        Raises:
            InputError: When ``reject`` is a class.
        """
        self.estimator_ = clone(self.estimator).fit(X, y, **options)
        self.classes_ = self.estimator_.classes_
        known = self.classes_.tolist()
        if self.reject is not None:
            self.reject_ = self.reject
        else:
            self.reject_ = "unknown" if isinstance(known[0], str) else min(-1, math.ceil(known[0]) - 1)
        if self.reject_ in known:
            raise InputError(f"reject={self.reject_!r} is one of the classes; write reject= with another label.")
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
            elif hasattr(self, name):
                delattr(self, name)
        return self

    def score_samples(self, X: Any) -> Any:
        """The score of the best class ``[n]``, which the threshold is compared with."""
        return arrays.given_back(self._class_scores(X).amax(dim=1), X)

    def predict(self, X: Any) -> Any:
        """The best class of each sample, or ``reject``.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            Labels ``[n]``, of a kind that holds the classes and ``reject``.
        """
        scores = self._class_scores(X)
        best, codes = scores.max(dim=1)
        codes = codes.where(best > self.threshold, len(self.classes_))
        if isinstance(self.classes_, Tensor):
            return arrays.named(torch.cat([self.classes_, self.classes_.new_tensor([self.reject_])]), codes, X)
        return arrays.named(np.append(self.classes_, self.reject_), codes, X)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """The probability of each class ``[n, k]``, were the sample of one of them."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def _class_scores(self, X: Any) -> Tensor:
        check_is_fitted(self)
        if hasattr(self.estimator_, "predict_proba"):
            return torch.as_tensor(self.estimator_.predict_proba(X))
        scores = torch.as_tensor(self.estimator_.decision_function(X))
        return torch.stack([-scores, scores], dim=1) if scores.ndim == 1 else scores
