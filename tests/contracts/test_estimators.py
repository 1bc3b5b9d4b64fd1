"""What every estimator promises: scikit-learn's contract, tensors in and out, shards, files, a place in ``fit``."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch.utils._python_dispatch import TorchDispatchMode

import chainrule as cr
from chainrule import models, registry
from chainrule.errors import InputError
from chainrule.estimators import saving, shards
from chainrule.registry import Entry
from tests.contracts.cases import cases
from tests.contracts.sharded_fits import outcome, samples, together

# The classes overlap, so some never come to rest.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CHECKS = {
    "tensors_in_tensors_out",
    "stays_on_the_device",
    "keeps_float32",
    "learns_in_float32",
    "survives_the_disk",
    "bounds_its_memory",
    "learns_through_fit",
}


def every(check: str = "", kinds: tuple[str, ...] = saving.KINDS) -> list[Any]:
    return [case for kind in kinds for case in cases(kind, check, every=True)]


def fitted(entry: Entry, dtype: torch.dtype = torch.float64, **options: Any) -> tuple[BaseEstimator, Any]:
    x, y = samples(entry, dtype)
    return entry.make(**{**entry.tiny, **options}).fit(x, y), x


def shortened(entry: Entry) -> dict[str, Any]:
    """The tiny options where these only save time; scikit-learn has samples of other sizes for a transformer."""
    return {} if entry.kind == "transformer" else dict(entry.tiny)


@parametrize_with_checks([case.values[0].make(**shortened(case.values[0])) for case in every()])
@pytest.mark.filterwarnings("ignore:.*connected:UserWarning")
def test_scikit_learns_contract(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("entry", every("tensors_in_tensors_out"))
def test_tensors_in_tensors_out(entry: Entry) -> None:
    estimator, x = fitted(entry)
    given = samples(entry, torch.float64)[1].numpy()
    same = entry.make(**entry.tiny).fit(x.numpy(), given)
    for name, answer in outcome(estimator, x).items():
        assert isinstance(answer, torch.Tensor), name
        other = outcome(same, x.numpy())[name]
        assert isinstance(other, np.ndarray), name
        np.testing.assert_allclose(answer.numpy(), other, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("entry", every("stays_on_the_device"))
def test_stays_on_the_device(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    """No samples are copied to the host; single numbers and lists of classes may be."""
    most = 64

    def guarded(name: str) -> None:
        original = getattr(torch.Tensor, name)

        def method(self: torch.Tensor, *args: Any, **options: Any) -> Any:
            assert self.numel() <= most, f"Tensor.{name} of {list(self.shape)}"
            return original(self, *args, **options)

        monkeypatch.setattr(torch.Tensor, name, method)

    for name in ("numpy", "cpu", "tolist", "__array__"):
        guarded(name)
    estimator, x = fitted(entry)
    outcome(estimator, x)


@pytest.mark.parametrize("entry", every("keeps_float32"))
def test_keeps_float32(entry: Entry) -> None:
    estimator, x = fitted(entry, torch.float32)
    for name, answer in outcome(estimator, x).items():
        assert answer.dtype == torch.float32 or not answer.is_floating_point(), name


@pytest.mark.parametrize("entry", every("learns_in_float32"))
def test_learns_in_float32(entry: Entry) -> None:
    single, double = fitted(entry, torch.float32), fitted(entry, torch.float64)
    for name, answer in outcome(*single).items():
        other = outcome(*double)[name]
        if name == "predict" and entry.kind != "regressor":
            assert (answer == other).double().mean() > 0.97
        elif name.startswith("predict") or name == "transform":
            assert (answer - other).abs().mean() < 0.01 * (1 + other.abs().mean()), name


@pytest.mark.parametrize("entry", every("survives_the_disk"))
def test_survives_the_disk(entry: Entry, tmp_path: Path) -> None:
    estimator, x = fitted(entry)
    saving.save(estimator, tmp_path / "e.safetensors")
    loaded = saving.load(tmp_path / "e.safetensors")
    assert type(loaded) is type(estimator)
    assert str(loaded.get_params()) == str(estimator.get_params())
    for name, answer in outcome(estimator, x).items():
        torch.testing.assert_close(outcome(loaded, x)[name], answer, rtol=1e-12, atol=1e-12, msg=name)


@pytest.mark.parametrize("entry", every("survives_the_disk", kinds=("classifier",)))
def test_texts_as_classes_survive_the_disk(entry: Entry, tmp_path: Path) -> None:
    x, y = samples(entry, torch.float64)
    names = np.array(["ape", "bee", "cat"])[y.numpy()]
    estimator = entry.make(**entry.tiny).fit(x.numpy(), names)
    saving.save(estimator, tmp_path / "e.safetensors")
    answer = saving.load(tmp_path / "e.safetensors").predict(x.numpy())
    assert answer.tolist() == estimator.predict(x.numpy()).tolist()
    assert set(answer) <= set(names)


class Largest(TorchDispatchMode):
    """Notes the greatest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, list | tuple) else [result]:
            if isinstance(made, torch.Tensor):
                self.bytes = max(self.bytes, made.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("entry", every())
def test_bounds_its_memory(entry: Entry) -> None:
    """With a bound of 12 MiB no single tensor comes near n x n numbers, which are 31 MiB."""
    rows = 2000
    bound = {"memory": 12.0} if "memory" in inspect.signature(entry.build).parameters else {}
    if "bounds_its_memory" in entry.exceptions:
        pytest.skip(entry.exceptions["bounds_its_memory"])
    x, y = samples(entry, torch.float64, rows=rows)
    estimator = entry.make(**{**entry.tiny, **bound})
    with Largest() as largest:
        estimator.fit(x, y)
        outcome(estimator, x)
    assert largest.bytes <= 13 * 2**20


@pytest.mark.parametrize("entry", every(kinds=("classifier", "regressor")))
def test_works_in_a_pipeline(entry: Entry) -> None:
    x, y = (part.numpy() for part in samples(entry, torch.float64))
    scaler = [] if entry.tiny or (x >= 0).all() else [StandardScaler()]
    pipeline = make_pipeline(*scaler, entry.make(**entry.tiny))
    chance = 0.4 if entry.kind == "classifier" else 0.1
    assert cross_val_score(pipeline, x, y, cv=3).mean() > chance
    step = list(pipeline.named_steps)[-1]
    search = GridSearchCV(pipeline, {step: [entry.make(**entry.tiny)]}, cv=2).fit(x, y)
    assert search.best_score_ > chance - 0.1


@pytest.mark.parametrize("entry", every(kinds=("classifier", "regressor")))
def test_refuses_what_is_not_finite(entry: Entry) -> None:
    estimator, x = fitted(entry)
    x[3, 1] = float("nan")
    with pytest.raises(InputError, match="row 3, column 1"):
        estimator.predict(x)
    with pytest.raises(InputError, match="row 3, column 1"):
        fitted(entry)[0].fit(x, samples(entry, torch.float64)[1])


@pytest.mark.parametrize("entry", every("learns_through_fit", kinds=("classifier", "regressor")))
def test_learns_through_fit(entry: Entry, tmp_path: Path) -> None:
    x, y = samples(entry, torch.float64, rows=240)
    prepare = {"prepare": "minmax"} if (x >= 0).all() else {}
    run = cr.fit((x, y), model=entry.name, out=tmp_path / "run", **prepare)
    metric = "accuracy" if entry.kind == "classifier" else "r2"
    assert run.test[metric] > (0.5 if entry.kind == "classifier" else 0.1)
    assert (tmp_path / "run" / "report.html").is_file()
    answer = run.predict(x.numpy())
    assert answer.tolist() == cr.load_run(tmp_path / "run").predict(x.numpy()).tolist()
    assert len(answer) == 240


def test_learns_from_the_rows_of_two_processes(tmp_path: Path) -> None:
    """Every estimator that learns from sums gives on two processes what one process gives."""
    rows = [case.values[0] for case in every() if "shards" in case.values[0].laws]
    assert rows
    results = together(tmp_path, processes=2)
    for entry in rows:
        estimator, x = fitted(entry)
        for name, answer in outcome(estimator, x).items():
            for result in results:
                torch.testing.assert_close(
                    result[f"{entry.kind} {entry.name}"][name], answer, rtol=1e-6, atol=1e-6, msg=f"{entry.name} {name}"
                )


def test_only_sums_are_learned_from_shards() -> None:
    for case in every():
        entry = case.values[0]
        assert entry.build.sums == ("shards" in entry.laws), entry.name
    with pytest.raises(InputError, match="torchrun"), shards.sharded():
        pass


def test_names_are_not_those_of_networks() -> None:
    for kind in models.ESTIMATORS:
        assert not set(registry.entries(kind)) & set(registry.entries("model"))


def test_exceptions_name_a_check() -> None:
    for case in every():
        assert set(case.values[0].exceptions) <= CHECKS, case.values[0].name
