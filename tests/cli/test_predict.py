"""``chainrule predict``: the rows that ``run.predict`` gives, as CSV or JSON, from tables and images of any size."""

import csv
import json
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chainrule import load_run
from tests.cli.conftest import Command, pictures, table
from tests.cli.test_wrong_input import wrong


def test_csv_holds_classes_and_probabilities(chainrule: Command, run: Path) -> None:
    code, out, err = chainrule("predict", "run", "table.csv")
    rows = list(csv.DictReader(StringIO(out)))
    opened = load_run("run")
    assert (code, err) == (0, "")
    assert list(rows[0]) == ["row", "predicted", "p(ant)", "p(bee)"]
    assert [row["row"] for row in rows] == [str(number) for number in range(1, 61)]
    assert [row["predicted"] for row in rows] == opened.predict("table.csv").tolist()
    chances = [[float(row["p(ant)"]), float(row["p(bee)"])] for row in rows]
    np.testing.assert_allclose(chances, opened.predict_proba(table()), atol=1e-6)


def test_the_target_the_group_and_the_order_are_not_missed(chainrule: Command, run: Path) -> None:
    complete = chainrule("predict", "run", "table.csv")
    table().drop(columns=["species", "patient"]).to_csv("raw.csv", index=False)
    assert chainrule("predict", "run", "raw.csv") == complete


def test_json_on_stdout_is_one_object_a_line(chainrule: Command, run: Path) -> None:
    code, out, _ = chainrule("predict", "run", "table.csv", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(rows) == 60
    assert rows[0].keys() == {"row", "predicted", "p(ant)", "p(bee)"}


def test_a_file_is_written_in_the_form_of_its_ending(chainrule: Command, run: Path) -> None:
    shown = chainrule("predict", "run", "table.csv").out
    for name in ("p.csv", "p.json", "p.jsonl"):
        assert chainrule("predict", "run", "table.csv", "--out", name) == (0, "", "")
    assert Path("p.csv").read_text() == shown
    rows = json.loads(Path("p.json").read_text())
    assert rows == [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    wrong(chainrule("predict", "run", "table.csv", "--out", "p.csv"), "p.csv exists already and is not overwritten")
    wrong(chainrule("predict", "run", "table.csv", "--out", "new/p.csv"), "there is no folder new")
    wrong(chainrule("predict", "run", "table.csv", "--out", "p.xlsx"), "must end in .csv, .json, .jsonl")
    wrong(chainrule("predict", "run", "table.csv", "--out", "q.csv", "--json"), "JSON was asked for")
    assert Path("p.csv").read_text() == shown


def test_labels_and_numbers(chainrule: Command, run: Path, trained: Path) -> None:
    labels = chainrule("predict", str(trained / "labels"), "table.csv").out.splitlines()
    numbers = chainrule("predict", str(trained / "real"), "table.csv").out.splitlines()
    assert labels[0] == "row,wings,legs,p(wings),p(legs)"
    assert numbers[0] == "row,size"
    given = [float(line.split(",")[1]) for line in numbers[1:]]
    np.testing.assert_allclose(given, load_run(trained / "real").predict("table.csv"), rtol=1e-6)


def test_columns_that_are_not_used_are_said_once(chainrule: Command, run: Path) -> None:
    table().assign(colour="red", mood=3).to_csv("more.csv", index=False)
    code, out, err = chainrule("predict", "run", "more.csv")
    assert code == 0
    assert err == "chainrule: 2 columns are not used by this model: 'colour' and 'mood'.\n"
    assert out == chainrule("predict", "run", "table.csv").out


def test_unseen_categories_and_missing_cells_are_handled(chainrule: Command, run: Path) -> None:
    frame = table()
    frame["site"], frame.loc[0, "size"] = "east", np.nan
    frame.to_csv("new.csv", index=False)
    code, out, err = chainrule("predict", "run", "new.csv")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 61


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="shade"), ["1 column that the rows lack, 'shade'"]),
        (lambda frame: frame.rename(columns={"shade": "shades"}), ["'shade'", "is 'shades' the same?"]),
        (lambda frame: frame.assign(size="big"), ["Column 'size' wants a number", "'big'", "rows 1, 2, 3"]),
        (lambda frame: frame.assign(size=np.inf), ["60 infinite values"]),
        (lambda frame: frame.iloc[:0], ["has a header but no rows"]),
    ],
)
def test_rows_that_do_not_fit(chainrule: Command, run: Path, change: object, words: list[str]) -> None:
    change(table()).to_csv("new.csv", index=False)  # type: ignore[operator]
    wrong(chainrule("predict", "run", "new.csv", "--out", "p.csv"), *words)
    assert sorted(path.name for path in Path().iterdir()) == ["new.csv", "run", "table.csv"]


