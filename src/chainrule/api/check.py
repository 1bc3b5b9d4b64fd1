"""``check``: what is wrong with a training program, why, and what to do."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.doctor import Finding, Probe, Program, diagnose, examine
from chainrule.doctor.program import Train
from chainrule.errors import InputError
from chainrule.job import plan_of
from chainrule.training.record import Record


def check(
    source: Any = None,
    *,
    model: str | nn.Module = "auto",
    loss: str | Callable[[Any, Any], Tensor] | None = None,
    optimizer: str | torch.optim.Optimizer | None = None,
    batches: Iterable[Any] | None = None,
    valid: Iterable[Any] | None = None,
    train: Train | None = None,
    level: float | None = None,
    seconds: float = 10.0,
    **settings: Any,
) -> list[Finding]:
    """Examine a training program before it runs for long, or a run; nothing that is examined is changed.

    There are three ways to call it::

        check("digits", model="resnet20", rate=0.1)      # what fit would do with these arguments
        check("runs/digits-resnet20-1")                  # the record of a run
        check(model=model, loss=loss, optimizer=optimizer, batches=loader, valid=loader2, epochs=20)  # your own program

    Args:
        source: Data as ``fit`` takes it, or the directory of a run; left out for a program of your own.
        model: As ``fit`` takes it; of your own program the module.
        loss: As ``fit`` takes it; of your own program from outputs and targets to a loss.
        optimizer: As ``fit`` takes it; of your own program the optimizer over the module's parameters.
        batches: Your own training batches: pairs of tensors, inputs and targets, that can be gone through again.
        valid: Your own validation batches.
        train: Your own loop, one pass over the batches: ``train(model, loss, optimizer, batches)``.
        level: The best score to hope for, such as a human's: an accuracy, or an R2.
        seconds: About how long one measurement may train; there are about four of them.
        **settings: Every other setting of ``fit``; of your own program only ``epochs``.

    Returns:
        Findings in groups: a cause first, with what it explains under it; the likely root cause first of all.

    Raises:
        UnknownNameError: For a setting, model or data set that does not exist.
        InputError: When the arguments do not go together.
    """
    if not seconds > 0:
        raise InputError(f"seconds must be greater than 0; received {seconds!r}.")
    if batches is not None:
        if source is not None:
            raise InputError("Both data and batches were given; write one of them.")
        own: dict[str, Any] = {"model": model, "loss": loss, "optimizer": optimizer}
        program = _own(batches=batches, valid=valid, train=train, level=level, **own, **settings)
        return diagnose(Probe(program, seconds=seconds))
    if valid is not None or train is not None:
        raise InputError("valid and train belong to a program of your own; write batches=... as well.")
    if source is None:
        raise InputError("There is nothing to check; write check(DATA, model=...), check(RUN), or batches=... .")
    settings = {**settings, **{name: value for name, value in (("loss", loss), ("optimizer", optimizer)) if value}}
    if isinstance(source, str | Path) and (record := Record(Path(source))).found:
        if settings or model != "auto":
            raise InputError(f"{source} is a run, whose settings are in its record; leave the others out.")
        record.check_whole()
        return examine(list(record.events(steps=True)))
    plan = plan_of(source, model, settings)
    if not plan.trains:
        raise InputError(
            f"{plan.call} is an estimator and learns all at once, so there is no training to check; write "
            "check(DATA) for the data with a network, or the directory of its run."
        )
    return diagnose(Probe(Program.of(plan, level=level), seconds=seconds))


def _own(
    *,
    model: Any,
    loss: Any,
    optimizer: Any,
    batches: Iterable[Any],
    valid: Iterable[Any] | None,
    train: Train | None,
    level: float | None,
    epochs: int | None = None,
    **others: Any,
) -> Program:
    if others:
        raise InputError(f"{next(iter(others))} is a setting of fit, which a program of your own does not read.")
    wanted = (
        ("model", model, isinstance(model, nn.Module), "a torch module"),
        ("loss", loss, callable(loss), "a function of outputs and targets"),
        (
            "optimizer",
            optimizer,
            optimizer is None or isinstance(optimizer, torch.optim.Optimizer),
            "a torch optimizer",
        ),
    )
    for name, given, fits, what in wanted:
        if not fits:
            raise InputError(f"With batches, {name} has to be {what}; received {given!r}.")
    if epochs is not None and not (isinstance(epochs, int) and epochs > 0):
        raise InputError(f"epochs must be a whole number greater than 0; received {epochs!r}.")
    return Program(
        model=model,
        loss=loss,
        optimizer=optimizer,
        batches=batches,
        valid=valid,
        train=train,
        level=level,
        epochs=epochs,
    )
