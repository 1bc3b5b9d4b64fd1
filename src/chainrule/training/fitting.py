"""``Fitting``: the way from a plan to a fitted, evaluated estimator, as one stream of events.

data -> task -> estimator -> fit -> evaluation. There is no loop to be watched and nothing to be resumed: an interrupted
fit begins again. Under several processes an estimator that learns from sums is fitted on the rows of all of them;
another learns on the first process, and the others get what it has learned.
"""

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass

import torch

from chainrule.data.batches import Batches
from chainrule.errors import InputError
from chainrule.estimators.shards import sharded
from chainrule.models import assembly
from chainrule.models.classical import Classical
from chainrule.shapes import Tensor
from chainrule.tasks.supervised import Classification, MultiLabel, Regression
from chainrule.training.describe import built, loaded
from chainrule.training.evaluation import tested
from chainrule.training.events import Event, Fitted
from chainrule.training.meter import measure
from chainrule.training.plan import Plan
from chainrule.training.record import Record


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """A plan whose network is an estimator, and the record that it fills.

    Attributes:
        plan: What is to be run.
        record: The run's directory.
        command: The command line that does it again.
    """

    plan: Plan
    record: Record
    command: str

    def events(self) -> Generator[Event, None, None]:
        """Run from the beginning to the end."""
        # Cuts off what an interrupted run left.
        self.record.load()
        yield loaded(self.plan.data)
        yield built(self.plan, self.command)
        yield self.fit()
        yield tested(self.plan, self.plan.model)

    def fit(self) -> Fitted:
        """Let the estimator learn, save it, and measure it."""
        plan, began = self.plan, time.perf_counter()
        estimator: Classical = plan.model[1]  # type: ignore[assignment] # a Sequential knows modules only
        plan.model.to(plan.machine.device)
        plan.task.to(plan.machine.device)
        if plan.machine.processes == 1 or estimator.sums:
            with sharded() if plan.machine.processes > 1 else contextlib.nullcontext():
                self.learn(estimator, plan.batches("train"))
        else:
            if plan.machine.first:
                self.learn(estimator, Batches(plan.data.train, size=256, device=plan.machine.device))
            estimator.load_state_dict(plan.machine.same(estimator.state_dict()))
            estimator.to(plan.machine.device)
        seconds = time.perf_counter() - began
        if plan.machine.first:
            assembly.save_weights(self.record.model, plan.model)
        train, valid = (measure(plan.model, plan.task, plan.machine, plan.batches(name)) for name in ("train", "valid"))
        return Fitted(
            train=train,
            valid=valid,
            learned=estimator.learned(),
            numbers=estimator.numbers(),
            seconds=seconds,
            memory=plan.machine.memory(),
        )

    def learn(self, estimator: Classical, batches: Batches) -> None:
        """Fit on the rows of these batches.

        Raises:
            InputError: When classes or labels are to be balanced and cannot be, or the estimator refuses the data.
        """
        inputs: list[Tensor] = []
        targets: list[Tensor] = []
        with torch.no_grad():
            for pieces in batches.epoch(0):
                inputs += [self.plan.model[0](piece.inputs) for piece in pieces]
                targets += [piece.targets for piece in pieces]
        y = torch.cat(targets)
        task = self.plan.task
        if isinstance(task, MultiLabel) and self.plan.config.balance:
            raise InputError("An estimator weighs samples, not single labels, so balance has no meaning; leave it out.")
        units = task.units if isinstance(task, Regression) else None
        weight = task.weights[y] if isinstance(task, Classification) and self.plan.config.balance else None
        estimator.learn(torch.cat(inputs), y, units=units, weight=weight, seed=self.plan.config.seed)
