"""Batch normalization that stays as it is (Ioffe and Szegedy 2015, Batch normalization).

``y = weight (x - running_mean) / sqrt(running_var + eps) + bias``, in training, too: an affine map of each channel
that is not trained. Differs from the paper: nothing in evaluation mode; there is no other mode.
"""

import torch
import torch.nn.functional as F
from torch import nn

from chainrule.shapes import Float, Tensor


class FrozenBatchNorm(nn.Module):
    """Batch normalization with running statistics and factors that nothing moves.

    All is kept in buffers under the names of torch's layer, so that either can load the other's ``state_dict``.

    Args:
        channels: Size of axis 1 of the input.
        eps: What is added to the variance.
        affine: Whether there are factors ``weight`` and ``bias``.

    Attributes:
        weight: ``[channels]``, or None.
        bias: ``[channels]``, or None.
        running_mean: ``[channels]``.
        running_var: ``[channels]``.
        num_batches_tracked: Batches that the statistics were made from, as far as torch counted them.
    """

    # As torch's layer since it counts the batches; with an older number it would look for a count in old files.
    _version = 2

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor | None

    def __init__(self, channels: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps
        self.register_buffer("weight", torch.ones(channels) if affine else None)
        self.register_buffer("bias", torch.zeros(channels) if affine else None)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    @classmethod
    def of(cls, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm) -> "FrozenBatchNorm":
        """What a layer with running statistics is in evaluation mode; it shares the layer's tensors."""
        frozen = cls(norm.num_features, eps=norm.eps, affine=norm.affine)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            tensor = getattr(norm, name)
            frozen.register_buffer(name, None if tensor is None else tensor.detach())
        return frozen.train(norm.training)

    def forward(self, x: Float[Tensor, "b c *rest"]) -> Float[Tensor, "b c *rest"]:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Its options."""
        return f"{self.channels}, eps={self.eps}, affine={self.weight is not None}"
