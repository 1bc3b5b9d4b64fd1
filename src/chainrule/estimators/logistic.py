"""Logistic and softmax regression as maximum-likelihood or maximum-a-posteriori estimates.

Berkson 1944, Cox 1958: ``p(y = 1 | x) = 1 / (1 + exp(-(w x + b)))``. Softmax regression (McFadden 1974, Bridle 1990):
``p(y = k | x) = exp(w_k x + b_k) / sum_j exp(w_j x + b_j)``. Maximised is ``C sum_i log p(y_i | x_i) + log p(w)``, with
a Gaussian prior ``-||w||^2 / 2`` or a Laplace prior ``-||w||_1``; the intercept has no prior. There is no closed form.
"""

import warnings
from typing import Any, ClassVar, Self

import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError
from chainrule.estimators import arrays, minimize, moments, shards
from chainrule.estimators.base import AbstractProbabilisticClassifier, DecisionFunction
from chainrule.estimators.likelihood import Posterior
from chainrule.estimators.memory import MIB
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor

#: Numbers in the samples from which on a copy in single precision saves time.
MANY = 2**20

#: Size of the gradient that single precision reaches.
ROUGH = 1e-5

#: Iterations of L-BFGS after which the coordinates are taken anew, for the curvature where they have led.
RENEWED = 25

#: Size of the gradient below which Newton's method is faster than L-BFGS.
POLISHED = 1e-6

#: Priors, each with the strengths of its squared and of its absolute weights.
PRIORS = {"gaussian": (1.0, 0.0), "laplace": (0.0, 1.0), "none": (0.0, 0.0)}

#: What finds the maximum under a smooth prior, and how the curvature is evened out before.
SOLVERS = {
    "lbfgs": (minimize.lbfgs, True),
    "newton-cg": (minimize.newton_cg, True),
    "gradient-ascent": (minimize.steepest, None),
}


