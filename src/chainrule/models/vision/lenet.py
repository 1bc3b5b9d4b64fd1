"""LeNet-5 in its modern form.

LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition:

``conv 6@5x5 - pool - conv 16@5x5 - pool - fc 120 - fc 84 - fc k``; 61,706 parameters for one channel and ten classes.
Differs from the paper: every map of the second convolution sees all six maps below it, max pooling replaces the
trainable subsampling, ReLU the scaled tanh, and a linear layer with softmax the fixed RBF output.
"""

from torch import nn

from chainrule.errors import InputError
from chainrule.nn import activation as build_activation
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


@register(
    "model",
    "lenet5",
    family="vision",
    paper="LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition",
    year=1998,
    inputs=("image",),
    targets=("classes", "labels", "real"),
    arguments=lambda inputs, target: {
        "channels": inputs.channels,
        "classes": len(target.names),
        "size": (inputs.height, inputs.width),
    },
    smallest=28,
    tiny={"channels": 1, "classes": 3, "size": 16},
    sample=(2, 1, 16, 16),
)
class LeNet5(nn.Module):
    """LeNet-5, modern form.

    Args:
        channels: Channels of the image.
        classes: Outputs, ``k``.
        size: Height and width of the image in pixels, or one number for both; at least 12. The paper's 32 is a 28
            padded by 2, and so is every size here.
        activation: Any activation by name, of torch or ours; one for each layer.

    Raises:
        InputError: When the image is so small that a map vanishes.
    """

    def __init__(
        self, channels: int = 1, classes: int = 10, size: int | tuple[int, int] = 28, *, activation: str = "relu"
    ) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 12:
            raise InputError(
                f"LeNet5 needs images of at least 12x12 pixels, received {height}x{width}: "
                "after conv2 nothing would be left to pool; enlarge them."
            )
        maps = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
        self.conv1 = nn.Conv2d(channels, 6, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.acts = nn.ModuleList(build_activation(activation, channels=c) for c in (6, 16, 120, 84))
        self.fc1 = nn.Linear(maps, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        x = self.pool(self.acts[0](self.conv1(x)))  # b 6 h/2 w/2
        x = self.pool(self.acts[1](self.conv2(x)))  # b 16 (h/2-4)/2 (w/2-4)/2
        x = self.acts[2](self.fc1(x.flatten(1)))
        x = self.acts[3](self.fc2(x))
        return self.fc3(x)
