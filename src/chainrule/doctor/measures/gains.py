"""How much of what can be learned a trial has learned, and what more time, or the other direction, would have given."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from chainrule.doctor.measures.rates import (
    FULL,
    STEPS,
    Reached,
    full,
    learned,
    neighbours,
    rates,
    reached,
    repeatable,
    settled,
    vary,
)
from chainrule.doctor.measures.running import running
from chainrule.doctor.measures.scores import chance, kind
from chainrule.doctor.measures.trials import Trial, learn, training
from chainrule.doctor.probe import Probe
from chainrule.doctor.program import Pair, Program

#: A score that no trial brings farther than this says nothing of a program whose loss falls by the other share.
IDLE, FALLS = 0.2, 0.5
#: A constant that is right this often leaves no room for a score.
CROWDED = 0.98
#: Differences of a score that are smaller than this are noise.
TELLING = 0.03
#: How many times as long as planned the longer training is.
LONGER = 3
#: Rates of Adam that are tried against the loss.
BACKWARD = (1e-2, 1e-3)


@dataclass(frozen=True)
class Ruler:
    """The scale on which trials of one program are compared.

    Attributes:
        chance: The best constant's score.
        start: Loss before training.
        floor: Lowest loss of any trial.
        scored: Whether the score is the scale; else it is the loss.
    """

    chance: float
    start: float
    floor: float
    scored: bool

    @property
    def least(self) -> float:
        """The smallest difference of two gains that means something: few samples decide where a constant does well."""
        return TELLING / (1 - self.chance) if self.scored else 0.0

    def gain(self, found: Reached) -> float:
        """Share of the way from a constant to a perfect score, or of the loss's fall; 0 where it did not stay finite.

        Args:
            found: What a trial came to.
        """
        return self.by_score(found.score) if self.scored else self.by_loss(found.loss)

    def by_score(self, score: float) -> float:
        """Share of the way from the best constant's score to a perfect one.

        Args:
            score: Accuracy or R2.
        """
        return (max(score, -1.0) - self.chance) / (1 - self.chance) if math.isfinite(score) else 0.0

    def by_loss(self, loss: float) -> float:
        """Share of the way from the first loss to the lowest.

        Args:
            loss: The loss.
        """
        room = self.start - self.floor
        return max((self.start - loss) / room, -1.0) if room > 0 and math.isfinite(loss) else 0.0


def tried(probe: Probe) -> Trial | None:
    """The program's own training; None where it does not run, of which other checks speak.

    Args:
        probe: Of the program.
    """
    came = probe.measure(running)
    own = probe.measure(training) if not came.error or came.own else None
    return own if own is not None and own.ran and own.losses else None


def ruler(probe: Probe) -> Ruler:
    """The scale for all trials of a program: its score, or its loss where the score says nothing.

    Args:
        probe: Of the program.
    """
    short = probe.measure(rates)
    trials = [
        probe.measure(full),
        *short.own.values(),
        *short.sound.values(),
        *probe.measure(neighbours).values(),
        *probe.measure(settled).values(),
    ]
    own = probe.measure(training)
    start = own.start.train_loss if own.epochs and math.isfinite(own.start.train_loss) else short.start
    losses = [trial.loss for trial in trials if math.isfinite(trial.loss)]
    guess = chance(probe)
    rule = Ruler(guess, start, min(losses, default=start), scored=guess < CROWDED)
    if kind(probe) != "real" or not rule.scored:
        return rule
    best = max((rule.by_score(trial.score) for trial in trials), default=0.0)
    falls = (start - rule.floor) / abs(start) if start else 0.0
    return replace(rule, scored=best >= IDLE or falls < FALLS)


def longer(probe: Probe) -> Trial | None:
    """The program's own training, three times as long as planned.

    There is none where no end is planned, where it is slow, and where the program learns nearly all there is in time.

    Args:
        probe: Of the program.
    """
    own = probe.measure(training)
    if probe.program.epochs is None or own.error or not own.epochs or not repeatable(probe) or learned(probe):
        return None
    passes = [probe.sample.batches] * ((LONGER - 1) * round(own.planned / len(probe.sample.batches)))
    return learn(probe, own.program.copied(), passes, seconds=2 * FULL * probe.seconds, looks=2)


def backward(probe: Probe) -> Reached:
    """What Adam reaches when it climbs the loss instead of descending it.

    Args:
        probe: Of the program.
    """
    batches: list[Pair] = (probe.sample.batches * STEPS)[:STEPS]

    def climb(rate: float) -> Reached:
        def change(program: Program) -> Program:
            optimizer = torch.optim.Adam(program.model.parameters(), lr=rate, maximize=True)
            return replace(program, optimizer=optimizer, train=None)

        return reached(vary(probe, change, [batches], seconds=FULL * probe.seconds / 2, looks=0))

    return max(
        (climb(rate) for rate in BACKWARD), key=lambda found: found.score if math.isfinite(found.score) else -math.inf
    )


def affine(probe: Probe) -> bool:
    """Whether the outputs are an affine function of the inputs, so that few samples can be learned by heart.

    Args:
        probe: Of the program.
    """
    inputs = probe.sample.inputs[:16]
    if not inputs.is_floating_point() or len(inputs) < 3:
        return False
    model = probe.copied().model.eval()
    with torch.no_grad():
        ends, middle = (model(part) for part in (inputs, (inputs + inputs.flip(0)) / 2))
    if not isinstance(ends, Tensor):
        return False
    # Outputs that do not depend on the inputs lie on a plane, too, and excuse nothing.
    scale = float((ends - ends[:1]).abs().max())
    return scale > 0 and bool(((ends + ends.flip(0)) / 2 - middle).abs().max() < 1e-4 * scale)
