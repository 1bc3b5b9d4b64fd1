"""Wrong input gets one sentence on stderr that says what to do, exit code 2, and nothing is written."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import FAST, Command, Outcome, pictures, table

TABLE = "fit t.csv --target species"


def wrong(outcome: Outcome, *words: str) -> None:
    """Check the way in which a command refuses its input."""
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("chainrule: ")
    assert outcome.err.count("\n") == 1, outcome.err
    for word in words:
        assert word in outcome.err


@pytest.fixture
def files(place: Path) -> Path:
    """The good data: ``t.csv``, ``p.npz`` and the folder ``images``."""
    table().to_csv("t.csv", index=False)
    pictures(place / "images")
    np.savez("p.npz", x=np.zeros((20, 3)), y=np.arange(20) % 2)
    Path("own.py").write_text(OWN)
    return place


OWN = """
from torch import nn

number = 3

def raises(): raise LookupError("no such luck")
def nothing(): return None
def wide(inputs, target): return nn.LazyLinear(9)
def several(inputs, target): return nn.LSTM(inputs.shape[0], len(target.names))
def still(target): return nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(len(target.names)))
def needs(width): return nn.Linear(width, 2)
"""

NAMES = [
    ("fit nosuch.csv --target y", "There is no file or folder 'nosuch.csv'"),
    ("fit t.cvs --target y", "did you mean 't.csv'?"),
    ("fit digts", "did you mean 'digits'?"),
    ("fit ''", "The source is empty"),
    ("fit own.py", "of no kind that can be loaded", ".csv"),
    (f"fit {'x' * 5000}", "File name too long"),
    ("fit t.csv", "write --target 'species'"),
    ("fit t.csv --target speces", "There is no column named 'speces'", "did you mean 'species'?"),
    ("fit t.csv --target size,specis", "did you mean 'species'?"),
    ("fit t.csv --target size,species", "has to hold numbers", "'ant' is the first"),
    ("fit t.csv --target day", "holds dates"),
    (f"{TABLE} --kind labels", "has to hold 0 or 1"),
    (f"{TABLE} --kind klasses", "did you mean 'classes'?"),
    (f"{TABLE} --group patiet", "did you mean 'patient'?"),
    (f"{TABLE} --group species", "is the target and cannot be --group"),
    (f"{TABLE} --ordered site", "wants a number or a date in each row", "'north'"),
    (f"{TABLE} --categorical sight", "for --categorical"),
    (f"{TABLE} --size 8", "has no meaning for a table"),
    (f"{TABLE} --fractions 0.5,0.5", "three numbers"),
    ("fit iris --target species", "has no meaning for the built-in 'iris'"),
    ("fit images --target ant", "has no meaning for a folder of images"),
    ("fit p.npz --target y", "has no meaning for an .npz file"),
    ("fit images/ant/0.png", "bring a folder of images"),
]

SETTINGS = [
    (f"{TABLE} --rate 0", "greater than 0", "'0'"),
    (f"{TABLE} --rate -1", "greater than 0", "'-1'"),
    (f"{TABLE} --rate fast", "or 'auto'", "'fast'"),
    (f"{TABLE} --epochs 0", "epochs must be greater than 0"),
    (f"{TABLE} --epochs many", "'--epochs'", "chainrule fit --help"),
    (f"{TABLE} --epoch 3", "No such option: --epoch", "--epochs"),
    (f"{TABLE} --seed -1", "seed must not be negative"),
    (f"{TABLE} --optimizer adm", "did you mean 'adam'?"),
    (f"{TABLE} --optimizer sgd(momentun=0.9)", "did you mean 'momentum'?"),
    (f"{TABLE} --optimizer sgd(momentum=-1)", "sgd cannot be built with (momentum=-1)"),
    (f"{TABLE} --optimizer lbfgs --weight-decay 0.1", "has no weight decay"),
    (f"{TABLE} --schedule cosin", "did you mean 'cosine'?"),
    (f"{TABLE} --schedule StepLR", "write StepLR(step_size=...)"),
    (f"{TABLE} --augment crop", "is for images"),
    ("fit images --augment crp", "did you mean 'crop'?"),
    (f"{TABLE} --accumulate 1000", "cannot be cut into 1000 parts"),
    (f"{TABLE} --precision fp16", "did you mean 'bf16'?"),
    (f"{TABLE} --loss l1", "loss", "l1"),
    ("fit t.csv --target size --balance", "is for classes and labels"),
    (f"{TABLE} --monitor acuracy", "did you mean 'accuracy'?"),
    (f"{TABLE} --clip 1 --clip-value 1", "write one of them"),
    ("fit", "Missing argument 'DATA'"),
    ("fot iris", "Did you mean 'fit'?"),
    ("models lenet", "did you mean 'lenet5'?"),
]

MODELS = [
    ("lenet5", "lenet5 takes images, but these inputs are tables", "linear, mlp"),
    ("lenet", "did you mean 'lenet5'?"),
    ("mlp(", "'mlp(' is no part"),
    ("mlp(8)", "write a name, or a name with options"),
    ("mlp(widht=8)", "did you mean 'width'?"),
    ("mlp(width=-3)", "mlp cannot be built with (width=-3)"),
    ("own:Nope", "'own:Nope' cannot be imported"),
    ("nowhere:Net", "No module named 'nowhere'"),
    (":Net", "cannot be imported"),
    ("own:number", "must be a class or a function"),
    ("own:nothing", "must give a torch.nn.Module; it gave NoneType"),
    ("own:raises", "raises LookupError: no such luck", "own.py, line 6"),
    ("own:wide", "[2, 2] for 2 samples; it gave [2, 9]"),
    ("own:several", "it gave tuple"),
    ("own:still", "has no parameters"),
    ("own:needs", "write own:needs(width=...)"),
    ("own:needs(width=77)", "cannot take 6 columns: RuntimeError"),
]


@pytest.mark.parametrize(("command", "words"), [(command, words) for command, *words in NAMES + SETTINGS])
def test_arguments(chainrule: Command, files: Path, command: str, words: list[str]) -> None:
    before = sorted(os.listdir())
    wrong(chainrule(*["" if word == "''" else word for word in command.split()]), *words)
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(("model", "words"), [(model, words) for model, *words in MODELS])
def test_models(chainrule: Command, files: Path, monkeypatch: pytest.MonkeyPatch, model: str, words: list[str]) -> None:
    monkeypatch.delitem(sys.modules, "own", raising=False)
    outcome = chainrule("fit", "t.csv", "--target", "species", "--group", "patient", "--model", model, *FAST)
    wrong(outcome, *words)
    assert not Path("runs").exists()


TEXT = table().to_csv(index=False)
LINES = TEXT.splitlines(keepends=True)
TABLES: list[tuple[str, bytes | str, list[str]]] = [
    ("an empty file", "", ["'t.csv' is empty"]),
    ("blank lines", "\n\n\n", ["'t.csv' is empty"]),
    ("a header only", LINES[0], ["has a header but no rows"]),
    ("one class", "".join(line for line in LINES if "bee" not in line), ["one class only, 'ant'"]),
    (
        "a single member",
        "".join([*LINES, LINES[1].replace("ant", "moth")]),
        ["Class 'moth' has one member only, row 61"],
    ),
    ("text among numbers", TEXT.replace("0.126", "about 2", 1), ["Column 'size' mixes", "'about 2' in row 1"]),
    ("a missing target", TEXT.replace("bee", "", 1), ["The target 'species' is missing", "row 2"]),
    ("a longer row", TEXT.replace("ant\n", "ant,7\n", 1), ["Line 2 of 't.csv' has 9 fields, but the header has 8"]),
    ("a shorter row", "".join([*LINES, "1,2\n"]), ["Line 62 of 't.csv' has 2 fields"]),
    ("spaces", TEXT.replace(",", " "), ["No character that separates the columns"]),
    ("colons", TEXT.replace(",", ":"), ["No character that separates the columns"]),
    ("latin-1", TEXT.replace("north", "nörth").encode("latin-1"), ["is not UTF-8", "iconv -f WINDOWS-1252"]),
    ("utf-16", TEXT.encode("utf-16"), ["is not UTF-8", "iconv -f UTF-16"]),
    ("zero bytes", b"\0" * 100, ["holds zero bytes"]),
    ("the target alone", "species\n" + "ant\nbee\n" * 20, ["No column is left to learn from"]),
    ("three rows", "".join(LINES[:4]), ["Class 'bee' has one member only"]),
    ("four rows", "".join(LINES[:5]), ["4 samples are too few for 3 splits"]),
    ("a header twice", TEXT.replace("shade", "size", 1), ["names 'size' more than once"]),
    ("decimal commas", table().to_csv(index=False, sep=";", decimal=","), ["decimal point"]),
]


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in TABLES], ids=[case[0] for case in TABLES])
def test_tables(chainrule: Command, place: Path, content: bytes | str, words: list[str]) -> None:
    Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    wrong(chainrule(*TABLE.split()), *words)
    assert os.listdir() == ["t.csv"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_target_that_is_no_number(chainrule: Command, place: Path, value: float) -> None:
    frame = table()
    frame.loc[3, "size"] = value
    frame.to_csv("t.csv", index=False)
    wrong(chainrule("fit", "t.csv", "--target", "size"), "missing or not finite in 1 of 60 rows: row 4")


def test_an_infinite_input(chainrule: Command, place: Path) -> None:
    frame = table()
    frame.loc[3, "size"] = np.inf
    frame.to_csv("t.csv", index=False)
    wrong(chainrule(*TABLE.split()), "1 infinite value", "row 4", "'size'")


def test_one_group(chainrule: Command, place: Path) -> None:
    table().assign(patient="same").to_csv("t.csv", index=False)
    wrong(chainrule(*TABLE.split(), "--group", "patient"), "1 group is too few for 3 splits")


def test_other_files(chainrule: Command, place: Path) -> None:
    Path("a.parquet").write_bytes(b"no parquet" * 9)
    Path("a.npz").write_bytes(b"no zip")
    np.savez("b.npz", data=np.zeros(3), label=np.zeros(3))
    np.savez("c.npz", x=np.zeros((9, 2)), y=np.zeros(8))
    wrong(chainrule("fit", "a.parquet", "--target", "y"), "cannot be read as Parquet")
    wrong(chainrule("fit", "a.npz"), "is damaged, or no .npz file")
    wrong(chainrule("fit", "b.npz"), "holds the arrays 'data' and 'label'", "'x' and 'y'")
    wrong(chainrule("fit", "c.npz"), "9 samples and 8 targets")


def truncated(folder: Path) -> None:
    Image.effect_noise((64, 64), 90).save(folder / "ant" / "x.jpg")
    content = (folder / "ant" / "x.jpg").read_bytes()
    (folder / "ant" / "x.jpg").write_bytes(content[: len(content) // 2])


def text(folder: Path) -> None:
    (folder / "ant" / "x.png").write_text("hello")


def bomb(folder: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(folder / "ant" / "x.png")


def no_classes(folder: Path) -> None:
    for path in [*(folder / "ant").iterdir()]:
        path.rename(folder / path.name)
    shutil.rmtree(folder / "ant")
    shutil.rmtree(folder / "bee")


def one_class(folder: Path) -> None:
    shutil.rmtree(folder / "bee")


def too_deep(folder: Path) -> None:
    (folder / "all").mkdir()
    for name in ("ant", "bee"):
        (folder / name).rename(folder / "all" / name)


def no_images(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def half_split(folder: Path) -> None:
    (folder / "train").mkdir()
    for name in ("ant", "bee"):
        (folder / name).rename(folder / "train" / name)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (truncated, ["ant/x.jpg", "is damaged"]),
        (text, ["ant/x.png", "is no image"]),
        (bomb, ["ant/x.png", "400000000 pixels"]),
        (no_classes, ["There are no images in sub-folders", "one sub-folder of images for each class"]),
        (one_class, ["one class only, 'ant'"]),
        (too_deep, ["one class only, 'all'"]),
        (no_images, ["There are no images in sub-folders"]),
        (half_split, ["train/ and test/"]),
    ],
)
def test_folders(chainrule: Command, place: Path, harm: object, words: list[str]) -> None:
    harm(pictures(place / "images"))  # type: ignore[operator]
    wrong(chainrule("fit", "images"), *words)
    assert os.listdir() == ["images"]


def test_images_of_all_sorts_are_taken_and_it_is_said(chainrule: Command, place: Path) -> None:
    folder = pictures(place / "images")
    deep = np.linspace(0, 65_535, 144).astype(np.uint16).reshape(12, 12)
    Image.fromarray(deep).save(folder / "ant" / "deep.png")
    Image.new("RGBA", (40, 30), (9, 9, 9, 9)).save(folder / "bee" / "clear.png")
    Image.new("P", (12, 12)).save(
        folder / "bee" / "moving.gif", save_all=True, append_images=[Image.new("P", (12, 12), 1)]
    )
    outcome = chainrule("data", "images")
    assert outcome.code == 0
    assert "resized to 12x12" in outcome.out
    assert "converted to RGB: 1 of I;16, 20 of L, 1 of P, 1 of RGBA" in outcome.out


def test_an_output_directory_that_exists_is_left_as_it_is(chainrule: Command, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for out in ("run", "table.csv"):
        wrong(chainrule("fit", "iris", "--out", out, *FAST), f"{out} exists and is not overwritten")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("verb", ["resume", "report", "predict"])
def test_no_run(chainrule: Command, place: Path, verb: str) -> None:
    rest = ["t.csv"] if verb == "predict" else []
    Path("other").mkdir()
    wrong(chainrule(verb, "nowhere", *rest), "There is no run in nowhere")
    wrong(chainrule(verb, "other", *rest), "other holds no run")


def test_a_real_process_ends_the_same_way(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chainrule", "fit", "digts"], capture_output=True, text=True, check=False
    )
    wrong(Outcome(done.returncode, done.stdout, done.stderr), "did you mean 'digits'?")


def test_a_loss_that_is_not_finite_is_no_wrong_input(chainrule: Command, files: Path) -> None:
    outcome = chainrule(*TABLE.split(), "--rate", "1e30", "--epochs", "2")
    assert outcome.code == 1
    assert "The weights were not moved" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_table_of_every_kind_of_column_is_taken(chainrule: Command, place: Path) -> None:
    frame = table().rename(columns={"size": "Größe", "species": "вид"})
    frame["note"] = 'said "so", twice\nand left'
    frame.loc[::2, "note"] = "plain"
    frame["number"] = [10**30 + row for row in range(len(frame))]
    frame["flag"] = frame["Größe"] > 2
    frame["nothing"] = np.nan
    frame.to_csv("t.csv", index=False, sep="\t")
    outcome = chainrule("data", "t.csv", "--target", "вид")
    assert outcome.code == 0
    assert "Left out 'nothing'" in outcome.out
    kinds = dict(line.split()[:2] for line in outcome.out.split("column")[-1].splitlines()[1:] if len(line.split()) > 1)
    assert kinds["flag"] == "boolean"
    assert kinds["day"] == "date"
    assert kinds["site"] == "category"
    assert kinds["Größe"] == "number"


def test_parquet_and_other_delimiters_are_the_same_table(chainrule: Command, place: Path) -> None:
    table().to_parquet("a.parquet")
    for delimiter, name in ((",", "a.csv"), (";", "b.csv"), ("\t", "c.tsv"), ("|", "d.txt")):
        table().to_csv(name, index=False, sep=delimiter)
    shown = [
        chainrule("data", name, "--target", "species", "--json")
        for name in ("a.parquet", "a.csv", "b.csv", "c.tsv", "d.txt")
    ]
    assert {outcome.code for outcome in shown} == {0}
    assert len({outcome.out.partition('\n  "inputs"')[2] for outcome in shown}) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["trace", "y - relu(w*x)", "w=2", "x=1"], ["'y' has no value"]),
        (["trace", "x.__class__", "x=1"], ["attribute"]),
        (["trace", "w @ x", "w=[1,2,3]", "x=[1,2]"], ["[3]", "[2]"]),
        (["trace", "x", "x=open('t.csv')"], ["x"]),
        (["summary", "vgg16", "--input", "3x16x16"], ["vanishes at features.30", "at least 32 pixels"]),
        (["summary", "vgg16", "--input", "3,16"], ["--input '3,16' is no shape"]),
        (["summary", "vgg61"], ["did you mean 'vgg1"]),
    ],
)
def test_anatomy_refuses(chainrule: Command, line: list[str], words: list[str]) -> None:
    wrong(chainrule(*line), *words)


def test_anatomy_prints(chainrule: Command, place: Path) -> None:
    done = chainrule("trace", "y - relu(w*x + b)", "y=5", "w=2", "x=1", "b=1", "--svg", "graph.svg")
    assert done.code == 0
    assert "w1 → w5 → w6 → w7 → w8" in done.out
    assert (place / "graph.svg").read_text().startswith("<svg")
    wrong(chainrule("trace", "x", "x=1", "--svg", "graph.svg"), "graph.svg exists and is never overwritten")
    assert "4096" in chainrule("summary", "alexnet").out
