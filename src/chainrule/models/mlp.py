"""Multi-layer perceptron (Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors).

``h_0 = x``, ``h_i = dropout(act(W_i h_{i-1} + b_i))``, ``y = W h_depth + b``.
Differs from the paper: ReLU instead of the sigmoid, torch's initialization of linear layers, and dropout.
"""

from itertools import pairwise

from torch import nn

from chainrule.models.linear import flat_arguments
from chainrule.nn import activation as build_activation
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "model",
    "mlp",
    family="basic",
    paper="Rumelhart, Hinton, Williams 1986, Learning representations by back-propagating errors",
    year=1986,
    inputs=("vector", "image", "volume"),
    targets=("classes", "labels", "real"),
    arguments=flat_arguments,
    tiny={"features": 4, "outputs": 3, "width": 64, "dropout": 0.0},
    sample=(2, 4),
)
class MLP(nn.Module):
    """Fully connected layers on the flattened input.

    Args:
        features: Numbers in one flattened sample, ``d``.
        outputs: Outputs, ``k``.
        width: Units in each hidden layer.
        depth: Number of hidden layers.
        dropout: Share of hidden units dropped while training.
        activation: Any activation by name, of torch or ours: ``"melu"``, ``"leakyrelu(negative_slope=0.1)"``.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        width: int = 128,
        depth: int = 2,
        dropout: float = 0.1,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.width = width
        sizes = [features] + [width] * depth
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), build_activation(activation, channels=after)] + (
                [nn.Dropout(dropout)] if dropout else []
            )
        self.hidden = nn.Sequential(*layers)
        self.fc = nn.Linear(sizes[-1], outputs)

    def forward(self, x: Float[Tensor, "b ..."]) -> Float[Tensor, "b k"]:
        return self.fc(self.hidden(x.flatten(1)))
