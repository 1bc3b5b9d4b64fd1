"""Faults of loops that people write themselves: what is done with gradients, modes, batches, rates and weights."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from benchmarks.faults import images, sequences, tables
from benchmarks.faults.case import Case, Keywords, Script, mlp, planted, sgd
from torch import Tensor, nn

Loss = Callable[[Any, Any], Tensor]
Train = Callable[[Any, Loss, Any, Iterable[Any]], None]


def sound(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    """The loop as it should be."""
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()


def not_zeroed(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.train()
    for x, y in batches:
        loss(model(x), y).backward()
        optimizer.step()


def summed(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.train()
    total: Any = 0
    for x, y in batches:
        total = total + loss(model(x), y)
    optimizer.zero_grad()
    total.backward()
    optimizer.step()


def retained(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.train()
    total: Any = 0
    for x, y in batches:
        total = total + loss(model(x), y)
        optimizer.zero_grad()
        total.backward(retain_graph=True)
        optimizer.step()


def zeroed_late(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.train()
    for x, y in batches:
        loss(model(x), y).backward()
        optimizer.zero_grad()
        optimizer.step()


def never_stepped(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step  # noqa: B018  the call's parentheses are the fault


def no_backward(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        loss(model(x), y)
        optimizer.step()


def detached(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        value = torch.tensor(loss(model(x), y).item(), requires_grad=True)
        value.backward()
        optimizer.step()


def outputs_cut(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        with torch.no_grad():
            outputs = model(x)
        outputs.requires_grad_()
        loss(outputs, y).backward()
        optimizer.step()


def in_evaluation(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    model.eval()
    for x, y in batches:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()


def eval_left_on(program: Keywords) -> Train:
    """Validates halfway through each pass, and leaves evaluation mode on."""

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        for step, (x, y) in enumerate(batches):
            if step % 5 == 0:
                model.eval()
                with torch.no_grad():
                    sum(float(loss(model(z), v)) for z, v in program["valid"])
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

    return train


def validated(program: Keywords, mode: bool = False) -> Train:
    """Validates after each pass, in training mode or not."""

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        sound(model, loss, optimizer, batches)
        model.train(mode)
        with torch.no_grad():
            sum(float(loss(model(z), v)) for z, v in program["valid"])

    return train


def validation_trained(program: Keywords) -> Train:
    """Takes steps on the validation part, too."""

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        for part in (batches, program["valid"]):
            for x, y in part:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()

    return train


def first_batch(model: Any, loss: Loss, optimizer: Any, batches: Any) -> None:
    model.train()
    for _ in range(len(batches)):
        x, y = next(iter(batches))
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()


def few_of_them(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    torch.manual_seed(0)
    sound(model, loss, optimizer, islice(batches, 4))


def decayed_by_batch(program: Keywords) -> Train:
    """A schedule that is meant for epochs and is stepped after each batch."""
    schedule: dict[int, Any] = {}

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        steps = schedule.setdefault(id(optimizer), torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5))
        for x, y in batches:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
            steps.step()

    return train


def decayed_by_epoch(program: Keywords) -> Train:
    """A schedule that is stepped after each pass."""
    schedule: dict[int, Any] = {}

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        steps = schedule.setdefault(id(optimizer), torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5))
        sound(model, loss, optimizer, batches)
        steps.step()

    return train


def clipped_to(most: float) -> Train:
    """A loop that clips the norm of the gradient."""

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        model.train()
        for x, y in batches:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), most)
            optimizer.step()

    return train


def accumulated(parts: int, divisor: float) -> Train:
    """A loop that adds gradients over some batches, and divides the loss."""

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        model.train()
        optimizer.zero_grad()
        for step, (x, y) in enumerate(batches, start=1):
            (loss(model(x), y) / divisor).backward()
            if step % parts == 0:
                optimizer.step()
                optimizer.zero_grad()

    return train


def restored(program: Keywords) -> Train:
    """Puts the weights of the beginning back before each pass."""
    start = copy.deepcopy(program["model"].state_dict())

    def train(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
        model.load_state_dict(start)
        sound(model, loss, optimizer, batches)

    return train


def drawn_again(model: Any, loss: Loss, optimizer: Any, batches: Iterable[Any]) -> None:
    for layer in model.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    sound(model, loss, optimizer, batches)


def own(script: Script, loop: Callable[[Keywords], Train] = lambda program: sound, **change: Any) -> Script:
    """A script with its own loop."""
    return replace(script, name=f"{script.name}-loop", loop=loop, **change)


def always(train: Train) -> dict[str, Any]:
    """The change of a script to a loop."""
    return {"loop": lambda program: train}


MOONS = own(tables.MOONS)
DRAWN = own(tables.DRAWN)
WINE = own(tables.WINE, decayed_by_epoch)
DIABETES = own(tables.DIABETES, lambda program: clipped_to(5.0))
FRIEDMAN = own(tables.FRIEDMAN, validated)
DIGITS = own(images.PLAIN)
RESNET = own(images.RESNET, validated)
DROPPED = replace(
    own(images.FLAT, validated), name="digits-dropout-loop", epochs=10,
    net=lambda: nn.Sequential(nn.Flatten(), mlp(64, 64, 10, dropout=0.6)),
)  # fmt: skip
LSTM = own(sequences.LSTM, lambda program: clipped_to(1.0))
SUMS = own(sequences.SUMS)
ATTENDING = own(sequences.ATTENDING, lambda program: accumulated(2, 2), batch=32)
SPELLER = own(sequences.SPELLER)
SMALL = replace(
    own(tables.DRAWN, lambda program: accumulated(8, 8)), name="drawn-accumulated-loop", batch=16, optimizer=sgd(0.1)
)

FAULTS: list[Case] = [
    planted(DIGITS, "not-zeroed", "gradients are never zeroed", "gradients-not-zeroed", **always(not_zeroed)),
    planted(SUMS, "not-zeroed", "gradients are never zeroed", "gradients-not-zeroed", **always(not_zeroed)),
    planted(DIGITS, "summed", "one step for the sum of the losses of a pass", "accumulated-loss", **always(summed)),
    planted(DRAWN, "retained", "backward through the sum of all losses so far, with its graph",
            "accumulated-loss runs", **always(retained)),
    planted(MOONS, "zeroed-late", "gradients are zeroed between backward and step", "zeroed-before-step",
            **always(zeroed_late)),
    planted(LSTM, "never-stepped", "step is named, not called", "no-step", **always(never_stepped)),
    planted(DIGITS, "no-backward", "backward is missing", "no-backward", **always(no_backward)),
    planted(WINE, "detached", "the loss is made a new tensor", "detached-loss no-backward", **always(detached)),
    planted(SPELLER, "outputs-cut", "the network runs without a graph", "detached-loss no-gradient",
            **always(outputs_cut)),
    planted(RESNET, "evaluation", "training in evaluation mode", "evaluation-mode", **always(in_evaluation)),
    planted(RESNET, "eval-left-on", "evaluation mode is left on after validation", "evaluation-mode",
            loop=eval_left_on),
    planted(DROPPED, "validated-in-training", "validation in training mode, with dropout",
            "training-mode-in-validation", loop=partial(validated, mode=True)),
    planted(RESNET, "validated-in-training", "validation in training mode, with batch normalisation",
            "training-mode-in-validation", loop=partial(validated, mode=True)),
    planted(DRAWN, "first-batch", "a new iterator over batches in order for each step", "repeated-batch",
            shuffle=False, **always(first_batch)),
    planted(DIGITS, "same-few", "a seed before each pass, and four batches of it", "same-order repeated-batch",
            **always(few_of_them)),
    planted(WINE, "decayed-by-batch", "a schedule of epochs stepped by batches", "rate-moves", loop=decayed_by_batch),
    planted(DIABETES, "clipped", "gradients clipped to 0.0001", "clipped-away", **always(clipped_to(1e-4))),
    planted(LSTM, "clipped", "gradients clipped to 1e-9", "clipped-away", **always(clipped_to(1e-9))),
    planted(FRIEDMAN, "validation-trained", "steps on the validation part", "validation-trained",
            loop=validation_trained),
    planted(SMALL, "not-divided", "gradients of eight batches added, the loss not divided", "loss-scale rate-too-high",
            **always(accumulated(8, 1 / 8))),
    planted(DIGITS, "over-divided", "the mean loss is divided by the number of samples", "loss-scale rate-too-low",
            **always(accumulated(1, 1347))),
    planted(DRAWN, "restored", "the first weights are loaded before each pass", "weights-overwritten", loop=restored),
    planted(SPELLER, "drawn-again", "weights are drawn anew before each pass", "weights-overwritten",
            **always(drawn_again)),
]  # fmt: skip
