"""Runs that never happened: plausible events of every kind of target, for the tests of the report."""

import math

import numpy as np
import torch

from chainrule.data import spec
from chainrule.data.dataset import Rows
from chainrule.doctor.finding import Finding
from chainrule.training.evaluation import describe_sample, evaluated
from chainrule.training.events import Built, Epoch, Evaluated, Event, Finished, InitialLoss, Loaded, RateTest, Step

EPOCHS, STEPS = 6, 5

FINDINGS = [
    Finding(check="overfit", status="FAIL", sentence="It learned by heart.", remedy="Write --weight-decay 0.1."),
    Finding(check="size", status="WARN", sentence="The test split is small.", cause="Little data.", remedy="Add some."),
    Finding(check="loss falls", status="PASS", sentence="The training loss fell from 2.3 to 0.2."),
    Finding(check="balance", status="SKIP", sentence="There are no classes."),
]


def outputs(target: spec.Target, samples: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Truth, predictions that are mostly right, and the loss of each sample."""
    g = torch.Generator().manual_seed(seed)
    k = len(target.names)
    if target.kind == "classes":
        truth = torch.randint(k, (samples,), generator=g)
        logits = torch.randn(samples, k, generator=g) + 3 * torch.nn.functional.one_hot(truth, k)
        return truth, logits.softmax(1), torch.nn.functional.cross_entropy(logits, truth, reduction="none")
    if target.kind == "labels":
        truth = (torch.rand(samples, k, generator=g) < 0.4).float()
        said = (torch.randn(samples, k, generator=g) + 3 * truth - 1.5).sigmoid()
        losses = torch.nn.functional.binary_cross_entropy(said, truth, reduction="none").mean(1)
        return truth, said, losses
    truth = 50 + 10 * torch.randn(samples, k, generator=g)
    said = truth + 4 * torch.randn(samples, k, generator=g)
    return truth, said, ((truth - said) ** 2).mean(1)


def judged(target: spec.Target, inputs: spec.Inputs, samples: int = 60, seed: int = 0) -> Evaluated:
    """The evaluation of a model that is mostly right."""
    truth, predicted, losses = outputs(target, samples, seed)
    g = torch.Generator().manual_seed(seed)
    split = Rows(torch.rand(samples, *inputs.shape, generator=g), truth, [f"row {i}" for i in range(samples)])
    names = {"classes": ("accuracy", "f1"), "labels": ("accuracy", "exact", "f1"), "real": ("r2", "rmse", "mae")}
    metrics = {"loss": float(losses.mean()), **dict.fromkeys(names[target.kind], 0.8)}
    return evaluated(
        "test",
        target=target,
        metrics=metrics,
        baseline=dict.fromkeys(metrics, 0.25),
        truth=truth,
        predicted=predicted,
        losses=losses,
        samples=lambda i: describe_sample(split, i, inputs),
    )


def run(target: spec.Target, inputs: spec.Inputs, *, samples: int = 60, name: str = "made up") -> list[Event]:
    """All events of a finished run."""
    random = np.random.default_rng(0)
    test = judged(target, inputs, samples)
    metrics = [metric for metric in test.metrics if metric != "loss"]
    sizes = {"train": 10 * samples, "valid": samples, "test": samples}
    numbers = {"mean": 50.0, "std": 10.0, "min": 20.0, "max": 80.0}
    each = dict.fromkeys(target.names, numbers if target.kind == "real" else 7)
    rates = np.geomspace(1e-6, 10, 60)
    smooth = [2.3 - 1.8 / (1 + (0.005 / rates)) + (rates / shift) ** 2 for shift in (1.0, 1.5, 2.0)]
    events: list[Event] = [
        Loaded(
            name=name,
            inputs=spec.to_json(inputs),
            target=spec.to_json(target),
            sizes=sizes,
            balance=dict.fromkeys(sizes, each),
            duplicates={"train/test": 1, "train/valid": 0},
            notes=["2 rows without a target were left out."],
        ),
        Built(
            model="mlp(width=128)",
            paper="Somebody 1986, Something",
            parameters=12_345,
            preparation=["Numbers are standardised."],
            task="a task",
            device="cpu",
            processes=1,
            versions={"python": "3.11.7", "torch": "2.13.0", "chainrule": "0.1.0"},
            command="chainrule fit 'made up.csv' --seed 3",
            config={"seed": 3, "clip": None, "balance": True, "augment": "none"},
        ),
        InitialLoss(loss=2.4, untrained=2.303, constant=2.29),
        RateTest(
            rates=rates.tolist(),
            losses=[(curve + 0.1 * random.standard_normal(60)).tolist()[: 60 - i] for i, curve in enumerate(smooth)],
            smoothed=[curve.tolist()[: 60 - i] for i, curve in enumerate(smooth)],
            suggestions=[0.004, 0.005, 0.00625],
            rate=0.005,
            spread=1.2,
            seconds=1.5,
        ),
    ]
    for epoch in range(1, EPOCHS + 1):
        for step in range(1, STEPS + 1):
            loss = 2.3 * math.exp(-0.5 * (epoch - 1 + step / STEPS)) * (1 + 0.1 * random.standard_normal())
            events.append(
                Step(
                    epoch=epoch, step=step, steps=STEPS, phase="fit", loss=loss, rate=0.005, norm=1.0 + loss, samples=64
                )
            )
        score = 1 - 0.6**epoch
        events.append(
            Epoch(
                epoch=epoch,
                epochs=EPOCHS,
                train={"loss": 2.3 * 0.6**epoch, **dict.fromkeys(metrics, score)},
                valid={"loss": 2.3 * 0.65**epoch + 0.03 * epoch, **dict.fromkeys(metrics, 0.97 * score)},
                best=epoch <= 4,
                rate=0.005,
                seconds=12.5,
                memory=412.0,
            )
        )
    return [*events, Finished(reason="all epochs done", epoch=4, monitor="valid loss", seconds=75.0), test]


def stopped(events: list[Event], after: type, count: int = 1) -> list[Event]:
    """The events up to the ``count``-th of a kind: a run that was interrupted there."""
    places = [i for i, event in enumerate(events) if isinstance(event, after)]
    return events[: places[count - 1] + 1]
