"""Arrays in and out: numpy, pandas and tensors come in, tensors are computed with, the caller's kind goes out.

Tensors stay on their device; they are checked there. Everything else is checked by scikit-learn and lies on the CPU.
Numbers of 32 and 64 bits keep their precision, all others become float64.
"""

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import assert_all_finite, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    column_or_1d,
    validate_data,
)
from torch import Tensor

from chainrule.errors import InputError
from chainrule.estimators.shards import gathered

#: Kinds of numbers that are computed with.
FLOATS = (torch.float64, torch.float32)


def features(estimator: BaseEstimator, X: Any, *, reset: bool, least: int = 1) -> Tensor:
    """Samples ``[n, d]`` as a tensor, after all checks.

    Args:
        estimator: Whose samples they are; its ``n_features_in_`` is set or compared.
        X: What the caller passed.
        reset: Whether the estimator learns from them, so that their number of features is new.
        least: Samples that there must be.

    Raises:
        InputError: When a tensor is no finite matrix, or has another number of features than before.
    """
    if not isinstance(X, Tensor):
        return tensor(
            validate_data(estimator, X, reset=reset, dtype=(np.float64, np.float32), ensure_min_samples=least)
        )
    name = type(estimator).__name__
    if X.ndim != 2:
        raise InputError(f"Expected 2D array: {name} takes samples [n, d], but a tensor {list(X.shape)} came.")
    if X.is_complex():
        raise InputError(f"Complex data not supported: {name} takes real numbers.")
    if len(X) < least or not X.shape[1]:
        raise InputError(
            f"Found array with {len(X)} sample(s) and {X.shape[1]} feature(s) while a minimum of {least} sample(s) "
            f"and 1 feature is required by {name}."
        )
    if reset:
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
    elif X.shape[1] != estimator.n_features_in_:
        raise InputError(
            f"X has {X.shape[1]} features, but {name} is expecting {estimator.n_features_in_} features as input."
        )
    X = X.detach()
    X = X if X.dtype in FLOATS else X.double()
    # One pass that makes nothing says yes nearly always; a sum can also be infinite by its size.
    if not bool(X.sum().isfinite()) and not bool(X.isfinite().all()):
        row, column = (~X.isfinite()).nonzero()[0].tolist()
        raise InputError(
            f"Input X contains NaN or infinity, first in row {row}, column {column}; fill it or leave it out."
        )
    return X


def encoded(y: Any, X: Tensor) -> tuple[Any, Tensor]:
    """The classes, sorted, and for each sample the index of its class.

    Args:
        y: Labels ``[n]`` of any kind.
        X: The samples, as :func:`features` gave them.

    Returns:
        The classes of all processes, in the kind of ``y`` (a tensor or a numpy array), and int64 ``[n]``.

    Raises:
        InputError: When a tensor of labels is no vector of whole numbers.
    """
    check_consistent_length(X, y)
    if not isinstance(y, Tensor):
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        classes = np.unique(np.concatenate(gathered(np.unique(y))))
        return classes, torch.from_numpy(np.searchsorted(classes, y)).to(X.device)
    y = _vector(y, "y").detach().to(X.device)
    if y.is_floating_point() and not bool((y == y.round()).all()):
        raise InputError("Unknown label type: a classifier takes classes, but y holds continuous numbers.")
    classes = torch.unique(torch.cat([part.to(X.device) for part in gathered(torch.unique(y))]))
    return classes, torch.searchsorted(classes, y)


def codes_of(y: Any, classes: Any, X: Tensor) -> Tensor:
    """For each sample the index of its class among classes that are known already.

    Args:
        y: Labels ``[n]``.
        classes: The classes, sorted.
        X: The samples, as :func:`features` gave them.

    Raises:
        InputError: When a label is none of the classes.
    """
    found, codes = encoded(y, X)
    known = [classes.tolist().index(name) if name in classes.tolist() else -1 for name in found.tolist()]
    if -1 in known:
        strange = found.tolist()[known.index(-1)]
        raise InputError(f"y holds the class {strange!r}, which is none of the known classes {classes.tolist()}.")
    return torch.tensor(known, device=X.device)[codes]


def targets(y: Any, X: Tensor) -> Tensor:
    """Targets ``[n]`` or ``[n, t]`` in the precision of ``X`` and on its device.

    Args:
        y: What the caller passed.
        X: The samples, as :func:`features` gave them.

    Raises:
        InputError: When a tensor of targets has more axes, or is not finite.
    """
    if not isinstance(y, Tensor):
        y = tensor(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"))
    if y.ndim not in (1, 2):
        raise InputError(f"y has to be [n] or [n, targets], but {list(y.shape)} came.")
    check_consistent_length(X, y)
    y = y.detach().to(device=X.device, dtype=X.dtype)
    if not bool(y.isfinite().all()):
        raise InputError("Input y contains NaN or infinity; leave these samples out.")
    return y


def column(y: Tensor) -> Tensor:
    """Targets ``[n, 1]`` as ``[n]``, with scikit-learn's warning.

    Args:
        y: Targets ``[n, t]``.

    Raises:
        InputError: When there is more than one column.
    """
    if y.shape[1] != 1:
        raise InputError(f"y has to be [n], but {list(y.shape)} came; learn one estimator for each column.")
    warnings.warn(
        "A column-vector y was passed when a 1d array was expected; write y.ravel().",
        DataConversionWarning,
        stacklevel=4,
    )
    return y[:, 0]


def weights(sample_weight: Any, X: Tensor) -> Tensor | None:
    """Weights of the samples ``[n]``, or None when all weigh the same.

    Args:
        sample_weight: What the caller passed.
        X: The samples, as :func:`features` gave them.

    Raises:
        InputError: When a weight is negative or not finite, or all are zero.
    """
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, Tensor):
        rows = np.broadcast_to(0.0, (len(X), 1))
        weight = tensor(_check_sample_weight(sample_weight, rows, dtype=np.float64))
    else:
        weight = _vector(sample_weight, "sample_weight")
    check_consistent_length(X, weight)
    weight = weight.detach().to(device=X.device, dtype=X.dtype)
    if not bool(((weight >= 0) & weight.isfinite()).all()) or not bool((weight > 0).any()):
        raise InputError("sample_weight has to be finite, not negative, and above zero for at least one sample.")
    return weight


def tensor(array: Any) -> Tensor:
    """A numpy array as a tensor, without a copy where that is possible."""
    array = np.ascontiguousarray(array)
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        # Nothing here writes to its input.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def given_back(result: Tensor, X: Any) -> Any:
    """A result in the kind of the caller's samples: a tensor on their device, else a numpy array."""
    return result.to(X.device) if isinstance(X, Tensor) else result.detach().cpu().numpy()


def named(classes: Any, codes: Tensor, X: Any) -> Any:
    """The classes of these indices: a tensor where the caller's samples are one and the classes are numbers."""
    if isinstance(classes, Tensor):
        return given_back(classes[codes.to(classes.device)], X)
    names = classes[codes.cpu().numpy()]
    numeric = isinstance(X, Tensor) and names.dtype.kind in "biuf"
    return torch.from_numpy(names).to(X.device) if numeric else names


def _vector(values: Tensor, name: str) -> Tensor:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(f"{name} has to be [n], but {list(values.shape)} came.")
    return values
