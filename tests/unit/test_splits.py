"""Splits: exact shares, groups apart, order kept, the same for the same seed."""

import numpy as np
import pytest
import torch

from chainrule.data.dataset import Data, Rows
from chainrule.data.spec import Real, Vector
from chainrule.data.splits import duplicates, split
from chainrule.errors import InputError

FRACTIONS = (0.6, 0.2, 0.2)


def assert_partition(parts, n):
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert all((np.diff(part) > 0).all() for part in parts)


def test_shares_are_exact_where_they_can_be():
    parts = split(100, fractions=FRACTIONS, seed=0)
    assert [len(part) for part in parts] == [60, 20, 20]
    assert_partition(parts, 100)


def test_same_seed_same_split_other_seed_other_split():
    first, again, other = (split(50, fractions=FRACTIONS, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(5))
def test_every_class_gets_its_share_to_within_one(seed):
    rng = np.random.default_rng(seed)
    strata = rng.permutation(np.repeat(np.arange(6), [50, 33, 20, 7, 4, 3]))
    parts = split(len(strata), fractions=FRACTIONS, seed=seed, strata=strata)
    assert_partition(parts, len(strata))
    for label, members in enumerate(np.bincount(strata)):
        counts = np.array([(strata[part] == label).sum() for part in parts])
        assert (counts >= 1).all()
        assert (np.abs(counts - np.array(FRACTIONS) * members) < 1).all()


def test_leftovers_are_shared_out_evenly():
    # 30 classes of 6: 3.6, 1.2, 1.2 leaves one sample a class; the totals must not drift from 108, 36, 36.
    strata = np.repeat(np.arange(30), 6)
    sizes = [len(part) for part in split(180, fractions=FRACTIONS, seed=0, strata=strata)]
    assert sizes == [120, 30, 30]
    # 30 classes of 7 leave a tie between validation and test, and neither is favoured.
    sizes = [len(part) for part in split(210, fractions=FRACTIONS, seed=0, strata=np.repeat(np.arange(30), 7))]
    assert sizes == [120, 45, 45]


def test_a_class_of_two_is_trained_and_tested():
    strata = np.array([0] * 10 + [1] * 2)
    train, valid, test = split(12, fractions=FRACTIONS, seed=1, strata=strata)
    assert [int((strata[part] == 1).sum()) for part in (train, valid, test)] == [1, 0, 1]


def test_two_parts():
    train, valid = split(20, fractions=(0.75, 0.25), seed=0, strata=np.arange(20) % 2)
    assert len(train) == 15
    assert len(valid) == 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("stratified", [False, True])
def test_groups_are_never_on_two_sides(seed, stratified):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 40, 400)
    strata = rng.integers(0, 3, 400) if stratified else None
    parts = split(400, fractions=FRACTIONS, seed=seed, strata=strata, groups=groups)
    assert_partition(parts, 400)
    owners = [set(groups[part].tolist()) for part in parts]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    sizes = np.array([len(part) for part in parts]) / 400
    assert np.abs(sizes - FRACTIONS).max() < 0.06


def test_grouped_split_keeps_the_classes_balanced():
    rng = np.random.default_rng(0)
    groups, strata = rng.integers(0, 100, 2000), rng.integers(0, 2, 2000)
    for part in split(2000, fractions=FRACTIONS, seed=0, strata=strata, groups=groups):
        assert abs(strata[part].mean() - strata.mean()) < 0.03


@pytest.mark.parametrize("sizes", [(1000, 1, 1), (5, 5, 5), (1, 1, 50, 50, 1)])
def test_few_and_uneven_groups_still_fill_each_part(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    parts = split(len(groups), fractions=(0.9, 0.05, 0.05), seed=0, groups=groups)
    assert_partition(parts, len(groups))
    assert all(len(part) for part in parts)


def test_order_trains_on_the_earliest():
    order = np.random.default_rng(0).permutation(100).astype(float)
    train, valid, test = split(100, fractions=FRACTIONS, seed=0, order=order)
    assert [len(train), len(valid), len(test)] == [60, 20, 20]
    assert order[train].max() < order[valid].min()
    assert order[valid].max() < order[test].min()


def test_equal_times_stay_together():
    order = np.repeat([1.0, 2.0, 3.0, 4.0], [55, 10, 20, 15])
    parts = split(100, fractions=FRACTIONS, seed=0, order=order)
    # The cut nearest to 60 is at 55 (or 65, equally near; the first wins), the one nearest to 80 is at 85.
    assert [len(part) for part in parts] == [55, 30, 15]


def test_ordered_groups_count_at_their_last_time():
    groups = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    order = np.array([0.0, 1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0])
    train, valid, test = split(8, fractions=(0.5, 0.25, 0.25), seed=0, groups=groups, order=order)
    assert groups[train].tolist() == [1, 2, 1, 2]
    assert set(groups[valid].tolist()) == {3}
    assert set(groups[test].tolist()) == {0}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fractions": (0.5, 0.5, 0.5)}, "add up to 1, but 0.5, 0.5, 0.5 came"),
        ({"fractions": (1.2, -0.1, -0.1)}, "have to be positive"),
        ({"fractions": (1.0,)}, "write for instance 0.6, 0.2, 0.2"),
        ({"groups": np.arange(10) % 2}, "2 groups are too few for 3 splits"),
        ({"groups": np.zeros(10, dtype=np.int64)}, "1 group is too few for 3 splits"),
        ({"order": np.array([0.0] * 5 + [1.0] * 5)}, "2 different times are too few for 3 splits"),
        ({"strata": np.repeat(np.arange(5), 2)}, "they would get 5, 0, 5 samples"),
    ],
)
def test_what_cannot_be_split_is_said(options, sentence):
    with pytest.raises(InputError, match=sentence):
        split(10, **{"fractions": FRACTIONS, "seed": 0, **options})


