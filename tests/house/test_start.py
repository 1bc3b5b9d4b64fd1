"""Starting is cheap: nothing slow is imported before it is needed."""

import json
import subprocess
import sys
import time

import pytest

import chainrule

SLOW = {"torch", "numpy", "pandas", "sklearn", "matplotlib", "torchmetrics", "accelerate", "PIL", "jinja2"}


def loaded_by(code: str) -> set[str]:
    """Top names of the modules that a fresh interpreter has loaded after running some code."""
    tail = "\nimport json, sys\nsys.stderr.write(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


def test_import_is_cheap() -> None:
    assert loaded_by("import chainrule; chainrule.__version__; dir(chainrule)") & SLOW == set()


def test_help_is_cheap() -> None:
    code = """
import sys
from chainrule.cli import main
sys.argv = ["chainrule", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert loaded_by(code) & SLOW == set()


@pytest.mark.slow
def test_help_is_instant() -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "chainrule", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.4


@pytest.mark.parametrize("name", chainrule.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(chainrule, name) is getattr(chainrule, name)
    assert name in dir(chainrule)


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"no 'modles'; did you mean 'models'\?"):
        chainrule.modles  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(chainrule, "__wrapped__")
