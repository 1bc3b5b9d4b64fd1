"""``Run``: a finished (or unfinished) run's directory, to be asked for its results and to predict."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from chainrule import storage
from chainrule.data.raw import as_raw
from chainrule.data.spec import Classes, Inputs, Labels, Target
from chainrule.doctor.finding import Finding
from chainrule.errors import InputError
from chainrule.models import assembly
from chainrule.training.events import Evaluated, Event
from chainrule.training.record import Record


class Run:
    """One run.

    Args:
        record: Its directory.
        network: The module, if it came from Python and cannot be built by name.
    """

    def __init__(self, record: Record, network: nn.Module | None = None) -> None:
        self._record, self._network = record, network

    def __repr__(self) -> str:
        return f"Run({str(self.directory)!r})"

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self._record.directory

    @property
    def config(self) -> dict[str, Any]:
        """Every setting."""
        settings: dict[str, Any] = self._record.settings()["config"]
        return settings

    @property
    def events(self) -> list[Event]:
        """The recorded events, but for single steps."""
        return list(self._record.events())

    @property
    def test(self) -> dict[str, float]:
        """Loss and metrics on the test split.

        Raises:
            InputError: When the run has not come so far.
        """
        for event in self._record.events():
            if isinstance(event, Evaluated):
                return event.metrics
        raise InputError(
            f"The run in {self.directory} has no test result yet; write chainrule resume {self.directory}."
        )

    @property
    def findings(self) -> list[Finding]:
        """What the doctor found.

        Raises:
            InputError: When the run has not come so far, or the file is damaged.
        """
        path = self.directory / "findings.json"
        again = f"write chainrule report {self.directory} to make it again."
        try:
            return [Finding(**row) for row in storage.read_json(path)]
        except InputError as error:
            raise InputError(f"{str(error).rstrip('.')}; {again}") from error
        except TypeError as error:
            raise InputError(f"{path} is damaged ({error}); {again}") from error

    @cached_property
    def _loaded(self) -> tuple[nn.Sequential, Inputs, Target]:
        return assembly.load(self._record.model, self._network)

    @property
    def model(self) -> nn.Sequential:
        """The whole model with its best weights: raw inputs to probabilities or target units."""
        return self._loaded[0]

    @property
    def inputs(self) -> Inputs:
        """What a raw input is."""
        return self._loaded[1]

    @property
    def target(self) -> Target:
        """What is predicted."""
        return self._loaded[2]

    def predict_proba(self, x: Any) -> np.ndarray:
        """Probability of each class or label, ``[n, k]``.

        Args:
            x: Raw inputs: a DataFrame, a list of dicts, an array or tensor, a path to a file or a folder of images.

        Raises:
            InputError: When the inputs do not fit, or the target has no probabilities.
        """
        if not isinstance(self.target, Classes | Labels):
            raise InputError("This model predicts real numbers, which have no probabilities; write predict.")
        return self._outputs(x)

    def predict(self, x: Any) -> np.ndarray:
        """Predictions: classes ``[n]``, labels as 0 and 1 ``[n, k]``, real numbers ``[n]`` or ``[n, k]``.

        Args:
            x: Raw inputs, as for :meth:`predict_proba`.

        Raises:
            InputError: When the inputs do not fit.
        """
        return decided(self._outputs(x), self.target)

    def _outputs(self, x: Any) -> np.ndarray:
        outputs: np.ndarray = assembly.run(self.model, as_raw(x, self.inputs)).numpy()
        return outputs


def decided(outputs: np.ndarray, target: Target) -> np.ndarray:
    """What a model's outputs ``[n, k]`` mean: names of classes, zeros and ones, or numbers."""
    if isinstance(target, Classes):
        return class_values(target.names)[outputs.argmax(axis=1)]
    if isinstance(target, Labels):
        return (outputs > 0.5).astype(np.int64)
    return outputs[:, 0] if outputs.shape[1] == 1 else outputs


def class_values(names: Sequence[str]) -> np.ndarray:
    """The classes as the data had them: integers where every name is one, else texts."""
    if all(name.lstrip("-").isdigit() and str(int(name)) == name for name in names):
        return np.array([int(name) for name in names])
    return np.array(names)
