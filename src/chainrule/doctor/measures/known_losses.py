"""Losses that a program's own can be compared with."""

import torch.nn.functional as F
from torch import Tensor, nn

from chainrule import registry
from chainrule.doctor.measures.matching import Known, Term, after, feature, slopes

#: Name, what it takes, and kinds of targets of the losses of torch that take outputs and targets.
TORCH: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "CrossEntropyLoss": ("cross-entropy", "logits", ("classes",)),
    "NLLLoss": ("nll", "log-probabilities", ("classes",)),
    "NLLLoss2d": ("nll", "log-probabilities", ("classes",)),
    "BCELoss": ("bce", "probabilities", ("labels",)),
    "BCEWithLogitsLoss": ("bce-logits", "logits", ("labels",)),
    "MultiLabelSoftMarginLoss": ("bce-logits", "logits", ("labels",)),
    "MultiLabelMarginLoss": ("multi-label hinge", "logits", ("labels",)),
    "SoftMarginLoss": ("soft margin", "logits", ("labels",)),
    "HingeEmbeddingLoss": ("hinge embedding", "real", ("labels",)),
    "MultiMarginLoss": ("multi-class hinge", "logits", ("classes",)),
    "MSELoss": ("mse", "real", ("real",)),
    "L1Loss": ("l1", "real", ("real",)),
    "SmoothL1Loss": ("huber", "real", ("real",)),
    "HuberLoss": ("huber", "real", ("real",)),
    "KLDivLoss": ("kl", "log-probabilities", ("classes",)),
}
#: The same of chainrule's families of losses that predict classes.
OURS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "focal": ("focal", "logits", ("classes",)),
    "margin": ("multi-class hinge", "logits", ("classes",)),
    "overlap": ("overlap", "logits", ("classes",)),
    "capsule": ("capsule margin", "probabilities", ("classes",)),
}
#: Exponents of the focal loss that are tried.
GAMMAS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
#: Where a Huber loss may bend.
BENDS = (0.1, 0.5, 1.0, 1.345, 1.5, 2.0, 3.0, 5.0)
#: Margins of the multi-class hinge that are tried.
MARGINS = (1.0, 0.1, 0.2, 0.5, 2.0)


def ours(build: type[nn.Module]) -> tuple[str, str, tuple[str, ...]] | None:
    """What a loss of chainrule is, or None where it has no targets of classes."""
    entry = next((row for row in registry.entries("loss").values() if row.build is build), None)
    return OURS.get(entry.family) if entry else None


