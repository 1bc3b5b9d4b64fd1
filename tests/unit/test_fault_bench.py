"""The bench of faults: every case can be built, and runs a step or is meant not to."""

import warnings
from itertools import islice

import pytest
from benchmarks.faults.case import Case
from benchmarks.faults.healthy import FAULTS, programs
from benchmarks.faults.loops import sound

from chainrule.doctor import Program

CASES = [*FAULTS, *programs()]
#: Programs that stop with an error: that is their fault.
STOP = {
    "iris/labels-from-one",
    "cancer-probability/no-sigmoid",
    "autoencoder/bce-of-0-to-16",
    "digits-cnn/rows-of-the-wrong-length",
    "tokens-lstm/wrong-axis",
    "sums-gru/kept-state",
    "drawn-loop/retained",
}


def steps(case: Case, number: int) -> None:
    """A few steps of the program's own loop, or of the usual one."""
    keywords = case.build()
    program = Program(**keywords)
    few = list(islice(program.batches, number))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (program.train or sound)(program.model, program.loss, program.optimizer, few)


def test_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_there_are_enough() -> None:
    assert len(FAULTS) >= 60
    assert len(programs()) >= 60


def test_faults_have_a_cause_and_a_twin() -> None:
    assert [case.name for case in FAULTS if not case.fault or case.healthy or case.twin is None] == []
    assert [case.name for case in FAULTS if not 1 <= len(case.expected) <= 3] == []
    assert {case.twin.name for case in FAULTS if case.twin} <= {case.name for case in programs()}
    assert [case.name for case in programs() if case.fault or case.expected or not case.healthy] == []


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_runs_or_is_meant_not_to(case: Case) -> None:
    if case.name in STOP:
        with pytest.raises((RuntimeError, IndexError, ValueError)):
            steps(case, 2)
    else:
        steps(case, 1)


def test_the_same_program_is_built_again() -> None:
    first, second = (FAULTS[0].build()["model"].state_dict() for _ in range(2))
    assert all(first[name].equal(second[name]) for name in first)


def test_the_usual_loop_learns() -> None:
    """The loop that faults are planted in is a sound one."""
    case = next(case for case in programs() if case.name == "moons")
    program = Program(**case.build())
    x, y = next(iter(program.batches))
    before = program.loss(program.model(x), y).item()
    for _ in range(10):
        sound(program.model, program.loss, program.optimizer, program.batches)
    assert program.loss(program.model(x), y).item() < before / 2
