"""The built-in data sets: those of scikit-learn that need no download."""

from collections.abc import Sequence
from importlib import import_module

import torch

from chainrule.data.dataset import Data
from chainrule.data.sources.memory import in_memory, strata
from chainrule.data.spec import Classes, Image, Inputs, Real, Target, Vector
from chainrule.data.splits import split
from chainrule.errors import UnknownNameError

# Name here, name of the loader in scikit-learn.
NAMES = {
    "digits": "load_digits",
    "iris": "load_iris",
    "wine": "load_wine",
    "breast-cancer": "load_breast_cancer",
    "diabetes": "load_diabetes",
    "linnerud": "load_linnerud",
}


def from_builtin(name: str, *, fractions: Sequence[float], seed: int, fold: tuple[int, int] | None = None) -> Data:
    """Load a data set of scikit-learn: ``digits`` as images, the others as tables.

    Raises:
        UnknownNameError: For any other name.
    """
    if name not in NAMES:
        raise UnknownNameError("built-in data set", name, NAMES)
    bunch = getattr(import_module("sklearn.datasets"), NAMES[name])()
    inputs: Inputs
    if name == "digits":
        inputs, raw = Image(1, 8, 8, white=16.0), torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    else:
        inputs, raw = Vector.numbers(bunch.feature_names), torch.from_numpy(bunch.data).double()
    values = torch.from_numpy(bunch.target)
    target: Target
    if values.is_floating_point():
        names = getattr(bunch, "target_names", None) or ["disease progression"]
        target, values = Real(tuple(names)), values.float().reshape(len(values), -1)
    else:
        target, values = Classes(tuple(str(label) for label in bunch.target_names)), values.long()
    parts = split(len(values), fractions=fractions, seed=seed, fold=fold, strata=strata(target, values))
    word = "image" if name == "digits" else "row"
    return in_memory(raw, values, parts, name=name, specs=(inputs, target), word=word)
