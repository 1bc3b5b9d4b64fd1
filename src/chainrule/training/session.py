"""``Session``: the way from a plan to a trained, evaluated model, as one stream of events.

data -> task -> model -> rate -> loop -> best weights -> evaluation. The session writes checkpoints between events;
what is recorded and shown is the business of whoever reads the stream.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from chainrule import seeding, storage
from chainrule.errors import NotFiniteError
from chainrule.models import assembly
from chainrule.training import loop
from chainrule.training.describe import built, loaded
from chainrule.training.evaluation import tested
from chainrule.training.events import Epoch, Event, Finished
from chainrule.training.plan import Plan
from chainrule.training.record import Record


@dataclass(frozen=True, kw_only=True)
class Session:
    """A plan and the record that it fills.

    Attributes:
        plan: What is to be run.
        record: The run's directory.
        command: The command line that does it again.
    """

    plan: Plan
    record: Record
    command: str

    def events(self) -> Generator[Event, None, None]:
        """Run, or go on from the record's checkpoint, to the end."""
        state = self.record.load()
        if state is None:
            yield loaded(self.plan.data)
            yield built(self.plan, self.command)
            yield self.plan.initial_loss()
            rate = self.plan.config.fixed_rate
            if rate is None:
                swept = self.plan.rate_test()
                yield swept
                rate = swept.rate
            training = self.plan.training(rate)
            seeding.seed_all(self.plan.config.seed, seeding.NETWORK, self.plan.machine.rank)
            self.save(training)
        else:
            training = self.plan.training(state["rate"])
            self.restore(training, state)
        yield from self.train(training)
        yield self.finish(training)
        yield tested(self.plan, training.model)

    def train(self, training: loop.Training) -> Generator[Event, None, None]:
        """Run the loop, with checkpoints by the clock and after each epoch; whoever stops reading leaves one, too."""
        steps, saved = loop.train(training), time.monotonic()
        while training.ended(self.plan.config.patience) is None:
            event = next(steps)
            ended = isinstance(event, Epoch)
            # Before anybody hears of the epoch: who stops there leaves a checkpoint that says that they are here.
            if isinstance(event, Epoch) and event.best and self.plan.machine.first:
                assembly.save_weights(self.record.model, self.plan.model)
            try:
                yield event
            except GeneratorExit:
                self.save(training)
                raise
            if ended or self.plan.machine.same(time.monotonic() - saved > self.plan.config.checkpoint_every):
                self.save(training)
                saved = time.monotonic()

    def save(self, training: loop.Training) -> None:
        """Write a checkpoint: what moved, and what each process has of its own."""
        own = self.plan.machine.gathered({"random": seeding.state(), "meter": training.meter.state_dict()})
        self.record.save({**training.state_dict(), "processes": own})

    def restore(self, training: loop.Training, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        training.load_state_dict(state)
        own = state["processes"][self.plan.machine.rank]
        training.meter.load_state_dict(own["meter"])
        seeding.restore(own["random"])

    def finish(self, training: loop.Training) -> Finished:
        """Bring the best weights back.

        Raises:
            NotFiniteError: When no epoch gave a number to choose by.
        """
        if training.best is None:
            raise NotFiniteError(
                f"The valid {self.plan.config.monitor} was never a number, so none is the best; write a smaller rate."
            )
        weights = storage.read_tree(self.record.model / "weights.safetensors") if self.plan.machine.first else None
        self.plan.model.load_state_dict(self.plan.machine.same(weights))
        return Finished(
            reason=str(training.ended(self.plan.config.patience)),
            epoch=training.best[1],
            monitor=f"valid {self.plan.config.monitor}",
            seconds=training.seconds[1],
        )
