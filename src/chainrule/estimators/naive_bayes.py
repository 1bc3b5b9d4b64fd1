"""Naive Bayes: the features of a sample are taken as independent of one another, given its class.

M. E. Maron, "Automatic indexing: an experimental inquiry", 1961. The class with the greatest

    log p(c) + sum_j log p(x_j | c)

wins; the three classifiers differ in ``p(x_j | c)``: Gaussian, Bernoulli, or multinomial counts with add-``alpha``
smoothing (``alpha`` = 1 is Laplace's rule of succession). All of it is sums over the rows of each class, so the rows
may come in parts (``partial_fit``) or lie on several processes (:func:`chainrule.estimators.shards.sharded`).

Differs from scikit-learn: after several parts, or with weights, the floor under the Gaussians' variances is that of all
rows so far, each with its weight, so that parts and whole give the same classifier; a smoothing of zero is refused,
because a value never seen in any class would have no posterior.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch

from chainrule.errors import InputError
from chainrule.estimators.base import AbstractProbabilisticClassifier
from chainrule.estimators.class_moments import (
    class_moments,
    gaussian_scores,
    given_priors,
    memberships,
    merged,
    without_rounding,
)
from chainrule.estimators.shards import total
from chainrule.registry import register
from chainrule.shapes import Float, Int, Tensor


class AbstractNaiveBayes(AbstractProbabilisticClassifier):
    """What naive Bayes classifiers have in common: they learn from sums, all at once or part by part."""

    sums: ClassVar[bool] = True
    class_count_: Tensor

    @abstractmethod
    def _learn(
        self, X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], weight: Float[Tensor, " n"] | None, *, more: bool
    ) -> None:
        """Learn from samples; ``more`` says whether they are added to those learned from before."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.
            sample_weight: Their weights ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When the features or an option do not fit.
        """
        samples, codes, weight = self._begin(X, y, sample_weight)
        self._learn(samples, codes, weight, more=False)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from more samples.

        Args:
            X: Samples ``[n, d]``.
            y: Their classes ``[n]``.
            classes: All classes that will come; needed the first time.
            sample_weight: Their weights ``[n]``.

        Returns:
            The estimator itself.

        Raises:
            InputError: When the features or an option do not fit.
        """
        samples, codes, weight = self._begin_part(X, y, classes, sample_weight)
        self._learn(samples, codes, weight, more=hasattr(self, "class_count_"))
        return self


@register(
    "classifier",
    "naive-bayes",
    family="bayes",
    paper="Maron 1961, Automatic indexing: an experimental inquiry",
    year=1961,
    peer="sklearn.naive_bayes.GaussianNB",
    laws=("shards",),
)
class GaussianNB(AbstractNaiveBayes):
    """Naive Bayes with a Gaussian for each feature and class.

    Where all features are constant the classes differ in nothing but their priors, and these are the posterior.

    Args:
        priors: Probabilities of the classes; None for their shares of the samples.
        var_smoothing: Share of the greatest variance of a feature that is added to all variances.

    Attributes:
        class_count_: Weight of the samples of each class, ``[k]``.
        class_prior_: Probability of each class, ``[k]``.
        epsilon_: What was added to the variances.
        theta_: Mean of each feature in each class, ``[k, d]``.
        var_: Variance of each feature in each class, with ``epsilon_``, ``[k, d]``.
    """

    def __init__(self, *, priors: Sequence[float] | None = None, var_smoothing: float = 1e-9) -> None:
        self.priors = priors
        self.var_smoothing = var_smoothing

    def _learn(
        self, X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], weight: Float[Tensor, " n"] | None, *, more: bool
    ) -> None:
        if not self.var_smoothing >= 0:
            raise InputError(f"GaussianNB wants a var_smoothing from 0 up; received {self.var_smoothing!r}.")
        new = class_moments(X, codes, weight, len(self.classes_))
        if more:
            old = self.class_count_, self.theta_, (self.var_ - self.epsilon_).clamp_min(0)
            new = merged(*(torch.stack(pair) for pair in zip(old, new, strict=True)))
        self._keep(*new)

    def _keep(self, count: Float[Tensor, " k"], mean: Float[Tensor, "k d"], var: Float[Tensor, "k d"]) -> None:
        """Take the statistics of the classes as what was learned."""
        priors = given_priors(self.priors, count)
        _, centre, spread = merged(count[:, None], mean[:, None], var[:, None])
        greatest = float(without_rounding(spread, centre).max())
        # Where nothing varies any floor gives the same posterior; a large one keeps the rounding of means out of it.
        epsilon = self.var_smoothing * greatest if greatest else float(self.var_smoothing > 0)
        seen = count > 0
        if epsilon == 0 and bool((var[seen] == 0).any()):
            code, feature = ((var == 0) & seen[:, None]).nonzero()[0].tolist()
            raise InputError(
                f"Feature {feature} is constant in class {self.classes_.tolist()[code]!r}, so it has no density there; "
                "write var_smoothing=1e-9."
            )
        self.class_count_, self.class_prior_, self.theta_ = count, priors, mean
        self.var_, self.epsilon_ = var + epsilon, epsilon

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        scores = self.class_prior_.log() + gaussian_scores(X, self.theta_, self.var_)
        # A class that no sample has come of yet has no density, also where a prior is stated for it.
        return torch.where(self.class_count_ > 0, scores, -torch.inf)


