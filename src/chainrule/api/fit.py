"""``fit``, ``load_run``: from data to a run."""

from pathlib import Path
from typing import Any

from torch import nn

from chainrule.job import begin
from chainrule.run import Run
from chainrule.study.study import Study
from chainrule.training.record import Record


def fit(source: Any, *, model: str | nn.Module = "auto", out: str | Path | None = None, **settings: Any) -> Run:
    """Train a model on data: from the source to the best weights, the verdict and the report.

    Args:
        source: A built-in name (``"digits"``), a CSV, TSV, Parquet or npz file, a folder of images, a DataFrame, a pair
            ``(X, y)``, a torch dataset, or a ``Data``.
        model: A registered model with options (``"mlp(width=64)"``), ``"auto"``, ``"module:factory"``, or a module.
        out: Directory of the run; it must be new. Default: ``runs/NAME-MODEL-N``.
        **settings: Every other field of :class:`chainrule.config.Config`, such as ``target``, ``epochs``, ``seed``.

    Returns:
        The finished run.

    Raises:
        UnknownNameError: For a setting, model or data set that does not exist; the sentence names the nearest.
        InputError: When data, model and settings do not go together.
        NotFiniteError: When the loss or a gradient is not finite.
    """
    job = begin(source, model=model, out=out, **settings)
    for _ in job:
        pass
    return job.run()


def load_run(directory: str | Path, *, model: nn.Module | None = None) -> Run:
    """Open a run's directory, or the final model of a search.

    Args:
        directory: The run's directory, or that of a search.
        model: A module of the same kind, when the model came from Python.

    Raises:
        InputError: When there is no run.
    """
    directory = Path(directory)
    if Study.found(directory):
        return Study.open(directory).best
    record = Record(directory)
    record.check()
    return Run(record, model)
