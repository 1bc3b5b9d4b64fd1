"""Checks of what learns: every parameter gets a gradient, the optimizer holds it, and nothing is frozen by mistake."""

from typing import Any

from chainrule.doctor.finding import Finding, Status
from chainrule.doctor.measures.gradients import gradients, held, unregistered
from chainrule.doctor.measures.passage import start
from chainrule.doctor.measures.weights import frozen, weights
from chainrule.doctor.probe import Probe
from chainrule.errors import choices
from chainrule.registry import register

#: Share of the loss that is taken away before training from which on a network has learned already.
TRAINED = 0.3


@register("check", "no-gradient", family="before training", inputs=("probe",))
def no_gradient(probe: Probe) -> Finding | None:
    """Every parameter that learns gets a gradient of the loss."""
    seen = probe.measure(gradients)
    learning = len(seen.states) - len(seen.named("frozen"))
    if seen.graph is None or not learning:
        return None
    none, zero = seen.named("none"), seen.named("zero")
    evidence = {"parameters": learning, "without": len(none), "zero": len(zero), "names": (none + zero)[:20]}
    if not seen.graph:
        return Finding(
            check="no-gradient",
            status="FAIL",
            sentence=f"The loss has no graph, so none of {learning} parameters gets a gradient.",
            where=seen.detached[0] if seen.detached else "",
            evidence=evidence,
            cause=f"{choices(list(seen.detached), 3)} runs without a graph: under no_grad, or with detach or .data."
            if seen.detached
            else "The outputs are detached, rounded, made to classes (argmax) or to numpy on their way to the loss.",
            remedy="Give the loss the outputs themselves: no .detach(), .data, .item(), .argmax() or torch.no_grad().",
        )
    unused = [name for name in none if _module(name) not in seen.called]
    severed = [name for name in none if name not in unused and not name.endswith("bias")]
    if severed:
        cut = seen.cut or (seen.detached[0] if seen.detached else "")
        return Finding(
            check="no-gradient",
            status="FAIL",
            sentence=f"{len(severed)} of {learning} parameters are used but get no gradient: {choices(severed, 3)}"
            + (f"; the graph is cut before {cut}." if cut else "."),
            where=cut or severed[0],
            evidence={**evidence, "cut": cut},
            cause="detach, no_grad, .data, argmax or numpy on the way from these layers to the loss, or an output that "
            "the loss does not read.",
            remedy=f"Take the detach (or no_grad, .data, argmax) {f'before {cut} ' if cut else ''}out of forward.",
        )
    matrices = {weight.name for weight in probe.measure(weights)}
    dead = [name for name in zero if name in matrices]
    if dead:
        return Finding(
            check="no-gradient",
            status="FAIL" if len(dead) * 2 >= len(matrices) else "WARN",
            sentence=f"The gradient of {len(dead)} of {len(matrices)} weight matrices is exactly zero for all samples: "
            f"{choices(dead, 3)}.",
            where=dead[0],
            evidence=evidence,
            cause="Dead units, weights of zero, or a function without slope (a step, a rounding, a saturated end) "
            "between these layers and the loss.",
            remedy="Draw the weights anew and use an activation with a slope on both sides: nn.LeakyReLU().",
        )
    if unused:
        return Finding(
            check="no-gradient",
            status="WARN",
            sentence=f"{len(unused)} of {learning} parameters are never used: {choices(unused, 3)}.",
            where=_module(unused[0]),
            evidence=evidence,
            cause="A layer is made and not called in forward.",
            remedy=f"Call {_module(unused[0]) or unused[0]} in forward, or take it out of the model.",
        )
    sentence = f"All {learning} parameters that learn get a gradient."
    return Finding(check="no-gradient", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "optimizer-parameters", family="before training", inputs=("probe",))
