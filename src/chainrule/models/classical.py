"""Classical estimators as networks, so that they are prepared, measured, saved and asked like any other model."""

from collections.abc import Callable
from typing import Any, Self

import torch
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter
from torch import nn

from chainrule import registry
from chainrule.data.spec import Real, Target
from chainrule.errors import InputError
from chainrule.estimators import saving
from chainrule.estimators.base import AbstractEstimator
from chainrule.nn.affine import Affine
from chainrule.shapes import Float, Shaped, Tensor

#: Numbers of a tensor that are few enough to be told.
FEW = 6
#: The kind of estimator that learns a kind of target.
KIND = {"classes": "classifier", "real": "regressor"}


class AbstractHolder(nn.Module):
    """A module around an estimator, whose learned values go through ``state_dict`` and to other devices with it.

    Attributes:
        estimator: The estimator.
    """

    estimator: Any

    def get_extra_state(self) -> dict[str, Any]:
        """What the estimator has learned, for ``state_dict``."""
        return saving.learned(self.estimator)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Give back what ``state_dict`` took."""
        saving.restore(self.estimator, state, torch.device("cpu"))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Follow the module to another device; the precision stays."""
        super()._apply(fn, recurse)
        saving.restore(self.estimator, saving.learned(self.estimator), fn(torch.empty(0)).device)
        return self


class Classical(AbstractHolder):
    """A classical estimator with the outputs of a network, and nothing that a gradient could move.

    Its outputs are what a network's would be: of classes the logarithms of their probabilities, or scores where the
    estimator has no probabilities; of real targets their values, standardised. It computes in float64.

    Args:
        estimator: One of :mod:`chainrule.estimators`, not fitted yet.
        outputs: Outputs, ``k``.
    """

    def __init__(self, estimator: AbstractEstimator, outputs: int) -> None:
        super().__init__()
        self.estimator, self.outputs = estimator, outputs
        # What the estimator itself predicts, from the targets that it is given here.
        self.units = Affine([0.0] * outputs, [1.0] * outputs)

    @property
    def sums(self) -> bool:
        """Whether it learns from sums over the rows, so that these may lie on several processes."""
        return self.estimator.sums

    @property
    def natural_units(self) -> bool:
        """Whether real targets are learned in their own units, not standardised."""
        return self.estimator.natural_units

    @classmethod
    def build(cls, call: registry.Call, target: Target) -> Self:
        """The estimator of a call such as ``svm(C=10)``.

        Args:
            call: Its name and options.
            target: What it is to learn.

        Raises:
            InputError: When it does not learn such targets, or does not know an option.
        """
        rows = {kind: registry.entries(kind).get(call.name) for kind in KIND.values()}
        row = rows.get(KIND.get(target.kind, ""))
        if row is None:
            learns = " or ".join({"classifier": "classes", "regressor": "real numbers"}[k] for k in rows if rows[k])
            raise InputError(f"{call.name} learns {learns}, but this target is {target}; take another model.")
        # Where probabilities are an option, a model has them.
        wanted = {"probability": True} if "probability" in registry.keywords(row.build) else {}
        estimator = registry.call(row.build, {**wanted, **call.options}, call.name)
        several = len(target.names) > 1 and isinstance(target, Real)
        if several and not estimator.__sklearn_tags__().target_tags.multi_output:
            raise InputError(
                f"{call.name} learns one real number, but this target is {target}; name one column with --target, or "
                "take --model ridge, which learns several."
            )
        return cls(estimator, len(target.names))

    def learn(
        self,
        x: Float[Tensor, "n ..."],
        targets: Shaped[Tensor, "n ..."],
        *,
        units: Affine | None = None,
        weight: Float[Tensor, " n"] | None = None,
        seed: int = 0,
    ) -> Self:
        """Fit the estimator.

        Args:
            x: Prepared inputs.
            targets: Indices of classes ``[n]``, labels as zeros and ones ``[n, k]``, or real targets ``[n, k]`` in
                their own units.
            units: From standardised targets to those.
            weight: Weight of each sample.
            seed: Seed of an estimator with a ``random_state`` that was given none.

        Returns:
            Itself.

        Raises:
            InputError: When weights are given to an estimator that takes none, or the estimator refuses the data.
        """
        name = type(self.estimator).__name__
        if weight is not None and not has_fit_parameter(self.estimator, "sample_weight"):
            raise InputError(f"{name} gives all samples the same weight, so balance has no meaning; leave it out.")
        y = targets
        if units is not None:
            natural = self.natural_units
            if natural:
                self.units.load_state_dict(units.state_dict())
            y = targets.double() if natural else (targets.double() - units.shift) / units.scale
        y = y[:, 0] if y.ndim == 2 and self.outputs == 1 else y
        self.estimator = clone(self.estimator)
        if self.estimator.get_params(deep=False).get("random_state", seed) is None:
            self.estimator.set_params(random_state=seed)
        self._fit(x.flatten(1).double(), y, weight)
        if targets.ndim == 1 and len(self.estimator.classes_) < self.outputs:
            found = len(self.estimator.classes_)
            raise InputError(
                f"The training split has samples of {found} of the {self.outputs} classes; bring more samples of the "
                "others, or leave these classes out."
            )
        return self

    def _fit(self, x: Float[Tensor, "n d"], y: Shaped[Tensor, "n ..."], weight: Float[Tensor, " n"] | None) -> None:
        """Let the estimator learn."""
        options = {} if weight is None else {"sample_weight": weight.double()}
        self.estimator.fit(x, y, **options)

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        x = x.flatten(1).double()
        if hasattr(self.estimator, "predict_proba"):
            # A probability of zero would make a mistake infinitely bad.
            least = torch.finfo(torch.float32).tiny
            return self.estimator.predict_proba(x).clamp_min(least).log().float()
        if hasattr(self.estimator, "classes_"):
            return self.estimator._scores(x).float()
        values = self.estimator.predict(x)
        return self.units.inverse(values.reshape(len(x), self.outputs)).float()

    def learned(self) -> dict[str, Any]:
        """What it says of itself in a few plain values, such as the number of iterations, by name."""
        values = {name: value for name, value in sorted(vars(self.estimator).items()) if name.endswith("_")}
        values.pop("n_features_in_", None)
        values.pop("classes_", None)
        plain = {
            name.rstrip("_"): value.tolist() if isinstance(value, Tensor) and value.numel() <= FEW else value
            for name, value in values.items()
        }
        return {name: value for name, value in plain.items() if isinstance(value, bool | int | float | str | list)}

    def numbers(self) -> int:
        """How many numbers it has learned."""
        values = [value for name, value in vars(self.estimator).items() if name.endswith("_")]
        return sum(v.numel() for v in values if isinstance(v, Tensor) and v.is_floating_point())
