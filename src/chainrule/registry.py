"""The registry: one row for each part that can be called by name.

A row stands next to the class or builder it describes::

    @register("model", "lenet5", family="vision", paper="LeCun et al. 1998", year=1998, ...)
    class LeNet5(nn.Module): ...

The lists on the command line, the catalogue page, the contract tests and the benchmarks are all read from the rows.
A part is asked for by a *call*: its name, with options if need be, as in ``"sgd(momentum=0.9, nesterov=True)"``. The
same notation serves models, optimizers, schedules and augmentations, in Python, on the command line and in
``config.json``.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chainrule.errors import InputError, UnknownNameError, listing

# Where the rows of each kind are declared; the packages are imported when the kind is first asked for.
ROOMS = {
    "model": ("chainrule.models",),
    "classifier": ("chainrule.estimators",),
    "regressor": ("chainrule.estimators",),
    "clusterer": ("chainrule.estimators",),
    "transformer": ("chainrule.estimators",),
    "embedding": ("chainrule.estimators",),
    "activation": ("chainrule.nn",),
    "initializer": ("chainrule.nn",),
    "regularizer": ("chainrule.nn",),
    "preparation": ("chainrule.nn", "chainrule.models"),
    "augmentation": ("chainrule.data.augment",),
    "loss": ("chainrule.losses",),
    "metric": ("chainrule.metrics",),
    "optimizer": ("chainrule.optim",),
    "schedule": ("chainrule.optim",),
    "check": ("chainrule.doctor",),
    "combiner": ("chainrule.ensembles",),
}

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One registered part.

    Attributes:
        kind: What it is: ``"model"``, ``"schedule"``, ``"augmentation"``, ...
        name: The name it is called by; unique within its kind.
        build: The class or function that makes it.
        family: The shelf of the catalogue it stands on, such as ``"vision"``.
        paper: Authors, year and title of its source.
        year: Year of the source.
        inputs: Kinds of input that it takes (``"vector"``, ``"image"``, ...); empty where that has no meaning.
        targets: Kinds of target that it can learn (``"classes"``, ``"labels"``, ``"real"``).
        arguments: Maps the specs of the (prepared) inputs and of the target to constructor arguments.
        preset: Constructor arguments that make this row out of a class that has several.
        about: What a row with a preset is, in a line; else the docstring's first line says it.
        shape: Shape of the paper's input, without the batch.
        parameters: Number of parameters with the constructor's defaults, as the source has it.
        public: Address of public weights (those of torchvision, for the thousand classes of ImageNet).
        rename: From a name in the public file to the one in the network's ``state_dict``, where they differ.
        smallest: Least height and width of an image in pixels; ``fit`` enlarges smaller ones to it.
        tiny: Small constructor arguments, for tests.
        sample: Shape of an input that goes with ``tiny``, batch first.
        peer: Dotted name of an implementation that it must agree with, if there is one.
        laws: Names of the laws that it must obey, such as ``"permutation"``.
        exceptions: Checks of the contract suite that it does not pass, each with the reason.
    """

    kind: str
    name: str
    build: Callable[..., Any]
    family: str = ""
    paper: str = ""
    year: int | None = None
    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    arguments: Callable[[Any, Any], dict[str, Any]] | None = None
    preset: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    shape: tuple[int, ...] = ()
    parameters: int | None = None
    public: str | None = None
    rename: Callable[[str], str] | None = None
    smallest: int = 1
    tiny: Mapping[str, Any] = field(default_factory=dict)
    sample: tuple[int, ...] = ()
    peer: str | None = None
    laws: tuple[str, ...] = ()
    exceptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return self.about or (inspect.getdoc(self.build) or "").split("\n")[0]

    def make(self, **options: Any) -> Any:
        """Build this row's part; the options go before its preset."""
        return self.build(**{**self.preset, **options})

    @property
    def where(self) -> str:
        """Dotted name of the class or builder."""
        return f"{self.build.__module__}.{self.build.__qualname__}"


