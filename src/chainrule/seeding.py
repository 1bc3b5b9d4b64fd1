"""Randomness: one seed for a run, and every generator that may draw from it.

Whatever is drawn by position (the order of an epoch, an augmentation, a sample decoded by a worker) takes its seed from
``mix(seed, ...position)`` and depends on nothing else: not on the number of processes or workers, not on what was drawn
before, so a resumed run draws the same. Only what a network draws itself (dropout) uses torch's global generator, whose
state is in the checkpoint.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# What each stream of random numbers is for; the number enters its seed, so that no two streams are alike.
WEIGHTS, ORDER, AUGMENT, SAMPLE, NETWORK, RATE = range(6)


def mix(*parts: int) -> int:
    """A 63-bit seed from several integers; any change in any of them gives an unrelated seed."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(*parts: int) -> torch.Generator:
    """A CPU generator seeded with :func:`mix` of ``parts``."""
    return torch.Generator().manual_seed(mix(*parts))


def seed_all(*parts: int) -> None:
    """Seed the global generators of torch (all devices), NumPy and ``random``."""
    seed = mix(*parts)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - datasets of users draw from the global generator
    random.seed(seed)


def state() -> dict[str, Any]:
    """State of every global generator, as tensors and plain values."""
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    version, words, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_initialized() else [],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), has_gauss, cached],
        "random": [version, torch.tensor(words, dtype=torch.int64, device="cpu"), gauss],
    }


def restore(state: dict[str, Any]) -> None:
    """Put every global generator back to a :func:`state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    version, words, gauss = state["random"]
    random.setstate((version, tuple(words.tolist()), gauss))


@contextmanager
def preserved() -> Iterator[None]:
    """Leave every global generator as it was, whatever is drawn inside."""
    before = state()
    try:
        yield
    finally:
        restore(before)
