"""Write the pictures of ``docs/anatomy.md``.

Run it with ``python docs/draw_anatomy.py``. They are the results of the page's own code, drawn anew; in double
precision, because saturated layers amplify what one processor rounds otherwise than another.
"""

from pathlib import Path

import torch
from torch import nn

from chainrule.anatomy.flow import GradientFlow, gradient_flow
from chainrule.anatomy.statistics import ActivationStatistics, activation_statistics
from chainrule.anatomy.summary import Summary, summary
from chainrule.models.vision.alexnet import AlexNet

PICTURES = Path(__file__).parent / "pictures"


def flow() -> GradientFlow:
    """The gradient through ten sigmoid layers."""
    torch.manual_seed(0)
    layers = [part for _ in range(10) for part in (nn.Linear(64, 64), nn.Sigmoid())]
    model = nn.Sequential(*layers, nn.Linear(64, 10)).double()
    return gradient_flow(model, (torch.randn(128, 64).double(), torch.randint(0, 10, (128,))))


def statistics() -> ActivationStatistics:
    """The activations of eight tanh layers, drawn in three ways."""
    torch.manual_seed(0)
    model = nn.Sequential(*(part for _ in range(8) for part in (nn.Linear(256, 256), nn.Tanh()))).double()
    initializers = ("small-random", "small-random(std=1)", "xavier-normal")
    return activation_statistics(model, torch.randn(256, 256).double(), initializers=initializers)


def layers() -> Summary:
    """The layers of AlexNet."""
    with torch.device("meta"):
        return summary(AlexNet(), (3, 227, 227), what="AlexNet")


def pictures() -> dict[str, str]:
    """The pictures, by their names in ``docs/pictures``."""
    return {
        "gradient-flow.svg": flow().svg(),
        "activation-statistics.svg": statistics().svg(),
        "layers-alexnet.svg": layers().svg(),
    }


if __name__ == "__main__":
    for name, svg in pictures().items():
        (PICTURES / name).write_text(svg, encoding="utf-8")
