"""Which finding explains which, and what is said first."""

import pytest

from chainrule import registry
from chainrule.doctor.causes import EXPLAINS, ORDER, ranked
from chainrule.doctor.finding import Finding, Status


def finding(check: str, status: Status) -> Finding:
    return Finding(check=check, status=status, sentence="")


def said(*findings: Finding) -> list[tuple[str, str]]:
    return [(found.check, found.under) for found in ranked(findings)]


def test_a_cause_comes_before_what_it_explains() -> None:
    chance, twice, high = (finding(name, "FAIL") for name in ("stuck-at-chance", "softmax-twice", "rate-too-high"))
    wanted = [("softmax-twice", ""), ("rate-too-high", "softmax-twice"), ("stuck-at-chance", "softmax-twice")]
    assert said(chance, high, twice) == wanted


def test_what_nothing_explains_stands_for_itself() -> None:
    assert said(finding("giveaway", "WARN"), finding("softmax-twice", "PASS"), finding("input-scale", "WARN")) == [
        ("input-scale", ""),
        ("giveaway", ""),
        ("softmax-twice", ""),
    ]


def test_the_worst_group_comes_first() -> None:
    assert said(finding("input-scale", "WARN"), finding("rate-too-high", "WARN"), finding("no-step", "FAIL")) == [
        ("no-step", ""),
        ("rate-too-high", "no-step"),
        ("input-scale", ""),
    ]


def test_a_warning_explains_a_failure_only_where_it_is_strong() -> None:
    failure = finding("stuck-at-chance", "FAIL")
    assert said(finding("input-scale", "WARN"), failure) == [("input-scale", ""), ("stuck-at-chance", "input-scale")]
    assert said(finding("bottleneck", "WARN"), failure) == [("stuck-at-chance", ""), ("bottleneck", "")]


def test_what_passes_explains_nothing_and_is_explained_by_nothing() -> None:
    assert said(finding("runs", "PASS"), finding("plateau", "WARN")) == [("plateau", ""), ("runs", "")]
    assert said(finding("runs", "FAIL"), finding("plateau", "PASS")) == [("runs", ""), ("plateau", "")]


@pytest.mark.parametrize("cause", EXPLAINS)
def test_causes_are_checks_that_do_not_explain_themselves_in_a_circle(cause: str) -> None:
    assert cause in ORDER
    both = [finding(cause, "FAIL"), *(finding(name, "FAIL") for name in EXPLAINS[cause] if name != cause)]
    # Somebody is always left whom nothing explains.
    assert not ranked(both)[0].under


def test_every_check_has_its_place() -> None:
    assert sorted(registry.entries("check")) == sorted(ORDER)