def optimizer_parameters(probe: Probe) -> Finding | None:
    """The optimizer holds the parameters of this model, all that learn."""
    found = probe.measure(held)
    if found is None:
        return Finding(check="optimizer-parameters", status="SKIP", sentence="The program has no optimizer yet.")
    missing, foreign, loose = found.missing, found.foreign, probe.measure(unregistered)
    evidence = {"held": found.held, "missing": list(missing[:20]), "foreign": len(foreign), "unregistered": len(loose)}
    if loose:
        return Finding(
            check="optimizer-parameters",
            status="FAIL",
            sentence=f"The model computes with {len(loose)} tensors that ask for a gradient and are none of its "
            f"parameters, the first of shape {list(loose[0])}; no optimizer of model.parameters() moves them.",
            evidence=evidence,
            cause="Layers are in a plain list or dict, or a weight is a tensor and no nn.Parameter.",
            remedy="Keep layers in nn.ModuleList or nn.ModuleDict, and weights in nn.Parameter.",
        )
    if missing and foreign:
        return Finding(
            check="optimizer-parameters",
            status="FAIL",
            sentence=f"The optimizer holds {len(foreign)} tensors that are not in the model, and lacks {len(missing)} "
            f"parameters that are: {choices(list(missing), 3)}.",
            where=missing[0],
            evidence=evidence,
            cause="The model, or a part of it, was made again, copied or replaced after the optimizer was made.",
            remedy="Make the optimizer after the model is complete: torch.optim.AdamW(model.parameters(), ...).",
        )
    if missing:
        drawn = {weight.name for weight in probe.measure(weights) if weight.fresh and weight.learns}
        # An optimizer of a head alone is the usual way to train it on a network that has learned.
        new = [name for name in missing if name in drawn]
        return Finding(
            check="optimizer-parameters",
            status="FAIL" if (new and probe.measure(start) < TRAINED) or not found.held else "WARN",
            sentence=f"The optimizer lacks {len(missing)} parameters that ask for a gradient: "
            f"{choices(list(missing), 3)}; they never change.",
            where=missing[0],
            evidence=evidence,
            cause="The optimizer was made of a part of the model, or a layer was added later.",
            remedy="Give the optimizer all of them, torch.optim.AdamW(model.parameters(), ...), or freeze these on "
            "purpose: parameter.requires_grad_(False).",
        )
    if foreign or found.missing_loss:
        stray = f"{len(foreign)} tensors that belong to neither model nor loss" if foreign else ""
        lost = f"the loss has parameters that the optimizer lacks: {choices(list(found.missing_loss), 3)}"
        return Finding(
            check="optimizer-parameters",
            status="WARN",
            sentence=f"The optimizer holds {stray}." if foreign else lost[0].upper() + lost[1:] + ".",
            evidence=evidence,
            cause="A part of an earlier model is left in it." if foreign else "A loss that learns needs the optimizer.",
            remedy="Make the optimizer of model.parameters() alone."
            if foreign
            else "Add them: torch.optim.AdamW([*model.parameters(), *loss.parameters()], ...).",
        )
    sentence = f"The optimizer holds all parameters that learn, {found.held} tensors."
    return Finding(check="optimizer-parameters", status="PASS", sentence=sentence, evidence=evidence)


@register("check", "frozen", family="before training", inputs=("probe",))
def frozen_parts(probe: Probe) -> Finding | None:
    """Nothing is frozen that has not learned."""
    seen = probe.measure(frozen)
    if not seen.names:
        return Finding(check="frozen", status="PASS", sentence="Nothing is frozen.")
    evidence = {"frozen": len(seen.names), "share": seen.share, "drawn": list(seen.drawn[:20]), "last": seen.last}
    said = f"{len(seen.names)} parameters ({seen.share:.0%} of the numbers) are frozen"
    plan = probe.program.plan
    unfreeze = "Choose --transfer all." if plan else "for parameter in {}.parameters(): parameter.requires_grad_(True)"
    where = seen.module
    if seen.share >= 1.0:
        cause = "requires_grad is False everywhere."
        remedy = unfreeze.format("model")
        return _frozen("FAIL", f"Everything is frozen: all {len(seen.names)} parameters.", "", evidence, cause, remedy)
    if plan is not None and plan.transfer.mode != "none":
        return Finding(check="frozen", status="PASS", sentence=f"On purpose, {said}.", evidence=evidence)
    if seen.last and (seen.last in seen.drawn or seen.last not in seen.learned):
        sentence = f"The last layer, {seen.last}, is frozen: {said}."
        remedy = unfreeze.format(f"model.{_module(seen.last)}")
        cause = "The wrong part was frozen, or the head was replaced before everything was frozen."
        return _frozen("FAIL", sentence, _module(seen.last), evidence, cause, remedy)
    if seen.drawn and not seen.learned:
        sentence = f"{said[0].upper() + said[1:]}, and look like a fresh draw that never learned: "
        sentence += f"{choices(list(seen.drawn), 3)}."
        cause = "Weights that are no better than chance were frozen: pretrained ones were not loaded, or too much was "
        remedy = unfreeze.format(f"model.{where}" if where else "model")
        return _frozen("FAIL", sentence, where or seen.drawn[0], evidence, f"{cause}frozen.", remedy)
    if seen.last:
        sentence = f"The last layer, {seen.last}, is frozen: {said}."
        cause = "The head that was loaded is kept; the layers before it have to fit it."
        return _frozen(
            "WARN", sentence, _module(seen.last), evidence, cause, unfreeze.format(f"model.{_module(seen.last)}")
        )
    return Finding(check="frozen", status="PASS", sentence=f"What is frozen looks learned: {said}.", evidence=evidence)


def _frozen(status: Status, sentence: str, where: str, evidence: dict[str, Any], cause: str, remedy: str) -> Finding:
    return Finding(
        check="frozen", status=status, sentence=sentence, where=where, evidence=evidence, cause=cause, remedy=remedy
    )


def _module(name: str) -> str:
    return name.rpartition(".")[0]
