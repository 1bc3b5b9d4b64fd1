"""The recipe for a network: seven steps from an untrained model to the best that the budget allows.

CS231n (Johnson, Yeung, Karpathy), "Neural networks part 3" and its lecture on training:

1. the loss before training is what theory says;
2. a small sample can be learned by heart;
3. a learning rate lowers the loss clearly within about 100 steps: a range test (Smith 2017), then rates around it;
4. a coarse grid of rate and weight decay, a few epochs each;
5. the best of them longer;
6. the curves are read: what do they ask for?
7. what they ask for is tried, and so on from step 5.
"""

import inspect
import math
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from typing import Any

from chainrule import registry
from chainrule.config import Config, configure
from chainrule.doctor import Probe, Program, diagnose
from chainrule.job import plan_of
from chainrule.optim.optimizers import optimizers
from chainrule.study import reading
from chainrule.study.asking import trains
from chainrule.study.bench import BETTER, Bench, Candidate, Scored
from chainrule.study.events import Note, Tried
from chainrule.study.halving import REDUCTION, halve, loss_of
from chainrule.training.events import Epoch

#: Steps after which a rate must have lowered the loss.
STEPS = 100
#: Rates that are tried, as factors of what the range test suggests: half a power of ten apart.
FACTORS = (1.0, 10**-0.5, 10**0.5, 0.1, 10.0)
#: Weight decay that is tried where it is decoupled from the gradient (AdamW), and where it is a part of it.
DECOUPLED, COUPLED = (0.01, 0.0, 0.1), (1e-4, 0.0, 1e-3)
#: How often the grid is extended where the best lies on its edge.
EXTENDED = 2
#: Candidates that go on from the grid to a whole training.
FEW = 2
#: Actions in a row that improve nothing, before the recipe stops.
MISSES = 3
#: Share of the budget that one candidate may take; longer trainings are cut short.
SHARE = 0.15
#: Seconds that one measurement of a check may train.
SECONDS = 4.0


