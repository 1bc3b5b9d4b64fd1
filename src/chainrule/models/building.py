"""Models by name: which there are, and how one is built for given inputs and target."""

from torch import nn

from chainrule import registry
from chainrule.data.spec import Image, Inputs, Target, Volume
from chainrule.errors import InputError, UnknownNameError, choices
from chainrule.models.importing import imported, raised
from chainrule.models.vision.arithmetic import output_shape

KINDS = {
    "vector": "tables",
    "image": "images",
    "volume": "volumes",
    "classes": "classes",
    "labels": "labels",
    "real": "real numbers",
    "mask": "masks of pixels",
}
#: Kinds of row whose parts are estimators that learn with a teacher.
ESTIMATORS = ("classifier", "regressor")


def names() -> list[str]:
    """Names of all registered models: networks, then estimators."""
    estimators = {name for kind in ESTIMATORS for name in registry.entries(kind)}
    return [*registry.entries("model"), *sorted(estimators)]


def default(inputs: Inputs) -> str:
    """The model that ``--model auto`` takes.

    ``mlp`` for tables, ``enzynet`` for volumes, ``lenet5`` for small grey images, ``resnet20`` for all others.
    """
    if isinstance(inputs, Volume):
        return "enzynet"
    if not isinstance(inputs, Image):
        return "mlp"
    return "lenet5" if inputs.channels == 1 and max(inputs.height, inputs.width) <= 32 else "resnet20"


def row(model: str) -> registry.Entry | None:
    """The registry row behind a call such as ``"mlp(width=32)"``, or None for the user's own ``"module:factory"``.

    Where a classifier and a regressor have the same name, it is that of the classifier. An estimator that is called by
    its dotted name, such as ``"sklearn.svm.SVC"``, gets a row of its own.

    Raises:
        UnknownNameError: When no model has that name.
    """
    call = registry.parse(model)
    name = call.name
    if ":" in name:
        return None
    for kind in ("model", *ESTIMATORS):
        if found := registry.entries(kind).get(name):
            return found
    if "." in name:
        # Slow to import, as below.
        from chainrule.models import foreign

        return foreign.row(call)
    raise UnknownNameError("model", name, names())


def fresh(model: str, *, inputs: Inputs, target: Target) -> nn.Module:
    """Build a model for these inputs and this target, with weights of its own initialization.

    An estimator comes as a module that has learned nothing yet (:class:`chainrule.models.classical.Classical`).

    Args:
        model: Call of a registered model, ``"resnet20"`` or ``"mlp(width=128)"``; or of any estimator of scikit-learn's
            kind, ``"sklearn.svm.SVC(C=10)"``; or ``"module:factory"`` for a callable of the user's own, which gets the
            keywords ``inputs`` and ``target`` if it names them, and its options.
        inputs: What the network takes, already prepared: a ``Vector`` of numbers, an ``Image`` or a ``Volume`` of
            floats.
        target: What it is to learn; the network has one output for each of its names.

    Raises:
        UnknownNameError: When no model has that name.
        InputError: When the model is not made for such data, or does not know an option.
    """
    call, entry = registry.parse(model), row(model)
    if entry is None:
        return _foreign(call, inputs, target)
    if entry.kind in ESTIMATORS:
        # scikit-learn is needed for estimators alone, and slow to import.
        from chainrule.models import classical, foreign

        if "." in call.name:
            return foreign.build(call, entry, target)
        return classical.Classical.build(call, target)
    if inputs.kind not in entry.inputs:
        wanted = " or ".join(KINDS[kind] for kind in entry.inputs)
        fitting = [name for name, other in registry.entries("model").items() if inputs.kind in other.inputs]
        raise InputError(
            f"{call.name} takes {wanted}, but these inputs are {KINDS[inputs.kind]}; "
            f"write --model with one of: {choices(fitting)}."
        )
    if target.kind not in entry.targets:
        wanted = " or ".join(KINDS[kind] for kind in entry.targets)
        raise InputError(
            f"{call.name} learns {wanted}, but this target is of {KINDS[target.kind]}; take another model."
        )
    arguments = {**entry.preset, **(entry.arguments(inputs, target) if entry.arguments else {})}
    network = registry.call(entry.build, call.options, call.name, **arguments)
    if inputs.kind != "vector":
        output_shape(network, inputs.shape, what=call.name)
    return network


def _foreign(call: registry.Call, inputs: Inputs, target: Target) -> nn.Module:
    """Build the user's own network from ``module:factory``."""
    place, _, attribute = call.name.partition(":")
    factory = imported(place, attribute or call.name, name=call.name, wanted="'module:factory'")
    if not callable(factory):
        raise InputError(f"{call.name} must be a class or a function that gives a network; it is {factory!r}.")
    wanted = registry.keywords(factory)
    fixed = {name: spec for name, spec in (("inputs", inputs), ("target", target)) if name in wanted}
    try:
        network = registry.call(factory, call.options, call.name, **fixed)
    except InputError:
        raise
    except Exception as error:
        raise raised(call.name, error) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{call.name} must give a torch.nn.Module; it gave {type(network).__name__}.")
    return network
