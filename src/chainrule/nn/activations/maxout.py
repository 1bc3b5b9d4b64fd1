"""Maxout (Goodfellow, Warde-Farley, Mirza, Courville and Bengio 2013, Maxout networks).

``h_i(x) = max_j (x^T W_{.ij} + b_ij)``: each unit is the largest of several affine pieces.
Differs from the paper: nothing.
"""

from torch import nn

from chainrule.errors import InputError
from chainrule.nn.activations.piecewise import check_channels, check_options
from chainrule.registry import register
from chainrule.shapes import Float, Tensor


def maxout(x: Float[Tensor, "b c *rest"], pieces: int) -> Float[Tensor, "b k *rest"]:
    """The largest of each ``pieces`` channels that stand together: ``k = c / pieces``.

    Raises:
        InputError: When the channels do not divide by the pieces.
    """
    if x.shape[1] % pieces:
        raise InputError(f"maxout wants channels that divide by pieces={pieces}; received {x.shape[1]}.")
    return x.unflatten(1, (-1, pieces)).amax(2)


@register(
    "activation",
    "maxout",
    family="layer",
    paper="Goodfellow, Warde-Farley, Mirza, Courville, Bengio 2013, Maxout networks",
    year=2013,
    tiny={"channels": 3},
    sample=(4, 3, 5),
)
class Maxout(nn.Module):
    """A linear layer over the channels, of which each output is the largest of several pieces.

    Args:
        channels: Size of axis 1 of the input.
        outputs: Size of axis 1 of the output; None for as many as ``channels``.
        pieces: Affine functions in each maximum.

    Raises:
        InputError: When an option, or at the call the input, does not fit.
    """

    def __init__(self, channels: int, outputs: int | None = None, *, pieces: int = 2) -> None:
        super().__init__()
        check_options("Maxout", channels)
        outputs = channels if outputs is None else outputs
        if not all(isinstance(number, int) and number >= 1 for number in (outputs, pieces)):
            raise InputError(
                f"Maxout wants outputs and pieces as whole numbers from 1 up; received {outputs} and {pieces}."
            )
        self.channels, self.pieces = channels, pieces
        self.linear = nn.Linear(channels, outputs * pieces)

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b k *rest"]:
        check_channels(x, self.channels, "Maxout", shared=False)
        return maxout(self.linear(x.movedim(1, -1)).movedim(-1, 1), self.pieces)
