"""``chainrule trace``."""

from typing import Annotated, Any

import typer

from chainrule.cli.options import Json


def command(
    formula: Annotated[
        str,
        typer.Argument(
            metavar="FORMULA",
            help="As in 'y - relu(w*x + b)'. One that begins with a minus: in parentheses.",
            show_default=False,
        ),
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE...", help="A value for each name: w=2, x=[1,2,3].", show_default=False),
    ] = None,
    svg: Annotated[str | None, typer.Option(metavar="FILE", help="Draw the graph into this new SVG file.")] = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables in Markdown.")] = False,
) -> None:
    """Show the computation graph of a formula: values, partial derivatives, paths, gradient."""
    import sys

    from chainrule.anatomy.trace import trace

    traced = trace(formula, **_given(values or [], both=json and markdown))
    if svg:
        traced.save(svg)
    if json:
        sys.stdout.write(traced.to_json())
    else:
        sys.stdout.write((traced.markdown() if markdown else traced.text()) + "\n")


def _given(values: list[str], both: bool) -> dict[str, Any]:
    """The values by name."""
    from chainrule.anatomy.values import literal
    from chainrule.errors import InputError

    if both:
        raise InputError("--json and --markdown were both given; write one of them.")
    given: dict[str, Any] = {}
    for item in values:
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name.isidentifier():
            raise InputError(f"Values are written as NAME=VALUE, such as x=2; received {item[:60]!r}.")
        if name in given:
            raise InputError(f"{name} has two values; give it one.")
        given[name] = literal(name, value)
    return given


command.__name__ = "trace"
