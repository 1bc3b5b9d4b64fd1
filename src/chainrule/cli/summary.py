"""``chainrule summary``."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from chainrule.cli.options import Json

if TYPE_CHECKING:
    from torch import nn


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="A model, with options if need be: 'resnet18(width=32)', or 'module:factory'.", show_default=False
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="SHAPE", help="Shape of a sample: 3x224x224. Default: the paper's."),
    ] = None,
    classes: Annotated[int | None, typer.Option(help="Outputs of the model. Default: the paper's.", min=1)] = None,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    svg: Annotated[str | None, typer.Option(metavar="FILE", help="Draw the layers into a new SVG file.")] = None,
) -> None:
    """Print a model's layer table: outputs, parameters, multiplications, receptive fields, memory."""
    from rich.console import Console

    from chainrule.anatomy.summary import summary

    _one_of(json, markdown)
    shape = _shape(size, model)
    found = summary(_built(model, shape, classes), shape, what=model)
    if svg:
        found.save(svg)
    console = Console()
    text = found.text(console.width if console.is_terminal else None)
    sys.stdout.write(found.to_json() if json else found.markdown() if markdown else text)


def _one_of(json: bool, markdown: bool) -> None:
    from chainrule.errors import InputError

    if json and markdown:
        raise InputError("--json and --markdown exclude each other; write one of them.")


def _shape(text: str | None, model: str) -> tuple[int, ...]:
    """The shape that was written, or that of the model's paper."""
    from chainrule import models
    from chainrule.errors import InputError

    entry = models.row(model)
    if entry is not None and entry.kind in models.ESTIMATORS:
        raise InputError(f"{model} is an estimator and has no layers; write the name of a network.")
    if text is None:
        if entry is None or not entry.shape:
            raise InputError(f"{model} takes inputs of any size; write one, such as --input 3x224x224 or --input 20.")
        return entry.shape
    sizes = text.lower().replace("×", "x").split("x")
    if not all(size.strip().isdecimal() and 0 < int(size) < 10**6 for size in sizes):
        raise InputError(
            f"--input {text!r} is no shape; write the sizes of one sample with x between them, such as 3x224x224."
        )
    return tuple(map(int, sizes))


def _built(model: str, shape: tuple[int, ...], classes: int | None) -> "nn.Module":
    """The model for samples of that shape."""
    import inspect

    import torch

    from chainrule import models, registry
    from chainrule.data.spec import Classes, Image, Inputs, Vector, Volume
    from chainrule.errors import InputError

    entry = models.row(model)
    kinds: dict[int, Inputs] = {1: Vector.numbers(shape[0])}
    if len(shape) == 3:
        kinds[3] = Image(*shape, white=1.0)
    if len(shape) == 4:
        kinds[4] = Volume(*shape, white=1.0)
    inputs = kinds.get(len(shape))
    if entry is not None and (inputs is None or inputs.kind not in entry.inputs):
        example = {"vector": "20", "image": "3x224x224", "volume": "1x32x32x32"}[entry.inputs[0]]
        wanted = " or ".join(models.KINDS[kind] for kind in entry.inputs)
        raise InputError(
            f"{model} takes {wanted}, not samples of {'x'.join(map(str, shape))}; write --input {example}."
        )
    known = registry.keywords(entry.build) if entry else []
    if classes is None and entry and "classes" in known:
        classes = inspect.signature(entry.build).parameters["classes"].default
    target = Classes(tuple(map(str, range(classes or 1000))))
    if entry is None:
        return models.build(model, inputs=inputs or Vector.numbers(shape[0]), target=target)
    assert inputs is not None
    arguments = {**entry.preset, **(entry.arguments(inputs, target) if entry.arguments else {})}
    call = registry.parse(model)
    with torch.device("meta"):
        network: nn.Module = registry.call(entry.build, call.options, call.name, **arguments)
    return network


command.__name__ = "summary"
