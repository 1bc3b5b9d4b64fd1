"""``chainrule resume``."""

from chainrule.cli.options import Directory, Json, Quiet


def command(directory: Directory, quiet: Quiet = False, json: Json = False) -> None:
    """Go on with an interrupted run, to the weights that it would have had; or with an interrupted study."""
    from chainrule import api
    from chainrule.cli import fit

    job = api.proceed_with(directory)
    if isinstance(job, api.Job):
        fit.carry_out(job, quiet=quiet, json=json)
        return
    from chainrule.cli import study

    study.carry_out(job, quiet=quiet, json=json)


command.__name__ = "resume"
