"""``NeuralClassifier`` and ``NeuralRegressor``."""

from typing import Any

import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from torch import Tensor

from chainrule.data.spec import Classes, Real, Target
from chainrule.errors import InputError
from chainrule.estimators import arrays
from chainrule.neural.base import AbstractNeural


class NeuralClassifier(ClassifierMixin, AbstractNeural):
    """A network as a scikit-learn classifier; its options are those of :class:`AbstractNeural`.

    Attributes:
        classes_: The classes, sorted.
    """

    def _targets(self, y: Any, rows: int) -> tuple[Target, Tensor]:
        self.classes_, codes = arrays.encoded(y, torch.empty(rows, 1))
        names = self.classes_.tolist()
        if len(names) < 2:
            raise InputError(
                f"{type(self).__name__} needs samples of two classes, but y holds one class: {names[0]!r}."
            )
        return Classes(tuple(map(str, names))), codes

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class.

        Args:
            X: Samples, as in :meth:`fit`.

        Returns:
            ``[n, k]``; rows add up to 1. Of tensors a tensor, else an array.
        """
        return arrays.given_back(self._outputs(X), X)

    def predict(self, X: Any) -> Any:
        """The class of each sample.

        Args:
            X: Samples, as in :meth:`fit`.

        Returns:
            ``[n]``, of the kind of the classes it learned from.
        """
        best = self._outputs(X).argmax(dim=1)
        return arrays.named(self.classes_, best, X)


class NeuralRegressor(RegressorMixin, AbstractNeural):
    """A network as a scikit-learn regressor of one target or several; its options are those of `AbstractNeural`."""

    def _targets(self, y: Any, rows: int) -> tuple[Target, Tensor]:
        values = arrays.targets(y, torch.empty(rows, 1, dtype=torch.float64)).reshape(rows, -1).float()
        several = values.shape[1] > 1
        return Real(tuple(f"y{place}" for place in range(values.shape[1])) if several else ("target",)), values

    def predict(self, X: Any) -> Any:
        """The targets of each sample.

        Args:
            X: Samples, as in :meth:`fit`.

        Returns:
            ``[n]``, or ``[n, k]`` where it learned several targets. Of tensors a tensor, else an array.
        """
        values = self._outputs(X).double()
        return arrays.given_back(values[:, 0] if values.shape[1] == 1 else values, X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
