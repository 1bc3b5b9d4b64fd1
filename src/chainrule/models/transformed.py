"""Transformers of features as a step of a preparation: learned on the training split, saved inside the model."""

from typing import Any, ClassVar, Self

from chainrule import registry
from chainrule.errors import UnknownNameError
from chainrule.models.classical import AbstractHolder
from chainrule.registry import register
from chainrule.shapes import Float, Shaped, Tensor


def transformers() -> dict[str, registry.Entry]:
    """The estimators that make features of features: transformers, and what clusters by distances or probabilities."""
    known = registry.entries("transformer") | registry.entries("clusterer")
    return {name: row for name, row in known.items() if _features_of(row.build) is not None}


@register("preparation", "transformer", tiny={"call": "pca(n_components=2)", "features": 3}, sample=(4, 3))
class Transformed(AbstractHolder):
    """Gives samples to one of the transformers of :mod:`chainrule.estimators`; it computes in float64.

    k-means gives the distances to its centres, a Gaussian mixture the probabilities of its components.

    Args:
        call: The transformer, as in ``"kernel-pca(n_components=20)"``.
        features: Numbers in one sample, flattened.
        outputs: Numbers that come out, once it has learned.

    Raises:
        UnknownNameError: When there is no such transformer.
        InputError: When it does not know an option.
    """

    #: What comes out is a vector, whatever the shape of what goes in.
    flat: ClassVar[bool] = True

    def __init__(self, call: str, features: int, *, outputs: int = 0) -> None:
        super().__init__()
        self.call, self.features, self.outputs = call, features, outputs
        asked = registry.parse(call)
        known = transformers()
        if asked.name not in known:
            raise UnknownNameError("transformer", asked.name, known)
        self.estimator = registry.call(known[asked.name].build, asked.options, asked.name)

    def learn(self, rows: Shaped[Tensor, "n ..."], targets: Shaped[Tensor, "n ..."]) -> Self:
        """Learn from training samples and their targets, which some transformers look at.

        Args:
            rows: Samples.
            targets: Indices of classes ``[n]``, or real targets ``[n, k]``.

        Raises:
            InputError: When the transformer refuses them.
        """
        y = targets[:, 0] if targets.ndim == 2 else targets
        self.estimator.fit(rows.flatten(1).double(), y)
        self.outputs = self(rows[:1]).shape[1]
        return self

    def forward(self, inputs: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        features: Tensor = _features_of(self.estimator)(inputs.flatten(1).double())
        return features.float()

    def options(self) -> dict[str, Any]:
        """Constructor options."""
        return {"call": self.call, "features": self.features, "outputs": self.outputs}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return [f"{self.call} makes {self.outputs} features of {self.features}."]


def _features_of(estimator: Any) -> Any:
    """What gives features of samples, or None."""
    return getattr(estimator, "transform", None) or getattr(estimator, "predict_proba", None)
