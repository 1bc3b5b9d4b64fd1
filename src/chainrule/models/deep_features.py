"""Deep features: a frozen network's last activations before its head, as a preparation of what learns on them.

Razavian, Azizpour, Sullivan and Carlsson 2014, CNN features off-the-shelf.
"""

from typing import Any, Self

from torch import nn

from chainrule import models, surgery
from chainrule.data.spec import Classes, Image, Inputs, Target, from_json, to_json
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "preparation",
    "deep-features",
    paper="Razavian, Azizpour, Sullivan, Carlsson 2014, CNN features off-the-shelf",
    year=2014,
    tiny={"network": "resnet20(width=4)", "inputs": to_json(Image(1, 8, 8)), "outputs": 3},
    sample=(4, 1, 8, 8),
)
class DeepFeatures(nn.Module):
    """Gives what a network's head would get: ``[b, ...]`` to ``[b, d]``; nothing in it learns.

    Args:
        network: The call that builds the network.
        inputs: Spec of what it takes, as :func:`chainrule.data.spec.to_json` writes it.
        outputs: Outputs of the head that it was built with.
    """

    def __init__(self, network: str, inputs: dict[str, Any], outputs: int) -> None:
        super().__init__()
        self.call, self.inputs, self.outputs = network, inputs, outputs
        spec: Inputs = from_json(inputs)
        names = tuple(str(number) for number in range(outputs))
        trunk = surgery.freeze(models.build(network, inputs=spec, target=Classes(names))).requires_grad_(False)
        self.features = surgery.features(trunk)
        self.eval()

    @property
    def network(self) -> nn.Module:
        """The network itself."""
        return self.features.model

    @classmethod
    def of(cls, network: nn.Module, *, call: str, inputs: Inputs, target: Target) -> Self:
        """Those of a network that ``models.build(call, inputs=inputs, target=target)`` made, with its weights."""
        step = cls(call, to_json(inputs), len(target.names))
        step.network.load_state_dict(network.state_dict())
        return step

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: dropout would make the features random."""
        return super().train(False)

    def forward(self, inputs: Float[Tensor, "b ..."]) -> Float[Tensor, "b d"]:
        return self.features(inputs.float()).flatten(1)

    def options(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {"network": self.call, "inputs": self.inputs, "outputs": self.outputs}

    def describe(self) -> list[str]:
        """What is done to an input, in sentences."""
        return [f"The frozen {self.call} gives the activations before its head."]