def test_things_of_another_kind(chainrule: Command, run: Path, trained: Path) -> None:
    images = str(trained / "images")
    Path("empty").mkdir()
    Path("empty.csv").touch()
    Path("note.txt").write_text("no image")
    wrong(chainrule("predict", "run", "nosuch.csv"), "There is no file or folder 'nosuch.csv'")
    wrong(chainrule("predict", "run", "empty.csv"), "'empty.csv' is empty")
    wrong(chainrule("predict", "run", "empty"), "takes the rows of a table, but 'empty' is a folder")
    wrong(chainrule("predict", images, "table.csv"), "takes images, but 'table.csv' is a table")
    wrong(chainrule("predict", images, "empty"), "There are no images in empty")
    wrong(chainrule("predict", images, "nosuch"), "There is no file or folder 'nosuch'")


def test_images(chainrule: Command, trained: Path) -> None:
    images, folder = trained / "images", trained / "pictures"
    code, out, err = chainrule("predict", str(images), str(folder))
    rows = list(csv.DictReader(StringIO(out)))
    assert (code, err) == (0, "")
    assert rows[0]["file"] == "ant/0.png"
    assert [row["predicted"] for row in rows] == load_run(images).predict(folder).tolist()
    one = chainrule("predict", str(images), str(folder / "ant" / "0.png")).out.splitlines()[1]
    assert one == out.splitlines()[1].removeprefix("ant/")


def test_images_of_another_size_and_mode_are_converted(chainrule: Command, trained: Path, place: Path) -> None:
    folder = shutil.copytree(trained / "pictures", place / "more")
    Image.new("RGB", (60, 40), (250, 250, 250)).save(folder / "wide.png")
    code, out, _ = chainrule("predict", str(trained / "images"), "more")
    assert code == 0
    assert len(out.splitlines()) == 22
    (folder / "text.png").write_text("hello")
    wrong(chainrule("predict", str(trained / "images"), "more"), "text.png is no image")


def test_streaming_gives_what_the_whole_gives(
    chainrule: Command, run: Path, trained: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chainrule.data.sources import files, folder

    pictures(place / "many", each=150)
    whole = load_run(trained / "images").predict_proba("many"), load_run("run").predict_proba("table.csv")
    sizes: list[int] = []
    read, chunks = folder.iterate_images, files.read_chunks
    monkeypatch.setattr(files, "read_chunks", lambda path: chunks(path, rows=7))
    monkeypatch.setattr(
        folder, "iterate_images", lambda path, inputs: (sizes.append(len(p[0])) or p for p in read(path, inputs, 64))
    )
    for directory, source, expected in ((str(trained / "images"), "many", whole[0]), ("run", "table.csv", whole[1])):
        rows = pd.read_csv(StringIO(chainrule("predict", directory, source).out))
        np.testing.assert_allclose(rows[["p(ant)", "p(bee)"]], expected, atol=2e-6)
    assert sizes == [64, 64, 64, 64, 44]


def test_a_reader_that_has_seen_enough(run: Path) -> None:
    pd.concat([table()] * 200).to_csv("long.csv", index=False)
    command = [sys.executable, "-m", "chainrule", "predict", "run", "long.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"row,")
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
