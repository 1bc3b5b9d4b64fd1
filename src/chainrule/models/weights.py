"""Pretrained weights: read them from a file, a run or torchvision's public address, and put them into a network.

A file is safetensors or a checkpoint of torch that holds nothing but tensors and plain values; a checkpoint that could
run code is refused. What depends on the number of classes stays new where the numbers differ.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from chainrule import registry, storage
from chainrule.data.spec import Image, Inputs, Target, from_json
from chainrule.errors import InputError, choices, listing
from chainrule.models.building import fresh
from chainrule.nn.preparation import Standardize
from chainrule.registry import Entry

#: Means and deviations of ImageNet's red, green and blue, of 1, which all public weights expect.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Pretrained weights.

    Attributes:
        tensors: By the names of the network's ``state_dict``.
        source: Where they come from, in a sentence's words.
        standardize: What raw images were standardised by, ``(means, deviations)`` of full white; None if unknown.
        target: What they were learned for; None if unknown.
    """

    tensors: Mapping[str, Tensor]
    source: str
    standardize: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    target: Target | None = None


def read(source: str | Path, entry: Entry | None) -> Weights:
    """Read weights for the network of a registry row.

    Args:
        source: ``"imagenet"`` for torchvision's public file, fetched once and kept in torch's cache; the directory of a
            run; or a file, ``.safetensors`` or a checkpoint of torch.
        entry: The row of the network that is to have them; None for a network of the user's own.

    Raises:
        InputError: When there is no such file, it is damaged or holds more than tensors, the row has no public
            weights, or they cannot be fetched.
    """
    if str(source) == "imagenet":
        path = _public(entry)
        return Weights(tensors=_renamed(_file(path), entry), source=f"ImageNet ({path.name})", standardize=IMAGENET)
    path = Path(source)
    if path.is_dir():
        path = path / "model" / "weights.safetensors" if (path / "model").is_dir() else path / "weights.safetensors"
    if not path.exists():
        raise InputError(
            f"There are no weights at {source}; write a .safetensors file, a checkpoint of torch, the directory of a "
            "run, or 'imagenet'."
        )
    if path.name == "weights.safetensors" and (path.parent / "model.json").exists():
        return _run(path)
    tensors = _renamed(_file(path), entry)
    # The public files, under whatever name, are told by their thousand classes.
    public = entry is not None and entry.public is not None and 1000 in {len(t) for t in tensors.values() if t.ndim}
    return Weights(tensors=tensors, source=path.name, standardize=IMAGENET if public else None)


def load(network: nn.Module, weights: Weights, head: frozenset[str], *, call: str, target: Target) -> frozenset[str]:
    """Put weights into a network; gives the names of its tensors that stay new, because the classes are others.

    Where the network takes one channel and the weights were learned on colours, the first layer's weights are summed
    over the colours, which is what it would do with the same grey in each.

    Args:
        network: The network.
        weights: What to put in.
        head: Names of the tensors that depend on the number of classes; see :func:`head`.
        call: What built the network.
        target: What it is to learn.

    Raises:
        InputError: When the weights belong to another network; nothing has been changed then.
    """
    own, given = network.state_dict(), dict(weights.tensors)
    for name in own.keys() & given.keys():
        if given[name].ndim > 2 and given[name].shape[1] == 3 and own[name].shape[1:2] == (1,):
            given[name] = given[name].sum(dim=1, keepdim=True)
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    extra = [name for name in given if name not in own]
    other = [name for name in own if name in given and name not in head and given[name].shape != own[name].shape]
    if missing or extra or other:
        told = [
            f"{what} {listing(names, most=3)}"
            for what, names in (("lack", missing), ("have", extra), ("have another shape for", other))
            if names
        ]
        raise InputError(
            f"The weights of {weights.source} are not those of {call}: they {' and '.join(told)}; write the --model "
            "that they were made with, with its options."
        )
    others = weights.target is not None and weights.target != target
    new = frozenset(name for name in head if others or given[name].shape != own[name].shape)
    network.load_state_dict({name: own[name] if name in new else given.get(name, own[name]) for name in own})
    return new


