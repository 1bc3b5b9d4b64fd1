"""What projections share: how many components there can be, names of the new features, the way back."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import InputError
from chainrule.estimators import arrays, moments
from chainrule.estimators.base import AbstractTransformer
from chainrule.shapes import Float, Tensor


def enough_rows(estimator: AbstractTransformer, X: Float[Tensor, "n d"]) -> int:
    """How many rows there are over all processes.

    Args:
        estimator: Who learns from them.
        X: Rows of this process.

    Raises:
        InputError: When there is only one, which does not vary.
    """
    rows = moments.rows(X)
    if rows < 2:
        raise InputError(
            f"Found array with {rows} sample(s) while a minimum of 2 is required by {type(estimator).__name__}: one "
            "sample does not vary."
        )
    return rows


def checked_count(n_components: Any, rows: int, features: int) -> int:
    """A number of components, from 1 to the least of rows and features; None for that.

    Args:
        n_components: The option.
        rows: Samples.
        features: Features of a sample.

    Raises:
        InputError: When it is no such number.
    """
    most = min(rows, features)
    if n_components is None:
        return most
    whole = isinstance(n_components, Integral) and not isinstance(n_components, bool)
    if not whole or not 1 <= int(n_components) <= most:
        raise InputError(
            f"n_components has to be a whole number from 1 to {most}, the least of n_samples={rows} and "
            f"n_features={features}; received {n_components!r}."
        )
    return int(n_components)


class Invertible(ClassNamePrefixFeaturesOutMixin):
    """Gives a transformer ``inverse_transform``, and names to its new features."""

    n_features_in_: int

    def inverse_transform(self: Any, X: Any) -> Any:
        """The samples that these features stand for, as nearly as they tell.

        Args:
            X: Transformed samples ``[n, m]``.

        Returns:
            ``[n, d]``.

        Raises:
            InputError: When they have another number of features.
        """
        check_is_fitted(self)
        codes = (
            X
            if isinstance(X, Tensor)
            else arrays.tensor(check_array(X, dtype=(np.float64, np.float32), input_name="X"))
        )
        if codes.ndim != 2 or codes.shape[1] != self._n_features_out:
            raise InputError(
                f"{type(self).__name__} takes [n, {self._n_features_out}] back; received {list(codes.shape)}."
            )
        codes = codes if codes.dtype in arrays.FLOATS else codes.double()
        return arrays.given_back(self._restored(codes), X)
