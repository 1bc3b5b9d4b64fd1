"""The options of ``fit``, made from the fields of ``Config``: one definition for Python and the command line."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, get_args, get_type_hints

import typer

from chainrule.config import Config

Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A built-in name, a CSV, TSV, Parquet or npz file, or a folder of images.",
        show_default=False,
    ),
]
Directory = Annotated[
    str, typer.Argument(metavar="RUN", help="Directory of a run, as fit printed it.", show_default=False)
]
Out = Annotated[
    str | None,
    typer.Option(metavar="DIRECTORY", help="Directory of the run; it must be new. Default: runs/NAME-MODEL-N."),
]
StudyOut = Annotated[
    str | None,
    typer.Option("--out", metavar="DIRECTORY", help="Directory of the study; it must be new. Default: in runs/."),
]
Jobs = Annotated[int | None, typer.Option(help="Trials at a time, one core each. Default: as many as there are cores.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON and nothing else.")]

Body = Callable[..., None]


def with_settings(body: Body, keep: Callable[[str], bool] = lambda name: True) -> Body:
    """Give a command the settings of ``Config`` as options, beside its own; they reach it as ``**settings``.

    Args:
        body: The command; its last parameter is ``**settings``.
        keep: Which settings it takes.
    """
    hints = get_type_hints(Config, include_extras=True)
    own = [p for p in inspect.signature(body).parameters.values() if p.kind is not p.VAR_KEYWORD]
    settings = []
    for field in fields(Config):
        if keep(field.name):
            kind, panel, text = get_args(hints[field.name])
            names = (f"--{field.name.replace('_', '-')}",)
            option = typer.Option(*names, help=text, rich_help_panel=panel)
            parameter = inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, option]
            )
            settings.append(parameter)

    def command(**given: Any) -> None:
        body(**given)

    command.__name__, command.__doc__ = body.__name__, body.__doc__
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + settings
    )
    command.__annotations__ = {p.name: p.annotation for p in (*own, *settings)}
    return command
