"""Checks of what goes through the model in a training loop, and in which mode: batches, order, training, validation."""

from chainrule.doctor.checks.during import during, share
from chainrule.doctor.finding import Finding
from chainrule.doctor.watching.record import Watched

#: Steps from which on the same batch is no chance.
FEW = 3
#: Least batches of an epoch whose order can be told.
SHORT = 3
#: Share of the steps that a last epoch, or a mixed batch, may take without a word.
SOME = 0.1


@during("evaluation-mode")
def evaluation_mode(seen: Watched) -> Finding | None:
    """Training steps are made in training mode."""
    if not seen.noisy or not seen.count:
        return None
    found = seen.evaluating / seen.count
    layers = _said(seen)
    evidence = {"steps": seen.count, "evaluating": seen.evaluating, "layers": dict(seen.noisy)}
    if found <= SOME:
        sentence = f"Training steps are made in training mode; it matters for {layers}."
        return Finding(check="evaluation-mode", status="PASS", sentence=sentence, evidence=evidence)
    forgotten = "after the first validation nothing puts it back" if seen.switched else "nothing calls model.train()"
    return Finding(
        check="evaluation-mode",
        # With frozen parts the mode may be meant to keep the statistics that were learned elsewhere.
        status="WARN" if seen.frozen else "FAIL",
        sentence=f"{found:.0%} of {seen.count} training steps are made in evaluation mode, although the model has "
        f"layers that differ there: {layers}.",
        where=next(iter(seen.noisy)),
        evidence=evidence,
        cause=f"model.eval() was called and {forgotten}: dropout does nothing, batch normalisation does not adapt.",
        remedy="Call model.train() at the start of each epoch.",
    )


@during("training-mode-in-validation")
def training_mode_in_validation(seen: Watched) -> Finding | None:
    """Validation runs in evaluation mode."""
    if not seen.noisy or not seen.validating:
        return None
    return Finding(
        check="training-mode-in-validation",
        status="WARN",
        sentence=f"{seen.validating} forward passes without gradients, of other inputs than those trained on, run in "
        f"training mode, although the model has layers that differ there: {_said(seen)}.",
        where=next(iter(seen.noisy)),
        evidence={"forwards": seen.validating, "layers": dict(seen.noisy)},
        cause="model.eval() is missing before the validation: dropout makes it worse than the model is, and batch "
        "normalisation takes up the validation data.",
        remedy="Call model.eval() before the validation and model.train() after it.",
    )


def _said(seen: Watched) -> str:
    """The first layers that differ between the modes, with their kinds."""
    named = [f"{name} ({kind})" for name, kind in seen.noisy.items()]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


@during("repeated-batch")
def repeated_batch(seen: Watched) -> Finding | None:
    """Different steps see different batches."""
    batches = [step.batch for step in seen.steps if step.batch]
    if len(batches) < FEW:
        return None
    different = len(set(batches))
    evidence = {"steps": len(batches), "different": different, "starts": seen.starts}
    if different > 1:
        sentence = f"{different} different batches at {len(batches)} steps."
        return Finding(check="repeated-batch", status="PASS", sentence=sentence, evidence=evidence)
    # Without a loader of several batches, one batch is all there is: training on the full batch.
    if seen.starts < len(batches) - 1:
        return None
    return Finding(
        check="repeated-batch",
        status="FAIL",
        sentence=f"All {len(batches)} steps see the same batch, although the loader has more than one.",
        evidence=evidence,
        cause="The loader is started anew at each step, as next(iter(loader)) inside the loop does.",
        remedy="Go through the loader: for inputs, targets in loader.",
    )


@during("same-order")
def same_order(seen: Watched) -> Finding | None:
    """The order of the batches changes from epoch to epoch."""
    batches = [step.batch for step in seen.steps]
    if not seen.shuffles or not all(batches) or not batches or batches[0] not in batches[1:]:
        return None
    length = batches.index(batches[0], 1)
    epochs = len(batches) // length
    if length < SHORT or len(set(batches[:length])) < length:
        return None
    if epochs < 2 or any(one != other for one, other in zip(batches, batches[length:], strict=False)):
        return None
    return Finding(
        check="same-order",
        status="WARN",
        sentence=f"The same {length} batches come in the same order in each of {epochs} epochs.",
        evidence={"batches": length, "epochs": epochs},
        cause="The loader does not shuffle, or its generator is seeded anew for each epoch.",
        remedy="Write DataLoader(..., shuffle=True), and seed once before the first epoch.",
    )


@during("validation-trained")
def validation_trained(seen: Watched) -> Finding | None:
    """No step is made on validation samples."""
    steps = [step for step in seen.steps if step.forwards and step.backwards]
    found = share(step.validation >= 0.5 for step in steps)
    if found <= SOME:
        return None
    return Finding(
        check="validation-trained",
        status="FAIL",
        sentence=f"{found:.0%} of {len(steps)} steps are made on validation batches.",
        evidence={"steps": len(steps), "share": found},
        cause="backward() and step() are called in the validation as well: its score says nothing of new data.",
        remedy="Validate under torch.no_grad(), without backward() and step().",
    )
