"""Habits that slip in: prints, pickles, leftovers, paths of somebody's machine."""

import ast
import re
from pathlib import Path

import pytest

from tests.house.source import ROOT, Source, modules, tracked

# A call of one of these writes to the terminal; only the command line knows that there is one.
TERMINAL = {"print", "pprint", "input", "breakpoint", "sys.stdout.write", "sys.stderr.write"}
# These read or write pickles, which may run anything when they are read.
PICKLES = {"torch.load", "torch.save", "joblib.load", "joblib.dump", "pandas.read_pickle", "np.load", "numpy.load"}
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
# Written so that it does not find itself.
MACHINE = re.compile(r"(?<![\w.:/-])/(?:work|tmp|farm|home|root|Users|opt)/\w")


def calls(module: Source) -> set[str]:
    """Dotted names of everything that a module calls."""
    return {ast.unparse(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}


def imported(module: Source) -> set[str]:
    """Top names of everything that a module imports."""
    names: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("module", modules(), ids=str)
def test_only_the_command_line_writes_to_the_terminal(module: Source) -> None:
    if not module.name.startswith("chainrule.cli"):
        assert calls(module) & TERMINAL == set()


@pytest.mark.parametrize("module", modules(), ids=str)
def test_nothing_is_pickled(module: Source) -> None:
    assert imported(module) & {"pickle", "cloudpickle", "dill", "shelve", "marshal"} == set()
    risky = calls(module) & PICKLES
    # numpy.load reads pickles only where it is asked to; torch.load, with this, only those of tensors and plain values.
    safe = {"np.load": "allow_pickle=False", "numpy.load": "allow_pickle=False", "torch.load": "weights_only=True"}
    assert {call for call in risky if module.text.count(f"{call}(") > module.text.count(safe.get(call, "\0"))} == set()


@pytest.mark.parametrize("module", modules(), ids=str)
def test_annotations_are_objects(module: Source) -> None:
    """With them as texts, the fields of dataclasses would go unchecked."""
    assert "__future__" not in imported(module)


def test_no_leftovers() -> None:
    files = [path for path in tracked() if path.suffix in (".py", ".md") and path != Path(__file__)]
    assert [path for path in files if LEFTOVERS.search(path.read_text(encoding="utf-8"))] == []


def test_no_machine_paths() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), start=1)
        if MACHINE.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("text", ["cd /wor" + "k/main", "'/tm" + "p/run'", "see /home" + "/me/x"])
def test_machine_paths_are_found(text: str) -> None:
    assert MACHINE.search(text)
    assert not MACHINE.search("https://example.org/home/me, examples/work/x, ./tmp/x and /usr/bin/env")
