"""``chainrule``: the verbs put together, and how an error ends: one sentence on stderr, and an exit code."""

import os
import sys
from typing import Any

import typer

from chainrule.cli import check, compare, data, fit, models, predict, report, resume, summary, trace, tune
from chainrule.errors import ChainruleError, InputError

USAGE, FAILED, INTERRUPTED = 2, 1, 130
#: Of what typer raises for a wrong option or argument; its versions keep it in different places.
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    help="From data to a trained model, an honest verdict and a report. Begin with: chainrule fit digits",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for verb in (fit, resume, predict, compare, check, tune, models, summary, trace, data, report):
    app.command()(verb.command)


def main() -> None:
    """Run the command line; wrong input ends with one sentence and code 2."""
    # Threads that wait for one another sleep instead of spinning; beside another busy program that is three times as
    # fast. It holds for what is loaded from here on, as torch is.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # "module:factory" finds modules of the working directory, after whatever is installed.
    sys.path.append(os.getcwd())
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="chainrule", standalone_mode=False))
    except UsageError as error:
        verb = error.ctx.command_path if error.ctx else "chainrule"
        _end(f"{error.format_message()} For help write: {verb} --help", USAGE)
    except ChainruleError as error:
        _end(str(error), USAGE if isinstance(error, InputError) else FAILED)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.strerror is None:
            raise
        place = f": {error.filename}" if error.filename else ""
        _end(f"{error.strerror}{place}; what was written before is whole.", USAGE)


def _end(sentence: str, code: int) -> None:
    print(f"chainrule: {sentence}", file=sys.stderr)  # noqa: T201 - the one place that speaks of errors
    sys.exit(code)
