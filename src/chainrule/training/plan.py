"""``Plan``: all that is settled before anything is trained, and how its parts are put together."""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from chainrule import models, registry, seeding
from chainrule.config import Config
from chainrule.data import Data, spec
from chainrule.data.augment import Augment
from chainrule.data.batches import Batches
from chainrule.data.dataset import Split
from chainrule.errors import InputError, UnknownNameError
from chainrule.models import assembly
from chainrule.optim import build_optimizer, build_schedule
from chainrule.tasks import AbstractTask, for_target
from chainrule.training import loop
from chainrule.training.events import InitialLoss, RateTest
from chainrule.training.machine import Machine
from chainrule.training.rate import range_test


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that is ready to go.

    Attributes:
        config: Every setting.
        data: The data.
        call: What builds the network.
        model: The whole model.
        task: What a batch means.
        machine: Where it runs.
    """

    config: Config
    data: Data
    call: str
    model: nn.Sequential
    task: AbstractTask
    machine: Machine

    @classmethod
    def build(
        cls,
        config: Config,
        data: Data,
        *,
        call: str,
        network: nn.Module | None,
        machine: Machine,
    ) -> "Plan":
        """Learn the preparation, build task and model; ``network`` is given when the call cannot build it.

        Raises:
            InputError: When settings, data and model do not go together.
        """
        task = for_target(
            data.target,
            data.train.targets,
            loss=config.loss,
            label_smoothing=config.label_smoothing,
            balance=config.balance,
        )
        row = models.row(call) if network is None else None
        plain = Batches(data.train, size=1024, device=torch.device("cpu"), workers=config.workers)
        preparation = assembly.learn_preparation(data.inputs, plain, smallest=row.smallest if row else 1)
        if network is None:
            with seeding.preserved():
                seeding.seed_all(config.seed, seeding.WEIGHTS)
                network = models.build(call, inputs=assembly.prepared(data.inputs, preparation), target=data.target)
        model = nn.Sequential(preparation, network, task.output())
        plan = cls(config=config, data=data, call=call, model=model, task=task, machine=machine)
        plan._try_out()
        return plan

    def batches(self, split: Split, *, seed: int | None = None, alone: bool = False) -> Batches:
        """The steps over a split: shuffled and augmented when there is a seed, else in order."""
        if seed is None:
            return Batches(
                split,
                size=max(256, self.config.batch),
                device=self.machine.device,
                rank=self.machine.rank,
                world=self.machine.processes,
                workers=self.config.workers,
            )
        return Batches(
            split,
            size=self.config.batch,
            device=self.machine.device,
            seed=seed,
            rank=0 if alone else self.machine.rank,
            world=1 if alone else self.machine.processes,
            pieces=self.config.accumulate * (self.machine.processes if alone else 1),
            augment=self.augmentation(),
            workers=self.config.workers,
        )

    def augmentation(self) -> Augment | None:
        """The augmentation of the training batches."""
        image = isinstance(self.data.inputs, spec.Image)
        text = ("crop" if image else "none") if self.config.augment == "auto" else self.config.augment
        if text == "none":
            return None
        if not isinstance(self.data.inputs, spec.Image):
            raise InputError(
                f"augment={text!r} is for images, but the inputs are {self.data.inputs}; write augment='none'."
            )
        classes = len(self.data.target.names) if isinstance(self.data.target, spec.Classes) else None
        return Augment(registry.parse_list(text), self.data.inputs.white, classes=classes)

    def optimizer(self, parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        """The run's optimizer over some parameters."""
        return build_optimizer(self.config.optimizer, parameters, rate=rate, weight_decay=self.config.weight_decay)

    def initial_loss(self) -> InitialLoss:
        """The loss before any training, over the first batches of the training split as it is evaluated."""
        targets = self.data.train.targets
        reference = self.task.reference(targets)
        model, task = copy.deepcopy(self.model).to(self.machine.device).eval(), copy.deepcopy(self.task)
        task.to(self.machine.device)
        total = samples = 0.0
        with torch.no_grad(), seeding.preserved():
            for number, pieces in enumerate(self.batches(self.data.train, seed=self.config.seed, alone=True).epoch(1)):
                for piece in pieces:
                    total += float(task.step(task.phases[0], model[:2], piece).losses.sum())
                    samples += len(piece.index)
                if number == 9:
                    break
        return InitialLoss(loss=total / samples, untrained=reference.untrained, constant=reference.constant)

    def rate_test(self) -> RateTest:
        """The learning-rate range test on the run's own batches."""
        self.task.to(self.machine.device)

        def repeat(number: int) -> Batches:
            return self.batches(self.data.train, seed=seeding.mix(self.config.seed, number), alone=True)

        return range_test(self.model, self.task, repeat, self.optimizer, self.machine, clip=self.config.clip)

    def training(self, rate: float) -> loop.Training:
        """Everything that will move."""
        train, valid = self.batches(self.data.train, seed=self.config.seed), self.batches(self.data.valid)
        epochs = self.config.epochs or min(200, max(20, math.ceil(1500 / train.steps)))
        self.task.to(self.machine.device)
        self.model.to(self.machine.device)
        optimizers = {
            phase: self.optimizer(self.task.parameters_of(phase, self.model[1]), rate) for phase in self.task.phases
        }
        schedules = {
            phase: build_schedule(self.config.schedule, optimizer, rate=rate, epochs=epochs, steps=train.steps)
            for phase, optimizer in optimizers.items()
        }
        return loop.Training(
            model=self.model,
            task=self.task,
            train=train,
            valid=valid,
            optimizers=optimizers,
            schedules=schedules,
            machine=self.machine,
            epochs=epochs,
            rate=rate,
            monitor=self.config.monitor,
            clip=self.config.clip,
            clip_value=self.config.clip_value,
        )

    def _try_out(self) -> None:
        """One small batch through the model: what does not fit is said before anything is trained."""
        names = self.task.metrics().keys()
        if self.config.monitor not in ("loss", *names):
            raise UnknownNameError(f"metric of {self.task.name}", self.config.monitor, ("loss", *names))
        wanted = len(self.data.target.names)
        with torch.no_grad(), seeding.preserved():
            sample = torch.stack([self.data.train[i][0] for i in range(min(2, len(self.data.train)))])
            try:
                shape = tuple(copy.deepcopy(self.model[:2]).eval()(sample).shape)
            except RuntimeError as error:
                raise InputError(f"{self.call} cannot take {self.data.inputs}: {error}") from error
        if shape != (len(sample), wanted):
            raise InputError(
                f"{self.call} must give one output for each of the {self.data.target}, [b, {wanted}]; "
                f"it gave {list(shape)} for {len(sample)} samples."
            )
