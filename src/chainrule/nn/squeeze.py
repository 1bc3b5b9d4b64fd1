"""Squeeze and excitation (Hu, Shen and Sun 2018, Squeeze-and-excitation networks).

``s = sigmoid(W2 act(W1 mean_hw(x) + b1) + b2)``, ``y_c = s_c x_c``: each channel is scaled by what all channels are on
average. With ``c`` channels and ``m`` in between it has ``2 c m + m + c`` parameters.
Differs from the paper: nothing with ReLU; EfficientNet takes SiLU.
"""

from torch import nn

from chainrule.nn.activations import activation as build_activation
from chainrule.shapes import Float, Tensor


class SqueezeExcitation(nn.Module):
    """Scale each channel by a number between 0 and 1 that is made from the means of all channels.

    Args:
        channels: Channels ``c`` of the map.
        between: Channels between the two layers, ``c / r`` in the paper.
        activation: Activation between them, by name.
    """

    def __init__(self, channels: int, between: int, *, activation: str = "relu(inplace=True)") -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, between, kernel_size=1)
        self.act = build_activation(activation, channels=between)
        self.fc2 = nn.Conv2d(between, channels, kernel_size=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        scale = self.fc2(self.act(self.fc1(self.avgpool(x))))
        return x * scale.sigmoid()
