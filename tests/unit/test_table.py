"""Tables: what a column is, how its cells are read, and what is said about a table that cannot be used."""

import math
import time

import numpy as np
import pandas as pd
import pytest
import torch

from chainrule.data.sources import table
from chainrule.data.sources.columns import encode, infer, unused_columns
from chainrule.data.sources.files import read_chunks, read_table
from chainrule.data.sources.target import read_target
from chainrule.data.spec import Classes, Column, Labels, Real, Vector
from chainrule.errors import InputError, UnknownNameError
from chainrule.nn.preparation import TableEncoder

NAN = float("nan")


def inferred(**columns):
    frame = pd.DataFrame(columns)
    return infer(frame, np.arange(len(frame)))


def kind_of(values, **options):
    frame = pd.DataFrame({"x": values})
    return infer(frame, np.arange(len(frame)), **options)[0].columns[0].kind


def raw(column, values, missing=()):
    return encode(pd.DataFrame({column.name: values}), Vector((column,), missing))[:, 0].tolist()


def from_frame(frame, **options):
    return table.from_frame(frame, **{"fractions": (0.6, 0.2, 0.2), **options})


# Kinds


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", " 2.5 ", "-3e4", "+7", ""], "number"),
        ([1, 2, 3], "number"),
        ([1.5, None, 3.0], "number"),
        (pd.array([1, None, 3], dtype="Int64"), "number"),
        (["true", "FALSE", "NA"], "boolean"),
        (["yes", "no", "Yes"], "boolean"),
        ([True, False, True], "boolean"),
        ([True, None, False], "boolean"),
        (["red", "green", "red"], "category"),
        (pd.Categorical([1, 2, 1]), "category"),
        (["2024-01-31", "2024-02-29", "null"], "date"),
        (["2024-01-31T10:00:00Z", "2024-02-29 11:30", "1999-12-31"], "date"),
        (["31.12.2023", "1.2.2024 08:15", "2.2.2024"], "date"),
        (["3 Mar 2024", "Mar 4, 2024", "2024/3/5"], "date"),
        (pd.to_datetime(["2024-01-01", "2024-01-02", None]), "date"),
        (["2024-13-01", "2024-14-02", "2024-13-01"], "category"),
    ],
)
def test_kind(values, kind):
    assert kind_of(values) == kind


def test_forced_categories_and_words_for_missing():
    assert kind_of(["1", "2", "1"], categorical=["x"]) == "category"
    assert kind_of(["1", "2", "?"], missing=["?"]) == "number"
    assert kind_of(["1", "two", "1"], categorical=["x"]) == "category"


def test_dates_are_days_since_1970_in_utc():
    cells = ["1970-01-02", "2000-03-01 12:00", "1969-12-31T18:00:00-06:00", None]
    days = raw(Column("d", "date"), cells)
    assert days[:3] == [1.0, 11017.5, 0.0]
    assert math.isnan(days[3])
    assert raw(Column("d", "date"), pd.to_datetime(["1970-01-02 06:00"])) == [1.25]
    assert raw(Column("d", "date"), ["2.1.1970 06:00", "Jan 2, 1970"]) == [1.25, 1.0]


def test_categories_are_those_of_the_training_rows():
    frame = pd.DataFrame({"color": ["red", "green", "blue", "red", None], "x": range(5)})
    inputs, _ = infer(frame, np.array([0, 1, 3]))
    assert inputs.columns[0] == Column("color", "category", ("green", "red"))
    assert raw(inputs.columns[0], frame["color"])[:4] == [1, 0, -1, 1]
    assert math.isnan(raw(inputs.columns[0], frame["color"])[4])


def test_categories_read_the_same_from_text_and_from_numbers():
    column = Column("zip", "category", ("1", "2.5"))
    assert raw(column, ["1", " 2.5"]) == raw(column, [1.0, 2.5]) == [0, 1]
    assert raw(column, pd.Categorical([1.0, 2.5])) == [0, 1]
    assert raw(column, [1, 3]) == [0, -1]


