"""Estimators on disk: whole, without pickles, and nothing but parts of ours."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chainrule import storage
from chainrule.errors import InputError
from chainrule.estimators import KNeighborsClassifier, Ridge, saving
from chainrule.estimators.kernels import RBF
from chainrule.estimators.saving import load, save


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        2.5,
        "text",
        [1, "two", None],
        {"a": 1, 2: [3.0]},
        torch.arange(3),
        np.float64(1.5),
        np.array([1, 2]),
        np.array(["ape", "bee"]),
        np.array(["ape", 1], dtype=object),
        RBF(gamma=0.5),
    ],
    ids=str,
)
def test_values_there_and_back(value: Any, tmp_path: Path) -> None:
    storage.write_tree(tmp_path / "tree", {"value": saving.packed(value)})
    back = saving.unpacked(storage.read_tree(tmp_path / "tree"), torch.device("cpu"))["value"]
    assert type(back) is (float if isinstance(value, np.float64) else type(value))
    if isinstance(value, np.ndarray | torch.Tensor):
        assert back.dtype == value.dtype
        assert back.tolist() == value.tolist()
    else:
        assert back == value


def test_an_unfitted_estimator(tmp_path: Path) -> None:
    save(Ridge(alpha=0.5), tmp_path / "ridge")
    assert load(tmp_path / "ridge").get_params() == Ridge(alpha=0.5).get_params()


def test_functions_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be saved"):
        save(KNeighborsClassifier(metric=lambda x, y: x @ y.T), tmp_path / "knn")
    assert not (tmp_path / "knn").exists()


def test_a_file_names_only_parts_of_ours(tmp_path: Path) -> None:
    for module, name in (("os", "system"), ("chainrule.estimators.saving", "load"), ("chainrule.storage", "Path")):
        storage.write_tree(tmp_path / "f", {"$kind": "part", "module": module, "name": name, "fields": {}})
        with pytest.raises(InputError, match="holds no estimator"):
            load(tmp_path / "f")
    storage.write_tree(tmp_path / "f", {"weights": torch.zeros(3)})
    with pytest.raises(InputError, match="holds no estimator"):
        load(tmp_path / "f")
    with pytest.raises(InputError, match="is missing"):
        load(tmp_path / "none")
