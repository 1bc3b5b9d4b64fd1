"""What a step of chainrule's loop costs beside a hand-written torch loop, and beside accelerate's bare loop.

    python benchmarks/loop.py

The same LeNet-5, preparation, batches of 64 and AdamW in all three, in turn in one process, several rounds; what counts
is the median of the rounds' ratios. The hand-written loop is the shortest one: no norm, no metrics, no events. To
reach: at most 1.05 times its time.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

from chainrule.data.batches import Batches
from chainrule.data.dataset import Rows
from chainrule.models.vision.lenet import LeNet5
from chainrule.nn.preparation import Standardize
from chainrule.optim import build_optimizer, build_schedule
from chainrule.tasks import Classification
from chainrule.training.loop import Training, train
from chainrule.training.machine import Machine

STEPS, BATCH, ROUNDS = 50, 64, 25
SAMPLES = STEPS * BATCH
CPU = torch.device("cpu")

# Each loop is a generator that has done a step whenever it yields.
Loop = Callable[[nn.Sequential, Rows], Iterator[object]]


def hand_written(model: nn.Sequential, data: Rows) -> Iterator[None]:
    """What anybody would write."""
    model.train()
    optimizer = torch.optim.AdamW(model[1].parameters(), lr=1e-3)
    for index in torch.randperm(SAMPLES).split(BATCH):
        with torch.no_grad():
            prepared = model[0](data.inputs[index])
        optimizer.zero_grad()
        loss = F.cross_entropy(model[1](prepared), data.targets[index], label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        yield


def bare_accelerate(model: nn.Sequential, data: Rows) -> Iterator[None]:
    """The loop of accelerate's own quick tour, on the same batches."""
    accelerator = Accelerator(cpu=True)
    model.train()
    network, optimizer = accelerator.prepare(model[1], torch.optim.AdamW(model[1].parameters(), lr=1e-3))
    for index in torch.randperm(SAMPLES).split(BATCH):
        with torch.no_grad():
            prepared = model[0](data.inputs[index])
        optimizer.zero_grad()
        loss = F.cross_entropy(network(prepared), data.targets[index], label_smoothing=0.1)
        accelerator.backward(loss)
        optimizer.step()
        yield


def ours(model: nn.Sequential, data: Rows) -> Iterator[object]:
    """The loop of chainrule: the same, with metrics, the gradient's norm, the finite check, a schedule and events."""
    batches = Batches(data, size=BATCH, device=CPU, seed=0)
    optimizer = build_optimizer("adamw", model[1].parameters(), rate=1e-3)
    training = Training(
        model=model,
        task=Classification([SAMPLES // 10] * 10, label_smoothing=0.1),
        train=batches,
        valid=Batches(Rows(data.inputs[:1], data.targets[:1], ["one"]), size=1, device=CPU),
        optimizers={"fit": optimizer},
        schedules={"fit": build_schedule("cosine", optimizer, rate=1e-3, epochs=1, steps=batches.steps)},
        machine=Machine(device="cpu"),
        epochs=1,
        rate=1e-3,
    )
    yield from train(training)


def milliseconds(loop: Loop, model: nn.Sequential, data: Rows) -> float:
    """Time of a step; the first one, in which each loop sets itself up, is not counted."""
    steps = loop(model, data)
    next(steps)
    began = time.perf_counter()
    for _ in range(STEPS - 1):
        next(steps)
    return (time.perf_counter() - began) / (STEPS - 1) * 1e3


def main() -> None:
    torch.manual_seed(0)
    inputs = torch.randint(0, 256, (SAMPLES, 1, 28, 28), dtype=torch.uint8)
    data = Rows(inputs, torch.arange(SAMPLES) % 10, [""] * SAMPLES)
    model = nn.Sequential(Standardize(1).learn([data.inputs]), LeNet5(), nn.Softmax(-1))
    loops: dict[str, Loop] = {
        "hand-written torch": hand_written,
        "accelerate, bare": bare_accelerate,
        "chainrule": ours,
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(ROUNDS + 1):
        for name, loop in loops.items():
            spent = milliseconds(loop, copy.deepcopy(model), data)
            if turn:  # the first round warms up
                times[name].append(spent)
    base = times["hand-written torch"]
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {ROUNDS} rounds of {STEPS} steps")
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, base, strict=True))
        print(f"{name:<20} {statistics.median(values):6.3f} ms a step   ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
