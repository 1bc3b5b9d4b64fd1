"""``Study``: a directory of runs on the same data, and the journal of what was found and decided.

============== =======================================================================================
study.json     what was asked for: the verb, the source of the data and its fingerprint, every setting
journal.jsonl  trials with what came of them, measurements and decisions, one JSON line each
trials/        a run's directory for each trial
best/          the final model as a run of its own, where the study makes one
report.html    the page
============== =======================================================================================

A procedure asks the study for trials and gets what came of them. What the journal knows already is not done again: so a
study that is resumed goes the way that it went, and goes on from where it was.
"""

import json
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from chainrule import storage
from chainrule.config import configure
from chainrule.data import Data
from chainrule.errors import ChainruleError, InputError
from chainrule.run import Run
from chainrule.study import events
from chainrule.study.asking import settings_for
from chainrule.study.events import Decided, Measured, Note, Trial, Tried
from chainrule.study.work import OUTPUTS, Order, carry_out, loaded
from chainrule.training.record import Record

AnyNote = TypeVar("AnyNote", bound=Note)


class StoppedError(ChainruleError):
    """A study was stopped before its end; it can be resumed."""


class Study:
    """A study and its directory.

    Args:
        directory: Where it is.
        source: The data.
        asked: What ``study.json`` says.
    """

    def __init__(self, directory: Path, source: Any, asked: dict[str, Any]) -> None:
        self.directory, self.source, self.asked = directory, source, asked
        self.notes = list(read(directory / "journal.jsonl"))
        self._tried = {note.trial.key: note for note in self.notes if isinstance(note, Tried)}
        self._measured = {note.name: note for note in self.notes if isinstance(note, Measured)}
        self._decided = [note for note in self.notes if isinstance(note, Decided)]
        self._decisions = 0
        self._before = self.notes[-1].elapsed if self.notes else 0.0
        self._began = time.monotonic()
        #: Time since the study began, as the last note that was given says; the same when it is resumed.
        self.elapsed = 0.0
        self.stop_file = directory / "stop"
        self.stop_file.unlink(missing_ok=True)

    @classmethod
    def create(cls, directory: Path, source: Any, asked: dict[str, Any]) -> "Study":
        """Begin a study; a directory that already holds something is never touched.

        Raises:
            InputError: When the directory is not empty.
        """
        Record.check_new(directory)
        directory.mkdir(parents=True, exist_ok=True)
        storage.write_json(directory / "study.json", asked)
        return cls(directory, source, asked)

    @classmethod
    def open(cls, directory: Path, *, source: Any = None) -> "Study":
        """Open a study that was begun.

        Args:
            directory: Where it is.
            source: The data again, when it came from Python.

        Raises:
            InputError: When there is no study, or it is damaged.
        """
        asked = storage.read_json(directory / "study.json")
        whole(directory / "journal.jsonl")
        if not isinstance(asked, dict) or not {"verb", "source", "settings", "jobs", "fingerprint"} <= asked.keys():
            raise InputError(
                f"{directory / 'study.json'} is damaged: its entries are missing; its trials are still runs."
            )
        return cls(directory, asked["source"] if source is None else source, asked)

    def data(self, **settings: Any) -> Data:
        """The data of the study, with these settings in the place of its own."""
        config = configure({**self.asked["settings"], **settings})
        return loaded(self.source, config, self.asked["fingerprint"])

    @staticmethod
    def found(directory: str | Path) -> bool:
        """Whether a directory is that of a study."""
        return (Path(directory) / "study.json").is_file()

    @property
    def tried(self) -> list[Tried]:
        """What came of all trials so far, in the order of the journal."""
        return [note for note in self.notes if isinstance(note, Tried)]

    def measured(self, beginning: str) -> list[dict[str, Any]]:
        """What was measured under names with this beginning."""
        return [note.values for note in self.notes if isinstance(note, Measured) and note.name.startswith(beginning)]

    @property
    def decisions(self) -> list[Decided]:
        """What was decided so far."""
        return [note for note in self.notes if isinstance(note, Decided)]

    def run(self, trial: Trial) -> Run:
        """The run of a trial."""
        return Run(Record(self.directory / "trials" / trial.name))

    @property
    def best(self) -> Run:
        """The final model.

        Raises:
            InputError: When the study has not come so far, or makes none.
        """
        record = Record(self.directory / "best")
        if record.found:
            return Run(record)
        if self.asked["verb"] == "compare":
            raise InputError(
                f"A comparison keeps no final model; write the directory of a run in {self.directory / 'trials'}."
            )
        raise InputError(
            f"The search in {self.directory} has no final model yet; write chainrule resume {self.directory}."
        )

    def outputs(self, trial: Trial) -> dict[str, Any]:
        """What a trial's model says of the samples of ``valid`` and ``test``, ``[n, k]`` each."""
        outputs: dict[str, Any] = storage.read_tree(self.directory / "trials" / trial.name / OUTPUTS)
        return outputs

    def try_all(self, trials: Sequence[Trial]) -> Generator[Note, None, list[Tried]]:
        """Carry out trials, several at a time.

        Args:
            trials: What is wanted; their names are unique.

        Yields:
            What came of each, in the order in which they end.

        Returns:
            The same in the order of ``trials``.

        Raises:
            StoppedError: When somebody asked the study to stop.
            InputError: When the journal knows another trial by that name.
        """
        found: dict[tuple[str, int | None], Tried] = {}
        for trial in trials:
            if (known := self._tried.get(trial.key)) is not None:
                if known.trial != trial:
                    raise InputError(
                        f"The journal in {self.directory} was written by another version: it says {known.trial} where "
                        f"{trial} is wanted; start a new study."
                    )
                found[trial.key] = known
        for note in sorted(found.values(), key=lambda note: note.elapsed):
            yield self._given(note)
        wanted = [self._order(trial) for trial in trials if trial.key not in found]
        for result in self._carried_out(wanted):
            if result is None:
                raise StoppedError(f"The study in {self.directory} was stopped.")
            note = self._written(result)
            found[note.trial.key] = note
            yield note
        return [found[trial.key] for trial in trials]

    def once(self, name: str, measure: Callable[[], dict[str, Any]]) -> Generator[Note, None, dict[str, Any]]:
        """Find something out, or take from the journal what was found.

        Args:
            name: What it is; unique within the study.
            measure: Finds it out; gives plain values.
        """
        known = self._measured.get(name)
        note = self._given(known) if known else self._written(Measured(name=name, values=measure()))
        yield note
        return dict(note.values)

    def decide(self, step: str, sentence: str, **values: Any) -> Generator[Note, None, None]:
        """Write down a decision."""
        known = self._decided[self._decisions] if self._decisions < len(self._decided) else None
        self._decisions += 1
        yield self._given(known) if known else self._written(Decided(step=step, sentence=sentence, values=values))

    def stop(self) -> None:
        """Ask all work to end at its next step."""
        with suppress(OSError):
            self.stop_file.touch()

    def _order(self, trial: Trial) -> Order:
        jobs = self.asked["jobs"]
        return Order(
            trial=trial,
            source=self.source,
            settings=settings_for(trial.model, self.asked["settings"]),
            directory=self.directory / "trials" / trial.name,
            version=self.asked["fingerprint"],
            stop=self.stop_file,
            parent=os.getpid() if jobs > 1 else 0,
            deadline=time.time() + self.asked.get("deadline", math.inf) - self._now(),
        )

    def _carried_out(self, orders: list[Order]) -> Iterator[Tried | None]:
        if not orders:
            return
        if self.asked["jobs"] == 1:
            yield from map(carry_out, orders)
            return
        # joblib's processes start without importing the caller's script, and stay for the next trials.
        from joblib import Parallel, delayed, parallel_config

        with parallel_config(backend="loky", inner_max_num_threads=1):
            parallel = Parallel(n_jobs=self.asked["jobs"], return_as="generator_unordered", batch_size=1)
            yield from parallel(delayed(carry_out)(order) for order in orders)

    def _written(self, note: AnyNote) -> AnyNote:
        """Append a note to the journal; gives it as the journal would."""
        line = json.dumps(events.to_json(replace(note, elapsed=self._now())), ensure_ascii=False)
        with (self.directory / "journal.jsonl").open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        kept = cast(AnyNote, events.from_json(json.loads(line)))
        self.notes.append(kept)
        return self._given(kept)

    def _now(self) -> float:
        """Seconds since the study began, over all its parts."""
        return self._before + time.monotonic() - self._began

    def _given(self, note: AnyNote) -> AnyNote:
        self.elapsed = note.elapsed
        return note


def whole(path: Path) -> None:
    """Cut off the line that a killed process left half written."""
    if path.exists() and not (text := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, text.rfind(b"\n") + 1)


def read(path: Path) -> Iterator[Note]:
    """The notes of a journal.

    Raises:
        InputError: When a line is damaged.
    """
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return  # the process was killed while it wrote this line
            try:
                yield events.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path} is damaged in line {number}; the trials beside it are still runs.") from error