class Recipe:
    """The seven steps for one network.

    Args:
        bench: Where candidates are measured.
        model: Call of the network.
        until: Time of the study after which nothing more is begun.
    """

    def __init__(self, bench: Bench, model: str, *, until: float) -> None:
        self.bench, self.model, self.until = bench, model, until
        self.study = bench.study
        self.settings: dict[str, Any] = bench.study.asked["settings"]
        #: Seconds that an epoch takes one process.
        self.pace = 0.0
        #: Settings of a whole training, where the default one would take too long.
        self.length: dict[str, Any] = {}

    def steps(self) -> Generator[Note, None, Scored | None]:
        """Go through the steps; gives the best candidate, or None where the model cannot learn."""
        found = yield from self.study.once(f"checks {self.model}", self._checks)
        yield from self.study.decide("initial loss", found["initial"], model=self.model)
        yield from self.study.decide("memorise", found["memorised"], model=self.model)
        if not found["sound"]:
            causes = [finding for finding in found["findings"] if not finding["under"]]
            why = f" {causes[0]['sentence']} {causes[0]['remedy']}" if causes else ""
            yield from self.study.decide("stop", f"{self.model} cannot learn this, so it is left out.{why}")
            return None
        rates = yield from self._rates(found)
        grid = yield from self._grid(rates, found)
        best = yield from self._longer(grid)
        return (yield from self._improve(best)) if best is not None else None

    def _checks(self) -> dict[str, Any]:
        """Steps 1 and 2, and the range test."""
        plan = plan_of(self.study.source, self.model, {**self.settings, **self.bench.fold(1)})
        swept = plan.rate_test()
        program = Program.of(replace(plan, config=replace(plan.config, rate=str(swept.rate))))
        probe = Probe(program, seconds=SECONDS)
        findings = {f.check: f for f in diagnose(probe, only=("initial-loss-live", "memorises"))}
        initial, memorised = findings.get("initial-loss-live"), findings.get("memorises")
        told = {
            "steps": plan.batches("train", seed=0).steps,
            "epochs": program.epochs,
            "rate": asdict(swept),
            "initial": initial.sentence if initial else "No loss is known that an untrained model should show.",
            "memorised": memorised.sentence if memorised else "Learning by heart was not tried.",
            "findings": [asdict(finding) for finding in findings.values()],
            "sound": memorised is None or memorised.status != "FAIL",
        }
        if not told["sound"]:
            told["findings"] = [asdict(finding) for finding in diagnose(probe) if finding.asks]
        return told

    def _rates(self, found: dict[str, Any]) -> Generator[Note, None, list[float]]:
        """Step 3: the rates that lower the loss within about 100 steps, the best first."""
        suggested, epochs = found["rate"]["rate"], max(1, math.ceil(STEPS / found["steps"]))
        fixed = configure(self.settings).fixed_rate
        rates = [fixed] if fixed else [suggested * factor for factor in FACTORS]
        candidates = [
            Candidate(
                model=self.model,
                settings={"rate": f"{rate:.2g}", "schedule": "constant", "epochs": epochs},
                step="rates",
            )
            for rate in rates
        ]
        results = yield from self.study.try_all([self.bench.trial(candidate, 1) for candidate in candidates])
        self.pace = min((seconds for result in results for seconds in self._seconds(result)), default=0.0)
        losses = [result.train.get("loss") for result in results]
        fell = [(loss, rate) for loss, rate in zip(losses, rates, strict=True) if loss is not None]
        best = min(fell)[1] if fell else rates[0]
        kept = [best] if fixed else [best, best * 10**-0.5, best * 10**0.5]
        yield from self.study.decide(
            "rates",
            f"Of {len(rates)} rates around the {suggested:.2g} of the range test, {best:.2g} lowers the training loss "
            f"most within {epochs * found['steps']} steps.",
            model=self.model,
            rates=rates,
            losses=losses,
        )
        self._fit_length(found)
        return kept

    def _seconds(self, result: Tried) -> list[float]:
        if result.error:
            return []
        return [event.seconds for event in self.study.run(result.trial).events if isinstance(event, Epoch)]

    def _fit_length(self, found: dict[str, Any]) -> None:
        """Cut whole trainings short that would take too much of the budget."""
        rounds = math.ceil(self.bench.folds / self.bench.jobs)
        allowed = SHARE * float(self.study.asked["budget"]) / rounds
        if self.pace * found["epochs"] > allowed:
            self.length = {"epochs": max(1, int(allowed / self.pace))}

    def _grid(self, rates: list[float], found: dict[str, Any]) -> Generator[Note, None, list[Candidate]]:
        """Steps 4 and the first part of 5: rate and weight decay by successive halving, extended at its edges."""
        first = max(1, math.ceil(STEPS / found["steps"]))
        longest = self.length.get("epochs", found["epochs"])
        rungs = [first * REDUCTION**power for power in range(3) if power == 0 or first * REDUCTION**power <= longest]
        points = [(rate, decay) for rate in rates for decay in decays_of(configure(self.settings))]
        ranked: list[tuple[Candidate, Tried]] = []
        for _ in range(1 + EXTENDED):
            candidates = [self._point(rate, decay, rungs[-1]) for rate, decay in points]
            ranked += yield from halve(self.bench, candidates, rungs)
            ranked.sort(key=lambda pair: (-pair[1].epochs, loss_of(pair[1])))
            if not ranked:
                return []
            best = ranked[0][0]
            points = beyond(best, [pair[0] for pair in ranked])
            if not points or self.study.elapsed > self.until:
                break
            yield from self.study.decide(
                "grid",
                f"The best of the grid, {described(best)}, lies on its edge; the grid is extended by "
                f"{' and '.join(f'rate {rate:.2g} with weight decay {decay or 0:g}' for rate, decay in points)}.",
                model=self.model,
            )
        yield from self.study.decide(
            "grid",
            f"Of {len(ranked)} pairs, {described(ranked[0][0])} has the least validation loss, "
            f"{loss_of(ranked[0][1]):.3g} after {ranked[0][1].epochs} epochs.",
            model=self.model,
        )
        return [candidate for candidate, _ in ranked]

    def _point(self, rate: float, decay: float | None, epochs: int) -> Candidate:
        own = {} if decay is None else {"weight_decay": decay}
        settings = {"rate": f"{rate:.2g}", **own, "schedule": "constant", "epochs": epochs}
        return Candidate(model=self.model, settings=settings, step="grid")

    def _longer(self, grid: Sequence[Candidate]) -> Generator[Note, None, Scored | None]:
        """Step 5: the best of the grid, and what ``fit`` would do by itself, trained to the end."""
        whole = [
            Candidate(
                model=self.model,
                settings={**searched(one), **self.length},
                step="longer",
            )
            for one in grid[:FEW]
        ]
        default = Candidate(model=self.model, settings=dict(self.length), step="default")
        scored = yield from self.bench.evaluate_until([default, *whole], self.until)
        best = self.bench.best(scored)
        if best is not None:
            yield from self.study.decide(
                "longer",
                f"Trained to the end, {described(best.candidate)} has the least validation error: score "
                f"{best.score:.4g}; the defaults have {scored[0].score:.4g}.",
                model=self.model,
            )
        return best

    def _improve(self, best: Scored) -> Generator[Note, None, Scored]:
        """Steps 6 and 7: do what the curves ask for, until nothing improves or time is up."""
        misses, spent = 0, 0.0
        at_once = math.ceil(self.bench.jobs / self.bench.folds)
        while misses < MISSES:
            if self.study.elapsed + spent > self.until:
                yield from self.study.decide("curves", "The time for this model is used up.", model=self.model)
                return best
            known = {scored.candidate.key for scored in self.bench.scored}
            run = self.study.run(best.tried[0].trial)
            asked = [
                *reading.read(run, best.candidate, self.bench.data),
                *reading.around(best.candidate, self.bench.data),
            ]
            actions = list({a.candidate.key: a for a in asked if a.candidate.key not in known}.values())[:at_once]
            if not actions:
                break
            before = self.study.elapsed
            for action in actions:
                sentence = f"{action.why.rstrip('.')}; next: {action.name}, {action.what}."
                yield from self.study.decide("curves", sentence, model=self.model, action=action.name)
            tried = yield from self.bench.evaluate([action.candidate for action in actions])
            spent = self.study.elapsed - before
            now = self.bench.best([best, *tried])
            if now is None or now.error >= best.error * (1 - BETTER):
                misses += len(actions)
                continue
            yield from self.study.decide(
                "again",
                f"Better: {described(now.candidate)}, score {now.score:.4g}, was {best.score:.4g}.",
                model=self.model,
            )
            best, misses = now, 0
        yield from self.study.decide(
            "curves", f"Nothing improves {described(best.candidate)} any more.", model=self.model
        )
        return best


