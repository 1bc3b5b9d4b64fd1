"""Batches: every sample once, near-equal steps, the same for any number of processes, pieces and workers."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from chainrule import seeding
from chainrule.data.augment import Augment
from chainrule.data.batches import Batches
from chainrule.data.dataset import Rows
from chainrule.errors import InputError
from chainrule.registry import parse_list

CPU = torch.device("cpu")


def rows(n: int) -> Rows:
    return Rows(torch.arange(n).float()[:, None], torch.arange(n), [f"row {i}" for i in range(n)])


class Noisy(Dataset):
    """Samples that draw from all three global generators, as users' transforms do."""

    def __init__(self, n: int) -> None:
        self.targets, self.origin = torch.arange(n), [str(i) for i in range(n)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = [torch.rand(()).item(), float(np.random.rand()), random.random()]  # noqa: NPY002
        return torch.tensor([float(index), *drawn]), self.targets[index]


def collect(batches: Batches, epoch: int, start: int = 0) -> list[torch.Tensor]:
    return [torch.cat([piece.inputs for piece in pieces]) for pieces in batches.epoch(epoch, start)]


@pytest.mark.parametrize(("n", "size"), [(65, 64), (64, 64), (10, 3), (5, 64), (129, 64), (1, 8)])
def test_each_sample_comes_once_in_steps_of_nearly_equal_size(n: int, size: int) -> None:
    batches = Batches(rows(n), size=size, device=CPU, seed=1)
    steps = list(batches.epoch(1))
    sizes = [pieces[0].total for pieces in steps]
    assert len(steps) == batches.steps == -(-n // size)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= size
    assert sorted(torch.cat([pieces[0].index for pieces in steps]).tolist()) == list(range(n))
    assert all(torch.equal(pieces[0].inputs[:, 0].long(), pieces[0].targets) for pieces in steps)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return Batches(rows(50), size=8, device=CPU, seed=seed).order(epoch).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    assert Batches(rows(50), size=8, device=CPU).order(3).tolist() == list(range(50))


@pytest.mark.parametrize(("world", "pieces"), [(2, 1), (1, 3), (2, 2), (3, 1)])
def test_processes_and_pieces_share_the_same_steps(world: int, pieces: int) -> None:
    data = Rows(torch.rand(70, 1, 4, 4), torch.arange(70), [str(i) for i in range(70)])
    augment = Augment(parse_list("hflip, brightness"), 1.0)
    whole = collect(Batches(data, size=32, device=CPU, seed=5, augment=augment), 2)
    shares = [
        collect(Batches(data, size=32, device=CPU, seed=5, rank=rank, world=world, pieces=pieces, augment=augment), 2)
        for rank in range(world)
    ]
    for step, expected in enumerate(whole):
        torch.testing.assert_close(torch.cat([share[step] for share in shares]), expected, rtol=0, atol=0)


def test_a_resumed_epoch_goes_on_with_the_same_samples() -> None:
    batches = Batches(rows(40), size=8, device=CPU, seed=3)
    whole = collect(batches, 4)
    rest = collect(batches, 4, start=2)
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], rest, strict=True))


def test_a_process_without_a_share_of_a_small_split_gets_nothing() -> None:
    shares = [list(Batches(rows(1), size=8, device=CPU, rank=rank, world=2).epoch(0)) for rank in range(2)]
    assert sum(len(pieces) for share in shares for pieces in share) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_what_datasets_draw_depends_on_seed_epoch_and_sample_not_on_workers(workers: int) -> None:
    def drawn(seed: int, epoch: int, start: int = 0) -> torch.Tensor:
        batches = Batches(Noisy(12), size=4, device=CPU, seed=seed, workers=workers)
        found = torch.cat(collect(batches, epoch, start))
        return found[found[:, 0].argsort()]

    expected = []
    with seeding.preserved():
        for index in range(12):
            seeding.seed_all(7, seeding.SAMPLE, 1, index)
            expected.append(Noisy(12)[index][0])
    before = seeding.state()
    first = drawn(7, 1)
    assert torch.equal(first, torch.stack(expected))
    assert not torch.equal(first, drawn(7, 2))
    assert not torch.equal(first, drawn(8, 1))
    assert len(first[:, 1].unique()) == len(first[:, 2].unique()) == len(first[:, 3].unique()) == 12
    after = seeding.state()
    assert torch.equal(before["torch"], after["torch"])
    assert torch.equal(before["numpy"][1], after["numpy"][1])
    assert torch.equal(before["random"][1], after["random"][1])
    rest = drawn(7, 1, start=2)
    assert torch.equal(rest, first[rest[:, 0].long()])


def test_a_batch_too_small_for_its_parts_gets_a_sentence() -> None:
    with pytest.raises(InputError, match="cannot be cut into 8 parts"):
        Batches(rows(40), size=4, device=CPU, seed=0, world=2, pieces=4)


def test_seeding_restores_every_generator() -> None:
    seeding.seed_all(1)
    before = seeding.state()
    first = (torch.rand(3), np.random.rand(3), random.random())  # noqa: NPY002
    seeding.restore(before)
    again = (torch.rand(3), np.random.rand(3), random.random())  # noqa: NPY002
    assert torch.equal(first[0], again[0])
    assert (first[1] == again[1]).all()
    assert first[2] == again[2]
    assert seeding.mix(1, 2) != seeding.mix(2, 1)