class AbstractDiscreteNB(AbstractNaiveBayes):
    """What naive Bayes for counted features has in common: counts of each class, smoothed.

    Attributes:
        class_count_: Weight of the samples of each class, ``[k]``.
        class_log_prior_: Logarithm of the probability of each class, ``[k]``.
        feature_count_: Weighted sum of each feature over each class, ``[k, d]``.
        feature_log_prob_: Logarithm of the probability of each feature in each class, ``[k, d]``.
    """

    alpha: Any
    fit_prior: bool
    class_prior: Sequence[float] | None
    feature_count_: Tensor

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Counts say little about samples that are points in space.
        tags.classifier_tags.poor_score = True
        return tags

    @abstractmethod
    def _counted(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The features as they are counted, checked."""

    @abstractmethod
    def _smooth(self, alpha: Float[Tensor, "..."]) -> None:
        """Take the logarithms of the probabilities of the features from the counts and ``alpha``."""

    def _learn(
        self, X: Float[Tensor, "n d"], codes: Int[Tensor, " n"], weight: Float[Tensor, " n"] | None, *, more: bool
    ) -> None:
        alpha = torch.as_tensor(self.alpha, dtype=X.dtype, device=X.device)
        if alpha.shape not in ((), (X.shape[1],)) or not bool((alpha > 0).all()):
            raise InputError(
                f"{type(self).__name__} wants an alpha above 0, one number or one for each of {X.shape[1]} features; "
                f"received {self.alpha!r}: write alpha=1.0, or alpha=1e-10 for nearly no smoothing."
            )
        features, members = self._counted(X), memberships(codes, weight, X, len(self.classes_))
        count, sums = total(members.sum(dim=0)), total(members.T @ features)
        if more:
            count, sums = count + self.class_count_, sums + self.feature_count_
        stated = self.class_prior if self.fit_prior or self.class_prior is not None else [1 / len(count)] * len(count)
        priors = given_priors(stated, count)
        self.class_count_, self.feature_count_ = count, sums
        self.class_log_prior_ = priors.log()
        self._smooth(alpha)


@register(
    "classifier",
    "bernoulli-naive-bayes",
    family="bayes",
    paper="Maron 1961, Automatic indexing: an experimental inquiry",
    year=1961,
    peer="sklearn.naive_bayes.BernoulliNB",
    laws=("shards",),
)
class BernoulliNB(AbstractDiscreteNB):
    """Naive Bayes for features that are there or not: the absence of one counts, too.

    Args:
        alpha: Added to the number of presences and of absences; one number, or one for each feature.
        binarize: A feature above this is there; None where the features are 0 and 1 already.
        fit_prior: Whether the priors are the classes' shares of the samples; else all classes are equally likely.
        class_prior: Probabilities of the classes, stated.

    Attributes:
        absence_log_prob_: Logarithm of the probability that each feature is absent, ``[k, d]``.
    """

    def __init__(
        self,
        *,
        alpha: Any = 1.0,
        binarize: float | None = 0.0,
        fit_prior: bool = True,
        class_prior: Sequence[float] | None = None,
    ) -> None:
        self.alpha = alpha
        self.binarize = binarize
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    def _counted(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        if self.binarize is not None:
            return (self.binarize < X).to(X.dtype)
        if not bool(((X == 0) | (X == 1)).all()):
            raise InputError("BernoulliNB takes features of 0 and 1; write binarize=0.0 for those above a threshold.")
        return X

    def _smooth(self, alpha: Float[Tensor, "..."]) -> None:
        whole = (self.class_count_[:, None] + 2 * alpha).log()
        self.feature_log_prob_ = (self.feature_count_ + alpha).log() - whole
        # From the counts: 1 less a probability near 1 would have lost its digits. Weights may round below zero.
        absences = (self.class_count_[:, None] - self.feature_count_).clamp_min(0)
        self.absence_log_prob_ = (absences + alpha).log() - whole

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        present, absent = self.feature_log_prob_, self.absence_log_prob_
        return self.class_log_prior_ + absent.sum(dim=1) + self._counted(X) @ (present - absent).T


@register(
    "classifier",
    "multinomial-naive-bayes",
    family="bayes",
    paper="Maron 1961, Automatic indexing: an experimental inquiry",
    year=1961,
    peer="sklearn.naive_bayes.MultinomialNB",
    laws=("shards",),
)
class MultinomialNB(AbstractDiscreteNB):
    """Naive Bayes for counts, such as how often each word stands in a text.

    Args:
        alpha: Added to each count; one number, or one for each feature.
        fit_prior: Whether the priors are the classes' shares of the samples; else all classes are equally likely.
        class_prior: Probabilities of the classes, stated.
    """

    def __init__(self, *, alpha: Any = 1.0, fit_prior: bool = True, class_prior: Sequence[float] | None = None) -> None:
        self.alpha = alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _counted(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        if bool((X < 0).any()):
            raise InputError("Negative values in data passed to MultinomialNB: it takes counts, from 0 up.")
        return X

    def _smooth(self, alpha: Float[Tensor, "..."]) -> None:
        counts = self.feature_count_ + alpha
        self.feature_log_prob_ = counts.log() - counts.sum(dim=1, keepdim=True).log()

    def _scores(self, X: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return self.class_log_prior_ + self._counted(X) @ self.feature_log_prob_.T
