"""Linear model: softmax regression, logistic regression per label, or least squares, trained by gradient descent.

``y = W x + b`` with ``x`` the flattened input of ``d`` numbers; the task's loss decides which of the three it is.
Differs from the closed form: the weights are approached step by step, from zero.
"""

from torch import nn

from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def flat_arguments(inputs, target):  # type: ignore[no-untyped-def]
    """Constructor arguments of a network that takes any input as one flat vector."""
    features = 1
    for side in inputs.shape:
        features *= side
    return {"features": features, "outputs": len(target.names)}


@register(
    "model",
    "linear",
    family="basic",
    paper="Legendre 1805, least squares; Cox 1958, The regression analysis of binary sequences",
    year=1805,
    inputs=("vector", "image", "volume"),
    targets=("classes", "labels", "real"),
    arguments=flat_arguments,
    tiny={"features": 4, "outputs": 3},
    sample=(2, 4),
    peer="torch.nn.Linear",
    exceptions={"overfits_32_samples": "a plane in four dimensions does not separate 32 random samples"},
)
class Linear(nn.Module):
    """Linear model on the flattened input, started at zero.

    Args:
        features: Numbers in one flattened sample, ``d``.
        outputs: Outputs, ``k``.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, outputs)
        # The problem is convex: any start leads to the optimum, and zero gives exactly the loss of a model that knows
        # nothing.
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        return self.fc(x.flatten(1))
