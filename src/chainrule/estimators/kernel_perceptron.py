"""The perceptron in its dual form, on features that only a kernel knows.

M. A. Aizerman, E. M. Braverman and L. I. Rozonoer, "Theoretical foundations of the potential function method", 1964;
Y. Freund and R. E. Schapire, "Large margin classification using the perceptron algorithm", 1999. It keeps ``c_i``, the
number of mistakes on each sample, and has

    f(x) = sum_i c_i y_i K(x_i, x) + b,    b = sum_i c_i y_i;

``y_i f(x_i) <= 0`` is a mistake, and adds 1 to ``c_i``. With ``K`` the inner product it is
:class:`chainrule.estimators.perceptron.Perceptron`, mistake for mistake. Only samples with a mistake are kept.
"""

from dataclasses import replace
from typing import Any, Self

import torch

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractClassifier, DecisionFunction
from chainrule.estimators.kernels import AbstractKernel, Kernel, named_kernel
from chainrule.estimators.memory import MIB, blocks
from chainrule.estimators.perceptron import class_scores, orders, unit_signs, warn_unfinished
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor


class KernelRows:
    """Rows of a Gram matrix on demand; as many are kept as the memory allows, the oldest go first.

    Args:
        kernel: The kernel.
        X: The samples.
        memory: Bound of what is kept, MiB.
    """

    def __init__(self, kernel: Kernel, X: Float[Tensor, "n d"], memory: float) -> None:
        self.samples = X
        self.against = kernel.against(X) if isinstance(kernel, AbstractKernel) else lambda part: kernel(part, X)
        self.room = int(memory * MIB) // (len(X) * X.element_size())
        self.kept: dict[int, Tensor] = {}

    def __getitem__(self, row: int) -> Float[Tensor, " n"]:
        if row not in self.kept:
            values = torch.as_tensor(self.against(self.samples[row : row + 1]))[0].to(self.samples)
            if not self.room:
                return values
            if len(self.kept) >= self.room:
                del self.kept[next(iter(self.kept))]
            self.kept[row] = values
        return self.kept[row]


def kernel_mistakes(
    rows: KernelRows, signs: Float[Tensor, " n"], order: Int[Tensor, " n"], values: Float[Tensor, " n"]
) -> list[int]:
    """One epoch of the perceptron's rule in its dual form.

    Args:
        rows: Rows of the Gram matrix.
        signs: -1 or 1 for each sample.
        order: In which the samples are gone through.
        values: ``f`` at each sample, changed in place.

    Returns:
        The rows with a mistake.
    """
    found, behind, wanted = [], 0, signs[order]
    now = values[order]
    while wrong := (now[behind:] * wanted[behind:] <= 0).nonzero()[:1].tolist():
        at = behind + wrong[0][0]
        behind = at + 1
        row = int(order[at])
        now += wanted[at] * (rows[row][order] + 1)
        found.append(row)
    values[order] = now
    return found


@register(
    "classifier",
    "kernel-perceptron",
    family="perceptron",
    paper="Aizerman, Braverman and Rozonoer 1964, Theoretical foundations of the potential function method",
    year=1964,
    tiny={"max_iter": 20},
)
class KernelPerceptron(DecisionFunction, AbstractClassifier):
    """A perceptron on the features of a kernel; for more than two classes one unit each, against all others.

    Args:
        kernel: ``"linear"``, ``"poly"``, ``"rbf"``, ``"sigmoid"``, a part such as ``Polynomial(degree=2, coef0=1.0)``,
            or a function ``[n, d], [m, d] -> [n, m]``.
        gamma: ``gamma`` of a kernel asked for by name: a number, ``"scale"`` or ``"auto"``.
        max_iter: Epochs at most.
        shuffle: Whether the rows are put in a new order for each epoch.
        random_state: Seed of these orders, or a ``numpy.random.RandomState``.
        memory: Bound of the kernel rows that are kept while learning, and of the block of a prediction, MiB.

    Attributes:
        support_: Rows of the samples with a mistake, ``[m]``.
        prototypes_: These samples, ``[m, d]``.
        dual_coef_: ``c_i y_i`` of each, ``[1, m]`` for two classes, else ``[k, m]``.
        intercept_: Constants, ``[1]`` or ``[k]``.
        gamma_: The number that ``gamma`` stood for; None where the kernel has none.
        n_iter_: Epochs until none of the units made a mistake, that epoch included, or ``max_iter``.
        mistakes_: Number of updates of each unit, ``[1]`` or ``[k]``.
        mistake_counts_: ``c_i`` of all samples, ``[1, n]`` or ``[k, n]``.
    """

    def __init__(
        self,
        *,
        kernel: Any = "rbf",
        gamma: float | str = "scale",
        max_iter: int = 100,
        shuffle: bool = False,
        random_state: Any = None,
        memory: float = 256,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.memory = memory

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When there is one class, there is no such kernel, or ``max_iter`` is below 1.
        """
        if not self.max_iter >= 1:
            raise InputError(f"KernelPerceptron wants a max_iter of at least 1; received {self.max_iter!r}.")
        samples, codes, _ = self._begin(X, y, least_classes=2)
        kernel = named_kernel(self.kernel, self.gamma)
        kernel = kernel.resolved(samples) if isinstance(kernel, AbstractKernel) else kernel
        self.gamma_ = getattr(kernel, "gamma", None)
        rows = KernelRows(kernel, samples, self.memory)
        signs = unit_signs(codes, len(self.classes_), samples)
        values, counts = torch.zeros_like(signs), torch.zeros(signs.shape, dtype=torch.long, device=signs.device)
        learning, self.n_iter_ = list(range(len(signs))), 0
        for order in orders(len(samples), self.max_iter, self.shuffle, self.random_state, samples.device):
            self.n_iter_ += 1
            wrong = {unit: kernel_mistakes(rows, signs[unit], order, values[unit]) for unit in learning}
            for unit, mistaken in wrong.items():
                counts[unit, mistaken] += 1
            learning = [unit for unit in learning if wrong[unit]]
            if not learning:
                break
        self.mistake_counts_, self.mistakes_ = counts, counts.sum(dim=1)
        self.support_ = counts.any(dim=0).nonzero()[:, 0]
        self.prototypes_ = samples[self.support_]
        self.dual_coef_ = (counts * signs)[:, self.support_]
        self.intercept_ = self.dual_coef_.sum(dim=1)
        if learning:
            warn_unfinished("KernelPerceptron", self.max_iter, "raise it, or take a kernel with more features")
        return self

    def _learned_kernel(self) -> Kernel:
        kernel = named_kernel(self.kernel, self.gamma)
        return kernel if self.gamma_ is None else replace(kernel, gamma=self.gamma_)  # type: ignore[type-var]

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        kernel = self._learned_kernel()
        values = X.new_empty(len(X), len(self.intercept_))
        for rows in blocks(len(X), 3 * len(self.prototypes_) * X.element_size(), self.memory):
            cross = torch.as_tensor(kernel(X[rows], self.prototypes_)).to(X)
            values[rows] = cross @ self.dual_coef_.T + self.intercept_
        return class_scores(values, len(self.classes_))
