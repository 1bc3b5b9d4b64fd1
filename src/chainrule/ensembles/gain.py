"""How much better an ensemble is than its best member, and how sure that is.

Paired bootstrap (Efron 1979): the test samples are drawn again with replacement, many times; each time both models are
scored on the same drawn samples. The interval holds the middle 95 % of the differences. All scores follow from sums
over samples, so a draw is a product of how often each sample was drawn with a matrix.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from chainrule import seeding
from chainrule.ensembles.selection import check
from chainrule.errors import InputError, UnknownNameError
from chainrule.shapes import Float, Shaped, Tensor

#: Scores by kind of target; the first is taken where none is named.
METRICS = {"classes": ("accuracy", "f1"), "labels": ("accuracy", "f1"), "real": ("r2",)}
#: How a difference is told: factor, digits, unit.
UNITS = {"accuracy": (100, 1, "points"), "f1": (100, 1, "points of F1"), "r2": (1, 3, "of R2")}
#: How often samples are drawn at once: numbers in the matrix of counts.
AT_ONCE = 2**22


@dataclass(frozen=True)
class Gain:
    """A difference of scores, ensemble less best member.

    Attributes:
        metric: ``"accuracy"``, ``"f1"`` or ``"r2"``.
        value: The difference on the samples.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    metric: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """The difference in words, with its interval."""
        factor, digits, unit = UNITS[self.metric]
        value, low, high = (round(factor * number, digits) + 0.0 for number in (self.value, self.low, self.high))
        amount = f"{abs(value):.{digits}f} {unit} {'better' if value > 0 else 'worse'} than" if value else "as good as"
        return f"{amount} the best member (95 % interval {low:.{digits}f} to {high:.{digits}f})"


@torch.no_grad()
def gain(
    best: Float[Tensor, "n k"],
    ensemble: Float[Tensor, "n k"],
    targets: Shaped[Tensor, "n ..."],
    kind: str,
    *,
    metric: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Gain:
    """Compare an ensemble with its best member on the same samples.

    Args:
        best: What the best member says: probabilities, or real values. It must have been chosen on other samples.
        ensemble: What the ensemble says.
        targets: Indices of classes ``[n]``, labels ``[n, k]``, or real values ``[n, k]``.
        kind: Kind of the target: ``"classes"``, ``"labels"`` or ``"real"``.
        metric: ``"accuracy"`` or ``"f1"`` (the mean over classes or labels) of classes and labels, ``"r2"`` of real
            values; default the first.
        resamples: How often the samples are drawn.
        seed: Seed of the draws.

    Raises:
        UnknownNameError: When the target has no such metric.
        InputError: When the shapes do not match, a number is not finite, or R2 has no meaning, for all targets are the
            same.
    """
    if best.shape != ensemble.shape:
        raise InputError(
            f"Both must say the same number of things; received {list(best.shape)} and {list(ensemble.shape)}."
        )
    outputs = torch.stack([best, ensemble]).double().cpu()
    targets = targets.cpu()
    check(outputs, targets, kind)
    name = metric or METRICS[kind][0]
    if name not in METRICS[kind]:
        raise UnknownNameError(f"metric of a gain in {kind}", name, METRICS[kind])
    terms, score = {"accuracy": _accuracy, "f1": _f1, "r2": _r2}[name](outputs, targets, kind)
    n = len(targets)
    value = _difference(score, terms, torch.ones(1, n, dtype=torch.float64))
    if not value.isfinite():
        raise InputError("R2 has no meaning where all values of a target are the same; bring samples with others.")
    draw, drawn = seeding.generator(seed), []
    for part in torch.arange(resamples).split(max(1, AT_ONCE // n)):
        picked = torch.randint(n, (len(part), n), generator=draw)
        counts = torch.zeros(len(part), n, dtype=torch.float64)
        drawn.append(_difference(score, terms, counts.scatter_add_(1, picked, torch.ones_like(counts))))
    low, high = torch.cat(drawn).nanquantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Gain(name, float(value), low, high)


#: From the sums of both models' terms over the drawn samples, ``[2, r, s]``, to their scores ``[2, r]``.
Score = Callable[[Tensor], Tensor]


def _difference(score: Score, terms: Tensor, counts: Tensor) -> Tensor:
    """Differences ``[r]`` of the scores, from terms ``[2, n, s]`` and how often each sample was drawn, ``[r, n]``."""
    one, other = score(counts @ terms)
    return other - one


def _accuracy(outputs: Tensor, targets: Tensor, kind: str) -> tuple[Tensor, Score]:
    said, true = _decisions(outputs, targets, kind)
    right = (outputs.argmax(dim=-1) == targets)[..., None] if kind == "classes" else said == true
    n = len(targets)
    return right.double().mean(dim=-1, keepdim=True), lambda sums: sums[..., 0] / n


def _f1(outputs: Tensor, targets: Tensor, kind: str) -> tuple[Tensor, Score]:
    said, true = _decisions(outputs, targets, kind)
    terms = torch.cat([said & true, said ^ true], dim=-1).double()

    def score(sums: Tensor) -> Tensor:
        found, wrong = sums.chunk(2, dim=-1)
        # A class that is neither there nor predicted does not count; such a label counts as 0 (as in torchmetrics).
        there = (found + wrong > 0).double() if kind == "classes" else torch.ones_like(found)
        return (2 * found / (2 * found + wrong).clamp_min(1)).sum(dim=-1) / there.sum(dim=-1)

    return terms, score


def _r2(outputs: Tensor, targets: Tensor, kind: str) -> tuple[Tensor, Score]:
    true, n = targets.double(), len(targets)
    middle = (true - true.mean(dim=0)).expand_as(outputs)
    terms = torch.cat([(outputs - true).square(), middle, middle.square()], dim=-1)

    def score(sums: Tensor) -> Tensor:
        errors, first, second = sums.chunk(3, dim=-1)
        spread = second - first.square() / n
        # Equal values leave a spread of rounding errors.
        return torch.where(spread > 1e-12 * second, 1 - errors / spread, torch.nan).mean(dim=-1)

    return terms, score


def _decisions(outputs: Tensor, targets: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Which classes or labels are said ``[2, n, k]`` and true ``[2, n, k]``."""
    if kind == "labels":
        return outputs > 0.5, (targets > 0.5).expand(outputs.shape)
    classes = torch.arange(outputs.shape[-1])
    return outputs.argmax(dim=-1, keepdim=True) == classes, (targets[:, None] == classes).expand(outputs.shape)
