"""Diversity of classifiers: how differently they err, pair by pair.

Kuncheva and Whitaker 2003, "Measures of diversity in classifier ensembles and their relationship with the ensemble
accuracy". Of ``N`` samples, ``N11`` are classified rightly by both classifiers of a pair, ``N00`` wrongly by both,
``N10`` rightly by the first alone, ``N01`` by the second alone::

    Q              (N11 N00 - N01 N10) / (N11 N00 + N01 N10)                                     (Yule 1900)
    correlation    (N11 N00 - N01 N10) / sqrt((N11 + N10)(N01 + N00)(N11 + N01)(N10 + N00))
    disagreement   (N01 + N10) / N                                                               (Skalak 1996)
    double fault   N00 / N                                                           (Giacinto and Roli 2001)
    kappa          2 (N11 N00 - N01 N10) / ((N11 + N10)(N10 + N00) + (N11 + N01)(N01 + N00))       (Cohen 1960)

Q, correlation and kappa are 0 for classifiers that err independently. They are 0 / 0 where one of the two is always
right or always wrong; that depends on nothing, so it is 0, too.

All matrices ``[c, c]`` for ``c`` classifiers follow from one product of the matrix of right answers with itself, whose
sum over batches and processes is exact.
"""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torchmetrics import Metric

from chainrule.errors import InputError
from chainrule.registry import register
from chainrule.shapes import Bool, Float, Int, Tensor

_ROW = {"family": "diversity", "targets": ("classes",), "tiny": {"num_classifiers": 3}, "sample": (7, 3)}


class Counts(NamedTuple):
    """Joint correctness of all pairs of classifiers, float64 ``[c, c]`` each.

    Attributes:
        n11: Samples that both classify rightly.
        n10: Those that only the first (the row) classifies rightly.
        n01: Those that only the second (the column) classifies rightly.
        n00: Those that both classify wrongly.
    """

    n11: Tensor
    n10: Tensor
    n01: Tensor
    n00: Tensor

    @property
    def total(self) -> Tensor:
        """Number of samples, the same for all pairs."""
        return self.n11 + self.n10 + self.n01 + self.n00


def joint_right(right: Bool[Tensor, "n c"]) -> Int[Tensor, "c c"]:
    """For each pair of classifiers, how many of up to 2^24 samples both classify rightly."""
    # Not every device multiplies whole numbers; float32 counts exactly up to 2^24, unless mixed precision rounds it.
    with torch.autocast(right.device.type, enabled=False):
        ones = right.float()
        return (ones.T @ ones).round().long()


def counts_of(n11: Int[Tensor, "c c"], total: Int[Tensor, ""]) -> Counts:
    """The four counts of all pairs from the first of them; its diagonal says how often each classifier is right."""
    both = n11.cpu().double()
    n10, n01 = both.diagonal()[:, None] - both, both.diagonal()[None] - both
    return Counts(both, n10, n01, total.cpu() - both - n10 - n01)


def joint_counts(right: Bool[Tensor, "n c"]) -> Counts:
    """The four counts of all pairs of classifiers.

    Args:
        right: Whether a classifier (column) is right on a sample (row).
    """
    return counts_of(joint_right(right), torch.tensor(len(right)))


def q_statistic(counts: Counts) -> Float[Tensor, "c c"]:
    """Yule's Q, from -1 to 1; below 0 for classifiers that err on different samples."""
    agree, differ = counts.n11 * counts.n00, counts.n01 * counts.n10
    return _ratio(agree - differ, agree + differ)


def correlation(counts: Counts) -> Float[Tensor, "c c"]:
    """Correlation of being right; it has the sign of Q and is never larger in size."""
    n11, n10, n01, n00 = counts
    # Roots before products: the product of four counts could leave the range in which whole numbers are exact.
    spread = ((n11 + n10) * (n01 + n00)).sqrt() * ((n11 + n01) * (n10 + n00)).sqrt()
    return _ratio(n11 * n00 - n01 * n10, spread)


def disagreement(counts: Counts) -> Float[Tensor, "c c"]:
    """Share of the samples on which exactly one of the two is right."""
    return _ratio(counts.n01 + counts.n10, counts.total)


def double_fault(counts: Counts) -> Float[Tensor, "c c"]:
    """Share of the samples on which both are wrong."""
    return _ratio(counts.n00, counts.total)


