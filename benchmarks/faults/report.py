"""The report: shares over all faults and all healthy programs, and by check."""

from collections import Counter
from collections.abc import Sequence

from benchmarks.faults.asking import Answer


def report(answers: Sequence[Answer]) -> str:
    """Tables of what was named, missed and said in vain."""
    planted = [answer for answer in answers if answer.fault is not None]
    sound = [answer for answer in answers if answer.fault is None]
    parts = [_planted(planted)] if planted else []
    parts += [_sound(sound)] if sound else []
    return "\n\n".join(["", *parts, _by_check(planted, sound)])


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "none"


def _times(answers: Sequence[Answer]) -> str:
    taken = sorted(answer.seconds for answer in answers)
    return f"{sum(taken):.0f} s in all, median {taken[len(taken) // 2]:.1f} s, longest {taken[-1]:.1f} s"


def _planted(answers: Sequence[Answer]) -> str:
    lines = [
        f"faults: first finding right {_share(sum(answer.first for answer in answers), len(answers))}",
        f"        named anywhere {_share(sum(answer.named for answer in answers), len(answers))}",
        f"        {_times(answers)}",
    ]
    lines += [f"  missed: {answer.line}" for answer in answers if not answer.named]
    return "\n".join(lines)


def _sound(answers: Sequence[Answer]) -> str:
    failed = [answer for answer in answers if answer.failed]
    warned = Counter(check for answer in answers for check in answer.checks if check not in answer.failed)
    lines = [
        f"healthy: with a FAIL {_share(len(failed), len(answers))}",
        f"         crashed {_share(sum(bool(answer.crash) for answer in answers), len(answers))}",
        f"         WARNs in the mean {sum(warned.values()) / len(answers):.2f}: "
        + ", ".join(f"{check} {number}" for check, number in warned.most_common()),
        f"         {_times(answers)}",
    ]
    lines += [f"  FAIL: {answer.name}: {', '.join(answer.failed)}" for answer in failed]
    return "\n".join(lines)


def _by_check(planted: Sequence[Answer], sound: Sequence[Answer]) -> str:
    """Recall: of the faults whose cause a check names, those in which it, or another that does, was there.

    Precision: of the programs in which it comes first, those in which it names the cause.
    """
    checks = sorted({check for answer in (*planted, *sound) for check in (*answer.checks, *answer.expected)})
    lines = ["check                        faults  first  named  recall | first at all  precision | healthy FAIL  WARN"]
    for check in checks:
        wanted = [answer for answer in planted if check in answer.expected]
        named = sum(answer.named for answer in wanted)
        leads = [answer for answer in (*planted, *sound) if answer.checks[:1] == [check]]
        right = sum(check in answer.expected for answer in leads)
        failed = sum(check in answer.failed for answer in sound)
        warned = sum(check in answer.checks for answer in sound) - failed
        recall = f"{named / len(wanted):6.2f}" if wanted else "     -"
        precision = f"{right / len(leads):9.2f}" if leads else "        -"
        lines.append(
            f"{check:28} {len(wanted):6} {sum(answer.first for answer in wanted):6} {named:6}  {recall} | "
            f"{len(leads):12}  {precision} | {failed:12}  {warned:4}"
        )
    return "\n".join(lines)
