"""``chainrule tune``."""

from typing import Annotated, Any

import typer

from chainrule.cli.options import Jobs, Json, Quiet, Source, StudyOut, with_settings


def tune(
    source: Source,
    model: Annotated[
        str,
        typer.Option(
            help="Networks and estimators by name with options, separated by commas. Default: the network that fit "
            "takes, and estimators that suit the data."
        ),
    ] = "auto",
    budget: Annotated[str, typer.Option(help="Time that it may take: 90s, 10m, 2h.")] = "5m",
    jobs: Jobs = None,
    out: StudyOut = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Find the best model within a budget of time: checks, rates, a grid, the curves, and an ensemble at the end."""
    from chainrule import api
    from chainrule.cli.study import carry_out

    job = api.begin_tune(source, model=model, budget=budget, jobs=jobs, out=out, **settings)
    carry_out(job, quiet=quiet, json=json)


command = with_settings(tune, keep=lambda name: name not in ("model", "fold", "weights", "transfer"))