def test_what_cannot_help_is_left_out_and_said():
    n = 40
    inputs, notes = inferred(
        good=range(5, 5 + n),
        id=range(1, n + 1),
        constant=["same"] * n,
        same=[3.5] * n,
        empty=[None] * n,
        name=[f"person {i}" for i in range(n)],
        us=["03/04/2024", "12/31/2024"] * (n // 2),
        sometimes=[1.0, None] * (n // 2),
    )
    assert inputs.names == ("good", "sometimes")
    text = " ".join(notes)
    assert "Left out 'constant' and 'same': each training row has the same value." in text
    assert "Left out 'empty': the training rows hold no value." in text
    assert "Left out 'id': it only counts the rows." in text
    assert "Left out 'name': a text that differs in nearly each row" in text
    assert "Left out 'us': dates whose day and month cannot be told apart" in text


def test_constant_and_empty_are_judged_on_the_training_rows():
    frame = pd.DataFrame({"x": [1, 2, 3, 4], "c": [7, 7, 7, 8], "e": [None, None, None, 1.0]})
    inputs, _ = infer(frame, np.array([0, 1, 2]))
    assert inputs.names == ("x",)


def test_a_category_keeps_its_hundred_most_frequent_values():
    values = np.concatenate([np.repeat(np.arange(150), 2), np.arange(50, 150)]).astype(str)
    inputs, notes = inferred(city=[f"c{value}" for value in values])
    column = inputs.columns[0]
    assert set(column.categories) == {f"c{i}" for i in range(50, 150)}
    assert "100 most frequent" in notes[0]
    assert raw(column, ["c3", "c77"])[0] == Column.UNSEEN


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (["1", "2", "many", "4"], "mixes 3 numbers with 1 other text, .* 'many' in row 3; .*--categorical 'x'"),
        (["1", "2", "?", "?"], "mixes 2 numbers with 2 other texts, .*--missing '\\?'"),
        (["2024-01-01", "2024-01-02", "soon"], "mixes 2 dates with 1 other text, the first of them 'soon' in row 3"),
        (["1,5", "2,25", "3,0"], "numbers with a comma, such as '1,5'"),
        (["950", "1,250", "3"], "numbers with a comma, such as '1,250'"),
        ([[1, 2], [3], [4]], "holds values of type list"),
        ([1 + 2j, 3j, 0j], "holds values of type complex number"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_read(values, sentence):
    with pytest.raises(InputError, match=sentence):
        inferred(x=values)


# Encoding


def test_encode_takes_frames_dictionaries_arrays_and_tensors():
    inputs = Vector((Column("a"), Column("b", "category", ("u", "v"))))
    frame = pd.DataFrame({"b": ["v", "w"], "extra": [0, 0], "a": [1, 2]})
    wanted = torch.tensor([[1.0, 1.0], [2.0, -1.0]], dtype=torch.float64)
    assert torch.equal(encode(frame, inputs), wanted)
    assert torch.equal(encode([{"a": 1, "b": "v"}, {"b": "w", "a": "2"}], inputs), wanted)
    assert torch.equal(encode(np.array([[1, "v"], [2, "w"]], dtype=object), inputs), wanted)
    assert torch.equal(encode(wanted.float(), inputs), wanted)
    assert unused_columns(frame, inputs) == ["extra"]


def test_training_rows_and_later_rows_are_encoded_alike(tmp_path):
    frame = mixed_frame(300)
    data = from_frame(frame, target="y")
    frame.drop(columns="y").to_csv(tmp_path / "new.csv", index=False)
    whole = encode(read_table(tmp_path / "new.csv"), data.inputs)
    pieces = torch.cat([encode(piece, data.inputs) for piece in read_chunks(tmp_path / "new.csv", rows=37)])
    assert torch.equal(whole.nan_to_num(-7), pieces.nan_to_num(-7))
    for split in data.splits.values():
        rows = [int(origin.split()[1]) - 1 for origin in split.origin]
        torch.testing.assert_close(split.inputs, whole[rows], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (pd.DataFrame({"Age": [1]}), "trained with 2 columns that the rows lack, 'age' and 'when'; is 'Age' the same?"),
        (pd.DataFrame({"age": [1], "z": [2]}), "1 column that the rows lack, 'when'; there are 'age' and 'z'"),
        (
            pd.DataFrame({"age": ["1", "x"], "when": [None] * 2}),
            "Column 'age' wants a number, but holds 'x' .* in row 2",
        ),
        (pd.DataFrame({"age": [1], "when": ["later"]}), "Column 'when' wants a date such as .* holds 'later'"),
        (pd.DataFrame({"age": [1, math.inf], "when": [None] * 2}), "1 infinite value, in row 2, column 'age'"),
        (pd.DataFrame([[1, 2]], columns=["age", "age"]), "header names 'age' more than once"),
        (np.zeros((3, 5)), r"have to come as \[n, 2\], .* shape \[3, 5\] came"),
        (torch.zeros(2), r"shape \[2\] came"),
        (torch.tensor([[1.0, math.inf]]), "1 infinite value, in row 1, column 'when'"),
    ],
)
def test_rows_that_do_not_fit_the_model(frame, sentence):
    with pytest.raises(InputError, match=sentence):
        encode(frame, Vector((Column("age"), Column("when", "date"))))


def test_words_for_missing_hold_at_prediction_too():
    assert math.isnan(raw(Column("x"), ["?"], missing=("?",))[0])
    with pytest.raises(InputError, match="'\\?' or the like in row 1; correct it, or leave"):
        raw(Column("x"), ["?"])


def test_rows_of_a_later_chunk_are_counted_from_the_start_of_the_file(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("x\n" + "1\n" * 99 + "oops\n")
    pieces = list(read_chunks(path, rows=30))
    assert [len(piece) for piece in pieces] == [30, 30, 30, 10]
    with pytest.raises(InputError, match="row 100"):
        encode(pieces[-1], Vector.numbers(["x"]))


# Targets


@pytest.mark.parametrize(
    ("values", "spec"),
    [
        (["b", "a", "b", "a"], Classes(("a", "b"))),
        ([3, 10, 3, 10], Classes(("3", "10"))),
        (["3", "10", "3", "10"], Classes(("3", "10"))),
        ([1.0, 2.0, 1.0, 2.0], Classes(("1", "2"))),
        ([True, False, True, False], Classes(("False", "True"))),
        (["yes", "no", "yes", "no"], Classes(("no", "yes"))),
        ([1.5, 2.0, 1.0, 2.0], Real(("y",))),
        ([1, 2, 3, 4], Real(("y",))),
        (list(range(30)) * 3, Real(("y",))),
    ],
)
def test_kind_of_target(values, spec):
    found, targets, _ = read_target(pd.DataFrame({"y": values}))
    assert found == spec
    if isinstance(spec, Classes):
        text = [str(value).removesuffix(".0") for value in values]
        assert [spec.names[code] for code in targets.tolist()] == text
        assert targets.dtype == torch.int64
    else:
        assert targets.tolist() == [[float(value)] for value in values]


def test_several_targets():
    spec, targets, _ = read_target(pd.DataFrame({"a": [0, 1, 1], "b": ["yes", "no", "no"]}))
    assert spec == Labels(("a", "b"))
    assert targets.tolist() == [[0, 1], [1, 0], [1, 0]]
    spec, targets, _ = read_target(pd.DataFrame({"a": [0.5, 1, 2], "b": [1, 2, 3]}))
    assert spec == Real(("a", "b"))
    assert targets.dtype == torch.float32


def test_the_kind_of_target_can_be_said():
    assert read_target(pd.DataFrame({"y": [1, 2, 1, 2]}), kind="real")[0] == Real(("y",))
    assert read_target(pd.DataFrame({"y": [1.5, 2.5, 1.5, 2.5]}), kind="classes")[0] == Classes(("1.5", "2.5"))
    assert read_target(pd.DataFrame({"y": [0, 1, 1]}), kind="labels")[0] == Labels(("y",))
    note = read_target(pd.DataFrame({"y": [1, 2, 1, 2]}))[2][0]
    assert "2 different whole numbers and is taken as classes; --kind real" in note


@pytest.mark.parametrize(
    ("values", "options", "sentence"),
    [
        ([1.5, NAN, math.inf, 2.5], {}, "'y' is missing or not finite in 2 of 4 rows: rows 2 and 3"),
        (["a", "", "b", "NA"], {}, "2 of 4 rows: rows 2 and 4"),
        (["a", "?", "b", "a"], {"missing": ["?"]}, "1 of 4 rows: row 2"),
        (["a"] * 4, {}, "one class only, 'a' in all 4 rows"),
        ([2.0] * 4, {"kind": "real"}, "same value in all 4 rows"),
        (["a", "1", "b", "a"], {"kind": "real"}, "hold numbers, but 3 of 4 values do not: 'a' is the first, in rows 1"),
        ([0, 1, 2, 1], {"kind": "labels"}, "hold 0 or 1, but 1 of 4 values do not: '2' is the first, in row 3"),
        (["2024-01-01", "2024-01-02"] * 2, {}, "holds dates; write --kind classes"),
        ([[1], [2]], {}, "holds values of type list"),
    ],
)
def test_targets_that_cannot_be_learned(values, options, sentence):
    with pytest.raises(InputError, match=sentence):
        read_target(pd.DataFrame({"y": values}), **options)


def test_classes_stand_in_one_column():
    with pytest.raises(InputError, match="Classes stand in one column, but 'a' and 'b' came"):
        read_target(pd.DataFrame({"a": ["u", "v"], "b": ["u", "v"]}), kind="classes")
    with pytest.raises(UnknownNameError, match="did you mean 'classes'"):
        read_target(pd.DataFrame({"a": ["u", "v"]}), kind="class")


# Whole tables


def mixed_frame(n, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": rng.normal(5, 2, n).round(3),
            "stamp": 1_700_000_000 + rng.permutation(n),
            "flag": rng.choice(["yes", "no"], n),
            "color": rng.choice(["red", "green", "blue"], n),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**8, n), unit="s"),
        }
    )
    frame.loc[rng.random(n) < 0.1, "number"] = None
    frame.loc[rng.random(n) < 0.1, "color"] = None
    frame["y"] = rng.choice(["good", "bad"], n)
    return frame


