"""What torchvision's and timm's networks call their tensors and give, written down for where they are not installed.

``python -m tests.parity.golden_vision`` writes ``golden_vision.json`` again; ``make peers`` first.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chainrule import registry
from tests.parity.vision_peers import peer

FILE = Path(__file__).with_name("golden_vision.json")
#: What builders need to be given, so that they build the network that the public weights belong to.
OPTIONS: dict[str, dict[str, Any]] = {"torchvision.models.googlenet": {"aux_logits": True, "init_weights": False}}
#: Side of the image that a network is tried on.
SIDE = 64


def names_of(network: nn.Module) -> str:
    """A hash of the names and shapes of a network's tensors, in order."""
    text = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in network.state_dict().items())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def scatter(count: int, seed: int) -> Tensor:
    """Numbers from -1 to 1 that look random, without a random generator that could change."""
    wave = torch.sin(torch.arange(count, dtype=torch.float64) * 12.9898 + seed * 78.233) * 43758.5453
    return 2 * (wave - wave.floor()) - 1


@torch.no_grad()
def fill(network: nn.Module) -> None:
    """Give every tensor numbers that depend on nothing but its place and shape, of a size that keeps maps alive."""
    for place, (name, tensor) in enumerate(network.state_dict().items()):
        if not tensor.is_floating_point():
            continue
        wave = scatter(tensor.numel(), place).reshape(tensor.shape)
        fan = tensor[0].numel() if tensor.ndim > 1 else 1
        if tensor.ndim > 1:
            wave = wave * math.sqrt(6 / fan)
        elif name.endswith(("running_var", "weight")):
            wave = 1 + 0.3 * wave
        else:
            wave = 0.1 * wave
        tensor.copy_(wave)


def sample() -> Tensor:
    """Two images."""
    return scatter(2 * 3 * SIDE * SIDE, 0).float().reshape(2, 3, SIDE, SIDE)


@torch.no_grad()
def outputs_of(network: nn.Module) -> list[float]:
    """A few logits of a filled network in evaluation mode, as multiples of their deviation."""
    fill(network)
    logits = network.eval()(sample()).double()
    return ((logits - logits.mean()) / logits.std())[:, ::199].flatten().tolist()


def shared() -> dict[str, str]:
    """The rows that have such a peer, and its dotted name."""
    rows = {name: entry.peer or "" for name, entry in registry.entries("model").items()}
    return {name: dotted for name, dotted in rows.items() if dotted.startswith(("torchvision.", "timm."))}


def theirs(dotted: str) -> nn.Module:
    """The peer's network of that dotted name, with weights of its own initialization.

    Raises:
        ImportError: When the peer is not installed.
    """
    module, _, name = dotted.rpartition(".")
    network: nn.Module = getattr(peer(module), name)(**OPTIONS.get(dotted, {}))
    return network


if __name__ == "__main__":
    golden = {}
    for row, dotted in shared().items():
        network = theirs(dotted)
        golden[row] = {"names": names_of(network), "outputs": outputs_of(network)}
    FILE.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
