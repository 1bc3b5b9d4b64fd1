"""How batches come about: in what order, of what classes, and whether random augmentation repeats itself."""

import math
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from chainrule.doctor.measures.samples import Floats, Whole, fingerprints
from chainrule.doctor.measures.scores import kind
from chainrule.doctor.probe import Probe, Sample

#: Random orders that the composition of the batches is compared with.
PERMUTATIONS = 100
#: Most classes that are followed, the commonest.
CLASSES = 100
#: Draws of one sample that are compared, processes that make them, and how long to wait for these in seconds.
DRAWS, WORKERS, PATIENCE = 32, 2, 30


@dataclass(frozen=True)
class Order:
    """How the samples of the training part are dealt out to batches.

    Attributes:
        batches: Number of batches that were read.
        size: Samples of a batch, the median.
        same: Whether two passes gave the same batches.
        between: Share of the targets' variance (of the classes, or of the values) that lies between batches.
        expected: The same in a random order, on average.
        excess: How far it is beyond that, in standard deviations over random orders.
        purity: Mean share of the most frequent class of a batch; NaN for real targets.
        overall: Share of the most frequent class of all samples; NaN for real targets.
    """

    batches: int
    size: int = 0
    same: bool = False
    between: float = math.nan
    expected: float = math.nan
    excess: float = math.nan
    purity: float = math.nan
    overall: float = math.nan


@dataclass(frozen=True)
class Augmentation:
    """Whether random augmentation gives something new each time.

    Attributes:
        random: Whether the data set gives different values for the same index; None where it could not be asked.
        draws: Draws of one sample in a pass.
        again: Whether a second pass gave the same draws in the same order.
        shared: Whether two worker processes gave the same draws in the same order.
        workers: Worker processes that took part.
    """

    random: bool | None
    draws: int = 0
    again: bool = False
    shared: bool = False
    workers: int = 0


def order(probe: Probe) -> Order:
    """The order of the samples: two passes, and what their batches are made of."""
    batches = probe.sample.batches
    sizes = np.array([len(targets) for _, targets in batches if len(targets)])
    size = int(np.median(sizes)) if len(sizes) else 0
    if len(sizes) < 2:
        return Order(len(batches), size)
    same = _same(probe.sample, probe.read(_Next(probe.program.batches)))
    columns = _columns(probe)
    if columns is None:
        return Order(len(batches), size, same)
    starts = np.cumsum(sizes) - sizes
    share = _between(columns, starts, sizes)
    draw = np.random.default_rng(0)
    null = np.array([_between(columns[draw.permutation(len(columns))], starts, sizes) for _ in range(PERMUTATIONS)])
    purity = overall = math.nan
    if kind(probe) == "classes":
        overall = float(columns.mean(axis=0).max())
        purity = float((np.add.reduceat(columns, starts, axis=0).max(axis=1) / sizes).mean())
    excess = (share - null.mean()) / max(float(null.std()), 1e-9)
    return Order(len(batches), size, same, share, float(null.mean()), float(excess), purity, overall)


def augmentation(probe: Probe) -> Augmentation:
    """Whether the random augmentation of a ``DataLoader``'s data set repeats itself over passes or workers."""
    loader = probe.program.batches
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return Augmentation(None)
    dataset: Any = loader.dataset
    try:
        index = next(iter(loader.sampler))
        asked = [_content(dataset[index]) for _ in range(4)]
    except Exception:  # a data set that takes other keys
        return Augmentation(None)
    if len(set(asked)) == 1:
        return Augmentation(False)
    workers = min(loader.num_workers, WORKERS)
    try:
        passes = _passes(loader, index, workers)
    except Exception:  # workers that cannot start here, such as those of a data set from an interactive session
        return Augmentation(None)
    first, second = ([content for batch in drawn for content in batch] for drawn in passes)
    shared = False
    if workers > 1:
        # Batches go to the workers in turn.
        by = [[content for batch in passes[0][start::workers] for content in batch] for start in range(workers)]
        shared = by[0] == by[1]
    return Augmentation(True, len(first), first == second, shared, workers)