def test_what_is_learned_comes_from_the_training_rows_only():
    frame = mixed_frame(200)
    data = from_frame(frame, target="y")
    elsewhere = [int(origin.split()[1]) - 1 for split in (data.valid, data.test) for origin in split.origin]
    changed = frame.copy()
    changed.loc[elsewhere, ["number", "stamp"]] = [1e9, 3]
    changed.loc[elsewhere, "color"] = "violet"
    changed.loc[elsewhere, "when"] = pd.Timestamp("1900-01-01")
    again = from_frame(changed, target="y")
    assert again.inputs == data.inputs
    learned, relearned = (TableEncoder.learn(d.inputs.columns, d.train.inputs) for d in (data, again))
    assert learned.options() == relearned.options()
    for key, value in learned.state_dict().items():
        assert torch.equal(value, relearned.state_dict()[key])
    color = data.inputs.names.index("color")
    assert (again.test.inputs[:, color] == Column.UNSEEN).all()
    hot = [i for i, position in enumerate(learned.hot_from.tolist()) if position == color]
    start = learned.scale.features + 1
    assert (relearned(again.test.inputs)[:, start : start + len(hot)] == 0).all()


def test_time_stamps_stay_distinct_through_the_preparation():
    data = from_frame(mixed_frame(500), target="y")
    out = TableEncoder.learn(data.inputs.columns, data.train.inputs)(data.train.inputs)
    assert len(out[:, data.inputs.names.index("stamp")].unique()) == len(data.train)