def head(call: str, *, inputs: Inputs, target: Target) -> frozenset[str]:
    """Names of the tensors of a network that depend on the number of its classes.

    Raises:
        InputError: When none does.
    """
    shapes: list[dict[str, torch.Size]] = []
    for names in (target.names, (*target.names, "one more")):
        # A factory of the user's own may compute what needs real numbers.
        with torch.device("cpu" if ":" in call else "meta"):
            network = fresh(call, inputs=inputs, target=replace(target, names=names))
        shapes.append({name: tensor.shape for name, tensor in network.state_dict().items()})
    found = frozenset(name for name, shape in shapes[0].items() if shapes[1][name] != shape)
    if not found:
        raise InputError(
            f"{call} has no tensor that depends on the number of classes, so its head cannot be told from the rest; "
            "let it make its outputs from target.names."
        )
    return found


def standardization(weights: Weights, inputs: Inputs) -> Standardize | None:
    """The preparation that the weights expect of these images, where it is known."""
    if weights.standardize is None or not isinstance(inputs, Image):
        return None
    means, deviations = (torch.tensor(part, dtype=torch.float64) * inputs.white for part in weights.standardize)
    if len(means) == 3 and inputs.channels == 1:
        means, deviations = means.mean(0, keepdim=True), deviations.mean(0, keepdim=True)
    if len(means) != inputs.channels:
        return None
    step = Standardize(inputs.channels, of=weights.source)
    step.mean.copy_(means)
    step.std.copy_(deviations)
    return step


def _public(entry: Entry | None) -> Path:
    """The public file of a row, fetched if it is not in torch's cache; its name holds the start of its SHA-256."""
    if entry is None or entry.public is None:
        having = [name for name, row in registry.entries("model").items() if row.public]
        what = f"{entry.name} has" if entry else "A network of your own has"
        raise InputError(f"{what} no public weights; those that have: {choices(having)}. Or write a file.")
    path = Path(torch.hub.get_dir()) / "checkpoints" / entry.public.rpartition("/")[2]
    wanted = cast(re.Match[str], re.search(r"-([0-9a-f]{8,})\.pth$", path.name))[1]
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(entry.public, str(path), hash_prefix=wanted, progress=False)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"The public weights of {entry.name} cannot be fetched from {entry.public} ({error}); fetch the file "
                "where there is a network, and write its path instead of 'imagenet'."
            ) from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(wanted):
        raise InputError(f"{path} is damaged: its SHA-256 begins with {found[:8]}, not with {wanted}; delete it.")
    return path


def _file(path: Path) -> dict[str, Tensor]:
    try:
        values: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # whatever a damaged or hostile file makes its reader raise
        raise InputError(
            f"{path} cannot be read as weights ({type(error).__name__}); write a .safetensors file, or a checkpoint of "
            "torch that holds tensors and plain values alone, as torch.save(model.state_dict(), ...) makes it."
        ) from error
    while isinstance(values, Mapping) and (inner := next((k for k in ("state_dict", "model") if k in values), None)):
        values = values[inner]
    if not isinstance(values, Mapping) or not all(isinstance(tensor, Tensor) for tensor in values.values()):
        raise InputError(f"{path} holds no tensors by name; save model.state_dict() where it was made.")
    # What nn.DataParallel and DistributedDataParallel put before each name.
    return {str(name).removeprefix("module."): tensor for name, tensor in values.items()}


def _run(path: Path) -> Weights:
    """The weights of a run, with its images' standardisation."""
    saved = storage.read_tree(path)
    description = storage.read_json(path.parent / "model.json")
    tensors = {name.removeprefix("1."): tensor for name, tensor in saved.items() if name.startswith("1.")}
    inputs, steps = from_json(description["inputs"]), description["preparation"]
    standardize = None
    if isinstance(inputs, Image) and steps and steps[0]["name"] == "standardize":
        means, deviations = ((saved[f"0.0.{part}"] / inputs.white).tolist() for part in ("mean", "std"))
        standardize = tuple(means), tuple(deviations)
    return Weights(
        tensors=tensors,
        source=f"the run {path.parent.parent.name}",
        standardize=standardize,
        target=from_json(description["target"]),
    )


def _renamed(tensors: dict[str, Tensor], entry: Entry | None) -> dict[str, Tensor]:
    """The tensors under the names that the network has now."""
    rename = entry.rename if entry else None
    return {rename(name): tensor for name, tensor in tensors.items()} if rename else tensors
