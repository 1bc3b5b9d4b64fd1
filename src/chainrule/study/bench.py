"""``Bench``: candidates measured on samples that they have not seen, all of them on the same ones.

With folds every sample outside of the test split is validated on once (Stone 1974, "Cross-validatory choice and
assessment of statistical predictions"), which tells more of a small data set than a single validation split; and the
models of a candidate's folds together are one model (Krogh & Vedelsby 1995, "Neural network ensembles, cross
validation, and active learning").
"""

import math
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from chainrule.data import Data
from chainrule.shapes import Float, Num, Tensor
from chainrule.study.events import Note, Trial, Tried
from chainrule.study.study import Study

#: A candidate is better than another when its error is lower by more than this share.
BETTER = 0.005


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model with settings.

    Attributes:
        model: Call of the model.
        settings: Settings of ``fit`` beside those of the whole study.
        step: The step of the procedure that proposed it.
    """

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    step: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Equal for candidates that are the same model with the same settings."""
        return self.model, repr(sorted(self.settings.items()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """A candidate and how it did.

    Attributes:
        candidate: The model with its settings.
        tried: Its trials, one a fold.
        outputs: What it says of the validation samples ``[n, k]``; each is said by a model that has not seen it.
        error: Mean squared error of the outputs: of probabilities (Brier 1950), or of standardised real targets.
        score: Accuracy, F1 or R2 there.
    """

    candidate: Candidate
    tried: list[Tried]
    outputs: Float[Tensor, "n k"]
    error: float
    score: float


class Bench:
    """Measures candidates in the trials of a study.

    Args:
        study: The study.
        folds: Folds of all rows but those of the test split; 1: the validation split of the data.
    """

    def __init__(self, study: Study, *, folds: int) -> None:
        self.study, self.folds = study, folds
        self.data = study.data()
        self.scored: list[Scored] = []
        self.target = self.data.target
        self.valid = torch.cat([part.valid.targets for part in self._parts()])
        self._numbers = 0

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return float(self.study.asked["budget"]) - self.study.elapsed

    @property
    def jobs(self) -> int:
        """Trials at a time."""
        return int(self.study.asked["jobs"])

    def fold(self, number: int) -> dict[str, Any]:
        """The setting of a fold, counted from 1; nothing where there is one only."""
        return {"fold": f"{number}/{self.folds}"} if self.folds > 1 else {}

    def evaluate(self, candidates: Sequence[Candidate]) -> Generator[Note, None, list[Scored]]:
        """Measure candidates, each on all folds; those that fail are left out.

        Args:
            candidates: What is measured; what was measured before is not measured again.

        Yields:
            The notes of the study.

        Returns:
            How they did, in their order.
        """
        known = {scored.candidate.key for scored in self.scored}
        new = list({candidate.key: candidate for candidate in candidates if candidate.key not in known}.values())
        trials = [[self.trial(candidate, number) for number in range(1, self.folds + 1)] for candidate in new]
        results = yield from self.study.try_all([trial for row in trials for trial in row])
        for number, candidate in enumerate(new):
            tried = results[number * self.folds : (number + 1) * self.folds]
            if not any(result.error for result in tried) and (scored := self._score(candidate, tried)) is not None:
                self.scored.append(scored)
        found = {scored.candidate.key: scored for scored in self.scored}
        return [found[candidate.key] for candidate in candidates if candidate.key in found]

    def evaluate_until(self, candidates: Sequence[Candidate], until: float) -> Generator[Note, None, list[Scored]]:
        """Measure candidates in their order, as many at once as there are processes for, while there is time.

        Args:
            candidates: What is measured; the first of them always are.
            until: Time of the study at which the last should be done, if it takes as long as those before.

        Yields:
            The notes of the study.

        Returns:
            How those did that were measured.
        """
        at_once = math.ceil(self.jobs / self.folds)
        found: list[Scored] = []
        spent = 0.0
        for start in range(0, len(candidates), at_once):
            if start and self.study.elapsed + spent > until:
                break
            before = self.study.elapsed
            found += yield from self.evaluate(candidates[start : start + at_once])
            spent = self.study.elapsed - before
        return found

    def trial(self, candidate: Candidate, fold: int, *, until: int | None = None, name: str = "") -> Trial:
        """The trial of a candidate on a fold; ``name`` is given where it goes on with an earlier one."""
        if not name:
            self._numbers += 1
            stem = re.sub(r"[^A-Za-z0-9]+", "-", candidate.model).strip("-").lower()
            name = f"{self._numbers:03d}-{candidate.step}-{stem[:40]}"
        settings = {**candidate.settings, **self.fold(fold)}
        return Trial(name=name, step=candidate.step, model=candidate.model, settings=settings, until=until)

    def best(self, scored: Sequence[Scored]) -> Scored | None:
        """The one with the least error."""
        return min(scored, key=lambda one: one.error, default=None)

    def _score(self, candidate: Candidate, tried: list[Tried]) -> Scored | None:
        outputs = torch.cat([self.study.outputs(result.trial)["valid"] for result in tried])
        if not outputs.isfinite().all():
            return None
        return Scored(
            candidate=candidate,
            tried=tried,
            outputs=outputs,
            error=squared_error(outputs, self.valid, self.target.kind),
            score=score(outputs, self.valid, self.target.kind),
        )

    def _parts(self) -> list[Data]:
        if self.folds == 1:
            return [self.data]
        return [self.study.data(**self.fold(number)) for number in range(1, self.folds + 1)]


def squared_error(outputs: Float[Tensor, "n k"], targets: Num[Tensor, "n ..."], kind: str) -> float:
    """Mean squared error of probabilities against what came true, or of real targets in their standard deviations."""
    outputs = outputs.double()
    if kind == "classes":
        truth = torch.nn.functional.one_hot(targets.long(), outputs.shape[1]).double()
        return float((outputs - truth).square().sum(1).mean())
    truth = targets.double().reshape(outputs.shape)
    scale = truth.std(0, correction=0).clamp_min(1e-12) if kind == "real" else torch.ones(1)
    return float(((outputs - truth) / scale).square().mean())


def score(outputs: Float[Tensor, "n k"], targets: Num[Tensor, "n ..."], kind: str) -> float:
    """Accuracy of classes, macro F1 of labels, R2 of real targets."""
    from sklearn.metrics import accuracy_score, f1_score, r2_score

    truth, said = targets.numpy(), outputs.double().numpy()
    if kind == "classes":
        return float(accuracy_score(truth, said.argmax(1)))
    if kind == "labels":
        return float(f1_score(truth > 0.5, said > 0.5, average="macro", zero_division=0))
    return float(r2_score(truth.reshape(said.shape), said))
