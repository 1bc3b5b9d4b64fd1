"""The whole model: ``Sequential(preparation, network, output)``, raw inputs in, probabilities or target units out.

The preparation is learned from the training split and saved with the weights, so nothing has to be remembered to use a
model, and nothing can be fitted twice. On disk a model is two files: ``model.json`` says what it is made of,
``weights.safetensors`` holds its numbers. An ensemble has its members beside them, whole models in ``members/0``,
``members/1``, ..., and its two files hold its combiner.
"""

import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from chainrule import models, registry, storage
from chainrule.data.batches import Batches
from chainrule.data.spec import Classes, Image, Inputs, Labels, Target, Vector, from_json, to_json
from chainrule.ensembles import AbstractCombiner, Ensemble
from chainrule.errors import InputError, UnknownNameError
from chainrule.models.weights import Weights, standardization
from chainrule.nn.affine import Affine
from chainrule.nn.preparation import Standardize, TableEncoder
from chainrule.nn.resize import Resize
from chainrule.nn.scaling import MeanImage, MinMaxScale
from chainrule.nn.whitening import PCAWhitening, ZCAWhitening

CPU = torch.device("cpu")


def learn_preparation(
    inputs: Inputs,
    train: Batches,
    *,
    name: str = "standardize",
    smallest: int = 1,
    pretrained: Weights | None = None,
) -> nn.Sequential:
    """The preparation of these inputs, learned from the training split.

    Args:
        inputs: What a raw input is.
        train: The training split, without augmentation.
        name: Call of the preparation: of an image itself, or of a table's rows behind their encoder.
        smallest: Least side of an image that the network takes; smaller images are enlarged.
        pretrained: Weights that the network starts from; images are then standardised as those expect it.

    Raises:
        UnknownNameError: When there is no such preparation for these inputs.
    """
    call = registry.parse(name)
    steps: list[Any] = []
    known: dict[str, tuple[Any, dict[str, Any]]]
    if isinstance(inputs, Vector):
        steps.append(TableEncoder.learn(inputs.columns, torch.cat(list(_raw(train)))))
        features = {"features": steps[0].width}
        # The encoder standardises by itself.
        known = {
            "standardize": (None, {}),
            "minmax": (MinMaxScale, features),
            "pca": (PCAWhitening, features),
            "zca": (ZCAWhitening, features),
        }
    else:
        channels = {"features": inputs.channels}
        known = {
            "standardize": (Standardize, channels),
            "minmax": (MinMaxScale, channels),
            "zca": (ZCAWhitening, {"features": math.prod(inputs.shape)}),
        }
        if isinstance(inputs, Image):
            shape = {"channels": inputs.channels, "height": inputs.height, "width": inputs.width}
            known["mean-image"] = (MeanImage, shape)
    transformer = None
    if call.name not in known:
        # scikit-learn is slow to import, and only an estimator needs it.
        from chainrule.models.transformed import transformers

        if call.name not in (others := transformers()):
            raise UnknownNameError(f"preparation of {models.KINDS[inputs.kind]}", call.name, [*known, *others])
        transformer, call = str(call), registry.Call("standardize")
    build, fixed = known[call.name]
    expected = standardization(pretrained, inputs) if pretrained and call == registry.Call("standardize") else None
    if expected is not None:
        steps.append(expected)
    elif build is not None:
        step = registry.call(build, call.options, call.name, **fixed)
        before = nn.Sequential(*steps)
        steps.append(step.learn(before(raw) for raw in _raw(train)))
    if transformer is not None:
        before = nn.Sequential(*steps)
        rows = torch.cat([before(raw) for raw in _raw(train)]).flatten(1)
        return nn.Sequential(*steps, _transformed(transformer, rows, train))
    resize = enlarging(inputs, smallest)
    return nn.Sequential(*steps, *([] if resize is None else [resize]))


def enlarging(inputs: Inputs, smallest: int) -> Resize | None:
    """What brings an image that is too small to that least side; None where nothing is to be done.

    A volume is not enlarged; a network for which it is too small says so.

    Args:
        inputs: What comes in.
        smallest: Least side of an image that a network takes.
    """
    if not isinstance(inputs, Image) or (side := min(inputs.height, inputs.width)) >= smallest:
        return None
    return Resize(round(inputs.height * smallest / side), round(inputs.width * smallest / side))


def _transformed(call: str, rows: Tensor, train: Batches) -> nn.Module:
    """A transformer of features, learned."""
    # scikit-learn is slow to import, and only an estimator needs it.
    from chainrule.models.transformed import Transformed

    targets = torch.cat([piece.targets for pieces in train.epoch(0) for piece in pieces])
    return Transformed(call, rows.shape[1]).learn(rows, targets)


def prepared(inputs: Inputs, preparation: nn.Sequential) -> Inputs:
    """What the network gets: the spec behind the preparation."""
    last = preparation[-1]
    if getattr(last, "flat", False):
        return Vector.numbers(cast(PCAWhitening, last).outputs)
    if isinstance(inputs, Vector):
        return Vector.numbers(cast(TableEncoder, preparation[0]).width)
    if isinstance(last, Resize):
        inputs = replace(inputs, height=last.height, width=last.width)
    return replace(inputs, white=1.0)


def describe(preparation: nn.Module) -> list[str]:
    """What the preparation does, in words."""
    return [sentence for step in preparation.children() for sentence in cast(Any, step).describe()]


