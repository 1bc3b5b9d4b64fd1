"""``chainrule resume``."""

from chainrule.cli.fit import carry_out
from chainrule.cli.options import Directory, Json, Quiet


def command(directory: Directory, quiet: Quiet = False, json: Json = False) -> None:
    """Go on with an interrupted run, bit for bit as if it had not been interrupted."""
    from chainrule import api

    carry_out(api.proceed(directory), quiet=quiet, json=json)


command.__name__ = "resume"