@dataclass(frozen=True)
class Call:
    """A part asked for by name: ``"sgd(momentum=0.9)"`` is ``Call("sgd", {"momentum": 0.9})``."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"{self.name}({inside})" if inside else self.name


_ENTRIES: dict[str, dict[str, Entry]] = {}
_IMPORTED: set[str] = set()


def register(kind: str, name: str, **row: Any) -> Callable[[Builder], Builder]:
    """Decorator that enters a class or builder into the registry; the row's fields are those of :class:`Entry`.

    Raises:
        ValueError: When the name is already taken by another part of the same kind.
    """

    def enter(build: Builder) -> Builder:
        entry = Entry(kind=kind, name=name, build=build, **row)
        taken = _ENTRIES.setdefault(kind, {}).get(name)
        if taken is not None and taken.where != entry.where:
            raise ValueError(f"The {kind} {name!r} is registered twice: {taken.where} and {entry.where}.")
        _ENTRIES[kind][name] = entry
        return build

    return enter


def entries(kind: str) -> dict[str, Entry]:
    """All rows of a kind by name, sorted; imports the room that declares them.

    Raises:
        UnknownNameError: When there is no such kind.
    """
    if kind not in ROOMS:
        raise UnknownNameError("kind of part", kind, ROOMS)
    for room in set(ROOMS[kind]) - _IMPORTED:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, prefix=f"{room}."):
            importlib.import_module(module.name)
        _IMPORTED.add(room)
    return dict(sorted(_ENTRIES.get(kind, {}).items()))


def lookup(kind: str, name: str) -> Entry:
    """The row of that name.

    Raises:
        UnknownNameError: When there is none; the sentence names the nearest.
    """
    rows = entries(kind)
    if name not in rows:
        raise UnknownNameError(kind, name, rows)
    return rows[name]


def parse(text: str) -> Call:
    """Read a call such as ``"mlp(width=128, depth=3)"``; only literal values are allowed, nothing is evaluated.

    Raises:
        InputError: When the text is not a name, or a name with ``option=value`` pairs in parentheses.
    """
    wanted = f"{text!r} is no part: write a name, or a name with options as in 'sgd(momentum=0.9)'."
    name, bracket, inside = text.strip().partition("(")
    if not bracket and name:
        return Call(name.strip())
    try:
        # A placeholder stands for the name, so that names with dots, dashes or colons can be called, too.
        node = ast.parse(f"_({inside}", mode="eval").body
        if not name.strip() or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
            raise InputError(wanted)
        options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InputError(wanted) from error
    if None in options:
        raise InputError(wanted)
    return Call(name.strip(), {str(key): value for key, value in options.items()})


def parse_list(text: str) -> list[Call]:
    """Read several calls separated by commas: ``"crop(pad=1), hflip"``.

    Raises:
        InputError: When one of them is no call, or brackets do not match.
    """
    calls, depth, start = [], 0, 0
    for position, letter in enumerate(text + ","):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            if text[start:position].strip():
                calls.append(parse(text[start:position]))
            start = position + 1
    if depth:
        raise InputError(f"{text!r} has brackets that do not match; write for instance 'crop(pad=1), hflip'.")
    return calls


def keywords(build: Callable[..., Any]) -> list[str]:
    """Names of the arguments that ``build`` takes by keyword."""
    return [
        name
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]


def call(build: Callable[..., Any], options: Mapping[str, Any], what: str, **fixed: Any) -> Any:
    """Call ``build`` with a user's ``options`` beside ``fixed`` arguments, after checking that it knows the options.

    Raises:
        InputError: For an unknown option (names the nearest), one that is lacking, and a value that ``build`` refuses.
    """
    for option in options:
        if option not in keywords(build):
            open_options = [name for name in keywords(build) if name not in fixed]
            if not open_options:
                raise InputError(f"{what} has no options, but {option!r} was given; leave it out.")
            raise UnknownNameError(f"option of {what}", option, open_options)
    given = {**fixed, **options}
    lacking = [
        name
        for name, parameter in inspect.signature(build).parameters.items()
        if parameter.default is parameter.empty and name in keywords(build) and name not in given
    ]
    if lacking:
        example = ", ".join(f"{name}=..." for name in lacking)
        raise InputError(f"{what} does not work without {listing(lacking)}; write {what}({example}).")
    try:
        return build(**given)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        chosen = f" with {Call('', options)}" if options else ""
        raise InputError(f"{what} cannot be built{chosen}: {error}") from error
