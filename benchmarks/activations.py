"""Time and memory of the activations with learned numbers a channel, beside torch's PReLU.

    OMP_NUM_THREADS=2 python benchmarks/activations.py

Forward and backward on ``[64, 64, 32, 32]``, all in turn in one process: median over the rounds, and the median of the
ratios to PReLU round by round. Memory is what the peak of a fresh process grows by in one forward and backward, over
that of PReLU. To reach, for MeLU with k=8: at most 3 times the time and 2 times the memory.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from chainrule.nn import activation

SHAPE = (64, 64, 32, 32)
CALLS = (
    "prelu",
    "relu",
    "melu(k=8)",
    "melu",
    "galu",
    "small-galu",
    "flexible-melu",
    "srelu",
    "aplu",
    "soft-learnable",
    "srs",
    "pdelu",
    "learnable-swish",
    "learnable-mish",
)


def build(call: str) -> nn.Module:
    """The activation with numbers that are not at their start."""
    torch.manual_seed(0)
    module = activation(call, channels=SHAPE[1])
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


def sample(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs on both sides of 0 and beyond all hats, and the gradient of the outputs."""
    torch.manual_seed(0)
    return (2 * torch.randn(shape)).requires_grad_(), torch.randn(shape)


def step(module: nn.Module, x: torch.Tensor, gradient: torch.Tensor) -> None:
    """Forward and backward."""
    x.grad = None
    module(x).backward(gradient)


def most_memory() -> float:
    """The peak of this process's resident memory, MiB, as Linux counts it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def peak(call: str) -> float:
    """Growth of this process's peak memory in one step, MiB; the inputs are there before."""
    module, (x, gradient) = build(call), sample(SHAPE)
    step(module, *sample((2, SHAPE[1], 2, 2)))
    before = most_memory()
    step(module, x, gradient)
    return most_memory() - before


def times(rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each activation in each round."""
    modules = {call: build(call) for call in CALLS}
    x, gradient = sample(SHAPE)
    found: dict[str, list[float]] = {call: [] for call in CALLS}
    for turn in range(rounds + 1):
        for call, module in modules.items():
            began = time.perf_counter()
            step(module, x, gradient)
            if turn:  # the first round warms up
                found[call].append((time.perf_counter() - began) * 1e3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peak", metavar="CALL", help="only print the memory of one activation")
    options = parser.parse_args()
    if options.peak:
        print(peak(options.peak))
        return
    found = times(options.rounds)
    memory = {
        call: float(subprocess.run([sys.executable, __file__, "--peak", call], capture_output=True, check=True).stdout)
        for call in CALLS
    }
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {options.rounds} rounds")
    for call, values in found.items():
        ratio = statistics.median(a / b for a, b in zip(values, found["prelu"], strict=True))
        print(
            f"{call:<16} {statistics.median(values):7.1f} ms   ratio {ratio:5.2f}   "
            f"{memory[call]:6.1f} MiB   ratio {memory[call] / memory['prelu']:5.2f}"
        )


if __name__ == "__main__":
    main()
