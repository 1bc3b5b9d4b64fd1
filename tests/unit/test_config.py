"""The settings: defaults, ranges, and one definition for Python, command line and record."""

import pytest

from chainrule.config import Config, configure
from chainrule.errors import InputError, UnknownNameError


def test_settings_survive_json() -> None:
    config = configure({"rate": 0.1, "target": ["a", "b"], "fractions": (0.5, 0.25, 0.25), "weight_decay": 1})
    assert (config.rate, config.target, config.shares, config.weight_decay) == ("0.1", "a,b", (0.5, 0.25, 0.25), 1.0)
    assert configure(config.to_json()) == config
    assert set(config.changes()) == {"rate", "target", "fractions", "weight_decay"}
    assert Config().changes() == {}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rate": 0}, "rate must be a number greater than 0"),
        ({"rate": "-1e-3"}, "rate must be a number greater than 0"),
        ({"rate": "fast"}, "received 'fast'"),
        ({"rate": "inf"}, "greater than 0"),
        ({"epochs": 0}, "epochs must be greater than 0"),
        ({"batch": -1}, "batch must be greater than 0"),
        ({"batch": "many"}, "batch must be int; received 'many'"),
        ({"patience": 0}, "patience"),
        ({"weight_decay": -1.0}, "must not be negative"),
        ({"label_smoothing": 1.0}, "label_smoothing must be from 0"),
        ({"fractions": "0.5,0.5"}, "three numbers"),
        ({"fractions": "0.5,0.5,0.5"}, "sum to 1"),
        ({"clip": 1.0, "clip_value": 1.0}, "write one of them"),
        ({"precision": "fp64"}, "did you mean"),
    ],
)
def test_wrong_values_get_a_sentence(settings: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        configure(settings)


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'epochs'"):
        configure({"epoch": 3})
