"""How often the doctor is right: it is asked about every program of the bench.

``python -m benchmarks.faults [NAMES] [--healthy] [--costs] [--json FILE] [--jobs 1]``; a name may have ``*``.
"""

import argparse
import json
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.faults.asking import Answer, asked, compared
from benchmarks.faults.case import Case
from benchmarks.faults.healthy import FAULTS, programs
from benchmarks.faults.report import report
from benchmarks.faults.workers import each


def chosen(names: list[str], only_healthy: bool) -> list[Case]:
    """The cases that are asked for; all where none is named."""
    cases = [*([] if only_healthy else FAULTS), *programs()]
    return [case for case in cases if not names or any(fnmatch(case.name, name) for name in names)]


def main() -> None:
    """Ask, print the report, write the details."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("names", nargs="*", help="names of cases, with * for any part; all where none is given")
    parser.add_argument("--healthy", action="store_true", help="only the healthy programs")
    parser.add_argument("--costs", action="store_true", help="train fault and twin, and print what the fault costs")
    parser.add_argument("--json", type=Path, help="where the details go")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for a case")
    given = parser.parse_args()
    cases = chosen(given.names, given.healthy)
    if given.costs:
        planted = [case for case in cases if case.twin]
        for case, costs in each(planted, compared, given.jobs, given.limit):
            print(f"{case.name:44} {costs if isinstance(costs, str) else ' '.join(f'{score:8.3f}' for score in costs)}")
        return
    answers: list[Answer] = []
    for case, answer in each(cases, asked, given.jobs, given.limit):
        whole = {**answer, "crash": ""} if isinstance(answer, dict) else {"seconds": 0.0, "asking": [], "crash": answer}
        answers.append(Answer(name=case.name, fault=case.fault, expected=sorted(case.expected), **whole))
        print(answers[-1].line, flush=True)
    answers.sort(key=lambda answer: [case.name for case in cases].index(answer.name))
    print(report(answers))
    if given.json:
        given.json.write_text(json.dumps([answer.plain() for answer in answers], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
