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

import json
import os
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
        self.check_new(self.directory)
        if self.writes:
            for part in (self.directory, self.model, self.state.parent):
                part.mkdir(parents=True, exist_ok=True)
            storage.write_json(self.directory / "config.json", settings)

    @staticmethod
    def check_new(directory: Path) -> None:
        """Raise an ``InputError`` unless a run may be written to ``directory``."""
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise InputError(
                f"{directory} exists and is not overwritten; write another --out, or chainrule resume {directory}."
            )

    def settings(self) -> dict[str, Any]:
        """What :meth:`create` wrote.

        Raises:
            InputError: When this is no run, or its config.json is damaged.
        """
        if not self.directory.is_dir():
            raise InputError(f"There is no run in {self.directory}: no such directory.")
        path = self.directory / "config.json"
        if not path.exists():
            raise InputError(
                f"{self.directory} holds no run: config.json is missing; write the directory that fit made."
            )
        settings = storage.read_json(path)
        if not isinstance(settings, dict) or not {"source", "config", "processes", "fingerprint"} <= settings.keys():
            raise InputError(
                f"{path} is damaged: its entries are missing; the model in {self.model} can still predict."
            )
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
            InputError: When the checkpoint is damaged; the sentence says what is still usable.
        """
        if not self.state.exists():
            if self.writes:
                (self.directory / "events.jsonl").unlink(missing_ok=True)
            return None
        try:
            state: dict[str, Any] = storage.read_tree(self.state)
            length = state.pop("events")
        except (InputError, KeyError) as error:
            raise InputError(
                f"{error} Training cannot go on from there; the best weights in {self.model} can still predict."
            ) from error
        path = self.directory / "events.jsonl"
        if self.writes:
            if not path.exists() or path.stat().st_size < length:
                raise InputError(
                    f"{path} is damaged: it is shorter than the checkpoint says; the best weights in {self.model} can "
                    "still predict."
                )
            os.truncate(path, length)
        return state

    def events(self, *, steps: bool = False) -> Iterator[Event]:
        """The recorded events; those of single steps only when asked for.

        Raises:
            InputError: When a line is damaged.
        """
        path = self.directory / "events.jsonl"
        if not path.exists():
            return
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if not steps and line.startswith('{"event": "Step"'):
                    continue
                if not line.endswith("\n"):
                    return  # the process was killed while it wrote this line
                try:
                    yield events.from_json(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise InputError(
                        f"{path} is damaged in line {number}; the model in {self.model} can still predict."
                    ) from error
