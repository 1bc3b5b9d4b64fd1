"""Which models to combine, and how differently they err.

Selection: Caruana, Niculescu-Mizil, Crew and Ksikes 2004, Ensemble selection from libraries of models. From held-out
samples: begin with the mean of the best few members; add, again and again, the member with which the mean is best. A
member may be added several times, which gives it more weight. Of all the ensembles on the way the best is kept.
Differs from the paper: it is always scored by the log loss, of real values by the squared error, which move with every
addition where the accuracy does not; without bagging, so that nothing is random; and an ensemble counts as better only
when its score has improved by more than a tolerance for each member that is new in it.

The log loss is that of ``softmax(log p / T)`` at the best temperature ``T`` (Guo et al. 2017), which changes no
decision. At ``T = 1`` a network that learned from smoothed labels, right as it may be, would lose against bolder ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from chainrule import seeding
from chainrule.errors import InputError
from chainrule.shapes import Float, Shaped, Tensor

#: The least probability that is counted: below it a mistake is not worse.
LEAST = torch.finfo(torch.float32).eps
#: Temperatures that are tried, away from 1 to both sides, each 26 % from the last.
TEMPERATURES = tuple([2 ** (sign * step / 3) for step in range(1, 7)] for sign in (-1, 1))
#: Additions without an improvement after which no more are tried.
PATIENCE = 10
#: Shares of a score that are rounding errors.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Selection:
    """What was chosen, and how.

    Attributes:
        weights: Weight of each member, ``[c]``, float64; 0 for those that were not chosen.
        additions: The members in the order in which they were added; one may stand there several times. The first is
            the best member alone.
        scores: The score after each addition: mean log loss at the best temperature, or the share of variance that is
            left. Less is better.
        ended: Why there are no more.
    """

    weights: Tensor
    additions: tuple[int, ...]
    scores: tuple[float, ...]
    ended: str

    @property
    def members(self) -> list[int]:
        """The chosen members, in the order in which they first came."""
        return list(dict.fromkeys(self.additions))


@torch.no_grad()
def select(
    outputs: Float[Tensor, "c n k"],
    targets: Shaped[Tensor, "n ..."],
    kind: str,
    *,
    start: int = 3,
    most: int = 50,
    tolerance: float = 1e-3,
) -> Selection:
    """Choose members for a weighted mean, from samples that none of them has learned from.

    Args:
        outputs: What the members say: probabilities, or real values.
        targets: Indices of classes ``[n]``, labels ``[n, k]``, or real values ``[n, k]``.
        kind: Kind of the target: ``"classes"``, ``"labels"`` or ``"real"``.
        start: It begins with the mean of so many of the best members, or of fewer where that is better.
        most: Additions, at most.
        tolerance: By how much each new member must improve the score: nats, or shares of the targets' variance.

    Raises:
        InputError: When the shapes do not match, a number is not finite, or an option makes no sense.
    """
    check(outputs, targets, kind)
    if not 1 <= start <= most or not tolerance >= 0:
        raise InputError(
            f"select wants 1 <= start <= most and a tolerance of at least 0; received start={start}, most={most}, "
            f"tolerance={tolerance}."
        )
    evidence, score = _scoring(outputs.double(), targets, kind)
    best = score(evidence).argsort(stable=True)[:start].tolist()
    scores = score(torch.stack([evidence[best[: size + 1]].mean(dim=0) for size in range(len(best))])).tolist()
    size = _kept(best, scores, tolerance)
    additions, scores = best[:size], scores[:size]
    total = evidence[additions].sum(dim=0)
    while len(additions) < min(most, size + PATIENCE):
        candidates = score((total + evidence) / (len(additions) + 1))
        added = int(candidates.argmin())
        additions.append(added)
        scores.append(float(candidates[added]))
        total = total + evidence[added]
        size = _kept(additions, scores, tolerance)
    more = len(additions) - size
    ended = f"{most} additions were allowed, and the last still improved the score"
    if more:
        ended = f"{more} more additions do not improve the score by {tolerance:g} for each new member"
    weights = torch.bincount(torch.tensor(additions[:size]), minlength=len(outputs)).double() / size
    return Selection(weights, tuple(additions[:size]), tuple(scores[:size]), ended)


@torch.no_grad()
def bagged(
    outputs: Float[Tensor, "c n k"],
    targets: Shaped[Tensor, "n ..."],
    kind: str,
    *,
    bags: int = 20,
    least: float = 0.05,
    seed: int = 0,
) -> Float[Tensor, " c"]:
    """Weights that depend less on single samples: the mean of those chosen on samples drawn with replacement.

    Section 2.3 of Caruana et al. 2004 bags the models, against choosing by luck; here it is the samples that are drawn.

    Args:
        outputs: What the members say: probabilities, or real values.
        targets: Indices of classes ``[n]``, labels ``[n, k]``, or real values ``[n, k]``.
        kind: Kind of the target: ``"classes"``, ``"labels"`` or ``"real"``.
        bags: How often samples are drawn.
        least: Members with less weight are left out.
        seed: Seed of the draws.

    Returns:
        Weights that add up to 1, float64.

    Raises:
        InputError: When the shapes do not match, a number is not finite, or an option makes no sense.
    """
    check(outputs, targets, kind)
    if bags < 1 or not 0 <= least < 1:
        raise InputError(f"bagged wants bags >= 1 and 0 <= least < 1; received bags={bags}, least={least}.")
    draw, n = seeding.generator(seed), len(targets)
    total = torch.zeros(len(outputs), dtype=torch.float64)
    for _ in range(bags):
        drawn = torch.randint(n, (n,), generator=draw)
        total += select(outputs[:, drawn], targets[drawn], kind).weights.cpu()
    weights = total / bags
    kept = torch.where(weights >= min(least, float(weights.max())), weights, 0.0)
    return kept / kept.sum()


@torch.no_grad()
def diversity(
    outputs: Float[Tensor, "c n k"], targets: Shaped[Tensor, "n ..."], kind: str
) -> dict[str, Float[Tensor, "c c"]]:
    """How differently the members err, pair by pair (see :mod:`chainrule.metrics.diversity`).

    Args:
        outputs: What the members say: probabilities, or real values.
        targets: Indices of classes ``[n]``, labels ``[n, k]``, or real values ``[n, k]``.
        kind: Kind of the target: ``"classes"``, ``"labels"`` or ``"real"``.

    Returns:
        Matrices by name. ``"q"``, ``"correlation"`` and ``"disagreement"`` of being right, where each label of a sample
        counts as a decision; of real values the ``"correlation"`` of the residuals.

    Raises:
        InputError: When the shapes do not match, or a number is not finite.
    """
    check(outputs, targets, kind)
    if kind == "real":
        errors = _residuals(outputs.double(), targets)
        errors = (errors - errors.mean(dim=1, keepdim=True)).flatten(1)
        # What always errs by the same errs independently of all others.
        lengths = errors.norm(dim=1)
        errors = errors / torch.where(lengths > 0, lengths, 1.0)[:, None]
        return {"correlation": errors @ errors.T}
    # torchmetrics is slow to import.
    from chainrule.metrics import diversity as pairs

    right = outputs.argmax(dim=-1) == targets if kind == "classes" else (outputs > 0.5) == (targets > 0.5)
    counts = pairs.joint_counts(right.flatten(1).T)
    return {
        "q": pairs.q_statistic(counts),
        "correlation": pairs.correlation(counts),
        "disagreement": pairs.disagreement(counts),
    }


def check(outputs: Tensor, targets: Tensor, kind: str) -> None:
    """Raise an ``InputError`` unless outputs ``[c, n, k]`` and targets belong together and are finite."""
    wanted = tuple(outputs.shape[1:2] if kind == "classes" else outputs.shape[1:])
    if outputs.ndim != 3 or tuple(targets.shape) != wanted or 0 in outputs.shape:
        raise InputError(
            f"An ensemble learns from outputs [members, samples, {kind}] and targets "
            f"{'[samples]' if kind == 'classes' else f'[samples, {kind}]'}; received {list(outputs.shape)} and "
            f"{list(targets.shape)}."
        )
    for member, values in enumerate(outputs):
        if not values.isfinite().all():
            raise InputError(f"Outputs of member {member} are NaN or infinite; leave it out.")
    if not targets.isfinite().all():
        raise InputError("Targets are NaN or infinite; leave these samples out.")


def _kept(additions: list[int], scores: list[float], tolerance: float) -> int:
    """The number of additions after which the ensemble was best."""
    size = 1
    for longer in range(2, len(additions) + 1):
        new = len(set(additions[:longer])) - len(set(additions[:size]))
        least = max(tolerance * max(new, 1), ROUNDING * scores[size - 1])
        if scores[longer - 1] < scores[size - 1] - least:
            size = longer
    return size


def _scoring(outputs: Tensor, targets: Tensor, kind: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """What of the outputs enters the score, and the score of any means of its rows, ``[r, ...]`` to ``[r]``."""
    if kind == "real":
        return _residuals(outputs, targets), lambda means: means.square().flatten(1).mean(dim=1)
    # A label is a choice between two classes.
    chances = outputs if kind == "classes" else torch.stack([1 - outputs, outputs], dim=-1).flatten(1, 2)
    true = (targets if kind == "classes" else targets > 0.5).long().flatten()[:, None]

    def score(means: Tensor) -> Tensor:
        logs = means.clamp_min(LEAST).log()
        right = logs.gather(2, true.expand(len(logs), -1, 1)).mean(dim=(1, 2))

        def at(temperature: float) -> Tensor:
            return (logs / temperature).exp().sum(dim=2).log().mean(dim=1) - right / temperature

        best = first = at(1.0)
        for side in TEMPERATURES:
            last = first
            for temperature in side:
                loss = at(temperature)
                best = torch.minimum(best, loss)
                # The loss is convex in 1 / T: what does not fall any more only rises.
                if not (loss < last).any():
                    break
                last = loss
        return best

    return chances, score


def _residuals(outputs: Tensor, targets: Tensor) -> Tensor:
    """Errors ``[c, n, k]`` in standard deviations of each target, so that all targets count alike."""
    values = targets.double()
    spread = values.std(dim=0, correction=0)
    return (outputs - values) / torch.where(spread > 0, spread, 1.0)
