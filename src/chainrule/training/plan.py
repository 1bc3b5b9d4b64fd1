"""``Plan``: all that is settled before anything is trained, and how its parts are put together."""

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from chainrule import models, registry, seeding
from chainrule.config import Config
from chainrule.data import Data, spec
from chainrule.data.augment import Augment
from chainrule.data.batches import Batches
from chainrule.data.dataset import Split
from chainrule.errors import InputError, UnknownNameError
from chainrule.models import assembly, weights
from chainrule.models.deep_features import DeepFeatures
from chainrule.nn import Elastic, init, max_norm_
from chainrule.optim import Schedule, build_optimizer, build_schedule
from chainrule.tasks import AbstractTask, AuxiliaryHeads, for_target
from chainrule.training import loop
from chainrule.training.events import InitialLoss, RateTest
from chainrule.training.machine import Machine
from chainrule.training.rate import FALLBACK, range_test
from chainrule.training.transfer import Transfer, choose, on_features


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
        transfer: What of the network's weights learns.
        trains: Whether the network is trained step by step; an estimator learns all at once.
        features: The splits as deep features, where these are computed once and learned from; else None.
    """

    config: Config
    data: Data
    call: str
    model: nn.Sequential
    task: AbstractTask
    machine: Machine
    transfer: Transfer = field(default_factory=Transfer)
    trains: bool = True
    features: dict[str, Split] | None = None

    @classmethod
    def build(cls, config: Config, data: Data, *, call: str, network: nn.Module | None, machine: Machine) -> "Plan":
        """Learn the preparation, build task and model; ``network`` is given when the call cannot build it.

        Raises:
            InputError: When settings, data and model do not go together.
        """
        row = models.row(call) if network is None else None
        trains = row is None or row.kind not in models.ESTIMATORS
        if not trains:
            config.refuse_for_estimators(call)
        transfer = choose(config, data.target, data.train.targets, given=network is not None)
        task = for_target(
            data.target,
            data.train.targets,
            loss=transfer.loss(config, data.target),
            label_smoothing=config.label_smoothing if trains else 0.0,
            balance=config.balance,
        )
        pretrained = weights.read(config.weights, row) if config.weights else None
        with seeding.preserved():
            # Some transformers draw, as k-means does for its start.
            seeding.seed_all(config.seed, seeding.WEIGHTS)
            preparation = assembly.learn_preparation(
                data.inputs,
                Batches(data.train, size=1024, device=torch.device("cpu"), workers=config.workers),
                name=config.prepare,
                smallest=row.smallest if row else 1,
                pretrained=pretrained,
            )
        with seeding.preserved():
            seeding.seed_all(config.seed, seeding.WEIGHTS)
            inputs = assembly.prepared(data.inputs, preparation)
            if network is None:
                network = models.build(call, inputs=inputs, target=data.target)
                if config.init is not None:
                    init.apply(network, config.init)
            transfer = transfer.begin(network, pretrained, call=call, inputs=inputs, target=data.target)
        features = None
        if transfer.mode == "features":
            preparation.append(DeepFeatures.of(network, call=call, inputs=inputs, target=data.target))
            features = on_features(preparation, data, machine, workers=config.workers)
            call, inputs = "linear", assembly.prepared(data.inputs, preparation)
            network = models.build(call, inputs=inputs, target=data.target)
        weight: Any = getattr(network, "auxiliary_weight", None)
        if weight is not None:
            task = AuxiliaryHeads(task, weight)
        model = nn.Sequential(preparation, network, task.output())
        plan = cls(
            config=config,
            data=data,
            call=call,
            model=model,
            task=task,
            machine=machine,
            transfer=transfer,
            trains=trains,
            features=features,
        )
        if trains:
            plan._try_out()
        return plan

    @property
    def learner(self) -> nn.Sequential:
        """The model as the loop takes it: without the preparation, where that is done already."""
        return self.model if self.features is None else nn.Sequential(nn.Sequential(), self.model[1], self.model[2])

    @property
    def title(self) -> str:
        """The network's call, and what it works on."""
        deep = [step.call for step in self.model[0].children() if isinstance(step, DeepFeatures)]
        return f"{self.call} on deep features of {deep[0]}" if deep else self.call

    @property
    def batch(self) -> int:
        """Samples per step: 64, or a tenth of a training split that is smaller than 640, but at least 16."""
        return self.config.batch or max(16, min(64, len(self.data.train) // 10))

    def batches(self, name: str, *, seed: int | None = None, alone: bool = False) -> Batches:
        """The steps over a split: shuffled and augmented when there is a seed, else in order."""
        split = (self.features or self.data.splits)[name]
        if seed is None:
            return Batches(
                split,
                size=max(256, self.batch),
                device=self.machine.device,
                rank=self.machine.rank,
                world=self.machine.processes,
                workers=self.config.workers,
            )
        return Batches(
            split,
            size=self.batch,
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
        alike = not image or self.features is not None
        text = ("none" if alike else "crop") if self.config.augment == "auto" else self.config.augment
        if text == "none":
            return None
        if self.features is not None:
            raise InputError(f"augment={text!r} goes with images, not with features computed once; leave it out.")
        if not isinstance(self.data.inputs, spec.Image):
            raise InputError(
                f"augment={text!r} is for images, but the inputs are {self.data.inputs}; write augment='none'."
            )
        classes = len(self.data.target.names) if isinstance(self.data.target, spec.Classes) else None
        return Augment(registry.parse_list(text), self.data.inputs.white, classes=classes)

    def regularizers(self) -> tuple[list[Callable[[nn.Module], torch.Tensor]], list[Callable[[nn.Module], None]]]:
        """What is added to the loss, and what bounds the weights after a step.

        Raises:
            UnknownNameError: For a regularizer that is not one on the weights.
        """
        penalties: list[Callable[[nn.Module], torch.Tensor]] = []
        limits: list[Callable[[nn.Module], None]] = []
        for asked in registry.parse_list(self.config.regularize):
            if asked.name == "elastic":
                penalties.append(registry.call(Elastic, asked.options, asked.name))
            elif asked.name == "max-norm":
                limits.append(functools.partial(_limit, asked))
            else:
                raise UnknownNameError("regularizer on weights", asked.name, ("elastic", "max-norm"))
        return penalties, limits

    def optimizer(self, network: nn.Module, phase: str, rate: float) -> torch.optim.Optimizer:
        """The run's optimizer over the parameters of a network that a phase moves."""
        groups = self.transfer.groups(network, self.task.parameters_of(phase, network), rate)
        return build_optimizer(self.config.optimizer, groups, rate=rate, weight_decay=self.config.weight_decay)

    def initial_loss(self) -> InitialLoss:
        """The loss before any training, over the first batches of the training split as it is evaluated."""
        targets = self.data.train.targets
        reference = self.task.reference(targets)
        model, task = copy.deepcopy(self.learner).to(self.machine.device).eval(), copy.deepcopy(self.task)
        task.to(self.machine.device)
        total = samples = 0.0
        with torch.no_grad(), seeding.preserved():
            for number, pieces in enumerate(self.batches("train", seed=self.config.seed, alone=True).epoch(1)):
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
            return self.batches("train", seed=seeding.mix(self.config.seed, number), alone=True)

        return range_test(
            self.learner, self.task, repeat, self.optimizer, self.machine, seed=self.config.seed, clip=self.config.clip
        )

    def training(self, rate: float) -> loop.Training:
        """Everything that will move."""
        train, valid = self.batches("train", seed=self.config.seed), self.batches("valid")
        self.task.to(self.machine.device)
        self.model.to(self.machine.device)
        epochs, optimizers, schedules = self._movers(rate, train.steps)
        penalties, limits = self.regularizers()
        return loop.Training(
            model=self.learner,
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
            penalties=penalties,
            limits=limits,
        )

    def _movers(self, rate: float, steps: int) -> tuple[int, dict[str, torch.optim.Optimizer], dict[str, Schedule]]:
        """The number of epochs, and for each phase the optimizer and the schedule over them."""
        epochs = self.config.epochs or min(200, max(20, math.ceil(1500 / steps)))
        optimizers = {phase: self.optimizer(self.model[1], phase, rate) for phase in self.task.phases}
        schedules = {
            phase: build_schedule(self.config.schedule, optimizer, rate=rate, epochs=epochs, steps=steps)
            for phase, optimizer in optimizers.items()
        }
        return epochs, optimizers, schedules

    def _try_out(self) -> None:
        """Use each part once: what does not fit is said before anything is trained or written."""
        for limit in self.regularizers()[1]:
            limit(copy.deepcopy(self.model[1]))
        names = self.task.metrics().keys()
        if self.config.monitor not in ("loss", *names):
            raise UnknownNameError(f"metric of {self.task.name}", self.config.monitor, ("loss", *names))
        self._try_network()
        if not assembly.parameters(self.model[1]):
            raise InputError(f"{self.call} has no parameters, so there is nothing to train; write another --model.")
        steps = self.batches("train", seed=self.config.seed).steps
        self._movers(self.config.fixed_rate or FALLBACK, steps)

    def _try_network(self) -> None:
        """One small batch through the network."""
        wanted = len(self.data.target.names)
        sample = torch.stack([self.data.train[i][0] for i in range(min(2, len(self.data.train)))])
        # Lazy modules get their shapes and their first numbers here; others are only looked at.
        lazy = any(nn.parameter.is_lazy(p) for p in (*self.model.parameters(), *self.model.buffers()))
        model = self.model[:2] if lazy else copy.deepcopy(self.model[:2])
        with torch.no_grad(), seeding.preserved():
            seeding.seed_all(self.config.seed, seeding.WEIGHTS)
            try:
                output = model.eval()(sample)
            except Exception as error:  # a user's own network may raise anything
                raise InputError(
                    f"{self.call} cannot take {self.data.inputs}: {type(error).__name__}: {error}"
                ) from error
        came = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        if came != [len(sample), wanted]:
            raise InputError(
                f"{self.call} must give a tensor with one output for each of the {self.data.target}, "
                f"[{len(sample)}, {wanted}] for {len(sample)} samples; it gave {came}."
            )


def _limit(asked: registry.Call, network: nn.Module) -> None:
    registry.call(max_norm_, asked.options, asked.name, model=network)