def _cross_entropy(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return -held * outputs.log_softmax(axis)


def _even_cross_entropy(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return -outputs.log_softmax(axis)


def _linear(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return -held * outputs


def _positive(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return -held * outputs.log()


def _negative(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return -(1 - held) * (1 - outputs).log()


def _log_sum(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return outputs.sum(axis).log()


def _positive_logit(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return -held * F.logsigmoid(outputs)


def _negative_logit(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return -(1 - held) * F.logsigmoid(-outputs)


def _square(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return (outputs - held).square()


def _root(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return (outputs - held).square().flatten(1).mean(1).sqrt()


def _distance(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return (outputs - held).abs()


def _log_cosh(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return (outputs - held).cosh().log()


def _huber(bend: float) -> Term:
    return lambda outputs, held, axis: F.huber_loss(outputs, held, delta=bend, reduction="none")


def _hinge(power: int, low: float) -> Term:
    """Hinge of targets whose negative is ``low``: -1 as they are, 0 where the loss makes -1 of it."""
    return lambda outputs, held, axis: (1 - outputs * (held if low else 2 * held - 1)).clamp_min(0) ** power


def _violations(margin: float) -> Term:
    def term(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
        own = (outputs * held).sum(axis, keepdim=True)
        return (outputs - own + margin).clamp_min(0) * (1 - held)

    return term


def _squared_violations(margin: float) -> Term:
    return lambda outputs, held, axis: _violations(margin)(outputs, held, axis).square()


def _worst(margin: float) -> Term:
    return lambda outputs, held, axis: _violations(margin)(outputs, held, axis).amax(axis)


def _focal(gamma: float) -> Term:
    def term(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
        log_p = (held * outputs.log_softmax(axis)).sum(axis)
        return -((1 - log_p.exp()) ** gamma) * log_p

    return term


def _focal_given(gamma: float) -> Term:
    def term(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
        own = outputs * held + (1 - outputs) * (1 - held)
        return -((1 - own) ** gamma) * own.log()

    return term


def _log_square(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
    return (outputs.log1p() - held.log1p()).square()


def _focal_each(gamma: float) -> Term:
    def term(outputs: Tensor, held: Tensor, axis: int) -> Tensor:
        own = outputs * (2 * held - 1)
        return -((1 - own.sigmoid()) ** gamma) * F.logsigmoid(own)

    return term


def _softmax(outputs: Tensor, axis: int) -> Tensor:
    return outputs.softmax(axis)


def _sigmoid(outputs: Tensor, axis: int) -> Tensor:
    return outputs.sigmoid()


CLASSES, LABELS, REAL = ("classes",), ("labels",), ("real",)
_INNER = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "tanh": lambda outputs, axis: outputs.tanh(),
    "relu": lambda outputs, axis: outputs.relu(),
}
_OUTER: dict[str, tuple[tuple[str, ...], tuple[Term, ...]]] = {
    "cross-entropy": (CLASSES, (_cross_entropy, _even_cross_entropy)),
    "nll": (CLASSES, (_linear,)),
    "bce-logits": (LABELS, (_positive_logit, _negative_logit)),
    "mse": (REAL, (_square,)),
    "l1": (REAL, (_distance,)),
}

#: Losses of any real outputs, the commonest first.
OPEN: tuple[Known, ...] = (
    Known("cross-entropy", "logits", CLASSES, True, feature(_softmax), free=True),
    Known("bce-logits", "logits", LABELS, False, feature(_sigmoid), free=True),
    Known("mse", "real", REAL, False, feature(lambda outputs, axis: outputs), free=True),
    Known("rmse", "real", REAL, False, slopes(_root)),
    Known("l1", "real", REAL, False, slopes(_distance)),
    *(Known("huber", "real", REAL, False, slopes(_huber(bend))) for bend in BENDS),
    Known("huber", "real", REAL, False, slopes(_log_cosh)),
    Known("nll", "log-probabilities", CLASSES, True, slopes(_linear)),
    *(
        Known(f"{name} of {inner}", "logits", kinds, inner == "softmax" or kinds == CLASSES, after(of, *terms))
        for name, (kinds, terms) in _OUTER.items()
        for inner, of in _INNER.items()
    ),
    Known("bce of softmax", "logits", LABELS, True, after(_softmax, _positive, _negative)),
    Known("hinge", "logits", LABELS, False, slopes(_hinge(1, -1))),
    Known("hinge", "logits", LABELS, False, slopes(_hinge(2, -1))),
    Known("hinge of signs", "logits", LABELS, False, slopes(_hinge(1, 0))),
    Known("hinge of signs", "logits", LABELS, False, slopes(_hinge(2, 0))),
    *(
        Known("multi-class hinge", "logits", CLASSES, True, slopes(term(margin)))
        for margin in MARGINS
        for term in (_worst, _violations, _squared_violations)
    ),
    *(Known("focal", "logits", CLASSES, True, slopes(_focal(gamma))) for gamma in GAMMAS),
    *(Known("focal", "logits", LABELS, False, slopes(_focal_each(gamma))) for gamma in GAMMAS),
    Known("poisson", "logits", REAL, False, feature(lambda outputs, axis: outputs.exp()), free=True),
)
#: Losses that are only defined from 0 to 1, or from 0.
CLOSED: tuple[Known, ...] = (
    Known("cross-entropy of probabilities", "probabilities", CLASSES, True, slopes(_positive, _log_sum)),
    Known("bce", "probabilities", LABELS, False, slopes(_positive, _negative)),
    *(Known("focal of probabilities", "probabilities", LABELS, False, slopes(_focal_given(gamma))) for gamma in GAMMAS),
    Known("poisson", "positive", REAL, False, slopes(lambda outputs, held, axis: outputs - held * outputs.log())),
    Known("squared logarithms", "positive", REAL, False, slopes(_log_square)),
)
