"""Kernel principal component analysis: principal components in the feature space of a kernel.

B. Scholkopf, A. Smola and K.-R. Muller, "Nonlinear component analysis as a kernel eigenvalue problem", 1998. With the
Gram matrix ``K`` of the samples, doubly centred, its eigenvalues ``v_k`` and its eigenvectors ``u_k``, the scores of
the samples are ``sqrt(v_k) u_k``, and those of a new one ``sum_i k(x, x_i) u_ki / sqrt(v_k)``, ``k`` centred likewise.

The Gram matrix is needed whole, ``[n, n]``. Where at most ``n / 40 - 4`` components are wanted they are found from its
products with blocks of vectors (:mod:`chainrule.estimators.spectra`), if that converges; else from all eigenvectors.

Differs from scikit-learn: ``gamma`` is a number or a rule, and other options of a kernel are written with it, as in
``kernel="poly(degree=2, coef0=1)"``; there is no way back to samples.
"""

import math
from dataclasses import replace
from typing import Any, Self

import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractTransformer
from chainrule.estimators.kernels import AbstractKernel, Kernel, named_kernel
from chainrule.estimators.memory import MIB, blocks
from chainrule.estimators.projections import checked_count
from chainrule.estimators.spectra import doubly_centred, leading, worthwhile
from chainrule.nn.whitening import principal
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

#: Matrices ``[n, n]`` that live at once while all eigenvectors are found.
MATRICES = 4


def components(gram: Float[Tensor, "n n"], count: int) -> tuple[Float[Tensor, " k"], Float[Tensor, "k n"]]:
    """Eigenvalues of a centred Gram matrix, falling, with 0 for what is rounding, and unit eigenvectors as rows.

    Args:
        gram: The matrix.
        count: How many are wanted.
    """
    done = False
    if worthwhile(count, len(gram)):
        values, vectors, done = leading(lambda block: gram @ block, count, gram, len(gram), 0)
    if not done:
        values, vectors = principal(gram)
    values = values[:count]
    noise = len(gram) * torch.finfo(gram.dtype).eps * values[0]
    return torch.where(values > noise, values, 0.0), vectors[:count]


@register(
    "transformer",
    "kernel-pca",
    family="projection",
    paper="Scholkopf, Smola and Muller 1998, Nonlinear component analysis as a kernel eigenvalue problem",
    year=1998,
    tiny={"n_components": 2, "kernel": "rbf"},
    peer="sklearn.decomposition.KernelPCA",
    exceptions={"bounds_its_memory": "the method needs the Gram matrix of all samples"},
)
class KernelPCA(ClassNamePrefixFeaturesOutMixin, AbstractTransformer):
    """Kernel PCA: the directions of most variance in the feature space of a kernel.

    Args:
        n_components: How many are kept; None for all that have variance.
        kernel: ``"linear"``, ``"poly"``, ``"rbf"``, ``"sigmoid"``, also with options as in ``"poly(degree=2)"``; a part
            of :mod:`chainrule.estimators.kernels`; a function of two matrices; or ``"precomputed"``, for Gram matrices
            in the place of samples.
        gamma: ``gamma`` of a kernel asked for by name: a number, ``"scale"``, or ``"auto"`` for one over features.
        memory: Bound of the memory of fitting, MiB; four matrices ``[n, n]`` have to fit. Also bounds the temporary
            memory of a transformation.

    Attributes:
        eigenvalues_: Eigenvalues of the centred Gram matrix, falling, ``[k]``.
        eigenvectors_: Its eigenvectors, ``[n, k]``; the entry of greatest size is positive.
        X_fit_: The samples; None where Gram matrices are given.
        gamma_: What ``gamma`` of a kernel asked for by name, or a part, stands for; None where it has none.
        means_: Means of the columns of the Gram matrix, ``[n]``.
        n_features_in_: Features of a sample.
    """

    def __init__(
        self,
        *,
        n_components: int | None = None,
        kernel: str | Kernel = "linear",
        gamma: float | str = "auto",
        memory: float = 4096,
    ) -> None:
        self.n_components = n_components
        self.kernel = kernel
        self.gamma = gamma
        self.memory = memory

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._given
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``, or their Gram matrix ``[n, n]``.
            y: Not used; scikit-learn's pipelines pass it.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there are more samples than memory, an option does not fit, a Gram matrix is not square, or
                nothing varies.
        """
        samples = self._features(X, least=2)
        rows = len(samples)
        most = int((self.memory * MIB / MATRICES / samples.element_size()) ** 0.5)
        if rows > most:
            need = math.ceil(MATRICES * rows**2 * samples.element_size() / MIB)
            raise InputError(
                f"Kernel PCA of {rows} samples needs {need} MiB for their Gram matrix, and memory={self.memory} "
                f"allows {most} samples; write memory={need} where the machine has it, or learn from fewer samples."
            )
        if self._given and samples.shape[1] != rows:
            raise InputError(
                f"Precomputed kernels are learned from as Gram matrices [n, n], but {list(samples.shape)} came."
            )
        count = checked_count(self.n_components, rows, rows)
        self.X_fit_ = None if self._given else samples
        self.gamma_ = None
        if not self._given:
            kernel = named_kernel(self.kernel, self.gamma)
            self.gamma_ = getattr(
                kernel.resolved(samples) if isinstance(kernel, AbstractKernel) else None, "gamma", None
            )
        gram = samples.clone() if self._given else self._products(samples)
        if not bool(gram.isfinite().all()):
            raise InputError("The kernel gives NaN or infinity; scale the samples, or change its options.")
        self.means_ = gram.mean(dim=0)
        values, vectors = components(doubly_centred(gram, self.means_, self.means_.mean()), count)
        if self.n_components is None:
            count = max(1, int((values > 0).sum()))
        self.eigenvalues_, self.eigenvectors_ = values[:count].clone(), vectors[:count].mT.contiguous()
        return self

    @property
    def _given(self) -> bool:
        """Whether Gram matrices come in the place of samples."""
        return isinstance(self.kernel, str) and self.kernel == "precomputed"

    @property
    def _n_features_out(self) -> int:
        return len(self.eigenvalues_)

    def _products(self, X: Float[Tensor, "b d"]) -> Float[Tensor, "b n"]:
        """The kernel of samples with those that were learned from."""
        if self.X_fit_ is None:
            return X
        kernel = named_kernel(self.kernel, self.gamma)
        if isinstance(kernel, AbstractKernel) and self.gamma_ is not None:
            kernel = replace(kernel, gamma=self.gamma_)  # type: ignore[call-arg]
        return torch.as_tensor(kernel(X, self.X_fit_), dtype=X.dtype, device=X.device)

    def _transformed(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        positive = self.eigenvalues_ > 0
        scaled = self.eigenvectors_ * torch.where(positive, self.eigenvalues_.where(positive, 1.0).rsqrt(), 0.0)
        scores = X.new_empty(len(X), len(self.eigenvalues_))
        for part in blocks(len(X), 3 * len(scaled) * X.element_size(), self.memory):
            products = self._products(X[part])
            products = products.clone() if self._given else products
            scores[part] = doubly_centred(products, self.means_, self.means_.mean()) @ scaled
        return scores
