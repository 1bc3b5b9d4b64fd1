"""``Record``: a run's directory.

============== =======================================================================================
config.json    every setting, the source of the data and its fingerprint, the number of processes
events.jsonl   the events, one JSON line each
checkpoint/    ``state.safetensors``: all that moves, every random generator, the position
model/         ``model.json`` and ``weights.safetensors``: the whole model with its best weights
findings.json  what the doctor found
report.html    the page
============== =======================================================================================

The checkpoint says how long ``events.jsonl`` was when it was written; a resumed run cuts the file there and goes on, so
the events are those of the run that was never interrupted.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from chainrule import storage
from chainrule.errors import InputError
from chainrule.training import events
from chainrule.training.events import Event


class Record:
    """The directory of one run.

    Args:
        directory: Where it is.
        writes: Whether this process writes; of several, only the first does.
    """

    def __init__(self, directory: Path, *, writes: bool = True) -> None:
        self.directory, self.writes = directory, writes
        self.model = directory / "model"
        self.state = directory / "checkpoint" / "state.safetensors"
        self._file: BinaryIO | None = None

    def create(self, settings: dict[str, Any]) -> None:
        """Make the directory; one that already holds something is never touched.

        Args:
            settings: What goes into ``config.json``.

        Raises:
            InputError: When the directory is not empty.
        """
        if self.writes:
            self.check_new(self.directory)
            self.make()
            storage.write_json(self.directory / "config.json", settings)

    def make(self) -> None:
        """Make the directory and those in it, as far as they are lacking."""
        for part in (self.directory, self.model, self.state.parent):
            part.mkdir(parents=True, exist_ok=True)

    def discard(self) -> None:
        """Remove a directory that :meth:`create` has just begun."""
        if self.writes:
            shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def check_new(directory: Path) -> None:
        """Raise an ``InputError`` unless a run may be written to ``directory``."""
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise InputError(
                f"{directory} exists and is not overwritten; write another --out, or chainrule resume {directory}."
            )

    def check(self) -> None:
        """Raise an ``InputError`` unless this is the directory of a run."""
        if not self.directory.is_dir():
            raise InputError(f"There is no run in {self.directory}: no such directory.")
        if not self.found:
            raise InputError(
                f"{self.directory} holds no run: config.json is missing; write the directory that fit made."
            )

    @property
    def found(self) -> bool:
        """Whether the directory holds anything of a run."""
        return any((self.directory / part).exists() for part in ("config.json", "events.jsonl", "model"))

    def settings(self) -> dict[str, Any]:
        """What :meth:`create` wrote.

        Raises:
            InputError: When this is no run, or its config.json is damaged.
        """
        self.check()
        path, rest = self.directory / "config.json", "training cannot go on without it; predict and report still work."
        try:
            settings = storage.read_json(path)
        except InputError as error:
            raise InputError(f"{str(error).rstrip('.')}; {rest}") from error
        wanted = {"source", "call", "config", "processes", "fingerprint"}
        if not isinstance(settings, dict) or not wanted <= settings.keys() or not isinstance(settings["config"], dict):
            raise InputError(f"{path} is damaged: its entries are missing; {rest}")
        return settings

    def write(self, event: Event) -> None:
        """Append an event."""
        if self.writes:
            if self._file is None:
                self._file = (self.directory / "events.jsonl").open("ab")
            line = json.dumps(events.to_json(event), ensure_ascii=False)
            self._file.write(line.encode() + b"\n")

    def flush(self) -> int:
        """Bring all events to the disk; gives the length of the file."""
        if self._file is None:
            return 0
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Bring all events to the disk and close the file."""
        if self._file is not None:
            self.flush()
            self._file.close()
            self._file = None

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint."""
        if self.writes:
            storage.write_tree(self.state, {**state, "events": self.flush()})

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, or None before the first; events written after it are cut off.

        Raises:
            InputError: When something that training needs is missing or damaged; the sentence says what is still
                usable.
        """
        path = self.directory / "events.jsonl"
        if not self.state.exists():
            if any(isinstance(event, events.Step) for event in self.events(steps=True)):
                raise InputError(f"{self.state} is missing, so training cannot go on; {self._usable}.")
            if self.writes:
                path.unlink(missing_ok=True)
            return None
        try:
            state: dict[str, Any] = storage.read_tree(self.state)
            length, best = state.pop("events"), state["best"]
        except (InputError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{str(error).rstrip('.')}; training cannot go on from there, but {self._usable}."
            ) from error
        if best is not None:
            try:
                storage.read_tree(self.model / "weights.safetensors")
            except InputError as error:
                raise InputError(
                    f"{str(error).rstrip('.')}; these were the best weights so far, so training cannot go on; start "
                    "again with chainrule fit."
                ) from error
        if self.writes:
            if not self._holds(length):
                raise InputError(f"{path} is damaged: it is not what the checkpoint says; {self._usable}.")
            os.truncate(path, length)
            for _ in self.events(steps=True):
                pass  # a damaged line is found now, not after the training
        return state

    def check_whole(self) -> None:
        """Raise an ``InputError`` unless all events are there that the checkpoint knows of, and at least one."""
        length = 0
        if self.state.is_file():
            with contextlib.suppress(InputError, KeyError, TypeError):
                length = storage.read_tree(self.state)["events"]
        if not self._holds(length) or next(self.events(steps=True), None) is None:
            path = self.directory / "events.jsonl"
            raise InputError(f"{path} is missing or incomplete, so it is not reported on; {self._usable}.")

    def _holds(self, length: int) -> bool:
        """Whether the file of events is at least that long, with the end of a line there."""
        path = self.directory / "events.jsonl"
        if not path.is_file() or path.stat().st_size < length:
            return False
        with path.open("rb") as file:
            file.seek(max(length - 1, 0))
            return length == 0 or file.read(1) == b"\n"

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return any(isinstance(event, events.Evaluated) for event in self.events())

    @property
    def _usable(self) -> str:
        return f"the best weights in {self.model} can still predict"

    def events(self, *, steps: bool = False) -> Iterator[Event]:
        """The recorded events; those of single steps only when asked for.

        Raises:
            InputError: When the file or a line is damaged.
        """
        path = self.directory / "events.jsonl"
        if not path.exists():
            return
        if not path.is_file():
            raise InputError(f"{path} is no file; {self._usable}.")
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if not steps and line.startswith('{"event": "Step"'):
                    continue
                if not line.endswith("\n"):
                    return  # the process was killed while it wrote this line
                try:
                    yield events.from_json(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise InputError(f"{path} is damaged in line {number}; {self._usable}.") from error
