"""Batches: which samples make a step, in which order, and how they reach the device.

An epoch is cut into near-equal batches, ``ceil(n / size)`` of them, so no batch is a lonely rest (batch normalization
could not use a single sample). A batch is cut again into one part a process, and that into ``pieces`` for gradient
accumulation. The order depends on the seed and the epoch alone, and so do the augmentations: any number of processes,
workers and pieces sees the same samples in the same steps, and a run resumed at a step goes on exactly where it was.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from chainrule import seeding
from chainrule.data.dataset import Rows, Split
from chainrule.errors import InputError


@dataclass(frozen=True)
class Batch:
    """Samples of one step, or the piece of them that a process takes at once.

    Attributes:
        inputs: Raw inputs, ``[b, ...]``.
        targets: ``[b]`` or ``[b, k]``.
        index: Positions in the split, ``[b]``, on the CPU.
        total: Samples in the whole step, over all pieces and processes.
    """

    inputs: Tensor
    targets: Tensor
    index: Tensor
    total: int


class Augmentation(Protocol):
    """What a batch may be put through on its way to the network."""

    def draw(self, samples: int, *, seed: int, epoch: int, step: int) -> Tensor: ...

    def __call__(self, images: Tensor, targets: Tensor, u: Tensor, /) -> tuple[Tensor, Tensor]: ...


class Batches:
    """The steps of an epoch over one split.

    Args:
        split: The samples.
        size: Samples per step, over all processes.
        device: Where the batches are needed.
        seed: Seed of the order and of the augmentations; None keeps the split's own order.
        rank: Number of this process.
        world: Number of processes.
        pieces: Parts that this process takes one after another, to save memory.
        augment: Augmentation, or None.
        workers: Processes that read samples which are not in memory.

    Raises:
        InputError: When a shuffled batch has fewer samples than there are pieces and processes.
    """

    def __init__(
        self,
        split: Split,
        *,
        size: int,
        device: torch.device,
        seed: int | None = None,
        rank: int = 0,
        world: int = 1,
        pieces: int = 1,
        augment: Augmentation | None = None,
        workers: int = 0,
    ) -> None:
        self.split, self.device, self.seed, self.augment = split, device, seed, augment
        self.rank, self.world, self.pieces = rank, world, pieces
        self.steps = -(-len(split) // size)
        parts = world * pieces
        if seed is not None and len(split) // self.steps < parts:
            raise InputError(
                f"A batch of {len(split) // self.steps} samples cannot be cut into {parts} parts "
                f"({world} processes x accumulate {pieces}); write a batch of at least {parts}, or accumulate less."
            )
        self._fetch = (
            _InMemory(split, device) if isinstance(split, Rows) else _Loader(split, device, seed or 0, workers)
        )

    def order(self, epoch: int) -> Tensor:
        """Positions of all samples in the order of an epoch, ``[n]``."""
        if self.seed is None:
            return torch.arange(len(self.split))
        return torch.randperm(len(self.split), generator=seeding.generator(self.seed, seeding.ORDER, epoch))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[list[Batch]]:
        """The steps of an epoch from step ``start`` on: for each, the pieces that this process takes."""
        chunks = self.order(epoch).tensor_split(self.steps)[start:]
        # A process without a share of an evaluation batch gets no piece for it.
        steps = [[piece for piece in self._share(chunk) if len(piece)] for chunk in chunks]
        fetched = self._fetch([piece for pieces in steps for piece in pieces], epoch)
        for step, (chunk, pieces) in enumerate(zip(chunks, steps, strict=True), start=start):
            batch = [Batch(*next(fetched), piece, len(chunk)) for piece in pieces]
            yield batch if self.augment is None else self._augmented(batch, self.augment, epoch, step)

    def _share(self, whole: Tensor) -> tuple[Tensor, ...]:
        """The pieces of this process, cut from what is as long as a step."""
        mine = slice(self.rank * self.pieces, (self.rank + 1) * self.pieces)
        return whole.tensor_split(self.world * self.pieces)[mine]

    def _augmented(self, batch: list[Batch], augment: Augmentation, epoch: int, step: int) -> list[Batch]:
        """The pieces after augmentation, with their share of the numbers that are drawn for the whole step."""
        draws = self._share(augment.draw(batch[0].total, seed=self.seed or 0, epoch=epoch, step=step))
        changed = (augment(b.inputs, b.targets, u.to(self.device)) for b, u in zip(batch, draws, strict=True))
        return [Batch(*pair, b.index, b.total) for pair, b in zip(changed, batch, strict=True)]


class _InMemory:
    """Fetches batches by indexing tensors on the device."""

    def __init__(self, split: Rows, device: torch.device) -> None:
        self.inputs, self.targets = split.inputs.to(device), split.targets.to(device)

    def __call__(self, wanted: list[Tensor], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        del epoch  # stored samples are the same in every epoch
        for index in wanted:
            index = index.to(self.inputs.device)
            yield self.inputs[index], self.targets[index]


class _Loader:
    """Fetches batches through a ``DataLoader``, for samples that are read or made when they are asked for."""

    def __init__(self, split: Split, device: torch.device, seed: int, workers: int) -> None:
        self.device, self.sampler = device, _Sampler()
        self.loader = DataLoader(
            _SeededSamples(split, seed),
            batch_sampler=self.sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
            # The loader would draw its base seed from the global generator, and so change what dropout draws.
            generator=seeding.generator(seed),
        )

    def __call__(self, wanted: list[Tensor], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        self.sampler.batches = [[(epoch, int(i)) for i in index] for index in wanted]
        try:
            for inputs, targets in self.loader:
                yield inputs.to(self.device, non_blocking=True), targets.to(self.device, non_blocking=True)
        except InputError as error:
            # A worker's error comes with its traceback; the sentence is its last line.
            sentence = str(error).strip().splitlines()[-1]
            raise InputError(sentence.removeprefix("chainrule.errors.InputError: ")) from None


class _Sampler:
    """The batches of the coming epoch, as ``(epoch, position)`` pairs."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _SeededSamples(Dataset[tuple[Tensor, Tensor]]):
    """Seeds the generators of torch, NumPy and ``random`` before each sample is read.

    What a user's dataset draws then depends on the run's seed, the epoch and the sample, whichever worker reads it.
    """

    def __init__(self, split: Split, seed: int) -> None:
        self.split, self.seed, self.home = split, seed, os.getpid()

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        epoch, index = key
        if os.getpid() != self.home:
            seeding.seed_all(self.seed, seeding.SAMPLE, epoch, index)
            return self.split[index]
        # Without workers the network draws from the same generators; it must not notice.
        with seeding.preserved():
            seeding.seed_all(self.seed, seeding.SAMPLE, epoch, index)
            return self.split[index]
