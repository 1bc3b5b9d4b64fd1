"""Estimators on disk: what was learned as one safetensors file, tensors in its body and plain values in its header.

What is saved are the options and each attribute that ends in ``_``; whatever else an estimator holds is made again on
demand. Nothing is pickled, and a file can only name classes of this package.
"""

import importlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from chainrule import registry, storage
from chainrule.errors import InputError
from chainrule.shapes import Tensor

#: Where estimators and their parts, such as kernels, are.
ROOM = "chainrule.estimators"
#: Kinds of row in the registry whose parts are estimators.
KINDS = ("classifier", "regressor", "clusterer", "transformer", "embedding")


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
    """A value as tensors and plain values; what is neither becomes a dict with a ``"$kind"``.

    Raises:
        InputError: When it cannot be written.
    """
    if value is None or isinstance(value, bool | int | float | str | Tensor):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [packed(item) for item in value]
    if isinstance(value, dict):
        return {key: packed(item) for key, item in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"$kind": "array", "tensor": torch.from_numpy(np.ascontiguousarray(value))}
    if isinstance(value, np.ndarray):
        return {"$kind": "names", "values": packed(value.tolist()), "object": value.dtype == object}
    rows = {row.build: (kind, name) for kind in KINDS for name, row in registry.entries(kind).items()}
    if type(value) in rows:
        kind, name = rows[type(value)]
        options = {option: packed(given) for option, given in value.get_params(deep=False).items()}
        return {"$kind": kind, "name": name, "options": options, "learned": learned(value)}
    if is_dataclass(value) and not isinstance(value, type) and type(value).__module__.startswith(f"{ROOM}."):
        fields_of = {field.name: packed(getattr(value, field.name)) for field in fields(value)}
        return {"$kind": "part", "module": type(value).__module__, "name": type(value).__name__, "fields": fields_of}
    raise InputError(f"{value!r} cannot be saved; options have to be plain values, tensors, or parts of {ROOM}.")


def unpacked(value: Any, device: torch.device) -> Any:
    """What :func:`packed` took."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [unpacked(item, device) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get("$kind"):
        case None:
            return {key: unpacked(item, device) for key, item in value.items()}
        case "array":
            return value["tensor"].cpu().numpy()
        case "names":
            return np.array(value["values"], dtype=object if value["object"] else None)
        case "part":
            if not value["module"].startswith(f"{ROOM}."):
                raise ValueError(f"{value['module']} is no module of {ROOM}")
            part = getattr(importlib.import_module(value["module"]), value["name"])
            if not (isinstance(part, type) and is_dataclass(part)):
                raise ValueError(f"{value['name']} is no part of {value['module']}")
            return part(**{name: unpacked(field, device) for name, field in value["fields"].items()})
        case kind:
            options = {option: unpacked(given, device) for option, given in value["options"].items()}
            estimator = registry.lookup(kind, value["name"]).build(**options)
            restore(estimator, value["learned"], device)
            return estimator
