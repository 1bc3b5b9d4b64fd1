"""Probabilities from decisions: a sigmoid for each pair of classes, and the classes' from those of the pairs.

J. C. Platt, "Probabilities for SV machines", 2000, with the method of H.-T. Lin, C.-J. Lin and R. C. Weng, "A note on
Platt's probabilistic outputs for support vector machines", 2007: ``P(positive | f) = 1 / (1 + exp(a f + b))``, fitted
by Newton's method to decisions that cross-validation gave. Pairs are coupled by the second method of T.-F. Wu,
C.-J. Lin and R. C. Weng, "Probability estimates for multi-class classification by pairwise coupling", 2004.

Differs from libsvm: the five folds are taken in turn from the samples of each class, so nothing is random.
"""

import torch

from chainrule.estimators.svm.training import Samples, Task, train
from chainrule.shapes import Bool, Float, Tensor

FOLDS = 5
#: Probabilities of pairs stay this far from 0 and 1, so that the coupling has one solution.
EDGE = 1e-7


def crossed(
    samples: Samples, tasks: list[Task], *, tol: float, max_iter: int, memory: float
) -> list[Float[Tensor, " n"]]:
    """For each problem the decisions on its samples by machines that did not learn from them."""
    inner: list[Task] = []
    held: list[tuple[int, Tensor, Tensor]] = []
    decisions = [torch.zeros_like(task.target) for task in tasks]
    for number, task in enumerate(tasks):
        positive = task.target > 0
        place = torch.where(positive, positive.cumsum(0), (~positive).cumsum(0)) % FOLDS
        for fold in range(FOLDS):
            out, rest = (place == fold).nonzero()[:, 0], (place != fold).nonzero()[:, 0]
            if not len(out):
                continue
            sides = positive[rest]
            if not len(rest) or bool(sides.all()) or not bool(sides.any()):
                # One class is left, or none: the decision can only be that class.
                decisions[number][out] = float(sides.double().mean()) * 2 - 1 if len(rest) else 0.0
                continue
            inner.append(Task(task.samples[rest], task.target[rest], task.lower[rest], task.upper[rest], task.epsilon))
            held.append((number, task.samples[rest], out))
    outcomes = train(samples, inner, tol=tol, max_iter=max_iter, memory=memory) if inner else []
    for (number, learned, out), one in zip(held, outcomes, strict=True):
        used = one.x != 0
        K = samples.between(tasks[number].samples[out], learned[used])
        decisions[number][out] = (K.double() @ one.x[used]) + one.offset
    return decisions


def sigmoid_fit(f: Float[Tensor, " n"], positive: Bool[Tensor, " n"]) -> Float[Tensor, "2"]:
    """The ``a`` and ``b`` of greatest likelihood under Platt's targets, by Newton's method with backtracking."""
    many, few = float(positive.sum()), float((~positive).sum())
    target = torch.where(positive, (many + 1) / (many + 2), 1 / (few + 2)).to(f)
    design = torch.stack([f, torch.ones_like(f)], dim=1)
    ab = f.new_tensor([0.0, torch.tensor((few + 1) / (many + 1)).log()])

    def loss(ab: Tensor) -> Tensor:
        # -[t log p + (1 - t) log(1 - p)] with p = 1 / (1 + exp(z)).
        z = design @ ab
        return (target * z + torch.nn.functional.softplus(-z)).sum()

    value = loss(ab)
    for _ in range(100):
        p = torch.sigmoid(-(design @ ab))
        gradient = design.mT @ (target - p)
        if bool((gradient.abs() < 1e-5).all()):
            break
        hessian = (design.mT * (p * (1 - p))) @ design + 1e-12 * torch.eye(2).to(f)
        step = -torch.linalg.solve(hessian, gradient)
        size = 1.0
        while size >= 1e-10 and not bool(loss(ab + size * step) < value + 1e-4 * size * (gradient @ step)):
            size /= 2
        if size < 1e-10:
            break
        ab = ab + size * step
        value = loss(ab)
    return ab


def sigmoid_values(f: Float[Tensor, "n p"], a: Float[Tensor, " p"], b: Float[Tensor, " p"]) -> Float[Tensor, "n p"]:
    """``1 / (1 + exp(a f + b))``."""
    return torch.sigmoid(-(f * a + b))


def coupled(share: Float[Tensor, "n p"], pairs: list[tuple[int, int]]) -> Float[Tensor, "n k"]:
    """Probabilities of the classes from those of the pairs.

    With ``r_ij`` the probability of class ``i`` against ``j`` they minimise ``sum_ij (r_ji p_i - r_ij p_j)^2`` under
    ``sum p = 1``: one linear system.

    Args:
        share: Probability of the first class of each pair.
        pairs: The pairs.
    """
    n, k = len(share), pairs[-1][1] + 1
    r = share.new_zeros(n, k, k).double()
    for pair, (first, second) in enumerate(pairs):
        r[:, first, second] = share[:, pair].double().clamp(EDGE, 1 - EDGE)
        r[:, second, first] = 1 - r[:, first, second]
    system = torch.zeros(n, k + 1, k + 1, dtype=r.dtype, device=r.device)
    system[:, :k, :k] = -r.mT * r
    system[:, :k, :k].diagonal(dim1=1, dim2=2).copy_(r.square().sum(dim=1))
    system[:, :k, k] = system[:, k, :k] = 1
    right = torch.zeros(n, k + 1, dtype=r.dtype, device=r.device)
    right[:, k] = 1
    p = torch.linalg.solve(system, right)[:, :k].clamp_min(0)
    return (p / p.sum(dim=1, keepdim=True)).to(share.dtype)
