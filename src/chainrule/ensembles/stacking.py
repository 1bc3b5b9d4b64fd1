"""Stacking: a small model on the members' outputs (Wolpert 1992, Stacked generalization).

Classes: logistic regression on the probabilities of all members, of two classes on those of the second. Labels: the
same for each label, on the members' probabilities of it. Real values: the weights of Breiman 1996, Stacked regressions,
``min_w sum_n (y_n - sum_i w_i y_ni)^2`` with ``w_i >= 0``, for each target.
"""

import torch

from chainrule.ensembles.combining import ROW, AbstractCombiner
from chainrule.errors import InputError
from chainrule.registry import register
from chainrule.shapes import Tensor


@register(
    "combiner",
    "stacking",
    paper="Wolpert 1992, Stacked generalization; Breiman 1996, Stacked regressions",
    year=1992,
    peer="sklearn.ensemble.StackingClassifier",
    **ROW,
)
class Stacking(AbstractCombiner):
    """Logistic regression on the members' probabilities; of real values a sum with weights of at least 0.

    Args:
        members: Members, ``c``.
        outputs: Outputs of each, ``k``.
        kind: Kind of the target: ``"classes"``, ``"labels"`` or ``"real"``.
        C: Weight of the samples against the Gaussian prior of the logistic regression; real values have no prior.

    Attributes:
        weight: Of classes ``[k, c k]``, of two classes ``[1, c]``; else ``[k, c]``. NaN before it has learned.
        bias: ``[k]``, of two classes ``[1]``; of real values always 0.

    Raises:
        InputError: When ``C`` is not above 0.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, members: int, outputs: int, kind: str = "classes", *, C: float = 1.0) -> None:  # noqa: N803
        super().__init__(members, outputs, kind)
        if not C > 0:
            raise InputError(f"C has to be above 0; received {C!r}.")
        self.C = C
        scores = 1 if kind == "classes" and outputs == 2 else outputs
        features = members * scores if kind == "classes" else members
        self.register_buffer("weight", torch.full((scores, features), torch.nan, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(scores, dtype=torch.float64))

    def options(self) -> dict[str, object]:
        return {**super().options(), "C": self.C}

    def _learn(self, outputs: Tensor, targets: Tensor) -> None:
        if self.kind == "real":
            for output in range(self.outputs):
                self.weight[output] = _nonnegative(outputs[..., output].T, targets[:, output].double())
        elif self.kind == "classes":
            self._logistic(slice(None), self._features(outputs), targets, self.outputs)
        else:
            for label in range(self.outputs):
                self._logistic(slice(label, label + 1), outputs[..., label].T, targets[:, label].round().long(), 2)

    def _logistic(self, rows: slice, x: Tensor, classes: Tensor, wanted: int) -> None:
        # scikit-learn is slow to import, and only an estimator needs it.
        from chainrule.estimators import LogisticRegression

        if (found := len(classes.unique())) < wanted:
            what = f"{found} of the {wanted} classes" if self.kind == "classes" else "one kind for one of the labels"
            raise InputError(
                f"Stacking learns from samples of all classes, with and without each label, but there are only samples "
                f"of {what}; give it more, or take the combiner 'sum'."
            )
        learned = LogisticRegression(C=self.C, tol=1e-6, max_iter=1000).fit(x, classes)
        self.weight[rows], self.bias[rows] = learned.coef_, learned.intercept_

    def _features(self, outputs: Tensor) -> Tensor:
        """``[c, ..., k]`` to ``[..., c k]``; the probability of the first of two classes says nothing new."""
        return (outputs[..., 1:] if self.outputs == 2 else outputs).movedim(0, -2).flatten(-2)

    def _combined(self, outputs: Tensor) -> Tensor:
        if self.weight.isnan().any():
            raise InputError("Stacking has learned nothing yet; write learn(outputs, targets) with held-out samples.")
        values = outputs.double()
        if self.kind == "classes":
            scores = self._features(values) @ self.weight.T + self.bias
            scores = torch.cat((torch.zeros_like(scores), scores), dim=-1) if self.outputs == 2 else scores
            return scores.softmax(dim=-1).to(outputs.dtype)
        scores = (values.movedim(0, -1) * self.weight).sum(dim=-1) + self.bias
        return (scores.sigmoid() if self.kind == "labels" else scores).to(outputs.dtype)


def _nonnegative(x: Tensor, y: Tensor) -> Tensor:
    """Least squares ``[c]`` with weights of at least 0."""
    from scipy.optimize import nnls

    try:
        weights, _ = nnls(x.cpu().numpy(), y.cpu().numpy())
    except RuntimeError as error:
        raise InputError(f"The weights of the stacking cannot be found ({error}); take the combiner 'sum'.") from error
    return torch.from_numpy(weights)
