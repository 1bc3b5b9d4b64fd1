"""Fewer features by the discrete cosine transform: the low frequencies of each sample.

N. Ahmed, T. Natarajan and K. R. Rao, "Discrete cosine transform", 1974. The orthonormal DCT-II of a vector,

    z_k = s_k sum_j x_j cos(pi (j + 1/2) k / d),    s_0 = sqrt(1 / d), else sqrt(2 / d),

keeps its energy, ``|z| = |x|`` (Parseval); of smooth signals and images nearly all of it lies in the first
coefficients. An image is transformed along both axes, and its coefficients ``(u, v)`` are ordered by ``u + v``, as in
JPEG's zigzag. Nothing is learned from the samples but their size. The transform is a matrix product, so that
coefficients that are not kept are not computed.
"""

import math
from typing import Any, ClassVar, Self

import torch

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractTransformer
from chainrule.estimators.projections import Invertible, checked_count
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor


def cosines(count: int, size: int, like: Float[Tensor, "..."]) -> Float[Tensor, "k d"]:
    """The first rows of the orthonormal DCT-II.

    Args:
        count: Frequencies, from 0 up.
        size: Numbers in a vector.
        like: Gives device and precision.
    """
    places = torch.arange(size, device=like.device, dtype=like.dtype) + 0.5
    rows = torch.arange(count, device=like.device, dtype=like.dtype)
    basis = torch.cos(torch.outer(rows, places) * (math.pi / size)) * math.sqrt(2 / size)
    basis[:1] *= math.sqrt(0.5)
    return basis


def zigzag(height: int, width: int, count: int) -> Int[Tensor, "k 2"]:
    """The lowest frequencies ``(u, v)`` of an image, by ``u + v``; of equal ones in JPEG's order, to and fro."""
    u, v = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    diagonal = u + v
    along = torch.where(diagonal % 2 == 0, v, u)
    order = (diagonal * max(height, width) + along).flatten().argsort()[:count]
    return torch.stack((order // width, order % width), dim=1)


@register(
    "transformer",
    "dct",
    family="projection",
    paper="Ahmed, Natarajan and Rao 1974, Discrete cosine transform",
    year=1974,
    tiny={"n_components": 2},
    peer="scipy.fft.dctn",
    laws=("shards",),
)
class DCTReduction(Invertible, AbstractTransformer):
    """The low-frequency coefficients of the discrete cosine transform of each sample.

    Args:
        n_components: How many are kept; None for all.
        size: ``(height, width)`` of images that come as rows; None for vectors.

    Attributes:
        frequencies_: The frequencies that are kept, ``[k, 2]``, of images down and across; of vectors the first is 0.
        n_features_in_: Features of a sample.
    """

    sums: ClassVar[bool] = True

    def __init__(self, *, n_components: int | None = None, size: tuple[int, int] | None = None) -> None:
        self.n_components = n_components
        self.size = size

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the size of a sample.

        Args:
            X: Samples ``[n, d]``.
            y: Not used; scikit-learn's pipelines pass it.

        Returns:
            The estimator itself.

        Raises:
            InputError: When an option does not fit.
        """
        samples = self._features(X)
        features = samples.shape[1]
        height, width = (1, features) if self.size is None else self.size
        if height * width != features:
            raise InputError(
                f"size={self.size!r} makes {height * width} numbers, but a sample has n_features={features}."
            )
        count = checked_count(self.n_components, features, features)
        self.frequencies_ = zigzag(height, width, count).to(samples.device)
        return self

    @property
    def _n_features_out(self) -> int:
        return len(self.frequencies_)

    def _bases(self, like: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "u h"], Float[Tensor, "v w"]]:
        """The cosines down and across that are needed."""
        height, width = (1, self.n_features_in_) if self.size is None else self.size
        down, across = (self.frequencies_.amax(dim=0) + 1).tolist()
        return cosines(down, height, like), cosines(across, width, like)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        down, across = self._bases(X)
        images = X.reshape(len(X), down.shape[1], across.shape[1])
        coefficients = down @ (images @ across.mT)
        u, v = self.frequencies_.to(X.device).unbind(dim=1)
        return coefficients[:, u, v]

    def _restored(self, Z: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
        down, across = self._bases(Z)
        coefficients = Z.new_zeros(len(Z), len(down), len(across))
        u, v = self.frequencies_.to(Z.device).unbind(dim=1)
        coefficients[:, u, v] = Z
        return (down.mT @ (coefficients @ across)).flatten(1)
