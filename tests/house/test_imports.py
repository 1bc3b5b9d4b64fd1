"""The rooms import only from rooms below them, and no module takes part in a circle."""

import ast
import graphlib
from collections.abc import Iterator

import pytest

from tests.house.source import Source, modules

# From the ground up. A module belongs to the longest name here that it begins with; it may import from its own floor
# and from those below.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "shapes", "registry", "config", "seeding", "storage", "catalogue", "doctor.finding"),
    ("nn", "losses", "metrics", "optim"),
    ("data",),
    ("models", "ensembles", "estimators", "text", "rl", "surgery", "anatomy"),
    ("tasks", "training"),
    ("doctor",),
    ("report",),
    ("run", "job", "prediction", "neural"),
    ("study",),
    ("api",),
    ("cli",),
    ("", "__main__"),
)

# What a room must not import although it stands below or on the same floor.
FORBIDDEN = {"training": ("doctor.finding",), "tasks": ("doctor.finding", "training")}

NAMES = {module.name for module in modules()}


def imports(module: Source, *, typing: bool = True) -> Iterator[str]:
    """Modules of the package that a module imports, wherever in the file the statement stands.

    Args:
        module: The module.
        typing: Whether to count what only type checkers import.
    """
    skipped = set() if typing else {id(node) for block in typing_blocks(module.tree) for node in ast.walk(block)}
    for node in ast.walk(module.tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in NAMES)
        elif isinstance(node, ast.ImportFrom) and node.module in NAMES:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in NAMES else node.module for name in inside)


def typing_blocks(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements under ``if TYPE_CHECKING:``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.body


def floor(name: str) -> int:
    """Number of the floor on which a module stands."""
    inside = name.removeprefix("chainrule").removeprefix(".")
    fits = [
        (len(room), number)
        for number, rooms in enumerate(FLOORS)
        for room in rooms
        if inside == room or (room and inside.startswith(f"{room}."))
    ]
    assert fits, f"{name} stands on no floor; enter its room into FLOORS."
    return max(fits)[1]


def is_in(name: str, room: str) -> bool:
    """Whether a module belongs to a room."""
    return f"{name}.".startswith(f"chainrule.{room}.")


@pytest.mark.parametrize("module", modules(), ids=str)
def test_imports_go_downward(module: Source) -> None:
    assert [name for name in imports(module) if floor(name) > floor(module.name)] == []


@pytest.mark.parametrize("module", modules(), ids=str)
def test_imports_are_absolute(module: Source) -> None:
    assert [node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom) and node.level] == []


@pytest.mark.parametrize("room", FORBIDDEN)
def test_forbidden_imports(room: str) -> None:
    found = [
        (module.name, name)
        for module in modules()
        if is_in(module.name, room)
        for name in imports(module)
        if any(is_in(name, other) for other in FORBIDDEN[room])
    ]
    assert found == []


def test_no_circles() -> None:
    graph = {module.name: set(imports(module, typing=False)) - {module.name} for module in modules()}
    # Raises CycleError, with the circle, when there is one.
    graphlib.TopologicalSorter(graph).prepare()


def test_floor() -> None:
    assert floor("chainrule.doctor.finding") < floor("chainrule.training.loop") < floor("chainrule.doctor.checks")
    assert floor("chainrule") == len(FLOORS) - 1
    with pytest.raises(AssertionError, match="FLOORS"):
        floor("chainrule.attic")
