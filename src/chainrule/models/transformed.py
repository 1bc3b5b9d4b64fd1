"""Transformers of features as a step of a preparation: learned on the training split, saved inside the model."""

from typing import Any, ClassVar, Self

from chainrule import registry
from chainrule.models.classical import AbstractHolder
from chainrule.registry import register
from chainrule.shapes import Float, Shaped, Tensor


@register("preparation", "transformer", tiny={"call": "pca(n_components=2)", "features": 3}, sample=(4, 3))
class Transformed(AbstractHolder):
    """Gives samples to one of the transformers of :mod:`chainrule.estimators`; it computes in float64.

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
        row = registry.lookup("transformer", asked.name)
        self.estimator = registry.call(row.build, asked.options, asked.name)

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
        return self.estimator.transform(inputs.flatten(1).double()).float()

    def options(self) -> dict[str, Any]:
        """Constructor options."""
        return {"call": self.call, "features": self.features, "outputs": self.outputs}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return [f"{self.call} makes {self.outputs} features of {self.features}."]