def test_splits_are_stratified_and_seeded():
    frame = mixed_frame(100)
    frame["y"] = ["rare"] * 10 + ["common"] * 90
    data = from_frame(frame, target="y", seed=1)
    assert [(split.targets == data.target.names.index("rare")).sum().item() for split in data.splits.values()] == [
        6,
        2,
        2,
    ]
    again, other = from_frame(frame, target="y", seed=1), from_frame(frame, target="y", seed=2)
    assert list(again.test.origin) == list(data.test.origin)
    assert list(other.test.origin) != list(data.test.origin)


def test_group_and_order_are_kept_apart_and_are_no_inputs():
    frame = mixed_frame(300)
    frame["patient"] = [f"p{i}" for i in np.random.default_rng(1).integers(0, 30, 300)]
    data = from_frame(frame, target="y", group="patient")
    assert "patient" not in data.inputs.names
    owners = [
        {frame["patient"][int(origin.split()[1]) - 1] for origin in split.origin} for split in data.splits.values()
    ]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    data = from_frame(frame, target="y", ordered="when")
    assert "when" not in data.inputs.names
    times = [[frame["when"][int(origin.split()[1]) - 1] for origin in split.origin] for split in data.splits.values()]
    assert max(times[0]) <= min(times[1])
    assert max(times[1]) <= min(times[2])


