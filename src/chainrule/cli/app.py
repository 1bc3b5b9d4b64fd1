"""``chainrule``: the verbs put together, and how an error ends: one sentence on stderr, and an exit code."""

import errno
import sys

import typer

from chainrule.cli import data, fit, models, predict, report, resume
from chainrule.errors import ChainruleError, InputError

USAGE, FAILED, INTERRUPTED = 2, 1, 130

app = typer.Typer(
    help="From data to a trained model, an honest verdict and a report. Begin with: chainrule fit digits",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for verb in (fit, resume, predict, models, data, report):
    app.command()(verb.command)


def main() -> None:
    """Run the command line; wrong input ends with one sentence and code 2."""
    try:
        app()
    except ChainruleError as error:
        _end(str(error), USAGE if isinstance(error, InputError) else FAILED)
    except OSError as error:
        if error.errno == errno.EPIPE:
            sys.exit(0)  # whoever read our output has seen enough
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        place = f" ({error.filename})" if error.filename else ""
        _end(f"{error.strerror}{place}; what was written before is whole. Make room or write another --out.", USAGE)


def _end(sentence: str, code: int) -> None:
    print(f"chainrule: {sentence}", file=sys.stderr)  # noqa: T201 - the one place that speaks of errors
    sys.exit(code)