@register(
    "classifier",
    "logistic",
    family="linear",
    paper="Berkson 1944, Application of the logistic function to bio-assay; Cox 1958; McFadden 1974",
    year=1944,
    peer="sklearn.linear_model.LogisticRegression",
    laws=("shards",),
)
class LogisticRegression(DecisionFunction, AbstractProbabilisticClassifier):
    """Logistic regression of two classes, softmax regression of more.

    ``prior="gaussian"`` is scikit-learn's ``l1_ratio=0``, ``"laplace"`` its ``l1_ratio=1``, ``"none"`` its ``C=inf``,
    with the same ``C``. Where many sets of weights give the same probabilities, that whose classes add up to zero is
    taken (under a Laplace prior, one of least norm). Differs from scikit-learn: the search moves in coordinates that
    are centred and of even curvature, so features of unlike scales need no more iterations; and without a prior,
    classes that a plane separates are reported, for their likelihood has no maximum.

    Args:
        C: Weight of the likelihood against the prior.
        prior: ``"gaussian"``, ``"laplace"`` (many weights are exactly zero), or ``"none"``.
        solver: ``"lbfgs"``, ``"newton-cg"``, or ``"gradient-ascent"``: ``w += eps sum_i x_i (y_i - p_i)``, the step
            ``eps`` from a line search. ``"auto"`` is L-BFGS, and Newton's method for the last digits where ``tol`` asks
            for them; under a Laplace prior, which has a corner at zero, proximal Newton steps.
        tol: The search ends when no entry of the gradient of the mean log-posterior is greater.
        max_iter: Most iterations.
        class_weight: Weight of each class, as a dict; ``"balanced"`` gives all classes the same sum.
        fit_intercept: Whether ``b`` is learned; else it is zero.
        memory: Bound for a temporary copy of the samples in single precision, MiB. With many samples L-BFGS goes most
            of its way on such a copy and the rest in double precision; the result is the same.

    Attributes:
        classes_: The classes, sorted.
        coef_: ``[1, d]`` for two classes, ``[k, d]`` for more.
        intercept_: ``[1]`` or ``[k]``.
        n_iter_: Iterations.
        loss_: The mean negative log-posterior that was reached, ``-(C sum_i v_i log p_i + log p(w)) / (C sum_i v_i)``.
    """

    sums: ClassVar[bool] = True

    def __init__(
        self,
        *,
        C: float = 1.0,
        prior: str = "gaussian",
        solver: str = "auto",
        tol: float = 1e-4,
        max_iter: int = 100,
        class_weight: Any = None,
        fit_intercept: bool = True,
        memory: float = 256,
    ) -> None:
        self.C = C
        self.prior = prior
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.fit_intercept = fit_intercept
        self.memory = memory

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples and their classes.

        Args:
            X: Samples ``[n, d]``.
            y: Classes ``[n]``.
            sample_weight: Weight of each sample ``[n]``.

        Raises:
            InputError: When an option is unknown, or there is only one class.
        """
        X, codes, weight = self._begin(X, y, sample_weight, least_classes=2)
        weight = weighted(codes, weight, self.classes_, self.class_weight, X)
        posterior = Posterior(X, codes, weight, classes=len(self.classes_), intercept=self.fit_intercept)
        found = self._found(posterior)
        theta = posterior.coordinates.weights(found.place)
        self._keep(theta, X)
        self.n_iter_ = found.iterations
        self.loss_ = float(found.point.value) + posterior.l1 * float(self.coef_.abs().sum())
        self._warn(posterior, found)
        return self

    def _found(self, posterior: Posterior) -> minimize.Result:
        search, even = self._search()
        strength = 1 / (self.C * float(posterior.mass))
        posterior.l2, posterior.l1 = (prior * strength for prior in PRIORS[self.prior])
        if even is not None:
            posterior.evened(full=even)
        if search is not minimize.lbfgs:
            return search(posterior, posterior.start, tol=self.tol, max_iter=self.max_iter)
        # L-BFGS is fast as long as a few digits are wanted, Newton's method when many are.
        enough = max(self.tol, POLISHED) if self.solver == "auto" else self.tol
        found = self._lbfgs(posterior, enough)
        left = self.max_iter - found.iterations
        if found.point.size <= self.tol or left < 1 or self.solver != "auto":
            return found
        last = minimize.newton_cg(posterior, found.place, tol=self.tol, max_iter=left)
        return last._replace(iterations=found.iterations + last.iterations)

    def _lbfgs(self, posterior: Posterior, tol: float) -> minimize.Result:
        """L-BFGS; the coordinates are taken anew every :data:`RENEWED` iterations."""
        numbers = moments.rows(posterior.X) * posterior.X.shape[1]
        stages = [(posterior, tol)]
        if numbers >= MANY and 4 * numbers <= self.memory * MIB and posterior.X.dtype == torch.float64:
            # Single precision takes half the time, and is exact enough for the greatest part of the way.
            stages.insert(0, (posterior.single(), max(0.9 * tol, ROUGH)))
        place, spent = posterior.start, 0
        history: minimize.History = ()
        for function, goal in stages:
            kind = function.X.dtype
            while True:
                if function is not posterior:
                    function.follow(posterior)
                most = max(1, min(RENEWED, self.max_iter - spent))
                history = tuple((step.to(kind), change.to(kind)) for step, change in history)
                found = minimize.lbfgs(function, place.to(kind), tol=goal, max_iter=most, history=history)
                place, history, spent = found.place.to(place.dtype), found.history, spent + found.iterations
                if found.point.size <= goal or found.iterations < most or spent >= self.max_iter:
                    break
                theta = posterior.coordinates.weights(place)
                place, history = posterior.evened(full=True, theta=theta).coordinates.place(theta), ()
        return found._replace(iterations=min(spent, self.max_iter))

    def _search(self) -> tuple[Any, bool | None]:
        """What searches, and whether the curvature is evened out before: by a full matrix, its diagonal, or not."""
        if self.prior not in PRIORS:
            raise InputError(f"There is no prior {self.prior!r}; write one of: {', '.join(PRIORS)}.")
        if self.solver not in ("auto", *SOLVERS):
            raise InputError(f"There is no solver {self.solver!r}; write one of: auto, {', '.join(SOLVERS)}.")
        if not self.C > 0:
            raise InputError(f"C has to be above 0; received {self.C!r}.")
        if self.prior != "laplace":
            return SOLVERS["lbfgs" if self.solver == "auto" else self.solver]
        if self.solver != "auto":
            raise InputError(f"The Laplace prior has a corner at zero, where {self.solver} fails; write solver='auto'.")
        return minimize.proximal_newton, False

    def _keep(self, theta: Tensor, X: Tensor) -> None:
        d = X.shape[1]
        W, b = theta[:, :d], theta[:, d] if self.fit_intercept else theta.new_zeros(len(theta))
        if len(theta) > 1:
            # A vector that is added to all classes changes no probability.
            W = W if self.prior == "laplace" else W - W.mean(dim=0)
            b = b - b.mean()
        self.coef_, self.intercept_ = W.contiguous(), b.clone()

    def _warn(self, posterior: Posterior, found: minimize.Result) -> None:
        if posterior.l1 == posterior.l2 == 0:
            margins = _margins(self._scores(posterior.X), posterior.codes, posterior.weight)
            separated = float(shards.greatest(-margins.min())) < 0
            if separated or minimize.recedes(posterior, found):
                text = (
                    "The classes can be separated, so the likelihood has no maximum and the weights grow without bound"
                )
                return warnings.warn(f"{text}; write prior='gaussian'.", ConvergenceWarning, stacklevel=3)
        if found.point.size > self.tol:
            text = f"After {found.iterations} iterations the gradient is {found.point.size:.1e}, above tol={self.tol:g}"
            advice = (
                "raise max_iter or standardise X" if found.iterations >= self.max_iter else "raise tol or give float64"
            )
            warnings.warn(f"{text}; {advice}.", ConvergenceWarning, stacklevel=3)
        return None

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        scores = X @ self.coef_.T + self.intercept_
        return scores if scores.shape[1] > 1 else torch.cat((torch.zeros_like(scores), scores), dim=1)


def weighted(
    codes: Int[Tensor, " n"],
    weight: Float[Tensor, " n"] | None,
    classes: Any,
    class_weight: Any,
    X: Float[Tensor, "n d"],
) -> Float[Tensor, " n"] | None:
    """Weights of samples times those of their classes.

    Args:
        codes: Index of each sample's class.
        weight: Weight of each sample.
        classes: The classes.
        class_weight: None, ``"balanced"``, or weights by class, those that are missing being 1.
        X: The samples.

    Raises:
        InputError: When ``class_weight`` is something else, or names another class.
    """
    if class_weight is None:
        return weight
    names = classes.tolist()
    if isinstance(class_weight, dict):
        if strange := [name for name in class_weight if name not in names]:
            raise InputError(f"class_weight names the class {strange[0]!r}, which is none of the classes {names}.")
        each = X.new_tensor([float(class_weight.get(name, 1.0)) for name in names])
    elif class_weight == "balanced":
        counts = X.new_zeros(len(names)).index_add_(0, codes, torch.ones_like(X[:, 0]) if weight is None else weight)
        counts = shards.total(counts)
        each = counts.sum() / (len(names) * counts)
    else:
        raise InputError(f"class_weight has to be None, 'balanced', or a dict by class; received {class_weight!r}.")
    return arrays.weights(each[codes] if weight is None else each[codes] * weight, X)


def _margins(scores: Tensor, codes: Tensor, weight: Tensor | None) -> Tensor:
    """By how much each sample's class leads; samples without weight lead by far."""
    own = scores.gather(1, codes[:, None])[:, 0]
    margins = own - scores.scatter(1, codes[:, None], -float("inf")).amax(dim=1)
    return margins if weight is None else torch.where(weight > 0, margins, float("inf"))