def test_a_class_that_training_does_not_see_is_noted():
    frame = pd.DataFrame({"x": np.arange(20) % 7, "t": range(20), "y": ["a", "b"] * 8 + ["c"] * 4})
    assert "no sample of the class 'c'" in " ".join(from_frame(frame, target="y", ordered="t").notes)


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        ({}, {"target": None}, "The table has 'number', .* write --target 'y'"),
        ({}, {"target": "yy"}, "no column named 'yy' for --target; did you mean 'y'"),
        ({}, {"target": ["y", "nmber"]}, "no column named 'nmber' for --target; did you mean 'number'"),
        ({}, {"group": "colr"}, "'colr' for --group; did you mean 'color'"),
        ({}, {"ordered": "whn"}, "'whn' for --ordered; did you mean 'when'"),
        ({}, {"categorical": ["zzzzzz"]}, "'zzzzzz' for --categorical; the columns are 'number'"),
        ({}, {"group": "y"}, "'y' is the target and cannot be --group"),
        ({}, {"group": "color"}, "The group 'color' is missing in rows"),
        ({}, {"group": "flag"}, "2 groups are too few for 3 splits"),
        ({}, {"ordered": "flag"}, "'flag' wants a number or a date in each row, but holds '(yes|no)'"),
        ({"when": "03/04/2024"}, {"ordered": "when"}, "day and month cannot be told apart"),
        ({"y": ["once"] + ["a", "b"] * 29 + ["a"]}, {}, "Class 'once' has one member only, row 1, so"),
        ({"y": [7] + [1, 2] * 29 + [1]}, {}, "Class '7' has one member only, .* or write --kind real"),
        ({"y": "only"}, {}, "one class only, 'only' in all 60 rows"),
        ({"number": [math.inf] * 2 + [1.0] * 58}, {}, "2 infinite values, in rows 1 and 2, column 'number'"),
        (
            {"number": ["many"] + ["1"] * 59},
            {},
            "mixes 59 numbers with 1 other text, the first of them 'many' in row 1",
        ),
    ],
)
def test_tables_that_cannot_be_used(change, options, sentence):
    frame = mixed_frame(60).assign(**change)
    with pytest.raises(InputError, match=sentence):
        from_frame(frame, **{"target": "y", **options})


def test_tables_with_nothing_in_them():
    with pytest.raises(InputError, match="has no rows"):
        from_frame(pd.DataFrame({"x": [], "y": []}), target="y")
    with pytest.raises(InputError, match="No column is left to learn from"):
        from_frame(pd.DataFrame({"y": ["a", "b"] * 5}), target="y")
    with pytest.raises(InputError, match=r"No column is left .*'x': each training row has the same value"):
        from_frame(pd.DataFrame({"x": 1, "y": ["a", "b"] * 5}), target="y")
    with pytest.raises(InputError, match="header names 'x' more than once"):
        from_frame(pd.DataFrame([[1, 2, 3]], columns=["x", "x", "y"]), target="y")


def test_a_large_table_takes_no_loop_over_its_rows():
    frame = mixed_frame(200_000)
    text = frame.assign(when=frame["when"].astype(str), number=frame["number"].astype(str))
    inputs, _ = infer(frame.drop(columns="y"), np.arange(100_000))
    start = time.process_time()
    typed, textual = encode(frame, inputs), encode(text, inputs)
    seconds = time.process_time() - start
    torch.testing.assert_close(typed, textual, rtol=0, atol=1e-9, equal_nan=True)
    assert seconds < 3
