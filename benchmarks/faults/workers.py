"""A process for each case, some at a time, ended where it takes too long."""

import json
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from benchmarks.faults.case import Case


def each(
    cases: Sequence[Case], work: Callable[[Case], Any], jobs: int, limit: float
) -> Iterator[tuple[Case, dict[str, Any] | list[float] | str]]:
    """Each case and what was made of it, in the order in which they end; a text says why there is nothing.

    Args:
        cases: The cases.
        work: Makes something that JSON can hold.
        jobs: Processes at a time.
        limit: Seconds for each.
    """
    # A fork has all modules already; nothing has started a thread before it.
    context = multiprocessing.get_context("fork")
    waiting, running = list(cases), dict[Any, tuple[Case, Any, float]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            case = waiting.pop(0)
            there, here = context.Pipe(duplex=False)
            process = context.Process(target=_answer, args=(case, work, here))
            process.start()
            here.close()
            running[there] = (case, process, time.monotonic() + limit)
        ready = wait(list(running), timeout=1.0)
        for end, (case, process, last) in list(running.items()):
            if end in ready:
                yield case, _received(end)
            elif time.monotonic() > last:
                process.kill()
                yield case, f"no answer within {limit:.0f} s"
            else:
                continue
            process.join()
            end.close()
            del running[end]


def _answer(case: Case, work: Callable[[Case], Any], end: Connection) -> None:
    torch.set_num_threads(1)
    try:
        made = json.dumps(work(case), default=str)
    except Exception:
        made = json.dumps(traceback.format_exc())
    end.send_bytes(made.encode())


def _received(end: Any) -> Any:
    try:
        received = json.loads(end.recv_bytes())
    except EOFError:
        return "the process ended without an answer"
    return received.strip().split("\n")[-1] if isinstance(received, str) else received
