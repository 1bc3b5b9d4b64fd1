"""Ctrl-C and SIGTERM: the first asks a run to stop between two steps, the second stops it at once."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Signals:
    """What has come, and what is to be done about the first signal.

    Attributes:
        number: The signal that came, or 0.
        gently: Whether the first one lets the work go on to its next event; else it stops at once, as a second does.
        tell: Called when the first one comes, for work that others do.
    """

    number: int = 0
    gently: bool = False
    tell: Callable[[], None] | None = None

    def came(self, number: int, frame: FrameType | None) -> None:
        """Note a signal.

        Raises:
            KeyboardInterrupt: When the work is to stop at once.
        """
        at_once = self.number or not self.gently
        self.number = number
        if at_once:
            raise KeyboardInterrupt
        if self.tell is not None:
            self.tell()
        sys.stderr.write("Stopping after this step; once more stops at once.\n")


@contextmanager
def on_signal(tell: Callable[[], None] | None = None) -> Iterator[Signals]:
    """Catch the signals.

    Args:
        tell: Called when the first one comes.

    Yields:
        What is known of them.
    """
    signals = Signals(tell=tell)
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals.came) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
