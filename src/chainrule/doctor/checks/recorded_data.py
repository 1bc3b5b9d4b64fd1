"""Checks of the data, as the record describes it."""

from collections.abc import Sequence

from chainrule.doctor.finding import Finding
from chainrule.doctor.record import find
from chainrule.registry import register
from chainrule.training.events import Event, Loaded


@register("check", "duplicates", family="data", inputs=("record",))
def duplicates(events: Sequence[Event]) -> Finding | None:
    """No sample of one split stands in another as well."""
    loaded = find(events, Loaded)
    if loaded is None:
        return None
    shared = {pair: count for pair, count in loaded.duplicates.items() if count}
    if not shared:
        return Finding(check="duplicates", status="PASS", sentence="No sample stands in two splits.")
    worst = max(count / loaded.sizes[pair.split("/")[1]] for pair, count in shared.items())
    listed = ", ".join(f"{count} of {pair.split('/')[1]} in {pair.split('/')[0]}" for pair, count in shared.items())
    return Finding(
        check="duplicates",
        status="FAIL" if worst > 0.1 else "WARN",
        sentence=f"Some samples stand in two splits: {listed} ({worst:.1%} of the smaller split at most).",
        evidence=dict(shared),
        cause="The same sample occurs several times in the data, so the test is partly a test of memory.",
        remedy="Remove the duplicates, or keep them together with --group COLUMN.",
    )


@register("check", "class-balance", family="data", inputs=("record",))
def class_balance(events: Sequence[Event]) -> Finding | None:
    """No class is so rare that accuracy hides it."""
    loaded = find(events, Loaded)
    if loaded is None or loaded.target["kind"] != "classes":
        return None
    counts = loaded.balance["train"]
    rare, common = min(counts, key=counts.get), max(counts, key=counts.get)
    ratio = counts[common] / max(counts[rare], 1)
    evidence = {"rarest": rare, "samples": counts[rare], "ratio": ratio}
    said = f"the rarest class, {rare!r}, has {counts[rare]} training samples, the largest, {common!r}, {counts[common]}"
    if ratio <= 5:
        return Finding(
            check="class-balance", status="PASS", sentence=f"Classes are balanced: {said}.", evidence=evidence
        )
    return Finding(
        check="class-balance",
        status="WARN",
        sentence=f"Classes are unbalanced by a factor of {ratio:.0f}: {said}.",
        evidence=evidence,
        cause="Accuracy is then mostly that of the frequent classes.",
        remedy="Look at the F1 of each class, and try --balance.",
    )


@register("check", "test-size", family="data", inputs=("record",))
def test_size(events: Sequence[Event]) -> Finding | None:
    """The test split is large enough for its figures to mean something."""
    loaded = find(events, Loaded)
    if loaded is None:
        return None
    n = loaded.sizes["test"]
    # Half the width of a 95 % interval of a proportion near 0.9; a plain scale for how far one split can be off.
    half = 1.96 * (0.9 * 0.1 / max(n, 1)) ** 0.5
    if half <= 0.1:
        sentence = f"{n} test samples: a score near 0.9 is known to about {half:.3f}."
        return Finding(check="test-size", status="PASS", sentence=sentence, evidence={"samples": n})
    return Finding(
        check="test-size",
        status="WARN",
        sentence=f"Only {n} test samples: a score near 0.9 is known to about {half:.2f} at best.",
        evidence={"samples": n},
        cause="The data is small.",
        remedy="Repeat with several seeds (--seed 1, 2, ...) and look at the mean.",
    )
