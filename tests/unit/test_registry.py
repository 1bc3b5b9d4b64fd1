"""The registry: names, calls and what is said when they are wrong."""

import pytest

from chainrule import registry
from chainrule.errors import InputError, UnknownNameError


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("adamw", "adamw", {}),
        (" sgd(momentum=0.9, nesterov=True) ", "sgd", {"momentum": 0.9, "nesterov": True}),
        ("package.module:factory(a=[1, 2], b='x,y')", "package.module:factory", {"a": [1, 2], "b": "x,y"}),
        ("se-resnet-50(width=-1)", "se-resnet-50", {"width": -1}),
    ],
)
def test_calls_are_read(text: str, name: str, options: dict) -> None:
    call = registry.parse(text)
    assert (call.name, dict(call.options)) == (name, options)
    assert registry.parse(str(call)) == call


@pytest.mark.parametrize(
    "text",
    [
        "",
        "()",
        "sgd(",
        "sgd(0.9)",
        "sgd(a=b)",
        "sgd(a=__import__('os'))",
        "sgd(a=1)(b=2)",
        "sgd(**{})",
        "sgd(a=1",
        "x(a=1).y",
    ],
)
def test_what_is_no_call_is_refused_and_never_evaluated(text: str) -> None:
    with pytest.raises(InputError, match="write a name"):
        registry.parse(text)


def test_lists_of_calls_are_cut_at_the_outer_commas_only() -> None:
    calls = registry.parse_list("crop(pad=1), rotate(degrees=(1, 2)),hflip")
    assert [str(call) for call in calls] == ["crop(pad=1)", "rotate(degrees=(1, 2))", "hflip"]
    with pytest.raises(InputError, match="brackets"):
        registry.parse_list("crop(pad=1")


def test_a_name_is_taken_once() -> None:
    registry.entries("model")
    with pytest.raises(ValueError, match="registered twice"):

        @registry.register("model", "lenet5")
        class Other:
            """Another."""


def test_unknown_names_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lenet5'"):
        registry.lookup("model", "lenet")
    with pytest.raises(UnknownNameError, match="write one of: activation-ensemble, alexnet"):
        registry.lookup("model", "zzzzzzzz")


def test_options_are_checked_against_the_builder() -> None:
    def build(*, width: int = 1) -> int:
        if width < 0:
            raise ValueError("width is negative")
        return width

    assert registry.call(build, {"width": 3}, "thing") == 3
    with pytest.raises(UnknownNameError, match="no option of thing named 'with'; did you mean 'width'"):
        registry.call(build, {"with": 3}, "thing")
    with pytest.raises(InputError, match="width is negative"):
        registry.call(build, {"width": -3}, "thing")
    with pytest.raises(InputError, match="has no options"):
        registry.call(lambda: 1, {"a": 1}, "thing")