def searched(candidate: Candidate) -> dict[str, Any]:
    """Rate and weight decay of a point of the grid."""
    return {name: candidate.settings[name] for name in ("rate", "weight_decay") if name in candidate.settings}


def decays_of(config: Config) -> tuple[float | None, ...]:
    """The weight decays of the grid; None leaves the optimizer as it is, where it has none."""
    if config.weight_decay is not None:
        return (config.weight_decay,)
    build = optimizers().get(registry.parse(config.optimizer).name.lower())
    parameter = inspect.signature(build).parameters.get("weight_decay") if build else None
    if parameter is None:
        return (None,)
    return DECOUPLED if parameter.default else COUPLED


def beyond(best: Candidate, tried: Sequence[Candidate]) -> list[tuple[float, float | None]]:
    """What lies beyond the edge of a grid on which its best point lies; nothing when it lies inside.

    Args:
        best: The best point of the grid.
        tried: All points.

    Returns:
        Rates with weight decays. A decay of 0 is the end of the scale, and what has one value only is not searched.
    """
    rates = sorted({float(candidate.settings["rate"]) for candidate in tried})
    decays = sorted({float(candidate.settings.get("weight_decay", 0)) for candidate in tried})
    rate, decay = float(best.settings["rate"]), best.settings.get("weight_decay")
    points: list[tuple[float, float | None]] = []
    if len(rates) > 1 and rate in (rates[0], rates[-1]):
        points.append((rate * 10**-0.5 if rate == rates[0] else rate * 10**0.5, decay))
    if len(decays) > 1 and decay == decays[-1]:
        points.append((rate, 10 * decay))
    return points


def described(candidate: Candidate) -> str:
    """A candidate in words."""
    told = {name: value for name, value in candidate.settings.items() if name not in ("schedule", "epochs")}
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())
    if settings:
        return f"{candidate.model} with {settings}"
    return f"{candidate.model} as fit would train it" if trains(candidate.model) else candidate.model
