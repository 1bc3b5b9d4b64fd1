"""Generalized linear models: Gaussian, Bernoulli, Poisson, geometric and gamma targets.

Nelder and Wedderburn 1972: ``y | x`` follows an exponential family with the mean ``mu``, and ``g(mu) = w x + b`` for a
link ``g``. With the canonical link the gradient of the log-likelihood is ``sum_i v_i (y_i - a'(eta_i)) x_i``. The
maximum is found by iteratively reweighted least squares, see :mod:`chainrule.estimators.irls`.
"""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar

import torch
from sklearn.exceptions import ConvergenceWarning

from chainrule.errors import InputError, UnknownNameError
from chainrule.estimators import irls, moments
from chainrule.estimators.base import AbstractRegressor
from chainrule.estimators.families import FAMILIES, AbstractFamily, Gaussian
from chainrule.estimators.links import LINKS, AbstractLink, Identity
from chainrule.estimators.shards import greatest, total
from chainrule.estimators.squares import least_squares
from chainrule.registry import register
from chainrule.shapes import Float, Tensor

Part = TypeVar("Part")


@register(
    "regressor",
    "glm",
    family="linear",
    paper="Nelder and Wedderburn 1972, Generalized linear models",
    year=1972,
    peer="statsmodels.genmod.generalized_linear_model.GLM",
    laws=("shards",),
)
class GeneralizedLinearModel(AbstractRegressor):
    """Generalized linear model: Gaussian, Bernoulli, Poisson, geometric or gamma targets.

    Weights of samples are prior weights, the variance of ``y_i`` being ``phi V(mu_i) / v_i``: statsmodels calls them
    ``var_weights``. The geometric distribution counts trials from 1; statsmodels' ``NegativeBinomial(alpha=1)`` counts
    failures, so it takes ``y - 1``.

    Args:
        family: A part of :mod:`chainrule.estimators.families`, or its name: ``"gaussian"``, ``"bernoulli"``,
            ``"poisson"``, ``"geometric"``, ``"gamma"``.
        link: A part of :mod:`chainrule.estimators.links`, or its name: ``"identity"``, ``"log"``, ``"inverse"``,
            ``"logit"``, ``"probit"``, ``"log-survival"``; None for the canonical one.
        tol: The iteration ends when the gradient, measured by the inverse Fisher information, is this small beside the
            root of the deviance.
        max_iter: Most iterations.
        fit_intercept: Whether ``b`` is learned; else it is zero.

    Attributes:
        coef_: ``[d]``.
        intercept_: One number.
        deviance_: Deviance.
        null_deviance_: Deviance when all means are the average of the targets.
        dispersion_: ``phi``, by Pearson's estimate for Gaussian and gamma targets, else 1.
        covariance_: Of the estimates ``[p, p]``, the intercept, if learned, first.
        standard_errors_: Roots of its diagonal ``[p]``.
        log_likelihood_: At the estimated dispersion; of Gaussian targets with the identity link at the likeliest one.
        n_iter_: Iterations.
    """

    sums: ClassVar[bool] = True
    natural_units: ClassVar[bool] = True

    coef_: Tensor
    intercept_: Tensor

    def __init__(
        self,
        *,
        family: Any = "gaussian",
        link: Any = None,
        tol: float = 1e-8,
        max_iter: int = 100,
        fit_intercept: bool = True,
    ) -> None:
        self.family = family
        self.link = link
        self.tol = tol
        self.max_iter = max_iter
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples and targets.

        Args:
            X: Samples ``[n, d]``.
            y: Targets ``[n]``.
            sample_weight: Prior weight of each sample ``[n]``.

        Raises:
            InputError: When family or link is unknown, a target is none of the family's, or there is no start.
        """
        X, y, weight = self._begin(X, y, sample_weight)
        family = part(self.family, FAMILIES, "family")
        link = part(family.canonical if self.link is None else self.link, LINKS, "link")
        fine = family.supports(y)
        if not bool(fine.all()):
            row = int((~fine).nonzero()[0])
            raise InputError(
                f"{type(family).__name__} targets are {family.support}; received {float(y[row]):g} in row {row}: take "
                "another family."
            )
        rows = irls.Rows(X, y, torch.ones_like(y) if weight is None else weight, family, link, self.fit_intercept)
        average = moments.mean(y[:, None], weight)
        self.null_deviance_ = irls.deviance(rows, average.expand(len(y)))
        now, rank = self._iterate(rows, self._start(rows, average[0]))
        self.coef_, self.intercept_, self.deviance_ = now.coef, now.intercept, now.deviance
        self._judge(rows, now, rank)
        return self

    def _start(self, rows: irls.Rows, average: Tensor) -> irls.State:
        """The model without features."""
        intercept = rows.link.link(average) if rows.intercept else torch.zeros_like(average)
        now = irls.state(rows, torch.zeros_like(rows.X[0]), intercept)
        if now.deviance < float("inf") and bool(intercept.isfinite()):
            return now
        if not rows.intercept:
            # Zero weights give no mean, so the first step is taken from the targets.
            mean = (rows.y + average) / 2
            eta = rows.link.link(mean)
            weight, rest = irls.working(rows, irls.State(now.coef, intercept, eta, mean, float("inf")))
            first = least_squares(rows.X, (rest + eta)[:, None], weight, intercept=False)
            now = irls.state(rows, first.coef[:, 0], intercept)
            if now.deviance < float("inf"):
                return now
        advice = "take another link" if rows.intercept else "write fit_intercept=True"
        raise InputError(
            f"With the {type(rows.link).__name__} link there is no start for {type(rows.family).__name__} targets "
            f"whose average is {float(average):g}; bring targets that differ, or {advice}."
        )

    def _iterate(self, rows: irls.Rows, now: irls.State) -> tuple[irls.State, int]:
        eps = torch.finfo(rows.X.dtype).eps
        small = max(self.tol, 32 * eps) ** 2
        floor = eps * float(total((rows.weight * rows.y.square()).sum()))
        rank, share = 0, float("inf")
        for iteration in range(1, self.max_iter + 1):
            self.n_iter_ = iteration
            weight, rest = irls.working(rows, now)
            step = least_squares(rows.X, rest[:, None], weight, intercept=rows.intercept)
            rank = step.rank + rows.intercept
            move = rows.X @ step.coef[:, 0] + step.intercept[0]
            share = float(total((weight * move.square()).sum())) / (now.deviance + self.null_deviance_ + floor)
            before, now = now, irls.halved(rows, now, step.coef[:, 0], step.intercept[0])
            if share <= small or share == 0:
                far = float(greatest(move.abs().max())) > 1e-3 * (1 + float(greatest(now.eta.abs().max())))
                if far:
                    self._warn("The likelihood has no maximum, its weights grow without bound; leave features out.")
                return now, rank
            if now is before:
                break
        self._warn(
            f"After {self.n_iter_} iterations the gradient is {share**0.5:.1e}, still above tol={self.tol:g}; raise "
            "max_iter or tol, or take another link."
        )
        return now, rank

    def _warn(self, text: str) -> None:
        warnings.warn(text, ConvergenceWarning, stacklevel=4)

    def _judge(self, rows: irls.Rows, now: irls.State, rank: int) -> None:
        """Dispersion, covariance of the estimates, and log-likelihood."""
        count = int(total((rows.weight > 0).sum()))
        pearson = rows.weight * (rows.y - now.mean).square() / rows.family.variance(now.mean)
        self.dispersion_ = 1.0
        if rows.family.dispersed:
            self.dispersion_ = float(total(pearson.sum())) / (count - rank) if count > rank else float("nan")
        self.covariance_ = irls.information(rows, irls.working(rows, now)[0]) * self.dispersion_
        self.standard_errors_ = self.covariance_.diagonal().sqrt()
        likely = self.dispersion_
        if isinstance(rows.family, Gaussian) and isinstance(rows.link, Identity):
            likely = now.deviance / count
        heavy = rows.weight > 0
        spread = (likely / rows.weight[heavy]).clamp_min(torch.finfo(rows.y.dtype).tiny)
        each = rows.family.log_density(rows.y[heavy], now.mean[heavy], spread)
        self.log_likelihood_ = float(total(each.sum()))

    def _values(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n ..."]:
        link = part(self.link or part(self.family, FAMILIES, "family").canonical, LINKS, "link")
        return link.mean(X @ self.coef_ + self.intercept_)


def part(asked: Any, table: Mapping[str, Part], what: str) -> Part:
    """A part, or that of this name.

    Args:
        asked: The part or its name.
        table: Parts by name.
        what: What it is.

    Raises:
        InputError: When there is none of this name, or it is no such part.
    """
    if isinstance(asked, str):
        if asked not in table:
            raise UnknownNameError(what, asked, table)
        return table[asked]
    if isinstance(asked, AbstractFamily if what == "family" else AbstractLink):
        return asked  # type: ignore[return-value]
    raise InputError(f"A {what} is wanted, or its name, one of {', '.join(table)}; received {asked!r}.")
