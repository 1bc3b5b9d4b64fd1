"""What the shared networks cost beside torchvision's: forward, and forward and backward.

    make peers
    python -m benchmarks.vision [NAME ...]

Each network has torchvision's weights and the same images (16 of 3x64x64 on a CPU, 64 of 3x224x224 on a GPU). The two
run in turn, in random order, and what counts is the median of the turns' ratios. To reach: at most 1.02 each.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable

import torch
from tests.parity.golden_vision import theirs
from torch import Tensor, nn

from chainrule import registry

TURNS, WARM = 15, 2
#: A turn repeats what it measures until so many seconds have passed.
SPAN = 0.25
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
IMAGES = (64, 3, 224, 224) if DEVICE.type == "cuda" else (16, 3, 64, 64)


def forward(network: nn.Module, images: Tensor) -> None:
    """As in prediction."""
    with torch.no_grad():
        network(images)


def both(network: nn.Module, images: Tensor) -> None:
    """As in training; all heads count."""
    output = network(images)
    heads = [output] if isinstance(output, Tensor) else [head for head in output if head is not None]
    sum(head.sum() for head in heads).backward()


def seconds(run: Callable[[nn.Module, Tensor], None], network: nn.Module, images: Tensor, repeats: int) -> float:
    """Time of one call."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(repeats):
        run(network, images)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / repeats


def compare(run: Callable[[nn.Module, Tensor], None], pair: list[nn.Module], images: Tensor) -> tuple[float, float]:
    """Time of ours, and the median ratio of ours over theirs."""
    repeats = max(1, round(SPAN / seconds(run, pair[0], images, 1)))
    turns: list[dict[int, float]] = []
    for _ in range(WARM + TURNS):
        order = random.sample((0, 1), 2)
        turns.append({which: seconds(run, pair[which], images, repeats) for which in order})
    kept = turns[WARM:]
    return statistics.median(t[0] for t in kept), statistics.median(t[0] / t[1] for t in kept)


def main(names: list[str]) -> None:
    torch.manual_seed(0)
    random.seed(0)
    shape = "x".join(map(str, IMAGES))
    where = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}, images of {shape}, {TURNS} turns")
    print(f"{'network':<22} {'forward':>10} {'ratio':>6}   {'+ backward':>10} {'ratio':>6}")
    ratios = []
    for name, entry in registry.entries("model").items():
        if not (entry.peer or "").startswith("torchvision.") or (names and name not in names):
            continue
        peer = theirs(entry.peer)
        ours: nn.Module = entry.make()
        ours.load_state_dict(peer.state_dict())
        pair, images = [ours.to(DEVICE), peer.to(DEVICE)], torch.randn(IMAGES, device=DEVICE)
        for network in pair:
            network.eval()
        alone = compare(forward, pair, images)
        for network in pair:
            network.train()
        trained = compare(both, pair, images)
        ratios += [alone[1], trained[1]]
        print(f"{name:<22} {alone[0] * 1e3:>7.1f} ms {alone[1]:>6.3f}   {trained[0] * 1e3:>7.1f} ms {trained[1]:>6.3f}")
    print(f"geometric mean of the ratios {statistics.geometric_mean(ratios):.3f}, largest {max(ratios):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
