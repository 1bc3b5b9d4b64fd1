"""Textures as features: histograms of local binary patterns (:mod:`chainrule.estimators.lbp`)."""

from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils.validation import check_array

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators.base import AbstractTransformer
from chainrule.estimators.lbp import NUMBERINGS, contrast, histograms, local_binary_patterns
from chainrule.estimators.memory import blocks
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor


@register(
    "transformer",
    "lbp",
    family="textures",
    paper="Ojala, Pietikainen & Maenpaa 2002, Multiresolution gray-scale and rotation invariant texture classification",
    year=2002,
    tiny={"height": 2},
    peer="skimage.feature.local_binary_pattern",
)
class LocalBinaryPatterns(ClassNamePrefixFeaturesOutMixin, AbstractTransformer):
    """Describes images by the histograms of their local binary patterns, region by region.

    Images come as ``[n, h, w]``, or flat as the rows of a matrix, which is how pipelines and tables hold them; of rows
    ``height`` says how they are folded.

    Args:
        P: Points on the circle around a pixel.
        R: Its radius, in pixels.
        method: ``"default"`` (all ``2^P`` patterns), ``"ror"`` (the least rotation), ``"uniform"`` (riu2),
            ``"nri_uniform"`` (u2) or ``"var"`` (the variance of the neighbours), as scikit-image names them.
        regions: Into how many parts height and width are split, one number for both or ``(down, across)``; each part
            has its own histogram.
        height: Height of the image that a row holds; the width follows. By default a row is an image one pixel high.
            Images ``[n, h, w]`` have their own height.
        bins: Bins of ``"var"``: each holds the same share of the pixels that it learned from.
        memory: Bound on temporary memory, MiB.

    Attributes:
        size_: Height and width of the images.
        edges_: Edges between the bins of ``"var"``; of other methods None.
        numbers_: The numbers of ``"ror"`` that occur; of other methods None.
        n_features_in_: Pixels of an image.
    """

    def __init__(
        self,
        *,
        P: int = 8,
        R: float = 1.0,
        method: str = "uniform",
        regions: int | tuple[int, int] = 1,
        height: int = 1,
        bins: int = 16,
        memory: float = 256,
    ) -> None:
        self.P = P
        self.R = R
        self.method = method
        self.regions = regions
        self.height = height
        self.bins = bins
        self.memory = memory

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the size of images, and the bins of ``"var"``.

        Args:
            X: Images ``[n, h, w]``, or rows ``[n, h * w]``.
            y: Not used.

        Raises:
            InputError: When an option does not fit, or rows cannot be folded.
        """
        if self.method not in (*NUMBERINGS, "var"):
            raise UnknownNameError("method of local binary patterns", self.method, [*NUMBERINGS, "var"])
        rows, size = _rows(X)
        samples = self._features(rows)
        self.size_ = size or _folded(self.height, samples.shape[1])
        self.edges_ = self.numbers_ = None
        if self.method == "var":
            self.edges_ = self._quantiles(samples)
        elif self.method == "ror":
            self.numbers_ = _rotations(self.P, samples)
        # Now, rather than when images are transformed, it is said that regions or bins do not fit.
        histograms(torch.zeros(1, *self.size_, dtype=torch.int64), self._bins(), self._grid())
        return self

    def _known(self, X: Any) -> Tensor:
        rows, size = _rows(X)
        if size and hasattr(self, "size_") and size != list(self.size_):
            raise InputError(f"The images are {size}, but {type(self).__name__} learned from {list(self.size_)}.")
        return super()._known(rows)

    @property
    def _n_features_out(self) -> int:
        down, across = self._grid()
        return down * across * self._bins()

    def _grid(self) -> tuple[int, int]:
        if isinstance(self.regions, int):
            return self.regions, self.regions
        down, across = self.regions
        return down, across

    def _bins(self) -> int:
        if self.edges_ is not None:
            return len(self.edges_) + 1
        return len(self.numbers_) if self.numbers_ is not None else NUMBERINGS[self.method].count(self.P)

    def _images(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n h w"]:
        return X.view(len(X), *self.size_)

    def _quantiles(self, X: Float[Tensor, "n d"]) -> Float[Tensor, " e"]:
        """Edges between bins with equal shares of the pixels."""
        if not (isinstance(self.bins, int) and self.bins >= 1):
            raise InputError(f"LocalBinaryPatterns wants bins from 1 up; received {self.bins!r}.")
        values = contrast(self._images(X), self.P, self.R, memory=self.memory).view(-1).sort().values
        places = torch.arange(1, self.bins, device=X.device) * len(values) // self.bins
        return values[places].to(X.dtype)

    def _codes(self, images: Float[Tensor, "n h w"]) -> Int[Tensor, "n h w"]:
        codes = local_binary_patterns(images, self.P, self.R, self.method, memory=self.memory)
        if self.edges_ is not None:
            return torch.bucketize(codes.to(self.edges_), self.edges_, right=True)
        return codes if self.numbers_ is None else torch.searchsorted(self.numbers_, codes)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        images, found = self._images(X), X.new_empty(len(X), self._n_features_out)
        for some in blocks(len(X), 8 * (4 * X.shape[1] + 2 * self._n_features_out), self.memory):
            found[some] = histograms(self._codes(images[some]), self._bins(), self._grid()).to(X.dtype)
        return found


def _rows(X: Any) -> tuple[Any, list[int] | None]:
    """Images ``[n, h, w]`` as rows, and their size; anything else as it is."""
    if getattr(X, "ndim", 2) != 3:
        return X, None
    images = X if isinstance(X, Tensor) else check_array(X, allow_nd=True, dtype=(np.float64, np.float32))
    return images.reshape(len(images), -1), [int(images.shape[1]), int(images.shape[2])]


def _folded(height: int, pixels: int) -> list[int]:
    """Height and width of the image in a row."""
    if height < 1 or pixels % height:
        raise InputError(
            f"A row of {pixels} pixels is no image of height {height}; write height=..., which divides it."
        )
    return [height, pixels // height]


def _rotations(P: int, X: Tensor) -> Int[Tensor, " m"]:
    """All numbers that the least rotation of a pattern has."""
    if P > 16:
        raise InputError(
            f'The least rotations of {P} points are too many for a histogram; write method="uniform", or P up to 16.'
        )
    numbering = NUMBERINGS["ror"]
    return torch.unique(numbering.numbers(torch.arange(2**P, device=X.device), P))
