"""Time of a step of DiffGrad beside torch's Adam, both with torch's ``foreach`` kernels, in turn in one process.

    python benchmarks/optimizers.py                    # on the CPU, one thread
    python benchmarks/optimizers.py --device cuda

The parameters are those of ResNet-20 (CIFAR form), 272 474 numbers in 65 tensors, and those of a network of two
wide layers, 8.4 million numbers in 4 tensors. For each of them: median over the rounds of the time of a step, its
quartiles, and the median of the ratios round by round. The goal for the ratio of DiffGrad is 1.5.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Adam, Optimizer

from chainrule.models.mlp import MLP
from chainrule.models.vision.resnet_cifar import ResNetCifar
from chainrule.optim import DiffGrad
from chainrule.optim.diffgrad_variants import dgrad

CONTESTANTS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "Adam(foreach=True)": lambda parameters: Adam(parameters, foreach=True),
    "DiffGrad": DiffGrad,
    "DiffGrad, eps as Adam": lambda parameters: DiffGrad(parameters, eps_after_correction=True),
    "dgrad": dgrad,
}


def parameters(model: nn.Module, device: torch.device) -> list[nn.Parameter]:
    """The parameters of a model, each with a gradient."""
    made = list(model.to(device).parameters())
    for parameter in made:
        parameter.grad = torch.randn_like(parameter)
    return made


def milliseconds(optimizer: Optimizer, steps: int, device: torch.device) -> float:
    """Mean time of a step."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps * 1000


def measure(name: str, model: Callable[[], nn.Module], device: torch.device, rounds: int, steps: int) -> None:
    """Print one table."""
    optimizers = {contestant: build(parameters(model(), device)) for contestant, build in CONTESTANTS.items()}
    times: dict[str, list[float]] = {contestant: [] for contestant in optimizers}
    for turn in range(rounds + 1):
        for contestant, optimizer in optimizers.items():
            spent = milliseconds(optimizer, steps, device)
            if turn:  # the first round warms up
                times[contestant].append(spent)
    print(f"\n{name}, {rounds} rounds of {steps} steps, on {device} with {torch.get_num_threads()} thread(s)")
    print(f"{'':24}{'ms a step':>10}  {'quartiles':^17}{'ratio':>8}")
    reference = times["Adam(foreach=True)"]
    for contestant, spent in times.items():
        low, middle, high = statistics.quantiles(spent, n=4)
        ratio = statistics.median(a / b for a, b in zip(spent, reference, strict=True))
        print(f"{contestant:24}{middle:10.3f}  {low:7.3f} - {high:7.3f}{ratio:8.2f}")


def main() -> None:
    """Measure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cpu")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device(given.device)
    measure("ResNet-20", lambda: ResNetCifar(channels=3, classes=10), device, given.rounds, given.steps)
    wide = {"features": 2048, "outputs": 2048, "width": 2048, "depth": 1}
    measure("wide layers", lambda: MLP(**wide), device, given.rounds, max(given.steps // 10, 1))


if __name__ == "__main__":
    main()
