"""Estimators on disk: what was learned as one safetensors file, tensors in its body and plain values in its header.

What is saved are the options and each attribute that ends in ``_``; whatever else an estimator holds is made again on
demand. Nothing is pickled, and a file can only name classes of this package.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from chainrule import registry, storage
from chainrule.errors import InputError
from chainrule.shapes import Tensor

#: Kinds of row in the registry whose parts are estimators.
KINDS = ("classifier", "regressor", "transformer")


def save(estimator: BaseEstimator, path: str | Path) -> None:
    """Write an estimator to a safetensors file, atomically.

    Args:
        estimator: One of this package, fitted or not.
        path: The file; an old one is replaced.

    Raises:
        InputError: When an option cannot be written, such as a function.
    """
    storage.write_tree(Path(path), packed(estimator))


def load(path: str | Path, *, device: str | torch.device = "cpu") -> Any:
    """Read an estimator that :func:`save` wrote.

    Args:
        path: The file.
        device: Where its tensors shall be.

    Raises:
        InputError: When the file is missing, damaged, or holds something else.
    """
    tree = storage.read_tree(Path(path))
    try:
        estimator = unpacked(tree, torch.device(device))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} holds no estimator ({error}).") from error
    if not isinstance(estimator, BaseEstimator):
        raise InputError(f"{path} holds no estimator.")
    return estimator


def learned(estimator: BaseEstimator) -> dict[str, Any]:
    """What an estimator has learned, as a tree of tensors and plain values."""
    return {name: packed(value) for name, value in vars(estimator).items() if name.endswith("_")}


def restore(estimator: BaseEstimator, tree: dict[str, Any], device: torch.device) -> None:
    """Give an estimator back what :func:`learned` gave."""
    for name in [name for name in vars(estimator) if name.endswith("_")]:
        delattr(estimator, name)
    for name, value in tree.items():
        setattr(estimator, name, unpacked(value, device))


def packed(value: Any) -> Any:
    """A value as tensors and plain values; what JSON does not know is a dict with a ``"kind"``.

    Raises:
        InputError: When it cannot be written.
    """
    if value is None or isinstance(value, bool | int | float | str | Tensor):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return [packed(item) for item in value]
    if isinstance(value, tuple):
        return {"kind": "tuple", "items": [packed(item) for item in value]}
    if isinstance(value, dict):
        return {"kind": "dict", "keys": [packed(key) for key in value], "values": [packed(v) for v in value.values()]}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "biuf":
            return {"kind": "array", "tensor": torch.from_numpy(np.ascontiguousarray(value))}
        return {"kind": "names", "values": packed(value.tolist()), "object": value.dtype == object}
    rows = {row.build: (kind, name) for kind in KINDS for name, row in registry.entries(kind).items()}
    if type(value) in rows:
        kind, name = rows[type(value)]
        options = {option: packed(given) for option, given in value.get_params(deep=False).items()}
        return {"kind": kind, "name": name, "options": options, "learned": learned(value)}
    raise InputError(
        f"{value!r} cannot be saved; an estimator's options have to be plain values, tensors or estimators."
    )


def unpacked(value: Any, device: torch.device) -> Any:
    """What :func:`packed` took."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [unpacked(item, device) for item in value]
    if not isinstance(value, dict):
        return value
    match value["kind"]:
        case "tuple":
            return tuple(unpacked(item, device) for item in value["items"])
        case "dict":
            pairs = zip(value["keys"], value["values"], strict=True)
            return {unpacked(key, device): unpacked(item, device) for key, item in pairs}
        case "array":
            return value["tensor"].cpu().numpy()
        case "names":
            return np.array(value["values"], dtype=object if value["object"] else None)
        case kind:
            estimator = registry.lookup(kind, value["name"]).build(
                **{option: unpacked(given, device) for option, given in value["options"].items()}
            )
            restore(estimator, value["learned"], device)
            return estimator
