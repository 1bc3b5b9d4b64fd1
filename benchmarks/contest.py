"""Contests: a method of ours and its peer on the same data, in turn in one process."""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from threadpoolctl import threadpool_limits

Arrays = tuple[Any, ...]


class Contest(NamedTuple):
    """One comparison.

    Attributes:
        data: Makes the arrays.
        ours: Works on the arrays as tensors; gives what was made of them.
        peer: Works on them as numpy arrays.
        quality: How good that is, from what was made and the arrays.
        goal: Wanted ratio peer / ours.
        rounds: Turns of each.
    """

    data: Callable[[], Arrays]
    ours: Callable[..., Any]
    peer: Callable[..., Any]
    quality: Callable[..., float]
    goal: float = 1.0
    rounds: int = 3


def seconds(work: Callable[..., Any], given: Arrays, device: torch.device) -> tuple[float, Any]:
    """How long it takes, and what it makes."""
    time.sleep(0.2)  # the threads of the turn before spin for a while
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    made = work(*given)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, made


def hosted(made: Any) -> Any:
    """What was made, on the host."""
    if isinstance(made, torch.Tensor):
        return made.cpu()
    for name, value in vars(made).items():
        if isinstance(value, torch.Tensor):
            setattr(made, name, value.cpu())
    return made


def measure(name: str, contest: Contest, device: torch.device, rounds: int) -> None:
    """Run one contest and print its line."""
    arrays = contest.data()
    tensors = tuple(torch.from_numpy(array).to(device) for array in arrays)
    spent: dict[str, list[float]] = {"ours": [], "peer": []}
    reached = {}
    for turn in range(rounds + 1):
        for who, work, given in (("ours", contest.ours, tensors), ("peer", contest.peer, arrays)):
            if turn == 0 and who == "peer":
                continue  # the first turn is for our kernels to be loaded
            took, made = seconds(work, given, device)
            if turn:
                spent[who].append(took)
                reached[who] = contest.quality(hosted(made) if who == "ours" else made, *arrays)
    ratios = [peer / ours for ours, peer in zip(spent["ours"], spent["peer"], strict=True)]
    ours, peer = (statistics.median(times) for times in spent.values())
    print(
        f"{name:18}{ours:9.3f}{peer:9.3f}{statistics.median(ratios):8.2f}  {min(ratios):6.2f} - {max(ratios):<6.2f}"
        f"{contest.goal:6.1f}   {reached['ours']:.8g} / {reached['peer']:.8g}",
        flush=True,
    )


def run(contests: Mapping[str, Contest], description: str) -> None:
    """Measure what the command line names."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("names", nargs="*", metavar="NAME", help=", ".join(contests))
    options.add_argument("--device", default="cpu")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, help="turns of each; default: what stands with the contest")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    print(f"ours on {given.device}, peers on the CPU, {given.threads} thread(s)")
    print(f"{'':18}{'ours, s':>9}{'peer, s':>9}{'ratio':>8}  {'range':^15}{'goal':>6}   reached, ours / peer")
    with threadpool_limits(given.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in given.names or contests:
            measure(name, contests[name], torch.device(given.device), given.rounds or contests[name].rounds)