class _Next:
    """The pass after the one that is begun first, so that the generators are further on."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        next(iter(self.batches))
        yield from self.batches


class _Again(Dataset[Any]):
    """One sample of a data set over and over, without its targets: at every index the same."""

    def __init__(self, dataset: Any, index: Any, length: int) -> None:
        self.dataset, self.index, self.length = dataset, index, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.index]


def _passes(loader: Any, index: Any, workers: int) -> list[list[list[Hashable]]]:
    """Two passes over one sample with the loader's own workers, generator and initialisation."""
    length = DRAWS * max(1, workers)
    generator = None
    if loader.generator is not None:
        generator = torch.Generator().manual_seed(0)
        generator.set_state(loader.generator.get_state())
    again = DataLoader(
        _Again(loader.dataset, index, length),
        batch_size=DRAWS // 4,
        num_workers=workers,
        collate_fn=_listed,
        worker_init_fn=loader.worker_init_fn,
        generator=generator,
        multiprocessing_context=loader.multiprocessing_context if workers else None,
        persistent_workers=loader.persistent_workers and workers > 0,
        timeout=PATIENCE if workers else 0,
    )
    return [[list(batch) for batch in again] for _ in range(2)]


def _listed(samples: list[Any]) -> list[Hashable]:
    return [_content(sample) for sample in samples]


def _content(sample: Any) -> bytes:
    """The input of a sample as bytes."""
    first = sample[0] if isinstance(sample, list | tuple) else sample
    values = default_collate([first])
    return values.numpy().tobytes() if isinstance(values, Tensor) else repr(values).encode()


def _same(first: Sample, second: Sample) -> bool:
    """Whether two passes gave the same batches, by their targets and inputs, or by targets where inputs change."""
    if len(first.batches) != len(second.batches):
        return False
    if all(
        one.shape == other.shape and bool((one == other).all())
        for pair, again in zip(first.batches, second.batches, strict=True)
        for one, other in zip(pair, again, strict=True)
    ):
        return True
    rows = [fingerprints(sample.inputs) for sample in (first, second)]
    # Augmented inputs differ although the order is the same; their targets then still come in one order.
    augmented = len(set(rows[0]) & set(rows[1])) < len(rows[0]) // 10
    targets = (first.targets, second.targets)
    various = len(torch.unique(targets[0])) > 1
    return augmented and various and targets[0].shape == targets[1].shape and bool((targets[0] == targets[1]).all())


def _columns(probe: Probe) -> Floats | None:
    """Targets as columns: one for each of the common classes, or the values; None where samples have many."""
    targets = probe.sample.targets.detach().cpu()
    flat = targets.double().reshape(len(targets), -1)
    if flat.shape[1] > 64 or not flat.isfinite().all():
        return None
    if kind(probe) == "classes":
        if flat.shape[1] > 1 and targets.ndim == 2 and targets.is_floating_point():
            flat = flat.argmax(1, keepdim=True).double()
        if flat.shape[1] == 1:
            codes = np.unique(flat[:, 0].numpy(), return_inverse=True)[1]
            common = np.argsort(-np.bincount(codes), kind="stable")[:CLASSES]
            return np.asarray(codes[:, None] == common, dtype=np.float64)
        return None
    numbers: Floats = flat.numpy()
    return numbers


def _between(columns: Floats, starts: Whole, sizes: Whole) -> float:
    """Share of the variance of columns that lies between the batches that they are cut into."""
    center = columns.mean(axis=0)
    total = float(np.square(columns).sum() - len(columns) * np.square(center).sum())
    if total <= 0:
        return 0.0
    means = np.add.reduceat(columns, starts, axis=0) / sizes[:, None]
    return float((sizes[:, None] * np.square(means - center)).sum()) / total