def kappa(counts: Counts) -> Float[Tensor, "c c"]:
    """Cohen's kappa of being right: agreement beyond that of chance."""
    n11, n10, n01, n00 = counts
    return _ratio(2 * (n11 * n00 - n01 * n10), (n11 + n10) * (n10 + n00) + (n11 + n01) * (n01 + n00))


def _ratio(above: Float[Tensor, "c c"], below: Float[Tensor, "c c"]) -> Float[Tensor, "c c"]:
    """``above / below``, 0 where both are 0."""
    return torch.where(below > 0, above / torch.where(below > 0, below, 1.0), 0.0)


class AbstractPairwise(Metric):
    """A symmetric matrix over all pairs of classifiers, from sums that are exact over batches and processes.

    Args:
        num_classifiers: Number of classifiers ``c``.

    Raises:
        InputError: When that is no whole number of at least 1.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    n11: Tensor
    total: Tensor

    def __init__(self, num_classifiers: int) -> None:
        super().__init__()
        if not isinstance(num_classifiers, int) or num_classifiers < 1:
            raise InputError(f"num_classifiers must be a whole number of at least 1; received {num_classifiers!r}.")
        self.num_classifiers = num_classifiers
        zeros = torch.zeros(num_classifiers, num_classifiers, dtype=torch.long)
        self.add_state("n11", zeros, dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Int[Tensor, "n c"], target: Int[Tensor, " n"]) -> None:
        """Count a batch.

        Args:
            preds: Class that each classifier (column) gives to each sample (row).
            target: True classes.

        Raises:
            InputError: When the shapes do not match, or classes are no whole numbers.
        """
        wanted = (len(target), self.num_classifiers)
        floating = preds.is_floating_point() or target.is_floating_point()
        if preds.shape != wanted or target.ndim != 1 or floating:
            raise InputError(
                f"{type(self).__name__} wants the classes given by {self.num_classifiers} classifiers, whole numbers "
                f"{list(wanted)}, and the true ones {[len(target)]}; received "
                f"{str(preds.dtype).removeprefix('torch.')} {list(preds.shape)} and {list(target.shape)}; write "
                "outputs.argmax(-1) for outputs [n, c, k]."
            )
        self.n11 += joint_right(preds == target[:, None])
        self.total += len(target)

    def compute(self) -> Float[Tensor, "c c"]:
        """The matrix, float32, of all that was counted."""
        return self.measure(counts_of(self.n11, self.total)).to(self.n11.device, torch.float32)

    @abstractmethod
    def measure(self, counts: Counts) -> Float[Tensor, "c c"]:
        """The statistic from the four counts."""


@register("metric", "pairwise-q", paper="Yule 1900", year=1900, **_ROW)
class PairwiseQ(AbstractPairwise):
    """Yule's Q of each pair: 0 for independent errors, below 0 for errors on different samples."""

    def measure(self, counts: Counts) -> Float[Tensor, "c c"]:
        return q_statistic(counts)


@register("metric", "pairwise-correlation", paper="Kuncheva and Whitaker 2003", year=2003, **_ROW)
class PairwiseCorrelation(AbstractPairwise):
    """Correlation of being right of each pair; 0 for independent errors."""

    def measure(self, counts: Counts) -> Float[Tensor, "c c"]:
        return correlation(counts)


@register("metric", "pairwise-disagreement", paper="Skalak 1996", year=1996, **_ROW)
class PairwiseDisagreement(AbstractPairwise):
    """Share of the samples on which exactly one of a pair is right."""

    def measure(self, counts: Counts) -> Float[Tensor, "c c"]:
        return disagreement(counts)


@register("metric", "pairwise-double-fault", paper="Giacinto and Roli 2001", year=2001, **_ROW)
class PairwiseDoubleFault(AbstractPairwise):
    """Share of the samples on which both of a pair are wrong."""

    def measure(self, counts: Counts) -> Float[Tensor, "c c"]:
        return double_fault(counts)


@register("metric", "pairwise-kappa", paper="Cohen 1960", year=1960, **_ROW)
class PairwiseKappa(AbstractPairwise):
    """Agreement of each pair in being right beyond that of chance; 0 for independent errors."""

    def measure(self, counts: Counts) -> Float[Tensor, "c c"]:
        return kappa(counts)
