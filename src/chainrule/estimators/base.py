"""What every estimator has in common: scikit-learn's contract outside, tensors inside.

An estimator stores its options untouched, and what it learns in attributes that end in ``_``: tensors and plain values,
on the device and in the precision of the samples it learned from. The hooks that a family fills in see validated
tensors only.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import InputError
from chainrule.estimators import arrays, shards
from chainrule.shapes import Float, Int, Tensor


class AbstractEstimator(BaseEstimator, ABC):
    """Base of all estimators.

    Attributes:
        sums: Whether it learns from sums over the rows alone, so that these may lie on several processes.
        natural_units: Whether targets have a meaning in their own units, as counts do, so that ``chainrule fit`` gives
            them as they are; others get them standardised.
    """

    sums: ClassVar[bool] = False
    natural_units: ClassVar[bool] = False

    def _features(self, X: Any, *, least: int = 1) -> Tensor:
        """The samples that are learned from."""
        if shards.active() and not self.sums:
            raise InputError(
                f"{type(self).__name__} needs all rows at once, so it cannot learn within sharded(); "
                "bring the rows together on one process."
            )
        return arrays.features(self, X, reset=True, least=least)

    def _known(self, X: Any) -> Tensor:
        """Samples that the fitted estimator is asked about, on its device and in its precision."""
        check_is_fitted(self)
        samples = arrays.features(self, X, reset=False)
        learned = (value for name, value in vars(self).items() if name.endswith("_"))
        like = next((v for v in learned if isinstance(v, Tensor) and v.is_floating_point()), samples)
        return samples.to(device=like.device, dtype=like.dtype)


class AbstractClassifier(ClassifierMixin, AbstractEstimator):
    """A classifier: it scores each class, and predicts the best.

    Attributes:
        classes_: The classes, sorted.
        n_features_in_: Features of a sample.
    """

    classes_: Any

    @abstractmethod
    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """One number for each class; the greatest wins."""

    def predict(self, X: Any) -> Any:
        """The class of each sample.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n]``, of the kind of the labels it learned from.
        """
        best = self._scores(self._known(X)).argmax(dim=1)
        return arrays.named(self.classes_, best, X)

    def _begin(
        self, X: Any, y: Any, sample_weight: Any = None, *, least: int = 1, least_classes: int = 1
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Check what is learned from; gives samples, indices of their classes, and their weights if there are any."""
        _need(self, y)
        samples = self._features(X, least=least)
        self.classes_, codes = arrays.encoded(y, samples)
        if len(self.classes_) < least_classes:
            raise InputError(
                f"{type(self).__name__} needs samples of at least {least_classes} classes, but y holds one class: "
                f"{self.classes_.tolist()[0]!r}."
            )
        return samples, codes, arrays.weights(sample_weight, samples)

    def _begin_part(
        self, X: Any, y: Any, classes: Any, sample_weight: Any = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """As :meth:`_begin` for one part of the rows; ``classes`` names all classes when the first part comes."""
        _need(self, y)
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise InputError("classes must be passed on the first call to partial_fit.")
        samples = self._features(X) if first else self._known(X)
        if classes is not None:
            names, _ = arrays.encoded(classes, torch.empty(len(classes), 1))
            if not first and names.tolist() != self.classes_.tolist():
                raise InputError(f"classes={names.tolist()} is not the same as on the last call to partial_fit.")
            self.classes_ = names
        return samples, arrays.codes_of(y, self.classes_, samples), arrays.weights(sample_weight, samples)


class AbstractProbabilisticClassifier(AbstractClassifier):
    """A classifier whose scores are log-probabilities, up to a constant for each sample."""

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n, k]``; rows add up to 1.
        """
        return arrays.given_back(self._scores(self._known(X)).softmax(dim=1), X)

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of the probability of each class.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n, k]``.
        """
        return arrays.given_back(self._scores(self._known(X)).log_softmax(dim=1), X)


class DecisionFunction:
    """Gives a classifier ``decision_function``."""

    def decision_function(self: Any, X: Any) -> Any:
        """How clearly each class is preferred.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            The scores ``[n, k]``; of two classes their difference ``[n]``, above zero for the second.
        """
        scores = self._scores(self._known(X))
        return arrays.given_back(scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores, X)


class AbstractRegressor(RegressorMixin, AbstractEstimator):
    """A regressor: it predicts one real number for each sample, or several.

    Attributes:
        n_features_in_: Features of a sample.
    """

    @abstractmethod
    def _values(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n ..."]:
        """The predictions ``[n]``, or ``[n, t]`` where it learned from targets ``[n, t]``."""

    def predict(self, X: Any) -> Any:
        """The value of each sample.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n]``, or ``[n, t]`` where it learned from targets ``[n, t]``.
        """
        return arrays.given_back(self._values(self._known(X)), X)

    def _begin(
        self, X: Any, y: Any, sample_weight: Any = None, *, least: int = 1
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Check what is learned from; gives samples, targets ``[n]`` or ``[n, t]``, and weights if there are any."""
        _need(self, y)
        samples = self._features(X, least=least)
        values = arrays.targets(y, samples)
        if values.ndim == 2 and not self.__sklearn_tags__().target_tags.multi_output:
            values = arrays.column(values)
        return samples, values, arrays.weights(sample_weight, samples)


class AbstractTransformer(TransformerMixin, AbstractEstimator):
    """A transformer: samples in, other features of them out.

    Attributes:
        n_features_in_: Features of a sample.
    """

    @abstractmethod
    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """The new features."""

    def transform(self, X: Any) -> Any:
        """The new features of each sample.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n, m]``.
        """
        return arrays.given_back(self._transformed(self._known(X)), X)


class AbstractClusterer(ClusterMixin, AbstractEstimator):
    """A clusterer: it finds groups among samples, and says of a new one to which it belongs.

    Attributes:
        labels_: Group of each sample that it learned from, ``[n]``, in the kind of these samples.
        n_features_in_: Features of a sample.
    """

    labels_: Any

    @abstractmethod
    def _assigned(self, X: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """The group of each sample."""

    def predict(self, X: Any) -> Any:
        """The group of each sample.

        Args:
            X: Samples ``[n, d]``.

        Returns:
            ``[n]``, counted from 0.
        """
        return arrays.given_back(self._assigned(self._known(X)), X)


class AbstractEmbedding(AbstractEstimator):
    """An embedding: a place for each sample it learned from, and for no other.

    Attributes:
        embedding_: The places ``[n, m]``.
        n_features_in_: Features of a sample.
    """

    embedding_: Tensor

    @abstractmethod
    def _embedded(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """The places; also sets what else is learned."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find a place for each sample.

        Args:
            X: Samples ``[n, d]``.
            y: Not used; scikit-learn's pipelines pass it.

        Returns:
            The estimator itself.
        """
        self.embedding_ = self._embedded(self._features(X, least=2))
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Find a place for each sample, and give them.

        Args:
            X: Samples ``[n, d]``.
            y: Not used.

        Returns:
            The places ``[n, m]``.
        """
        return arrays.given_back(self.fit(X).embedding_, X)


def _need(estimator: AbstractEstimator, y: Any) -> None:
    if y is None:
        raise InputError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