def test_too_few_samples():
    with pytest.raises(InputError, match="2 samples are too few for 3 splits"):
        split(2, fractions=FRACTIONS, seed=0)


def data_of(train, valid, test):
    rows = [Rows(part, torch.zeros(len(part), 1), ["?"] * len(part)) for part in (train, valid, test)]
    return Data(name="x", train=rows[0], valid=rows[1], test=rows[2], inputs=Vector.numbers(2), target=Real(("y",)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.uint8, torch.int16])
def test_duplicates_are_counted_across_splits(dtype):
    train = torch.arange(30).reshape(10, 3).to(dtype)
    valid = torch.cat([train[:2], train[:1], 100 + train[:4]])
    test = torch.cat([train[5:6], 100 + train[3:5]])
    assert duplicates(data_of(train, valid, test)) == {"train/valid": 3, "train/test": 1, "valid/test": 1}


def test_missing_values_and_signed_zeros_are_equal_inputs():
    train = torch.tensor([[float("nan"), 0.0], [1.0, 2.0], [3.0, 4.0]])
    test = torch.tensor([[float("nan"), -0.0], [2.0, 1.0]])
    assert duplicates(data_of(train, 7 + test, test)) == {"train/test": 1}
    assert duplicates(data_of(train, 7.5 + train, 9 + train[1:])) == {}


def test_duplicates_of_images_and_of_splits_with_their_own_fingerprints():
    images = torch.randint(0, 256, (20, 3, 5, 7), dtype=torch.uint8)
    data = data_of(images[:10], images[8:12], images[15:])
    assert duplicates(data) == {"train/valid": 2}

    class Files:
        targets, origin = torch.zeros(2), ["a", "b"]

        def __init__(self, *hashes):
            self.hashes = hashes

        def fingerprints(self):
            return np.array(self.hashes, dtype=np.uint64)

    streamed = Data(
        name="x", train=Files(1, 2), valid=Files(3, 4), test=Files(2, 2), inputs=data.inputs, target=data.target
    )
    assert duplicates(streamed) == {"train/test": 2}


def test_folds_leave_the_test_part_and_validate_on_each_other_sample_once():
    strata = np.arange(103) % 3
    whole = split(103, fractions=FRACTIONS, seed=5, strata=strata)
    validated = []
    for number in range(1, 6):
        train, valid, test = split(103, fractions=FRACTIONS, seed=5, strata=strata, fold=(number, 5))
        assert np.array_equal(test, whole[2])
        assert_partition((train, valid, test), 103)
        assert len(valid) in (16, 17)
        validated.append(valid)
    assert sorted(np.concatenate(validated)) == sorted(np.concatenate(whole[:2]))


def test_folds_keep_groups_apart_and_a_lone_class_in_training():
    groups = np.arange(60) // 4
    train, valid, test = split(60, fractions=FRACTIONS, seed=0, groups=groups, fold=(2, 3))
    assert not set(groups[train]) & (set(groups[valid]) | set(groups[test]))
    strata = np.array([0] * 40 + [1] * 2)
    for number in (1, 2, 3):
        train, _, _ = split(42, fractions=FRACTIONS, seed=1, strata=strata, fold=(number, 3))
        assert (strata[train] == 1).sum() == 1


def test_ordered_rows_have_no_folds():
    with pytest.raises(InputError, match="no folds"):
        split(40, fractions=FRACTIONS, seed=0, order=np.arange(40.0), fold=(1, 5))