def save_description(directory: Path, model: nn.Sequential, call: str, inputs: Inputs, target: Target) -> None:
    """Write ``model.json``: all that is needed to build the model again.

    Args:
        directory: The model's directory.
        model: The whole model.
        call: What builds its network, as in ``"mlp(width=128)"``.
        inputs: What a raw input is.
        target: What its outputs are.
    """
    names = {entry.build: name for name, entry in registry.entries("preparation").items()}
    steps = [{"name": names[type(step)], "options": cast(Any, step).options()} for step in model[0].children()]
    description = {"network": call, "inputs": to_json(inputs), "target": to_json(target), "preparation": steps}
    storage.write_json(directory / "model.json", description)


def save_weights(directory: Path, model: nn.Sequential) -> None:
    """Write ``weights.safetensors``, atomically."""
    storage.write_tree(directory / "weights.safetensors", dict(model.state_dict()))


def save_ensemble(
    directory: Path, members: Sequence[Path], combiner: AbstractCombiner, inputs: Inputs, target: Target
) -> None:
    """Write an ensemble with copies of its members; it appears when it is complete.

    Args:
        directory: The model's directory, new or empty.
        members: Directories of the members, each with a ``model.json``.
        combiner: What makes one output of theirs.
        inputs: What a raw input is.
        target: What is predicted.

    Raises:
        InputError: When the directory holds something, a member cannot be read or is for other data, or the combiner
            is made for other members.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{directory} exists and is not overwritten; name a new directory.")
    Ensemble(_members(members, inputs, target), combiner, target)  # raises where they do not go together
    names = {entry.build: name for name, entry in registry.entries("combiner").items()}
    made = {"name": names[type(combiner)], "options": combiner.options()}
    description = {"network": "ensemble", "inputs": to_json(inputs), "target": to_json(target), "preparation": []}
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = directory.with_name(f".{directory.name}.{os.getpid()}.draft")
    try:
        for number, member in enumerate(members):
            shutil.copytree(member, draft / "members" / str(number))
        storage.write_tree(draft / "weights.safetensors", dict(combiner.state_dict()))
        storage.write_json(draft / "model.json", {**description, "combiner": made})
        if directory.exists():
            directory.rmdir()
        draft.rename(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load(directory: Path, network: nn.Module | None = None) -> tuple[nn.Sequential, Inputs, Target]:
    """Read a saved model or ensemble; it comes in evaluation mode, on the CPU.

    Args:
        directory: Where ``model.json`` and ``weights.safetensors`` are.
        network: The network itself, when it was passed from Python and cannot be built by name.

    Raises:
        InputError: When a file is missing or damaged, or the network is needed and was not passed.
    """
    try:
        description = storage.read_json(directory / "model.json")
        weights = storage.read_tree(directory / "weights.safetensors")
    except InputError as error:
        raise InputError(
            f"{str(error).rstrip('.')}; without it the model cannot be used. {_again(directory)}"
        ) from error
    try:
        inputs, target = from_json(description["inputs"]), from_json(description["target"])
        preparation = nn.Sequential(*(_built("preparation", step) for step in description["preparation"]))
        combiner = _built("combiner", description["combiner"]) if "combiner" in description else None
        call = description["network"]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(f"{directory / 'model.json'} is damaged ({type(error).__name__}: {error}).") from error
    if combiner is not None:
        places = [directory / "members" / str(number) for number in range(combiner.members)]
        network = Ensemble(_members(places, inputs, target), combiner, target)
    elif network is None:
        if call.startswith("<"):
            raise InputError(
                f"This model is {call}, a module passed from Python; write load_run(directory, model=...) with a "
                "module of the same kind."
            )
        network = models.build(call, inputs=prepared(inputs, preparation), target=target)
    model = nn.Sequential(preparation, network, output_of(target))
    try:
        (model if combiner is None else combiner).load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{directory / 'weights.safetensors'} does not fit model.json: {detail}") from error
    return model.eval(), inputs, target


def _again(directory: Path) -> str:
    """What to do where a file of a model is lost."""
    if directory.parent.name == "members":
        return "It is a member of an ensemble; make the ensemble again."
    return f"If its run has not come to the end, write chainrule resume {directory.parent}, else train it again."


def _built(kind: str, part: dict[str, Any]) -> Any:
    """A part as its row of ``model.json`` says."""
    return registry.lookup(kind, part["name"]).build(**part["options"])


def _members(places: Sequence[Path], inputs: Inputs, target: Target) -> list[nn.Module]:
    """Whole models for the same data."""
    found: list[nn.Module] = []
    for place in places:
        model, taken, predicted = load(place)
        if (taken, predicted) != (inputs, target):
            raise InputError(
                f"The model in {place} is no member of this ensemble: it makes {predicted} of {taken}, the ensemble "
                f"{target} of {inputs}."
            )
        found.append(model)
    return found


def output_of(target: Target) -> nn.Module:
    """The module from a network's outputs to what a user wants; its numbers, if any, come with the weights."""
    if isinstance(target, Classes):
        return nn.Softmax(dim=-1)
    if isinstance(target, Labels):
        return nn.Sigmoid()
    return Affine([0.0] * len(target.names), [1.0] * len(target.names))


@torch.no_grad()
def run(model: nn.Sequential, raw: Tensor, *, batch: int = 1024) -> Tensor:
    """Outputs for any number of raw inputs, ``[n, ...]`` to ``[n, k]``, on the CPU."""
    device = next(model.parameters(), torch.empty(0)).device
    outputs = [model(part.to(device)).cpu() for part in raw.split(batch)]
    return torch.cat(outputs) if outputs else torch.empty(0)


def _raw(train: Batches) -> Iterable[Tensor]:
    def inputs() -> Iterator[Tensor]:
        for pieces in train.epoch(0):
            yield from (piece.inputs for piece in pieces)

    return inputs()


def parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
