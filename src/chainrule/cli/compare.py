"""``chainrule compare``."""

from typing import Annotated, Any

import typer

from chainrule.cli.options import Jobs, Json, Quiet, Source, StudyOut, with_settings


def compare(
    source: Source,
    models: Annotated[
        str,
        typer.Option(
            help="Networks and estimators by name with options, separated by commas: 'knn, svm(C=10), mlp'; also "
            "dotted names, such as sklearn.ensemble.RandomForestClassifier."
        ),
    ],
    seeds: Annotated[
        str, typer.Option(help="How many seeds, or which, as in '0,7,9'; each is a split of its own for all models.")
    ] = "5",
    budget: Annotated[
        str | None,
        typer.Option(help="Time that one training may take, such as 60s; networks get as many epochs as fit in."),
    ] = None,
    ensemble: Annotated[bool, typer.Option(help="Combine the models of each seed, too.")] = False,
    jobs: Jobs = None,
    out: StudyOut = None,
    quiet: Quiet = False,
    json: Json = False,
    **settings: Any,
) -> None:
    """Compare models on the same splits, with the uncertainty of every difference.

    Raises:
        InputError: When the seeds are no numbers.
    """
    from chainrule import api
    from chainrule.cli.study import carry_out
    from chainrule.errors import InputError

    try:
        numbers = [int(part) for part in seeds.split(",")]
    except ValueError:
        raise InputError(
            f"--seeds must be a number, or numbers with commas, as in '0,7,9'; received {seeds!r}."
        ) from None
    job = api.begin_compare(
        source,
        models=models,
        seeds=numbers[0] if "," not in seeds else numbers,
        budget=budget,
        ensemble=ensemble,
        jobs=jobs,
        out=out,
        **settings,
    )
    carry_out(job, quiet=quiet, json=json)


command = with_settings(compare, keep=lambda name: name not in ("model", "seed", "fold", "weights", "transfer"))
