"""The command line: one file for each verb. It knows the terminal; nothing else does.

Nothing slow is imported before a verb runs, so that ``--help`` is instant.
"""

from chainrule.cli.app import main

__all__ = ["main"]
