"""``load``: every source, the options it understands, and the sentence for what it cannot read."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import datasets
from torch.utils.data import Dataset, IterableDataset, TensorDataset

import chainrule.data
from chainrule.data import Classes, Column, Image, Labels, Real, Vector, load
from chainrule.data.loading import FRACTIONS
from chainrule.errors import InputError, UnknownNameError

LOADERS = {
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast-cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "linnerud": datasets.load_linnerud,
}


def positions(split):
    return [int(origin.split()[1]) - 1 for origin in split.origin]


# Built-in sets


@pytest.mark.parametrize("name", sorted(LOADERS))
def test_built_in_sets_hold_what_scikit_learn_has(name):
    data, bunch = load(name), LOADERS[name]()
    assert sorted(row for split in data.splits.values() for row in positions(split)) == list(range(len(bunch.data)))
    for split in data.splits.values():
        rows = positions(split)
        np.testing.assert_array_equal(split.inputs.flatten(1).numpy(), bunch.data[rows])
        np.testing.assert_allclose(split.targets.numpy().squeeze(), bunch.target[rows], rtol=1e-6)
    assert abs(len(data.train) / len(bunch.data) - FRACTIONS[0]) < 0.02


def test_specs_of_the_built_in_sets():
    digits, iris, linnerud = load("digits"), load("iris", fractions=(0.6, 0.2, 0.2)), load("linnerud")
    assert digits.inputs == Image(1, 8, 8, white=16.0)
    assert digits.train.inputs.dtype == torch.uint8
    assert digits.target == Classes(tuple("0123456789"))
    assert iris.inputs.names == tuple(datasets.load_iris().feature_names)
    assert iris.target == Classes(("setosa", "versicolor", "virginica"))
    assert iris.train.targets.bincount().tolist() == [30, 30, 30]
    assert linnerud.target == Real(("Weight", "Waist", "Pulse"))
    assert linnerud.train.targets.shape == (13, 3)
    assert load("diabetes").target.names == ("disease progression",)


def test_seed_and_fractions():
    assert list(load("iris", seed=1).test.origin) == list(load("iris", seed=1).test.origin)
    assert list(load("iris", seed=1).test.origin) != list(load("iris", seed=2).test.origin)
    data = load("iris", fractions=(0.8, 0.1, 0.1))
    assert [len(split) for split in data.splits.values()] == [120, 15, 15]


def test_duplicates_are_counted():
    # The iris set holds one flower twice.
    bunch = datasets.load_iris()
    assert len(np.unique(bunch.data, axis=0)) == 149
    found = [load("iris", seed=seed).duplicates for seed in range(8)]
    assert any(found)
    assert all(sum(pairs.values()) <= 1 for pairs in found)


# Files


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"size": rng.normal(size=40).round(2), "shape": rng.choice(["round", "long"], 40)})
    table["y"] = np.where(rng.random(40) < 0.5, "apple", "pear")
    return table


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("a.csv", lambda table, path: table.to_csv(path, index=False)),
        ("b.tsv", lambda table, path: table.to_csv(path, index=False, sep="\t")),
        ("s.csv", lambda table, path: table.to_csv(path, index=False, sep=";")),
        ("bar.txt", lambda table, path: table.to_csv(path, index=False, sep="|")),
        ("bom.csv", lambda table, path: table.to_csv(path, index=False, encoding="utf-8-sig")),
        ("crlf.csv", lambda table, path: table.to_csv(path, index=False, lineterminator="\r\n")),
        ("index.csv", lambda table, path: table.to_csv(path)),
        ("c.parquet", lambda table, path: table.to_parquet(path)),
        ("d.pq", lambda table, path: table.set_index("size").reset_index().to_parquet(path)),
    ],
)
def test_every_table_file_gives_the_same_data(tmp_path, frame, file, write):
    write(frame, tmp_path / file)
    data, wanted = load(tmp_path / file, target="y"), load(frame, target="y")
    assert data.name == file
    assert data.inputs == wanted.inputs == Vector((Column("size"), Column("shape", "category", ("long", "round"))))
    assert data.target == Classes(("apple", "pear"))
    for name, split in data.splits.items():
        assert torch.equal(split.inputs, wanted.splits[name].inputs)
        assert torch.equal(split.targets, wanted.splits[name].targets)
    rows = frame.iloc[positions(data.train)]
    np.testing.assert_array_equal(data.train.inputs[:, 0], rows["size"])


def test_quoted_cells_keep_separators_and_line_breaks(tmp_path):
    path = tmp_path / "q.csv"
    path.write_text('"a, b",note,y\n' + '1,"x, y",u\n2,"two\nlines",v\n' * 10)
    data = load(path, target="y")
    assert data.inputs.names == ("a, b", "note")
    assert data.inputs.columns[1].categories == ("two\nlines", "x, y")


def test_a_header_longer_than_the_first_look(tmp_path):
    path = tmp_path / "wide.csv"
    names = [f"a_rather_long_name_of_a_column_{i}" for i in range(3000)]
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.integers(0, 9, (12, 3000)), columns=names).assign(y=["u", "v"] * 6).to_csv(path, index=False)
    assert path.read_bytes().index(b"\n") > 64 * 1024
    assert load(path, target="y").inputs.names == tuple(names)


BODY = b"a,b,y\n" + b"".join(b"%d,%d,%s\n" % (i * i, i % 7, b"uv"[i % 2 : i % 2 + 1]) for i in range(20))


@pytest.mark.parametrize(
    ("file", "octets", "sentence"),
    [
        ("x.csv", b"", "is empty; a table begins with a header"),
        ("x.csv", b"\n\n  \n", "is empty"),
        ("x.csv", b"a,b,y\n", "has a header but no rows"),
        ("x.csv", BODY + b"1,2\n", "Line 22 of .* has 2 fields, .* 3 .separated by commas.: '1' and '2'"),
        ("x.csv", BODY + b"1,2,u,4\n" + BODY, "Line 22 of .* has 4 fields, but the header has 3"),
        ("x.tsv", BODY.replace(b",", b"\t") + b"1\n", "Line 22 of .* has 1 fields, .*separated by tabs"),
        ("x.csv", BODY.replace(b",", b" "), "No character that separates the columns .* the one column 'a b y'"),
        ("x.csv", BODY + b"caf\xe9,1,u\n", "byte 0xe9 at position 15[0-9] .line 22.; .*iconv -f WINDOWS-1252"),
        ("x.csv", BODY * 2000 + b"caf\xe9,1,u\n", "is not UTF-8: byte 0xe9 at position .*line 42001"),
        ("x.csv", BODY.decode().encode("utf-16"), "is not UTF-8: byte 0xff at position 0 .*iconv -f UTF-16"),
        ("x.csv", b"PK\x03\x04\0\0", "holds zero bytes, so it is no text"),
        ("x.csv", BODY.replace(b"a,b,y", b"a,a,y"), "header names 'a' more than once"),
        ("x.csv", BODY.replace(b"a,b,y", b"a,b,yy"), "no column named 'y' for --target; did you mean 'yy'"),
        ("x.parquet", b"PAR1 but not for long PAR1", "cannot be read as Parquet, it is damaged"),
        ("x.parquet", b"", "cannot be read as Parquet"),
        ("x.xlsx", b"PK", "of no kind that can be loaded; bring .* ends in .csv"),
        ("x.npz", b"PK", "cannot be read: it is damaged"),
        ("x.npz", b"PK\x03\x04 and then nothing", "cannot be read: it is damaged"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(tmp_path, file, octets, sentence):
    (tmp_path / file).write_bytes(octets)
    options = {} if file.endswith(("npz", "xlsx")) else {"target": "y"}
    with pytest.raises(InputError, match=sentence):
        load(tmp_path / file, **options)


def test_a_parquet_file_cut_short(tmp_path, frame):
    path = tmp_path / "cut.parquet"
    frame.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="it is damaged"):
        load(path, target="y")


@pytest.mark.parametrize(
    ("source", "error", "sentence"),
    [
        ("digit", UnknownNameError, "no built-in data set, file or folder named 'digit'; did you mean 'digits'"),
        ("zzz", UnknownNameError, "write one of: breast-cancer, diabetes"),
        ("zzz.csv", InputError, "There is no file or folder 'zzz.csv'; check the path"),
        ("no/such/folder", InputError, "There is no file or folder"),
        (3, InputError, "Data of type int cannot be loaded"),
    ],
)
def test_sources_that_do_not_exist(tmp_path, monkeypatch, source, error, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=sentence):
        load(source)


def test_a_file_that_does_not_exist_names_the_nearest(tmp_path, frame):
    frame.to_csv(tmp_path / "fruit.csv")
    with pytest.raises(InputError, match=r"did you mean '.*fruit\.csv'"):
        load(tmp_path / "friut.csv", target="y")


# Arrays, tensors, torch datasets


def test_arrays_of_numbers():
    x, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    data = load((x, y))
    assert data.inputs == Vector.numbers(3)
    assert data.target == Classes(("0", "1"))
    assert data.train.inputs.dtype == torch.float64
    np.testing.assert_array_equal(data.train.inputs, x[positions(data.train)])
    same = load((torch.from_numpy(x), torch.from_numpy(y)))
    assert torch.equal(same.test.inputs, data.test.inputs)


@pytest.mark.parametrize(
    ("y", "target"),
    [
        (np.arange(90) % 30, Classes(tuple(str(i) for i in range(30)))),
        (np.array(["b", "a"] * 30), Classes(("a", "b"))),
        (np.arange(60) % 2 == 0, Classes(("False", "True"))),
        (np.linspace(0, 1, 60), Real(("target",))),
        (np.arange(60)[:, None] % 3, Classes(("0", "1", "2"))),
        (np.eye(3)[np.arange(60) % 3], Labels(("y0", "y1", "y2"))),
        (np.linspace(0, 1, 120).reshape(60, 2), Real(("y0", "y1"))),
        (np.arange(60) * 7, Real(("target",))),
    ],
)
def test_targets_of_arrays(y, target):
    assert load((np.random.default_rng(0).normal(size=(len(y), 2)), y)).target == target


@pytest.mark.parametrize(
    ("x", "inputs", "dtype"),
    [
        (np.full((20, 8, 9), 200, dtype=np.uint8), Image(1, 8, 9), torch.uint8),
        (np.full((20, 3, 8, 9), 7, dtype=np.uint8), Image(3, 8, 9), torch.uint8),
        (np.full((20, 8, 9, 3), 7, dtype=np.int64), Image(3, 8, 9, white=16.0), torch.uint8),
        (np.full((20, 8, 9, 1), 0.5), Image(1, 8, 9, white=1.0), torch.float32),
        (np.full((20, 12, 8, 9), 254.5), Image(12, 8, 9), torch.float32),
    ],
)
def test_images_in_arrays(x, inputs, dtype):
    x = x.copy()
    x[:, ..., 0] = 0
    x.reshape(20, -1)[:, 1] = np.arange(20) % 5 * x.max() / 5
    data = load((x, np.arange(20) % 2))
    assert data.inputs == inputs
    assert data.train.inputs.dtype == dtype
    assert data.train.inputs.shape[1:] == inputs.shape
    if x.shape[-1] in (1, 3):
        assert "last axis is the channels" in data.notes[0]
        image = np.moveaxis(x[positions(data.train)[0]], -1, 0)
        np.testing.assert_allclose(data.train.inputs[0], image)


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.zeros((5, 2)), np.zeros(4), "5 samples and 4 targets came"),
        (np.zeros((0, 2)), np.zeros(0), "0 samples and 0 targets came"),
        (np.zeros(8), np.arange(8) % 2, r"but \[8\] of type float64 came"),
        (np.zeros((8, 2)), np.zeros((8, 2, 2)), r"\[n\] or \[n, k\], but \[8, 2, 2\] came"),
        (np.full((8, 4, 4), np.nan), np.arange(8) % 2, "8 of 8 images hold NaN or infinity: sample 1, 2"),
        (np.array([[np.inf, 1]] * 8), np.arange(8) % 2, "8 infinite values"),
        (np.zeros((8, 2), dtype=complex), np.arange(8) % 2, "type complex128 came"),
        ([[1, 2], [3]] * 4, np.arange(8) % 2, "make all rows equally long"),
    ],
)
def test_arrays_that_cannot_be_used(x, y, sentence):
    with pytest.raises(InputError, match=sentence):
        load((x, y))


def test_pairs_with_frames_are_tables(frame):
    x, y = frame[["size", "shape"]].set_index(frame.index + 7), frame["y"]
    data, wanted = load((x, y)), load(frame, target="y")
    assert data.inputs == wanted.inputs
    assert torch.equal(data.test.inputs, wanted.test.inputs)
    assert load((x, y.to_numpy())).target == wanted.target
    assert load((x.to_numpy(), y.to_numpy())).inputs.names == ("x0", "x1")
    several = load((x, pd.DataFrame({"a": np.arange(40) / 3, "b": np.arange(40) / 7})))
    assert several.target == Real(("a", "b"))
    with pytest.raises(InputError, match="40 rows and 39 targets came"):
        load((x, y[:-1]))


class Noisy(Dataset):
    """Gives another view of a sample each time, as a random transform does."""

    classes = ("cat", "dog")

    def __init__(self, n=30, shape=(3, 4, 5)):
        self.n, self.shape, self.reads = n, shape, 0

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.reads += 1
        return torch.full(self.shape, float(index)) + 0.5 * torch.rand(self.shape), index % 2


def test_a_torch_dataset_stays_a_stream():
    source = Noisy()
    data = load(source)
    assert data.inputs == Image(3, 4, 5, white=1.0)
    assert data.target == Classes(("cat", "dog"))
    assert source.reads == 31  # the first sample, and one pass for the targets
    first, second = data.valid[0], data.valid[0]
    index = positions(data.valid)[0]
    assert not torch.equal(first[0], second[0])
    assert int(first[0].mean()) == index
    assert first[1] == data.valid.targets[0] == index % 2
    assert data.duplicates == {}
    assert any("random transform" in note for note in data.notes)

    source.targets = [index % 2 for index in range(30)]
    source.reads = 0
    load(source)
    assert source.reads == 1


def test_a_tensor_dataset_is_arrays():
    x, y = torch.randn(30, 4), torch.arange(30) % 3
    data = load(TensorDataset(x, y))
    assert data.inputs == Vector.numbers(4)
    assert torch.equal(data.train.inputs, x[positions(data.train)].double())


def test_a_torch_dataset_of_rows():
    data = load(Noisy(shape=(6,)))
    assert data.inputs == Vector.numbers(6)
    assert data.train[0][0].dtype == torch.float64


class Triples(Noisy):
    def __getitem__(self, index):
        return (*super().__getitem__(index), "more")


class Pictures(Noisy):
    def __getitem__(self, index):
        return object(), 0


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (Triples(), r"has to be a pair \(x, y\)"),
        (Pictures(), "but a object came; give the dataset a transform"),
        (Noisy(shape=(4, 5)), r"an image \[c, h, w\] or a volume \[c, d, h, w\], but \[4, 5\] came"),
        (Noisy(n=0), "The dataset Noisy is empty"),
        (Stream(), "A dataset with a length and an index is wanted"),
    ],
)
def test_torch_datasets_that_cannot_be_used(source, sentence):
    with pytest.raises(InputError, match=sentence):
        load(source)


def test_samples_of_another_shape_are_refused_where_they_come():
    class Uneven(Noisy):
        def __getitem__(self, index):
            return torch.zeros(3, 4, 5 + (index == 29)), index % 2

    data = load(Uneven())
    for split in data.splits.values():
        for index, row in enumerate(positions(split)):
            if row == 29:
                with pytest.raises(InputError, match=r"sample 30 has \[3, 4, 6\]"):
                    split[index]


# NPZ


def test_npz_with_one_pair(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
    np.savez(tmp_path / "a.npz", X=x, Y=y)
    data = load(tmp_path / "a.npz")
    assert data.name == "a.npz"
    np.testing.assert_array_equal(data.test.inputs, x[positions(data.test)])


@pytest.mark.parametrize("with_valid", [True, False])
def test_npz_with_given_splits(tmp_path, with_valid):
    rng = np.random.default_rng(0)
    sizes = {"train": 40, "valid": 12, "test": 8}
    arrays = {}
    for part, size in sizes.items():
        if part != "valid" or with_valid:
            arrays[f"x_{part}"] = rng.integers(0, 256, (size, 4, 5), dtype=np.uint8)
            arrays[f"y_{part}"] = np.arange(size) % 2
    np.savez(tmp_path / "s.npz", **arrays)
    data = load(tmp_path / "s.npz", fractions=(0.6, 0.2, 0.2))
    assert data.inputs == Image(1, 4, 5)
    np.testing.assert_array_equal(data.test.inputs[:, 0], arrays["x_test"])
    if with_valid:
        np.testing.assert_array_equal(data.train.inputs[:, 0], arrays["x_train"])
        np.testing.assert_array_equal(data.valid.targets, arrays["y_valid"])
        assert data.notes == ()
    else:
        assert [len(split) for split in data.splits.values()] == [30, 10, 8]
        assert data.valid.targets.bincount().tolist() == [5, 5]
        assert "cut from the training split" in data.notes[0]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": np.zeros(3)}, "holds the arrays 'a', but 'x' and 'y' are wanted"),
        ({"x": np.array([{}, {}], dtype=object), "y": np.arange(2)}, "holds Python objects"),
        (
            {"x_train": np.zeros((4, 2)), "y_train": np.arange(4), "x_test": np.zeros((4, 3)), "y_test": np.arange(4)},
            "samples of different shapes",
        ),
        (
            {"x_train": np.zeros((4, 2)), "y_train": np.arange(3), "x_test": np.zeros((4, 2)), "y_test": np.arange(4)},
            "4 samples and 3 targets came",
        ),
    ],
)
def test_npz_that_cannot_be_used(tmp_path, arrays, sentence):
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(InputError, match=sentence):
        load(tmp_path / "b.npz")


# Options


@pytest.mark.parametrize(
    ("source", "options", "sentence"),
    [
        ("digits", {"target": "y"}, "'target' has no meaning for the built-in 'digits'"),
        ("iris", {"group": "a", "size": 8}, "'group' and 'size' has no meaning"),
        ((np.zeros((4, 2)), np.arange(4)), {"target": "y"}, "'target' has no meaning for a pair of arrays"),
        (pd.DataFrame({"x": [1], "y": [2]}), {"size": 8}, "'size' has no meaning for a DataFrame; .*'target', 'kind'"),
        ((pd.DataFrame({"x": [1]}), [2]), {"target": "y"}, "'target' has no meaning for a pair of a table"),
        (
            Noisy(),
            {"missing": "?"},
            "'missing' has no meaning for a torch dataset; leave it out .it understands 'kind'",
        ),
    ],
)
def test_options_without_meaning_are_refused(source, options, sentence):
    with pytest.raises(InputError, match=sentence):
        load(source, **options)


def test_data_is_returned_as_it_is():
    data = load("linnerud")
    assert load(data) is data
    assert load(data, seed=3, target=(), categorical=()) is data
    with pytest.raises(InputError, match="'fractions' has no meaning for Data"):
        load(data, fractions=(0.8, 0.1, 0.1))


def test_one_word_is_a_list_of_one(frame):
    frame["size"] = frame["size"].astype(str).where(frame.index != 3, "?")
    data = load(frame, target="y", missing="?", categorical="shape")
    assert data.inputs.columns[0].kind == "number"


# The room


def test_public_names():
    names = {"load", "Data", "Rows", "Vector", "Image", "Volume", "Column", "Classes", "Labels", "Real"}
    assert names == set(chainrule.data.__all__)
    assert all(hasattr(chainrule.data, name) for name in chainrule.data.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = chainrule.data.nothing


def test_the_room_costs_little_to_import():
    code = (
        "import sys, chainrule.data; assert 'torch' not in sys.modules; "
        "from chainrule.data import load; load; assert not {'pandas', 'sklearn', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
